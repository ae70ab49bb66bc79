"""One order of ours and the table of its allowed moves (floor 0).

The record merges evidence from answers, stream events and queries. Evidence may come late, twice
or out of order, so `executed` only grows and a terminal state is only left where the exchange
really does so.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import OrderStatus, Purpose, Side
from core.domain.intent import OrderIntent
from core.domain.money import ZERO

_S = OrderStatus
_FROM_WIRE = frozenset(
    {_S.LIVE, _S.TRIGGERED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED}
)

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.CREATED: frozenset({_S.SENT, _S.DENIED, _S.ABSENT}) | _FROM_WIRE,
    # The stream may tell of a fill before the answer to our own request arrives.
    _S.SENT: frozenset({_S.UNKNOWN, _S.ABSENT}) | _FROM_WIRE,
    _S.UNKNOWN: frozenset({_S.ABSENT}) | _FROM_WIRE,
    _S.LIVE: frozenset(
        {_S.TRIGGERED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED}
    ),
    # A triggered take-profit rests as an ordinary limit order (TRIGGERED) and may then be filled.
    _S.TRIGGERED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED}),
    _S.PARTIALLY_FILLED: frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED}),
    _S.FILLED: frozenset(),
    # Real-world oddity: a fill that happened before the cancel may be reported after it.
    _S.CANCELED: frozenset({_S.FILLED}),
    # A conditional order can be reported EXPIRED by one event type while its fill is on the way.
    _S.EXPIRED: frozenset({_S.FILLED}),
    # "Proven absent" and then seen after all: the proof was wrong, the exchange is right.
    _S.ABSENT: _FROM_WIRE,
    _S.REJECTED: frozenset(),
    _S.DENIED: frozenset(),
}

# States that say the same or less than where we are: not a move, not an anomaly.
_RANK: dict[OrderStatus, int] = {
    _S.CREATED: 0,
    _S.SENT: 1,
    _S.UNKNOWN: 1,
    _S.ABSENT: 1,
    _S.DENIED: 9,
    _S.LIVE: 2,
    _S.TRIGGERED: 3,
    _S.PARTIALLY_FILLED: 4,
    _S.FILLED: 9,
    _S.CANCELED: 8,
    _S.REJECTED: 8,
    _S.EXPIRED: 8,
}


class Move:
    """Result words of `OrderRecord.advance`."""

    APPLIED = "applied"
    STALE = "stale"
    MISFIT = "misfit"


@dataclass(slots=True)
class OrderRecord:
    """Mutable state of one attempt of one intent."""

    intent: OrderIntent
    client_id: str
    attempt: int
    status: OrderStatus = OrderStatus.CREATED
    order_id: int = 0
    algo_id: int = 0
    executed: Decimal = ZERO
    booked: Decimal = ZERO
    """Quantity covered by individually booked fills; `executed` may run ahead of it."""
    average_price: Decimal = ZERO
    sent_ms: int = 0
    accepted_ms: int = 0
    updated_ms: int = 0
    reject_code: int = 0
    reject_text: str = ""
    cancel_requested: bool = False

    @property
    def purpose(self) -> Purpose:
        return self.intent.purpose

    @property
    def remaining(self) -> Decimal:
        return max(self.intent.quantity - self.executed, ZERO)

    @property
    def rests_as_conditional(self) -> bool:
        """True while the order is known to the algo service only (not yet triggered)."""
        return self.intent.kind.is_conditional and not self.order_id

    @property
    def lacks_fills(self) -> bool:
        """True when the exchange executed more than we have booked trade by trade."""
        return self.executed > self.booked

    def advance(self, status: OrderStatus, *, executed: Decimal = ZERO, at_ms: int = 0) -> str:
        """Merge evidence; returns a `Move` word. `executed` is cumulative and never shrinks."""
        grew = executed > self.executed
        if grew:
            self.executed = executed
        self.updated_ms = max(self.updated_ms, at_ms)
        if status is self.status:
            return Move.APPLIED if grew else Move.STALE
        if status in TRANSITIONS[self.status]:
            self.status = status
            return Move.APPLIED
        if _RANK[status] < _RANK[self.status]:
            return Move.APPLIED if grew else Move.STALE
        return Move.MISFIT


@dataclass(frozen=True, slots=True)
class SentEntry:
    """One entry request that left at `sent_ms` (exchange time, UTC ms)."""

    intent_id: str
    symbol: str
    side: Side
    sent_ms: int
