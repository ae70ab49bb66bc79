"""The client on the wire: what leaves, what comes back as values, what becomes which error."""

import asyncio
import gc
import hashlib
import hmac
import itertools
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from exchange_stub import NOW_MS, Reply, Stub, running_stub, symbol_row
from pydantic import SecretStr

from core.domain.enums import (
    ContractStatus,
    Lane,
    OrderKind,
    OrderStatus,
    Side,
    TimeInForce,
    WorkingType,
)
from core.domain.errors import (
    AccountError,
    CredentialsDead,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RetryLater,
    VenueError,
)
from core.domain.intent import OrderRequest
from core.exchange import endpoints as ep
from core.exchange.endpoints import DEMO, PRODUCTION, Endpoints
from core.exchange_client import (
    Credentials,
    OptimizedExchangeClient,
    create_stop_loss_order,
    create_take_profit_order,
)
from core.kernel.clock import LiveClock

KEY = "canary-api-key-canary"
SECRET = "canary-secret-canary"
SYMBOL = "XRP/USDC:USDC"
MARKET_ORDER = OrderRequest("ucb-1", SYMBOL, Side.BUY, OrderKind.MARKET, Decimal("12.50"))
STOP_ORDER = OrderRequest(
    "ucb-2",
    SYMBOL,
    Side.SELL,
    OrderKind.STOP_MARKET,
    Decimal("12.5"),
    trigger_price=Decimal("0.49600"),
    working_type=WorkingType.MARK_PRICE,
    reduce_only=True,
)


def credentials() -> Credentials:
    return Credentials(SecretStr(KEY), SecretStr(SECRET))


def client_of(endpoints: Endpoints, **options: Any) -> OptimizedExchangeClient:
    return OptimizedExchangeClient(endpoints, credentials(), LiveClock(), **options)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with running_stub() as running:
        yield running


@pytest.fixture
async def client(stub: Stub) -> AsyncIterator[OptimizedExchangeClient]:
    running = client_of(stub.endpoints)
    await running.initialize()
    yield running
    await running.close()


def order_body(**changes: Any) -> dict[str, Any]:
    body = {
        "orderId": 22542179,
        "symbol": "XRPUSDC",
        "status": "FILLED",
        "clientOrderId": "ucb-1",
        "price": "0",
        "origQty": "12.5",
        "executedQty": "12.5",
        "cumQty": "12.5",
        "timeInForce": "GTC",
        "type": "MARKET",
        "reduceOnly": False,
        "closePosition": False,
        "side": "BUY",
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "origType": "MARKET",
        "updateTime": 1566818724722,
    }
    return {**body, **changes}


def algo_body(**changes: Any) -> dict[str, Any]:
    body = {
        "algoId": 2146760,
        "clientAlgoId": "ucb-2",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": "XRPUSDC",
        "side": "SELL",
        "quantity": "12.5",
        "algoStatus": "NEW",
        "triggerPrice": "0.496",
        "price": "0",
        "icebergQuantity": None,
        "closePosition": False,
        "reduceOnly": True,
        "activatePrice": "",
        "callbackRate": "",
        "createTime": 1750485492076,
        "updateTime": 1750485492076,
        "triggerTime": 0,
    }
    return {**body, **changes}


# --- environment ---------------------------------------------------------------------------------


def test_every_call_of_the_table_exists_in_the_library() -> None:
    client = client_of(PRODUCTION)
    calls = [value for value in vars(ep).values() if isinstance(value, ep.Call)]
    assert len(calls) > 20
    for call in calls:
        assert callable(getattr(client._api, call.method))


@pytest.mark.parametrize(
    ("endpoints", "futures", "sapi"),
    [
        (PRODUCTION, "https://fapi.binance.com", "https://api.binance.com/sapi/v1"),
        (DEMO, "https://demo-fapi.binance.com", None),
        (Endpoints("http://h:1/", "ws://h:1/"), "http://h:1", "http://h:1/sapi/v1"),
    ],
)
def test_routes_lead_to_the_venue_and_nowhere_else(
    endpoints: Endpoints, futures: str, sapi: str | None
) -> None:
    urls = dict(client_of(endpoints)._api.urls["api"])  # type: ignore[call-overload]
    assert urls.pop("sapi", None) == sapi
    assert urls
    assert all(str(url).startswith(futures + "/") for url in urls.values())


