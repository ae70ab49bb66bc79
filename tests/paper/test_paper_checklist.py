"""The exchange's routes as a checklist: each is there, costs what it costs, and is guarded."""

import json
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
import pytest
from paper_kit import API_KEY, API_SECRET, BTC, Venue
from yarl import URL

from core.paper.limits import sign
from core.paper.routes import ROUTES

LIMIT = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
ORDER = {**LIMIT, "symbol": BTC, "price": "59000"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.01",
    "triggerPrice": "59000",
    "reduceOnly": "true",
}
HERE = {"symbol": BTC}
BARS = {"symbol": BTC, "interval": "1m"}
PAIR = {"pair": BTC, "interval": "1m"}
NO_KEY, KEY, SIGNED = "", "key", "signed"


class Row(NamedTuple):
    """A route with parameters it accepts, what it weighs, and how orders are counted."""

    method: str
    path: str
    access: str
    weight: int
    params: dict[str, str]
    orders: tuple[int, int] | None = None


def public(path: str, weight: int, **params: str) -> Row:
    return Row("GET", path, NO_KEY, weight, params)


def signed(
    method: str, path: str, weight: int, orders: tuple[int, int] | None = None, **params: str
) -> Row:
    return Row(method, path, SIGNED, weight, params, orders)


TABLE = (
    public("/fapi/v1/ping", 1),
    public("/fapi/v1/time", 1),
    public("/fapi/v1/exchangeInfo", 1),
    *(
        public("/fapi/v1/depth", weight, **HERE, limit=str(limit))
        for limit, weight in ((5, 2), (50, 2), (100, 5), (500, 10), (1000, 20))
    ),
    public("/fapi/v1/depth", 10, **HERE),
    public("/fapi/v1/rpiDepth", 20, **HERE),
    public("/fapi/v1/trades", 5, **HERE),
    Row("GET", "/fapi/v1/historicalTrades", KEY, 20, HERE),
    public("/fapi/v1/aggTrades", 20, **HERE),
    *(
        public(f"/fapi/v1/{name}", weight, **asked, limit=str(limit))
        for name, asked in (
            ("klines", BARS),
            ("markPriceKlines", BARS),
            ("indexPriceKlines", PAIR),
            ("premiumIndexKlines", BARS),
            ("continuousKlines", {**PAIR, "contractType": "PERPETUAL"}),
        )
        for limit, weight in ((99, 1), (499, 2), (1000, 5), (1500, 10))
    ),
    public("/fapi/v1/premiumIndex", 1, **HERE),
    public("/fapi/v1/premiumIndex", 10),
    public("/fapi/v1/fundingRate", 0, **HERE),
    public("/fapi/v1/fundingInfo", 0),
    public("/fapi/v1/ticker/24hr", 1, **HERE),
    public("/fapi/v1/ticker/24hr", 40),
    public("/fapi/v1/ticker/price", 1, **HERE),
    public("/fapi/v1/ticker/price", 2),
    public("/fapi/v2/ticker/price", 1, **HERE),
    public("/fapi/v2/ticker/price", 2),
    public("/fapi/v1/ticker/bookTicker", 2, **HERE),
    public("/fapi/v1/ticker/bookTicker", 5),
    public("/fapi/v1/openInterest", 1, **HERE),
    public("/fapi/v1/symbolAdlRisk", 1, **HERE),
    public("/fapi/v1/symbolAdlRisk", 1),
    public("/fapi/v1/assetIndex", 1, symbol="USDCUSD"),
    public("/fapi/v1/assetIndex", 10),
    public("/fapi/v1/tradingSchedule", 5),
    signed("POST", "/fapi/v1/order", 0, (1, 1), **ORDER),
    signed("PUT", "/fapi/v1/order", 0, (1, 1), **ORDER, orderId="1"),
    signed("GET", "/fapi/v1/order", 1, **HERE, orderId="1"),
    signed("DELETE", "/fapi/v1/order", 1, **HERE, orderId="1"),
    signed("POST", "/fapi/v1/order/test", 0, **ORDER),
    signed("POST", "/fapi/v1/batchOrders", 5, (5, 1), batchOrders=json.dumps([ORDER])),
    signed(
        "PUT", "/fapi/v1/batchOrders", 5, (5, 1), batchOrders=json.dumps([ORDER | {"orderId": 1}])
    ),
    signed("DELETE", "/fapi/v1/batchOrders", 1, **HERE, orderIdList="[1]"),
    signed("GET", "/fapi/v1/orderAmendment", 1, **HERE),
    signed("GET", "/fapi/v1/openOrder", 1, **HERE, orderId="1"),
    signed("GET", "/fapi/v1/openOrders", 1, **HERE),
    signed("GET", "/fapi/v1/openOrders", 40),
    signed("DELETE", "/fapi/v1/allOpenOrders", 1, **HERE),
    signed("GET", "/fapi/v1/allOrders", 5, **HERE),
    signed("GET", "/fapi/v1/userTrades", 5, **HERE),
    signed("POST", "/fapi/v1/countdownCancelAll", 10, **HERE, countdownTime="0"),
    signed("GET", "/fapi/v1/forceOrders", 20, **HERE),
    signed("GET", "/fapi/v1/forceOrders", 50),
    signed("POST", "/fapi/v1/algoOrder", 0, (1, 1), **STOP),
    signed("GET", "/fapi/v1/algoOrder", 1, algoId="1"),
    signed("DELETE", "/fapi/v1/algoOrder", 1, algoId="1"),
    signed("GET", "/fapi/v1/openAlgoOrders", 1, **HERE),
    signed("GET", "/fapi/v1/openAlgoOrders", 40),
    signed("GET", "/fapi/v1/allAlgoOrders", 5, **HERE),
    signed("DELETE", "/fapi/v1/algoOpenOrders", 1, **HERE),
    signed("GET", "/fapi/v2/account", 5),
    signed("GET", "/fapi/v3/account", 5),
    signed("GET", "/fapi/v2/balance", 5),
    signed("GET", "/fapi/v3/balance", 5),
    signed("GET", "/fapi/v2/positionRisk", 5),
    signed("GET", "/fapi/v3/positionRisk", 5),
    signed("GET", "/fapi/v1/accountConfig", 5),
    signed("GET", "/fapi/v1/symbolConfig", 5),
    signed("GET", "/fapi/v1/leverageBracket", 1),
    signed("GET", "/fapi/v1/commissionRate", 20, **HERE),
    signed("GET", "/fapi/v1/income", 30),
    signed("POST", "/fapi/v1/leverage", 1, **HERE, leverage="10"),
    signed("POST", "/fapi/v1/marginType", 1, **HERE, marginType="ISOLATED"),
    signed("POST", "/fapi/v1/positionMargin", 1, **HERE, amount="1", type="1"),
    signed("GET", "/fapi/v1/positionMargin/history", 1, **HERE),
    signed("GET", "/fapi/v1/positionSide/dual", 30),
    signed("POST", "/fapi/v1/positionSide/dual", 1, dualSidePosition="true"),
    signed("GET", "/fapi/v1/multiAssetsMargin", 30),
    signed("POST", "/fapi/v1/multiAssetsMargin", 1, multiAssetsMargin="true"),
    signed("GET", "/fapi/v1/rateLimit/order", 1),
    signed("GET", "/fapi/v1/feeBurn", 30),
    signed("POST", "/fapi/v1/feeBurn", 1, feeBurn="true"),
    signed("GET", "/fapi/v1/adlQuantile", 5),
    signed("GET", "/fapi/v1/apiTradingStatus", 1, **HERE),
    signed("GET", "/fapi/v1/apiTradingStatus", 10),
    signed("POST", "/fapi/v1/stock/contract", 50),
    Row("POST", "/fapi/v1/listenKey", KEY, 1, {}),
    Row("PUT", "/fapi/v1/listenKey", KEY, 1, {}),
    Row("DELETE", "/fapi/v1/listenKey", KEY, 1, {}),
    signed("GET", "/sapi/v1/account/apiRestrictions", 1),
    public("/sapi/v1/system/status", 1),
    signed("GET", "/sapi/v1/capital/config/getall", 1),
    signed("POST", "/sapi/v1/asset/transfer", 1, type="MAIN_UMFUTURE", asset="USDC", amount="1"),
)
REFUSED_HERE = {-2011, -2013, -4054, -1125}
"""What an account without orders and positions answers to some of them."""


