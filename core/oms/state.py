"""What the OMS knows, per symbol (floor 3).

Keeps INV-09 (each trade id changes the position once) and INV-04 (no order ends without evidence):
records only move through the transition table of `core.domain.order`.
"""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.enums import ExitReason, OrderStatus, Purpose
from core.domain.instrument import Instrument
from core.domain.money import ZERO
from core.domain.order import OrderRecord
from core.domain.position import Fill, PositionView, Trade


class Wake:
    """A level-triggered bell for one waiter."""

    __slots__ = ("_rung", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        if self._rung:
            return
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout: float | None) -> None:
        """Return when rung since the last call, or after `timeout` seconds."""
        try:
            if not self._rung:
                self._waiter = asyncio.get_running_loop().create_future()
                async with asyncio.timeout(timeout):
                    await self._waiter
        except TimeoutError:
            return
        finally:
            self._waiter = None
            self._rung = False


@dataclass(slots=True)
class NakedClock:
    """Since when the position has lacked an accepted stop, and what was tried about it."""

    since: float
    tries: int = 0
    refused_code: int = 0
    refused_text: str = ""


@dataclass(frozen=True, slots=True)
class ToldPosition:
    """Signed quantity as an account event gave it at monotonic `at`."""

    quantity: Decimal
    at: float


@dataclass(slots=True)
class SymbolState:
    """One symbol's episode: the trade, its orders and the evidence about its position."""

    trade: Trade
    instrument: Instrument
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    seen_trades: set[int] = field(default_factory=set)
    foreign_fills: dict[int, Decimal] = field(default_factory=dict)
    """Signed quantity by order id, moved by orders that are not ours (the phone, liquidation) or
    that nobody has recognised yet."""
    adjustment: Decimal = ZERO
    """Signed difference the exchange insists on and no fill explains; set by a reconcile only."""
    mismatch_since: float | None = None
    told: ToldPosition | None = None
    """What an account event said last, until it agrees with our books or a reconcile is asked."""
    version: int = 0
    naked: NakedClock | None = None
    confirmed_once: bool = False
    announced: bool = False
    flatten_reason: ExitReason | None = None
    flatten_not_before: float = 0.0
    flatten_again_at: float = 0.0
    resize_not_before: float = 0.0
    move_not_before: float = 0.0
    move_refusals: int = 0
    """Replacements of a working stop that the exchange has refused in a row."""
    move_broken: bool = False
    """A tighter stop would have triggered at once: the price is through the wanted level."""
    best_price: Decimal | None = None
    """Most favourable price seen since the entry, where the stop trails it."""
    ladder_done: bool = False
    rules_unread: bool = False
    """An order was refused by a rule of the contract, which is being read again."""
    fills_not_before: float = 0.0
    funding_seen: bool = False
    closed: bool = False
    watched: bool = False
    protect: Wake = field(default_factory=Wake)
    manage: Wake = field(default_factory=Wake)
    last_exit_client_id: str = ""
    stop_elapsed_ms: float = 0.0
    """From the first known fill to the first accepted stop."""

    @property
    def symbol(self) -> str:
        return self.trade.symbol

    @property
    def foreign_quantity(self) -> Decimal:
        """Signed quantity moved by orders that are not known as ours."""
        return sum(self.foreign_fills.values(), ZERO)

    def touch(self) -> None:
        """Something changed: both workers look again."""
        self.version += 1
        self.protect.ring()
        self.manage.ring()

    def position(self) -> Decimal:
        """Signed quantity by the best evidence: executions of our orders, foreign fills, truth."""
        total = self.foreign_quantity + self.adjustment
        for record in self.orders.values():
            if record.executed:
                total += record.executed * record.intent.side.sign
        return total

    def of(self, purpose: Purpose, level: int | None = None) -> list[OrderRecord]:
        """Orders of one purpose, oldest first."""
        return [
            record
            for record in self.orders.values()
            if record.intent.purpose is purpose and (level is None or record.intent.level == level)
        ]

    @property
    def entry(self) -> OrderRecord | None:
        entries = self.of(Purpose.ENTRY)
        return entries[-1] if entries else None

    @property
    def entry_finished(self) -> bool:
        """True when no entry order can still add to the position."""
        return all(record.status.is_terminal for record in self.of(Purpose.ENTRY))

    def live_stops(self) -> list[OrderRecord]:
        """Stops the exchange has accepted and which still work, oldest first."""
        return [record for record in self.of(Purpose.STOP) if record.status.is_resting]

    def pending_stops(self) -> list[OrderRecord]:
        """Stops sent or about to be, whose acceptance is not known yet."""
        return [
            record
            for record in self.of(Purpose.STOP)
            if not record.status.is_resting and not record.status.is_terminal
        ]

    def coverage(self) -> Decimal:
        """Quantity that live stops would close."""
        return sum((record.remaining for record in self.live_stops()), ZERO)

    def open_orders(self) -> list[OrderRecord]:
        return [record for record in self.orders.values() if not record.status.is_terminal]

    def generation(self, purpose: Purpose, level: int) -> int:
        """Number of the next intent of this purpose; survives restarts with the journal."""
        return len({record.intent.intent_id for record in self.of(purpose, level)})

    def book(self, fill: Fill) -> bool:
        """Count a fill once. False when its trade id was counted before."""
        if fill.trade_id in self.seen_trades:
            return False
        self.seen_trades.add(fill.trade_id)
        self.trade.book(fill)
        record = self.orders.get(fill.client_id) or self._of_order_id(fill.order_id)
        if record is None:
            known = self.foreign_fills.get(fill.order_id, ZERO)
            self.foreign_fills[fill.order_id] = known + fill.quantity * fill.side.sign
        else:
            _credit(record, fill.quantity)
        if fill.side is not self.trade.direction.entry_side:
            self.last_exit_client_id = fill.client_id if record is None else record.client_id
        return True

    def claim(self, record: OrderRecord) -> None:
        """The order id of `record` became known: fills that nobody claimed may be its own, and
        would otherwise count as its executions and as a stranger's."""
        unclaimed = self.foreign_fills.pop(record.order_id, None)
        if unclaimed is not None:
            _credit(record, abs(unclaimed))
            if self.last_exit_client_id == unclaimed_id(record.order_id):
                self.last_exit_client_id = record.client_id

    def _of_order_id(self, order_id: int) -> OrderRecord | None:
        if not order_id:
            return None
        found = (record for record in self.orders.values() if record.order_id == order_id)
        return next(found, None)

    def view(self) -> PositionView:
        stops = self.live_stops()
        return PositionView(
            trade_id=self.trade.trade_id,
            symbol=self.symbol,
            strategy=self.trade.strategy,
            direction=self.trade.direction,
            quantity=self.position(),
            entry_price=self.trade.entry_price,
            leverage=self.trade.leverage,
            stop_price=stops[-1].intent.trigger_price if stops else None,
            stop_quantity=self.coverage(),
            opened_ms=self.trade.opened_ms or self.trade.created_ms,
            realized=self.trade.realized,
            fees=self.trade.fees,
        )


