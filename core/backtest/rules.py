"""What a backtest assumes (floor 6): the daemon's own settings, and what trading costs."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from core.config import TradingConfig
from core.oms.plan import PlanSettings
from core.oms.stop_level import MoveRules
from core.pre_trade_check import EntryLimits
from core.sizing import SizingLimits


@dataclass(frozen=True, slots=True)
class Costs:
    """Fractions of the price. Every exit and entry pays `fee` as a taker.

    `slippage` (half a spread included) worsens entries and exits at market, `stop_slippage` stops;
    a target fills at its own price.
    """

    fee: Decimal = Decimal("0.0005")
    slippage: Decimal = Decimal("0.0002")
    stop_slippage: Decimal = Decimal("0.0005")


@dataclass(frozen=True, slots=True)
class BacktestRules:
    """Settings of the daemon that decide about entries and exits. Times in milliseconds."""

    sizing: SizingLimits
    plan: PlanSettings
    moves: MoveRules
    costs: Costs
    max_hold_ms: int
    cooldown_ms: int
    stop_cooldown_ms: int

    @classmethod
    def from_config(cls, config: TradingConfig, costs: Costs) -> Self:
        """The daemon's limits; `config.timeframe` is the strategy's."""
        limits = EntryLimits.from_config(config)
        return cls(
            sizing=SizingLimits.from_config(config),
            plan=PlanSettings.from_config(config),
            moves=MoveRules.from_config(config),
            costs=costs,
            max_hold_ms=config.max_hold_minutes * 60_000,
            cooldown_ms=limits.cooldown_ms,
            stop_cooldown_ms=limits.stop_cooldown_ms,
        )
