"""What happened, as immutable facts (floor 0).

Two families. *Venue facts* are decoded once from the exchange's user stream by the codec and go
through one ordered queue into the OMS. *Daemon facts* are published by the daemon through the
dispatcher for audit, console, database, metrics and operator. Structs are msgspec's because the
venue facts are built on the hot path.
"""

from decimal import Decimal

import msgspec

from core.domain.enums import (
    AlgoStatus,
    Direction,
    ExecutionType,
    ExitReason,
    OrderKind,
    OrderStatus,
    Purpose,
    Severity,
    Side,
    StreamState,
)
from core.domain.intent import ApprovedEntry, Refusal

# --- venue facts ---------------------------------------------------------------------------------


class OrderUpdate(msgspec.Struct, frozen=True, gc=False):
    """ORDER_TRADE_UPDATE. `trade_id` 0 means the event carries no fill. Times in UTC ms."""

    symbol: str
    client_id: str
    order_id: int
    side: Side
    kind: OrderKind
    execution: ExecutionType
    status: OrderStatus
    quantity: Decimal
    price: Decimal
    average_price: Decimal
    last_quantity: Decimal
    cumulative_quantity: Decimal
    last_price: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: int
    maker: bool
    reduce_only: bool
    realized_pnl: Decimal
    event_ms: int
    transaction_ms: int
    expiry_reason: str = "0"


class AlgoUpdate(msgspec.Struct, frozen=True, gc=False):
    """ALGO_UPDATE of a conditional order; `order_id` is 0 until it has triggered."""

    symbol: str
    client_id: str
    algo_id: int
    side: Side
    kind: OrderKind
    status: AlgoStatus
    quantity: Decimal
    trigger_price: Decimal
    order_id: int
    executed_quantity: Decimal
    average_price: Decimal
    reason: str
    event_ms: int
    transaction_ms: int


class BalanceChange(msgspec.Struct, frozen=True, gc=False):
    asset: str
    wallet: Decimal
    cross_wallet: Decimal
    change: Decimal


class PositionChange(msgspec.Struct, frozen=True, gc=False):
    """`quantity` signed; `isolated` margin type; `entry_price` 0 when flat."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    accumulated_realized: Decimal
    unrealized: Decimal
    isolated: bool


class AccountUpdate(msgspec.Struct, frozen=True):
    """ACCOUNT_UPDATE: only what changed, never a snapshot. `reason` is Binance's `m`."""

    reason: str
    symbol: str
    balances: tuple[BalanceChange, ...]
    positions: tuple[PositionChange, ...]
    event_ms: int
    transaction_ms: int


class AccountConfigUpdate(msgspec.Struct, frozen=True):
    """Leverage of one symbol (`symbol` set) or multi-assets mode (`multi_assets` set) changed."""

    symbol: str
    leverage: int
    multi_assets: bool | None
    event_ms: int


class MarginCall(msgspec.Struct, frozen=True):
    symbols: tuple[str, ...]
    event_ms: int


class ListenKeyExpired(msgspec.Struct, frozen=True):
    event_ms: int