class Tracker:
    """Every symbol's state and the indexes that lead from an event to its order."""

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolState] = {}
        self._by_order_id: dict[tuple[str, int], str] = {}
        self._recent: dict[str, SymbolState] = {}
        self._closings: dict[str, int] = {}

    def add(self, state: SymbolState) -> None:
        self.symbols[state.symbol] = state
        for record in state.orders.values():
            self.index(record)

    def add_order(self, state: SymbolState, record: OrderRecord) -> None:
        state.orders[record.client_id] = record

    def index(self, record: OrderRecord) -> None:
        """Remember the exchange's order id, the only key a trade list has."""
        if not record.order_id:
            return
        self._by_order_id[record.intent.symbol, record.order_id] = record.client_id
        state = self.symbols.get(record.intent.symbol)
        if state is not None and state.orders.get(record.client_id) is record:
            state.claim(record)

    def client_id_of(self, symbol: str, order_id: int) -> str:
        """Client id of an order of ours, empty when it is not known."""
        return self._by_order_id.get((symbol, order_id), "")

    def remove(self, state: SymbolState) -> None:
        """Forget a closed episode; its last orders stay known for late events until the next."""
        if self.symbols.get(state.symbol) is state:
            del self.symbols[state.symbol]
        self._closings[state.symbol] = self.closings(state.symbol) + 1
        previous = self._recent.get(state.symbol)
        if previous is not None:
            for record in previous.orders.values():
                self._by_order_id.pop((state.symbol, record.order_id), None)
        self._recent[state.symbol] = state

    def closings(self, symbol: str) -> int:
        """How many episodes of a symbol have ended in this process."""
        return self._closings.get(symbol, 0)

    def all_closings(self) -> dict[str, int]:
        return dict(self._closings)

    def recent(self, symbol: str) -> SymbolState | None:
        """The last closed episode of a symbol."""
        return self._recent.get(symbol)

    def find(self, symbol: str, client_id: str) -> tuple[SymbolState, OrderRecord] | None:
        """State and record of an order of ours by client id, in the open episode."""
        state = self.symbols.get(symbol)
        if state is None:
            return None
        record = state.orders.get(client_id)
        return None if record is None else (state, record)

    def views(self) -> tuple[PositionView, ...]:
        """Open positions, in order of opening."""
        return tuple(state.view() for state in self.symbols.values() if state.position() != ZERO)


def unclaimed_id(order_id: int) -> str:
    """Stands for the client id of an order that nobody has recognised."""
    return f"order-{order_id}"


def _credit(record: OrderRecord, quantity: Decimal) -> None:
    record.booked += quantity
    record.executed = max(record.executed, record.booked)


def was_never_opened(state: SymbolState) -> bool:
    """True when the entry ended without any execution."""
    return (
        state.entry_finished
        and state.position() == ZERO
        and all(record.executed == ZERO for record in state.orders.values())
        and all(record.status is not OrderStatus.UNKNOWN for record in state.orders.values())
    )
