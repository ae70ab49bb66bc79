"""What closed trades say (floor 5). Pure: trades in, figures out.

Money is exact; ratios and statistics are floats. Definitions: a win is a net result above zero; the
profit factor is the sum of wins over the sum of losses; R is the net result over the risk taken.
Returns are net results per UTC day over the equity at that day's start, days without a trade
included; Sharpe is their mean over their sample standard deviation, Sortino over the root of the
mean square of the negative ones, both times the root of 365 (this market never closes). Drawdown
follows the equity from trade to trade.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from statistics import fmean, median, stdev

from core.domain.enums import ExitReason
from core.domain.money import ZERO
from core.domain.position import Trade

DAY_MS = 86_400_000
_DAYS_PER_YEAR = 365


@dataclass(frozen=True, slots=True)
class Slice:
    """Results of the trades that share a symbol, strategy, hour or exit reason (quote coin)."""

    name: str
    trades: int
    wins: int
    net: Decimal
    profit_factor: float | None

    @property
    def win_rate(self) -> float:
        return self.wins / self.trades if self.trades else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """Equity after a trade, and how far it is under its peak (quote coin, fraction)."""

    at_ms: int
    equity: Decimal
    drawdown: Decimal
    drawdown_ratio: float


@dataclass(frozen=True, slots=True)
class Performance:
    """Figures of one period. Amounts in the quote coin, times in milliseconds.

    None: not defined for these trades (no loss, no risk known, fewer than two days …).
    `longest_streaks` are wins and losses in a row; `streak` is the one at the end, losses negative.
    """

    trades: int
    wins: int
    gross: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal
    profit: Decimal
    loss: Decimal
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    average_r: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: Decimal
    max_drawdown_ratio: float
    start_equity: Decimal
    hold_mean_ms: float
    hold_median_ms: float
    longest_streaks: tuple[int, int]
    streak: int
    stops: int
    targets: int
    by_symbol: tuple[Slice, ...]
    by_strategy: tuple[Slice, ...]
    by_hour: tuple[Slice, ...]
    by_reason: tuple[Slice, ...]
    curve: tuple[Point, ...]

    @property
    def win_rate(self) -> float:
        return self.wins / self.trades if self.trades else 0.0

    @property
    def return_ratio(self) -> float:
        """Net result as a fraction of the start equity; 0 where that is unknown."""
        return float(self.net / self.start_equity) if self.start_equity else 0.0


def analyse(trades: Iterable[Trade], start_equity: Decimal) -> Performance:
    """Figures of closed trades, in the order they closed. Trades without a fill do not count."""
    done = sorted(
        (trade for trade in trades if trade.closed_ms and trade.entry_quantity),
        key=lambda trade: (trade.closed_ms, trade.trade_id),
    )
    wins = [trade.net for trade in done if trade.net > ZERO]
    losses = [-trade.net for trade in done if trade.net <= ZERO]
    profit, loss = sum(wins, ZERO), sum(losses, ZERO)
    curve = equity_curve(done, start_equity)
    daily = daily_returns(done, start_equity)
    multiples = r_multiples(done)
    holds = [float(trade.closed_ms - trade.opened_ms) for trade in done if trade.opened_ms]
    best, worst, now = streaks([trade.net > ZERO for trade in done])
    return Performance(
        trades=len(done),
        wins=len(wins),
        gross=sum((trade.realized for trade in done), ZERO),
        fees=sum((trade.fees for trade in done), ZERO),
        funding=sum((trade.funding for trade in done), ZERO),
        net=profit - loss,
        profit=profit,
        loss=loss,
        profit_factor=_ratio(profit, loss),
        expectancy=_mean([float(trade.net) for trade in done]),
        average_win=_mean([float(net) for net in wins]),
        average_loss=_mean([float(net) for net in losses]),
        average_r=_mean(multiples),
        sharpe=sharpe(daily),
        sortino=sortino(daily),
        max_drawdown=max((point.drawdown for point in curve), default=ZERO),
        max_drawdown_ratio=max((point.drawdown_ratio for point in curve), default=0.0),
        start_equity=start_equity,
        hold_mean_ms=_mean(holds) or 0.0,
        hold_median_ms=median(holds) if holds else 0.0,
        longest_streaks=(best, worst),
        streak=now,
        stops=sum(trade.exit_reason is ExitReason.STOP_LOSS for trade in done),
        targets=sum(trade.exit_reason is ExitReason.TAKE_PROFIT for trade in done),
        by_symbol=slices(done, lambda trade: trade.symbol),
        by_strategy=slices(done, lambda trade: trade.strategy),
        by_hour=tuple(sorted(slices(done, _hour), key=lambda each: each.name)),
        by_reason=slices(done, lambda trade: trade.exit_reason or "unknown"),
        curve=curve,
    )


def equity_curve(trades: Sequence[Trade], start_equity: Decimal) -> tuple[Point, ...]:
    """Equity after each trade, in their order."""
    equity = peak = start_equity
    points = []
    for trade in trades:
        equity += trade.net
        peak = max(peak, equity)
        fall = peak - equity
        points.append(Point(trade.closed_ms, equity, fall, float(fall / peak) if peak > 0 else 0.0))
    return tuple(points)


def daily_returns(trades: Sequence[Trade], start_equity: Decimal) -> list[float]:
    """Return of every UTC day from the first trade's to the last one's."""
    if not trades or start_equity <= ZERO:
        return []
    nets: dict[int, Decimal] = {}
    for trade in trades:
        day = trade.closed_ms // DAY_MS
        nets[day] = nets.get(day, ZERO) + trade.net
    equity, returns = start_equity, []
    for day in range(min(nets), max(nets) + 1):
        net = nets.get(day, ZERO)
        returns.append(float(net / equity) if equity > ZERO else 0.0)
        equity += net
    return returns


def r_multiples(trades: Iterable[Trade]) -> list[float]:
    """Net result over risk of every trade whose risk is known."""
    return [float(trade.net / trade.risk) for trade in trades if trade.risk > ZERO]


def sharpe(daily: Sequence[float]) -> float | None:
    """Annualised; None for fewer than two days or days all alike."""
    if len(daily) < 2 or not (spread := stdev(daily)):
        return None
    return fmean(daily) / spread * math.sqrt(_DAYS_PER_YEAR)


def sortino(daily: Sequence[float]) -> float | None:
    """Annualised; None for fewer than two days or no losing day."""
    if len(daily) < 2:
        return None
    downside = math.sqrt(fmean([min(value, 0.0) ** 2 for value in daily]))
    return fmean(daily) / downside * math.sqrt(_DAYS_PER_YEAR) if downside else None


def streaks(won: Iterable[bool]) -> tuple[int, int, int]:
    """Most wins in a row, most losses in a row, and the run at the end (losses negative)."""
    best = worst = now = 0
    for win in won:
        now = max(now, 0) + 1 if win else min(now, 0) - 1
        best, worst = max(best, now), max(worst, -now)
    return best, worst, now


def slices(trades: Iterable[Trade], name_of: Callable[[Trade], str]) -> tuple[Slice, ...]:
    """Results by name, the best first."""
    groups: dict[str, list[Decimal]] = {}
    for trade in trades:
        groups.setdefault(str(name_of(trade)), []).append(trade.net)
    made = [
        Slice(
            name=name,
            trades=len(nets),
            wins=sum(net > ZERO for net in nets),
            net=sum(nets, ZERO),
            profit_factor=_ratio(
                sum((net for net in nets if net > ZERO), ZERO),
                sum((-net for net in nets if net <= ZERO), ZERO),
            ),
        )
        for name, nets in groups.items()
    ]
    return tuple(sorted(made, key=lambda each: (-each.net, each.name)))


def _hour(trade: Trade) -> str:
    """Hour of the entry, UTC."""
    return f"{datetime.fromtimestamp((trade.opened_ms or trade.closed_ms) / 1_000, UTC):%H}"


def _ratio(profit: Decimal, loss: Decimal) -> float | None:
    return float(profit / loss) if loss else None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
