"""Mutable books of the paper exchange: orders, conditional orders, positions, trades (floor 2c).

Symbols are the exchange's own spelling. Prices, quantities and amounts are Decimal; times are UTC
milliseconds. A `Position.quantity` is signed.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from core.domain.enums import AlgoStatus, OrderKind, Side, TimeInForce, WorkingType
from core.domain.money import ZERO


class PositionSide(StrEnum):
    """`positionSide`: BOTH for a one-way account, LONG and SHORT for a hedged one."""

    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class OrderState(StrEnum):
    """`status` of an ordinary order on the wire."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def is_open(self) -> bool:
        return self in (OrderState.NEW, OrderState.PARTIALLY_FILLED)


class StpMode(StrEnum):
    """`selfTradePreventionMode`: who gives way when an order would trade with one of our own.

    NONE is what an amended order carries; nobody can ask for it.
    """

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class Expiry(StrEnum):
    """`er` of ORDER_TRADE_UPDATE: why an order ended early."""

    NONE = "0"
    SELF_TRADE = "1"
    IOC_REMAINDER = "2"
    IOC_SELF_TRADE = "3"
    REDUCE_ONLY = "4"
    LIQUIDATED = "5"
    GTE_UNSATISFIED = "6"
    AFTER_TRIGGER = "8"
    MARKET_REMAINDER = "9"


@dataclass(slots=True)
class OrderSpec:
    """A checked wish for an order. `price` is 0 for a market order.

    In a hedged account an order against its `position_side` is `reduce_only` by nature.
    """

    symbol: str
    side: Side
    kind: OrderKind
    tif: TimeInForce
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    client_id: str
    close_position: bool = False
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    price_protect: bool = False
    stp_mode: StpMode = StpMode.EXPIRE_MAKER
    good_till_ms: int = 0
    result: bool = False
    position_side: PositionSide = PositionSide.BOTH
    price_match: str = "NONE"


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change of a working order: (before, after). `count` numbers those of one order from 1."""

    amendment_id: int
    time_ms: int
    price: tuple[Decimal, Decimal]
    quantity: tuple[Decimal, Decimal]
    count: int
    price_match: str
    modify_id: int


@dataclass(slots=True)
class Order:
    """An ordinary order inside the matching engine. `notional` is the quote volume filled."""

    order_id: int
    spec: OrderSpec
    created_ms: int
    updated_ms: int
    state: OrderState = OrderState.NEW
    executed: Decimal = ZERO
    notional: Decimal = ZERO
    expiry: Expiry = Expiry.NONE
    algo_id: int = 0
    modify_id: int = 0
    amendments: list[Amendment] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        return self.spec.quantity - self.executed

    @property
    def average(self) -> Decimal:
        return self.notional / self.executed if self.executed else ZERO


@dataclass(slots=True)
class AlgoSpec:
    """A checked wish for a conditional order; `activate` and `callback` only for a trailing one."""

    order: OrderSpec
    trigger: Decimal
    activate: Decimal = ZERO
    callback: Decimal = ZERO


@dataclass(slots=True)
class AlgoOrder:
    """A conditional order of the algo service. `order` is what came out of it."""

    algo_id: int
    spec: AlgoSpec
    created_ms: int
    updated_ms: int
    status: AlgoStatus = AlgoStatus.NEW
    trigger_ms: int = 0
    order: Order | None = None
    reason: str = ""
    activated: bool = True
    extreme: Decimal = ZERO

    @property
    def is_waiting(self) -> bool:
        return self.status is AlgoStatus.NEW


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution of ours. `commission` is positive when paid."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    realized: Decimal
    commission: Decimal
    asset: str
    maker: bool
    time_ms: int
    position_side: PositionSide = PositionSide.BOTH


@dataclass(frozen=True, slots=True)
class Income:
    """Row of the income history; negative is a cost."""

    symbol: str
    kind: str
    amount: Decimal
    asset: str
    time_ms: int
    tran_id: int
    trade_id: str = ""


@dataclass(frozen=True, slots=True)
class MarginMove:
    """Margin put into an isolated position (`added`) or taken out of it by its owner."""

    symbol: str
    side: PositionSide
    amount: Decimal
    asset: str
    time_ms: int
    added: bool


@dataclass(slots=True)
class Position:
    """Position of a symbol, or one side of a hedged one, with its settings.

    `cost` is the signed sum of entry notionals still open, so realised PnL over a round trip adds
    up to the cash flow exactly; `entry_price` is its quotient, fixed at the last increase.
    `isolated_wallet` is the margin set aside; 0 for cross.
    """

    symbol: str
    asset: str
    leverage: int = 20
    isolated: bool = False
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    entry_price: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    accumulated: Decimal = ZERO
    fees: Decimal = ZERO
    updated_ms: int = 0
    side: PositionSide = PositionSide.BOTH

    def unrealized(self, mark: Decimal) -> Decimal:
        return self.quantity * mark - self.cost


@dataclass(slots=True)
class AccountFlags:
    """Account-wide modes. With `multi_assets` every asset backs the cross positions of all."""

    hedge_mode: bool = False
    multi_assets: bool = False
    fee_burn: bool = False


@dataclass(slots=True)
class Wallet:
    """Money of one asset; `balance` = start + realized - fees + funding + transfers, exactly."""

    asset: str
    start: Decimal
    balance: Decimal = field(init=False)
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO
    updated_ms: int = 0

    def __post_init__(self) -> None:
        self.balance = self.start
