"""The ordered way in for venue facts (floor 3).

One sink, one order: facts are applied in the sequence in which the stream delivered them. While a
resync runs they wait in a bounded buffer and are applied after the snapshot, then trusted again.
Whatever does not fit leads to a reconcile; nothing is silently dropped (INV-05, INV-09).
"""

from collections import deque
from collections.abc import Callable
from decimal import Decimal

from core.domain.enums import Severity
from core.domain.facts import (
    AccountConfigUpdate,
    AccountUpdate,
    AlgoUpdate,
    ListenKeyExpired,
    MarginCall,
    OrderUpdate,
    PositionChange,
    TradeLite,
    UnknownEvent,
    UserStreamDown,
    UserStreamUp,
    VenueFact,
)
from core.domain.money import ZERO, to_wire
from core.domain.ports import Clock, FactPublisher
from core.oms.account import AccountBook
from core.oms.alarm import Alarm
from core.oms.evidence import Evidence, fill_of
from core.oms.state import ToldPosition, Tracker

_BUFFER_LIMIT = 10_000
_TRANSFERS = frozenset({"DEPOSIT", "WITHDRAW", "ADMIN_DEPOSIT", "ADMIN_WITHDRAW", "ASSET_TRANSFER"})
OnTransfer = Callable[[str, Decimal], None]
"""Asset and amount of money that came (positive) or went without trading."""
ForeignQuantity = Callable[[str], Decimal]
"""Signed position of a symbol that is known not to be ours, 0 when there is none."""
IsOurs = Callable[[str], bool]
AskReconcile = Callable[[str], None]
IsNews = Callable[[AccountConfigUpdate], bool]
"""False for a setting that we have asked for ourselves."""


class Inbox:
    """Applies venue facts to the tracker. `epoch` counts connections of the user stream."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        evidence: Evidence,
        account: AccountBook,
        is_ours: IsOurs,
        ask_reconcile: AskReconcile,
        is_news: IsNews,
        on_transfer: OnTransfer,
        foreign_quantity: ForeignQuantity,
        facts: FactPublisher,
        clock: Clock,
    ) -> None:
        self._tracker = tracker
        self._evidence = evidence
        self._account = account
        self._is_ours = is_ours
        self._ask_reconcile = ask_reconcile
        self._is_news = is_news
        self._on_transfer = on_transfer
        self._foreign_quantity = foreign_quantity
        self._clock = clock
        self._alert = Alarm(facts, clock)
        self._buffer: deque[VenueFact] = deque()
        self._buffering = True
        self.stream_up = False
        self.epoch = 0
        self.unknown_events = 0

    def receive(self, fact: VenueFact) -> None:
        """Take one fact. On overflow the buffer is dropped: the next snapshot has it all."""
        if isinstance(fact, UserStreamUp):
            self._stream_is_up()
        elif isinstance(fact, UserStreamDown):
            self._stream_is_down()
        elif self._buffering:
            if len(self._buffer) >= _BUFFER_LIMIT:
                self._buffer.clear()
                self._ask_reconcile("event buffer overflow")
            self._buffer.append(fact)
        else:
            self.apply(fact)

    def release(self) -> None:
        """A snapshot has been applied: apply what waited, then apply directly."""
        self._buffering = False
        while self._buffer:
            self.apply(self._buffer.popleft())

    def _stream_is_up(self) -> None:
        self.stream_up = True
        self.epoch += 1
        self._buffering = True
        self._ask_reconcile("user stream connected")

    def _stream_is_down(self) -> None:
        if not self.stream_up:
            return
        self.stream_up = False
        self._ask_reconcile("user stream down")

    def apply(self, event: VenueFact) -> None:
        """Apply one decoded user-stream event. Unknown or unfitting ones lead to a reconcile."""
        match event:
            case OrderUpdate():
                self._on_order(event)
            case AlgoUpdate():
                self._on_algo(event)
            case AccountUpdate():
                self._on_account(event)
            case AccountConfigUpdate():
                if self._is_news(event):
                    self._ask_reconcile("account configuration changed")
            case MarginCall():
                self._alert(Severity.CRITICAL, "margin", f"margin call: {event.symbols}")
                self._ask_reconcile("margin call")
            case UnknownEvent():
                self.unknown_events += 1
                self._ask_reconcile(f"unknown event {event.name}")
            case ListenKeyExpired() | TradeLite() | UserStreamUp() | UserStreamDown():
                return

    def _on_order(self, event: OrderUpdate) -> None:
        found = self._tracker.find(event.symbol, event.client_id)
        if found is not None:
            state, record = found
            if not self._evidence.order_update(state, record, event):
                self._ask_reconcile(f"{event.client_id} {record.status} -> {event.status}")
            return
        state_or_none = self._tracker.symbols.get(event.symbol)
        recent = self._tracker.recent(event.symbol)
        if recent is not None and event.client_id in recent.orders:
            if event.trade_id and event.trade_id not in recent.seen_trades:
                self._ask_reconcile("fill of a closed trade")
            return
        if self._is_ours(event.client_id):
            self._ask_reconcile(f"unknown order of ours {event.client_id}")
        elif state_or_none is not None and event.trade_id:
            # A hand on the phone, or the exchange itself, moved our position: that is the truth.
            self._evidence.book(state_or_none, fill_of(event))
            self._alert(
                Severity.WARNING,
                f"foreign:{event.symbol}",
                f"{event.symbol} order {event.client_id} is not ours and moved the position",
            )
            self._ask_reconcile("foreign fill")

    def _on_algo(self, event: AlgoUpdate) -> None:
        found = self._tracker.find(event.symbol, event.client_id)
        if found is None:
            recent = self._tracker.recent(event.symbol)
            known = recent is not None and event.client_id in recent.orders
            if self._is_ours(event.client_id) and not known:
                self._ask_reconcile(f"unknown order of ours {event.client_id}")
            return
        state, record = found
        if not self._evidence.algo_update(state, record, event):
            self._ask_reconcile(f"{event.client_id} {record.status} -> {event.status}")

    def _on_account(self, event: AccountUpdate) -> None:
        if event.reason in _TRANSFERS:
            for moved in event.balances:
                self._on_transfer(moved.asset, moved.change)
        self._account.apply(event)
        for change in event.positions:
            self._compare(change)
        if event.reason == "FUNDING_FEE":
            for state in self._tracker.symbols.values():
                if not event.symbol or event.symbol == state.symbol:
                    state.funding_seen = True

    def _compare(self, change: PositionChange) -> None:
        """An account event comes before the fills it follows from: whoever manages the symbol
        compares when they are due. A position that nobody manages is looked at by a reconcile."""
        state = self._tracker.symbols.get(change.symbol)
        if state is not None:
            if state.position() == change.quantity:
                state.told = None
                return
            state.told = ToldPosition(change.quantity, self._clock.monotonic())
            state.manage.ring()
        elif change.quantity != ZERO and self._foreign_quantity(change.symbol) != change.quantity:
            self._ask_reconcile(f"{change.symbol} position {to_wire(change.quantity)} told")
