"""Section rest: one signed order to a local exchange and back, by three clients (floor 8).

The exchange is `tools.paper_exchange` in a process of its own, so the CPU time of this process is
the client's. The clients take turns order by order: this project's, aiohttp with nothing but an
HMAC, and ccxt's unified `create_order` with its limiter off. Orders are limits far from the market
that expire at once (IOC): nothing stays open. Pauses keep within the exchange's order limits.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlencode

import aiohttp
import msgspec
from pydantic import SecretStr

from core.domain.errors import VenueError
from core.domain.ports import Clock
from core.exchange.endpoints import Endpoints
from core.exchange.library import Credentials, load_exchange_class
from core.exchange_client import OptimizedExchangeClient
from core.kernel.clock import LiveClock, stopwatch
from core.kernel.loops import live_loop_factory, run
from tools.benchmarks.child import Child
from tools.benchmarks.figures import MICROSECONDS, Effort, Row, Section, SectionFailed, row
from tools.benchmarks.machine import cpu_us

NAME = "rest"
TITLE = "signed order POST and its answer over loopback, exchange in another process"
LIMIT_S = 60.0
SYMBOL, WIRE = "XRP/USDC:USDC", "XRPUSDC"
_QUANTITY = "10"
_TURNS = 70
"""Orders of each client in one window of 10 s: together below the 240 that ours may send."""
WINDOW_MS = 10_000
_NOTE = "the round trip contains the exchange's own work and the wake-ups of two processes"
TIMEOUT = aiohttp.ClientTimeout(total=10.0)

Send = Callable[[str], Awaitable[object]]
"""Sends one order with this client order id and reads the answer."""


class Venue(msgspec.Struct, frozen=True):
    """What the exchange says when it is ready."""

    rest: str
    ws: str
    api_key: str
    api_secret: str


class _Unified(Protocol):
    """What is used of ccxt here."""

    urls: dict[str, dict[str, str]]

    async def load_markets(self) -> object: ...

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: float,
        price: float,
        params: dict[str, str],
    ) -> object: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Client:
    """One way to send, with its samples: microseconds of time and of this process' CPU."""

    name: str
    send: Send
    wall: list[list[float]] = field(default_factory=list)
    cpu: list[list[float]] = field(default_factory=list)

    def rows(self) -> tuple[Row, Row]:
        return (
            row(f"{self.name}, round trip", "us", self.wall),
            row(f"{self.name}, CPU of the client", "us", self.cpu),
        )


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when the exchange or a client does not work."""
    with Child(["-m", "tools.paper_exchange", "--symbols", WIRE], '"rest"') as child:
        _, line = child.ready(LIMIT_S)
        venue = msgspec.json.decode(line, type=Venue)
        return run(_measure(venue, effort), loop_factory=live_loop_factory())


async def _measure(venue: Venue, effort: Effort) -> Section:
    clock = LiveClock()
    keys = Credentials(SecretStr(venue.api_key), SecretStr(venue.api_secret))
    ours = OptimizedExchangeClient(Endpoints(venue.rest, venue.ws), keys, clock)
    library = library_at(venue)
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            await ours.initialize()
            await library.load_markets()
            price = await price_of(ours)
            clients = (
                _Client("aiohttp and HMAC", plain_order(session, venue, clock, price)),
                _Client("this project", own_order(ours, price)),
                _Client("ccxt create_order", unified_order(library, price)),
            )
            await _turns(clients, 10, "w", keep=False)
            for number in range(effort.pick(4, 1)):
                await next_window(clock)
                await _turns(clients, effort.pick(_TURNS, 20), f"r{number}", keep=True)
    except (VenueError, aiohttp.ClientError) as error:
        raise SectionFailed(f"an order was not taken: {error}") from None
    finally:
        await library.close()
        await ours.close()
    return Section(NAME, TITLE, _rows(clients), (_NOTE,))


def _rows(clients: tuple[_Client, ...]) -> tuple[Row, ...]:
    plain, own, unified = (client.rows() for client in clients)
    rows: list[Row] = []
    for which in (0, 1):
        floor, ccxt = plain[which], unified[which]
        rows += [
            floor,
            own[which].against(floor, "aiohttp and HMAC").against(ccxt, "ccxt"),
            ccxt.against(floor, "aiohttp and HMAC"),
        ]
    return tuple(rows)


async def _turns(clients: tuple[_Client, ...], count: int, tag: str, *, keep: bool) -> None:
    """`count` orders of each client, taking turns."""
    wall: list[list[float]] = [[] for _ in clients]
    cpu: list[list[float]] = [[] for _ in clients]
    for number in range(count):
        for index, client in enumerate(clients):
            before, began = cpu_us(), stopwatch()
            await client.send(f"bench-{tag}-{index}-{number}")
            wall[index].append((stopwatch() - began) * MICROSECONDS)
            cpu[index].append(cpu_us() - before)
    if keep:
        for index, client in enumerate(clients):
            client.wall.append(wall[index])
            client.cpu.append(cpu[index])


async def next_window(clock: Clock) -> None:
    """Wait for the next window of the exchange's order limit to begin."""
    await clock.sleep((WINDOW_MS - clock.now_ms() % WINDOW_MS) / 1_000 + 0.05)


