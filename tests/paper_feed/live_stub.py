"""A small Binance-compatible server whose pushes a test writes itself, and a rig around it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from feed_kit import MINUTE, START, Recorder, minute

from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.supervisor import Supervisor
from core.paper.feed_live import LiveFeed
from core.paper.model import PaperCandle
from core.simulation.virtual_loop import aiohttp_on_virtual_time

NOW = START + 100 * MINUTE
SYMBOLS = ("BTCUSDC", "ETHUSDC")
Handler = Callable[[web.Request], web.Response]


class Stub:
    """Serves `minutes` by REST and hands its sockets to the test."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.minutes = {
            s: [minute(NOW + n * MINUTE, symbol=s) for n in range(-100, 0)] for s in SYMBOLS
        }
        self.trading = {s: "TRADING" for s in SYMBOLS}
        self.override: dict[str, web.Response | float] = {}
        self.refuse: web.Response | None = None
        self.requests: list[str] = []
        self.streams: list[str] = []
        self.socket: web.WebSocketResponse | None = None
        self.connected = asyncio.Event()
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/fapi/v1/{name}", self._rest)
        app.router.add_get("/market/stream", self._stream)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return runner

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.requests.append(request.path_qs)
        override = self.override.get(name)
        if isinstance(override, float):
            await self.clock.sleep(override)
        elif override is not None:
            return override
        if name == "time":
            now = NOW + int(self.clock.monotonic() * 1000)  # its own clock, not the client's
            return web.json_response({"serverTime": now})
        if name == "exchangeInfo":
            rows = [{"symbol": s, "status": status} for s, status in self.trading.items()]
            return web.json_response({"symbols": rows})
        if name == "klines":
            return web.json_response(self._klines(request))
        return web.json_response({})

    def _klines(self, request: web.Request) -> list[list[object]]:
        query = request.query
        low, high = int(query["startTime"]), int(query["endTime"])
        rows = [m for m in self.minutes[query["symbol"]] if low <= m.open_ms <= high]
        return [
            [
                m.open_ms,
                *map(str, (m.open, m.high, m.low, m.close, m.volume)),
                m.open_ms + MINUTE - 1,
                str(m.quote_volume),
                m.trades,
                "0",
                "0",
                "0",
            ]
            for m in rows[: int(query["limit"])]
        ]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.streams.append(request.query["streams"])
        if self.refuse is not None:
            return self.refuse
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.socket = socket
        self.connected.set()
        async for _ in socket:
            pass
        return socket

    async def push(self, candle: PaperCandle, at_ms: int, *, closed: bool = False) -> None:
        """What `<symbol>@kline_1m` says when its minute stands at `candle`."""
        assert self.socket is not None
        m = candle
        row = {"t": m.open_ms, "T": m.open_ms + MINUTE - 1, "s": m.symbol, "i": "1m", "x": closed}
        row |= {"o": str(m.open), "h": str(m.high), "l": str(m.low), "c": str(m.close)}
        row |= {"v": str(m.volume), "q": str(m.quote_volume), "n": m.trades, "f": 1, "L": 2}
        data = {"e": "kline", "E": at_ms, "s": m.symbol, "k": row, "st": 1}
        await self.socket.send_json({"stream": f"{m.symbol.lower()}@kline_1m", "data": data})


class Ear(Recorder):
    """A recorder one can wait at."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self._heard = asyncio.Event()

    def _add(self, event: object) -> None:
        super()._add(event)  # type: ignore[arg-type]  # a tick or a candle
        self._heard.set()

    async def until(self, count: int) -> None:
        """Wait for `count` events in all; a minute of the loop's time at most."""
        async with asyncio.timeout(60):
            while len(self.events) < count:
                self._heard.clear()
                await self._heard.wait()


@dataclass
class Rig:
    """Stub, clock and supervisor; `said` is what the feed reported."""

    stub: Stub
    clock: SimulatedClock
    supervisor: Supervisor
    said: list[str] = field(default_factory=list)

    async def open(self, symbols: tuple[str, ...] = SYMBOLS) -> LiveFeed:
        return await LiveFeed.open(
            symbols,
            clock=self.clock,
            supervisor=self.supervisor,
            chance=Chance(7).stream("live"),
            report=self.said.append,
            rest_url=self.stub.url,
            ws_url=self.stub.url.replace("http", "ws"),
            history_minutes=50,
        )

    async def listen(self, symbols: tuple[str, ...] = SYMBOLS) -> Ear:
        """A running feed with its stream connected."""
        feed = await self.open(symbols)
        ear = Ear(self.clock)
        self.supervisor.spawn("feed", lambda: feed.run(ear, self.clock))
        await self.connection()
        return ear

    async def connection(self) -> None:
        """Wait for the next stream to be opened."""
        async with asyncio.timeout(200):
            await self.stub.connected.wait()
        self.stub.connected.clear()


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    loop = asyncio.get_running_loop()
    clock = SimulatedClock(NOW, loop)
    failures: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(clock, lambda name, error, again: failures.append((name, error)))
    with aiohttp_on_virtual_time(loop):
        stub = Stub(clock)
        runner = await stub.start()
        try:
            yield Rig(stub, clock, supervisor)
        finally:
            late = await supervisor.close(5.0)
            await runner.cleanup()
    assert late == ()
    assert failures == []
