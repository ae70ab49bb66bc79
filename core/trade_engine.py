"""TradeEngine: from a closed candle to an approved entry on its way (floor 4).

A closed candle is evaluated at once; `LOOP_INTERVAL` is the fallback that finds what no event told.
Decisions are made one after the other and reserve their symbol before the next one is made, so
limits count what is in flight (INV-06). Sending runs beside, so a slow answer delays nobody.

Every evaluation is published with the gate that said no; nothing is refused in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from core.domain.facts import CandleEvaluated, EntryRefused
from core.domain.instrument import Instrument
from core.domain.intent import ApprovedEntry, Refusal
from core.domain.market import Candle
from core.domain.money import to_wire
from core.domain.ports import Clock, FactPublisher, MarketView
from core.domain.strategy import NoSignal, Signal
from core.kernel.supervisor import Supervisor
from core.oms.account import total_unrealized
from core.oms.state import Wake
from core.order_manager import OrderManager
from core.pre_trade_check import DecisionContext, PreTradeCheck
from core.strategy_manager import StrategyCrashed, StrategyManager


class Venue(Protocol):
    """What the engine needs of the exchange besides orders: contracts and its clock."""

    def instrument(self, symbol: str) -> Instrument | None: ...

    def exchange_now_ms(self) -> int: ...

    def clock_error_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`quote` is the coin of equity; `loop_interval_s` the fallback scan, in seconds."""

    timeframe: str
    quote: str
    loop_interval_s: float


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What one pass did."""

    evaluated: int
    approved: int


class TradeEngine:
    """Evaluates symbols and hands approved entries to the OrderManager."""

    def __init__(
        self,
        *,
        settings: EngineSettings,
        venue: Venue,
        market: MarketView,
        strategies: StrategyManager,
        checks: PreTradeCheck,
        orders: OrderManager,
        symbols: Callable[[], tuple[str, ...]],
        trading_enabled: Callable[[], bool],
        facts: FactPublisher,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._settings = settings
        self._venue = venue
        self._market = market
        self._strategies = strategies
        self._checks = checks
        self._orders = orders
        self._symbols = symbols
        self._trading_enabled = trading_enabled
        self._facts = facts
        self._clock = clock
        self._supervisor = supervisor
        self._evaluated: dict[str, int] = {}
        self._fresh: dict[str, None] = {}
        self._wake = Wake()
        self._stopped = False

    # --- life ------------------------------------------------------------------------------------

    def on_candle(self, symbol: str, candle: Candle) -> None:
        """Sink of closed candles: the symbol is due for an evaluation."""
        if candle.open_ms > self._evaluated.get(symbol, -1):
            self._fresh[symbol] = None
            self._wake.ring()

    async def run(self) -> None:
        """Evaluate on events and at least every `loop_interval_s`, until `stop`."""
        await self.scan_and_trade()
        while not self._stopped:
            await self._wake.wait(self._settings.loop_interval_s)
            due, self._fresh = tuple(self._fresh), {}
            await self._scan(due or self._symbols())

    def stop(self) -> None:
        """No further evaluation; entries already decided run to their end."""
        self._stopped = True
        self._wake.ring()

    @property
    def fenced(self) -> tuple[str, ...]:
        """Strategies that are switched off and why, one line each."""
        return self._strategies.fenced

    async def scan_and_trade(self) -> ScanReport:
        """One pass over all symbols: the newest closed candle of each, unless evaluated before."""
        self._fresh = {}
        return await self._scan(self._symbols())

    async def _scan(self, symbols: tuple[str, ...]) -> ScanReport:
        evaluated = approved = 0
        for symbol in symbols:
            if self._stopped:
                break
            verdicts = self._evaluate(symbol)
            if verdicts is None:
                continue
            evaluated += 1
            approved += verdicts
            await self._clock.sleep(0)  # a long list must not hold up a fill
        return ScanReport(evaluated, approved)

    # --- one symbol ------------------------------------------------------------------------------

    def _evaluate(self, symbol: str) -> int | None:
        """Entries approved on the newest candle; None when it was evaluated before."""
        candles = self._market.candles(symbol)
        if not len(candles):
            return None
        newest = int(candles.open_ms[-1])
        if newest <= self._evaluated.get(symbol, -1):
            return None
        self._evaluated[symbol] = newest
        approved = 0
        for verdict in self._strategies.evaluate(symbol, candles):
            match verdict:
                case Signal():
                    approved += self._decide(verdict)
                case NoSignal():
                    self._tell(verdict, "no entry", verdict.gate, verdict.detail)
                case StrategyCrashed():
                    self._publish_crash(verdict, float(candles.close[-1]))
        return approved

    def _decide(self, signal: Signal) -> int:
        decision = self._checks.decide(signal, self.context(signal.symbol))
        if isinstance(decision, Refusal):
            self._facts.publish(EntryRefused(decision))
            self._tell(signal, f"{signal.direction} refused", decision.gate, refused(decision))
            return 0
        state = self._orders.reserve(decision)
        if state is None:
            self._tell(signal, f"{signal.direction} refused", "reserve", "symbol taken meanwhile")
            return 0
        self._tell(signal, f"{signal.direction} approved", "", approved_words(decision))
        self._supervisor.spawn(
            f"entry {decision.symbol}", lambda: self._orders.send_entry(state, decision)
        )
        return 1

    def context(self, symbol: str) -> DecisionContext:
        """Everything a decision about `symbol` looks at, as it is now."""
        orders, market = self._orders, self._market
        positions, pending = orders.get_active_positions(), orders.pending_entries()
        open_result = total_unrealized(positions, self.mark_price)
        quote = self._settings.quote
        available = orders.account.available(quote)
        equity = None if available is None else orders.account.wallet(quote) + open_result
        held = [view.symbol for view in positions] + [entry.symbol for entry in pending]
        return DecisionContext(
            now_ms=self._venue.exchange_now_ms(),
            trading_enabled=self._trading_enabled(),
            entries_blocked=orders.entries_blocked(),
            reconciled=orders.reconciled,
            clock_error_ms=self._venue.clock_error_ms(),
            equity=equity,
            available=available,
            unrealized=open_result,
            instrument=self._venue.instrument(symbol),
            mark=market.mark(symbol),
            book=market.book(symbol),
            ticker=market.ticker(symbol),
            positions=positions,
            pending=pending,
            foreign=orders.foreign_positions(),
            candles={name: market.candles(name) for name in (*held, symbol)},
        )

    def mark_price(self, symbol: str) -> Decimal | None:
        """Mark price of a symbol, None while unknown."""
        mark = self._market.mark(symbol)
        return None if mark is None else mark.price

    # --- telling ---------------------------------------------------------------------------------

    def _tell(self, about: Signal | NoSignal, verdict: str, gate: str, detail: str) -> None:
        self._facts.publish(
            CandleEvaluated(
                symbol=about.symbol,
                strategy=about.strategy,
                timeframe=self._settings.timeframe,
                candle_open_ms=about.candle_open_ms,
                close=about.close,
                verdict=verdict,
                gate=gate,
                detail=detail,
                at_ms=self._clock.now_ms(),
            )
        )

    def _publish_crash(self, crashed: StrategyCrashed, close: float) -> None:
        self._facts.publish(
            CandleEvaluated(
                symbol=crashed.symbol,
                strategy=crashed.strategy,
                timeframe=self._settings.timeframe,
                candle_open_ms=crashed.candle_open_ms,
                close=close,
                verdict="no entry",
                gate="strategy_crashed",
                detail=crashed.error,
                at_ms=self._clock.now_ms(),
            )
        )


def refused(refusal: Refusal) -> str:
    """The check that said no with its numbers, and what the signal was."""
    verdict = next(check for check in refusal.checks if not check.passed)
    numbers = " ".join(
        value if key == "reason" else f"{key}={value}" for key, value in verdict.numbers.items()
    )
    return f"{numbers} | {refusal.why}"


def approved_words(approved: ApprovedEntry) -> str:
    sizing = approved.sizing
    return (
        f"{to_wire(approved.quantity)} x{sizing.leverage}, "
        f"limited by {sizing.limited_by} | {approved.why}"
    )
