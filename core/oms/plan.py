"""Stop and take-profit plan of an entry (floor 3). Pure; there is no entry without one.

Distances are fractions of the entry price, so the plan follows the real fill. A ladder whose legs
the exchange would refuse (under the minimum quantity or notional) becomes a single target.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from core.config import TradingConfig
from core.domain.enums import TakeProfitMode
from core.domain.instrument import Instrument
from core.domain.intent import ProtectionPlan, TakeProfitRatio
from core.domain.money import ONE, ZERO, floor_to_step

_FIRST_ATR = Decimal(1)
_ATR_STEP = Decimal("0.5")
"""Levels at 1.0, 1.5, 2.0 … times the average true range."""
_ENOUGH_TRADES = 100
_FAR, _NEAR = Decimal("1.2"), Decimal("0.8")
_GOOD_RATE, _POOR_RATE = Decimal("0.65"), Decimal("0.5")


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """What the operator chose. `single` is the target used instead of a ladder too fine."""

    stop_ratio: Decimal
    levels: tuple[TakeProfitRatio, ...]
    single: Decimal
    mode: TakeProfitMode = TakeProfitMode.FIXED

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        return cls(
            stop_ratio=config.stop_loss_pct,
            levels=config.tp_levels,
            single=config.take_profit_pct,
            mode=config.tp_mode,
        )


def build_plan(
    settings: PlanSettings,
    instrument: Instrument,
    *,
    price: Decimal,
    quantity: Decimal,
    atr_ratio: Decimal = ZERO,
    trades: int = 0,
    wins: int = 0,
) -> ProtectionPlan:
    """Plan for `quantity` bought or sold near `price`.

    `atr_ratio` is ATR / price (0 unknown: the configured levels then), `trades` and `wins` the
    record the adaptive mode scales its targets by.
    """
    scale = adaptive_scale(trades, wins) if settings.mode is TakeProfitMode.ADAPTIVE else ONE
    legs = _legs(settings, atr_ratio, scale)
    if not _all_tradable(legs, instrument, price, quantity):
        legs = (TakeProfitRatio(settings.single * scale, ONE),)
    return ProtectionPlan(settings.stop_ratio, legs)


def adaptive_scale(trades: int, wins: int) -> Decimal:
    """1.2 above a win rate of 65 %, 0.8 below 50 %, 1 between and before 100 trades."""
    if trades < _ENOUGH_TRADES:
        return ONE
    rate = Decimal(wins) / trades
    if rate > _GOOD_RATE:
        return _FAR
    return _NEAR if rate < _POOR_RATE else ONE


def _legs(
    settings: PlanSettings, atr_ratio: Decimal, scale: Decimal
) -> tuple[TakeProfitRatio, ...]:
    if settings.mode is TakeProfitMode.ATR and atr_ratio > 0:
        return tuple(
            TakeProfitRatio(atr_ratio * (_FIRST_ATR + _ATR_STEP * i), level.share)
            for i, level in enumerate(settings.levels)
        )
    return tuple(TakeProfitRatio(level.ratio * scale, level.share) for level in settings.levels)


def _all_tradable(
    legs: tuple[TakeProfitRatio, ...], instrument: Instrument, price: Decimal, quantity: Decimal
) -> bool:
    """True when every leg can be an order of its own, the last one taking what rounding left."""
    left, last_price = quantity, price
    for i, leg in enumerate(legs):
        size = left if i == len(legs) - 1 else floor_to_step(quantity * leg.share, instrument.step)
        target = price * (ONE + leg.ratio)
        too_small = size < instrument.min_qty or size * price < instrument.min_notional
        if too_small or target - last_price < instrument.tick:
            return False
        left -= size
        last_price = target
    return True
