"""Market events have the documented fields and JSON types, one by one."""

import asyncio
from typing import Any

from paper_kit import BTC, Venue, api
from test_paper_streams import WAIT_S, socket

NOW = {"st": 1, "ps": "BTCUSDT"}
"""What events carry since contracts of both books share their streams."""
KLINE = {
    "t": 1638747660000,
    "T": 1638747719999,
    "i": "1m",
    "f": 100,
    "L": 200,
    "o": "0.0010",
    "c": "0.0020",
    "h": "0.0025",
    "l": "0.0015",
    "v": "1000",
    "n": 100,
    "x": False,
    "q": "1.0000",
    "V": "500",
    "Q": "0.500",
    "B": "0",
}
TICKER = {"E": 1, "s": "BTCUSDT", "c": "1", "o": "1", "h": "1", "l": "1", "v": "1", "q": "1"}
TICKER_MORE = {"p": "1", "P": "1", "w": "1", "Q": "1", "O": 0, "C": 1, "F": 0, "L": 1, "n": 1}
ROW = {"E": 1, "s": "BTCUSDT"}
FORCED = ("s", "S", "o", "f", "q", "p", "ap", "X", "l", "z")
SHAPES: dict[str, dict[str, Any]] = {
    "kline": {**ROW, "k": {**KLINE, "s": "BTCUSDT"}, **NOW},
    "continuous_kline": {"E": 1, "ps": "BTCUSDT", "ct": "PERPETUAL", "k": KLINE, "st": 1},
    "markPriceUpdate": {**ROW, "p": "1", "ap": "1", "i": "1", "P": "1", "r": "1", "T": 1, **NOW},
    "bookTicker": {**ROW, "u": 1, "T": 1, "b": "1", "B": "1", "a": "1", "A": "1", **NOW},
    "depthUpdate": {**ROW, "T": 1, "U": 1, "u": 1, "pu": 1, "b": [], "a": [], **NOW},
    "aggTrade": {
        **ROW,
        "a": 1,
        "p": "1",
        "q": "1",
        "nq": "1",
        "f": 1,
        "l": 1,
        "T": 1,
        "m": True,
        **NOW,
    },
    "trade": {**ROW, "T": 1, "t": 1, "p": "1", "q": "1", "X": "MARKET", "m": True, **NOW},
    "24hrTicker": {**TICKER, **TICKER_MORE, **NOW},
    "24hrMiniTicker": {**TICKER, **NOW},
    "forceOrder": {"E": 1, "o": {**dict.fromkeys(FORCED, "1"), "T": 1, **NOW}},
    "contractInfo": {
        **ROW,
        "ps": "BTCUSDT",
        "ct": "PERPETUAL",
        "dt": 1,
        "ot": 1,
        "cs": "TRADING",
        "bks": [],
        "st": 1,
    },
}
PUBLIC = "btcusdc@bookTicker/btcusdc@depth@100ms/btcusdc@trade"
MARKET = (
    "btcusdc@kline_1m/btcusdc_perpetual@continuousKline_1m/btcusdc@markPrice@1s/btcusdc@aggTrade/"
    "btcusdc@ticker/btcusdc@miniTicker/btcusdc@forceOrder/!contractInfo"
)


def kinds(value: object) -> object:
    """Names and JSON types; what is inside a list is not compared."""
    if isinstance(value, dict):
        return {name: kinds(item) for name, item in value.items()}
    return type(value).__name__


async def collect(venue: Venue, path: str, wanted: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with asyncio.timeout(WAIT_S), socket(venue, path) as ws:
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        while set(found) != wanted:
            frame = await ws.receive_json()
            if "result" in frame:  # subscribed: now let everything happen
                venue.tick("60010")
                await end_position_and_contract(venue)
            else:
                event = frame["data"]
                found[event.pop("e")] = event
    return found


async def end_position_and_contract(venue: Venue) -> None:
    for action in ("liquidate", "delist"):
        await api(venue, "POST", "/paper/action", {"action": action, "symbol": BTC})


async def test_every_market_event_has_its_documented_shape(venue: Venue) -> None:
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    public = {"bookTicker", "depthUpdate", "trade"}
    one = await collect(venue, f"/market/stream?streams={MARKET}", set(SHAPES) - public)
    two = await collect(venue, f"/public/stream?streams={PUBLIC}", public)
    for name, event in (one | two).items():
        assert kinds(event) == kinds(SHAPES[name]), name


BRACKET = {"bs": 1, "bnf": 1, "bnc": 1, "mmr": 0.5, "cf": 0, "mi": 1, "ma": 1}
ARRAYS = {
    "!markPrice@arr@1s": "markPriceUpdate",
    "!ticker@arr": "24hrTicker",
    "!miniTicker@arr": "24hrMiniTicker",
}


async def test_streams_of_all_markets_carry_the_same_rows(venue: Venue) -> None:
    found: dict[str, Any] = {}
    wanted = {*ARRAYS, "!forceOrder@arr", "!contractInfo"}
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    path = f"/market/stream?streams={'/'.join(wanted)}"
    async with asyncio.timeout(2 * WAIT_S), socket(venue, path) as ws:
        venue.tick("60010")
        await end_position_and_contract(venue)
        while set(found) != wanted:
            frame = await ws.receive_json()
            found[frame["stream"]] = frame["data"]
    for name, event in ARRAYS.items():
        rows = found[name]
        assert {row.pop("e") for row in rows} == {event}
        assert all(kinds(row) == kinds(SHAPES[event]) for row in rows)
    force = found["!forceOrder@arr"]
    assert force.pop("e") == "forceOrder"
    assert kinds(force) == kinds(SHAPES["forceOrder"])
    brackets = found["!contractInfo"]["bks"]
    assert brackets
    assert all(kinds(row) == kinds(BRACKET) for row in brackets)
