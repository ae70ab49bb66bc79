"""WebSocket streams as clients see them: routes, control messages, user events, market data."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from paper_kit import ADA, API_KEY, BTC, Venue, candle

from core.paper.sockets import open_connection
from core.paper.streams import Connection, Route, Topic, parse_stream

WAIT_S = 5.0


@asynccontextmanager
async def socket(venue: Venue, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with venue.http.ws_connect(venue.endpoints.ws + path) as opened:
        yield opened


async def ask(ws: aiohttp.ClientWebSocketResponse, method: str, *params: object) -> Any:
    await ws.send_json({"method": method, "params": list(params), "id": 7})
    return await ws.receive_json(timeout=WAIT_S)


async def open_user(venue: Venue) -> str:
    _, body = await venue.call("POST", "/fapi/v1/listenKey", signed=False)
    return str(body["listenKey"])


async def nothing_more(ws: aiohttp.ClientWebSocketResponse) -> None:
    """The next frame is the answer to our own question: nothing was sent before it."""
    assert "result" in await ask(ws, "LIST_SUBSCRIPTIONS")


def names(frames: list[Any]) -> list[str]:
    return [frame["e"] for frame in frames]


async def test_user_events_of_a_market_order(venue: Venue) -> None:
    key = await open_user(venue)
    async with socket(venue, f"/private/ws?listenKey={key}") as ws:
        await venue.call(
            "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
        )
        frames = [await ws.receive_json(timeout=WAIT_S) for _ in range(4)]
        await nothing_more(ws)
    assert names(frames) == [
        "ORDER_TRADE_UPDATE",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
    ]
    fill = frames[2]["o"]
    assert (fill["x"], fill["X"], fill["z"], fill["N"]) == ("TRADE", "FILLED", "0.01", "USDC")
    assert isinstance(fill["i"], int)
    assert isinstance(fill["t"], int)
    row = frames[3]["a"]["P"][0]
    assert (row["pa"], row["mt"], row["ma"]) == ("0.01", "cross", "USDC")
    assert frames[3]["a"]["B"][0]["wb"] == "999.76000000"


async def test_user_events_of_a_stop(venue: Venue) -> None:
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    key = await open_user(venue)
    async with socket(venue, f"/private/stream?listenKey={key}") as ws:
        _, placed = await venue.call(
            "POST",
            "/fapi/v1/algoOrder",
            algoType="CONDITIONAL",
            symbol=BTC,
            side="SELL",
            type="STOP_MARKET",
            quantity="0.01",
            triggerPrice="59500",
            reduceOnly="true",
            clientAlgoId="stop-1",
        )
        venue.tick("59000")
        frames = [await ws.receive_json(timeout=WAIT_S) for _ in range(8)]
        await nothing_more(ws)
    assert {frame["stream"] for frame in frames} == {key}
    data = [frame["data"] for frame in frames]
    told = [(row["e"], row.get("o", {}).get("X")) for row in data]
    assert told == [
        ("ALGO_UPDATE", "NEW"),
        ("ALGO_UPDATE", "TRIGGERING"),
        ("ALGO_UPDATE", "TRIGGERED"),
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("TRADE_LITE", None),
        ("ORDER_TRADE_UPDATE", "FILLED"),
        ("ACCOUNT_UPDATE", None),
        ("ALGO_UPDATE", "FINISHED"),
    ]
    assert "ap" not in data[0]["o"]
    assert data[1]["o"]["ai"] == ""
    finished = data[7]["o"]
    assert finished["ai"] == str(data[5]["o"]["i"])
    assert (finished["ap"], finished["aq"], finished["act"]) == ("59500", "0.01", "MARKET")
    assert data[5]["o"]["c"] == "stop-1" == placed["clientAlgoId"]


async def test_forms_of_the_private_url(venue: Venue) -> None:
    key = await open_user(venue)
    paths = (
        f"/private/ws/{key}",
        f"/private/ws?listenKey={key}",
        f"/private/stream?listenKey={key}&events=ACCOUNT_CONFIG_UPDATE/ORDER_TRADE_UPDATE",
    )
    for path in paths:
        async with socket(venue, path) as ws:
            leverage = 3 + paths.index(path)
            await venue.call("POST", "/fapi/v1/leverage", symbol=BTC, leverage=leverage)
            frame = await ws.receive_json(timeout=WAIT_S)
            assert frame.get("data", frame)["ac"] == {"s": BTC, "l": leverage}
    async with socket(venue, "/private/stream") as ws:
        assert await ask(ws, "SUBSCRIBE", key) == {"result": None, "id": 7}
        await venue.call("POST", "/fapi/v1/leverage", symbol=BTC, leverage=9)
        assert (await ws.receive_json(timeout=WAIT_S))["stream"] == key


async def test_allow_list_holds_back_everything_else(venue: Venue) -> None:
    key = await open_user(venue)
    path = f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE"
    async with socket(venue, path) as ws:
        await venue.call("POST", "/fapi/v1/leverage", symbol=BTC, leverage=4)
        venue.server.users.expire_key()
        await nothing_more(ws)


async def test_listen_key_life(venue: Venue) -> None:
    key = await open_user(venue)
    assert await open_user(venue) == key
    assert (await venue.call("PUT", "/fapi/v1/listenKey", signed=False))[1] == {"listenKey": key}
    async with socket(venue, f"/private/ws/{key}") as ws:
        venue.server.users.expire_key()
        expired = await ws.receive_json(timeout=WAIT_S)
        assert (expired["e"], expired["listenKey"]) == ("listenKeyExpired", key)
        status, body = await venue.call("PUT", "/fapi/v1/listenKey", signed=False)
        assert (status, body["code"]) == (400, -1125)
        assert await open_user(venue) != key
        await nothing_more(ws)  # the old key is silent
    key = await open_user(venue)
    async with socket(venue, f"/private/ws/{key}") as ws:
        assert (await venue.call("DELETE", "/fapi/v1/listenKey", signed=False))[1] == {}
        assert (await ws.receive(timeout=WAIT_S)).type is aiohttp.WSMsgType.CLOSE


async def test_market_streams_follow_ticks(venue: Venue) -> None:
    async with (
        socket(venue, "/market/ws/btcusdc@kline_1m/btcusdc@aggTrade") as market,
        socket(venue, "/public/stream?streams=btcusdc@bookTicker") as public,
    ):
        await nothing_more(market)
        await nothing_more(public)
        venue.tick("60123.4")
        trade = await market.receive_json(timeout=WAIT_S)
        kline = await market.receive_json(timeout=WAIT_S)
        book = await public.receive_json(timeout=WAIT_S)
    assert (trade["e"], trade["p"], trade["q"]) == ("aggTrade", "60123.4", "1.000")
    assert kline["k"]["c"] == "60123.4"
    assert kline["k"]["x"] is False
    assert book["stream"] == "btcusdc@bookTicker"
    assert (book["data"]["b"], book["data"]["a"]) == ("60122.8", "60123.4")
    assert (kline["st"], kline["ps"]) == (1, BTC)


async def test_a_minute_closes_every_interval_that_ends_with_it(venue: Venue) -> None:
    streams = "/".join(f"btcusdc@kline_{interval}" for interval in ("1m", "3m", "5m"))
    async with socket(venue, f"/market/ws/{streams}") as ws:
        await nothing_more(ws)
        start = venue.feed.start_ms // 900_000 * 900_000 + 900_000
        expected = {0: {"1m"}, 2: {"1m", "3m"}, 4: {"1m", "5m"}}
        for number in range(5):
            row = candle(BTC, start + number * 60_000, venue.server.exchange.markets[BTC].price)
            venue.server.on_minute(row)
            if number in expected:
                count = len(expected[number])
                frames = [await ws.receive_json(timeout=WAIT_S) for _ in range(count)]
                assert {frame["k"]["i"] for frame in frames} == expected[number]
                assert all(frame["k"]["x"] for frame in frames)
            else:
                await ws.receive_json(timeout=WAIT_S)


async def test_timed_streams(venue: Venue) -> None:
    async with socket(venue, "/market/stream") as ws:
        streams = ["btcusdc@markPrice@1s", "!markPrice@arr@1s", "!ticker@arr", "adausdc@miniTicker"]
        assert (await ask(ws, "SUBSCRIBE", *streams))["result"] is None
        frames = {}
        while len(frames) < len(streams):
            frame = await ws.receive_json(timeout=WAIT_S)
            frames[frame["stream"]] = frame["data"]
    mark = frames["btcusdc@markPrice@1s"]
    assert (mark["p"], mark["i"]) == ("60000.00000000", "60000.00000000")
    assert mark["T"] > mark["E"]
    assert [row["s"] for row in frames["!markPrice@arr@1s"]] == [BTC, ADA]
    assert {row["c"] for row in frames["!ticker@arr"]} == {"60000.0", "0.500000"}
    assert frames["adausdc@miniTicker"]["e"] == "24hrMiniTicker"


async def test_nobody_listens_nothing_is_timed(venue: Venue) -> None:
    beats = venue.server.market.beats.values()
    assert not any(beat.wanted.is_set() for beat in beats)
    async with socket(venue, "/market/ws/btcusdc@markPrice") as ws:
        await nothing_more(ws)
        assert venue.server.market.beats["mark-3s"].wanted.is_set()
        await ask(ws, "UNSUBSCRIBE", "btcusdc@markPrice")
        assert not any(beat.wanted.is_set() for beat in beats)


async def test_wrong_route_is_acknowledged_and_silent(venue: Venue) -> None:
    for path in ("/public/ws", "/ws", "/ws/btcusdc@kline_1m"):
        async with socket(venue, path) as ws:
            assert await ask(ws, "SUBSCRIBE", "btcusdc@kline_1m", "BTCUSDC@bookTicker") == {
                "result": None,
                "id": 7,
            }
            venue.tick("60010")
            await nothing_more(ws)
    key = await open_user(venue)
    async with socket(venue, f"/ws/{key}") as ws:
        await venue.call("POST", "/fapi/v1/leverage", symbol=BTC, leverage=8)
        await nothing_more(ws)


async def test_control_messages(venue: Venue) -> None:
    async with socket(venue, "/market/ws/0") as ws:
        await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdc@ticker"], "id": "a-uuid"})
        assert await ws.receive_json(timeout=WAIT_S) == {"result": None, "id": "a-uuid"}
        assert (await ask(ws, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdc@ticker"]
        assert (await ask(ws, "GET_PROPERTY", "combined"))["result"] is False
        assert (await ask(ws, "SET_PROPERTY", "combined", True))["result"] is None
        assert (await ask(ws, "GET_PROPERTY", "combined"))["result"] is True
        assert (await ask(ws, "SET_PROPERTY", "combined", 1))["error"]["code"] == 1
        assert (await ask(ws, "SET_PROPERTY", "colour", 1))["error"]["code"] == 0
        assert (await ask(ws, "DANCE"))["error"]["code"] == 2
        await ws.send_str("{")
        assert (await ws.receive_json(timeout=WAIT_S))["error"]["code"] == 3


async def test_too_many_messages_cost_the_connection(venue: Venue) -> None:
    async with socket(venue, "/market/ws") as ws:
        for number in range(30):
            await ws.send_str(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        kinds = []
        while not kinds or kinds[-1] is aiohttp.WSMsgType.TEXT:
            kinds.append((await ws.receive(timeout=WAIT_S)).type)
    assert kinds[-1] is aiohttp.WSMsgType.CLOSE
    assert len(kinds) <= 30


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    connection = Connection(Route.PUBLIC, combined=False, outbox=asyncio.Queue(3))
    for number in range(5):
        connection.send(str(number).encode())
    assert connection.outbox.qsize() <= 3
    last = None
    while not connection.outbox.empty():
        last = connection.outbox.get_nowait()
    assert last is None  # the writer's order to close


@pytest.mark.parametrize(
    ("text", "topic", "symbol"),
    [
        ("btcusdc@kline_5m", Topic.KLINE, BTC),
        ("btcusdc@markPrice", Topic.MARK, BTC),
        ("btcusdc@markPrice@1s", Topic.MARK, BTC),
        ("!markPrice@arr", Topic.MARK, ""),
        ("!bookTicker", Topic.BOOK, ""),
    ],
)
def test_stream_names(text: str, topic: Topic, symbol: str) -> None:
    name = parse_stream(text, {BTC: None})
    assert name is not None
    assert (name.topic, name.symbol) == (topic, symbol)


@pytest.mark.parametrize(
    "text",
    ["BTCUSDC@kline_5m", "btcusdc@kline", "btcusdc@kline_7m", "xyz@ticker", "btcusdc@ticker@1s"],
)
def test_unknown_stream_names(text: str) -> None:
    assert parse_stream(text, {BTC: None}) is None


def test_stream_urls() -> None:
    assert open_connection("/nowhere", "") is None
    unrouted = open_connection("/stream", "streams=a@b/c@d")
    assert unrouted is not None
    assert (unrouted.route, unrouted.combined, list(unrouted.names)) == (
        Route.PUBLIC,
        True,
        ["a@b", "c@d"],
    )
    private = open_connection("/private/stream", "listenKey=A&events=X/Y&listenKey=B")
    assert private is not None
    assert private.keys == {"A": frozenset({"X", "Y"}), "B": frozenset()}


async def test_key_header_is_enough_for_a_listen_key(venue: Venue) -> None:
    url = f"{venue.endpoints.rest}/fapi/v1/listenKey"
    async with venue.http.post(url) as answer:
        assert answer.status == 401
    async with venue.http.post(url, headers={"X-MBX-APIKEY": API_KEY}) as answer:
        assert answer.status == 200
