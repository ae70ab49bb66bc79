"""Section exchange: what the paper exchange itself can do and costs (floor 8).

Orders go over loopback to an exchange in a process of its own, one after the other, so a rate is
the inverse of a round trip; the exchange's own order limit caps a burst. Stream rates have the
exchange and its ten listeners in this process. Simulated minutes run on a virtual loop with nobody
listening: the price model, the books and the engine.
"""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from http import HTTPStatus

import aiohttp
import msgspec

from core.kernel.clock import LiveClock, SimulatedClock, stopwatch
from core.kernel.loops import live_loop_factory, run
from core.kernel.supervisor import Supervisor
from core.paper.contracts import listed_contracts
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.model import Contract, Feed, Tick
from core.paper.server import PaperServer
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory
from tools.benchmarks.child import Child
from tools.benchmarks.figures import (
    MICROSECONDS,
    MILLISECONDS,
    Effort,
    Row,
    Section,
    SectionFailed,
    rate,
    row,
)
from tools.benchmarks.rest import (
    LIMIT_S,
    TIMEOUT,
    WIRE,
    Send,
    Venue,
    library_at,
    next_window,
    plain_order,
    unified_order,
)

NAME = "exchange"
TITLE = "the paper exchange: orders and stream messages per second, memory, simulated minutes"
_BURST = 180
"""Orders of one window of 10 s, below the exchange's limit of 300."""
_SOCKETS = 10
_SYMBOLS = 35
_MINUTE_S = 60.0
_START_MS = 1_750_032_000_000
_PER_SYMBOL = 50
"""Resting orders per contract, below its limit of 200."""
_KEY, _SECRET = "bench", "bench-secret"
_BOTH = ("USDC", "USDT")


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when something that was timed had no effect."""
    rows = [
        *_orders(effort),
        run(_streams(effort), loop_factory=live_loop_factory()),
        run(_memory(effort), loop_factory=live_loop_factory()),
        *run(_minutes(effort), loop_factory=virtual_loop_factory()),
    ]
    notes = (
        "orders: one client, one order at a time; streams: exchange and listeners in one process",
        f"a simulated minute has {_SYMBOLS} symbols, a price each every 5 s, no client",
    )
    return Section(NAME, TITLE, tuple(rows), notes)


# --- orders --------------------------------------------------------------------------------------


def _orders(effort: Effort) -> list[Row]:
    with Child(["-m", "tools.paper_exchange", "--symbols", WIRE], '"rest"') as child:
        _, line = child.ready(LIMIT_S)
        venue = msgspec.json.decode(line, type=Venue)
        return run(_order_rates(venue, effort), loop_factory=live_loop_factory())


async def _order_rates(venue: Venue, effort: Effort) -> list[Row]:
    clock, library = LiveClock(), library_at(venue)
    try:
        await library.load_markets()
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            async with session.get(f"{venue.rest}/fapi/v1/ticker/bookTicker?symbol={WIRE}") as told:
                bid = Decimal((await told.json())["bidPrice"])
            price = (bid * Decimal("0.97")).quantize(Decimal("0.0001"))
            senders: tuple[tuple[str, Send], ...] = (
                ("aiohttp and HMAC", plain_order(session, venue, clock, price)),
                ("ccxt create_order", unified_order(library, price)),
            )
            return [await _order_rate(name, send, clock, effort) for name, send in senders]
    except aiohttp.ClientError as error:
        raise SectionFailed(f"an order was not taken: {error}") from None
    finally:
        await library.close()


async def _order_rate(name: str, send: Send, clock: LiveClock, effort: Effort) -> Row:
    rounds: list[list[float]] = []
    for number in range(effort.pick(3, 1)):
        if effort.pick(1, 0):  # a few orders fit into any window
            await next_window(clock)
        samples = []
        for turn in range(effort.pick(_BURST, 20)):
            began = stopwatch()
            await send(f"rate-{name[:4]}-{number}-{turn}")
            samples.append((stopwatch() - began) * MICROSECONDS)
        rounds.append(samples)
    return rate(f"orders by {name}", rounds)


# --- streams -------------------------------------------------------------------------------------


class _Still:
    """A feed with one price per symbol that plays nothing: the benchmark plays."""

    def __init__(self, symbols: tuple[str, ...], start_ms: int) -> None:
        self.symbols = symbols
        self.start_ms = start_ms
        self.end_ms: int | None = None
        self.simulated = True

    def describe(self) -> str:
        return "still"

    def history(self, symbol: str) -> tuple[()]:
        return ()

    async def run(self, sink: object, clock: object) -> None:
        await asyncio.Event().wait()


def _server(
    feed: Feed,
    contracts: dict[str, Contract],
    clock: LiveClock | SimulatedClock,
    keep: list[str],
    *,
    by_hand: bool = False,
) -> PaperServer:
    return PaperServer(
        feed,
        contracts,
        clock,
        Supervisor(clock, lambda name, error, again: keep.append(f"{name}: {error!r}")),
        seed=7,
        balance=Decimal(10**9),
        quote="USDC",
        api_key=_KEY,
        api_secret=_SECRET,
        faults_enabled=by_hand,
    )


def _ticks(symbols: tuple[str, ...], clock: LiveClock, rounds: int) -> Iterator[Tick]:
    for number in range(rounds):
        for symbol in symbols:
            price = Decimal(1000 + number % 7)
            yield Tick(symbol, clock.now_ms(), price, Decimal(1), gap=False)


async def _streams(effort: Effort) -> Row:
    """Book tops and trades of all contracts to ten sockets, as fast as they are read."""
    contracts = listed_contracts(("USDC",))
    symbols, clock, failures = tuple(contracts), LiveClock(), list[str]()
    server = _server(_Still(symbols, clock.now_ms()), contracts, clock, failures)
    endpoints = await server.start()
    names = "/".join(f"{symbol.lower()}@bookTicker" for symbol in symbols)
    samples: list[list[float]] = []
    per_round = effort.pick(40, 4) * len(symbols)
    try:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            url = f"{endpoints.ws}/public/stream?streams={names}"
            sockets = [
                await stack.enter_async_context(http.ws_connect(url)) for _ in range(_SOCKETS)
            ]
            for _ in range(effort.pick(5, 1)):
                began = stopwatch()
                for tick in _ticks(symbols, clock, per_round // len(symbols)):
                    server.on_tick(tick)
                await asyncio.gather(*(_read(socket, per_round) for socket in sockets))
                share = (stopwatch() - began) * MICROSECONDS / (per_round * _SOCKETS)
                samples.append([share] * per_round)
    finally:
        await server.stop()
    if failures:
        raise SectionFailed(failures[0])
    return rate(f"messages to {_SOCKETS} sockets", samples)


async def _read(socket: aiohttp.ClientWebSocketResponse, count: int) -> None:
    for _ in range(count):
        message = await socket.receive(LIMIT_S)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise SectionFailed(f"a listener was cut off: {message.type.name}")


# --- memory --------------------------------------------------------------------------------------


async def _memory(effort: Effort) -> Row:
    """Bytes that one resting order adds; placed by hand, which has no rate limit."""
    contracts = listed_contracts(("USDC",))
    symbols, clock, failures = tuple(contracts), LiveClock(), list[str]()
    rounds = []
    for _ in range(effort.pick(3, 1)):
        feed = _Still(symbols, clock.now_ms())
        server = _server(feed, contracts, clock, failures, by_hand=True)
        endpoints = await server.start()
        for symbol, contract in contracts.items():
            price = _on_tick(contract, Decimal(1))
            server.on_tick(Tick(symbol, clock.now_ms(), price, Decimal(1), gap=False))
        count = effort.pick(_PER_SYMBOL, 3) * len(symbols)
        try:
            async with aiohttp.ClientSession() as http:
                url = f"{endpoints.rest}/paper/manual"
                await _rest(http, url, contracts, 0)  # what the first of each costs once
                tracemalloc.start()
                before, _ = tracemalloc.get_traced_memory()
                for number in range(count // len(symbols)):
                    await _rest(http, url, contracts, number + 1)
                gc.collect()
                after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await server.stop()
        if len(server.open_orders()) != count + len(symbols):
            raise SectionFailed(f"{len(server.open_orders())} orders rest")
        rounds.append([(after - before) / count])
    return row("memory of an open order", "B", rounds)


def _on_tick(contract: Contract, share: Decimal) -> Decimal:
    """A price that the contract's filters take, or a share of it."""
    price = min(contract.max_price, Decimal(1000)) / 2 * share
    return price // contract.tick * contract.tick


