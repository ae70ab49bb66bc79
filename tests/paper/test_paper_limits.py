"""Signatures, time window, weights, order counts, filters: who is refused, with which code."""

import pytest
from paper_kit import ADA, API_KEY, API_SECRET, BTC, Venue

from core.paper.errors import ApiError
from core.paper.limits import (
    Gatekeeper,
    Pool,
    RateLimits,
    Security,
    sign,
    signed_payload,
)
from core.paper.params import Params

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
STAMP = 1591702613943


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
            "&recvWindow=5000&timestamp=1591702613943",
            "",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC",
            "quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
            "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
        ),
    ],
)
def test_published_signatures(query: str, body: str, signature: str) -> None:
    assert sign(SECRET, query + body) == signature
    sent_query, sent_body = query, body
    if body:
        sent_body += f"&signature={signature}"
    else:
        sent_query += f"&signature={signature}"
    assert signed_payload(sent_query, sent_body) == query + body
    gate = Gatekeeper("key", SECRET, lambda: STAMP)
    params = Params({"timestamp": str(STAMP), "signature": signature.upper()})
    gate.check(Security.SIGNED, "key", sent_query, sent_body, params)


def checked(offset: int, window: str | None = None) -> int:
    gate = Gatekeeper("key", SECRET, lambda: STAMP)
    query = f"timestamp={STAMP + offset}"
    values = {"timestamp": str(STAMP + offset)}
    if window is not None:
        query += f"&recvWindow={window}"
        values["recvWindow"] = window
    values["signature"] = sign(SECRET, query)
    try:
        gate.check(
            Security.SIGNED, "key", f"{query}&signature={values['signature']}", "", Params(values)
        )
    except ApiError as error:
        return error.code
    return 0


def test_time_window() -> None:
    assert checked(999) == 0
    assert checked(1000) == -1021
    assert checked(-5000) == 0
    assert checked(-5001) == -1021
    assert checked(-5001, "6000") == 0
    assert checked(0, "60001") == -1130


def test_weight_is_counted_per_minute_and_refused_above() -> None:
    now = [60_000]
    limits = RateLimits(lambda: now[0])
    limits.spend(2400)
    with pytest.raises(ApiError) as error:
        limits.spend(1)
    assert (error.value.code, error.value.status) == (-1003, 429)
    assert limits.retry_after() == "60"
    now[0] += 60_000
    limits.spend(1)
    assert limits.headers(orders=False) == {"X-MBX-USED-WEIGHT-1M": "1"}


def test_going_on_after_429_is_banned() -> None:
    now = [60_000]
    limits = RateLimits(lambda: now[0])
    limits.spend(2400)
    statuses = []
    for _ in range(21):
        with pytest.raises(ApiError) as error:
            limits.spend(1)
        statuses.append(error.value.status)
    assert statuses == [429] * 19 + [418, 418]
    now[0] += 120_000
    limits.spend(1)


def test_order_counts() -> None:
    now = [60_000]
    limits = RateLimits(lambda: now[0])
    for _ in range(300):
        limits.count_orders(1, 1)
    with pytest.raises(ApiError) as error:
        limits.count_orders(1, 1)
    assert (error.value.code, error.value.status) == (-1015, 429)
    now[0] += 10_000
    limits.count_orders(1, 1)
    assert limits.headers(orders=True)["X-MBX-ORDER-COUNT-10S"] == "1"


async def test_headers_tell_weight_and_order_counts(venue: Venue) -> None:
    stamp = venue.clock.now_ms()
    query = f"symbol={BTC}&side=BUY&type=MARKET&quantity=0.01&timestamp={stamp}"
    url = f"{venue.endpoints.rest}/fapi/v1/order?{query}&signature={sign(API_SECRET, query)}"
    async with venue.http.post(url, headers={"X-MBX-APIKEY": API_KEY}) as answer:
        assert answer.status == 200
        assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "0"
        assert answer.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert answer.headers["X-MBX-ORDER-COUNT-1M"] == "1"
        assert answer.content_type == "application/json"


