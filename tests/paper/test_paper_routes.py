"""REST answers in detail: fields, types and shapes a client depends on."""

import json
from decimal import Decimal
from urllib.parse import quote

import pytest
from paper_kit import ADA, BTC, Venue

BUY = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "59000",
}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.01",
    "triggerPrice": "59000",
    "reduceOnly": "True",
}


async def test_answer_to_a_new_order(venue: Venue) -> None:
    status, body = await venue.call("POST", "/fapi/v1/order", **LIMIT, newClientOrderId="a")
    assert status == 200
    body.pop("updateTime")
    assert body == {
        "orderId": 4_000_000_001,
        "symbol": BTC,
        "status": "NEW",
        "clientOrderId": "a",
        "price": "59000",
        "origQty": "0.01",
        "executedQty": "0",
        "cumQty": "0",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "reduceOnly": False,
        "closePosition": False,
        "side": "BUY",
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": "LIMIT",
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
    }
    _, row = await venue.call("GET", "/fapi/v1/order", symbol=BTC, orderId=body["orderId"])
    assert (row["avgPrice"], row["cumQuote"]) == ("0", "0")
    assert row["time"] > 0
    _, gone = await venue.call("DELETE", "/fapi/v1/order", symbol=BTC, origClientOrderId="a")
    assert gone["status"] == "CANCELED"
    assert "avgPrice" not in gone
    status, body = await venue.call("DELETE", "/fapi/v1/order", symbol=BTC, origClientOrderId="a")
    assert (status, body["code"]) == (400, -2011)


async def test_ack_does_not_wait_for_the_fill(venue: Venue) -> None:
    _, ack = await venue.call("POST", "/fapi/v1/order", **BUY)
    _, result = await venue.call("POST", "/fapi/v1/order", **BUY, newOrderRespType="RESULT")
    assert (ack["status"], ack["executedQty"]) == ("NEW", "0")
    assert (result["status"], result["executedQty"]) == ("FILLED", "0.01")


async def test_order_test_places_nothing(venue: Venue) -> None:
    status, _ = await venue.call("POST", "/fapi/v1/order/test", **BUY)
    assert status == 200
    assert venue.server.positions() == []
    assert venue.server.exchange.matcher.orders == {}


async def test_parameters_in_a_form_body(venue: Venue) -> None:
    from paper_kit import API_KEY, API_SECRET

    from core.paper.limits import sign

    query = "symbol=BTCUSDC&side=BUY"
    body = f"type=MARKET&quantity=0.01&reduceOnly=FALSE&timestamp={venue.clock.now_ms()}"
    body += "&signature=" + sign(API_SECRET, query + body)
    async with venue.http.post(
        f"{venue.endpoints.rest}/fapi/v1/order?{query}",
        data=body,
        headers={
            "X-MBX-APIKEY": API_KEY,
            "Content-Type": "application/x-www-form-urlencoded",
        },
    ) as answer:
        assert answer.status == 200


async def test_batches(venue: Venue) -> None:
    wishes = [
        {**LIMIT, "newClientOrderId": "one"},
        {**LIMIT, "quantity": "0"},
        {**LIMIT, "newClientOrderId": "two", "reduceOnly": False},
    ]
    status, rows = await venue.call(
        "POST", "/fapi/v1/batchOrders", batchOrders=quote(json.dumps(wishes))
    )
    assert status == 200
    assert [row.get("clientOrderId", row.get("code")) for row in rows] == ["one", -4003, "two"]
    ids = quote(json.dumps([rows[0]["orderId"], 99]))
    _, gone = await venue.call("DELETE", "/fapi/v1/batchOrders", symbol=BTC, orderidlist=ids)
    assert [row.get("status", row.get("code")) for row in gone] == ["CANCELED", -2011]
    names = quote(json.dumps(["two"]))
    _, gone = await venue.call(
        "DELETE", "/fapi/v1/batchOrders", symbol=BTC, origClientOrderIdList=names
    )
    assert [row["status"] for row in gone] == ["CANCELED"]
    too_many = quote(json.dumps([LIMIT] * 6))
    _, body = await venue.call("POST", "/fapi/v1/batchOrders", batchOrders=too_many)
    assert body["code"] == -4082


async def test_cancel_all_leaves_conditional_orders(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/order", **LIMIT)
    await venue.call("POST", "/fapi/v1/algoOrder", **STOP)
    _, body = await venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol=BTC)
    assert body["code"] == 200
    assert venue.server.open_orders() == []
    assert len(venue.server.open_algo_orders()) == 1
    _, body = await venue.call("DELETE", "/fapi/v1/algoOpenOrders", symbol=BTC)
    assert body["code"] == 200
    assert venue.server.open_algo_orders() == []


