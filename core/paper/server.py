"""The paper exchange on loopback (floor 2c): a thin aiohttp shell around the synchronous engine.

REST requests pass, in order: faults that strike before, weight, key and signature, the handler,
faults that strike after. Every handler is synchronous, so a request is atomic. Time is the injected
clock's; tasks belong to the supervisor; nothing polls. Amounts are reckoned and written in a
decimal context of its own: clients in the same process may change the common one (ccxt does).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, setcontext
from types import MappingProxyType
from typing import Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from core.domain.ports import Clock
from core.kernel.chance import Chance
from core.kernel.supervisor import Supervisor
from core.paper import ws_api
from core.paper.candles import CandleBook
from core.paper.errors import ApiError, refuse
from core.paper.exchange import PaperExchange
from core.paper.faults import FaultPlan, Phase, RestFault
from core.paper.ledger import Ledger
from core.paper.limits import Gatekeeper, RateLimits
from core.paper.market_stream import MarketStream
from core.paper.model import Contract, Feed, PaperCandle, Tick
from core.paper.pacing import wait_until
from core.paper.params import Params
from core.paper.quotes import Quotes
from core.paper.records import AlgoOrder, Order, Position
from core.paper.routes import ROUTES
from core.paper.routes_admin import Admin
from core.paper.routing import Desk, RestRoute
from core.paper.sockets import SocketDesk
from core.paper.streams import StreamHub, encode
from core.paper.tape import TradeTape
from core.paper.user_stream import UserStream
from core.paper.ws_api import WsApi

_ARITHMETIC = Context(prec=28, rounding=ROUND_HALF_EVEN)
_NOTHING: Mapping[str, Decimal] = MappingProxyType({})
_KEEPALIVE_S = 3600.0
_SHUTDOWN_S = 2.0
_KEY_CHECK_S = 60.0
_JSON = "application/json"
_HERE = (None, "", "127.0.0.1", "::1")
"""Who may rehearse: this machine, and a listener of tests, which knows no addresses."""
_API_PREFIXES = ("/fapi/", "/sapi/", "/paper/")


class Secret(Protocol):
    """A value that shows itself only when asked (pydantic's SecretStr)."""

    def get_secret_value(self) -> str: ...


class Listener(Protocol):
    """Where requests come in instead of loopback TCP."""

    async def listen(self, server: web.Server) -> "PaperEndpoints": ...


@dataclass(frozen=True, slots=True)
class PaperEndpoints:
    """Where the exchange listens."""

    rest: str
    ws: str
    port: int


class PaperServer:
    """The whole exchange: feed, engine, REST, streams. Implements the feed's `FeedSink`.

    Only contracts the feed has prices for are listed. `balance` is the start wallet in `quote`,
    `also` are the start wallets in other coins.
    `listener` takes the place of TCP on `host` and `port`.
    """

    def __init__(
        self,
        feed: Feed,
        contracts: Mapping[str, Contract],
        clock: Clock,
        supervisor: Supervisor,
        *,
        seed: int,
        balance: Decimal,
        quote: str,
        api_key: str,
        api_secret: Secret | str,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_ms: int = 0,
        faults_enabled: bool = False,
        listener: Listener | None = None,
        also: Mapping[str, Decimal] = _NOTHING,
    ) -> None:
        secret = api_secret if isinstance(api_secret, str) else api_secret.get_secret_value()
        listed = {symbol: contracts[symbol] for symbol in feed.symbols if symbol in contracts}
        self._feed = feed
        self._clock = clock
        self._supervisor = supervisor
        self._host = host
        self._port = port
        self._listener = listener
        self._latency_s = latency_ms / 1000
        chance = Chance(seed)
        self.faults = FaultPlan(chance.stream("faults"))
        self.hub = StreamHub(listed)
        self.users = UserStream(
            self.hub, self.faults, listed, clock.now_ms, chance.stream("listen-key"), self._later
        )
        self.exchange = PaperExchange(
            listed, {quote: balance, **also}, self.users, clock.now_ms, seed
        )
        self.exchange.algos.reject_trigger = lambda algo: self.faults.for_trigger(
            algo.spec.order.symbol
        )
        self.exchange.matcher.share = self.faults.for_fill
        self.candles = CandleBook(listed)
        self.tape = TradeTape(listed)
        quotes = {symbol: Quotes(row) for symbol, row in self.exchange.markets.items()}
        self.market = MarketStream(self.hub, self.exchange, self.candles, self.tape, quotes, clock)
        self._desk = Desk(
            self.exchange, self.candles, self.users, self.market, quotes, self.tape, self._later
        )
        self._gate = Gatekeeper(api_key, secret, clock.now_ms)
        self.limits = RateLimits(clock.now_ms)
        self._sockets = SocketDesk(self.hub, listed, clock, supervisor)
        self._routes = {route.key: route for route in ROUTES}
        self._ws_api = WsApi(self._desk, self._routes, self._gate, self.limits, self.faults, clock)
        self._admin = self._rehearsals() if faults_enabled else None
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._delayed = 0
        self._quote = quote
        self.requests: Counter[str] = Counter()
        self.finished = asyncio.Event()

    def _rehearsals(self) -> Admin:
        return Admin(
            self.exchange,
            self.faults,
            self.hub,
            self.users,
            self.limits,
            self.market,
            self.on_tick,
        )

    # --- life ------------------------------------------------------------------------------------

    async def start(self) -> PaperEndpoints:
        """Load history, listen, run the feed. Raises OSError when the port is taken."""
        if self._runner is not None:
            raise RuntimeError("the paper exchange runs already")
        self._load_history()
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()
        try:
            endpoints = await self._listen(runner)
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        for name in self.market.beats:
            self._spawn(f"paper-beat-{name}", lambda name=name: self.market.beat(name))  # type: ignore[misc] # bound now
        self._spawn("paper-listen-key", self._watch_listen_key)
        self._spawn("paper-feed", self._run_feed)
        return endpoints

    async def _listen(self, runner: web.AppRunner) -> PaperEndpoints:
        if self._listener is not None and runner.server is not None:
            return await self._listener.listen(runner.server)
        await web.TCPSite(runner, self._host, self._port).start()
        port = int(runner.addresses[0][1])
        return PaperEndpoints(f"http://{self._host}:{port}", f"ws://{self._host}:{port}", port)

    async def stop(self) -> None:
        """Stop feed and timers, close sockets and listener. Idempotent. TimeoutError if stuck."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        self.hub.close_route(None)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        async with asyncio.timeout(_SHUTDOWN_S):
            await asyncio.gather(*tasks, return_exceptions=True)  # their ends are the supervisor's

    def _spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        async def live() -> None:
            setcontext(_ARITHMETIC.copy())
            await work()

        self._tasks.append(self._supervisor.spawn(name, live))

    def _load_history(self) -> None:
        for symbol in self.exchange.markets:
            minutes = self._feed.history(symbol)
            if minutes:
                self.candles.load(symbol, minutes)
                self.tape.load(symbol, minutes)
                last = minutes[-1]
                self.exchange.set_price(symbol, last.close, last.open_ms + 59_999)

    async def _run_feed(self) -> None:
        await self._feed.run(self, self._clock)
        self.finished.set()

    async def _watch_listen_key(self) -> None:
        while True:
            await self._clock.sleep(_KEY_CHECK_S)
            self.users.expire_when_due()

    def _later(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Run `act` after a delay, as a supervised task."""

        due = self._clock.now_ms() + delay_ms

        async def wait() -> None:
            setcontext(_ARITHMETIC.copy())
            await wait_until(self._clock, due)
            act()

        self._delayed += 1
        self._supervisor.spawn(f"paper-delayed-{self._delayed}", wait)

    # --- feed ------------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        if tick.symbol not in self.exchange.markets:
            return
        self.candles.on_tick(tick)
        self.exchange.on_tick(tick)
        self.market.on_tick(tick)

    def on_minute(self, candle: PaperCandle) -> None:
        if candle.symbol in self.exchange.markets:
            self.candles.on_minute(candle)
            self.market.on_minute(candle)

    # --- views for tests and the ledger proof ----------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        return self.exchange.ledger

    @property
    def start_balance(self) -> Decimal:
        """Start wallet in the quote coin."""
        return self.ledger.wallets[self._quote].start

    def wallet(self, asset: str) -> Decimal:
        return self.ledger.wallets[asset].balance

    def realized_total(self, asset: str) -> Decimal:
        return self.ledger.wallets[asset].realized

    def fees_total(self, asset: str) -> Decimal:
        return self.ledger.wallets[asset].fees

    def funding_total(self, asset: str) -> Decimal:
        return self.ledger.wallets[asset].funding

    def transfers_total(self, asset: str) -> Decimal:
        return self.ledger.wallets[asset].transfers

    def positions(self) -> list[Position]:
        """Open positions."""
        return self.ledger.open_positions()

    def open_orders(self) -> list[Order]:
        return self.exchange.matcher.open_orders()

    def open_algo_orders(self) -> list[AlgoOrder]:
        return self.exchange.algos.waiting()

    # --- REST ------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        setcontext(_ARITHMETIC.copy())
        path = request.path
        if path == ws_api.PATH and "Upgrade" in request.headers:
            return await self._ws_api.serve(request)
        if not path.startswith(_API_PREFIXES) and "Upgrade" in request.headers:
            return await self._sockets.serve(request)
        body = (await request.read()).decode("utf-8", "replace")
        if self._admin is not None and path.startswith("/paper/") and request.remote in _HERE:
            return self._admin.serve(request.method, path, body)
        name = f"{request.method} {path}"
        self.requests[name] += 1
        if self._latency_s:
            await self._clock.sleep(self._latency_s)
        params = _params(request, body)
        replaced = await self._strike(request, name, "before", params)
        if replaced is not None:
            return replaced
        answer = self._answer(request, path, body, Params(params))
        return await self._strike(request, name, "after", params) or answer

    def _answer(self, request: web.Request, path: str, body: str, params: Params) -> web.Response:
        """Run one request; every refusal becomes its documented JSON."""
        route = self._routes.get((request.method, path))
        counted = route is not None and route.orders != (0, 0)
        try:
            if route is None:
                raise refuse(-5000, f"Path {path}, Method {request.method} is invalid")
            result = self._call(route, request, body, params)
        except ApiError as error:
            headers = self.limits.headers(orders=False)
            if error.status in (418, 429):
                headers["Retry-After"] = self.limits.retry_after()
            return _json({"code": error.code, "msg": error.msg}, error.status, headers)
        return _json(result, 200, self.limits.headers(orders=counted))

    def _call(self, route: RestRoute, request: web.Request, body: str, params: Params) -> object:
        _, _, query = request.raw_path.partition("?")
        self.limits.spend(route.weight(params), route.pool)
        key = request.headers.get("X-MBX-APIKEY")
        self._gate.check(route.security, key, query, body, params)
        if route.orders != (0, 0):
            self.limits.count_orders(*route.orders)
        return route.handler(self._desk, params)

    async def _strike(
        self, request: web.Request, name: str, phase: Phase, params: Mapping[str, str]
    ) -> web.StreamResponse | None:
        """Apply a planned fault; None when the request goes on."""
        fault = self.faults.for_request(name, phase, params)
        if fault is None:
            return None
        if fault.delay_ms:
            await self._clock.sleep(fault.delay_ms / 1000)
        if fault.drop:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return _faulty(fault, self.limits.headers(orders=False))


def _params(request: web.Request, body: str) -> dict[str, str]:
    """Query and form body merged; the query wins."""
    _, _, query = request.raw_path.partition("?")
    values = dict(parse_qsl(body, keep_blank_values=True))
    values.update(parse_qsl(query, keep_blank_values=True))
    return values


def _faulty(fault: RestFault, headers: dict[str, str]) -> web.Response | None:
    if not fault.status:
        return None
    if fault.body:
        return web.Response(
            text=fault.body, status=fault.status, content_type="text/html", headers=headers
        )
    return _json({"code": fault.code, "msg": fault.msg}, fault.status, headers)


def _json(payload: object, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(body=encode(payload), status=status, content_type=_JSON, headers=headers)
