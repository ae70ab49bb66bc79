"""Amending orders, matching prices from the book, the dead man's switch, what history keeps."""

import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from paper_kit import ADA, BTC, Venue, api
from test_paper_streams import WAIT_S, open_user, socket

LIMIT = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.010",
    "price": "59000",
}
PATH = "/fapi/v1/order"


async def place(venue: Venue, **changes: object) -> Any:
    status, body = await venue.call("POST", PATH, **{**LIMIT, **changes})
    assert status == 200, body
    return body


async def amend(venue: Venue, order: Any, price: str, quantity: str, **more: object) -> Any:
    return await venue.call(
        "PUT",
        PATH,
        symbol=BTC,
        side="BUY",
        orderId=order["orderId"],
        price=price,
        quantity=quantity,
        **more,
    )


async def test_an_amended_order_keeps_its_id_and_is_told(venue: Venue) -> None:
    order = await place(venue, newClientOrderId="mine")
    key = await open_user(venue)
    async with socket(venue, f"/private/ws?listenKey={key}") as ws:
        status, body = await amend(venue, order, "59500", "0.020", modifyId=77)
        event = await ws.receive_json(timeout=WAIT_S)
    assert status == 200
    assert (body["orderId"], body["price"], body["origQty"]) == (order["orderId"], "59500", "0.02")
    assert "avgPrice" not in body
    told = event["o"]
    assert (told["x"], told["X"], told["p"], told["q"]) == ("AMENDMENT", "NEW", "59500", "0.02")
    assert (told["c"], told["M"]) == ("mine", 77)
    _, rows = await venue.call(
        "GET", "/fapi/v1/orderAmendment", symbol=BTC, orderId=body["orderId"]
    )
    assert [row["amendment"] for row in rows] == [
        {
            "price": {"before": "59000", "after": "59500"},
            "origQty": {"before": "0.01", "after": "0.02"},
            "count": 1,
            "modifyId": 77,
        }
    ]


@pytest.mark.parametrize(
    ("price", "quantity", "more", "code"),
    [
        ("59000", "0.010", {}, -5027),
        ("59000.05", "0.010", {}, -1111),
        ("70000", "0.010", {}, -4016),
        ("59000", "0.0001", {}, -1111),
        ("59000", "0.001", {}, -5029),
        ("59000", "0.900", {}, -2019),
        ("59000", "0.020", {"reduceOnly": "true"}, -5047),
    ],
)
async def test_amendments_that_are_refused_change_nothing(
    venue: Venue, price: str, quantity: str, more: dict[str, object], code: int
) -> None:
    order = await place(venue)
    status, body = await amend(venue, order, price, quantity, **more)
    assert (status, body["code"]) == (400, code)
    _, row = await venue.call("GET", PATH, symbol=BTC, orderId=order["orderId"])
    assert (row["price"], row["origQty"], row["status"]) == ("59000", "0.01", "NEW")


async def test_amending_a_closed_order(venue: Venue) -> None:
    order = await place(venue)
    await venue.call("DELETE", PATH, symbol=BTC, orderId=order["orderId"])
    assert (await amend(venue, order, "59100", "0.010"))[1]["code"] == -2013


async def test_amended_through_the_book_it_takes(venue: Venue) -> None:
    order = await place(venue)
    _, body = await amend(venue, order, "60100", "0.010")
    assert body["status"] == "FILLED"
    assert [row.quantity for row in venue.server.positions()] == [Decimal("0.01")]


async def test_post_only_is_cancelled_rather_than_taking(venue: Venue) -> None:
    order = await place(venue, timeInForce="GTX")
    _, body = await amend(venue, order, "60100", "0.010")
    assert body["status"] == "CANCELED"
    assert venue.server.positions() == []


async def test_amending_below_what_is_filled_cancels(venue: Venue) -> None:
    await api(venue, "POST", "/paper/faults", {"fills": [{"symbol": BTC, "share": "0.4"}]})
    order = await place(venue, price="60100", newOrderRespType="RESULT")
    _, row = await venue.call("GET", PATH, symbol=BTC, orderId=order["orderId"])
    assert (row["status"], row["executedQty"]) == ("PARTIALLY_FILLED", "0.004")
    _, body = await amend(venue, order, "59900", "0.004")
    assert (body["status"], body["executedQty"]) == ("CANCELED", "0.004")


async def test_batch_amend(venue: Venue) -> None:
    first, second = await place(venue), await place(venue, price="58000")
    wishes = [
        {"symbol": BTC, "side": "BUY", "orderId": o["orderId"], "price": p, "quantity": "0.010"}
        for o, p in ((first, "59100"), (second, "58000"))
    ]
    status, rows = await venue.call(
        "PUT", "/fapi/v1/batchOrders", batchOrders=quote(json.dumps(wishes))
    )
    assert status == 200
    assert [row.get("price", row.get("code")) for row in rows] == ["59100", -5027]