class Answer(NamedTuple):
    status: int
    body: object
    headers: dict[str, str]

    @property
    def used(self) -> int:
        return int(self.headers["X-MBX-USED-WEIGHT-1M"])

    @property
    def code(self) -> object:
        return self.body.get("code") if isinstance(self.body, dict) else None


async def ask(venue: Venue, row: Row, *, access: str | None = None, form: bool = False) -> Answer:
    """One request as its row says, parameters in the query or as a form body."""
    given = row.access if access is None else access
    pairs = dict(row.params)
    if given == SIGNED:
        pairs["timestamp"] = str(venue.clock.now_ms())
    text = "&".join(f"{name}={quote(value)}" for name, value in pairs.items())
    if given == SIGNED:
        text += "&signature=" + sign(API_SECRET, text)
    headers = {"X-MBX-APIKEY": API_KEY} if given else {}
    url = URL(venue.endpoints.rest + row.path + ("" if form else f"?{text}"), encoded=True)
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    async with venue.http.request(
        row.method, url, headers=headers, data=text.encode() if form else None
    ) as answer:
        return Answer(answer.status, await answer.json(), dict(answer.headers))


async def cost(venue: Venue, row: Row) -> tuple[int, Answer]:
    """Weight of one request by the exchange's own header, not across the border of a minute."""
    while True:
        minute = venue.clock.now_ms() // 60_000
        before = (await ask(venue, TABLE[0])).used
        answer = await ask(venue, row)
        if venue.clock.now_ms() // 60_000 == minute:
            return answer.used - before, answer