class TradeLite(msgspec.Struct, frozen=True, gc=False):
    """Early notice of a fill; latency only, never book-kept (OrderUpdate repeats the fill)."""

    symbol: str
    client_id: str
    trade_id: int
    event_ms: int


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event type or shape the codec does not know; counted, and reconciled when about us."""

    name: str
    detail: str
    event_ms: int


class UserStreamUp(msgspec.Struct, frozen=True):
    """The user stream (re)connected; a reconcile must run before its events are trusted."""

    at_ms: int
    reconnects: int


class UserStreamDown(msgspec.Struct, frozen=True):
    at_ms: int
    reason: str


VenueFact = (
    OrderUpdate
    | AlgoUpdate
    | AccountUpdate
    | AccountConfigUpdate
    | MarginCall
    | ListenKeyExpired
    | TradeLite
    | UnknownEvent
    | UserStreamUp
    | UserStreamDown
)

# --- daemon facts --------------------------------------------------------------------------------


class CandleEvaluated(msgspec.Struct, frozen=True):
    """One closed candle of one symbol was looked at; `gate` is empty when an entry was approved.

    `gate` names the first condition or check that said no (`warmup`, `no_signal`, `spread`, …);
    `detail` has its numbers in words.
    """

    symbol: str
    strategy: str
    timeframe: str
    candle_open_ms: int
    close: float
    verdict: str
    gate: str
    detail: str
    at_ms: int


class EntryApproved(msgspec.Struct, frozen=True):
    approved: ApprovedEntry


class EntryRefused(msgspec.Struct, frozen=True):
    refusal: Refusal


class OrderIntended(msgspec.Struct, frozen=True):
    """An intent became durable; its request may leave now."""

    intent_id: str
    trade_id: str
    client_id: str
    attempt: int
    symbol: str
    side: Side
    kind: OrderKind
    purpose: Purpose
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    at_ms: int


class OrderChanged(msgspec.Struct, frozen=True):
    """An order of ours moved to `status`; `evidence` says how we know (answer, event, query …)."""

    client_id: str
    symbol: str
    purpose: Purpose
    status: OrderStatus
    executed: Decimal
    evidence: str
    detail: str
    at_ms: int


class FillBooked(msgspec.Struct, frozen=True):
    """A trade id was counted for the first time (INV-09)."""

    trade_id: str
    client_id: str
    symbol: str
    purpose: Purpose
    side: Side
    exchange_trade_id: int
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    maker: bool
    at_ms: int


class EntryFilled(msgspec.Struct, frozen=True):
    """First quantity of an entry is in; protection begins."""

    trade_id: str
    symbol: str
    direction: Direction
    quantity: Decimal
    price: Decimal
    at_ms: int


class StopConfirmed(msgspec.Struct, frozen=True):
    """The exchange accepted a stop that covers the position; `elapsed_ms` since the fill known."""

    trade_id: str
    symbol: str
    client_id: str
    trigger_price: Decimal
    quantity: Decimal
    elapsed_ms: float
    first: bool
    at_ms: int


class PositionOpened(msgspec.Struct, frozen=True):
    """Entry filled, stop confirmed, ladder placed: everything the operator wants in one message."""

    trade_id: str
    symbol: str
    direction: Direction
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    stop_price: Decimal
    stop_elapsed_ms: float
    ladder: tuple[tuple[Decimal, Decimal], ...]
    risk: Decimal
    risk_pct: Decimal
    why: str
    at_ms: int


class TradeClosed(msgspec.Struct, frozen=True):
    """A position is flat and accounted: net = gross - fees + funding (quote coin)."""

    trade_id: str
    symbol: str
    strategy: str
    direction: Direction
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    gross: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal
    reason: ExitReason
    opened_ms: int
    closed_ms: int
    unprotected_ms: float


class RiskChanged(msgspec.Struct, frozen=True):
    """RiskGuard moved; `blocked` says whether entries are stopped (exits stay active)."""

    blocked: bool
    reason: str
    detail: str
    at_ms: int


class StreamChanged(msgspec.Struct, frozen=True):
    stream: str
    state: StreamState
    detail: str
    at_ms: int


class ReconcileDone(msgspec.Struct, frozen=True):
    """A comparison with the exchange ended; `repairs` has one line per difference mended."""

    trigger: str
    orders: int
    positions: int
    repairs: tuple[str, ...]
    elapsed_ms: float
    at_ms: int


class OperatorCommand(msgspec.Struct, frozen=True):
    who: str
    command: str
    at_ms: int


class Alert(msgspec.Struct, frozen=True):
    """Something the operator must see. `key` groups repetitions of one state."""

    severity: Severity
    key: str
    text: str
    at_ms: int


DaemonFact = (
    CandleEvaluated
    | EntryApproved
    | EntryRefused
    | OrderIntended
    | OrderChanged
    | FillBooked
    | EntryFilled
    | StopConfirmed
    | PositionOpened
    | TradeClosed
    | RiskChanged
    | StreamChanged
    | ReconcileDone
    | OperatorCommand
    | Alert
)