def test_stream_addresses() -> None:
    assert (
        PRODUCTION.private_stream("a/b") == "wss://fstream.binance.com/private/ws?listenKey=a%2Fb"
    )
    assert DEMO.combined_stream(ep.StreamRoute.MARKET, ("x@kline_1m", "y@markPrice@1s")) == (
        "wss://fstream.binancefuture.com/market/stream?streams=x@kline_1m/y@markPrice@1s"
    )


@pytest.mark.parametrize("statement", ["", "import ccxt.async_support; "])
def test_the_library_loads_alone_and_leaves_the_plain_import_intact(statement: str) -> None:
    """In a fresh interpreter, also when something has imported the whole package before."""
    code = (
        f"import sys; {statement}from core.exchange.library import load_exchange_class as load\n"
        "cls = load('binanceusdm')\n"
        "alone = 'ccxt.async_support.kraken' not in sys.modules\n"
        "import ccxt, ccxt.async_support as plain\n"
        "assert plain.binanceusdm is cls, 'two classes'\n"
        "assert ccxt.kraken and plain.kraken\n"
        "print(alone)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(not statement)


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
    assert client_of(PRODUCTION)._api.enableRateLimit is False  # type: ignore[attr-defined]


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


# --- account -------------------------------------------------------------------------------------


async def test_positions_without_zero_rows(stub: Stub, client: OptimizedExchangeClient) -> None:
    row = {
        "symbol": "XRPUSDC",
        "positionSide": "BOTH",
        "positionAmt": "-30",
        "entryPrice": "0.385",
        "markPrice": "0.41047590",
        "unRealizedProfit": "-0.76427700",
        "liquidationPrice": "0",
        "isolatedMargin": "2.5",
        "isolatedWallet": "3.1",
        "updateTime": 1720736417660,
    }
    phantom = {**row, "symbol": "1000SHIBUSDC", "positionAmt": "0.0"}
    stub.answer("GET", "/fapi/v3/positionRisk", Reply([row, phantom]))
    (position,) = await client.get_positions()
    assert position.symbol == SYMBOL
    assert position.quantity == Decimal(-30)
    assert position.unrealized == Decimal("-0.76427700")
    assert position.isolated


async def test_balances_count_the_quote_coin(client: OptimizedExchangeClient) -> None:
    balances = {each.asset: each for each in await client.get_balances()}
    assert balances["USDC"].wallet == Decimal("400.5")
    assert balances["USDC"].equity == Decimal(399)
    assert (await client.get_balance())["USDC"] == {
        "free": Decimal("350.25"),
        "used": Decimal("48.75"),
        "total": Decimal(399),
    }


async def test_trades_since_a_time_are_read_forward(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    """A window holds seven days at most and answers with its oldest rows."""
    day = 86_400_000

    def answer(seen: Any) -> Reply:
        start, end = int(seen.params["startTime"]), int(seen.params["endTime"])
        assert end - start < 7 * day
        times = [time for time in (NOW_MS - 9 * day, NOW_MS - 1) if start <= time <= end]
        return Reply(
            [
                {
                    "symbol": "XRPUSDC",
                    "id": time,
                    "orderId": 5,
                    "side": "SELL",
                    "price": "0.5",
                    "qty": "10",
                    "realizedPnl": "-0.9",
                    "commission": "0.0025",
                    "commissionAsset": "USDC",
                    "time": time,
                    "maker": True,
                }
                for time in times
            ]
        )

    stub.answer("GET", "/fapi/v1/userTrades", answer)
    fills = await client.get_trades(SYMBOL, start_ms=NOW_MS - 10 * day)
    assert [fill.time_ms for fill in fills] == [NOW_MS - 9 * day, NOW_MS - 1]
    assert fills[0].commission == Decimal("0.0025")
    assert fills[0].side is Side.SELL


async def test_margin_type_already_set_is_success(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer(
        "POST",
        "/fapi/v1/marginType",
        Reply({"code": -4046, "msg": "No need to change margin type."}, 400),
    )
    await client.set_isolated(SYMBOL)
    (seen,) = stub.calls("POST", "/fapi/v1/marginType")
    assert seen.params["marginType"] == "ISOLATED"


# --- market --------------------------------------------------------------------------------------


async def test_instruments_from_filters_by_type(client: OptimizedExchangeClient) -> None:
    found = {each.symbol: each for each in await client.get_instruments()}
    assert sorted(found) == [
        "1000SHIB/USDC:USDC",
        "DOGE/USDC:USDC",
        SYMBOL,
        "XRP/USDT:USDT",
    ]
    xrp = found[SYMBOL]
    assert (xrp.tick, xrp.step, xrp.min_notional) == (
        Decimal("0.0001"),
        Decimal("0.1"),
        Decimal(5),
    )
    assert xrp.market_max_qty == Decimal(1600000)
    assert (xrp.percent_up, xrp.percent_down) == (Decimal("1.0500"), Decimal("0.9500"))
    assert [bracket.max_leverage for bracket in xrp.brackets] == [75, 50]
    assert xrp.brackets[0].maint_margin_ratio == Decimal("0.005")
    assert found["DOGE/USDC:USDC"].status is ContractStatus.OTHER
    assert client.instrument(SYMBOL) == xrp
    assert await client.get_usdc_symbols() == ["1000SHIB/USDC:USDC", SYMBOL]


async def test_markets_in_the_library_form(client: OptimizedExchangeClient) -> None:
    markets = await client.get_markets()
    assert markets[SYMBOL]["settle"] == "USDC"
    assert markets[SYMBOL]["contract"] is True


async def test_limits_come_from_the_exchange(client: OptimizedExchangeClient) -> None:
    assert client.budget.weight_limit == 6000
    assert client.budget.orders_10s_limit == 300


def kline(open_ms: int, close: str = "0.5") -> list[Any]:
    row = [open_ms, "0.5", "0.6", "0.4", close, "100", open_ms + 59_999, "50", 3]
    return [*row, "40", "20", "0"]


def klines(stub: Stub) -> None:
    def answer(seen: Any) -> Reply:
        start, limit = int(seen.params["startTime"]), int(seen.params["limit"])
        first = -(-start // 60_000) * 60_000
        opens = range(first, NOW_MS + 1, 60_000)
        return Reply([kline(open_ms) for open_ms in opens[:limit]])

    stub.answer("GET", "/fapi/v1/klines", answer)


async def test_only_closed_candles(stub: Stub, client: OptimizedExchangeClient) -> None:
    klines(stub)
    candles = await client.get_candles(SYMBOL, "1m", 5)
    assert len(candles) == 5
    assert candles[-1].open_ms == NOW_MS // 60_000 * 60_000 - 60_000
    assert candles[-1].close == 0.5


async def test_only_missing_candles_are_asked_for(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    klines(stub)
    await client.get_candles(SYMBOL, "1m", 50)
    await client.get_candles(SYMBOL, "1m", 30)
    assert len(stub.calls("GET", "/fapi/v1/klines")) == 1


async def test_many_candles_come_in_pages(stub: Stub, client: OptimizedExchangeClient) -> None:
    klines(stub)
    start = NOW_MS // 60_000 * 60_000 - 2_000 * 60_000
    candles = await client.get_candles(SYMBOL, "1m", 3_000, start_ms=start)
    assert len(candles) == 2_000
    assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(candles)] == ([60_000] * 1_999)


async def test_tickers_are_cached_for_a_second(stub: Stub, client: OptimizedExchangeClient) -> None:
    await client.get_tickers()
    ticker = await client.get_ticker(SYMBOL)
    assert ticker.quote_volume == Decimal("123456.78")
    assert len(stub.calls("GET", "/fapi/v1/ticker/24hr")) == 1


# --- errors --------------------------------------------------------------------------------------


async def submit_error(stub: Stub, client: OptimizedExchangeClient, reply: Reply) -> VenueError:
    stub.answer("POST", "/fapi/v1/order", reply)
    with pytest.raises(VenueError) as caught:
        await client.submit(MARKET_ORDER, Lane.PROTECT)
    return caught.value


@pytest.mark.parametrize(
    ("reply", "family"),
    [
        (Reply({"code": -2019, "msg": "Margin is insufficient."}, 400), Refused),
        (Reply({"code": -4999, "msg": "New rule."}, 400), Refused),
        (Reply({"code": -9999, "msg": "?"}, 400), OutcomeUnknown),
        (Reply({"code": -4116, "msg": "ClientOrderId is duplicated."}, 400), OutcomeUnknown),
        (Reply({"code": -1007, "msg": "Timeout waiting"}, 408), OutcomeUnknown),
        (
            Reply(text="Unknown error, please check your request or try again later.", status=503),
            OutcomeUnknown,
        ),
        (Reply(text="Service Unavailable.", status=503), RetryLater),
        (Reply({"code": -1008, "msg": "Request throttled"}, 503), RetryLater),
        (
            Reply(text="<html>503 Service Temporarily Unavailable</html>", status=503),
            OutcomeUnknown,
        ),
        (Reply(text='{"orderId": 1, "sym', status=200), OutcomeUnknown),
        (Reply(text="<html>welcome</html>", status=200), OutcomeUnknown),
        (Reply({"orderId": 1}), OutcomeUnknown),
        (Reply({"code": -2015, "msg": "Invalid API-key"}, 401), CredentialsDead),
        (Reply(drop=True), OutcomeUnknown),
    ],
)
async def test_what_an_order_error_means(
    stub: Stub, client: OptimizedExchangeClient, reply: Reply, family: type[VenueError]
) -> None:
    error = await submit_error(stub, client, reply)
    assert type(error) is family
    assert error.__cause__ is None
    assert error.__context__ is None
    assert len(stub.calls("POST", "/fapi/v1/order")) == 1


async def test_no_answer_in_time_is_unknown(stub: Stub) -> None:
    client = client_of(stub.endpoints, timeout_s=0.2)
    await client.initialize()
    assert type(await submit_error(stub, client, Reply(hang=True))) is OutcomeUnknown
    await client.close()


async def test_no_connection_is_provably_not_sent(stub: Stub) -> None:
    client = client_of(stub.endpoints)
    await client.initialize()
    await client.close()
    with pytest.raises(RetryLater):
        await client.submit(MARKET_ORDER, Lane.PROTECT)
    dead = client_of(Endpoints("http://127.0.0.1:9", "ws://127.0.0.1:9"))
    with pytest.raises(RetryLater, match="no connection"):
        await dead.submit(MARKET_ORDER, Lane.PROTECT)
    await dead.close()


async def test_secrets_are_in_no_error(stub: Stub, client: OptimizedExchangeClient) -> None:
    replies = [
        Reply({"code": -1022, "msg": "Signature for this request is not valid."}, 400),
        Reply(text="<html>GET /x?signature=abc123&listenKey=zzz</html>", status=502),
        Reply(drop=True),
    ]
    for reply in replies:
        error = await submit_error(stub, client, reply)
        text = f"{error!r} {error} {error.__context__!r}"
        for secret in (KEY, SECRET, "abc123", "zzz", "signature=" + "a"):
            assert secret not in text


async def test_clock_refusal_is_measured_and_repeated_once(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    late = Reply({"code": -1021, "msg": "outside of the recvWindow"}, 400)
    stub.answer("POST", "/fapi/v1/order", [late, Reply(order_body())])
    before = len(stub.calls("GET", "/fapi/v1/time"))
    answer = await client.submit(MARKET_ORDER, Lane.MANAGE)
    first, second = stub.calls("POST", "/fapi/v1/order")
    assert answer.status is OrderStatus.FILLED
    assert first.params["newClientOrderId"] == second.params["newClientOrderId"]
    assert len(stub.calls("GET", "/fapi/v1/time")) > before
    error = await submit_error(stub, client, late)
    assert type(error) is RetryLater


async def test_a_ban_stops_all_sending(stub: Stub) -> None:
    bans: list[int] = []
    client = client_of(stub.endpoints, on_ban=bans.append)
    await client.initialize()
    until = NOW_MS + 3_600_000
    banned = Reply({"code": -1003, "msg": f"Way too many requests; IP banned until {until}."}, 418)
    error = await submit_error(stub, client, banned)
    assert isinstance(error, RateLimited)
    assert error.until_ms == until
    count = len(stub.seen)
    with pytest.raises(RateLimited):
        await client.submit(STOP_ORDER, Lane.PROTECT)
    with pytest.raises(RateLimited):
        await client.get_positions()
    assert len(stub.seen) == count
    assert bans == [until]
    await client.close()


async def test_without_a_key_private_calls_say_so(stub: Stub) -> None:
    client = OptimizedExchangeClient(stub.endpoints, None, LiveClock())
    await client.initialize()
    assert await client.get_instruments()
    with pytest.raises(CredentialsDead, match="no API key"):
        await client.get_positions()
    await client.close()


async def test_nothing_is_left_unclosed(stub: Stub) -> None:
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client = client_of(stub.endpoints)
        await client.initialize()
        await client.close()
        del client
        gc.collect()
    loop.set_exception_handler(None)
    assert complaints == []
    assert [str(each.message) for each in warned] == []


# --- preflight -----------------------------------------------------------------------------------


async def test_preflight_of_a_good_account(stub: Stub, client: OptimizedExchangeClient) -> None:
    report = await client.verify_permissions()
    assert (report.wallet, report.available) == (Decimal("400.5"), Decimal("350.25"))
    assert report.permissions is None
    (probe,) = stub.calls("POST", "/fapi/v1/order/test")
    assert Decimal(probe.params["quantity"]) * Decimal("0.5") >= 5
    assert stub.calls("POST", "/fapi/v1/order") == []


CONFIG = {"feeTier": 0, "canTrade": True, "dualSidePosition": False, "multiAssetsMargin": False}
ONLY_USDT = {
    "assets": [
        {"asset": "USDT", "walletBalance": "9", "unrealizedProfit": "0", "availableBalance": "9"}
    ]
}


@pytest.mark.parametrize(
    ("method", "path", "reply", "says"),
    [
        ("GET", "/fapi/v1/accountConfig", Reply({**CONFIG, "canTrade": False}), "may not trade"),
        ("GET", "/fapi/v1/accountConfig", Reply({**CONFIG, "dualSidePosition": True}), "One-way"),
        (
            "GET",
            "/fapi/v1/accountConfig",
            Reply({**CONFIG, "multiAssetsMargin": True}),
            "Single-Asset",
        ),
        ("GET", "/fapi/v3/account", Reply(ONLY_USDT), "no USDC"),
        (
            "POST",
            "/fapi/v1/order/test",
            Reply({"code": -2015, "msg": "Invalid API-key, IP, or permissions."}, 401),
            "futures permission",
        ),
        (
            "GET",
            "/fapi/v1/exchangeInfo",
            Reply({"symbols": [symbol_row("XRPUSDT", "XRP", "USDT")]}),
            "QUOTE_COIN",
        ),
    ],
)
async def test_preflight_says_what_to_mend(
    stub: Stub, method: str, path: str, reply: Reply, says: str
) -> None:
    stub.answer(method, path, reply)
    client = client_of(stub.endpoints)
    await client.initialize()
    with pytest.raises(AccountError, match=says):
        await client.verify_permissions()
    await client.close()


async def test_a_refused_probe_still_proves_the_permission(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer(
        "POST", "/fapi/v1/order/test", Reply({"code": -2019, "msg": "Margin is insufficient."}, 400)
    )
    assert (await client.verify_permissions()).wallet == Decimal("400.5")


def test_an_unusable_private_key_is_an_account_error() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMEECAQAwBQYDK2VwBCIEINONSENSE\n-----END PRIVATE KEY-----\n"
    with pytest.raises(AccountError, match="cannot sign"):
        OptimizedExchangeClient(
            PRODUCTION, Credentials(SecretStr("k"), SecretStr(pem)), LiveClock()
        )


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
