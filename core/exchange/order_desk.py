"""Orders over REST (floor 2a): place, cancel, query, list, for both order services.

Plain orders and conditional ones are two identity spaces with different field names; this is
where they become one `OrderSnapshot`. Client ids are the only key we use.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import msgspec

from core.domain.enums import Lane, OrderKind, OrderStatus, TimeInForce
from core.domain.errors import Refused
from core.domain.intent import OrderRequest
from core.domain.money import ZERO, to_wire
from core.domain.position import OrderSnapshot
from core.exchange import endpoints as ep
from core.exchange import error_map
from core.exchange import rest_bodies as rb
from core.exchange import rest_codec as rc
from core.exchange.gateway import Gateway
from core.exchange.symbols import SymbolMap

_ORDER = msgspec.json.Decoder(rb.OrderBody)
_ORDERS = msgspec.json.Decoder(list[rb.OrderBody])
_ALGO = msgspec.json.Decoder(rb.AlgoBody)
_ALGOS = msgspec.json.Decoder(list[rb.AlgoBody])
_ALGO_CANCEL = msgspec.json.Decoder(rb.AlgoCancelBody)

_GONE = frozenset({error_map.UNKNOWN_ORDER, error_map.NO_SUCH_ORDER})
_IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_REMEMBERED = 512
_HISTORY = 200


class OrderDesk:
    """Order calls of `OptimizedExchangeClient`."""

    def __init__(self, gateway: Gateway, symbols: SymbolMap) -> None:
        self._gateway = gateway
        self._symbols = symbols
        # The algo service's cancel answer names ids only; what the order was is remembered here.
        self._conditional: OrderedDict[str, OrderSnapshot] = OrderedDict()

    async def submit(self, request: OrderRequest, lane: Lane) -> OrderSnapshot:
        params = self._params(request)
        if request.kind.is_conditional:
            return await self._gateway.call(ep.PLACE_ALGO, params, lane, self._read_algo)
        return await self._gateway.call(ep.PLACE_ORDER, params, lane, self._read_order)

    async def test(self, request: OrderRequest) -> None:
        """Validate a plain order without placing it; the exchange's refusal is raised."""
        params = self._params(request)
        await self._gateway.call(ep.TEST_ORDER, params, Lane.MANAGE, _ignore)

    async def cancel(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        try:
            if conditional:
                key = {"symbol": self._symbols.to_wire(symbol), "clientAlgoId": client_id}
                await self._gateway.call(ep.CANCEL_ALGO, key, lane, _ALGO_CANCEL.decode)
            else:
                params = self._plain_key(symbol, client_id)
                return await self._gateway.call(ep.CANCEL_ORDER, params, lane, self._read_order)
        except Refused as refusal:
            if refusal.code in _GONE:
                return None
            raise
        known = self._conditional.pop(client_id, None)
        if known is not None:
            return replace(known, status=OrderStatus.CANCELED)
        return await self.query(symbol, client_id, conditional=True, lane=lane)

    async def query(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        try:
            if conditional:
                return await self._query_algo(symbol, client_id, lane)
            params = self._plain_key(symbol, client_id)
            return await self._gateway.call(ep.GET_ORDER, params, lane, self._read_order)
        except Refused as refusal:
            if refusal.code in _GONE:
                return None
            raise

    async def open_orders(self, symbol: str | None) -> tuple[OrderSnapshot, ...]:
        params = {} if symbol is None else {"symbol": self._symbols.to_wire(symbol)}
        plain = await self._gateway.call(ep.OPEN_ORDERS, params, Lane.MANAGE, self._read_orders)
        algos = await self._gateway.call(ep.OPEN_ALGO, params, Lane.MANAGE, self._read_algos)
        return plain + algos

    async def past_orders(self, symbol: str) -> tuple[OrderSnapshot, ...]:
        """The newest orders of a symbol, oldest first."""
        params = {"symbol": self._symbols.to_wire(symbol), "limit": str(_HISTORY)}
        return await self._gateway.call(ep.ALL_ORDERS, params, Lane.MANAGE, self._read_history)

    async def _query_algo(self, symbol: str, client_id: str, lane: Lane) -> OrderSnapshot | None:
        wire = self._symbols.to_wire(symbol)
        params = {"symbol": wire, "clientAlgoId": client_id}
        try:
            found = await self._gateway.call(ep.GET_ALGO, params, lane, self._read_algo)
        except Refused as refusal:
            if refusal.code not in _GONE:
                raise
            # The single look-up is known to miss an order placed a moment ago; the list is not.
            listed = await self._gateway.call(
                ep.OPEN_ALGO, {"symbol": wire}, lane, self._read_algos
            )
            return next((order for order in listed if order.client_id == client_id), None)
        if found.order_id and found.executed == ZERO:
            return await self._with_execution(found, wire, lane)
        return found

    async def _with_execution(self, algo: OrderSnapshot, wire: str, lane: Lane) -> OrderSnapshot:
        """What the order born from a triggered conditional order executed."""
        params = {"symbol": wire, "orderId": str(algo.order_id)}
        try:
            born = await self._gateway.call(ep.GET_ORDER, params, lane, self._read_order)
        except Refused as refusal:
            if refusal.code in _GONE:
                return algo
            raise
        if born.executed == ZERO:
            return algo
        status = born.status if algo.status.is_terminal else algo.status
        if status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
            status = OrderStatus.FILLED
        return replace(
            algo, status=status, executed=born.executed, average_price=born.average_price
        )

    def _plain_key(self, symbol: str, client_id: str) -> Mapping[str, str]:
        return {"symbol": self._symbols.to_wire(symbol), "origClientOrderId": client_id}

    def _params(self, request: OrderRequest) -> Mapping[str, str]:
        params = {
            "symbol": self._symbols.to_wire(request.symbol),
            "side": request.side.value,
            "type": request.kind.value,
            "quantity": to_wire(request.quantity),
        }
        if request.reduce_only:
            params["reduceOnly"] = "true"
        _set(params, "price", request.price)
        if request.kind.is_conditional:
            params["algoType"] = "CONDITIONAL"
            params["clientAlgoId"] = request.client_id
            _set(params, "triggerPrice", request.trigger_price)
            if request.working_type is not None:
                params["workingType"] = request.working_type.value
        else:
            params["newClientOrderId"] = request.client_id
            immediate = request.kind is OrderKind.MARKET or request.time_in_force in _IMMEDIATE
            params["newOrderRespType"] = "RESULT" if immediate else "ACK"
        if request.time_in_force is not None:
            params["timeInForce"] = request.time_in_force.value
        elif request.kind is OrderKind.LIMIT:
            params["timeInForce"] = TimeInForce.GTC.value
        return params

    def _read_order(self, body: bytes) -> OrderSnapshot:
        return rc.order_snapshot(_ORDER.decode(body), self._symbols)

    def _read_orders(self, body: bytes) -> tuple[OrderSnapshot, ...]:
        rows = _ORDERS.decode(body)
        return tuple(rc.order_snapshot(row, self._symbols, listed=True) for row in rows)

    def _read_history(self, body: bytes) -> tuple[OrderSnapshot, ...]:
        rows = _ORDERS.decode(body)
        return tuple(rc.order_snapshot(row, self._symbols) for row in rows)

    def _read_algo(self, body: bytes) -> OrderSnapshot:
        return self._remember(rc.algo_snapshot(_ALGO.decode(body), self._symbols))

    def _read_algos(self, body: bytes) -> tuple[OrderSnapshot, ...]:
        rows = _ALGOS.decode(body)
        return tuple(
            self._remember(rc.algo_snapshot(row, self._symbols, listed=True)) for row in rows
        )

    def _remember(self, order: OrderSnapshot) -> OrderSnapshot:
        self._conditional[order.client_id] = order
        self._conditional.move_to_end(order.client_id)
        if len(self._conditional) > _REMEMBERED:
            self._conditional.popitem(last=False)
        return order


def _set(params: dict[str, str], name: str, value: Decimal | None) -> None:
    if value is not None:
        params[name] = to_wire(value)


def _ignore(_: bytes) -> None:
    return None
