"""A mirror of a mirror: one paper exchange is the public market of another, over HTTP and sockets.

The upstream exchange invents prices; the one under test mirrors it; a client asks both. Time is
virtual, every request and every push is real.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
from feed_kit import MINUTE, START, D, virtually

from core.domain.ports import Clock
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.supervisor import Supervisor
from core.paper.contracts import build_contracts
from core.paper.feed_live import LiveFeed
from core.paper.model import FeedSink, PaperCandle, Tick
from core.paper.pacing import wait_until
from core.paper.server import PaperEndpoints, PaperServer
from core.simulation.virtual_loop import aiohttp_on_virtual_time

NOW = START + 100 * MINUTE
BTC, XRP = "BTCUSDC", "XRPUSDC"
SYMBOLS = (BTC, XRP)
CONTRACTS = {s: c for s, c in build_contracts("USDC").items() if s in SYMBOLS}
COLUMNS = slice(0, 9)
"""Columns of a kline that the source knows; the taker's share is each exchange's own model."""


BASE = {BTC: D(100_000), XRP: D(2)}
SPACING = 15_000


def price(symbol: str, time_ms: int) -> Decimal:
    """What `symbol` costs at a time: the same whoever asks, and whenever the market was started."""
    wave = time_ms // SPACING * 7919 % 1000
    return BASE[symbol] * (1 + D(wave) / 100_000)


class Market:
    """Prices of a symbol every 15 s, each a pure function of its time."""

    def __init__(self, now_ms: int) -> None:
        self.symbols = SYMBOLS
        self.start_ms = now_ms // MINUTE * MINUTE
        self.end_ms = None
        self.simulated = True

    def describe(self) -> str:
        return "waves"

    @staticmethod
    def minute(symbol: str, open_ms: int) -> PaperCandle:
        prices = [price(symbol, open_ms + n * SPACING) for n in range(4)]
        ends = prices[0], max(prices), min(prices), prices[-1]
        return PaperCandle(symbol, open_ms, *ends, D(4), sum(prices, D(0)), 4)

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        return tuple(self.minute(symbol, self.start_ms - n * MINUTE) for n in range(60, 0, -1))

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        at = self.start_ms
        while True:
            await wait_until(clock, at)
            for symbol in SYMBOLS:
                if at % MINUTE == 0 and at > self.start_ms:
                    sink.on_minute(self.minute(symbol, at - MINUTE))
                sink.on_tick(Tick(symbol, at, price(symbol, at), D(1), at == self.start_ms))
            at += SPACING


@dataclass
class Pair:
    """Two exchanges and somebody who asks them; `said` is what the mirror reported."""

    clock: SimulatedClock
    http: aiohttp.ClientSession
    failures: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def supervisor(self) -> Supervisor:
        return Supervisor(
            self.clock, lambda name, error, again: self.failures.append(f"{name}: {error!r}")
        )

    async def exchange(self, feed: Any, port: int = 0) -> PaperServer:
        server = PaperServer(
            feed,
            CONTRACTS,
            self.clock,
            self.supervisor(),
            seed=7,
            balance=D(400),
            quote="USDC",
            api_key="key",
            api_secret="secret",
            port=port,
        )
        self.last = await server.start()
        return server

    async def open_upstream(self, port: int = 0) -> None:
        self.upstream = await self.exchange(Market(self.clock.now_ms()), port)
        self.source: PaperEndpoints = self.last

    async def open_mirror(self) -> None:
        self.feed = await LiveFeed.open(
            SYMBOLS,
            clock=self.clock,
            supervisor=self.supervisor(),
            chance=Chance(1).stream("live"),
            report=self.said.append,
            rest_url=self.source.rest,
            ws_url=self.source.ws,
            history_minutes=30,
        )
        self.mirror = await self.exchange(self.feed)
        self.here: PaperEndpoints = self.last

    async def get(self, base: str, path: str, **query: object) -> Any:
        params = {name: str(value) for name, value in query.items()}
        async with self.http.get(base + path, params=params) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def closed(self, base: str, symbol: str) -> dict[int, list[Any]]:
        """Closed minutes an exchange tells, by their open."""
        query = {"symbol": symbol, "interval": "1m", "startTime": NOW - 30 * MINUTE, "limit": 1500}
        rows = await self.get(base, "/fapi/v1/klines", **query)
        return {row[0]: row[COLUMNS] for row in rows if row[6] < self.clock.now_ms()}

    async def same_minutes(self) -> None:
        """Everything that is closed is the same on both, without a hole."""
        for symbol in SYMBOLS:
            told = await self.closed(self.source.rest, symbol)
            mirrored = await self.closed(self.here.rest, symbol)
            assert list(mirrored) == list(range(NOW - 30 * MINUTE, max(mirrored) + 1, MINUTE))
            assert max(mirrored) >= self.clock.now_ms() - 2 * MINUTE
            assert mirrored == {at: told[at] for at in mirrored}


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    loop = asyncio.get_running_loop()
    clock = SimulatedClock(NOW, loop)
    with aiohttp_on_virtual_time(loop):
        async with aiohttp.ClientSession() as http:
            parts = Pair(clock, http)
            await parts.open_upstream()
            await parts.open_mirror()
            try:
                yield parts
            finally:
                await parts.mirror.stop()
                await parts.upstream.stop()
    assert parts.failures == []


def on_pair(scenario: Callable[[Pair], Awaitable[None]]) -> None:
    async def main() -> None:
        async with pair() as parts:
            await scenario(parts)

    virtually(main())


async def events(parts: Pair, path: str, wanted: set[str]) -> dict[str, Any]:
    """First event of each wanted name of one socket of the mirror."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(120), parts.http.ws_connect(parts.here.ws + path) as ws:
        while set(found) != wanted:
            data = (await ws.receive_json())["data"]
            found.setdefault(data["e"], data)
    return found