async def _rest(
    http: aiohttp.ClientSession, url: str, contracts: dict[str, Contract], number: int
) -> None:
    """One order below the market in each contract."""
    wish = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    for symbol, contract in contracts.items():
        price = _on_tick(contract, Decimal("0.97"))
        steps = contract.min_notional * 2 // (price * contract.step) + 1
        named = {"symbol": symbol, "newClientOrderId": f"bench-{symbol}-{number}"}
        named |= {"price": f"{price:f}", "quantity": f"{steps * contract.step:f}"}
        async with http.post(url, json={"op": "order", "params": {**wish, **named}}) as answer:
            if answer.status != HTTPStatus.OK:
                raise SectionFailed(f"{named}: {await answer.text()}")


# --- simulated minutes ---------------------------------------------------------------------------


async def _minutes(effort: Effort) -> list[Row]:
    """Real time of minutes that pass on the virtual loop."""
    loop = asyncio.get_running_loop()
    every = listed_contracts(_BOTH)
    contracts = {symbol: every[symbol] for symbol in list(every)[:_SYMBOLS]}
    clock, failures = SimulatedClock(_START_MS, loop), list[str]()
    feed = SyntheticFeed(list(contracts.values()), 7, _START_MS, 120)
    rounds = []
    with aiohttp_on_virtual_time(loop):
        server = _server(feed, contracts, clock, failures)
        await server.start()
        await clock.sleep(_MINUTE_S * 2)
        for _ in range(effort.pick(3, 1)):
            samples = []
            for _ in range(effort.pick(60, 3)):
                began = stopwatch()
                await clock.sleep(_MINUTE_S)
                samples.append((stopwatch() - began) * MILLISECONDS)
            rounds.append(samples)
        await server.stop()
    if failures:
        raise SectionFailed(failures[0])
    if len(server.exchange.markets) != _SYMBOLS:
        raise SectionFailed(f"{len(server.exchange.markets)} symbols")
    return [row(f"a simulated minute of {_SYMBOLS} symbols", "ms", rounds)]
