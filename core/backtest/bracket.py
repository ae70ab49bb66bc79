"""One position from its entry to flat, over recorded candles (floor 6).

Size, plan, stop price and ladder are computed by the functions the daemon trades with. What the
market does is judged on the finest recorded candles, and pessimistically inside one of them:

- the entry fills at the open of the candle after the signal's, worsened by the slippage;
- a candle that touches the stop ends the position, whatever target it touched as well;
- break-even and trailing stops follow candles that are over, as if the stop were moved between two;
- a stop fills at its trigger, or at the candle's open where that is already beyond, worsened by
  the stop's slippage; a target fills at its price once the market has gone beyond it;
- a position that has reached its longest hold leaves at the next candle's open.

Prices are compared as floats, which is exact: both sides are the floats nearest to decimal prices.
"""

import math
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.backtest.history import History
from core.backtest.rules import BacktestRules
from core.domain.enums import Direction, ExitReason, Side
from core.domain.instrument import Instrument
from core.domain.market import FloatArray, IntArray
from core.domain.money import ONE, ZERO, ceil_to_step, floor_to_step, round_to_tick_away
from core.domain.position import Trade
from core.oms.decisions import plan_ladder
from core.oms.plan import build_plan
from core.oms.stop_level import (
    MoveRules,
    break_even_price,
    gain,
    stop_price,
    tighter,
    trailing_price,
)
from core.sizing import AccountView, SizingRefused, size_entry

BoolArray = NDArray[np.bool_]

_FIRST_LOOK = 256
"""Candles searched first when a position may be held for ever; doubled until something is hit."""
_NEVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Funding:
    """Funding rates that were settled: UTC ms, ascending, and the rate of each as a fraction."""

    times: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    rates: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """An entry asked for after candle `row`. `record` are trades and wins so far."""

    row: int
    direction: Direction
    atr_ratio: float
    strategy: str
    equity: Decimal
    record: tuple[int, int] = (0, 0)


