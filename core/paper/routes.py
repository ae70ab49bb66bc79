"""Every REST route of the exchange in one table (floor 2c)."""

from core.paper import (
    routes_account,
    routes_conditions,
    routes_public,
    routes_settings,
    routes_trade,
)

ROUTES = (
    *routes_public.ROUTES,
    *routes_conditions.ROUTES,
    *routes_trade.ROUTES,
    *routes_account.ROUTES,
    *routes_settings.ROUTES,
)
