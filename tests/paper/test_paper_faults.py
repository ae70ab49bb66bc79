"""Rehearsed misfortune: through the plan in process and through the rehearsal routes."""

import aiohttp
import pytest
from paper_kit import BTC, Venue, api

from core.kernel.chance import Chance
from core.paper.faults import EventFault, FaultPlan, RestFault, TriggerFault

WAIT_S = 5.0
BUY = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.01",
    "triggerPrice": "59000",
    "reduceOnly": "true",
}


async def test_answer_lost_after_execution(venue: Venue) -> None:
    venue.server.faults.rest.append(RestFault("POST /fapi/v1/order", "after", drop=True))
    with pytest.raises(aiohttp.ClientError):
        await venue.call("POST", "/fapi/v1/order", **BUY, newClientOrderId="lost")
    assert len(venue.server.positions()) == 1
    _, order = await venue.call("GET", "/fapi/v1/order", symbol=BTC, origClientOrderId="lost")
    assert order["status"] == "FILLED"


async def test_request_lost_before_execution(venue: Venue) -> None:
    venue.server.faults.rest.append(RestFault("POST /fapi/v1/order", "before", drop=True))
    with pytest.raises(aiohttp.ClientError):
        await venue.call("POST", "/fapi/v1/order", **BUY, newClientOrderId="lost")
    assert venue.server.positions() == []
    status, body = await venue.call("GET", "/fapi/v1/order", symbol=BTC, origClientOrderId="lost")
    assert (status, body["code"]) == (400, -2013)


async def test_status_and_code_replace_the_answer_as_often_as_planned(venue: Venue) -> None:
    venue.server.faults.rest.append(
        RestFault("*", status=503, code=-1008, msg="Request throttled", times=2)
    )
    seen = [(await venue.call("POST", "/fapi/v1/order", **BUY))[0] for _ in range(3)]
    assert seen == [503, 503, 200]
    assert len(venue.server.exchange.ledger.trades) == 1
    assert venue.server.faults.fired == 2


async def test_answer_that_is_not_json(venue: Venue) -> None:
    venue.server.faults.rest.append(RestFault("*", "after", status=200, body="<html>hello"))
    with pytest.raises(aiohttp.ContentTypeError):
        await venue.call("POST", "/fapi/v1/order", **BUY)
    assert len(venue.server.positions()) == 1


