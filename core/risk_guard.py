"""RiskGuard: says whether a new position may be opened (floor 3).

It stops entries, never exits. Rules: stop-loss streak with a cooldown, daily loss (fraction of the
day's first equity and amount, the stricter wins, open losses counted), profit factor of the day,
drawdown from the peak of equity, number of positions, and the halt that only a person clears
(INV-13). Account values are told to it, it fetches nothing. Closed trades count once each (by id),
survive a restart and roll over at 00:00 UTC, also when the daemon was down at that hour. Damaged
memory stops entries until the day's trades have been read again.

Every change is on disk before it is published as `RiskChanged`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol, Self

from core.config import TradingConfig
from core.domain.enums import ExitReason, Venue
from core.domain.facts import RiskChanged
from core.domain.money import ZERO, to_wire
from core.domain.ports import Clock, FactPublisher
from core.kernel.clock import LiveClock
from core.kernel.config_values import instant_text
from core.oms.risk_store import Halt, RiskState, RiskStore, SymbolExit
from core.oms.throttle import ThrottleView

DAY_MS = 86_400_000
_SEEN = 1_000
_EXITS = 300
_PEAK_STEP = Decimal("1.001")
"""A new peak is written when it is this much above the written one: not one fsync per tick."""
_STOPS = frozenset({ExitReason.STOP_LOSS, ExitReason.EMERGENCY, ExitReason.LIQUIDATION})
_RAMP_RISK = Decimal("0.005")
_RAMP_WINS = 10
_RAMP_TRADES = 50
_RAMP_FACTOR = Decimal("1.3")


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """When entries stop. Ratios are fractions of equity, amounts in the quote coin.

    `drawdown_brake` is the fall from the peak of equity that latches entries off.
    """

    max_sl_streak: int = 3
    sl_cooldown_minutes: int = 60
    daily_drawdown: Decimal = Decimal("0.02")
    max_daily_loss: Decimal | None = None
    max_positions: int = 2
    min_profit_factor: Decimal = Decimal(1)
    profit_factor_trades: int = 10
    drawdown_brake: Decimal = Decimal("0.1")
    ramp: bool = False

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        return cls(
            max_sl_streak=config.max_sl_streak,
            sl_cooldown_minutes=config.sl_cooldown_minutes,
            daily_drawdown=config.daily_drawdown_pct,
            max_daily_loss=config.max_daily_loss,
            max_positions=config.max_concurrent_positions,
            drawdown_brake=config.drawdown_brake_pct,
            ramp=config.ramp,
        )


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """One closed trade as `rebuild` takes it: net result in the quote coin, close time UTC ms."""

    trade_id: str
    symbol: str
    net: Decimal
    reason: ExitReason
    at_ms: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many positions may be open, and the risk per trade they may take at most (None: any)."""

    positions: int
    risk_pct: Decimal | None


@dataclass(frozen=True, slots=True)
class RiskView:
    """Everything `/risk` shows. Amounts in the quote coin, times UTC ms (0: none)."""

    allowed: bool
    reason: str
    blocked_by: str
    sl_streak: int
    max_sl_streak: int
    cooldown_until_ms: int
    realized_today: Decimal
    open_loss: Decimal
    daily_limit: Decimal | None
    trades_today: int
    profit_factor_today: Decimal | None
    equity: Decimal | None
    peak_equity: Decimal | None
    drawdown: Decimal
    positions: int
    max_positions: int
    halt: Halt | None
    wire: ThrottleView | None = None
    """Use of the limits at the wire, where orders are sent from."""


class _Warns(Protocol):
    def warning(self, message: str, /) -> object: ...


