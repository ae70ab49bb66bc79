"""What a backtest tells (floor 6): one row per symbol and stretch, as text and for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from core.backtest.baselines import RandomEntries, RandomTrader, buy_and_hold
from core.backtest.bracket import BracketSimulator, Funding
from core.backtest.history import History
from core.backtest.rules import BacktestRules
from core.backtest.run import Decisions, Outcome, Rest, run
from core.domain.money import to_wire
from core.domain.ports import JsonValue
from core.domain.strategy import Strategy
from core.kernel.chance import Chance
from core.observe.analytics import Performance, analyse
from core.risk_guard import RiskLimits


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every history. `equity` in the quote coin, `start_ms` in UTC ms."""

    strategy: Strategy
    rules: BacktestRules
    equity: Decimal
    start_ms: int = 0
    brakes: RiskLimits | None = None
    draws: int = 200
    seed: int = 1


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One strategy over one history. `hold` is a return as a fraction."""

    history: History
    first_ms: int
    outcome: Outcome
    performance: Performance
    hold: float
    random: RandomEntries | None

    @property
    def period(self) -> str:
        first, end = (
            datetime.fromtimestamp(ms / 1_000, UTC) for ms in (self.first_ms, self.history.end_ms)
        )
        return f"{first:%Y-%m-%d}..{end:%m-%d}"

    def record(self) -> dict[str, JsonValue]:
        """The row for programs; amounts as exact text, returns as fractions."""
        p, chance = self.performance, self.random
        return {
            "symbol": self.history.symbol,
            "timeframe": self.history.timeframe,
            "recorded": self.history.recorded,
            "start_ms": self.first_ms,
            "end_ms": self.history.end_ms,
            "candles": len(self.history.candles),
            "recorded_candles": len(self.history.fine),
            "signals": self.outcome.signals,
            "not_taken": dict(self.outcome.refused),
            "open_at_end": self.outcome.open_at_end,
            "trades": p.trades,
            "win_rate": p.win_rate,
            "profit_factor": p.profit_factor,
            "net": to_wire(p.net),
            "gross": to_wire(p.gross),
            "fees": to_wire(p.fees),
            "funding": to_wire(p.funding),
            "return": p.return_ratio,
            "max_drawdown": p.max_drawdown_ratio,
            "average_r": p.average_r,
            "exits": {each.name: each.trades for each in p.by_reason},
            "buy_and_hold": self.hold,
            "random": None
            if chance is None
            else {
                "draws": chance.draws,
                "trades": chance.trades,
                "return_mean": chance.mean,
                "return_5": chance.low,
                "return_95": chance.high,
                "beaten": chance.beaten,
            },
        }

    def cells(self) -> tuple[str, ...]:
        """The row for people, in the order of `HEADERS`."""
        p, chance = self.performance, self.random
        return (
            self.history.symbol,
            self.period,
            str(p.trades),
            f"{p.win_rate:.0%}" if p.trades else "-",
            "-" if p.profit_factor is None else f"{p.profit_factor:.2f}",
            _percent(p.return_ratio),
            f"{p.max_drawdown_ratio * 100:.1f}",
            _percent(self.hold),
            "-" if chance is None else _percent(chance.mean),
            "-" if chance is None else f"{_percent(chance.low)}..{_percent(chance.high)}",
            "-" if chance is None else f"{chance.beaten:.0%}",
        )


HEADERS = (
    "symbol",
    "period",
    "trades",
    "won",
    "pf",
    "net %",
    "dd %",
    "hold %",
    "random %",
    "5..95 %",
    "beaten",
)
NUMBERS = tuple(range(2, len(HEADERS)))
"""Columns of `HEADERS` that are numbers."""


def ask(history: History, question: Question, funding: Funding) -> ReportRow | None:
    """Run one history; None when it is shorter than the strategy's warm-up."""
    strategy, rules = question.strategy, question.rules
    decisions = Decisions(history, strategy.warmup, question.start_ms)
    if not decisions.count:
        return None
    simulator = BracketSimulator(history, rules, funding)
    signals = strategy.signals(history.candles)
    outcome = run(
        simulator, strategy, signals, decisions, rules, question.equity, brakes=question.brakes
    )
    trader = RandomTrader(simulator, signals, decisions, Rest(rules), question.equity)
    dice = Chance(question.seed).stream(f"{history.symbol} {decisions.at_ms(decisions.first)}")
    return ReportRow(
        history=history,
        first_ms=decisions.at_ms(decisions.first),
        outcome=outcome,
        performance=analyse(outcome.trades, question.equity),
        hold=buy_and_hold(simulator, decisions, rules.costs),
        random=trader.compare(outcome, question.draws, dice),
    )


def total_cells(rows: Sequence[ReportRow]) -> tuple[str, ...]:
    """All rows together: trades added, returns averaged; drawdown is the worst."""
    trades = sum(row.performance.trades for row in rows)
    wins = sum(row.performance.wins for row in rows)
    profit = sum(row.performance.profit for row in rows)
    loss = sum(row.performance.loss for row in rows)
    chances = [row.random for row in rows if row.random is not None]
    return (
        "all",
        f"{len(rows)} rows, mean",
        str(trades),
        f"{wins / trades:.0%}" if trades else "-",
        f"{profit / loss:.2f}" if loss else "-",
        _percent(_mean([row.performance.return_ratio for row in rows])),
        f"{max(row.performance.max_drawdown_ratio for row in rows) * 100:.1f}",
        _percent(_mean([row.hold for row in rows])),
        _percent(_mean([each.mean for each in chances])) if chances else "-",
        "-",
        f"{_mean([each.beaten for each in chances]):.0%}" if chances else "-",
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _percent(ratio: float) -> str:
    return f"{ratio * 100:+.1f}"