async def test_rejected_stop_at_placement_and_at_its_trigger(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/order", **BUY)
    venue.server.faults.rest.append(
        RestFault("POST /fapi/v1/algoOrder", status=400, code=-2021, msg="no")
    )
    assert (await venue.call("POST", "/fapi/v1/algoOrder", **STOP))[1]["code"] == -2021
    venue.server.faults.triggers.append(TriggerFault("*", "Margin is insufficient."))
    _, placed = await venue.call("POST", "/fapi/v1/algoOrder", **STOP)
    venue.tick("58900")
    _, algo = await venue.call("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert algo["algoStatus"] == "REJECTED"
    assert len(venue.server.positions()) == 1


async def test_events_dropped_doubled_and_late(venue: Venue) -> None:
    _, body = await venue.call("POST", "/fapi/v1/listenKey", signed=False)
    venue.server.faults.events.extend(
        [
            EventFault("TRADE_LITE", copies=0),
            EventFault("ACCOUNT_UPDATE", copies=2),
            EventFault("ORDER_TRADE_UPDATE", delay_ms=50),
        ]
    )
    url = f"{venue.endpoints.ws}/private/ws/{body['listenKey']}"
    async with venue.http.ws_connect(url) as ws:
        await venue.call("POST", "/fapi/v1/order", **BUY)
        frames = [await ws.receive_json(timeout=WAIT_S) for _ in range(4)]
    assert [(row["e"], row.get("o", {}).get("x")) for row in frames] == [
        ("ORDER_TRADE_UPDATE", "TRADE"),
        ("ACCOUNT_UPDATE", None),
        ("ACCOUNT_UPDATE", None),
        ("ORDER_TRADE_UPDATE", "NEW"),
    ]


async def test_plan_by_http(venue: Venue) -> None:
    plan = {"rest": [{"route": "GET /fapi/v1/time", "status": 418, "code": -1003, "times": 0}]}
    status, listed = await api(venue, "POST", "/paper/faults", plan)
    assert (status, len(listed["rest"])) == (200, 1)
    for _ in range(3):
        assert (await venue.call("GET", "/fapi/v1/time", signed=False))[0] == 418
    await api(venue, "DELETE", "/paper/faults")
    assert (await venue.call("GET", "/fapi/v1/time", signed=False))[0] == 200
    status, body = await api(venue, "POST", "/paper/faults", {"rest": [{"rout": "x"}]})
    assert (status, body["code"]) == (400, -1130)


async def test_actions_by_http(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/order", **BUY)
    _, body = await venue.call("POST", "/fapi/v1/listenKey", signed=False)
    url = f"{venue.endpoints.ws}/private/ws/{body['listenKey']}"
    async with venue.http.ws_connect(url) as ws:
        await api(venue, "POST", "/paper/action", {"action": "disconnect", "route": "private"})
        assert (await ws.receive(timeout=WAIT_S)).type is aiohttp.WSMsgType.CLOSE
    await api(venue, "POST", "/paper/action", {"action": "liquidate", "symbol": BTC})
    assert venue.server.positions() == []
    await api(venue, "POST", "/paper/action", {"action": "ban", "ms": 60_000})
    assert (await venue.call("GET", "/fapi/v1/time", signed=False))[0] == 418


async def test_half_open_socket_stays_open_and_silent(venue: Venue) -> None:
    async with (
        venue.http.ws_connect(venue.endpoints.ws + "/public/ws/btcusdc@bookTicker") as frozen,
        venue.http.ws_connect(venue.endpoints.ws + "/market/ws/btcusdc@aggTrade") as other,
    ):
        for ws in (frozen, other):
            await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            await ws.receive_json(timeout=WAIT_S)
        await api(venue, "POST", "/paper/action", {"action": "freeze", "route": "public"})
        venue.tick("60001")
        assert (await other.receive_json(timeout=WAIT_S))["e"] == "aggTrade"
        connection = next(c for c in venue.server.hub.connections if c.frozen)
        assert connection.outbox.empty()
        assert not frozen.closed


async def test_price_shock_and_delisting(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/order", **BUY)
    await venue.call("POST", "/fapi/v1/algoOrder", **STOP)
    shock = {"action": "shock", "symbol": BTC, "price": "57500"}
    assert (await api(venue, "POST", "/paper/action", shock))[0] == 200
    assert venue.server.exchange.ledger.trades[-1].price == 57500
    assert venue.server.positions() == []
    await venue.call("POST", "/fapi/v1/order", **BUY)
    await api(venue, "POST", "/paper/action", {"action": "delist", "symbol": BTC})
    _, info = await venue.call("GET", "/fapi/v1/exchangeInfo", signed=False)
    assert [row["status"] for row in info["symbols"]] == ["SETTLING", "TRADING"]
    status, body = await venue.call("POST", "/fapi/v1/order", **BUY)
    assert (status, body["code"]) == (400, -4140)
    closing = {**BUY, "side": "SELL", "reduceOnly": "true"}
    assert (await venue.call("POST", "/fapi/v1/order", **closing))[0] == 200
    assert venue.server.positions() == []


async def test_trades_from_the_phone(venue: Venue) -> None:
    wish = {"op": "order", "params": BUY}
    status, order = await api(venue, "POST", "/paper/manual", wish)
    assert (status, order["status"]) == (200, "FILLED")
    assert len(order["clientOrderId"]) == 22
    assert order["clientOrderId"].isalnum()
    _, algo = await api(venue, "POST", "/paper/manual", {"op": "algo", "params": STOP})
    cancel = {"op": "cancel_algo", "params": {"algoId": str(algo["algoId"])}}
    assert (await api(venue, "POST", "/paper/manual", cancel))[1]["code"] == "200"
    limit = {**BUY, "type": "LIMIT", "price": "59000", "timeInForce": "GTC"}
    _, order = await api(venue, "POST", "/paper/manual", {"op": "order", "params": limit})
    cancel = {"op": "cancel", "params": {"symbol": BTC, "orderId": str(order["orderId"])}}
    assert (await api(venue, "POST", "/paper/manual", cancel))[1]["status"] == "CANCELED"


def test_chance_of_a_fault_comes_from_the_seed() -> None:
    def run(seed: int) -> list[bool]:
        plan = FaultPlan(Chance(seed).stream("faults"))
        plan.rest.append(RestFault("*", times=0, chance=0.3))
        return [plan.for_request("GET /x", "before") is not None for _ in range(50)]

    assert run(1) == run(1) != run(2)
    assert 0 < sum(run(1)) < 50