def test_candles_marks_and_book_tops_of_the_mirror_are_those_of_its_source() -> None:
    async def scenario(parts: Pair) -> None:
        await parts.clock.sleep(5 * 60 + 20)
        await parts.same_minutes()
        for symbol in SYMBOLS:
            last = D(
                (await parts.get(parts.source.rest, "/fapi/v2/ticker/price", symbol=symbol))[
                    "price"
                ]
            )
            mark = await parts.get(parts.here.rest, "/fapi/v1/premiumIndex", symbol=symbol)
            assert D(mark["markPrice"]) == last
            top = await parts.get(parts.here.rest, "/fapi/v1/ticker/bookTicker", symbol=symbol)
            assert D(top["bidPrice"]) < D(top["askPrice"])
            assert D(top["bidPrice"]) <= last <= D(top["askPrice"])
        assert parts.said == []

    on_pair(scenario)


def test_the_mirrors_own_streams_carry_the_mirrored_prices() -> None:
    async def scenario(parts: Pair) -> None:
        names = "btcusdc@kline_1m/btcusdc@markPrice@1s/btcusdc@aggTrade"
        told = await events(
            parts, f"/market/stream?streams={names}", {"kline", "markPriceUpdate", "aggTrade"}
        )
        top = await events(parts, "/public/stream?streams=btcusdc@bookTicker", {"bookTicker"})
        source = await parts.get(parts.source.rest, "/fapi/v2/ticker/price", symbol=BTC)
        for price in (
            told["kline"]["k"]["c"],
            told["aggTrade"]["p"],
            told["markPriceUpdate"]["p"],
            top["bookTicker"]["b"],
            top["bookTicker"]["a"],
        ):
            assert abs(D(price) / D(source["price"]) - 1) < D("0.01")
        assert D(top["bookTicker"]["b"]) < D(top["bookTicker"]["a"])

    on_pair(scenario)


def test_minutes_of_an_upstream_that_was_away_are_made_up_and_pushed() -> None:
    async def scenario(parts: Pair) -> None:
        closings: list[int] = []

        async def listen() -> None:
            url = parts.here.ws + "/market/ws/btcusdc@kline_1m"
            async with parts.http.ws_connect(url) as ws:
                async for message in ws:
                    row = message.json()["k"]
                    if row["x"]:
                        closings.append(row["t"])

        listening = asyncio.ensure_future(listen())
        await parts.clock.sleep(2 * 60 + 10)
        await parts.upstream.stop()
        await parts.clock.sleep(3 * 60)
        assert "live prices interrupted" in parts.said[0]
        stale = await parts.get(parts.here.rest, "/fapi/v1/premiumIndex", symbol=BTC)
        assert D(stale["markPrice"]) > 0  # it still answers, with the last price it had
        await parts.open_upstream(parts.source.port)
        await parts.clock.sleep(3 * 60)
        assert "live prices are back after" in parts.said[-1]
        await parts.same_minutes()
        assert closings == list(range(NOW, closings[-1] + 1, MINUTE))
        assert len(closings) >= 7
        listening.cancel()

    on_pair(scenario)


def test_a_connection_cut_inside_a_minute_costs_nothing() -> None:
    async def scenario(parts: Pair) -> None:
        for _ in range(3):
            await parts.clock.sleep(70)
            parts.upstream.hub.close_route(None)
        await parts.clock.sleep(90)
        await parts.same_minutes()
        assert len(parts.said) == 6  # each cut, and each return
        assert all("stream ended" in text for text in parts.said[::2])

    on_pair(scenario)


def test_a_silent_upstream_is_noticed_and_left() -> None:
    async def scenario(parts: Pair) -> None:
        await parts.clock.sleep(70)
        parts.upstream.hub.freeze_route(None)
        await parts.clock.sleep(40)
        assert "stream silent" in parts.said[0]
        await parts.clock.sleep(120)
        assert "live prices are back" in parts.said[1]
        await parts.same_minutes()

    on_pair(scenario)


def test_a_ban_is_waited_out_and_its_minutes_are_made_up() -> None:
    async def scenario(parts: Pair) -> None:
        await parts.clock.sleep(100)
        parts.upstream.limits.ban(300_000)
        parts.upstream.hub.freeze_route(None)  # the missed minute has to be asked for
        asked = parts.upstream.requests["GET /fapi/v1/klines"]
        await parts.clock.sleep(240)
        assert any("banned for" in text for text in parts.said)
        assert parts.upstream.requests["GET /fapi/v1/klines"] <= asked + 1  # once, and then never
        await parts.clock.sleep(240)
        assert "live prices are back" in parts.said[-1]
        await parts.same_minutes()

    on_pair(scenario)
