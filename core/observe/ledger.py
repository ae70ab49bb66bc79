"""Results counted a second time, from the executions alone (floor 5; INV-09, INV-10).

The books add up what the exchange calls realised; here a trade's result is what was received minus
what was paid, so a fill that was missed, counted twice or put to the wrong trade shows. Per UTC day
the same executions are held against the exchange's own income history.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.domain.account import IncomeRow
from core.domain.money import ZERO
from core.domain.position import Fill, Trade

DAY_MS = 86_400_000
_PER_FILL = Decimal("0.000001")
"""What the exchange's own rounding of average price and realised result may come to."""


@dataclass(frozen=True, slots=True)
class Recount:
    """One closed trade: booked gross and fees beside those of its executions (quote coin)."""

    trade_id: str
    symbol: str
    booked_gross: Decimal
    booked_fees: Decimal
    gross: Decimal
    fees: Decimal
    left: Decimal
    """Quantity the executions leave open; 0 for a complete trade."""
    fills: int

    @property
    def difference(self) -> Decimal:
        """Net result of the executions minus the booked one."""
        return (self.gross - self.fees) - (self.booked_gross - self.booked_fees)

    @property
    def agrees(self) -> bool:
        return not self.left and abs(self.difference) <= _PER_FILL * max(self.fills, 1)


@dataclass(frozen=True, slots=True)
class DayDifference:
    """One UTC day: our executions against the exchange's income rows (quote coin)."""

    day_ms: int
    realized: Decimal
    income_realized: Decimal
    fees: Decimal
    income_fees: Decimal
    funding: Decimal

    @property
    def agrees(self) -> bool:
        return (self.realized, self.fees) == (self.income_realized, self.income_fees)


def recount(trades: Iterable[Trade], fills: Iterable[tuple[str, Fill]]) -> list[Recount]:
    """Closed trades, each from its own executions."""
    by_trade: dict[str, list[Fill]] = {}
    for trade_id, fill in fills:
        by_trade.setdefault(trade_id, []).append(fill)
    return [_recount(trade, by_trade.get(trade.trade_id, [])) for trade in trades]


def _recount(trade: Trade, fills: Sequence[Fill]) -> Recount:
    return Recount(
        trade_id=trade.trade_id,
        symbol=trade.symbol,
        booked_gross=trade.realized,
        booked_fees=trade.fees,
        gross=sum((-fill.side.sign * fill.quantity * fill.price for fill in fills), ZERO),
        fees=sum((fill.commission for fill in fills), ZERO),
        left=sum((fill.side.sign * fill.quantity for fill in fills), ZERO),
        fills=len(fills),
    )


def compare_days(fills: Iterable[Fill], income: Iterable[IncomeRow]) -> list[DayDifference]:
    """Every day on which either side has something, in order."""
    ours: dict[int, tuple[Decimal, Decimal]] = {}
    for fill in fills:
        day = fill.time_ms - fill.time_ms % DAY_MS
        realized, fees = ours.get(day, (ZERO, ZERO))
        ours[day] = (realized + fill.realized_pnl, fees + fill.commission)
    theirs: dict[int, dict[str, Decimal]] = {}
    for row in income:
        kinds = theirs.setdefault(row.time_ms - row.time_ms % DAY_MS, {})
        kinds[row.kind] = kinds.get(row.kind, ZERO) + row.amount
    days = []
    for day in sorted({**ours, **theirs}):
        realized, fees = ours.get(day, (ZERO, ZERO))
        kinds = theirs.get(day, {})
        days.append(
            DayDifference(
                day_ms=day,
                realized=realized,
                income_realized=kinds.get("REALIZED_PNL", ZERO),
                fees=fees,
                income_fees=-kinds.get("COMMISSION", ZERO),
                funding=kinds.get("FUNDING_FEE", ZERO),
            )
        )
    return days
