"""Orders on the wire: what leaves and what the answers become."""

import hashlib
import hmac
from decimal import Decimal
from typing import Any

import pytest
from client_kit import MARKET_ORDER, SECRET, STOP_ORDER, SYMBOL, algo_body, client_of, order_body
from exchange_stub import NOW_MS, Reply, Stub

from core.domain.enums import (
    Lane,
    OrderKind,
    OrderStatus,
    Side,
    TimeInForce,
)
from core.domain.errors import RetryLater
from core.domain.intent import OrderRequest
from core.exchange.endpoints import PRODUCTION
from core.exchange_client import (
    OptimizedExchangeClient,
    create_stop_loss_order,
    create_take_profit_order,
)

# --- orders --------------------------------------------------------------------------------------


async def test_market_order_asks_for_the_result(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer("POST", "/fapi/v1/order", Reply(order_body()))
    answer = await client.submit(MARKET_ORDER, Lane.MANAGE)
    (seen,) = stub.calls("POST", "/fapi/v1/order")
    signature = seen.params.pop("signature")
    payload = seen.raw.split("&signature=")[0].encode()
    assert signature == hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()
    assert abs(int(seen.params.pop("timestamp")) - NOW_MS) < 5_000
    assert seen.params == {
        "symbol": "XRPUSDC",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "12.5",
        "newClientOrderId": "ucb-1",
        "newOrderRespType": "RESULT",
        "recvWindow": "5000",
    }
    assert answer.status is OrderStatus.FILLED
    assert answer.executed == Decimal("12.5")
    assert answer.average_price is None
    assert (answer.symbol, answer.conditional) == (SYMBOL, False)


async def test_resting_limit_asks_for_the_quick_answer(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer("POST", "/fapi/v1/order", Reply(order_body(status="NEW", executedQty="0")))
    request = OrderRequest(
        "ucb-3", SYMBOL, Side.BUY, OrderKind.LIMIT, Decimal(10), price=Decimal("0.5E-1")
    )
    answer = await client.submit(request, Lane.MANAGE)
    (seen,) = stub.calls("POST", "/fapi/v1/order")
    assert seen.params["price"] == "0.05"
    assert seen.params["timeInForce"] == "GTC"
    assert seen.params["newOrderRespType"] == "ACK"
    assert answer.status is OrderStatus.LIVE


async def test_stop_goes_to_the_algo_service(stub: Stub, client: OptimizedExchangeClient) -> None:
    stub.answer("POST", "/fapi/v1/algoOrder", Reply(algo_body()))
    answer = await client.submit(STOP_ORDER, Lane.PROTECT)
    (seen,) = stub.calls("POST", "/fapi/v1/algoOrder")
    for name in ("signature", "timestamp", "recvWindow"):
        seen.params.pop(name)
    assert seen.params == {
        "algoType": "CONDITIONAL",
        "symbol": "XRPUSDC",
        "side": "SELL",
        "type": "STOP_MARKET",
        "quantity": "12.5",
        "triggerPrice": "0.496",
        "workingType": "MARK_PRICE",
        "reduceOnly": "true",
        "clientAlgoId": "ucb-2",
    }
    assert answer.conditional
    assert (answer.algo_id, answer.order_id) == (2146760, 0)
    assert answer.status is OrderStatus.LIVE


def test_the_library_does_not_space_orders() -> None:
    """Its own limiter would hold the stop back 200 ms behind the entry."""
    assert client_of(PRODUCTION)._api.enableRateLimit is False  # type: ignore[attr-defined]  # an attribute of ccxt


async def test_cancel_of_a_plain_order(stub: Stub, client: OptimizedExchangeClient) -> None:
    stub.answer("DELETE", "/fapi/v1/order", Reply(order_body(status="CANCELED", executedQty="0")))
    answer = await client.cancel(SYMBOL, "ucb-1", conditional=False, lane=Lane.PROTECT)
    (seen,) = stub.calls("DELETE", "/fapi/v1/order")
    assert seen.params["origClientOrderId"] == "ucb-1"
    assert answer is not None
    assert answer.status is OrderStatus.CANCELED


async def test_cancel_of_a_stop_answers_with_the_order_it_was(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer("POST", "/fapi/v1/algoOrder", Reply(algo_body()))
    stub.answer(
        "DELETE",
        "/fapi/v1/algoOrder",
        Reply({"algoId": 2146760, "clientAlgoId": "ucb-2", "code": "200", "msg": "success"}),
    )
    await client.submit(STOP_ORDER, Lane.PROTECT)
    answer = await client.cancel(SYMBOL, "ucb-2", conditional=True, lane=Lane.PROTECT)
    assert answer is not None
    assert answer.status is OrderStatus.CANCELED
    assert (answer.side, answer.quantity) == (Side.SELL, Decimal("12.5"))
    assert stub.calls("GET", "/fapi/v1/algoOrder") == []


async def test_cancel_of_a_stop_from_an_earlier_life_asks_what_it_was(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer(
        "DELETE", "/fapi/v1/algoOrder", Reply({"algoId": 1, "code": "200", "msg": "success"})
    )
    stub.answer("GET", "/fapi/v1/algoOrder", Reply(algo_body(algoStatus="CANCELED")))
    answer = await client.cancel(SYMBOL, "ucb-2", conditional=True, lane=Lane.PROTECT)
    assert answer is not None
    assert answer.status is OrderStatus.CANCELED


@pytest.mark.parametrize("conditional", [False, True])
async def test_cancel_of_what_is_gone_is_none(
    stub: Stub, client: OptimizedExchangeClient, conditional: bool
) -> None:
    path = "/fapi/v1/algoOrder" if conditional else "/fapi/v1/order"
    stub.answer("DELETE", path, Reply({"code": -2011, "msg": "Unknown order sent."}, 400))
    assert await client.cancel(SYMBOL, "x", conditional=conditional, lane=Lane.PROTECT) is None


async def test_query_of_what_never_was_is_none(stub: Stub, client: OptimizedExchangeClient) -> None:
    absent = Reply({"code": -2013, "msg": "Order does not exist."}, 400)
    stub.answer("GET", "/fapi/v1/order", absent)
    stub.answer("GET", "/fapi/v1/algoOrder", absent)
    stub.answer("GET", "/fapi/v1/openAlgoOrders", Reply([]))
    assert await client.query(SYMBOL, "x", conditional=False, lane=Lane.MANAGE) is None
    assert await client.query(SYMBOL, "x", conditional=True, lane=Lane.MANAGE) is None


async def test_a_fresh_stop_missed_by_the_look_up_is_found_in_the_list(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer(
        "GET", "/fapi/v1/algoOrder", Reply({"code": -2013, "msg": "Order does not exist."}, 400)
    )
    stub.answer("GET", "/fapi/v1/openAlgoOrders", Reply([algo_body()]))
    found = await client.query(SYMBOL, "ucb-2", conditional=True, lane=Lane.MANAGE)
    assert found is not None
    assert found.status is OrderStatus.LIVE


@pytest.mark.parametrize(
    ("born", "status", "executed"),
    [
        ({"status": "FILLED", "executedQty": "12.5"}, OrderStatus.FILLED, "12.5"),
        ({"status": "EXPIRED", "executedQty": "4"}, OrderStatus.FILLED, "4"),
        ({"status": "CANCELED", "executedQty": "0"}, OrderStatus.EXPIRED, "0"),
    ],
)
async def test_a_finished_stop_is_what_its_order_executed(
    stub: Stub,
    client: OptimizedExchangeClient,
    born: dict[str, str],
    status: OrderStatus,
    executed: str,
) -> None:
    """`actualQty` is not always there; FINISHED alone does not say that anything was filled."""
    stub.answer(
        "GET",
        "/fapi/v1/algoOrder",
        Reply(algo_body(algoStatus="FINISHED", actualOrderId="77", actualPrice="0.0")),
    )
    stub.answer("GET", "/fapi/v1/order", Reply(order_body(avgPrice="0.4955", **born)))
    found = await client.query(SYMBOL, "ucb-2", conditional=True, lane=Lane.MANAGE)
    assert found is not None
    assert (found.status, found.executed) == (status, Decimal(executed))
    assert stub.calls("GET", "/fapi/v1/order")[0].params["orderId"] == "77"


async def test_open_orders_are_both_families(stub: Stub, client: OptimizedExchangeClient) -> None:
    stub.answer("GET", "/fapi/v1/openOrders", Reply([order_body(status="NEW", avgPrice="0.00")]))
    stub.answer("GET", "/fapi/v1/openAlgoOrders", Reply([algo_body(actualOrderId="")]))
    orders = await client.get_open_orders()
    assert [(order.client_id, order.conditional) for order in orders] == [
        ("ucb-1", False),
        ("ucb-2", True),
    ]


# --- call forms kept for scripts -----------------------------------------------------------------


class Cfg:
    working_type = "MARK_PRICE"

    def __init__(self, style: str) -> None:
        self.tp_order_style = style


class Recorder:
    """Any exchange object of ccxt's form."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: Any,
        price: Any = None,
        params: Any = None,
    ) -> dict[str, str]:
        self.calls.append((symbol, type, side, amount, price, params))
        return {"id": "1"}


async def test_brackets_on_any_exchange_object() -> None:
    exchange = Recorder()
    await create_stop_loss_order(exchange, SYMBOL, "sell", 10, 0.49, Cfg("limit"))
    await create_take_profit_order(exchange, SYMBOL, "sell", 10, 0.52, Cfg("limit"))
    await create_take_profit_order(exchange, SYMBOL, "sell", 10, 0.52, Cfg("TAKE_PROFIT_MARKET"))
    common = {"reduceOnly": True, "workingType": "MARK_PRICE"}
    assert exchange.calls == [
        (SYMBOL, "STOP_MARKET", "sell", 10, None, {**common, "stopPrice": 0.49}),
        (
            SYMBOL,
            "TAKE_PROFIT",
            "sell",
            10,
            0.52,
            {**common, "stopPrice": 0.52, "timeInForce": "GTC"},
        ),
        (SYMBOL, "TAKE_PROFIT_MARKET", "sell", 10, None, {**common, "stopPrice": 0.52}),
    ]


async def test_script_forms_on_this_client(stub: Stub, client: OptimizedExchangeClient) -> None:
    stub.answer("POST", "/fapi/v1/algoOrder", Reply(algo_body()))
    stub.answer("POST", "/fapi/v1/order", Reply(order_body()))
    await client.create_stop_loss_order(SYMBOL, "sell", 0.3, 0.1, Cfg("limit"))
    await client.create_order(
        SYMBOL, "market", "buy", "1.5", params={"newClientOrderId": "mine", "timeInForce": "IOC"}
    )
    stop = stub.calls("POST", "/fapi/v1/algoOrder")[0].params
    market = stub.calls("POST", "/fapi/v1/order")[0].params
    assert (stop["quantity"], stop["triggerPrice"], stop["reduceOnly"]) == ("0.3", "0.1", "true")
    assert 1 <= len(stop["clientAlgoId"]) <= 36
    assert market["newClientOrderId"] == "mine"
    assert market["timeInForce"] == TimeInForce.IOC


async def test_odd_foreign_rows_do_not_hide_the_others(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    """A status or field nobody has seen yet, on an order somebody else made."""
    odd = order_body(status="PENDING_SOMETHING", clientOrderId="web_1", price=None)
    trailing = algo_body(
        algoStatus="ARMED",
        clientAlgoId="web_2",
        orderType="TRAILING_STOP_MARKET",
        triggerPrice="",
        quantity=None,
    )
    stub.answer("GET", "/fapi/v1/openOrders", Reply([odd, order_body(status="NEW")]))
    stub.answer("GET", "/fapi/v1/openAlgoOrders", Reply([trailing, algo_body()]))
    orders = await client.get_open_orders(SYMBOL)
    assert [order.client_id for order in orders] == ["web_1", "ucb-1", "web_2", "ucb-2"]
    assert {order.status for order in orders} == {OrderStatus.LIVE}
    stub.answer("GET", "/fapi/v1/order", Reply(odd))
    with pytest.raises(RetryLater):
        await client.query(SYMBOL, "web_1", conditional=False, lane=Lane.MANAGE)
