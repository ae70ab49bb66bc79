"""Hours of exchange time on a virtual loop: timers, funding, keys, and the same again."""

import asyncio
import hashlib
from decimal import ROUND_UP, Decimal, localcontext
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import aiohttp
from aiohttp import web
from paper_kit import ADA, API_KEY, API_SECRET, BTC, CONTRACTS, START_MS, StillFeed

from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.supervisor import Supervisor
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.limits import sign
from core.paper.server import PaperEndpoints, PaperServer
from core.simulation.memory_network import MemoryNetwork
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory

HOURS = 3
TAIL_MS = 600_000
"""What a client has not read yet when it leaves is nobody's business."""
STREAMS = "btcusdc@kline_5m/!markPrice@arr/adausdc@ticker/btcusdc@aggTrade"


class _OnWires:
    """Puts the exchange on wires inside the process: when bytes arrive is a matter of the clock."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    async def listen(self, server: web.Server) -> PaperEndpoints:
        self._network.serve(server)
        return PaperEndpoints("http://paper.test", "ws://paper.test", 80)


class Day:
    """A server with a synthetic market and one client that trades now and then."""

    def __init__(self, seed: int, hours: int) -> None:
        self.seed = seed
        self.hours = hours
        self.heard: dict[str, Any] = {}
        self.closed_candles: list[int] = []
        self.marks = 0
        self.private: list[str] = []

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        self.clock = SimulatedClock(START_MS, loop)
        network = MemoryNetwork(loop, Random(1))
        self.failures: list[object] = []
        supervisor = Supervisor(self.clock, lambda *failure: self.failures.append(failure))
        feed = SyntheticFeed(
            [CONTRACTS[BTC], CONTRACTS[ADA]], self.seed, START_MS, 1440, tick_ms=20_000
        )
        self.server = PaperServer(
            feed,
            CONTRACTS,
            self.clock,
            supervisor,
            seed=self.seed,
            balance=Decimal(400),
            quote="USDC",
            api_key=API_KEY,
            api_secret=API_SECRET,
            latency_ms=5,
            listener=_OnWires(network),
        )
        self.endpoints = await self.server.start()
        with aiohttp_on_virtual_time(loop):
            async with aiohttp.ClientSession(connector=network.connector("client")) as http:
                self.http = http
                await self._trade(supervisor)
        await self.server.stop()
        assert await supervisor.close(5.0) == ()

    async def _trade(self, supervisor: Supervisor) -> None:
        key = (await self._call("POST", "/fapi/v1/listenKey"))["listenKey"]
        for name, path in (("market", f"/market/ws/{STREAMS}"), ("user", f"/private/ws/{key}")):
            opened = asyncio.Event()
            supervisor.spawn(name, partial(self._read, path, opened))
            await opened.wait()  # or the first events would depend on who is quicker
        side = "BUY"
        for _ in range(self.hours * 4):
            await self._call(
                "POST", "/fapi/v1/order", symbol=BTC, side=side, type="MARKET", quantity="0.002"
            )
            side = "SELL" if side == "BUY" and self.clock.now_ms() % 7 else "BUY"
            await self.clock.sleep(900)

    async def _call(self, method: str, path: str, **params: object) -> dict[str, object]:
        params["timestamp"] = self.clock.now_ms()
        query = "&".join(f"{name}={value}" for name, value in params.items())
        url = f"{self.endpoints.rest}{path}?{query}&signature={sign(API_SECRET, query)}"
        async with self.http.request(method, url, headers={"X-MBX-APIKEY": API_KEY}) as answer:
            body = await answer.read()
            self._hear("requests", body)
            return dict(await answer.json())

    async def _read(self, path: str, opened: asyncio.Event) -> None:
        async with self.http.ws_connect(self.endpoints.ws + path) as ws:
            opened.set()
            async for message in ws:
                frame = message.json()
                self._note(frame)
                if _told_ms(frame) < START_MS + self.hours * 3_600_000 - TAIL_MS:
                    self._hear(path, message.data.encode())

    def _hear(self, source: str, raw: bytes) -> None:
        """The bytes of one connection have an order; those of two may arrive either way."""
        self.heard.setdefault(source, hashlib.sha256()).update(raw)

    def digest(self) -> str:
        return " ".join(self.heard[source].hexdigest() for source in sorted(self.heard))

    def _note(self, frame: object) -> None:
        if isinstance(frame, list):
            self.marks += 1
            return
        assert isinstance(frame, dict)
        if frame["e"] == "kline" and frame["k"]["x"]:
            self.closed_candles.append(frame["k"]["t"])
        elif frame["e"] in ("listenKeyExpired", "ACCOUNT_UPDATE"):
            self.private.append(frame["e"] if "a" not in frame else frame["a"]["m"])


def _told_ms(frame: Any) -> int:
    return int((frame[0] if isinstance(frame, list) else frame)["E"])


def lived(seed: int, hours: int) -> Day:
    day = Day(seed, hours)
    run(day.live(), loop_factory=virtual_loop_factory())
    return day


def test_hours_of_exchange_time() -> None:
    day = lived(3, HOURS)
    assert day.failures == []
    candles = day.closed_candles
    assert len(candles) == HOURS * 12
    assert {late - early for early, late in pairwise(candles)} == {300_000}
    assert day.marks == HOURS * 1200
    assert day.private[-1] == "listenKeyExpired"  # after an hour without keep-alive
    wallet = day.server.ledger.wallets["USDC"]
    assert wallet.balance == 400 + wallet.realized - wallet.fees + wallet.funding
    kinds = [row.kind for row in day.server.ledger.income]
    assert kinds.count("FUNDING_FEE") <= 1
    assert kinds.count("COMMISSION") == len(day.server.ledger.trades) >= HOURS * 4


def test_the_same_seed_lives_the_same_hours() -> None:
    first, again, other = lived(3, 1), lived(3, 1), lived(4, 1)
    assert first.digest() == again.digest() != other.digest()


def test_a_connection_is_cut_after_24_hours() -> None:
    lives: list[tuple[str, int]] = []

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

        async def stay(path: str) -> None:
            async with http.ws_connect(endpoints.ws + path) as ws:
                opened = clock.now_ms()
                message = await ws.receive()
                lives.append((path, clock.now_ms() - opened))
                assert message.type is aiohttp.WSMsgType.CLOSE

        with aiohttp_on_virtual_time(loop):
            async with aiohttp.ClientSession() as http:
                await asyncio.gather(stay("/private/ws/none"), stay("/ws-fapi/v1"))
        await server.stop()
        assert await supervisor.close(5.0) == ()
        assert failures == []

    run(live(), loop_factory=virtual_loop_factory())
    assert sorted(path for path, _ in lives) == ["/private/ws/none", "/ws-fapi/v1"]
    assert {life // 1000 for _, life in lives} == {86_400}


def test_sockets_are_pinged_and_dropped_when_they_do_not_answer() -> None:
    told: list[tuple[str, int]] = []

    async def live() -> None:
        loop = asyncio.get_running_loop()
        clock = SimulatedClock(START_MS, loop)
        supervisor = Supervisor(clock, lambda *failure: told.append((repr(failure), 0)))
        server = PaperServer(
            StillFeed(START_MS),
            CONTRACTS,
            clock,
            supervisor,
            seed=1,
            balance=Decimal(400),
            quote="USDC",
            api_key=API_KEY,
            api_secret=API_SECRET,
        )
        endpoints = await server.start()
        with aiohttp_on_virtual_time(loop):
            async with aiohttp.ClientSession() as http:
                for path in ("/public/ws", "/private/ws/none", "/ws-fapi/v1"):
                    async with http.ws_connect(endpoints.ws + path, autoping=False) as ws:
                        began = clock.monotonic()
                        for _ in range(2):
                            message = await ws.receive()
                            assert message.type is aiohttp.WSMsgType.PING
                            told.append((path, round(clock.monotonic() - began)))
                            await ws.pong(message.data)
                        assert (await ws.receive()).type is aiohttp.WSMsgType.PING
                        asked = clock.monotonic()  # this one stays without an answer
                        while not ws.closed:
                            await ws.receive()
                        assert clock.monotonic() - asked <= 600
        await server.stop()
        assert await supervisor.close(5.0) == ()

    run(live(), loop_factory=virtual_loop_factory())
    assert [path for path, _ in told] == ["/public/ws"] * 2 + ["/private/ws/none"] * 2 + [
        "/ws-fapi/v1"
    ] * 2
    assert all(abs(at - 180 * (1 + n % 2)) <= 2 for n, (_, at) in enumerate(told))


def test_the_arithmetic_of_a_client_in_the_process_changes_nothing() -> None:
    """ccxt sets the rounding of the context it runs in, which all tasks of a loop share."""
    plain = lived(3, 1).digest()
    with localcontext() as context:
        context.rounding, context.prec = ROUND_UP, 12
        assert lived(3, 1).digest() == plain
