"""From a signal to an approval or a refusal (floor 3): the only place that builds `ApprovedEntry`.

Named checks run from cheap to dear. All cheap ones are recorded even after one failed, so that a
refusal shows the whole picture; sizing, the checks that need a size, and the correlation run only
while nothing has failed. Every verdict carries the numbers it compared. Nothing is fetched and no
clock is read: the context holds everything, so a decision can be replayed.

Keeps INV-06 (within limits), INV-07 (only approved), INV-13 (halt), INV-14 (no stale decisions).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Self

import numpy as np

from core.config import TradingConfig
from core.domain.account import ExchangePosition
from core.domain.enums import Direction, OrderKind
from core.domain.instrument import Instrument
from core.domain.intent import (
    ApprovedEntry,
    CheckVerdict,
    PendingEntry,
    Refusal,
    SizingResult,
)
from core.domain.market import BookTop, CandleArrays, MarkPrice, Ticker24h
from core.domain.money import ZERO, to_wire
from core.domain.position import PositionView
from core.domain.strategy import Signal
from core.domain.timeframe import timeframe_ms
from core.ids import entry_intent_id
from core.kernel.config_values import ALL_HOURS, NO_HOURS, HoursWindow, instant_text
from core.oms.plan import PlanSettings, build_plan
from core.precision import PrecisionError, check_order
from core.risk_guard import RiskGuard
from core.sizing import AccountView, SizingLimits, SizingRefused, size_entry

Verdicts = list[CheckVerdict]


@dataclass(frozen=True, slots=True)
class EntryLimits:
    """Limits of the checks. Ratios are fractions, amounts in the quote coin, times milliseconds.

    A symbol rests `cooldown_ms` after an exit and `stop_cooldown_ms` after a stop. Windows of
    funding are off at 0. Fewer than `correlation_least` common candles leave the correlation
    unknown, which is a no.
    """

    instance: str
    timeframe: str
    strategy_positions: int | None = None
    active_hours: HoursWindow = ALL_HOURS
    quiet_hours: HoursWindow = NO_HOURS
    max_spread: Decimal = Decimal("0.001")
    min_volume: Decimal | None = None
    volume_multiple: Decimal = Decimal(100)
    min_atr: float = 0.0
    max_correlation: float = 0.85
    correlation_candles: int = 100
    correlation_least: int = 30
    funding_window_ms: int = 0
    cooldown_ms: int = 0
    stop_cooldown_ms: int = 0
    max_quote_age_ms: int = 30_000
    max_clock_error_ms: int = 1_000

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        """A symbol rests one candle after an exit and three after a stop."""
        candle = timeframe_ms(config.timeframe)
        return cls(
            instance=config.instance_id,
            timeframe=config.timeframe,
            strategy_positions=config.max_positions_per_strategy,
            active_hours=config.active_hours_utc,
            quiet_hours=config.quiet_hours_utc,
            max_spread=config.max_spread_pct,
            min_volume=config.min_24h_volume,
            min_atr=float(config.min_atr_pct or 0),
            max_correlation=config.max_correlation,
            funding_window_ms=config.funding_window_minutes * 60_000,
            cooldown_ms=candle,
            stop_cooldown_ms=3 * candle,
        )


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Everything a decision looks at, gathered at `now_ms` (exchange time, UTC ms).

    `equity` and `available` are None while the account is unknown; `entries_blocked` is empty or
    says why (paused, halted, starting, stream down …); `foreign` are open positions we did not
    open; `candles` holds the closed candles of the signal's symbol and of every symbol we hold or
    have an entry on its way for.
    """

    now_ms: int
    trading_enabled: bool
    entries_blocked: str
    reconciled: bool
    clock_error_ms: int
    equity: Decimal | None
    available: Decimal | None
    unrealized: Decimal
    instrument: Instrument | None
    mark: MarkPrice | None
    book: BookTop | None
    ticker: Ticker24h | None
    positions: tuple[PositionView, ...] = ()
    pending: tuple[PendingEntry, ...] = ()
    foreign: tuple[ExchangePosition, ...] = ()
    candles: Mapping[str, CandleArrays] = field(default_factory=dict)

    @property
    def managed_margin(self) -> Decimal:
        """Margin of our positions and pending entries at their entry prices (quote coin)."""
        held = sum((abs(p.quantity) * p.entry_price / p.leverage for p in self.positions), ZERO)
        return held + sum((entry.notional / entry.leverage for entry in self.pending), ZERO)

    @property
    def exposures(self) -> tuple[tuple[str, Direction], ...]:
        """Symbol and direction of what we hold or have asked for."""
        held = [(position.symbol, position.direction) for position in self.positions]
        return (*held, *((entry.symbol, entry.direction) for entry in self.pending))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the dear checks need, known to be there after the cheap ones."""

    instrument: Instrument
    account: AccountView
    price: Decimal
    mark: Decimal
    ticker: Ticker24h


class PreTradeCheck:
    """Turns signals into approvals. One instance per daemon; `decide` has no effect but telling the
    risk guard the account's values."""

    def __init__(
        self, limits: EntryLimits, sizing: SizingLimits, plan: PlanSettings, risk: RiskGuard
    ) -> None:
        self._limits = limits
        self._sizing = sizing
        self._plan = plan
        self._risk = risk

    @classmethod
    def from_config(cls, config: TradingConfig, risk: RiskGuard) -> Self:
        return cls(
            EntryLimits.from_config(config),
            SizingLimits.from_config(config),
            PlanSettings.from_config(config),
            risk,
        )

    def reconfigure(self, config: TradingConfig, limits: EntryLimits | None = None) -> None:
        """New limits for the decisions from here on; `limits` replaces those of the checks."""
        self._limits = limits or EntryLimits.from_config(config)
        self._sizing = SizingLimits.from_config(config)
        self._plan = PlanSettings.from_config(config)

    def decide(self, signal: Signal, context: DecisionContext) -> ApprovedEntry | Refusal:
        """Permission to open what `signal` wishes, or the first check that says no."""
        verdicts = self._cheap_checks(signal, context)
        facts = _facts(signal, context)
        if facts is None or not _all_passed(verdicts):
            return self._refuse(signal, context, verdicts, None)
        sized = size_entry(
            facts.instrument,
            self._allowed_sizing(),
            facts.account,
            price=facts.price,
            mark=facts.mark,
            atr_ratio=_ratio(signal.atr_ratio),
        )
        if isinstance(sized, SizingRefused):
            verdicts.append(CheckVerdict(sized.gate, passed=False, numbers=sized.numbers))
            return self._refuse(signal, context, verdicts, None)
        verdicts += self._sized_checks(signal, facts, sized)
        if _all_passed(verdicts):
            verdicts += self._correlation_checks(signal, context)
        if not _all_passed(verdicts):
            return self._refuse(signal, context, verdicts, sized)
        return self._approve(signal, context, facts, sized, verdicts)

    # --- checks ----------------------------------------------------------------------------------

    def _cheap_checks(self, signal: Signal, context: DecisionContext) -> Verdicts:
        equity = context.equity if context.equity is not None else ZERO
        open_count = len(context.positions) + len(context.pending)
        self._risk.observe(equity, context.unrealized, open_count)
        risk_allows, risk_reason = self._risk.can_open_position()
        blocked = context.entries_blocked
        allowed = self._risk.allowance.positions
        verdicts = [
            _verdict("trading_enabled", context.trading_enabled),
            _verdict("halted", not blocked, reason=blocked or "none"),
            _verdict("reconciled", context.reconciled),
            _verdict("account", equity > 0 and context.available is not None, equity=equity),
            _contract_check(context.instrument),
            self._freshness(signal, context),
            self._hours(context),
            _verdict("positions", open_count < allowed, open=open_count, limit=allowed),
            self._strategy_positions(signal.strategy, context),
            _symbol_check(signal.symbol, context),
            self._cooldown(signal.symbol, context.now_ms),
            _verdict("risk_guard", risk_allows, reason=risk_reason),
            self._spread(context),
            self._funding(context),
            _verdict(
                "atr",
                signal.atr_ratio >= self._limits.min_atr,
                atr=f"{signal.atr_ratio:.5f}",
                minimum=self._limits.min_atr,
            ),
        ]
        if context.ticker is None:  # otherwise judged once the size is known
            verdicts.append(_verdict("volume_24h", passed=False, volume="none"))
        return verdicts

    def _freshness(self, signal: Signal, context: DecisionContext) -> CheckVerdict:
        """A candle whose successor has closed is history; so are quotes that stopped moving."""
        limits, now = self._limits, context.now_ms
        candle_age = now - signal.candle_close_ms
        mark_age = None if context.mark is None else now - context.mark.event_ms
        error = limits.max_clock_error_ms
        fresh = (
            -error <= candle_age <= timeframe_ms(limits.timeframe)
            and mark_age is not None
            and mark_age <= limits.max_quote_age_ms
            and context.clock_error_ms <= error
        )
        return _verdict(
            "data_fresh",
            fresh,
            candle_age_ms=candle_age,
            candle_limit_ms=timeframe_ms(limits.timeframe),
            mark_age_ms="none" if mark_age is None else mark_age,
            mark_limit_ms=limits.max_quote_age_ms,
            clock_error_ms=context.clock_error_ms,
            clock_limit_ms=error,
        )

    def _hours(self, context: DecisionContext) -> CheckVerdict:
        active, quiet = self._limits.active_hours, self._limits.quiet_hours
        minute = context.now_ms // 60_000 % 1_440
        return _verdict(
            "hours",
            active.contains(context.now_ms) and not quiet.contains(context.now_ms),
            utc=f"{minute // 60:02d}:{minute % 60:02d}",
            active="all" if active == ALL_HOURS else active,
            quiet="none" if quiet == NO_HOURS else quiet,
        )

    def _strategy_positions(self, strategy: str, context: DecisionContext) -> CheckVerdict:
        """One strategy must not take every place from the others."""
        limit = self._limits.strategy_positions
        owners = [view.strategy for view in context.positions]
        owners += [entry.strategy for entry in context.pending]
        held = owners.count(strategy)
        return _verdict(
            "strategy_positions",
            limit is None or held < limit,
            strategy=strategy,
            open=held,
            limit="none" if limit is None else limit,
        )

    def _cooldown(self, symbol: str, now_ms: int) -> CheckVerdict:
        last = self._risk.last_exit(symbol)
        if last is None:
            return _verdict("cooldown", passed=True, last_exit="none")
        rest = self._limits.stop_cooldown_ms if last.stop else self._limits.cooldown_ms
        since = now_ms - last.at_ms
        return _verdict("cooldown", since >= rest, since_ms=since, rest_ms=rest, stop=last.stop)

    def _spread(self, context: DecisionContext) -> CheckVerdict:
        book, limit = context.book, self._limits.max_spread
        if book is None or book.bid <= 0 or book.ask < book.bid:
            return _verdict("spread", passed=False, book="none", limit=limit)
        spread = book.spread_ratio
        return _verdict("spread", spread < limit, spread=f"{spread:.6f}", limit=limit)

    def _funding(self, context: DecisionContext) -> CheckVerdict:
        window = self._limits.funding_window_ms
        due = context.mark.next_funding_ms if context.mark is not None else 0
        if not window or not due:
            return _verdict("funding", passed=True, window_ms=window)
        left = due - context.now_ms
        return _verdict("funding", not 0 <= left < window, left_ms=left, window_ms=window)

    def _sized_checks(self, signal: Signal, facts: _Facts, sized: SizingResult) -> Verdicts:
        sizing, account = self._sizing, facts.account
        managed, used = account.managed_margin + sized.margin, account.used_margin + sized.margin
        room, ceiling = (
            account.equity * sizing.margin_share,
            account.equity * sizing.max_margin_usage,
        )
        cap = sizing.max_notional
        max_leverage = facts.instrument.max_leverage_for(sized.notional)
        needed = max(sized.notional * self._limits.volume_multiple, self._limits.min_volume or ZERO)
        return [
            _verdict(
                "margin",
                managed <= room and used <= ceiling,
                managed=managed,
                managed_limit=room,
                used=used,
                used_limit=ceiling,
            ),
            _verdict(
                "max_notional",
                cap is None or sized.notional <= cap,
                notional=sized.notional,
                limit="none" if cap is None else cap,
            ),
            _verdict(
                "leverage_bracket",
                1 <= sized.leverage <= max_leverage,
                leverage=sized.leverage,
                limit=max_leverage,
            ),
            _verdict(
                "volume_24h",
                facts.ticker.quote_volume >= needed,
                volume=facts.ticker.quote_volume,
                minimum=needed,
            ),
            _precision_check(signal.direction, facts, sized),
        ]

    def _correlation_checks(self, signal: Signal, context: DecisionContext) -> Verdicts:
        """One verdict, about the peer that is most alike; none when nothing is open."""
        peers = [symbol for symbol, side in context.exposures if side is signal.direction]
        limit = self._limits.max_correlation
        own = context.candles.get(signal.symbol)
        worst: CheckVerdict | None = None
        highest = -2.0
        for symbol in peers:
            other = context.candles.get(symbol)
            value, common = (
                (None, 0)
                if own is None or other is None
                else correlation(own, other, self._limits.correlation_candles)
            )
            if value is None or common < self._limits.correlation_least:
                least = self._limits.correlation_least
                return [
                    _verdict("correlation", passed=False, to=symbol, candles=common, needed=least)
                ]
            if value > highest:
                highest = value
                worst = _verdict(
                    "correlation", value <= limit, to=symbol, value=f"{value:.3f}", limit=limit
                )
        return [worst if worst is not None else _verdict("correlation", passed=True, to="none")]

    # --- results ---------------------------------------------------------------------------------

    def _allowed_sizing(self) -> SizingLimits:
        """The configured size, or less while production is ramped up."""
        cap = self._risk.allowance.risk_pct
        if cap is None or cap >= self._sizing.risk_pct:
            return self._sizing
        return replace(self._sizing, risk_pct=cap)

    def _approve(
        self,
        signal: Signal,
        context: DecisionContext,
        facts: _Facts,
        sized: SizingResult,
        verdicts: Verdicts,
    ) -> ApprovedEntry:
        trades, wins = self._risk.record
        plan = build_plan(
            self._plan,
            facts.instrument,
            price=facts.price,
            quantity=sized.quantity,
            atr_ratio=_ratio(signal.atr_ratio),
            trades=trades,
            wins=wins,
        )
        return ApprovedEntry(
            intent_id=entry_intent_id(
                self._limits.instance,
                signal.strategy,
                signal.symbol,
                self._limits.timeframe,
                signal.candle_open_ms,
                signal.direction.value,
            ),
            symbol=signal.symbol,
            direction=signal.direction,
            quantity=sized.quantity,
            reference_price=facts.price,
            leverage=sized.leverage,
            plan=plan,
            sizing=sized,
            strategy=signal.strategy,
            why=signal.why,
            candle_open_ms=signal.candle_open_ms,
            decided_ms=context.now_ms,
            checks=tuple(verdicts),
        )

    def _refuse(
        self,
        signal: Signal,
        context: DecisionContext,
        verdicts: Verdicts,
        sized: SizingResult | None,
    ) -> Refusal:
        gate = next(verdict.name for verdict in verdicts if not verdict.passed)
        return Refusal(
            symbol=signal.symbol,
            direction=signal.direction,
            strategy=signal.strategy,
            why=signal.why,
            gate=gate,
            candle_open_ms=signal.candle_open_ms,
            decided_ms=context.now_ms,
            checks=tuple(verdicts),
            sizing=sized,
        )


