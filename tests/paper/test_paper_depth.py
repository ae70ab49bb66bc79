"""Order book, public trades and the other market data a chart or a local book is built from."""

from decimal import Decimal
from typing import Any

import pytest
from paper_kit import BTC, Venue, api
from test_paper_streams import WAIT_S, ask, nothing_more, socket

from core.paper.streams import Topic, parse_stream


def apply(book: dict[str, str], rows: list[list[str]]) -> None:
    for price, size in rows:
        if float(size) == 0:
            book.pop(price, None)
        else:
            book[price] = size


async def depth(venue: Venue, limit: int = 1000) -> Any:
    status, body = await venue.call("GET", "/fapi/v1/depth", signed=False, symbol=BTC, limit=limit)
    assert status == 200
    return body


async def next_event(ws: Any) -> Any:
    return await ws.receive_json(timeout=WAIT_S)


async def test_snapshot_and_differences_give_the_later_snapshot(venue: Venue) -> None:
    async with socket(venue, "/public/ws/btcusdc@depth@100ms") as ws:
        await ask(ws, "LIST_SUBSCRIPTIONS")
        venue.tick("60010")
        await next_event(ws)
        venue.tick("60300")  # told only together with the snapshot that follows
        first = await depth(venue)
        book = {side: dict(map(tuple, first[side])) for side in ("bids", "asks")}
        event = await next_event(ws)
        assert event["U"] <= first["lastUpdateId"] <= event["u"]
        last = None
        for price in ("60320", "59000", "61000"):
            venue.tick(price)
            later = await depth(venue)
            while event["u"] < later["lastUpdateId"]:
                if event["u"] >= first["lastUpdateId"]:
                    assert last is None or event["pu"] == last
                    apply(book["bids"], event["b"])
                    apply(book["asks"], event["a"])
                    last = event["u"]
                event = await next_event(ws)
            assert event["pu"] == last
            apply(book["bids"], event["b"])
            apply(book["asks"], event["a"])
            last = event["u"]
            assert book["bids"] == dict(map(tuple, later["bids"]))
            assert book["asks"] == dict(map(tuple, later["asks"]))
            event = {"u": 0}


async def test_partial_book_is_complete_each_time(venue: Venue) -> None:
    async with socket(venue, "/public/stream?streams=btcusdc@depth5@100ms") as ws:
        venue.tick("60010")
        event = (await next_event(ws))["data"]
        snapshot = await depth(venue, 5)
    assert (event["b"], event["a"]) == (snapshot["bids"], snapshot["asks"])
    assert len(event["b"]) == 5


async def test_trades_by_stream_and_by_request(venue: Venue) -> None:
    async with (
        socket(venue, "/public/ws/btcusdc@trade") as prints,
        socket(venue, "/market/ws/btcusdc@aggTrade") as trades,
    ):
        await ask(prints, "LIST_SUBSCRIPTIONS")
        await ask(trades, "LIST_SUBSCRIPTIONS")
        venue.tick("60010")
        print_, trade = await next_event(prints), await next_event(trades)
    assert (print_["t"], print_["p"], print_["m"]) == (trade["a"], "60010.0", False)
    _, rows = await venue.call("GET", "/fapi/v1/trades", signed=False, symbol=BTC, limit=2)
    assert [row["id"] for row in rows] == [print_["t"] - 1, print_["t"]]
    assert set(rows[1]) == {
        "id",
        "price",
        "qty",
        "quoteQty",
        "time",
        "isBuyerMaker",
        "isRPITrade",
    }
    _, rows = await venue.call(
        "GET", "/fapi/v1/aggTrades", signed=False, symbol=BTC, fromId=print_["t"]
    )
    assert [row["a"] for row in rows] == [print_["t"]]
    now = venue.clock.now_ms()
    _, rows = await venue.call(
        "GET",
        "/fapi/v1/aggTrades",
        signed=False,
        symbol=BTC,
        startTime=now - 300_000,
        endTime=now,
    )
    assert [row["a"] for row in rows] == sorted(row["a"] for row in rows)
    assert rows[-1]["a"] == print_["t"]
    status, body = await venue.call(
        "GET",
        "/fapi/v1/aggTrades",
        signed=False,
        symbol=BTC,
        startTime=now - 3_600_000,
        endTime=now,
    )
    assert (status, body["code"]) == (400, -1127)