async def test_keys_and_routes(venue: Venue) -> None:
    rest = venue.endpoints.rest
    seen = []
    for path, key in (
        ("/fapi/v3/account", None),
        ("/fapi/v3/account", "wrong"),
        ("/fapi/v1/nothing", None),
        ("/fapi/v1/listenKey", API_KEY),
    ):
        headers = {"X-MBX-APIKEY": key} if key else {}
        async with venue.http.get(rest + path, headers=headers) as answer:
            seen.append((answer.status, (await answer.json())["code"]))
    assert seen == [(401, -2014), (401, -2015), (404, -5000), (404, -5000)]


async def test_wrong_signature(venue: Venue) -> None:
    status, body = await venue.call(
        "GET", "/fapi/v3/account", signed=False, timestamp=venue.clock.now_ms(), signature="00"
    )
    assert (status, body["code"]) == (400, -1022)


ORDER = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
MARKET = {"symbol": BTC, "side": "BUY", "type": "MARKET"}
ADA_ORDER = {**ORDER, "symbol": ADA, "quantity": "100"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({**ORDER, "price": "60000.15"}, -1111),
        ({**ADA_ORDER, "price": "0.50005"}, -4014),
        ({**ORDER, "price": "0"}, -4001),
        ({**ORDER, "price": "500000.1"}, -4002),
        ({**ORDER, "price": "63000.1"}, -4016),
        ({**ORDER, "price": "56999.9", "side": "SELL"}, -4024),
        ({**ORDER, "price": "60000", "quantity": "0"}, -4003),
        ({**ORDER, "price": "60000", "quantity": "0.0015"}, -1111),
        ({**ORDER, "price": "60000", "quantity": "801"}, -4005),
        ({**MARKET, "quantity": "101"}, -4005),
        ({**MARKET, "quantity": "0.001"}, -4164),
        ({**MARKET, "quantity": "0.001", "reduceOnly": "true"}, -2022),
        ({**MARKET, "quantity": "1"}, -2019),
        ({**MARKET}, -1102),
        ({**ORDER}, -1102),
        ({**MARKET, "quantity": "0.01", "price": "1"}, -1106),
        ({**MARKET, "quantity": "0.01", "priceMatch": "QUEUE"}, -5038),
        ({**ORDER, "price": "60000", "priceMatch": "QUEUE"}, -1106),
        ({**ORDER, "priceMatch": "BEST"}, -5037),
        ({**MARKET, "quantity": "x"}, -1100),
        ({**MARKET, "quantity": "0.01", "symbol": "NOPE"}, -1121),
        ({**MARKET, "quantity": "0.01", "side": "HOLD"}, -1117),
        ({**MARKET, "quantity": "0.01", "type": "ICEBERG"}, -1116),
        ({**MARKET, "quantity": "0.01", "type": "STOP_MARKET", "stopPrice": "1"}, -4120),
        ({**MARKET, "quantity": "0.01", "positionSide": "LONG"}, -4061),
        ({**MARKET, "quantity": "0.01", "newClientOrderId": "a" * 37}, -4015),
        ({**MARKET, "quantity": "0.01", "newClientOrderId": "a%7Cb"}, -1100),
        ({**MARKET, "quantity": "0.01", "newOrderRespType": "FULL"}, -1136),
        ({**ORDER, "price": "60000", "timeInForce": "SOON"}, -1115),
        ({**ORDER, "price": "60000", "timeInForce": "GTD", "goodTillDate": "1"}, -5040),
        (
            {**ORDER, "price": "60000", "timeInForce": "GTD", "goodTillDate": "253402300799000"},
            -5040,
        ),
        ({**ORDER, "price": "60000", "timeInForce": "GTD"}, -1102),
        ({**MARKET, "quantity": "0.01", "timestamp": "1"}, -1021),
    ],
)
async def test_refused_orders(venue: Venue, params: dict[str, str], code: int) -> None:
    for path in ("/fapi/v1/order", "/fapi/v1/order/test"):
        status, body = await venue.call("POST", path, **params)
        assert (status, body["code"]) == (400, code)
    assert venue.server.open_orders() == []
    assert venue.server.positions() == []


