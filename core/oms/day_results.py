"""The day's results out of our own books and the exchange's (floor 3).

A risk guard whose memory was lost is built anew from the closed trades of the day. The database
may have been lost with it, so the exchange's income history is the second witness: what it has
taken from the wallet beyond our trades counts as one more trade, never the other way round.
"""

from collections.abc import Iterable

from core.domain.account import IncomeRow
from core.domain.enums import ExitReason
from core.domain.money import ZERO
from core.risk_guard import DAY_MS, ClosedTrade

_RESULTS = frozenset({"REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "INSURANCE_CLEAR"})
"""Income of trading; transfers and rewards are neither profit nor loss."""


def day_of(now_ms: int) -> int:
    """First millisecond of the UTC day that holds `now_ms`."""
    return now_ms - now_ms % DAY_MS


def with_unknown_losses(
    trades: Iterable[ClosedTrade], income: Iterable[IncomeRow], quote: str, now_ms: int
) -> list[ClosedTrade]:
    """`trades` of today, and one more for what the exchange says was lost besides (quote coin)."""
    known = [trade for trade in trades if trade.at_ms >= day_of(now_ms)]
    told = sum(
        (
            row.amount
            for row in income
            if row.kind in _RESULTS and row.asset == quote and row.time_ms >= day_of(now_ms)
        ),
        ZERO,
    )
    missing = told - sum((trade.net for trade in known), ZERO)
    if missing < ZERO:
        known.append(
            ClosedTrade(f"income-{day_of(now_ms)}", "", missing, ExitReason.FOREIGN, now_ms)
        )
    return known