class BracketSimulator:
    """Plays positions of one history by one set of rules."""

    def __init__(self, history: History, rules: BacktestRules, funding: Funding) -> None:
        self.history = history
        self._rules = rules
        self._funding = funding
        self._instrument = history.instrument
        self._fine = history.fine

    def play(self, wish: Wish) -> Trade | SizingRefused | None:
        """The closed trade, why there was none, or None when the recording ends before it does."""
        at = (wish.row + 1) * self.history.ratio
        if at >= len(self._fine):
            return None
        trade = self._enter(wish, at)
        if isinstance(trade, SizingRefused):
            return trade
        return trade if self._leave(trade, at) else None

    # --- entry -----------------------------------------------------------------------------------

    def _enter(self, wish: Wish, at: int) -> Trade | SizingRefused:
        rules, side = self._rules, wish.direction.entry_side
        price = self._worse(_exact(self._fine.open[at]), side, rules.costs.slippage)
        atr_ratio = Decimal(f"{wish.atr_ratio:.8f}")
        account = AccountView(wish.equity, wish.equity)
        sized = size_entry(
            self._instrument, rules.sizing, account, price=price, atr_ratio=atr_ratio
        )
        if isinstance(sized, SizingRefused):
            return sized
        trades, wins = wish.record
        plan = build_plan(
            rules.plan,
            self._instrument,
            price=price,
            quantity=sized.quantity,
            atr_ratio=atr_ratio,
            trades=trades,
            wins=wins,
        )
        opened_ms = int(self._fine.open_ms[at])
        notional = sized.quantity * price
        return Trade(
            trade_id=f"{self._instrument.wire}-{opened_ms}",
            symbol=self._instrument.symbol,
            strategy=wish.strategy,
            direction=wish.direction,
            plan=plan,
            leverage=sized.leverage,
            planned_quantity=sized.quantity,
            reference_price=price,
            why="",
            created_ms=opened_ms,
            risk=sized.risk,
            risk_pct=sized.risk_pct,
            quantity=sized.quantity * wish.direction.sign,
            entry_quantity=sized.quantity,
            entry_notional=notional,
            fees=notional * rules.costs.fee,
            opened_ms=opened_ms,
        )

    # --- exit ------------------------------------------------------------------------------------

    def _leave(self, trade: Trade, at: int) -> bool:
        """Play until the position is flat; False when the recording ends before."""
        due = self._hold_ends(at)
        position = _Open(trade, self._instrument, self._rules.moves)
        low, end, width = at, min(due, len(self._fine)), _FIRST_LOOK
        while low < end:
            high = min(low + position.look(width), end)
            low, flat = self._pass(position, low, high)
            if flat:
                return True
            width *= 2
        if due >= len(self._fine):
            return False
        side, costs = trade.direction.exit_side, self._rules.costs
        price = self._worse(_exact(self._fine.open[due]), side, costs.slippage)
        self._close_part(trade, abs(trade.quantity), price, due, at_open=True)
        trade.exit_reason = ExitReason.MAX_HOLD
        return True

    def _pass(self, position: "_Open", low: int, high: int) -> tuple[int, bool]:
        """Play candles `low`..`high`-1; returns where to go on, and whether the position is flat.

        A stop that a filled target moves is in force from the next candle on.
        """
        trade = position.trade
        hit = self._first_at(position.stop, low, high, up=not position.long)
        last = min(hit, high)
        while position.legs:
            leg = position.legs[0]
            taken = self._first_past(leg.price, low, last, up=position.long)
            if taken >= last:
                break
            self._close_part(trade, leg.quantity, leg.price, taken)
            if position.target_filled():
                low, last = taken, taken + 1  # what else this candle took, then look again
        if not position.legs:
            trade.exit_reason = ExitReason.TAKE_PROFIT
            return last, True
        if hit == last < high:
            self._stopped(position, hit)
            return last, True
        extreme = self._fine.high if position.long else self._fine.low
        position.saw(extreme[low:last])
        return last, False

    def _stopped(self, position: "_Open", at: int) -> None:
        """Leave at the stop, or at the candle's open where that is already beyond it."""
        trade, opened = position.trade, _exact(self._fine.open[at])
        reached = min(position.stop, opened) if position.long else max(position.stop, opened)
        price = self._worse(reached, trade.direction.exit_side, self._rules.costs.stop_slippage)
        self._close_part(trade, abs(trade.quantity), price, at)
        trade.exit_reason = ExitReason.MOVED_STOP if position.moved else ExitReason.STOP_LOSS

    def _hold_ends(self, at: int) -> int:
        """Index of the candle at whose open the longest hold is over."""
        hold_ms = self._rules.max_hold_ms
        return at + math.ceil(hold_ms / self.history.fine_ms) if hold_ms else _NEVER

    def _first_at(self, level: Decimal, low: int, high: int, *, up: bool) -> int:
        """First candle of `low`..`high`-1 that touches a level above (`up`) or below; `_NEVER`."""
        value = float(level)
        if up:
            return _first(self._fine.high[low:high] >= value, low)
        return _first(self._fine.low[low:high] <= value, low)

    def _first_past(self, level: Decimal, low: int, high: int, *, up: bool) -> int:
        """As `_first_at`, but the market has to go beyond the level."""
        value = float(level)
        if up:
            return _first(self._fine.high[low:high] > value, low)
        return _first(self._fine.low[low:high] < value, low)

    # --- money -----------------------------------------------------------------------------------

    def _worse(self, price: Decimal, side: Side, ratio: Decimal) -> Decimal:
        """A price on the grid, worsened for an order of `side`."""
        if side is Side.BUY:
            return ceil_to_step(price * (ONE + ratio), self._instrument.tick)
        return floor_to_step(price * (ONE - ratio), self._instrument.tick)

    def _close_part(
        self, trade: Trade, quantity: Decimal, price: Decimal, at: int, *, at_open: bool = False
    ) -> None:
        """Book an exit in candle `at`; what happens inside it is dated at its end."""
        at_ms = int(self._fine.open_ms[at])
        closed_ms = at_ms if at_open else at_ms + self.history.fine_ms - 1
        trade.funding += self._funding_between(trade, trade.closed_ms or trade.opened_ms, closed_ms)
        trade.exit_quantity += quantity
        trade.exit_notional += quantity * price
        trade.realized += (price - trade.entry_price) * quantity * trade.direction.sign
        trade.fees += quantity * price * self._rules.costs.fee
        trade.quantity -= quantity * trade.direction.sign
        trade.closed_ms = closed_ms

    def _funding_between(self, trade: Trade, after_ms: int, until_ms: int) -> Decimal:
        """Funding the open part received (negative: paid) in a span, its end included."""
        times = self._funding.times
        low, high = np.searchsorted(times, (after_ms, until_ms), side="right")
        total = ZERO
        for i in range(int(low), int(high)):
            at = int(np.searchsorted(self._fine.open_ms, times[i], side="right")) - 1
            total -= trade.quantity * _exact(self._fine.open[at]) * self._funding.rates[i]
        return total


class _Open:
    """An open position: where its stop is and which targets are left."""

    def __init__(self, trade: Trade, instrument: Instrument, moves: MoveRules) -> None:
        self.trade = trade
        self.long = trade.direction is Direction.LONG
        self.stop = stop_price(trade, instrument)
        self.legs = plan_ladder(trade, instrument, trade.entry_quantity)
        self.moved = False
        self._tick = instrument.tick
        self._moves = moves
        self._first_target = True

    def look(self, width: int) -> int:
        """Candles that may be played at once: a trailing stop may move after each."""
        return 1 if self._moves.trailing else width

    def target_filled(self) -> bool:
        """The nearest target is taken; True when that has moved the stop."""
        self.legs = self.legs[1:]
        first, self._first_target = self._first_target, False
        if not (first and self._moves.break_even):
            return False
        return self._tighten(break_even_price(self.trade, self._moves))

    def saw(self, extremes: FloatArray) -> None:
        """The best prices of candles that are over: a trailing stop follows them."""
        if not self._moves.trailing:
            return
        best = _exact(extremes.max() if self.long else extremes.min())
        if gain(self.trade, best) >= self._moves.trailing_start:
            self._tighten(trailing_price(self.trade, best, self._moves))

    def _tighten(self, price: Decimal) -> bool:
        wanted = round_to_tick_away(price, self._tick, self.trade.direction)
        if not tighter(self.trade.direction, wanted, self.stop):
            return False
        self.stop, self.moved = wanted, True
        return True


def _first(found: BoolArray, offset: int) -> int:
    """Index of the first True, counted from `offset`."""
    at = int(found.argmax()) if found.size else 0
    return offset + at if found.size and found[at] else _NEVER


def _exact(value: np.float64) -> Decimal:
    """The decimal price a float was read from: its shortest text."""
    return Decimal(repr(float(value)))