def correlation(a: CandleArrays, b: CandleArrays, count: int) -> tuple[float | None, int]:
    """Pearson correlation of the log returns over the last common candles, and how many those are.

    0 when one of them did not move at all, None when a price is unusable or fewer than two returns
    are common.
    """
    _, of_a, of_b = np.intersect1d(
        a.open_ms[-count:], b.open_ms[-count:], assume_unique=True, return_indices=True
    )
    common = int(of_a.shape[0])
    closes = np.stack((a.close[-count:][of_a], b.close[-count:][of_b]))
    if common < 3 or not np.isfinite(closes).all() or (closes <= 0).any():
        return None, common
    returns = np.diff(np.log(closes), axis=1)
    if (returns.std(axis=1) == 0).any():
        return 0.0, common
    return float(np.corrcoef(returns)[0, 1]), common


def _facts(signal: Signal, context: DecisionContext) -> _Facts | None:
    """Values of a context in which nothing is missing; None only where a cheap check failed."""
    instrument, mark, book, ticker = (
        context.instrument,
        context.mark,
        context.book,
        context.ticker,
    )
    equity, available = context.equity, context.available
    if instrument is None or mark is None or book is None or ticker is None:
        return None
    if equity is None or available is None:
        return None
    managed = context.managed_margin
    account = AccountView(equity, available, managed, max(equity - available, managed))
    price = book.ask if signal.direction is Direction.LONG else book.bid
    return _Facts(instrument, account, price, mark.price, ticker)


