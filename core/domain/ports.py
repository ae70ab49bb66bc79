"""Protocols through which floors speak upward or sideways (floor 0).

`core.app` fills them with the real parts; tests may fill them with the paper exchange's.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Protocol

from core.domain.account import (
    AccountConfig,
    Balance,
    ExchangePosition,
    IncomeRow,
    RuleIndicator,
    SymbolConfig,
)
from core.domain.commands import CloseReport, DayView, PanicReport, StatusView, WhyLine
from core.domain.enums import ExitReason, Lane, Tier
from core.domain.facts import DaemonFact, VenueFact
from core.domain.instrument import Instrument
from core.domain.intent import OrderIntent, OrderRequest
from core.domain.market import BookTop, Candle, CandleArrays, MarkPrice, Ticker24h
from core.domain.order import OrderRecord, SentEntry
from core.domain.position import Fill, OrderSnapshot, Trade

JsonValue = (
    None | bool | int | float | str | Decimal | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
)


class Clock(Protocol):
    """The only source of time. Wall time may jump, monotonic time never does."""

    def now_ms(self) -> int:
        """UTC wall time in milliseconds."""
        ...

    def now_us(self) -> int:
        """UTC wall time in microseconds (audit time stamps)."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; the loop's own time."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class ExchangePort(Protocol):
    """The exchange as the OMS sees it. Every call raises the family of `domain.errors` only."""

    def exchange_now_ms(self) -> int:
        """The exchange's clock now, from the measured offset (UTC ms)."""
        ...

    def clock_error_ms(self) -> int:
        """Bound on the error of `exchange_now_ms`."""
        ...

    @property
    def recv_window_ms(self) -> int: ...

    def protecting(self) -> AbstractContextManager[None]:
        """Calls inside the block go in the lane of protection, whatever lane is theirs."""
        ...

    async def submit(self, request: OrderRequest, lane: Lane) -> OrderSnapshot:
        """Place one order at the endpoint its kind belongs to. Refused, RetryLater (known not
        executed), OutcomeUnknown or CredentialsDead are raised."""
        ...

    async def cancel(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        """Cancel by client id. None when the exchange says it is not open any more (-2011)."""
        ...

    async def query(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        """State by client id; None when the exchange says it does not exist (-2013)."""
        ...

    async def get_open_orders(self, symbol: str | None = None) -> tuple[OrderSnapshot, ...]:
        """Open orders of both families, plain and conditional."""
        ...

    async def get_past_orders(self, symbol: str) -> tuple[OrderSnapshot, ...]:
        """The newest orders of a symbol, whatever became of them, oldest first; conditional orders
        only as the orders they became."""
        ...

    async def get_positions(self) -> tuple[ExchangePosition, ...]:
        """Open positions only (zero rows dropped)."""
        ...

    async def get_balances(self) -> tuple[Balance, ...]: ...

    async def get_trades(
        self, symbol: str, *, order_id: int | None = None, start_ms: int | None = None
    ) -> tuple[Fill, ...]:
        """Executions, oldest first. `client_id` of a fill is empty (the endpoint has none)."""
        ...

    async def get_income(
        self, *, kind: str | None = None, start_ms: int | None = None
    ) -> tuple[IncomeRow, ...]: ...

    async def get_account_config(self) -> AccountConfig: ...

    async def get_rule_indicators(self) -> tuple[RuleIndicator, ...]:
        """The exchange's count of our order ratios, for symbols near a limit or locked."""
        ...

    async def get_symbol_configs(self) -> tuple[SymbolConfig, ...]: ...

    async def set_leverage(self, symbol: str, leverage: int) -> None: ...

    async def set_isolated(self, symbol: str) -> None:
        """Isolated margin; already isolated is success."""
        ...


class PriceView(Protocol):
    """Latest prices, read synchronously. None when nothing was received yet."""

    def mark(self, symbol: str) -> MarkPrice | None: ...

    def book(self, symbol: str) -> BookTop | None: ...


class MarketView(PriceView, Protocol):
    """Latest market data, read synchronously. None when nothing was received yet."""

    def ticker(self, symbol: str) -> Ticker24h | None: ...

    def candles(self, symbol: str) -> CandleArrays:
        """Closed candles, oldest first, read-only."""
        ...


class CandleSink(Protocol):
    """Receives every closed candle once, in order per symbol."""

    def on_candle(self, symbol: str, candle: Candle) -> None: ...


class UserStreamSink(Protocol):
    """Receives venue facts in order; must not block or raise."""

    def on_venue_fact(self, fact: VenueFact) -> None: ...


class FactPublisher(Protocol):
    """Synchronous, ordered fan-out of daemon facts; a failing observer never reaches the caller."""

    def publish(self, fact: DaemonFact) -> None: ...


class AuditPort(Protocol):
    """Hash-chained record. `write` is ordered and crash-safe, `write_durable` also fsynced."""

    def write(self, payload: Mapping[str, JsonValue]) -> str:
        """Append one record with `action` and its payload; returns the record's hash."""
        ...

    async def write_durable(self, payload: Mapping[str, JsonValue]) -> str:
        """As `write`, and on disk when it returns."""
        ...


class JournalState(Protocol):
    """What a restart finds: episodes not yet closed, with their orders and booked fills."""

    @property
    def trades(self) -> Sequence[Trade]: ...

    @property
    def orders(self) -> Sequence[OrderRecord]: ...

    @property
    def fills(self) -> Sequence[Fill]: ...


class JournalPort(Protocol):
    """Durable memory of the OMS. Methods named `record_*` are on disk when they return."""

    async def record_trade(self, trade: Trade, entry: OrderIntent | None) -> None:
        """A new episode and its entry intent, in one transaction. Idempotent by trade_id.

        `entry` is None for a position found on the exchange and adopted."""
        ...

    async def record_attempt(self, record: OrderRecord) -> None:
        """Intent (if new) and this attempt with its client id, before the request leaves."""
        ...

    def note_order(self, record: OrderRecord) -> None:
        """State of an attempt; written soon, in order (the exchange can tell it again)."""
        ...

    def note_fill(self, fill: Fill, trade_id: str) -> None: ...

    def note_trade(self, trade: Trade) -> None: ...

    async def record_close(self, trade: Trade, reason: ExitReason) -> bool:
        """Mark the episode closed with its result. False when it was closed already."""
        ...

    async def load(self) -> JournalState: ...

    async def entries_since(self, since_ms: int) -> Sequence[SentEntry]:
        """Entry requests that left from `since_ms` (UTC ms) on, oldest first."""
        ...

    async def intent_exists(self, intent_id: str) -> bool: ...

    async def flush(self) -> None:
        """Wait until everything noted so far is written."""
        ...


class RiskPort(Protocol):
    """What the OMS tells the RiskGuard: each closed trade exactly once, money that moved, and that
    entries must stop until a person allows them again."""

    def halt(self, reason: str, who: str) -> None:
        """Latch entries off (INV-13)."""
        ...

    @property
    def cleared_ms(self) -> int:
        """When a person last cleared a halt (UTC ms), 0 when none ever was."""
        ...

    def note_transfer(self, amount: Decimal) -> None:
        """Deposit (positive) or withdrawal in the quote coin: neither profit nor loss."""
        ...

    def trade_closed(
        self, trade_id: str, symbol: str, net: Decimal, reason: ExitReason, at_ms: int
    ) -> None: ...


class InstrumentSource(Protocol):
    def instrument(self, symbol: str) -> Instrument | None: ...


class ContractSource(InstrumentSource, Protocol):
    """Contract rules that can be read again."""

    async def get_instruments(
        self, *, refresh: bool = False, lane: Lane = Lane.DATA
    ) -> tuple[Instrument, ...]:
        """Every perpetual contract; asked of the exchange with `refresh`. Raises VenueError."""
        ...


class OperatorPort(Protocol):
    """The one way in for commands of people (Telegram, dashboard); views are live.

    `who` names the person or tool and is audited with the command. Commands that change something
    return what was done, in words, or raise a BotError with one line for the operator.
    """

    def status(self) -> StatusView: ...

    def settings(self) -> str:
        """Effective configuration, secrets masked."""
        ...

    def log_tail(self, lines: int) -> tuple[str, ...]:
        """Newest lines of the log, redacted, oldest first."""
        ...

    async def day(self, start_ms: int, end_ms: int) -> DayView: ...

    async def why(self, symbol: str | None, limit: int) -> tuple[WhyLine, ...]: ...

    async def pause(self, who: str) -> str:
        """Stop entries; exits and protection go on. Kept across restarts."""
        ...

    async def resume(self, who: str) -> str: ...

    async def close(self, symbol: str, who: str) -> CloseReport: ...

    async def panic(self, who: str, reason: str) -> PanicReport:
        """Block entries for good, cancel entries, flatten, verify, cancel the rest. Idempotent."""
        ...

    async def clear_halt(self, who: str, reason: str) -> str: ...

    async def set_tier(self, tier: Tier, who: str) -> str: ...
