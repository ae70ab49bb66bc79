"""Merges what the exchange says into our records and books fills (floor 3).

One place for answers, queries and stream events, so that the same evidence has the same effect
whichever way it came (INV-04, INV-09).
"""

import msgspec

from core.domain.enums import AlgoStatus, ExecutionType, OrderStatus, Purpose
from core.domain.facts import AlgoUpdate, EntryFilled, FillBooked, OrderChanged, OrderUpdate
from core.domain.money import ZERO
from core.domain.order import Move, OrderRecord
from core.domain.ports import Clock, FactPublisher, JournalPort
from core.domain.position import Fill, OrderSnapshot
from core.oms.state import SymbolState, Tracker

_ALGO_TO_STATUS = {
    AlgoStatus.NEW: OrderStatus.LIVE,
    AlgoStatus.TRIGGERING: OrderStatus.TRIGGERED,
    AlgoStatus.TRIGGERED: OrderStatus.TRIGGERED,
    AlgoStatus.CANCELED: OrderStatus.CANCELED,
    AlgoStatus.REJECTED: OrderStatus.REJECTED,
    AlgoStatus.EXPIRED: OrderStatus.EXPIRED,
}


class Evidence:
    """Applies evidence; each method answers False when the transition table does not allow it."""

    def __init__(
        self, tracker: Tracker, journal: JournalPort, facts: FactPublisher, clock: Clock
    ) -> None:
        self._tracker = tracker
        self._journal = journal
        self._facts = facts
        self._clock = clock

    def order_update(self, state: SymbolState, record: OrderRecord, event: OrderUpdate) -> bool:
        """Apply ORDER_TRADE_UPDATE to an order of ours. False when it does not fit."""
        if event.order_id and event.order_id != record.order_id:
            record.order_id = event.order_id
            self._tracker.index(record)
        before = record.status
        status = event.status
        if record.intent.kind.is_conditional and status is OrderStatus.LIVE:
            status = OrderStatus.TRIGGERED  # the ordinary order born from it is now working
        move = record.advance(
            status, executed=event.cumulative_quantity, at_ms=event.transaction_ms
        )
        if event.trade_id and event.execution in (ExecutionType.TRADE, ExecutionType.CALCULATED):
            self.book(state, fill_of(event))
        detail = f"expiry reason {event.expiry_reason}" if event.expiry_reason != "0" else ""
        return self._after(state, record, before, move, f"event {event.execution}", detail)

    def algo_update(self, state: SymbolState, record: OrderRecord, event: AlgoUpdate) -> bool:
        """Apply ALGO_UPDATE. FINISHED says filled or cancelled: the executed quantity decides."""
        record.algo_id = event.algo_id or record.algo_id
        if event.order_id and event.order_id != record.order_id:
            record.order_id = event.order_id
            self._tracker.index(record)
        before = record.status
        if event.status is AlgoStatus.FINISHED:
            status = OrderStatus.FILLED if event.executed_quantity > ZERO else OrderStatus.EXPIRED
            if ZERO < event.executed_quantity < record.intent.quantity:
                status = OrderStatus.EXPIRED
        else:
            status = _ALGO_TO_STATUS[event.status]
        move = record.advance(status, executed=event.executed_quantity, at_ms=event.transaction_ms)
        return self._after(state, record, before, move, f"event ALGO {event.status}", event.reason)

    def snapshot(
        self, state: SymbolState, record: OrderRecord, seen: OrderSnapshot, source: str
    ) -> bool:
        """Apply an answer, a query result or a row of an open-order list."""
        record.algo_id = seen.algo_id or record.algo_id
        if seen.order_id and seen.order_id != record.order_id:
            record.order_id = seen.order_id
            self._tracker.index(record)
        if seen.average_price:
            record.average_price = seen.average_price
        before = record.status
        move = record.advance(seen.status, executed=seen.executed, at_ms=seen.update_ms)
        return self._after(state, record, before, move, source, "")

    def settle(
        self, state: SymbolState, record: OrderRecord, status: OrderStatus, source: str, why: str
    ) -> None:
        """Move a record on our own knowledge (sent, refused, proven absent, outcome unknown)."""
        before = record.status
        move = record.advance(status, at_ms=self._clock.now_ms())
        self._after(state, record, before, move, source, why)

    def book(self, state: SymbolState, fill: Fill) -> bool:
        """Count one fill; publishes and journals it when it is new."""
        if not state.book(fill):
            return False
        record = state.orders.get(fill.client_id)
        purpose = record.intent.purpose if record is not None else Purpose.FOREIGN
        self._journal.note_fill(fill, state.trade.trade_id)
        self._journal.note_trade(state.trade)
        self._facts.publish(
            FillBooked(
                trade_id=state.trade.trade_id,
                client_id=fill.client_id,
                symbol=fill.symbol,
                purpose=purpose,
                side=fill.side,
                exchange_trade_id=fill.trade_id,
                quantity=fill.quantity,
                price=fill.price,
                commission=fill.commission,
                commission_asset=fill.commission_asset,
                realized_pnl=fill.realized_pnl,
                maker=fill.maker,
                at_ms=fill.time_ms,
            )
        )
        if purpose is Purpose.ENTRY and state.trade.entry_quantity == fill.quantity:
            self._facts.publish(
                EntryFilled(
                    trade_id=state.trade.trade_id,
                    symbol=fill.symbol,
                    direction=state.trade.direction,
                    quantity=fill.quantity,
                    price=fill.price,
                    at_ms=fill.time_ms,
                )
            )
        state.touch()
        return True

    def _after(
        self,
        state: SymbolState,
        record: OrderRecord,
        before: OrderStatus,
        move: str,
        source: str,
        detail: str,
    ) -> bool:
        if move == Move.MISFIT:
            return False
        if move == Move.STALE:
            return True
        if record.status is not before:
            if record.status.is_resting and not record.accepted_ms:
                record.accepted_ms = self._clock.now_ms()
            self._facts.publish(
                OrderChanged(
                    client_id=record.client_id,
                    symbol=record.intent.symbol,
                    purpose=record.intent.purpose,
                    status=record.status,
                    executed=record.executed,
                    evidence=source,
                    detail=detail,
                    at_ms=self._clock.now_ms(),
                )
            )
        self._journal.note_order(record)
        state.touch()
        return True


def fill_of(event: OrderUpdate) -> Fill:
    """The execution inside an ORDER_TRADE_UPDATE."""
    return Fill(
        symbol=event.symbol,
        trade_id=event.trade_id,
        order_id=event.order_id,
        client_id=event.client_id,
        side=event.side,
        quantity=event.last_quantity,
        price=event.last_price,
        commission=event.commission,
        commission_asset=event.commission_asset,
        realized_pnl=event.realized_pnl,
        maker=event.maker,
        time_ms=event.transaction_ms,
    )


def with_client_id(fill: Fill, client_id: str) -> Fill:
    """A row of the trade list joined with the order it belongs to."""
    return msgspec.structs.replace(fill, client_id=client_id)
