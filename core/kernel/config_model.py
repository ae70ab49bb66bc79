"""All settings together with what follows from them alone (floor 1)."""

from pathlib import Path
from typing import ClassVar

from core.domain.enums import PaperFeed, Venue
from core.domain.timeframe import timeframe_ms
from core.kernel.config_fields import (
    AlertSettings,
    DashboardSettings,
    ExchangeSettings,
    GateSettings,
    Group,
    MarketSettings,
    PaperSettings,
    ProcessSettings,
    ProtectionSettings,
    RiskSettings,
    WireSettings,
)
from core.kernel.config_meta import Catalogue, SettingInfo
from core.kernel.config_tiers import TIERS, TierLimits

GROUPS: tuple[type[Group], ...] = (
    ExchangeSettings,
    PaperSettings,
    MarketSettings,
    RiskSettings,
    ProtectionSettings,
    GateSettings,
    WireSettings,
    AlertSettings,
    DashboardSettings,
    ProcessSettings,
)


class Settings(  # pydantic takes the last base's fields first, and defaults look at earlier fields
    ProcessSettings,
    DashboardSettings,
    AlertSettings,
    WireSettings,
    GateSettings,
    ProtectionSettings,
    RiskSettings,
    MarketSettings,
    PaperSettings,
    ExchangeSettings,
):
    """Values and derived values; `core.config.TradingConfig` adds where they came from."""

    TITLE: ClassVar[str] = "All settings"

    @property
    def venue(self) -> Venue:
        """Where orders go: dry-run wins over the network choice."""
        if self.dry_run:
            return Venue.PAPER
        return Venue.TESTNET if self.testnet else Venue.PROD

    @property
    def resolved_quote_coin(self) -> str:
        if self.quote_coin is not None:
            return self.quote_coin
        return "USDT" if self.venue is Venue.TESTNET else "USDC"

    @property
    def resolved_settle_coin(self) -> str:
        return self.settle_coin or self.resolved_quote_coin

    @property
    def has_keys(self) -> bool:
        """True when there is an API key with a way to sign."""
        signs = self.binance_api_secret is not None or self.binance_private_key_path is not None
        return self.binance_api_key is not None and signs

    @property
    def custom_endpoint(self) -> bool:
        """True when the server is not the network's own."""
        return self.binance_rest_url is not None or self.binance_ws_url is not None

    @property
    def tier_limits(self) -> TierLimits:
        """Ceilings of the tier; the limits in force are the settings themselves."""
        return TIERS[self.tier]

    @property
    def strategies(self) -> tuple[str, ...]:
        return tuple(self.strategy.split(","))

    @property
    def timeframe_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    @property
    def runtime_path(self) -> Path:
        """File of the runtime overrides."""
        return self.data_dir / "runtime_config.json"

    def resolved_paper_speed(self, feed: PaperFeed) -> float | None:
        """Factor of paper time for the feed actually chosen; None = as fast as possible."""
        if feed in (PaperFeed.LIVE, PaperFeed.AUTO):
            return 1.0
        if self.paper_speed == "max":
            return None
        return self.paper_speed if self.paper_speed is not None else 60.0


CATALOGUE = Catalogue(
    SettingInfo.of(field, info, group.TITLE)
    for group in GROUPS
    for field, info in group.model_fields.items()
)
