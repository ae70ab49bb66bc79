"""Closes positions from the exchange's state alone (floor 3; INV-08).

For a person at a shell while the daemon may be dead: no user stream, no database, no books. What
is open is read from the exchange, a reduce-only market order is sent for exactly that, and it is
read again. A lost answer needs no resolving here, because the next reading tells what is left and
a reduce-only order can never turn a position around. `close_all` and `managed` are what
`core.oms.panic.Panic` asks for.
"""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from core.domain.account import ExchangePosition
from core.domain.commands import CloseReport
from core.domain.enums import ExitReason, Lane, OrderKind, Purpose, Side
from core.domain.errors import StorageError, VenueError
from core.domain.intent import OrderRequest
from core.domain.money import ZERO, to_wire
from core.domain.ports import AuditPort, Clock, ExchangePort, InstrumentSource, JsonValue
from core.domain.position import OrderSnapshot
from core.ids import child_intent_id, instance_tag, order_client_id, parse_client_id

_PAUSE_S = 0.25
_STRATEGY = "hand"


class ByHand:
    """Closes `symbols` and cancels orders of `instance`, or everything where `everything`.

    `trouble` collects what could not be written down; it never stops an exit.
    """

    def __init__(
        self,
        *,
        exchange: ExchangePort,
        instruments: InstrumentSource,
        audit: AuditPort | None,
        instance: str,
        clock: Clock,
        symbols: tuple[str, ...],
        everything: bool = False,
    ) -> None:
        self._exchange = exchange
        self._instruments = instruments
        self._audit = audit
        self._instance = instance
        self._clock = clock
        self._symbols = symbols
        self._everything = everything
        self.trouble: list[str] = []

    def managed(self) -> tuple[str, ...]:
        return self._symbols

    def is_ours(self, client_id: str) -> bool:
        return self._everything or made_by(client_id, self._instance)

    async def close_all(self, reason: ExitReason, timeout: float) -> list[CloseReport]:
        """Cancel what could still open a position, then close every symbol within `timeout` s."""
        try:
            await self._cancel_entries()
        except VenueError as error:
            self.trouble.append(f"entries could not be cancelled: {error}")
        closing = (self.close(symbol, reason, timeout) for symbol in self._symbols)
        return list(await asyncio.gather(*closing))

    async def close(self, symbol: str, reason: ExitReason, timeout: float) -> CloseReport:
        """Send reduce-only market orders until the exchange shows no position of `symbol`."""
        deadline = self._clock.monotonic() + timeout
        left, said = ZERO, ""
        for attempt in range(1_000):
            try:
                position = await self._position(symbol)
                if position is None:
                    return CloseReport(symbol, closed=True, quantity=ZERO, detail="flat")
                left = position.quantity
                await self._reduce(position, reason, attempt)
            except VenueError as error:
                said = f": {error}"
            if self._clock.monotonic() >= deadline:
                break
            await self._clock.sleep(_PAUSE_S)
        detail = f"still open when the time was up{said}"
        return CloseReport(symbol, closed=False, quantity=left, detail=detail)

    async def cancel_rest(self, symbol: str) -> int:
        """Cancel our orders of a symbol without a position; returns how many."""
        rows = [
            row
            for row in await self._exchange.get_open_orders()
            if row.symbol == symbol and self.is_ours(row.client_id)
        ]
        for row in rows:
            await self._cancel(row)
        return len(rows)

    async def _position(self, symbol: str) -> ExchangePosition | None:
        rows = await self._exchange.get_positions()
        return next((row for row in rows if row.symbol == symbol), None)

    async def _reduce(self, position: ExchangePosition, reason: ExitReason, attempt: int) -> None:
        request = self._request(position, attempt)
        await self._note(
            {
                "action": "order.intent",
                "client_id": request.client_id,
                "symbol": request.symbol,
                "side": request.side.value,
                "kind": request.kind.value,
                "purpose": Purpose.FLATTEN.name.lower(),
                "quantity": to_wire(request.quantity),
                "reduce_only": True,
                "note": f"{reason.value} by hand",
            }
        )
        seen = await self._exchange.submit(request, Lane.PROTECT)
        await self._note(
            {
                "action": f"order.{seen.status.value.lower()}",
                "client_id": seen.client_id,
                "symbol": seen.symbol,
                "executed": to_wire(seen.executed),
                "evidence": "answer",
            }
        )

    def _request(self, position: ExchangePosition, attempt: int) -> OrderRequest:
        quantity = abs(position.quantity)
        instrument = self._instruments.instrument(position.symbol)
        if instrument is not None and instrument.market_max_qty > ZERO:
            quantity = min(quantity, instrument.market_max_qty)
        state = f"{position.symbol}|{position.update_ms}|{to_wire(position.quantity)}"
        intent_id = child_intent_id(state, Purpose.FLATTEN, 0, 0)
        return OrderRequest(
            client_id=order_client_id(
                self._instance, _STRATEGY, Purpose.FLATTEN, 0, intent_id, attempt
            ),
            symbol=position.symbol,
            side=Side.SELL if position.quantity > ZERO else Side.BUY,
            kind=OrderKind.MARKET,
            quantity=quantity,
            reduce_only=True,
        )

    async def _cancel_entries(self) -> None:
        for row in await self._exchange.get_open_orders():
            opens = not row.reduce_only and not row.close_position
            if opens and self.is_ours(row.client_id):
                await self._cancel(row)

    async def _cancel(self, row: OrderSnapshot) -> None:
        await self._note(
            {"action": "order.cancel", "client_id": row.client_id, "symbol": row.symbol}
        )
        await self._exchange.cancel(
            row.symbol, row.client_id, conditional=row.conditional, lane=Lane.PROTECT
        )

    async def _note(self, payload: Mapping[str, JsonValue]) -> None:
        if self._audit is None:
            return
        try:
            await self._audit.write_durable(payload)
        except StorageError as error:
            self.trouble.append(f"not in the audit log: {error}")


def made_by(client_id: str, instance: str) -> bool:
    """True for an order id that the daemon or a tool of this instance made."""
    parts = parse_client_id(client_id)
    return parts is not None and parts.instance == instance_tag(instance)


def coverage(position: ExchangePosition, orders: tuple[OrderSnapshot, ...]) -> Decimal:
    """Quantity of `position` that accepted stops close (never more than the position)."""
    exit_side = Side.SELL if position.quantity > ZERO else Side.BUY
    stops = [
        row
        for row in orders
        if row.symbol == position.symbol
        and row.conditional
        and row.kind in (OrderKind.STOP_MARKET.value, OrderKind.STOP.value)
        and row.side is exit_side
        and (row.reduce_only or row.close_position)
        and not row.status.is_terminal
    ]
    if any(row.close_position for row in stops):
        return abs(position.quantity)
    return min(sum((row.quantity for row in stops), ZERO), abs(position.quantity))
