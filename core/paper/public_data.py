"""Reads public market data of a Binance-compatible server (floor 2c).

Only what a price source needs: which contracts trade, closed minutes by REST, and the 1m kline
stream. Every wait has a time limit; every failure is a `RetryLater` that names the address.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from http import HTTPStatus
from typing import Protocol, TypeVar

import aiohttp
import msgspec

from core.domain.errors import RateLimited, RetryLater
from core.paper.model import PaperCandle

MINUTE_MS = 60_000
PAGE = 1500
"""Most candles one request may return."""
REQUEST_TIMEOUT_S = 10.0
SILENCE_S = 30.0
"""While anything trades a push comes every 250 ms: a stream this long without a word is dead."""
BANNED = 418
"""Status of an address that went on after 429."""
LEAVE_ALONE_S = {HTTPStatus.TOO_MANY_REQUESTS: 60.0, BANNED: 120.0}
"""How long to stay away when the server does not say: its minute, its shortest ban."""
T = TypeVar("T")
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError)


class Limited(RateLimited):
    """429 or 418; `wait_s` is how long the server wants to be left alone."""

    def __init__(self, address: str, status: int, headers: Mapping[str, str]) -> None:
        given = headers.get("Retry-After", "")
        self.wait_s = float(given) if given.isdecimal() else LEAVE_ALONE_S[status]
        word = "banned" if status == BANNED else "rate limited"
        super().__init__(f"{address}: {word} for {self.wait_s:g} s", status=status)


class MinuteRow(Protocol):
    """Anything that has the columns of a minute."""

    @property
    def open_ms(self) -> int: ...
    @property
    def open(self) -> Decimal: ...
    @property
    def high(self) -> Decimal: ...
    @property
    def low(self) -> Decimal: ...
    @property
    def close(self) -> Decimal: ...
    @property
    def volume(self) -> Decimal: ...
    @property
    def quote_volume(self) -> Decimal: ...
    @property
    def trades(self) -> int: ...


def minute_of(symbol: str, row: MinuteRow) -> PaperCandle:
    return PaperCandle(
        symbol,
        row.open_ms,
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.quote_volume,
        row.trades,
    )


class RestRow(msgspec.Struct, array_like=True, frozen=True):
    """Row of GET /fapi/v1/klines."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: int
    quote_volume: Decimal
    trades: int


class StreamRow(msgspec.Struct, frozen=True):
    """`k` of a kline event."""

    open_ms: int = msgspec.field(name="t")
    open: Decimal = msgspec.field(name="o")
    high: Decimal = msgspec.field(name="h")
    low: Decimal = msgspec.field(name="l")
    close: Decimal = msgspec.field(name="c")
    volume: Decimal = msgspec.field(name="v")
    quote_volume: Decimal = msgspec.field(name="q")
    trades: int = msgspec.field(name="n")
    closed: bool = msgspec.field(name="x")


class KlineEvent(msgspec.Struct, frozen=True):
    """A push of `<symbol>@kline_1m`."""

    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    row: StreamRow = msgspec.field(name="k")


class _Combined(msgspec.Struct, frozen=True):
    data: KlineEvent


class _Listed(msgspec.Struct, frozen=True):
    symbol: str
    status: str


class _ExchangeInfo(msgspec.Struct, frozen=True):
    symbols: list[_Listed]


class _Time(msgspec.Struct, frozen=True):
    time_ms: int = msgspec.field(name="serverTime")


_TIME = msgspec.json.Decoder(_Time)
_ROWS = msgspec.json.Decoder(list[RestRow])
_INFO = msgspec.json.Decoder(_ExchangeInfo)
_EVENT = msgspec.json.Decoder(_Combined)


