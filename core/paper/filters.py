"""Checks of prices, quantities and ids with the venue's error codes (floor 2c)."""

import re
from decimal import Decimal

from core.domain.enums import OrderKind, Side
from core.paper.errors import ApiError, refuse
from core.paper.market import Market
from core.paper.model import Contract
from core.paper.records import OrderSpec

_CLIENT_ID = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
_CLIENT_ID_LENGTH = 36
_TRIGGER_SPAN = 10
"""Most times the mark price a trigger may be above or below; the venue's own span is unknown."""


def check_client_id(name: str, value: str) -> None:
    """Raises ApiError -4015 (length) or -1100 (alphabet)."""
    if len(value) > _CLIENT_ID_LENGTH:
        raise refuse(-4015, "Client order id length should be less than 36 chars")
    if not _CLIENT_ID.match(value):
        raise ApiError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is "
            "'^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.",
        )


def decimals(value: Decimal) -> int:
    """Digits after the point that carry a value."""
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def check_price(contract: Contract, price: Decimal) -> None:
    """PRICE_FILTER. Raises ApiError -4001, -1111, -4013, -4002, -4014."""
    if price <= 0:
        raise refuse(-4001)
    if decimals(price) > contract.price_precision:
        raise refuse(-1111)
    if contract.min_price and price < contract.min_price:
        raise refuse(-4013, f"Price less than min price {contract.min_price}.")
    if contract.max_price and price > contract.max_price:
        raise refuse(-4002)
    if (price - contract.min_price) % contract.tick:
        raise refuse(-4014)


def check_quantity(contract: Contract, quantity: Decimal, *, at_market: bool) -> None:
    """LOT_SIZE and MARKET_LOT_SIZE. Raises ApiError -4003, -1111, -4004, -4005, -4023."""
    if quantity <= 0:
        raise refuse(-4003)
    if decimals(quantity) > contract.quantity_precision:
        raise refuse(-1111)
    if quantity < contract.min_qty:
        raise refuse(-4004)
    most = min(contract.max_qty, contract.market_max_qty) if at_market else contract.max_qty
    if quantity > most:
        raise refuse(-4005)
    if (quantity - contract.min_qty) % contract.step:
        raise refuse(-4023)


def check_notional(contract: Contract, spec: OrderSpec, price: Decimal) -> None:
    """MIN_NOTIONAL; reduce-only orders are exempt. Raises ApiError -4164."""
    if spec.reduce_only or spec.close_position:
        return
    if spec.quantity * price < contract.min_notional:
        raise ApiError(
            -4164,
            f"Order's notional must be no smaller than {contract.min_notional} "
            "(unless you choose reduce only).",
        )


def check_percent(
    contract: Contract, side: Side, price: Decimal, base: Decimal, codes: tuple[int, int]
) -> None:
    """PERCENT_PRICE, one-sided, around `base`; `codes` are (too high, too low)."""
    if side is Side.BUY and contract.percent_up and price > base * contract.percent_up:
        raise refuse(codes[0])
    if side is Side.SELL and price < base * contract.percent_down:
        raise refuse(codes[1])


def check_order(market: Market, spec: OrderSpec) -> None:
    """Every filter of an ordinary order."""
    contract = market.contract
    at_market = spec.kind is OrderKind.MARKET
    check_quantity(contract, spec.quantity, at_market=at_market)
    if at_market:
        check_notional(contract, spec, market.mark)
        best = market.book.best_against(spec.side)
        check_percent(contract, spec.side, best, market.mark, (-4131, -4131))
        return
    check_price(contract, spec.price)
    check_notional(contract, spec, spec.price)
    check_percent(contract, spec.side, spec.price, market.mark, (-4016, -4024))
    if len(market.orders) >= contract.max_orders:
        raise refuse(-2025)


def check_conditional(market: Market, spec: OrderSpec, trigger: Decimal) -> None:
    """Filters of a conditional order; a trigger off the tick grid is accepted by the venue."""
    contract = market.contract
    if not spec.close_position:
        check_quantity(contract, spec.quantity, at_market=spec.kind.is_market)
    if trigger:
        if trigger < 0:
            raise refuse(-4006)
        if decimals(trigger) > contract.price_precision:
            raise refuse(-1111)
        if contract.max_price and trigger > contract.max_price:
            raise refuse(-4007)
        if trigger > market.mark * _TRIGGER_SPAN:
            raise refuse(-4210)
        if trigger < market.mark / _TRIGGER_SPAN:
            raise refuse(-4211)
        check_notional(contract, spec, spec.price or trigger)
    if spec.price:
        check_price(contract, spec.price)
        check_percent(contract, spec.side, spec.price, trigger, (-4183, -4184))