async def test_conditional_order_rows(venue: Venue) -> None:
    _, placed = await venue.call("POST", "/fapi/v1/algoOrder", **STOP, clientAlgoId="s")
    assert isinstance(placed["algoId"], int)
    assert (placed["orderType"], placed["algoStatus"]) == ("STOP_MARKET", "NEW")
    assert (placed["activatePrice"], placed["icebergQuantity"]) == ("", None)
    assert placed["reduceOnly"] is True
    for path, params in (
        ("/fapi/v1/openAlgoOrders", {}),
        ("/fapi/v1/openAlgoOrders", {"symbol": BTC, "algoId": placed["algoId"]}),
        ("/fapi/v1/allAlgoOrders", {"symbol": BTC}),
    ):
        _, rows = await venue.call("GET", path, **params)
        assert [row["clientAlgoId"] for row in rows] == ["s"]
        assert "activatePrice" not in rows[0]  # an empty string there stops one of the clients
        assert (rows[0]["actualOrderId"], rows[0]["actualQty"]) == ("", "0")
    assert (await venue.call("GET", "/fapi/v1/openAlgoOrders", symbol=ADA))[1] == []
    _, gone = await venue.call("DELETE", "/fapi/v1/algoOrder", clientAlgoId="s")
    assert gone == {
        "algoId": placed["algoId"],
        "clientAlgoId": "s",
        "code": "200",
        "msg": "success",
    }
    assert (await venue.call("GET", "/fapi/v1/algoOrder", algoId=1))[1]["code"] == -2013


async def test_account_shapes(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    await venue.call("POST", "/fapi/v1/order", **BUY)
    await venue.call(
        "POST", "/fapi/v1/order", **{**LIMIT, "symbol": ADA, "quantity": "20", "price": "0.49"}
    )
    venue.tick("60600")
    _, v3 = await venue.call("GET", "/fapi/v3/account")
    assert "canTrade" not in v3
    assert v3["totalWalletBalance"] == "0.00000000"  # the totals count USDT only
    asset = v3["assets"][0]
    assert (asset["asset"], asset["walletBalance"]) == ("USDC", "999.76000000")
    assert asset["unrealizedProfit"] == "6.00000000"
    assert asset["updateTime"] > 0
    assert [row["symbol"] for row in v3["positions"]] == [BTC, ADA]
    _, v2 = await venue.call("GET", "/fapi/v2/account")
    assert v2["canTrade"] is True
    assert len(v2["positions"]) == 2
    _, risk = await venue.call("GET", "/fapi/v3/positionRisk")
    assert [(row["symbol"], row["positionAmt"]) for row in risk] == [(BTC, "0.01"), (ADA, "0")]
    assert "leverage" not in risk[0]
    assert risk[0]["unRealizedProfit"] == "6.00000000"
    assert 0 < float(risk[0]["liquidationPrice"]) < 60000
    _, risk = await venue.call("GET", "/fapi/v2/positionRisk", symbol=BTC)
    assert (risk[0]["leverage"], risk[0]["marginType"]) == ("20", "isolated")
    _, balance = await venue.call("GET", "/fapi/v3/balance")
    assert balance[0]["balance"] == "999.76000000"
    assert float(balance[0]["availableBalance"]) < 970
    _, rows = await venue.call("GET", "/fapi/v1/income")
    assert [(row["incomeType"], row["income"]) for row in rows] == [("COMMISSION", "-0.24000000")]
    _, trades = await venue.call("GET", "/fapi/v1/userTrades", symbol=BTC)
    assert (trades[0]["commission"], trades[0]["buyer"]) == ("0.24000000", True)


async def test_account_modes(venue: Venue) -> None:
    _, config = await venue.call("GET", "/fapi/v1/accountConfig")
    assert (config["canTrade"], config["dualSidePosition"]) == (True, False)
    _, body = await venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")
    assert body["code"] == -4059
    await venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    _, body = await venue.call("GET", "/fapi/v1/positionSide/dual")
    assert body == {"dualSidePosition": True}
    assert (await venue.call("POST", "/fapi/v1/order", **BUY))[1]["code"] == -4061
    await venue.call("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
    _, body = await venue.call("GET", "/fapi/v1/multiAssetsMargin")
    assert body == {"multiAssetsMargin": True}
    _, body = await venue.call("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    assert body["code"] == -4168


async def test_brackets_are_strictly_typed(venue: Venue) -> None:
    _, rows = await venue.call("GET", "/fapi/v1/leverageBracket", symbol=BTC)
    first = rows[0]["brackets"][0]
    assert first["initialLeverage"] == 125
    assert isinstance(first["notionalCap"], int)
    assert isinstance(first["maintMarginRatio"], float)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/fapi/v1/symbolConfig", {}),
        ("/fapi/v1/commissionRate", {"symbol": BTC}),
        ("/fapi/v1/rateLimit/order", {}),
        ("/fapi/v1/apiTradingStatus", {}),
        ("/fapi/v1/allOrders", {"symbol": BTC}),
        ("/fapi/v2/balance", {}),
        ("/sapi/v1/account/apiRestrictions", {}),
        ("/fapi/v1/forceOrders", {}),
        ("/fapi/v1/adlQuantile", {"symbol": BTC}),
    ],
)
async def test_other_signed_routes_answer(venue: Venue, path: str, params: dict[str, str]) -> None:
    assert (await venue.call("GET", path, **params))[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fapi/v1/ping", 200, None),
        ("/fapi/v1/depth?symbol=BTCUSDC&limit=7", 400, -4021),
        ("/fapi/v1/depth?symbol=BTCUSDC&limit=5", 200, None),
        ("/fapi/v1/klines?symbol=BTCUSDC&interval=7m", 400, -1120),
        ("/fapi/v1/klines?symbol=NOPE&interval=1m", 400, -1121),
        ("/fapi/v1/markPriceKlines?symbol=BTCUSDC&interval=1h", 200, None),
        ("/fapi/v1/continuousKlines?pair=BTCUSDC&contractType=PERPETUAL&interval=1m", 200, None),
        ("/fapi/v1/premiumIndex", 200, None),
        ("/fapi/v1/ticker/24hr", 200, None),
        ("/fapi/v2/ticker/price?symbol=ADAUSDC", 200, None),
        ("/fapi/v1/ticker/bookTicker", 200, None),
        ("/fapi/v1/openInterest?symbol=BTCUSDC", 200, None),
        ("/fapi/v1/fundingInfo", 200, None),
    ],
)
async def test_public_routes(venue: Venue, path: str, status: int, code: int | None) -> None:
    async with venue.http.get(venue.endpoints.rest + path) as answer:
        assert answer.status == status
        assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) > 0 or "fundingInfo" in path
        body = await answer.json()
    if code is not None:
        assert body["code"] == code