def name(row: Row) -> str:
    asked = "+".join(sorted(set(row.params) & {"symbol", "limit", "pair"}))
    return f"{row.method} {row.path} {asked} {row.params.get('limit', '')}".strip()


@pytest.mark.parametrize("row", TABLE, ids=name)
async def test_every_route_answers_at_its_price(venue: Venue, row: Row) -> None:
    weight, answer = await cost(venue, row)
    assert weight == row.weight
    assert answer.status == 200 or answer.code in REFUSED_HERE
    assert answer.headers["Content-Type"].startswith("application/json")
    if row.orders is None:
        assert "X-MBX-ORDER-COUNT-10S" not in answer.headers
    elif answer.status == 200:
        counts = answer.headers["X-MBX-ORDER-COUNT-10S"], answer.headers["X-MBX-ORDER-COUNT-1M"]
        assert counts == tuple(map(str, row.orders))


def test_the_table_is_the_whole_of_what_is_served() -> None:
    assert {(row.method, row.path) for row in TABLE} == {route.key for route in ROUTES}


async def test_what_needs_a_key_or_a_signature_is_refused_without(venue: Venue) -> None:
    for row in TABLE:
        if row.access == NO_KEY:
            continue
        assert (await ask(venue, row, access=NO_KEY)).status == 401, name(row)
        if row.access == SIGNED:
            without = await ask(venue, row, access=KEY)
            assert (without.status, without.code) == (400, -1102), name(row)
        assert venue.server.open_orders() == []


async def test_every_writing_route_takes_its_parameters_as_a_form(venue: Venue) -> None:
    for row in TABLE:
        if row.method != "GET" and row.access == SIGNED:
            answer = await ask(venue, row, form=True)
            assert answer.status == 200 or answer.code in {*REFUSED_HERE, -4167}, (
                name(row),
                answer.body,
            )


@pytest.mark.parametrize("path", ["/fapi/v1/nothing", "/fapi/v9/order", "/sapi/v1/nothing"])
async def test_an_unknown_route(venue: Venue, path: str) -> None:
    answer = await ask(venue, Row("GET", path, NO_KEY, 0, {}))
    assert (answer.status, answer.code) == (404, -5000)
    assert answer.body == {"code": -5000, "msg": f"Path {path}, Method GET is invalid"}


async def test_a_listen_key_cannot_be_read(venue: Venue) -> None:
    answer = await ask(venue, Row("GET", "/fapi/v1/listenKey", KEY, 0, {}))
    assert (answer.status, answer.code) == (404, -5000)


async def test_the_query_wins_over_the_body(venue: Venue) -> None:
    query = "symbol=BTCUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=59000"
    body = f"price=58000&newClientOrderId=mixed&timestamp={venue.clock.now_ms()}"
    body += "&signature=" + sign(API_SECRET, query + body)
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            URL(f"{venue.endpoints.rest}/fapi/v1/order?{query}", encoded=True),
            data=body,
            headers={
                "X-MBX-APIKEY": API_KEY,
                "Content-Type": "application/x-www-form-urlencoded",
            },
        ) as answer,
    ):
        reply = await answer.json()
    assert (reply["price"], reply["clientOrderId"]) == ("59000", "mixed")
