"""Order routes of the paper exchange (floor 2c): ordinary, batch and conditional orders, trades."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from core.domain.enums import OrderKind, TimeInForce
from core.paper import wire
from core.paper.errors import ApiError, missing_both, refuse
from core.paper.limits import Security
from core.paper.orders_in import ALGO_TYPE, algo_spec, amendment, order_spec
from core.paper.params import Params
from core.paper.records import AlgoOrder, Order, Trade
from core.paper.routing import Body, Desk, RestRoute, by_symbol, flat

_BATCH_PLACE = 5
_BATCH_CANCEL = 10
_DAY_MS = 86_400_000
WEEK_MS = 7 * _DAY_MS
_MAX_ROWS = 1000
_UNFILLED_MS = 3 * _DAY_MS
HISTORY_MS = 90 * _DAY_MS
_FORCED_PREFIXES = {"": "", "LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}
_ALL_CANCELLED: Mapping[str, object] = {
    "code": 200,
    "msg": "The operation of cancel all open order is done.",
}
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)

_T = TypeVar("_T")


# --- ordinary orders -----------------------------------------------------------------------------


def _place(desk: Desk, params: Params) -> wire.Row:
    spec = order_spec(desk.exchange, params)
    order = desk.exchange.matcher.submit(spec)
    if order.state.is_open and spec.good_till_ms:
        desk.later(spec.good_till_ms - desk.now_ms(), partial(desk.exchange.run_dates, spec.symbol))
    final = spec.kind is OrderKind.MARKET or spec.tif in _AT_ONCE
    return wire.order_reply(order, ack=not (spec.result and final))


def _test(desk: Desk, params: Params) -> Body:
    """Validate as for a real order; nothing is placed and the ids are zero."""
    spec = order_spec(desk.exchange, params)
    now = desk.now_ms()
    return wire.order_reply(Order(0, spec, now, now), ack=True)


def _find(desk: Desk, params: Params) -> Order | None:
    symbol = params.symbol(desk.exchange.markets)
    order_id = params.optional_integer("orderId")
    client_id = params.optional("origClientOrderId")
    if order_id is None and client_id is None:
        raise missing_both("origClientOrderId", "orderId")
    return desk.exchange.matcher.find(symbol, order_id, client_id)


def _cancel(desk: Desk, params: Params) -> wire.Row:
    order = _find(desk, params)
    if order is None:
        raise refuse(-2011)
    desk.exchange.matcher.cancel(order)
    return wire.order_reply(order)


def _amend(desk: Desk, params: Params) -> wire.Row:
    change = amendment(desk.exchange, params)
    order = _find(desk, params)
    if order is None:
        raise refuse(-2013)
    desk.exchange.amends.amend(desk.exchange.markets[order.spec.symbol], order, change)
    return wire.amend_reply(order)


def _amendments(desk: Desk, params: Params) -> Body:
    """Changes of one order, or of every order of the symbol; the newest first."""
    symbol = params.symbol(desk.exchange.markets)
    limit = params.limit(50, 100)
    single = params.optional("orderId") or params.optional("origClientOrderId")
    if single:
        found = _find(desk, params)
        orders = [] if found is None else [found]
    else:
        orders = [o for o in desk.exchange.matcher.orders.values() if o.spec.symbol == symbol]
    rows = [(change, order) for order in orders for change in order.amendments]
    rows.sort(key=lambda row: -row[0].amendment_id)
    return [wire.amendment_row(order, change) for change, order in rows[:limit]]


def _countdown(desk: Desk, params: Params) -> Body:
    """Cancel all ordinary orders of a symbol later, unless told again before."""
    symbol = params.symbol(desk.exchange.markets)
    milliseconds = params.integer("countdownTime")
    if milliseconds < 0:
        raise ApiError(-1130, "Data sent for parameter 'countdownTime' is not valid.")
    desk.exchange.set_countdown(symbol, milliseconds)
    if milliseconds:
        desk.later(milliseconds, partial(desk.exchange.run_countdown, symbol))
    return {"symbol": symbol, "countdownTime": str(milliseconds)}


def _force_orders(desk: Desk, params: Params) -> Body:
    """Orders by which the exchange ended positions; newest last."""
    symbol = params.optional_symbol(desk.exchange.markets)
    prefix = _FORCED_PREFIXES.get(params.optional("autoCloseType") or "")
    if prefix is None:
        raise ApiError(-1130, "Data sent for parameter 'autoCloseType' is not valid.")
    start, end = window(desk, params)
    rows = [
        order
        for order in desk.exchange.matcher.orders.values()
        if order.spec.kind is OrderKind.LIQUIDATION
        and order.spec.client_id.startswith(prefix)
        and symbol in (None, order.spec.symbol)
        and start <= order.created_ms <= end
    ]
    return [wire.force_row(order) for order in rows[-params.limit(50, 100) :]]


def _remembered(order: Order, now: int) -> bool:
    """Orders that ended without a fill are shown for 3 days after their making, others for 90."""
    if order.state.is_open:
        return True
    age = now - order.created_ms
    return age <= (HISTORY_MS if order.executed else _UNFILLED_MS)


def _get(desk: Desk, params: Params) -> Body:
    order = _find(desk, params)
    if order is None or not _remembered(order, desk.now_ms()):
        raise refuse(-2013)
    return wire.order_row(order)


def _open_order(desk: Desk, params: Params) -> Body:
    order = _find(desk, params)
    if order is None or not order.state.is_open:
        raise refuse(-2013)
    return wire.order_row(order)


def _open_orders(desk: Desk, params: Params) -> Body:
    symbol = params.optional_symbol(desk.exchange.markets)
    return [wire.order_row(order) for order in desk.exchange.matcher.open_orders(symbol)]


def _cancel_all(desk: Desk, params: Params) -> Body:
    """Ordinary orders only: conditional ones have their own call."""
    for order in desk.exchange.matcher.open_orders(params.symbol(desk.exchange.markets)):
        desk.exchange.matcher.cancel(order)
    return dict(_ALL_CANCELLED)


def _all_orders(desk: Desk, params: Params) -> Body:
    symbol = params.optional_symbol(desk.exchange.markets)
    now = desk.now_ms()
    rows = [
        order
        for order in desk.exchange.matcher.orders.values()
        if symbol in (None, order.spec.symbol) and _remembered(order, now)
    ]
    chosen = _newest(desk, params, rows, "orderId", _order_id, lambda row: row.created_ms)
    return [wire.history_row(order) for order in chosen]


def _order_id(order: Order) -> int:
    return order.order_id


def window(desk: Desk, params: Params, longest_ms: int = WEEK_MS) -> tuple[int, int]:
    """startTime and endTime, at most `longest_ms` apart. Raises ApiError -1023, -4165."""
    end = params.optional_integer("endTime")
    start = params.optional_integer("startTime")
    if start is None:
        start = (end if end is not None else desk.now_ms()) - longest_ms
    if end is None:
        end = start + longest_ms
    if start > end:
        raise refuse(-1023)
    if end - start > longest_ms:
        raise ApiError(-4165, f"Maximum time interval is {longest_ms // _DAY_MS} days.")
    return start, end


def _newest(
    desk: Desk,
    params: Params,
    rows: Iterable[_T],
    id_name: str,
    id_of: Callable[[_T], int],
    time_of: Callable[[_T], int],
) -> Sequence[_T]:
    """Newest `limit` rows from an id on, or of a time window."""
    limit = params.limit(500, _MAX_ROWS)
    first = params.optional_integer(id_name)
    if first is not None:
        return [row for row in rows if id_of(row) >= first][:limit]
    start, end = window(desk, params)
    return [row for row in rows if start <= time_of(row) <= end][-limit:]


def _user_trades(desk: Desk, params: Params) -> Body:
    """With a time window the oldest rows of it; with `fromId` from there on; else the newest."""
    symbol = params.symbol(desk.exchange.markets)
    order_id = params.optional_integer("orderId")
    rows = [
        trade
        for trade in desk.exchange.ledger.trades
        if symbol == trade.symbol
        and desk.now_ms() - trade.time_ms <= HISTORY_MS
        and (order_id is None or trade.order_id == order_id)
    ]
    return [wire.trade_row(trade) for trade in _pick_trades(desk, params, rows)]


def _pick_trades(desk: Desk, params: Params, rows: list[Trade]) -> list[Trade]:
    limit = params.limit(500, _MAX_ROWS)
    first = params.optional_integer("fromId")
    timed = params.optional("startTime") or params.optional("endTime")
    if first is not None:
        if timed:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        return [trade for trade in rows if trade.trade_id >= first][:limit]
    start, end = window(desk, params)
    inside = [trade for trade in rows if start <= trade.time_ms <= end]
    return inside[:limit] if timed else inside[-limit:]


# --- batches -------------------------------------------------------------------------------------


def _json_list(text: str, name: str) -> list[object]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.") from None
    if not isinstance(value, list):
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return value


def _attempt(action: Callable[[], wire.Row]) -> wire.Row:
    try:
        return action()
    except ApiError as error:
        return {"code": error.code, "msg": error.msg}


def _place_batch(desk: Desk, params: Params) -> Body:
    return _each(desk, params, _place)


def _amend_batch(desk: Desk, params: Params) -> Body:
    return _each(desk, params, _amend)


def _each(desk: Desk, params: Params, act: Callable[[Desk, Params], wire.Row]) -> Body:
    wishes = _json_list(params.text("batchOrders"), "batchOrders")
    if not 1 <= len(wishes) <= _BATCH_PLACE:
        raise refuse(-4082)
    replies: list[wire.Row] = []
    for wish in wishes:
        if not isinstance(wish, dict):
            raise ApiError(-1130, "Data sent for parameter 'batchOrders' is not valid.")
        single = Params({str(key): _text(value) for key, value in wish.items()})
        replies.append(_attempt(partial(act, desk, single)))
    return replies


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cancel_batch(desk: Desk, params: Params) -> Body:
    """Ids as a JSON list; some clients spell the names in lower case."""
    symbol = params.symbol(desk.exchange.markets)
    ids = params.any_of("orderIdList", "orderidlist")
    names = params.any_of("origClientOrderIdList", "origclientorderidlist")
    text, key = (ids, "orderId") if ids else (names, "origClientOrderId")
    if text is None:
        raise missing_both("orderIdList", "origClientOrderIdList")
    wanted = _json_list(text, f"{key}List")
    if not 1 <= len(wanted) <= _BATCH_CANCEL:
        raise ApiError(-1130, f"Data sent for parameter '{key}List' is not valid.")
    singles = [Params({"symbol": symbol, key: str(item)}) for item in wanted]
    return [_attempt(partial(_cancel, desk, one)) for one in singles]


# --- conditional orders --------------------------------------------------------------------------


def _place_algo(desk: Desk, params: Params) -> Body:
    return wire.algo_reply(desk.exchange.algos.place(algo_spec(desk.exchange, params)))


def _find_algo(desk: Desk, params: Params) -> AlgoOrder | None:
    algo_id = params.optional_integer("algoId")
    client_id = params.optional("clientAlgoId")
    if algo_id is None and client_id is None:
        raise missing_both("clientAlgoId", "algoId")
    return desk.exchange.algos.find(algo_id, client_id)


def _cancel_algo(desk: Desk, params: Params) -> Body:
    algo = _find_algo(desk, params)
    if algo is None:
        raise refuse(-2011)
    desk.exchange.algos.cancel(algo)
    return wire.algo_cancel(algo)


def _cancel_all_algos(desk: Desk, params: Params) -> Body:
    for algo in desk.exchange.algos.waiting(params.symbol(desk.exchange.markets)):
        desk.exchange.algos.cancel(algo)
    return dict(_ALL_CANCELLED)


def _get_algo(desk: Desk, params: Params) -> Body:
    _find_algo(desk, params)
    algo = desk.exchange.algos.shown(
        params.optional_integer("algoId"), params.optional("clientAlgoId")
    )
    if algo is None or not _algo_remembered(algo, desk.now_ms()):
        raise refuse(-2013)
    return wire.algo_row(algo)


def _algo_remembered(algo: AlgoOrder, now: int) -> bool:
    if algo.is_waiting or (algo.order is not None and algo.order.state.is_open):
        return True
    filled = algo.order is not None and algo.order.executed
    return now - algo.created_ms <= (HISTORY_MS if filled else _UNFILLED_MS)


def _open_algos(desk: Desk, params: Params) -> Body:
    symbol = params.optional_symbol(desk.exchange.markets)
    wanted = params.optional_integer("algoId")
    if params.optional("algoType") not in (None, ALGO_TYPE):
        return []
    return [
        {**wire.algo_list_row(algo), "isActivated": algo.activated}
        for algo in desk.exchange.algos.waiting(symbol)
        if wanted is None or algo.algo_id == wanted
    ]


def _all_algos(desk: Desk, params: Params) -> Body:
    symbol = params.symbol(desk.exchange.markets)
    now = desk.now_ms()
    rows = [
        algo
        for algo in desk.exchange.algos.algos.values()
        if algo.spec.order.symbol == symbol and _algo_remembered(algo, now)
    ]
    chosen = _newest(desk, params, rows, "algoId", _algo_id, lambda row: row.created_ms)
    return [wire.algo_list_row(algo) for algo in chosen]


def _algo_id(algo: AlgoOrder) -> int:
    return algo.algo_id


_S = Security.SIGNED
_ONE_ORDER = (1, 1)

ROUTES = (
    RestRoute("POST", "/fapi/v1/order", _place, _S, flat(0), _ONE_ORDER),
    RestRoute("POST", "/fapi/v1/order/test", _test, _S, flat(0)),
    RestRoute("GET", "/fapi/v1/order", _get, _S),
    RestRoute("PUT", "/fapi/v1/order", _amend, _S, flat(0), _ONE_ORDER),
    RestRoute("DELETE", "/fapi/v1/order", _cancel, _S),
    RestRoute("GET", "/fapi/v1/orderAmendment", _amendments, _S),
    RestRoute("POST", "/fapi/v1/batchOrders", _place_batch, _S, flat(5), (5, 1)),
    RestRoute("PUT", "/fapi/v1/batchOrders", _amend_batch, _S, flat(5), (5, 1)),
    RestRoute("DELETE", "/fapi/v1/batchOrders", _cancel_batch, _S),
    RestRoute("POST", "/fapi/v1/countdownCancelAll", _countdown, _S, flat(10)),
    RestRoute("GET", "/fapi/v1/forceOrders", _force_orders, _S, by_symbol(20, 50)),
    RestRoute("DELETE", "/fapi/v1/allOpenOrders", _cancel_all, _S),
    RestRoute("GET", "/fapi/v1/openOrder", _open_order, _S),
    RestRoute("GET", "/fapi/v1/openOrders", _open_orders, _S, by_symbol(1, 40)),
    RestRoute("GET", "/fapi/v1/allOrders", _all_orders, _S, flat(5)),
    RestRoute("GET", "/fapi/v1/userTrades", _user_trades, _S, flat(5)),
    RestRoute("POST", "/fapi/v1/algoOrder", _place_algo, _S, flat(0), _ONE_ORDER),
    RestRoute("GET", "/fapi/v1/algoOrder", _get_algo, _S),
    RestRoute("DELETE", "/fapi/v1/algoOrder", _cancel_algo, _S),
    RestRoute("GET", "/fapi/v1/openAlgoOrders", _open_algos, _S, by_symbol(1, 40)),
    RestRoute("GET", "/fapi/v1/allAlgoOrders", _all_algos, _S, flat(5)),
    RestRoute("DELETE", "/fapi/v1/algoOpenOrders", _cancel_all_algos, _S),
)
