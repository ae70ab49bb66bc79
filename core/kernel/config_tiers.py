"""Risk tiers (floor 1): one table of defaults and ceilings.

A tier's numbers are what its operator gets without asking, and the most he may ask for. Only the
stop-loss streak is a default without a ceiling.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import Tier


@dataclass(frozen=True, slots=True)
class TierLimits:
    """Limits of one tier. `risk_pct` and `daily_pct` are fractions of equity, leverage a factor."""

    risk_pct: Decimal
    daily_pct: Decimal
    positions: int
    leverage: int
    sl_streak: int


TIERS: dict[Tier, TierLimits] = {
    Tier.CONSERVATIVE: TierLimits(Decimal("0.0075"), Decimal("0.02"), 2, 5, 2),
    Tier.BALANCED: TierLimits(Decimal("0.01"), Decimal("0.03"), 3, 7, 3),
    Tier.AGGRESSIVE: TierLimits(Decimal("0.02"), Decimal("0.05"), 5, 12, 3),
}
