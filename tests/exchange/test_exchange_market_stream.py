"""Connections and frames of the market streams, against a hand-driven stub."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import unquote

from aiohttp import web
from exchange_stub import Stub, running_stub
from paper_world import virtually

from core.domain.market import BookTop, Candle, MarkPrice, Ticker24h
from core.exchange.endpoints import StreamRoute
from core.exchange.market_stream import MAX_STREAMS, MarketStream
from core.exchange.symbols import SymbolMap
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.supervisor import Supervisor

XRP = "XRP/USDC:USDC"
DOGE = "DOGE/USDC:USDC"


@dataclass
class Ear:
    candles: list[tuple[str, Candle]] = field(default_factory=list)
    marks: list[MarkPrice] = field(default_factory=list)
    ups: list[tuple[StreamRoute, tuple[str, ...]]] = field(default_factory=list)
    downs: list[StreamRoute] = field(default_factory=list)

    def on_stream_candle(self, symbol: str, candle: Candle) -> None:
        self.candles.append((symbol, candle))

    def on_stream_mark(self, mark: MarkPrice) -> None:
        self.marks.append(mark)

    def on_stream_up(self, route: StreamRoute, symbols: tuple[str, ...]) -> None:
        self.ups.append((route, symbols))

    def on_stream_down(self, route: StreamRoute, reason: str) -> None:
        self.downs.append(route)


@dataclass
class World:
    stub: Stub
    clock: SimulatedClock
    stream: MarketStream
    ear: Ear

    async def socket(self, route: StreamRoute) -> web.WebSocketResponse:
        """The newest socket of a route, once everything has settled."""
        await self.clock.sleep(0.1)
        urls = list(zip(self.stub.socket_urls, self.stub.sockets, strict=True))
        return [socket for url, socket in urls if url.startswith(f"/{route.value}/")][-1]

    def streams(self) -> list[tuple[str, list[str]]]:
        """Route and stream names of each connection ever opened."""
        parts = [url.partition("/stream?streams=") for url in self.stub.socket_urls]
        return [(route.strip("/"), unquote(names).split("/")) for route, _, names in parts]


@asynccontextmanager
async def market_world() -> AsyncIterator[World]:
    clock = SimulatedClock(1_800_000_000_000, asyncio.get_running_loop())
    failures: list[str] = []
    supervisor = Supervisor(clock, lambda name, error, _: failures.append(f"{name}: {error!r}"))
    async with running_stub() as stub:
        ear = Ear()
        stream = MarketStream(
            stub.endpoints,
            SymbolMap(),
            "15m",
            ear,
            clock=clock,
            supervisor=supervisor,
            chance=Chance(1),
        )
        try:
            yield World(stub, clock, stream, ear)
        finally:
            await stream.close()
            assert await supervisor.close(5.0) == ()
        assert failures == []


def kline(name: str, *, closed: bool, **changes: str) -> str:
    k = {"t": 900_000, "T": 1_799_999, "s": "XRPUSDC", "i": "15m", "o": "0.5", "c": "0.51"}
    k |= {"h": "0.52", "l": "0.49", "v": "1000", "n": 5, "q": "500.5", "V": "1", "Q": "1"}
    body = {"e": "kline", "E": 1, "s": "XRPUSDC", "k": {**k, "x": closed, **changes}}
    return json.dumps({"stream": name, "data": body})


def book(name: str, bid: str, event_ms: int = 7) -> str:
    data = {"e": "bookTicker", "u": 1, "E": event_ms, "T": 6, "s": "X", "b": bid, "B": "31.2"}
    return json.dumps({"stream": name, "data": {**data, "a": "0.5002", "A": "40.6"}})


def test_each_stream_travels_on_its_own_route() -> None:
    async def main() -> None:
        async with market_world() as world:
            world.stream.set_symbols((XRP, DOGE))
            await world.clock.sleep(0.1)
            assert dict(world.streams()) == {
                "market": [
                    "xrpusdc@kline_15m",
                    "xrpusdc@markPrice",
                    "xrpusdc@ticker",
                    "dogeusdc@kline_15m",
                    "dogeusdc@markPrice",
                    "dogeusdc@ticker",
                ],
                "public": ["xrpusdc@bookTicker", "dogeusdc@bookTicker"],
            }

    virtually(main)


def test_no_connection_carries_more_than_its_share() -> None:
    async def main() -> None:
        async with market_world() as world:
            symbols = tuple(f"C{number}/USDC:USDC" for number in range(250))
            world.stream.set_symbols(symbols)
            await world.clock.sleep(0.1)
            sizes = sorted((route, len(names)) for route, names in world.streams())
            assert sizes == [
                ("market", 250 * 3 - 3 * 198),
                ("market", 198),
                ("market", 198),
                ("market", 198),
                ("public", 50),
                ("public", MAX_STREAMS),
            ]
            world.stream.set_symbols(symbols[:10])
            await world.clock.sleep(10)
            alive = [socket for socket in world.stub.sockets if not socket.closed]
            assert len(alive) == 2

    virtually(main)


def test_frames_become_values() -> None:
    async def main() -> None:
        async with market_world() as world:
            world.stream.set_symbols((XRP,))
            market = await world.socket(StreamRoute.MARKET)
            public = await world.socket(StreamRoute.PUBLIC)
            await market.send_str(kline("xrpusdc@kline_15m", closed=False))
            await market.send_str(kline("xrpusdc@kline_15m", closed=True))
            mark = {"e": "markPriceUpdate", "E": 9, "s": "XRPUSDC", "p": "0.50010000", "r": ""}
            await market.send_str(
                json.dumps({"stream": "xrpusdc@markPrice", "data": {**mark, "T": 11}})
            )
            day = {"e": "24hrTicker", "E": 12, "s": "XRPUSDC", "c": "0.5", "h": "0.55", "l": "0.45"}
            await market.send_str(
                json.dumps({"stream": "xrpusdc@ticker", "data": {**day, "q": "123.5", "C": 12}})
            )
            await public.send_str(book("xrpusdc@bookTicker", "0.4998"))
            await public.send_str(book("xrpusdc@bookTicker", "0.4999"))
            await world.clock.sleep(0.1)
            assert world.ear.candles == [(XRP, Candle(900_000, 0.5, 0.52, 0.49, 0.51, 1000, 500.5))]
            assert world.ear.marks == [MarkPrice(XRP, Decimal("0.5001"), Decimal(0), 11, 9)]
            top = BookTop(
                XRP, Decimal("0.4999"), Decimal("31.2"), Decimal("0.5002"), Decimal("40.6"), 7
            )
            assert world.stream.book(XRP) == top
            assert world.stream.book(XRP) is world.stream.book(XRP)
            assert world.stream.ticker(XRP) == Ticker24h(
                XRP, Decimal("0.5"), Decimal("123.5"), 12, Decimal("0.55"), Decimal("0.45")
            )
            assert world.stream.ticker(XRP) is world.stream.ticker(XRP)
            assert world.stream.is_up

    virtually(main)


def test_damaged_and_foreign_frames_are_skipped_and_counted() -> None:
    async def main() -> None:
        async with market_world() as world:
            world.stream.set_symbols((XRP,))
            market = await world.socket(StreamRoute.MARKET)
            public = await world.socket(StreamRoute.PUBLIC)
            await market.send_str("nonsense")
            await market.send_str('{"result":null,"id":1}')
            await market.send_str('{"stream":"xrpusdc@kline_15m","data":{"k":{}}}')
            await market.send_str(kline("xrpusdc@kline_15m", closed=True, c="much"))
            await market.send_str(kline("other@kline_15m", closed=True))
            await public.send_str(book("xrpusdc@bookTicker", "low"))
            await world.clock.sleep(0.1)
            assert world.stream.book(XRP) is None
            assert world.ear.candles == []
            assert world.stream.malformed == 5
            compact = kline("xrpusdc@kline_15m", closed=True).replace('": ', '":')
            await market.send_str(compact)
            await world.clock.sleep(0.1)
            assert len(world.ear.candles) == 1

    virtually(main)


def test_symbols_outside_ascii_find_their_way() -> None:
    async def main() -> None:
        async with market_world() as world:
            symbol = "币安/USDC:USDC"
            world.stream.set_symbols((symbol,))
            market = await world.socket(StreamRoute.MARKET)
            plain = json.loads(kline("币安usdc@kline_15m", closed=True))
            await market.send_str(json.dumps(plain, ensure_ascii=True, separators=(",", ":")))
            await market.send_str(json.dumps(plain, ensure_ascii=False, separators=(",", ":")))
            await world.clock.sleep(0.1)
            assert [name for name, _ in world.ear.candles] == [symbol, symbol]
            assert (
                "market",
                ["币安usdc@kline_15m", "币安usdc@markPrice", "币安usdc@ticker"],
            ) in world.streams()

    virtually(main)


def test_a_new_universe_replaces_connections_without_a_gap() -> None:
    async def main() -> None:
        async with market_world() as world:
            world.stream.set_symbols((XRP,))
            first = await world.socket(StreamRoute.MARKET)
            world.stream.set_symbols((XRP, DOGE))
            second = await world.socket(StreamRoute.MARKET)
            assert second is not first
            assert not first.closed
            await first.send_str(kline("xrpusdc@kline_15m", closed=True))
            await second.send_str(kline("dogeusdc@kline_15m", closed=True))
            await world.clock.sleep(10)
            assert [name for name, _ in world.ear.candles] == [XRP, DOGE]
            assert first.closed
            assert world.ear.downs == []
            world.stream.set_symbols((XRP, DOGE))
            await world.clock.sleep(10)
            assert await world.socket(StreamRoute.MARKET) is second

    virtually(main)


def test_silence_is_counted_per_route() -> None:
    async def main() -> None:
        async with market_world() as world:
            world.stream.set_symbols((XRP,))
            market = await world.socket(StreamRoute.MARKET)
            limits = {StreamRoute.MARKET: 15.0, StreamRoute.PUBLIC: 60.0}
            await world.clock.sleep(14)
            assert await world.stream.silence(limits) == []
            await market.send_str("x")
            await world.clock.sleep(14)
            assert await world.stream.silence(limits) == []
            await world.clock.sleep(2)
            assert [route for route, _ in await world.stream.silence(limits)] == [
                StreamRoute.MARKET
            ]
            assert not world.stream.is_up
            await world.clock.sleep(5)
            assert await world.socket(StreamRoute.MARKET) is not market

    virtually(main)
