"""Rules a client relies on, each once: ids, what is remembered how long, dates, limits."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from paper_kit import (
    ADA,
    API_KEY,
    API_SECRET,
    BTC,
    CONTRACTS,
    START_MS,
    Bench,
    D,
    StillFeed,
    Venue,
)

from core.domain.enums import AlgoStatus, OrderKind, Side
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.supervisor import Supervisor
from core.paper.errors import ApiError
from core.paper.limits import sign
from core.paper.records import OrderState, PositionSide
from core.paper.server import PaperServer
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory

DAY_MS = 86_400_000
STOP = OrderKind.STOP_MARKET
BUY = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "59000",
}


# --- ids -----------------------------------------------------------------------------------------


async def test_two_market_orders_with_one_id_both_fill(venue: Venue) -> None:
    for _ in range(2):
        status, _ = await venue.call("POST", "/fapi/v1/order", **BUY, newClientOrderId="twice")
        assert status == 200
    assert venue.server.positions()[0].quantity == D("0.02")
    _, rows = await venue.call("GET", "/fapi/v1/allOrders", symbol=BTC)
    assert [row["clientOrderId"] for row in rows] == ["twice", "twice"]


@pytest.mark.parametrize("text", ["a" * 36, ".A-Z:/z0_9"])
async def test_ids_that_are_accepted_come_back_unchanged(venue: Venue, text: str) -> None:
    _, body = await venue.call("POST", "/fapi/v1/order", **LIMIT, newClientOrderId=text)
    assert body["clientOrderId"] == text
    _, row = await venue.call("GET", "/fapi/v1/openOrder", symbol=BTC, origClientOrderId=text)
    assert row["orderId"] == body["orderId"]


async def test_ids_made_by_the_exchange_are_22_letters_and_digits(venue: Venue) -> None:
    _, body = await venue.call("POST", "/fapi/v1/order", **LIMIT)
    assert len(body["clientOrderId"]) == 22
    assert body["clientOrderId"].isalnum()


async def test_the_order_id_prevails_over_the_clients_own(venue: Venue) -> None:
    _, body = await venue.call("POST", "/fapi/v1/order", **LIMIT, newClientOrderId="mine")
    path = "/fapi/v1/order"
    _, row = await venue.call(
        "GET", path, symbol=BTC, orderId=body["orderId"], origClientOrderId="other"
    )
    assert row["clientOrderId"] == "mine"
    _, row = await venue.call("GET", path, symbol=BTC, orderId=1, origClientOrderId="mine")
    assert row["code"] == -2013
    _, row = await venue.call("GET", path, symbol=ADA, orderId=body["orderId"])
    assert row["code"] == -2013


def test_a_triggered_order_may_not_take_the_id_of_an_open_one() -> None:
    bench = Bench()
    open_order = bench.limit(Side.BUY, "0.010", "59000")
    bench.client_id = lambda: open_order.spec.client_id  # type: ignore[method-assign] # one id
    algo = bench.algo(STOP, Side.BUY, "0.010", "60500", reduce_only=False)
    bench.tick("60600")
    assert (algo.status, algo.reason) == (AlgoStatus.REJECTED, "ClientOrderId is duplicated.")
    assert open_order.state is OrderState.NEW


# --- what is remembered --------------------------------------------------------------------------


async def test_history_is_counted_from_the_making_of_an_order(venue: Venue) -> None:
    _, gone = await venue.call("POST", "/fapi/v1/order", **LIMIT)
    await venue.call("DELETE", "/fapi/v1/order", symbol=BTC, orderId=gone["orderId"])
    _, filled = await venue.call("POST", "/fapi/v1/order", **BUY)
    orders = venue.server.exchange.matcher.orders
    now = venue.clock.now_ms()

    async def found(order_id: int) -> bool:
        _, row = await venue.call("GET", "/fapi/v1/order", symbol=BTC, orderId=order_id)
        return row.get("code") != -2013

    for days, cancelled, traded in ((2, True, True), (4, False, True), (91, False, False)):
        for order in orders.values():
            order.created_ms = now - days * DAY_MS
        assert await found(gone["orderId"]) is cancelled
        assert await found(filled["orderId"]) is traded


async def test_conditional_orders_are_forgotten_alike(venue: Venue) -> None:
    stop = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "type": "STOP_MARKET"}
    _, body = await venue.call(
        "POST", "/fapi/v1/algoOrder", **stop, quantity="0.01", triggerPrice="59000"
    )
    algo_id = body["algoId"]
    algo = venue.server.exchange.algos.algos[algo_id]
    algo.created_ms -= 5 * DAY_MS
    assert (await venue.call("GET", "/fapi/v1/algoOrder", algoId=algo_id))[0] == 200  # it waits
    await venue.call("DELETE", "/fapi/v1/algoOrder", algoId=algo_id)
    _, row = await venue.call("GET", "/fapi/v1/algoOrder", algoId=algo_id)
    assert row["code"] == -2013
    _, rows = await venue.call(
        "GET",
        "/fapi/v1/allAlgoOrders",
        symbol=BTC,
        startTime=algo.created_ms - 1,
        endTime=algo.created_ms + 1,
    )
    assert rows == []


@pytest.mark.parametrize("path", ["allOrders", "allAlgoOrders", "userTrades", "forceOrders"])
async def test_windows_of_at_most_a_week(venue: Venue, path: str) -> None:
    now = venue.clock.now_ms()
    for start, end, code in (
        (now - 8 * DAY_MS, now, -4165),
        (now, now - 1, -1023),
        (now - 7 * DAY_MS, now, None),
    ):
        status, body = await venue.call(
            "GET", f"/fapi/v1/{path}", symbol=BTC, startTime=start, endTime=end
        )
        if code is None:
            assert (status, body) == (200, [])
        else:
            assert (status, body["code"]) == (400, code)


async def test_all_orders_shows_the_newest_or_what_follows_an_id(venue: Venue) -> None:
    ids = []
    for _ in range(4):
        ids.append((await venue.call("POST", "/fapi/v1/order", **BUY))[1]["orderId"])

    async def shown(**params: object) -> list[int]:
        _, rows = await venue.call("GET", "/fapi/v1/allOrders", **params)
        return [row["orderId"] for row in rows]

    assert await shown() == ids  # the symbol may be left out
    assert await shown(symbol=BTC, limit=2) == ids[-2:]
    assert await shown(symbol=BTC, orderId=ids[1], limit=2) == ids[1:3]
    assert await shown(symbol=ADA) == []


async def test_trades_need_their_symbol(venue: Venue) -> None:
    status, body = await venue.call("GET", "/fapi/v1/userTrades")
    assert (status, body["code"]) == (400, -1102)
    _, body = await venue.call("GET", "/fapi/v1/userTrades", symbol=BTC, fromId=1, startTime=1)
    assert body["code"] == -1128


async def test_income_of_any_span_of_three_months(venue: Venue) -> None:
    for _ in range(3):
        await venue.call("POST", "/fapi/v1/order", **BUY)
    income = venue.server.ledger.income
    now = venue.clock.now_ms()
    ages = zip(tuple(income), (91, 80, 1), strict=True)
    rows = [replace(row, time_ms=now - days * DAY_MS) for row, days in ages]
    income.clear()
    income.extend(rows)
    path = "/fapi/v1/income"
    _, body = await venue.call("GET", path)
    assert [row["tranId"] for row in body] == [3]  # a week when no time is given
    _, body = await venue.call("GET", path, startTime=now - 200 * DAY_MS)
    assert [row["tranId"] for row in body] == [2, 3]
    _, body = await venue.call("GET", path, startTime=now - 85 * DAY_MS, limit=1)
    assert [row["tranId"] for row in body] == [2]
    _, body = await venue.call("GET", path, startTime=now - 85 * DAY_MS, incomeType="TRANSFER")
    assert body == []
    _, body = await venue.call("GET", path, startTime=now, endTime=now - 1)
    assert body["code"] == -1023


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "params", "code", "text"),
    [
        ("POST", "order", BUY | {"stopPrice": "1"}, -1106, "Parameter 'stopprice' sent when not"),
        ("POST", "order", BUY | {"closePosition": "true"}, -4136, "invalid for orderType 'MARKET'"),
        ("POST", "order", {**LIMIT, "timeInForce": ""}, -1102, "Mandatory parameter 'timeinforce'"),
        ("DELETE", "order", {"symbol": BTC}, -1102, "Param 'origClientOrderId' or 'orderId' must"),
        ("GET", "algoOrder", {}, -1102, "Param 'clientAlgoId' or 'algoId' must be sent"),
        ("DELETE", "batchOrders", {"symbol": BTC}, -1102, "both were empty/null!"),
    ],
)
async def test_refusals_are_worded_as_the_venue_does(
    venue: Venue, method: str, path: str, params: dict[str, str], code: int, text: str
) -> None:
    status, body = await venue.call(method, f"/fapi/v1/{path}", **params)
    assert (status, body["code"]) == (400, code)
    assert text in body["msg"]


async def test_what_rests_beside_a_position_is_shown_with_it(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/order", **BUY)
    await venue.call("POST", "/fapi/v1/order", **LIMIT)
    sell = LIMIT | {"side": "SELL", "price": "61000"}
    await venue.call("POST", "/fapi/v1/order", **sell)
    await venue.call("POST", "/fapi/v1/order", **sell, reduceOnly="true")
    _, rows = await venue.call("GET", "/fapi/v3/positionRisk")
    assert [(row["bidNotional"], row["askNotional"]) for row in rows] == [("590", "610")]


# --- conditional orders --------------------------------------------------------------------------


async def test_open_conditional_orders_by_type(venue: Venue) -> None:
    stop = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "type": "STOP_MARKET"}
    await venue.call("POST", "/fapi/v1/algoOrder", **stop, quantity="0.01", triggerPrice="59000")
    trail = stop | {"type": "TRAILING_STOP_MARKET", "activatePrice": "61000", "callbackRate": "20"}
    await venue.call("POST", "/fapi/v1/algoOrder", **trail, quantity="0.01")
    path = "/fapi/v1/openAlgoOrders"
    _, rows = await venue.call("GET", path, algoType="CONDITIONAL")
    assert [row["isActivated"] for row in rows] == [True, False]
    assert (await venue.call("GET", path, algoType="VP"))[1] == []


def test_a_cancelled_conditional_order_makes_room_for_another() -> None:
    bench = Bench()
    placed = [bench.algo(STOP, Side.SELL, "0.010", "59500") for _ in range(200)]
    bench.exchange.algos.cancel(placed[7])
    bench.algo(STOP, Side.SELL, "0.010", "59500")
    with pytest.raises(ApiError) as error:
        bench.algo(STOP, Side.SELL, "0.010", "59500")
    assert error.value.code == -4045


@pytest.mark.parametrize(
    ("side", "position_side", "code"),
    [
        (Side.SELL, PositionSide.LONG, None),
        (Side.BUY, PositionSide.LONG, -4509),
        (Side.BUY, PositionSide.SHORT, -4509),  # there is none
    ],
)
async def test_closing_orders_of_a_hedged_account(
    venue: Venue, side: Side, position_side: PositionSide, code: int | None
) -> None:
    await venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    await venue.call("POST", "/fapi/v1/order", **BUY, positionSide="LONG")
    trigger = "59000" if side is Side.SELL else "61000"
    status, body = await venue.call(
        "POST",
        "/fapi/v1/algoOrder",
        algoType="CONDITIONAL",
        symbol=BTC,
        side=side.value,
        positionSide=position_side.value,
        type="STOP_MARKET",
        triggerPrice=trigger,
        closePosition="true",
    )
    if code is None:
        assert (status, body["timeInForce"], body["quantity"]) == (200, "GTE_GTC", "0")
        assert (body["reduceOnly"], body["closePosition"]) == (True, True)
    else:
        assert (status, body["code"]) == (400, code)


def test_a_reversal_also_ends_what_closes_the_old_position() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    closing = bench.algo(STOP, Side.SELL, "0", "59500", close_position=True)
    bench.market(Side.SELL, "0.030")
    assert bench.position() == D("-0.020")
    assert closing.status is AlgoStatus.EXPIRED


def test_the_clearance_fee_is_told_as_a_change_of_balance() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    bench.exchange.risk.force(BTC, "liquidate")
    told = bench.events.accounts[-1]
    row = bench.exchange.ledger.income[-1]
    assert (told.reason, told.change) == ("INSURANCE_CLEAR", row.amount)
    assert row.amount < 0


# --- dates ---------------------------------------------------------------------------------------


def test_a_dated_order_ends_on_its_date_in_a_market_that_stands_still() -> None:
    told: list[tuple[int, str, str]] = []

    async def live() -> None:
        loop = asyncio.get_running_loop()
        clock = SimulatedClock(START_MS, loop)
        failures: list[object] = []
        supervisor = Supervisor(clock, lambda *failure: failures.append(failure))
        server = PaperServer(
            StillFeed(START_MS),
            CONTRACTS,
            clock,
            supervisor,
            seed=3,
            balance=Decimal(400),
            quote="USDC",
            api_key=API_KEY,
            api_secret=API_SECRET,
        )
        endpoints = await server.start()

        async def call(method: str, path: str, **params: object) -> Any:
            params["timestamp"] = clock.now_ms()
            query = "&".join(f"{name}={value}" for name, value in params.items())
            url = f"{endpoints.rest}{path}?{query}&signature={sign(API_SECRET, query)}"
            headers = {"X-MBX-APIKEY": API_KEY}
            async with http.request(method, url, headers=headers) as answer:
                return await answer.json()

        with aiohttp_on_virtual_time(loop):
            async with aiohttp.ClientSession() as http:
                key = (await call("POST", "/fapi/v1/listenKey"))["listenKey"]
                async with http.ws_connect(f"{endpoints.ws}/private/ws/{key}") as ws:
                    due = START_MS + 900_999
                    order = LIMIT | {"timeInForce": "GTD", "goodTillDate": due, "quantity": "0.002"}
                    placed = await call("POST", "/fapi/v1/order", **order)
                    assert placed["goodTillDate"] == due // 1000 * 1000
                    for _ in range(2):
                        event = (await ws.receive_json())["o"]
                        told.append((clock.now_ms() - START_MS, event["x"], event["X"]))
                row = await call("GET", "/fapi/v1/order", symbol=BTC, orderId=placed["orderId"])
                told.append((0, "", row["status"]))
        await server.stop()
        assert await supervisor.close(5.0) == ()
        assert failures == []

    run(live(), loop_factory=virtual_loop_factory())
    assert [row[1:] for row in told] == [("NEW", "NEW"), ("EXPIRED", "EXPIRED"), ("", "EXPIRED")]
    assert 899_900 <= told[1][0] <= 901_000