@pytest.mark.parametrize(
    ("path", "name", "column"),
    [
        ("/fapi/v1/indexPriceKlines", "pair", "60000.0"),
        ("/fapi/v1/premiumIndexKlines", "symbol", "0.00000000"),
        ("/fapi/v1/markPriceKlines", "symbol", "60000.0"),
    ],
)
async def test_derived_klines(venue: Venue, path: str, name: str, column: str) -> None:
    status, rows = await venue.call(
        "GET", path, signed=False, interval="5m", limit=3, **{name: BTC}
    )
    assert status == 200
    assert [row[4] for row in rows] == [column] * 3
    assert {row[5] for row in rows} == {"0"}


async def test_continuous_klines_carry_the_contract_type(venue: Venue) -> None:
    async with socket(venue, "/market/ws/btcusdc_perpetual@continuousKline_1m") as ws:
        await ask(ws, "LIST_SUBSCRIPTIONS")
        venue.tick("60010")
        event = await next_event(ws)
    assert (event["e"], event["ct"], event["ps"]) == ("continuous_kline", "PERPETUAL", BTC)
    assert "s" not in event


async def test_liquidation_and_delisting_are_public(venue: Venue) -> None:
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    async with socket(venue, "/market/stream?streams=!forceOrder@arr/!contractInfo") as ws:
        await ask(ws, "LIST_SUBSCRIPTIONS")
        await api(venue, "POST", "/paper/action", {"action": "liquidate", "symbol": BTC})
        forced = (await next_event(ws))["data"]
        await api(venue, "POST", "/paper/action", {"action": "delist", "symbol": BTC})
        info = (await next_event(ws))["data"]
        await nothing_more(ws)
    assert (forced["o"]["S"], forced["o"]["X"], forced["o"]["z"]) == ("SELL", "FILLED", "0.010")
    assert (info["s"], info["cs"]) == (BTC, "SETTLING")


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("btcusdc@depth", Topic.DEPTH),
        ("btcusdc@depth20@500ms", Topic.DEPTH),
        ("btcusdc@depth7", None),
        ("btcusdc@depth@1s", None),
        ("btcusdc@rpiDepth@500ms", Topic.RPI),
        ("btcusdc_perpetual@continuousKline_1h", Topic.CONTINUOUS),
        ("btcusdc@continuousKline_1h", None),
        ("btcusdc_perpetual@kline_1h", None),
        ("btcusdc@kline", None),
        ("btcusdc@trade_1m", None),
        ("btcusdc@contractInfo", None),
        ("btcusdc@forceOrder", Topic.FORCE),
        ("BTCUSDC@depth", None),
    ],
)
def test_stream_names(text: str, topic: Topic | None) -> None:
    found = parse_stream(text, {BTC: None})
    assert (found.topic if found else None) == topic


async def test_quiet_books_are_not_pushed_twice(venue: Venue) -> None:
    async with socket(venue, "/public/ws/btcusdc@depth@100ms") as ws:
        await next_event(ws)
        venue.tick("60010")
        second = await next_event(ws)
        venue.tick("60020")
        third = await next_event(ws)
    assert third["pu"] == second["u"]