async def test_price_match(venue: Venue) -> None:
    _, book = await venue.call("GET", "/fapi/v1/depth", signed=False, symbol=BTC, limit=5)
    wish = {k: v for k, v in LIMIT.items() if k != "price"}
    _, queued = await venue.call("POST", PATH, **wish, priceMatch="QUEUE_5")
    assert (float(queued["price"]), queued["priceMatch"]) == (float(book["bids"][4][0]), "QUEUE_5")
    _, crossed = await venue.call(
        "POST", PATH, **wish, priceMatch="OPPONENT", newOrderRespType="RESULT"
    )
    assert float(crossed["price"]) == float(book["asks"][0][0])
    _, body = await venue.call("POST", PATH, **LIMIT, priceMatch="QUEUE")
    assert body["code"] == -1106
    _, body = await venue.call("POST", PATH, **wish, priceMatch="BEST")
    assert body["code"] == -5037


async def test_countdown_cancels_ordinary_orders_of_its_symbol(venue: Venue) -> None:
    order = await place(venue)
    key = await open_user(venue)
    async with socket(venue, f"/private/ws?listenKey={key}") as ws:
        path = "/fapi/v1/countdownCancelAll"
        _, body = await venue.call("POST", path, symbol=BTC, countdownTime=60_000)
        assert body == {"symbol": BTC, "countdownTime": "60000"}
        await venue.call("POST", path, symbol=ADA, countdownTime=20)
        await venue.call("POST", path, symbol=BTC, countdownTime=20)
        event = await ws.receive_json(timeout=WAIT_S)
    assert (event["o"]["i"], event["o"]["X"]) == (order["orderId"], "CANCELED")


async def test_a_countdown_switched_off_does_nothing(venue: Venue) -> None:
    await place(venue)
    venue.server.exchange.set_countdown(BTC, 1)
    venue.server.exchange.set_countdown(BTC, 0)
    venue.server.exchange.run_countdown(BTC)
    assert len(venue.server.open_orders()) == 1


async def test_unfilled_orders_are_forgotten_after_three_days(venue: Venue) -> None:
    gone = await place(venue)
    filled = await place(venue, price="60100")
    await venue.call("DELETE", PATH, symbol=BTC, orderId=gone["orderId"])
    orders = venue.server.exchange.matcher.orders
    old = venue.clock.now_ms() - 4 * 86_400_000
    for order in orders.values():
        order.created_ms = old
    assert (await venue.call("GET", PATH, symbol=BTC, orderId=gone["orderId"]))[1]["code"] == -2013
    status, _ = await venue.call("GET", PATH, symbol=BTC, orderId=filled["orderId"])
    assert status == 200
    _, rows = await venue.call("GET", "/fapi/v1/allOrders", symbol=BTC)
    assert [row["orderId"] for row in rows] == [filled["orderId"]]


async def test_fresh_conditional_orders_may_be_hidden_from_get(venue: Venue) -> None:
    await api(venue, "POST", "/paper/action", {"action": "hide_algos", "ms": 60_000})
    _, stop = await venue.call(
        "POST",
        "/fapi/v1/algoOrder",
        algoType="CONDITIONAL",
        symbol=BTC,
        side="SELL",
        type="STOP_MARKET",
        quantity="0.01",
        triggerPrice="59000",
        reduceOnly="true",
    )
    _, body = await venue.call("GET", "/fapi/v1/algoOrder", algoId=stop["algoId"])
    assert body["code"] == -2013
    _, rows = await venue.call("GET", "/fapi/v1/openAlgoOrders", symbol=BTC)
    assert [row["algoId"] for row in rows] == [stop["algoId"]]
    await api(venue, "POST", "/paper/action", {"action": "hide_algos"})
    status, _ = await venue.call("GET", "/fapi/v1/algoOrder", algoId=stop["algoId"])
    assert status == 200


async def test_a_trigger_out_of_reach_is_refused(venue: Venue) -> None:
    wish = {
        "algoType": "CONDITIONAL",
        "symbol": ADA,
        "side": "SELL",
        "type": "STOP_MARKET",
        "quantity": "100",
        "reduceOnly": "true",
    }
    _, body = await venue.call("POST", "/fapi/v1/algoOrder", **wish, triggerPrice="0.01")
    assert body["code"] == -4211
    wish["type"] = "TAKE_PROFIT_MARKET"
    _, body = await venue.call("POST", "/fapi/v1/algoOrder", **wish, triggerPrice="6")
    assert body["code"] == -4210


async def test_faults_by_parameter_and_by_count(venue: Venue) -> None:
    rule = {
        "route": "POST /fapi/v1/order",
        "status": 503,
        "code": -1008,
        "msg": "throttled",
        "nth": 2,
        "params": {"side": "BUY"},
        "name": "second buy",
    }
    _, plan = await api(venue, "POST", "/paper/faults", {"rest": [rule]})
    assert plan["rest"][0]["name"] == "second buy"
    await place(venue)
    _, sold = await venue.call("POST", PATH, **{**LIMIT, "side": "SELL", "price": "61000"})
    assert "orderId" in sold
    status, body = await venue.call("POST", PATH, **LIMIT)
    assert (status, body["code"]) == (503, -1008)
    await place(venue)