class PublicData:
    """One server. `session` is the caller's to close; `rest_url` and `ws_url` carry no path."""

    def __init__(self, session: aiohttp.ClientSession, rest_url: str, ws_url: str) -> None:
        self._session = session
        self._rest = rest_url.rstrip("/")
        self._ws = ws_url.rstrip("/")

    async def ping(self, timeout: float) -> None:
        """Raises RetryLater when the server does not answer within `timeout` seconds."""
        await self._get("/fapi/v1/ping", {}, timeout)

    async def time_ms(self) -> int:
        """The server's time, UTC ms. Raises RetryLater."""
        path = "/fapi/v1/time"
        return self._decoded(_TIME, await self._get(path, {}), path).time_ms

    async def trading(self) -> frozenset[str]:
        """Symbols that can be traded now. Raises RetryLater."""
        body = await self._get("/fapi/v1/exchangeInfo", {})
        info = self._decoded(_INFO, body, "/fapi/v1/exchangeInfo")
        return frozenset(item.symbol for item in info.symbols if item.status == "TRADING")

    async def minutes(self, symbol: str, since_ms: int, before_ms: int) -> list[PaperCandle]:
        """Minutes that open in [`since_ms`, `before_ms`), oldest first. Raises RetryLater."""
        found: list[PaperCandle] = []
        path = "/fapi/v1/klines"
        while since_ms < before_ms:
            query = {
                "symbol": symbol,
                "interval": "1m",
                "startTime": str(since_ms),
                "endTime": str(before_ms - 1),
                "limit": str(PAGE),
            }
            rows = self._decoded(_ROWS, await self._get(path, query), path)
            wanted = (row for row in rows if since_ms <= row.open_ms < before_ms)
            found += [minute_of(symbol, row) for row in wanted]
            if len(rows) < PAGE:
                break
            since_ms = rows[-1].open_ms + MINUTE_MS
        return found

    @asynccontextmanager
    async def klines(self, symbols: Iterable[str]) -> AsyncIterator["KlineStream"]:
        """The 1m klines of `symbols` on one connection of the market route. Raises RetryLater."""
        names = "/".join(f"{symbol.lower()}@kline_1m" for symbol in symbols)
        address = f"{self._ws}/market/stream?streams={names}"
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                socket = await self._session.ws_connect(address, autoping=True, max_msg_size=2**20)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in LEAVE_ALONE_S:
                raise Limited(self._ws, error.status, error.headers or {}) from error
            raise RetryLater(f"{self._ws}: no stream", status=error.status) from error
        except _FAILURES as error:
            raise RetryLater(f"{self._ws}: no stream: {_reason(error)}") from error
        try:
            yield KlineStream(socket, self._ws)
        finally:
            await socket.close()

    async def _get(
        self, path: str, query: dict[str, str], timeout: float = REQUEST_TIMEOUT_S
    ) -> bytes:
        try:
            async with (
                asyncio.timeout(timeout),
                self._session.get(self._rest + path, params=query) as answer,
            ):
                body = await answer.read()
        except TimeoutError as error:
            raise RetryLater(f"{self._rest}{path}: no answer within {timeout:g} s") from error
        except _FAILURES as error:
            raise RetryLater(f"{self._rest}{path}: {_reason(error)}") from error
        if answer.status in LEAVE_ALONE_S:
            raise Limited(self._rest + path, answer.status, answer.headers)
        if answer.status != HTTPStatus.OK:
            text = body[:200].decode("utf-8", "replace")
            raise RetryLater(f"{self._rest}{path}: {text}", status=answer.status)
        return body

    def _decoded(self, decoder: "msgspec.json.Decoder[T]", body: bytes, path: str) -> T:
        try:
            return decoder.decode(body)
        except msgspec.DecodeError as error:
            raise RetryLater(f"{self._rest}{path}: unexpected answer: {error}") from error


class KlineStream:
    """An open connection; `next` waits for the next push."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, address: str) -> None:
        self._socket = socket
        self._address = address

    async def next(self) -> KlineEvent:
        """Raises RetryLater when the connection ended, fell silent or speaks something else."""
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await self._socket.receive()
        except _FAILURES as error:
            raise RetryLater(f"{self._address}: stream silent: {_reason(error)}") from error
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise RetryLater(f"{self._address}: stream ended: {message.type.name}")
        try:
            return _EVENT.decode(message.data).data
        except msgspec.DecodeError as error:
            raise RetryLater(f"{self._address}: unexpected push: {error}") from error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
