"""Resolves lost answers by evidence (floor 3; INV-02, INV-04).

An order is absent only when the exchange has denied knowing it at least twice and its time window
(send time + recvWindow + clock error) has passed, because until then a late request may still be
accepted. The stream may end the question at any moment.
"""

from collections.abc import Iterator
from itertools import repeat

from core.domain.enums import Lane, OrderStatus
from core.domain.errors import VenueError
from core.domain.order import OrderRecord
from core.domain.ports import Clock, ExchangePort
from core.oms.evidence import Evidence
from core.oms.state import SymbolState

_PAUSES = (0.2, 0.4, 0.8, 1.5, 2.0)
_VISIBILITY_MS = 2_000  # a fresh order may be missing from queries for this long
_DENIALS = 2
_MAX_LATE_ASKS = 20


class OutcomeResolver:
    """Asks until it is proven. `resolve` returns with the record out of UNKNOWN, or raises
    nothing and leaves it UNKNOWN when the exchange could not be asked (the caller comes again)."""

    def __init__(self, exchange: ExchangePort, evidence: Evidence, clock: Clock) -> None:
        self._exchange = exchange
        self._evidence = evidence
        self._clock = clock

    def window_closed(self, record: OrderRecord) -> bool:
        """True when a request sent at `sent_ms` can no longer be accepted and would be visible."""
        exchange = self._exchange
        limit = (
            record.sent_ms + exchange.recv_window_ms + exchange.clock_error_ms() + _VISIBILITY_MS
        )
        return exchange.exchange_now_ms() > limit

    async def resolve(self, state: SymbolState, record: OrderRecord) -> None:
        denials = 0
        for pause in _pauses():
            if record.status is not OrderStatus.UNKNOWN:
                return
            closed = self.window_closed(record)
            try:
                found = await self._ask(state, record)
            except VenueError:
                await self._clock.sleep(pause)  # no evidence either way; ask again
                continue
            if found:
                return
            if closed:
                denials += 1
                if denials >= _DENIALS:
                    self._evidence.settle(
                        state, record, OrderStatus.ABSENT, "query", "absent past its time window"
                    )
                    return
            await self._clock.sleep(pause)

    async def _ask(self, state: SymbolState, record: OrderRecord) -> bool:
        """True when the exchange knows the order; the evidence is applied."""
        symbol = record.intent.symbol
        seen = await self._exchange.query(
            symbol,
            record.client_id,
            conditional=record.intent.kind.is_conditional,
            lane=Lane.PROTECT,
        )
        if seen is None and record.intent.kind.is_conditional:
            # A fresh conditional order may be missing from the query but present in the list.
            rows = await self._exchange.get_open_orders(symbol)
            seen = next((row for row in rows if row.client_id == record.client_id), None)
        if seen is None:
            return False
        self._evidence.snapshot(state, record, seen, "query")
        return True


def _pauses() -> Iterator[float]:
    yield from _PAUSES
    yield from repeat(_PAUSES[-1], _MAX_LATE_ASKS)