class _LogsEvents(Protocol):
    def log_event(self, component: str, level: str, message: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class _Block:
    """Why entries are stopped: a word for programs, a line for people."""

    word: str
    line: str


class RiskGuard:
    """One venue's guard. Methods are synchronous; those that change something write to disk."""

    def __init__(
        self,
        config: TradingConfig | RiskLimits,
        logger: _Warns | _LogsEvents | None = None,
        *,
        clock: Clock | None = None,
        store_path: Path | None = None,
        venue: Venue = Venue.PAPER,
        publish: FactPublisher | None = None,
    ) -> None:
        """Without `store_path` nothing survives the process; `logger` gets one line per change."""
        self._limits = _limits(config)
        self._say = _line_writer(logger)
        self._clock: Clock = clock or LiveClock()
        self._store = RiskStore(store_path, venue)
        self._ramps = venue is Venue.PROD
        self._publish = publish
        self._open_loss = ZERO
        self._equity: Decimal | None = None
        self._positions = 0
        self._unsaved = ""
        self._dirty = False
        self._known_halt = self._store.halt()
        self._news: list[tuple[str, str]] = []
        self._state, problem = self._load()
        if problem:
            self._changed("rebuild", problem)
            self._settle()

    # --- names that stay -------------------------------------------------------------------------

    def record_sl(self, loss: Decimal | int | str | float) -> None:
        """Count a stop-loss of `loss` (quote coin, a positive number)."""
        self._count(-abs(Decimal(str(loss))), stop=True, at_ms=self._clock.now_ms())
        self._settle()

    def record_tp(self, profit: Decimal | int | str | float) -> None:
        """Count a profit (quote coin). Raises ValueError for a negative one."""
        amount = Decimal(str(profit))
        if amount < 0:
            raise ValueError(f"a profit is not negative: {profit}")
        self._count(amount, stop=False, at_ms=self._clock.now_ms())
        self._settle()

    def can_open_position(self) -> tuple[bool, str]:
        """Whether a new position may be opened, and otherwise why not, in words."""
        self._pass_time()
        self._notice_halt()
        self._settle()
        block = self._block()
        if block is not None:
            return False, f"{block.line}: entries stopped, exits active"
        allowed = self.allowance.positions
        if self._positions >= allowed:
            return False, f"{self._positions} of {allowed} positions open"
        return True, "ok"

    # --- what happened ---------------------------------------------------------------------------

    def trade_closed(
        self, trade_id: str, symbol: str, net: Decimal, reason: ExitReason, at_ms: int
    ) -> None:
        """Count a closed trade once; a second call with the same id changes nothing.

        Until equity is observed again, its loss is taken out of the open loss: it is realised now.
        """
        if trade_id not in self._state.seen:
            self._open_loss = max(self._open_loss - max(-net, ZERO), ZERO)
        self._book(ClosedTrade(trade_id, symbol, net, reason, at_ms))
        self._settle()

    def observe(self, equity: Decimal, unrealized: Decimal, positions: int) -> None:
        """Account values now: equity (wallet plus unrealised), open result, open positions.

        An equity that is not positive is no information and leaves the last one in force.
        """
        self._positions = positions
        self._open_loss = max(-unrealized, ZERO)
        self._pass_time()
        if equity > 0:
            self._equity = equity
            state = self._state
            if state.day_start_equity is None:
                # The day may have begun while we were down: take back what it has brought so far.
                state.day_start_equity = equity - state.realized
                self._dirty = True
            if state.peak_equity is None or equity > state.peak_equity * _PEAK_STEP:
                state.peak_equity = equity
                self._dirty = True
        self._judge()
        self._settle()

    def note_transfer(self, amount: Decimal) -> None:
        """A deposit (positive) or withdrawal: neither profit nor drawdown.

        To be told before equity is observed with it. A deposit lifts the peak by itself.
        """
        state = self._state
        if state.day_start_equity is not None:
            state.day_start_equity += amount
        if state.peak_equity is not None:
            state.peak_equity = max(state.peak_equity + min(amount, ZERO), ZERO)
        self._changed("transfer", f"equity moved by {to_wire(amount)} without trading")
        self._settle()

    def rebuild(self, trades: Iterable[ClosedTrade]) -> None:
        """Start over from the closed trades of the current UTC day (older ones do no harm).

        Ends `needs_rebuild`. Until it is through, a crash leaves the need in place.
        """
        self._state = RiskState(rebuild=True, cleared_ms=self._state.cleared_ms)
        self._pass_time()
        for trade in sorted(trades, key=lambda trade: (trade.at_ms, trade.trade_id)):
            self._book(trade)
        self._state.rebuild = False
        self._changed("rebuilt", f"{self._state.trades} trades of today counted again")
        self._settle()

    # --- latch -----------------------------------------------------------------------------------

    def halt(self, reason: str, who: str) -> None:
        """Latch entries off until a person clears it; in force even when the disk refuses."""
        self._latch(Halt(reason, who, self._clock.now_ms()))
        self._settle()

    def clear_halt(self, reason: str, who: str) -> bool:
        """End a halt, also a drawdown brake's. False when the disk refused and the halt stays.

        Raises ValueError without a reason.
        """
        if not reason.strip():
            raise ValueError("clearing a halt needs a reason")
        try:
            self._store.clear_halt()
        except OSError as error:
            self._changed("storage", f"the halt could not be removed: {error}")
            self._settle()
            return False
        self._known_halt = None
        self._state.peak_equity = self._equity
        self._state.cleared_ms = self._clock.now_ms()
        self._changed("halt_cleared", f"{who}: {reason}")
        self._settle()
        return True

    # --- views -----------------------------------------------------------------------------------

    @property
    def halted(self) -> Halt | None:
        """The halt in force, also one set by another process."""
        return self._store.halt()

    @property
    def cleared_ms(self) -> int:
        """When a person last cleared a halt (UTC ms), 0 when none ever was."""
        return self._state.cleared_ms

    @property
    def blocked_by(self) -> str:
        """Word of the rule that stops entries now, empty when none does (positions apart)."""
        block = self._block()
        return "" if block is None else block.word

    @property
    def needs_rebuild(self) -> bool:
        """True until `rebuild` after the state file was unreadable."""
        return self._state.rebuild

    @property
    def allowance(self) -> Allowance:
        """Positions and risk allowed now: the tier's, or less while production is ramped up."""
        full = self._limits.max_positions
        if not (self._limits.ramp and self._ramps):
            return Allowance(full, None)
        state = self._state
        factor = profit_factor(state.total_profit, state.total_loss)
        if state.total_trades >= _RAMP_TRADES and (factor is None or factor > _RAMP_FACTOR):
            return Allowance(full, None)
        return Allowance(min(full, 2 if state.total_wins >= _RAMP_WINS else 1), _RAMP_RISK)

    @property
    def record(self) -> tuple[int, int]:
        """Trades counted so far and how many of them won."""
        return self._state.total_trades, self._state.total_wins

    def last_exit(self, symbol: str) -> SymbolExit | None:
        """When `symbol` was last left, None when it never was."""
        return self._state.exits.get(symbol)

    def view(self) -> RiskView:
        """Numbers behind `/risk` now."""
        allowed, reason = self.can_open_position()
        state, limits = self._state, self._limits
        return RiskView(
            allowed=allowed,
            reason=reason,
            blocked_by=self.blocked_by,
            sl_streak=state.sl_streak,
            max_sl_streak=limits.max_sl_streak,
            cooldown_until_ms=state.cooldown_until_ms,
            realized_today=state.realized,
            open_loss=self._open_loss,
            daily_limit=self._daily_limit(),
            trades_today=state.trades,
            profit_factor_today=profit_factor(state.gross_profit, state.gross_loss),
            equity=self._equity,
            peak_equity=state.peak_equity,
            drawdown=self._drawdown(),
            positions=self._positions,
            max_positions=self.allowance.positions,
            halt=self.halted,
        )

    def reconfigure(self, config: TradingConfig | RiskLimits) -> None:
        """New limits from here on; what was counted and latched stays."""
        self._limits = _limits(config)
        self._judge()
        self._settle()

    # --- inside ----------------------------------------------------------------------------------

    def _load(self) -> tuple[RiskState, str]:
        try:
            return self._store.load(self._clock.now_ms())
        except OSError as error:
            return RiskState(rebuild=True), f"risk memory cannot be read: {error}"

    def _latch(self, halt: Halt) -> None:
        try:
            self._store.set_halt(halt)
        except OSError as error:
            self._changed("storage", f"the halt could not be written: {error}")
        self._known_halt = self._store.halt()
        self._changed("halted", f"{halt.who}: {halt.reason}")

    def _notice_halt(self) -> None:
        """Tell of a halt that another process has set or cleared."""
        halt = self._store.halt()
        if halt == self._known_halt:
            return
        self._known_halt = halt
        if halt is None:
            self._state.cleared_ms = self._clock.now_ms()
            self._changed("halt_cleared", "outside this process")
        else:
            self._changed("halted", f"{halt.who}: {halt.reason}")

    def _book(self, trade: ClosedTrade) -> None:
        state = self._state
        if trade.trade_id in state.seen:
            return
        state.seen = [*state.seen[-_SEEN + 1 :], trade.trade_id]
        stop = trade.reason in _STOPS and trade.net < 0
        exits = {**state.exits, trade.symbol: SymbolExit(trade.at_ms, stop)}
        recent = sorted(exits.items(), key=lambda item: item[1].at_ms)
        state.exits = dict(recent[-_EXITS:])
        self._count(trade.net, stop=stop, at_ms=trade.at_ms)

    def _count(self, net: Decimal, *, stop: bool, at_ms: int) -> None:
        self._pass_time()
        state = self._state
        if at_ms // DAY_MS >= state.day:  # a trade of an earlier day counts in the totals only
            state.trades += 1
            state.gross_profit += max(net, ZERO)
            state.gross_loss += max(-net, ZERO)
        state.total_trades += 1
        state.total_wins += net > 0
        state.total_profit += max(net, ZERO)
        state.total_loss += max(-net, ZERO)
        if stop:
            state.sl_streak += 1
            self._start_cooldown(at_ms)
        elif net > 0 and state.sl_streak and not state.cooldown_until_ms:
            state.sl_streak = 0
            self._changed("sl_streak", "a profit ended the SL streak")
        self._dirty = True
        self._judge()

    def _start_cooldown(self, at_ms: int) -> None:
        state, limits = self._state, self._limits
        told = f"SL streak {state.sl_streak} of {limits.max_sl_streak}"
        if state.sl_streak >= limits.max_sl_streak:
            until = at_ms + limits.sl_cooldown_minutes * 60_000
            state.cooldown_until_ms = max(state.cooldown_until_ms, until)
            told += f", entries stopped until {_until(state.cooldown_until_ms)}"
        self._changed("sl_streak", told)

    def _pass_time(self) -> None:
        """Day roll and end of the cooldown. A wall clock that steps back changes nothing."""
        now, state = self._clock.now_ms(), self._state
        today = now // DAY_MS
        if today > state.day:
            first = state.day < 0
            ended, state.day, state.day_stop = state.day_stop, today, ""
            state.gross_profit = state.gross_loss = ZERO
            state.trades = 0
            state.day_start_equity = None
            self._dirty = True
            if not first:
                self._changed("new_day", f"counters of the UTC day are zero{_ending(ended)}")
        if state.cooldown_until_ms and now >= state.cooldown_until_ms:
            state.cooldown_until_ms = state.sl_streak = 0
            self._changed("cooldown_over", "the cooldown after the SL streak is over")

    def _judge(self) -> None:
        """Latch what the numbers demand."""
        state = self._state
        if not state.day_stop:
            state.day_stop = self._day_verdict()
            if state.day_stop:
                self._changed(
                    "day_stop", f"{state.day_stop}, entries stopped until the next UTC day"
                )
        brake, fallen = self._limits.drawdown_brake, self._drawdown()
        if fallen >= brake and self._store.halt() is None:
            told = (
                f"drawdown {_percent(fallen)} from the peak {to_wire(state.peak_equity or ZERO)} "
                f"reached the brake {_percent(brake)}"
            )
            self._latch(Halt(told, "risk guard", self._clock.now_ms()))

    def _day_verdict(self) -> str:
        """Why the day is over for entries, empty when it is not. Realised results only."""
        state, limits = self._state, self._limits
        limit = self._daily_limit()
        if limit is not None and -state.realized >= limit:
            return f"Daily drawdown: lost {to_wire(-state.realized)} of at most {to_wire(limit)}"
        factor = profit_factor(state.gross_profit, state.gross_loss)
        enough = state.trades >= limits.profit_factor_trades
        if enough and factor is not None and factor < limits.min_profit_factor:
            least = to_wire(limits.min_profit_factor)
            return f"Profit factor {factor:.2f} under {least} after {state.trades} trades"
        return ""

    def _daily_limit(self) -> Decimal | None:
        """The stricter of both limits; None while neither is known."""
        start = self._state.day_start_equity
        limits = [] if start is None else [start * self._limits.daily_drawdown]
        if self._limits.max_daily_loss is not None:
            limits.append(self._limits.max_daily_loss)
        return min(limits) if limits else None

    def _drawdown(self) -> Decimal:
        peak = self._state.peak_equity
        if self._equity is None or not peak or peak <= 0:
            return ZERO
        return max((peak - self._equity) / peak, ZERO)

    def _block(self) -> _Block | None:
        state = self._state
        halt = self._store.halt()
        if halt is not None:
            return _Block("halted", f"Halted by {halt.who} ({halt.reason})")
        if state.rebuild:
            return _Block("rebuild", "Risk memory was unreadable, the day's trades are read again")
        if self._unsaved:
            return _Block("storage", f"Risk memory cannot be written ({self._unsaved})")
        if state.day_stop:
            return _Block("day_stop", state.day_stop)
        if state.cooldown_until_ms:
            until = _until(state.cooldown_until_ms)
            streak = f"{state.sl_streak} of {self._limits.max_sl_streak}"
            return _Block("sl_streak", f"SL streak {streak}, cooldown until {until}")
        return self._open_loss_block()

    def _open_loss_block(self) -> _Block | None:
        """Open losses count toward the day, but only while they are open."""
        limit, lost = self._daily_limit(), self._open_loss - self._state.realized
        if not self._open_loss or limit is None or lost < limit:
            return None
        return _Block(
            "daily_loss",
            f"Daily drawdown: {to_wire(lost)} of at most {to_wire(limit)}, open loss included",
        )

    def _changed(self, word: str, detail: str) -> None:
        self._dirty = True
        self._news.append((word, detail))

    def _settle(self) -> None:
        """Write what changed, then tell it: nobody hears of a change that a crash could undo."""
        if self._dirty:
            self._save()
        news, self._news = self._news, []
        blocked = self._block() is not None if news else False
        for word, detail in news:
            self._say(detail)
            if self._publish is not None:
                now = self._clock.now_ms()
                self._publish.publish(RiskChanged(blocked, word, detail, now))

    def _save(self) -> None:
        try:
            self._store.save(self._state)
        except OSError as error:
            if not self._unsaved:
                self._news.append(("storage", f"risk memory cannot be written: {error}"))
            self._unsaved = error.strerror or type(error).__name__
            return
        if self._unsaved:
            self._news.append(("storage", "risk memory can be written again"))
        self._unsaved, self._dirty = "", False


def profit_factor(profit: Decimal, loss: Decimal) -> Decimal | None:
    """Gross profit / gross loss, None without a loss."""
    return profit / loss if loss else None


def _limits(config: TradingConfig | RiskLimits) -> RiskLimits:
    return config if isinstance(config, RiskLimits) else RiskLimits.from_config(config)


def _until(at_ms: int) -> str:
    """The first whole second at which it is over."""
    return instant_text(-(-at_ms // 1_000) * 1_000)


def _percent(ratio: Decimal) -> str:
    return f"{ratio * 100:.2f} %"


def _ending(day_stop: str) -> str:
    return f"; it ended: {day_stop}" if day_stop else ""


def _line_writer(logger: _Warns | _LogsEvents | None) -> Callable[[str], object]:
    """One call for both kinds of logger; silent without one."""
    if logger is None:
        return lambda _: None
    log_event = getattr(logger, "log_event", None)
    if log_event is not None:
        return lambda line: log_event("risk", "WARNING", line)
    warning: Callable[[str], object] = logger.warning  # type: ignore[union-attr]  # the other kind
    return warning
