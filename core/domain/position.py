"""One trading episode of one symbol, from the first fill to flat (floor 0)."""

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from core.domain.enums import Direction, ExitReason, OrderStatus, Side
from core.domain.intent import ProtectionPlan
from core.domain.money import ZERO


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution. `trade_id` is the exchange's, unique per symbol. Commission > 0 is paid."""

    symbol: str
    trade_id: int
    order_id: int
    client_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class PositionView:
    """A managed position for everyone who only looks."""

    trade_id: str
    symbol: str
    strategy: str
    direction: Direction
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    stop_price: Decimal | None
    stop_quantity: Decimal
    opened_ms: int
    realized: Decimal
    fees: Decimal


@dataclass(slots=True)
class Trade:
    """Book of one episode: plan, fills and results. Amounts in the quote coin.

    `quantity` is signed and equals the sum of the episode's fills (INV-09).
    """

    trade_id: str
    symbol: str
    strategy: str
    direction: Direction
    plan: ProtectionPlan
    leverage: int
    planned_quantity: Decimal
    reference_price: Decimal
    why: str
    created_ms: int
    risk: Decimal = ZERO
    risk_pct: Decimal = ZERO
    quantity: Decimal = ZERO
    entry_quantity: Decimal = ZERO
    entry_notional: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_notional: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    opened_ms: int = 0
    closed_ms: int = 0
    exit_reason: ExitReason | None = None
    unprotected_ms: float = 0.0

    @property
    def entry_price(self) -> Decimal:
        """Average fill price of the entry; the reference price until a fill is known."""
        if self.entry_quantity:
            return self.entry_notional / self.entry_quantity
        return self.reference_price

    @property
    def exit_price(self) -> Decimal:
        return self.exit_notional / self.exit_quantity if self.exit_quantity else ZERO

    @property
    def net(self) -> Decimal:
        return self.realized - self.fees + self.funding

    def clear_book(self) -> None:
        """Forget all sums, to count the fills anew."""
        self.quantity = self.entry_quantity = self.entry_notional = ZERO
        self.exit_quantity = self.exit_notional = self.realized = self.fees = ZERO

    def book(self, fill: Fill) -> None:
        """Count one new fill. The caller has checked that its trade id was never counted."""
        signed = fill.quantity * fill.side.sign
        if fill.side is self.direction.entry_side:
            self.entry_quantity += fill.quantity
            self.entry_notional += fill.quantity * fill.price
            if not self.opened_ms:
                self.opened_ms = fill.time_ms
        else:
            self.exit_quantity += fill.quantity
            self.exit_notional += fill.quantity * fill.price
        self.quantity += signed
        self.realized += fill.realized_pnl
        self.fees += fill.commission


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """An order as the exchange describes it (answer, query or list).

    For a conditional order `order_id` is 0 until it has triggered and `algo_id` its own id;
    `average_price` is None where the answer does not carry it.
    """

    symbol: str
    client_id: str
    order_id: int
    algo_id: int
    side: Side
    kind: str
    conditional: bool
    status: OrderStatus
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    executed: Decimal
    average_price: Decimal | None
    reduce_only: bool
    update_ms: int
    close_position: bool = False