def _all_passed(verdicts: Verdicts) -> bool:
    return all(verdict.passed for verdict in verdicts)


def _verdict(name: str, passed: bool, **numbers: object) -> CheckVerdict:  # noqa: FBT001 - the verdict
    texts = {
        key: to_wire(value) if isinstance(value, Decimal) else str(value)
        for key, value in numbers.items()
    }
    return CheckVerdict(name, passed, texts)


def _contract_check(instrument: Instrument | None) -> CheckVerdict:
    if instrument is None:
        return _verdict("contract", passed=False, status="unknown")
    numbers = {"status": instrument.status.value}
    if instrument.delivery_ms:
        numbers["delivery"] = instant_text(instrument.delivery_ms)
    return _verdict("contract", instrument.accepts_entries, **numbers)


def _symbol_check(symbol: str, context: DecisionContext) -> CheckVerdict:
    """In one-way mode a second entry would merge with what is there, ours or not."""
    if any(held == symbol for held, _ in context.exposures):
        return _verdict("one_per_symbol", passed=False, holder="ours")
    foreign = any(row.symbol == symbol and row.quantity for row in context.foreign)
    return _verdict("one_per_symbol", not foreign, holder="foreign" if foreign else "none")


def _precision_check(direction: Direction, facts: _Facts, sized: SizingResult) -> CheckVerdict:
    try:
        check_order(
            facts.instrument,
            OrderKind.MARKET,
            direction.entry_side,
            sized.quantity,
            None,
            facts.mark,
            reduce_only=False,
        )
    except PrecisionError as error:
        return _verdict("precision", passed=False, error=str(error))
    return _verdict("precision", passed=True, quantity=sized.quantity)


def _ratio(value: float) -> Decimal:
    """A statistic as Decimal, to the eighth place: it bounds sizes but is no money itself."""
    return Decimal(f"{value:.8f}")