async def price_of(client: OptimizedExchangeClient) -> Decimal:
    """A bid too low to be filled, inside the exchange's price band."""
    book = (await client.get_book_tops())[SYMBOL]
    return (book.bid * Decimal("0.97")).quantize(Decimal("0.0001"))


def own_order(client: OptimizedExchangeClient, price: Decimal) -> Send:
    async def send(client_id: str) -> object:
        params = {"newClientOrderId": client_id, "timeInForce": "IOC"}
        return await client.create_order(SYMBOL, "limit", "buy", _QUANTITY, price, params)

    return send


def plain_order(session: aiohttp.ClientSession, venue: Venue, clock: Clock, price: Decimal) -> Send:
    """The least an aiohttp program can do: text, signature, request, JSON."""
    secret = venue.api_secret.encode()
    headers = {
        "X-MBX-APIKEY": venue.api_key,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    url = f"{venue.rest}/fapi/v1/order"

    async def send(client_id: str) -> object:
        fields = {
            "symbol": WIRE,
            "side": "BUY",
            "type": "LIMIT",
            "quantity": _QUANTITY,
            "price": str(price),
            "timeInForce": "IOC",
            "newClientOrderId": client_id,
            "newOrderRespType": "RESULT",
            "recvWindow": "5000",
            "timestamp": str(clock.now_ms()),
        }
        text = urlencode(fields)
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        body = f"{text}&signature={signature}"
        async with session.post(url, data=body, headers=headers) as response:
            answer = await response.json()
            if response.status != HTTPStatus.OK:
                raise SectionFailed(f"aiohttp and HMAC: {response.status} {answer}")
            return answer

    return send


def unified_order(library: _Unified, price: Decimal) -> Send:
    amount, limit = float(_QUANTITY), float(price)

    async def send(client_id: str) -> object:
        params = {"newClientOrderId": client_id, "timeInForce": "IOC"}
        return await library.create_order(SYMBOL, "limit", "buy", amount, limit, params)

    return send


def library_at(venue: Venue) -> _Unified:
    """ccxt as a program of its own would use it, its limiter off (on, it waits 200 ms)."""
    library: _Unified = load_exchange_class("binanceusdm")(
        {
            "apiKey": venue.api_key,
            "secret": venue.api_secret,
            "enableRateLimit": False,
            "options": {"fetchCurrencies": False},
        }
    )
    for name, url in library.urls["api"].items():
        if name.startswith("fapi"):
            library.urls["api"][name] = url.replace("https://fapi.binance.com", venue.rest)
    return library