async def test_our_own_orders_stand_in_the_book(venue: Venue) -> None:
    order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    async with socket(venue, "/public/ws/btcusdc@depth@100ms") as ws:
        await ws.receive_json(timeout=WAIT_S)  # the whole book
        _, placed = await venue.call(
            "POST", "/fapi/v1/order", **order, quantity="0.02", price="59999.8"
        )
        told = await ws.receive_json(timeout=WAIT_S)
        assert (told["b"], told["a"]) == ([["59999.8", "0.020"]], [])
        _, top = await venue.call("GET", "/fapi/v1/ticker/bookTicker", signed=False, symbol=BTC)
        assert (top["bidPrice"], top["bidQty"]) == ("59999.8", "0.020")
        _, book = await venue.call("GET", "/fapi/v1/depth", signed=False, symbol=BTC, limit=5)
        assert book["bids"][0] == ["59999.8", "0.020"]
        assert [Decimal(row[0]) for row in book["bids"]] == sorted(
            (Decimal(row[0]) for row in book["bids"]), reverse=True
        )
        await venue.call("DELETE", "/fapi/v1/order", symbol=BTC, orderId=placed["orderId"])
        gone = await ws.receive_json(timeout=WAIT_S)
        while not gone["b"]:  # the snapshot before told nothing new
            gone = await ws.receive_json(timeout=WAIT_S)
        assert gone["b"] == [["59999.8", "0"]]


async def test_an_order_adds_to_the_level_it_stands_on(venue: Venue) -> None:
    path = {"signed": False, "symbol": BTC, "limit": 5}
    _, before = await venue.call("GET", "/fapi/v1/depth", **path)
    price, size = before["asks"][1]
    order = {"symbol": BTC, "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
    await venue.call("POST", "/fapi/v1/order", **order, quantity="0.02", price=price)
    _, after = await venue.call("GET", "/fapi/v1/depth", **path)
    assert after["asks"][1] == [price, str(Decimal(size) + Decimal("0.020"))]
    assert after["bids"] == before["bids"]


async def test_what_was_taken_is_gone_from_the_book_until_the_next_move(venue: Venue) -> None:
    path = {"signed": False, "symbol": BTC, "limit": 5}
    _, before = await venue.call("GET", "/fapi/v1/depth", **path)
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.02"
    )
    _, after = await venue.call("GET", "/fapi/v1/depth", **path)
    price, size = before["asks"][0]
    assert after["asks"][0] == [price, str(Decimal(size) - Decimal("0.020"))]
    assert after["asks"][1:] == before["asks"][1:]
    assert after["bids"] == before["bids"]
    venue.tick("60000")
    _, whole = await venue.call("GET", "/fapi/v1/depth", **path)
    assert Decimal(whole["asks"][0][1]) > Decimal("0.02")


async def test_a_level_that_is_used_up_is_not_shown(venue: Venue) -> None:
    path = {"signed": False, "symbol": BTC, "limit": 5}
    _, before = await venue.call("GET", "/fapi/v1/depth", **path)
    (price, size), following = before["asks"][:2]
    venue.server.exchange.transfer("USDC", Decimal(1_000_000))
    order = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "IOC"}
    await venue.call("POST", "/fapi/v1/order", **order, quantity=size, price=price)
    _, after = await venue.call("GET", "/fapi/v1/depth", **path)
    assert after["asks"][0] == following
    _, top = await venue.call("GET", "/fapi/v1/ticker/bookTicker", signed=False, symbol=BTC)
    assert [top["askPrice"], top["askQty"]] == following


async def test_the_tickers_show_the_top_of_the_book(venue: Venue) -> None:
    async with socket(venue, "/public/ws/btcusdc@bookTicker") as ws:
        venue.tick("60010")
        event = await ws.receive_json(timeout=WAIT_S)
    _, top = await venue.call("GET", "/fapi/v1/ticker/bookTicker", signed=False, symbol=BTC)
    _, book = await venue.call("GET", "/fapi/v1/depth", signed=False, symbol=BTC, limit=5)
    assert [event["b"], event["B"]] == [top["bidPrice"], top["bidQty"]] == book["bids"][0]
    assert [event["a"], event["A"]] == [top["askPrice"], top["askQty"]] == book["asks"][0]