async def test_klines_have_fixed_decimals_and_the_open_one_last(venue: Venue) -> None:
    venue.tick("60001.5")
    _, rows = await venue.call(
        "GET", "/fapi/v1/klines", signed=False, symbol=BTC, interval="1m", limit=2
    )
    assert rows[0][1:6] == ["60000.0", "60000.0", "60000.0", "60000.0", "10.000"]
    assert rows[1][4] == "60001.5"
    assert rows[1][6] == rows[1][0] + 59_999 > venue.clock.now_ms()
    assert len(rows[0]) == 12


async def test_a_market_without_a_price_is_listed_but_does_not_trade(venue: Venue) -> None:
    venue.server.exchange.markets[ADA].book.price = Decimal(0)
    _, info = await venue.call("GET", "/fapi/v1/exchangeInfo", signed=False)
    assert [row["status"] for row in info["symbols"]] == ["TRADING", "PENDING_TRADING"]
    _, rows = await venue.call("GET", "/fapi/v1/ticker/bookTicker", signed=False)
    assert [row["symbol"] for row in rows] == [BTC]
    status, body = await venue.call("POST", "/fapi/v1/order", **{**BUY, "symbol": ADA})
    assert (status, body["code"]) == (400, -1122)
    assert (await venue.call("GET", "/fapi/v2/positionRisk"))[0] == 200


async def test_trades_page_forward_in_a_window(venue: Venue) -> None:
    for _ in range(3):
        await venue.call("POST", "/fapi/v1/order", **BUY)
    everything = (await venue.call("GET", "/fapi/v1/userTrades", symbol=BTC))[1]
    ids = [row["id"] for row in everything]
    start = everything[0]["time"] - 1000
    _, oldest = await venue.call("GET", "/fapi/v1/userTrades", symbol=BTC, startTime=start, limit=2)
    _, newest = await venue.call("GET", "/fapi/v1/userTrades", symbol=BTC, limit=2)
    _, later = await venue.call("GET", "/fapi/v1/userTrades", symbol=BTC, fromId=ids[2])
    assert [row["id"] for row in oldest] == ids[:2]
    assert [row["id"] for row in newest] == ids[-2:]
    assert [row["id"] for row in later] == ids[2:]
    _, body = await venue.call(
        "GET", "/fapi/v1/userTrades", symbol=BTC, startTime=1, endTime=700_000_000
    )
    assert body["code"] == -4165