ALGO = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "triggerPrice": "59000",
}
WITH_SIZE = {**ALGO, "quantity": "0.01"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({**WITH_SIZE, "triggerPrice": "61000"}, -2021),
        ({**WITH_SIZE, "type": "TAKE_PROFIT_MARKET"}, -2021),
        ({**WITH_SIZE, "type": "MARKET"}, -1116),
        ({**WITH_SIZE, "algoType": "VP"}, -1130),
        ({**WITH_SIZE, "triggerPrice": ""}, -1102),
        ({**WITH_SIZE, "triggerPrice": "-1"}, -4006),
        ({**WITH_SIZE, "triggerPrice": "59000.123"}, -1111),
        ({**WITH_SIZE, "type": "STOP"}, -1102),
        ({**WITH_SIZE, "type": "STOP", "price": "56000"}, -4184),
        ({**WITH_SIZE, "workingType": "INDEX"}, -4031),
        ({**WITH_SIZE, "quantity": "0.001"}, -4164),
        ({**ALGO}, -1102),
        ({**WITH_SIZE, "closePosition": "true"}, -4137),
        ({**ALGO, "closePosition": "true", "reduceOnly": "true"}, -1106),
        ({**ALGO, "closePosition": "true"}, -4509),
        ({**ALGO, "closePosition": "true", "type": "STOP", "price": "59000"}, -4136),
        ({**WITH_SIZE, "type": "TRAILING_STOP_MARKET"}, -1102),
        ({**WITH_SIZE, "type": "TRAILING_STOP_MARKET", "callbackRate": "21"}, -1130),
    ],
)
async def test_refused_conditional_orders(venue: Venue, params: dict[str, str], code: int) -> None:
    status, body = await venue.call("POST", "/fapi/v1/algoOrder", **params)
    assert (status, body["code"]) == (400, code)
    assert venue.server.open_algo_orders() == []


async def test_duplicate_client_ids(venue: Venue) -> None:
    params = {**ORDER, "price": "59000", "newClientOrderId": "one"}
    assert (await venue.call("POST", "/fapi/v1/order", **params))[0] == 200
    assert (await venue.call("POST", "/fapi/v1/order", **params))[1]["code"] == -4116
    stop = {**WITH_SIZE, "clientAlgoId": "two"}
    assert (await venue.call("POST", "/fapi/v1/algoOrder", **stop))[0] == 200
    assert (await venue.call("POST", "/fapi/v1/algoOrder", **stop))[1]["code"] == -4116


async def test_a_trigger_off_the_tick_grid_is_accepted(venue: Venue) -> None:
    params = {**ALGO, "symbol": ADA, "quantity": "100", "triggerPrice": "0.40005"}
    status, body = await venue.call("POST", "/fapi/v1/algoOrder", **params)
    assert (status, body["triggerPrice"]) == (200, "0.40005")


def test_above_the_limit_nothing_passes_not_even_what_weighs_nothing() -> None:
    now = [60_000]
    limits = RateLimits(lambda: now[0])
    limits.spend(2400)
    limits.spend(0)  # at the limit, not above it
    for weight in (1, 0):
        with pytest.raises(ApiError) as error:
            limits.spend(weight)
        assert (error.value.code, error.value.status) == (-1003, 429)
    now[0] += 60_000
    limits.spend(0)


def test_every_ban_lasts_twice_as_long_as_the_one_before() -> None:
    now = [60_000]
    limits = RateLimits(lambda: now[0])

    def ban_s() -> int:
        """Go on until banned; how long it lasts."""
        limits.spend(2400)
        while True:
            with pytest.raises(ApiError) as error:
                limits.spend(1)
            if error.value.status == 418:
                break
        lasts = int(limits.retry_after())
        assert str(now[0] + lasts * 1000) in error.value.msg
        now[0] += lasts * 1000
        return lasts

    lasted = [ban_s() for _ in range(14)]
    assert lasted[:4] == [120, 240, 480, 960]
    assert lasted[-2:] == [3 * 86_400] * 2


def test_funding_rates_have_a_pool_of_their_own() -> None:
    now = [300_000]
    limits = RateLimits(lambda: now[0])
    for _ in range(500):
        limits.spend(0, Pool.FUNDING)
    with pytest.raises(ApiError) as error:
        limits.spend(0, Pool.FUNDING)
    assert (error.value.code, error.value.status) == (-1003, 429)
    limits.spend(1)
    assert limits.headers(orders=False) == {"X-MBX-USED-WEIGHT-1M": "1"}
    now[0] += 299_999
    with pytest.raises(ApiError):
        limits.spend(0, Pool.FUNDING)
    now[0] += 1
    limits.spend(0, Pool.FUNDING)
