"""Closed vocabularies of the domain (floor 0).

Values are the words used on disk, in the audit log and on the wire, so they never change meaning.
"""

from enum import StrEnum


class Venue(StrEnum):
    """Where orders go."""

    PAPER = "paper"
    TESTNET = "testnet"
    PROD = "prod"


class Side(StrEnum):
    """Side of an order, as the exchange spells it."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL: what a fill adds to a signed position."""
        return 1 if self is Side.BUY else -1


class Direction(StrEnum):
    """Direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def entry_side(self) -> Side:
        return Side.BUY if self is Direction.LONG else Side.SELL

    @property
    def exit_side(self) -> Side:
        return self.entry_side.opposite

    @property
    def sign(self) -> int:
        return self.entry_side.sign


class OrderKind(StrEnum):
    """Order types of USDⓈ-M futures. Conditional ones live in the algo service (binance: -4120)."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"
    LIQUIDATION = "LIQUIDATION"

    @property
    def is_conditional(self) -> bool:
        """True when the order is placed at, listed by and cancelled through the algo endpoints."""
        return self in _CONDITIONAL

    @property
    def is_market(self) -> bool:
        """True when it executes at market (so MARKET_LOT_SIZE applies)."""
        return self in _MARKET


_CONDITIONAL = frozenset(
    {
        OrderKind.STOP,
        OrderKind.STOP_MARKET,
        OrderKind.TAKE_PROFIT,
        OrderKind.TAKE_PROFIT_MARKET,
        OrderKind.TRAILING_STOP_MARKET,
    }
)
_MARKET = frozenset(
    {
        OrderKind.MARKET,
        OrderKind.STOP_MARKET,
        OrderKind.TAKE_PROFIT_MARKET,
        OrderKind.TRAILING_STOP_MARKET,
    }
)


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"
    GTE_GTC = "GTE_GTC"


class WorkingType(StrEnum):
    """Price that triggers a conditional order."""

    MARK_PRICE = "MARK_PRICE"
    CONTRACT_PRICE = "CONTRACT_PRICE"


class OrderStatus(StrEnum):
    """Life of one order as the daemon knows it.

    CREATED: intent durable, nothing sent. SENT: request left, no answer. UNKNOWN: the answer was
    lost; only evidence may end this state. LIVE: accepted, resting. TRIGGERED: a conditional order
    whose trigger was hit. ABSENT: proven never to have reached the book. DENIED: refused by us.
    """

    CREATED = "CREATED"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    LIVE = "LIVE"
    TRIGGERED = "TRIGGERED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    ABSENT = "ABSENT"
    DENIED = "DENIED"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL

    @property
    def is_resting(self) -> bool:
        """True when the exchange has accepted the order and it is still working."""
        return self in RESTING


TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.ABSENT,
        OrderStatus.DENIED,
    }
)
RESTING = frozenset({OrderStatus.LIVE, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED})


class Purpose(StrEnum):
    """Why an order exists. The short value is also the tag inside the client order id."""

    ENTRY = "en"
    STOP = "sl"
    TAKE_PROFIT = "tp"
    FLATTEN = "fl"
    FOREIGN = "fx"

    @property
    def is_exit(self) -> bool:
        """True when the order can only reduce a position."""
        return self in (Purpose.STOP, Purpose.TAKE_PROFIT, Purpose.FLATTEN)


class ExecutionType(StrEnum):
    """`x` of ORDER_TRADE_UPDATE."""

    NEW = "NEW"
    CANCELED = "CANCELED"
    CALCULATED = "CALCULATED"
    EXPIRED = "EXPIRED"
    TRADE = "TRADE"
    AMENDMENT = "AMENDMENT"
    REJECTED = "REJECTED"


class AlgoStatus(StrEnum):
    """`X` of ALGO_UPDATE and `algoStatus` of the algo endpoints."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class ExitReason(StrEnum):
    """Why a position became flat."""

    STOP_LOSS = "stop_loss"
    MOVED_STOP = "moved_stop"
    TAKE_PROFIT = "take_profit"
    MAX_HOLD = "max_hold"
    MANUAL = "manual"
    FOREIGN = "closed_elsewhere"
    EMERGENCY = "emergency_exit"
    SHUTDOWN = "shutdown"
    PANIC = "panic"
    LIQUIDATION = "liquidation"
    ADL = "adl"


class ContractStatus(StrEnum):
    """`status` of a symbol in exchangeInfo; only TRADING may be opened."""

    TRADING = "TRADING"
    OTHER = "OTHER"


class StreamState(StrEnum):
    """State of a WebSocket feed as its users see it."""

    CONNECTING = "connecting"
    LIVE = "live"
    DEGRADED = "degraded"
    CLOSED = "closed"


class Lane(StrEnum):
    """Priority class of a REST request: protection is never starved by data."""

    PROTECT = "protect"
    MANAGE = "manage"
    DATA = "data"


class Severity(StrEnum):
    """How loudly an alert is raised."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertLevel(StrEnum):
    """The least a route tells. UNACKNOWLEDGED: only what nobody has acknowledged elsewhere."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    UNACKNOWLEDGED = "unacknowledged"


class Tier(StrEnum):
    """Risk tier: a set of defaults and ceilings."""

    CONSERVATIVE = "conservative"
    BALANCED = "balanced"
    AGGRESSIVE = "aggressive"


class PaperFeed(StrEnum):
    """Price source of the paper exchange."""

    AUTO = "auto"
    LIVE = "live"
    SYNTHETIC = "synthetic"
    REPLAY = "replay"


class ForeignPolicy(StrEnum):
    """What to do with positions and orders the bot did not open."""

    IGNORE = "ignore"
    ADOPT = "adopt"
    BLOCK = "block"


class TakeProfitStyle(StrEnum):
    """Order used for a take-profit level."""

    LIMIT = "limit"
    MARKET = "market"

    @property
    def kind(self) -> OrderKind:
        if self is TakeProfitStyle.LIMIT:
            return OrderKind.TAKE_PROFIT
        return OrderKind.TAKE_PROFIT_MARKET


class TakeProfitMode(StrEnum):
    FIXED = "fixed"
    ATR = "atr"
    ADAPTIVE = "adaptive"


class DenyReason(StrEnum):
    """Which limit at the wire kept an order from leaving. The word is the gate in records."""

    NOT_APPROVED = "not_approved"
    NO_PRICE = "no_price"
    PRICE_COLLAR = "price_collar"
    ORDER_VALUE = "order_value"
    ENTRY_RATE = "entry_rate"
    ORDERS_PER_INTENT = "orders_per_intent"
    REPEATED_ENTRY = "repeated_entry"
    CLOSE_ONLY = "close_only"
    DISK_FULL = "disk_full"
    STREAM_SILENT = "stream_silent"
    CONTRACT_RULES = "contract_rules"
    ORDER_RATIO = "order_ratio"
    NOT_REDUCING = "not_reducing"
    OVERSIZED_EXIT = "oversized_exit"
