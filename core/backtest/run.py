"""A strategy on one account over one history (floor 6).

The strategy is asked once for all candles; the run then goes from entry to entry. After an exit the
symbol rests as it does in the daemon, and a signal while a position is open changes nothing. The
account compounds, as it does live. With brakes, a RiskGuard of the daemon stands before every
entry: streak, daily loss, profit factor, drawdown.
"""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from core.backtest.bracket import BracketSimulator, Wish
from core.backtest.history import History
from core.backtest.rules import BacktestRules
from core.domain.enums import Direction, ExitReason
from core.domain.money import ZERO
from core.domain.position import Trade
from core.domain.strategy import SignalArrays, Strategy
from core.risk_guard import RiskGuard, RiskLimits
from core.sizing import SizingRefused


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its closed trades, in order.

    `signals` counts the candles on which the strategy wanted something; `refused` those of them
    that became no order, by what stood in their way; `free` the candles after which an entry was
    possible: flat, and the rest after an exit over.
    """

    trades: tuple[Trade, ...]
    signals: int
    refused: dict[str, int]
    free: int
    open_at_end: bool


class Decisions:
    """The rows after whose candle an entry may be decided, and their times."""

    def __init__(self, history: History, warmup: int, start_ms: int = 0) -> None:
        """From the first row with `warmup` candles that closes after `start_ms` (UTC ms)."""
        self._close_ms = history.candles.open_ms + history.step_ms
        self.first = max(warmup - 1, int(np.searchsorted(self._close_ms, start_ms, side="right")))
        self.end = len(self._close_ms) - 1
        """One past the last: an entry needs the candle after it."""

    @property
    def count(self) -> int:
        return max(self.end - self.first, 0)

    def at_ms(self, row: int) -> int:
        """When the candle of a row closes (UTC ms): the moment of the decision."""
        return int(self._close_ms[row])

    def since(self, at_ms: int) -> int:
        """The first row decided on at `at_ms` or later."""
        return int(np.searchsorted(self._close_ms, at_ms))


class Rest:
    """How long a symbol is left alone after an exit."""

    def __init__(self, rules: BacktestRules) -> None:
        self._rules = rules

    def over_ms(self, trade: Trade) -> int:
        """When the next entry may be decided (UTC ms)."""
        stopped = trade.exit_reason is ExitReason.STOP_LOSS
        rest = self._rules.stop_cooldown_ms if stopped else self._rules.cooldown_ms
        return trade.closed_ms + rest


class _Moment:
    """A clock that stands where the run is."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        return self.at_ms

    def now_us(self) -> int:
        return self.at_ms * 1_000

    def monotonic(self) -> float:
        return self.at_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1_000)


class _Brakes:
    """The daemon's RiskGuard, told what the run does."""

    def __init__(self, limits: RiskLimits) -> None:
        self._clock = _Moment()
        self._guard = RiskGuard(limits, clock=self._clock)

    def hold_back(self, at_ms: int, equity: Decimal) -> str:
        """The word of what forbids an entry now; empty when nothing does."""
        self._clock.at_ms = at_ms
        self._guard.observe(equity, ZERO, 0)
        allowed, _ = self._guard.can_open_position()
        return "" if allowed else self._guard.blocked_by or "risk_guard"

    def closed(self, trade: Trade) -> None:
        self._clock.at_ms = trade.closed_ms
        reason = trade.exit_reason or ExitReason.MANUAL
        self._guard.trade_closed(trade.trade_id, trade.symbol, trade.net, reason, trade.closed_ms)


def run(
    simulator: BracketSimulator,
    strategy: Strategy,
    signals: SignalArrays,
    decisions: Decisions,
    rules: BacktestRules,
    equity: Decimal,
    *,
    brakes: RiskLimits | None = None,
) -> Outcome:
    """Trade every signal the account is free for. `equity` in the quote coin."""
    rows = np.flatnonzero(signals.direction[decisions.first : decisions.end]) + decisions.first
    guard = _Brakes(brakes) if brakes is not None else None
    rest, refused = Rest(rules), Counter[str]()
    trades: list[Trade] = []
    busy = wins = at = 0
    unfinished = False
    while at < len(rows):
        row = int(rows[at])
        at += 1
        if guard is not None and (gate := guard.hold_back(decisions.at_ms(row), equity)):
            refused[gate] += 1
            continue
        wish = _wish(strategy, simulator.history, signals, row, equity, (len(trades), wins))
        played = simulator.play(wish)
        if played is None:
            unfinished = True
            busy += decisions.end - row - 1
            break
        if isinstance(played, SizingRefused):
            refused[played.gate] += 1
            continue
        trades.append(played)
        equity += played.net
        wins += played.net > 0
        if guard is not None:
            guard.closed(played)
        free = min(decisions.since(rest.over_ms(played)), decisions.end)
        busy += free - row - 1
        taken = int(np.searchsorted(rows, free))
        refused["position or cooldown"] += taken - at
        at = taken
    counted = {name: count for name, count in refused.items() if count}
    return Outcome(tuple(trades), len(rows), counted, decisions.count - busy, unfinished)


def _wish(
    strategy: Strategy,
    history: History,
    signals: SignalArrays,
    row: int,
    equity: Decimal,
    record: tuple[int, int],
) -> Wish:
    long = signals.direction[row] > 0
    return Wish(
        row=row,
        direction=Direction.LONG if long else Direction.SHORT,
        atr_ratio=float(signals.atr[row] / history.candles.close[row]),
        strategy=strategy.name,
        equity=equity,
        record=record,
    )
