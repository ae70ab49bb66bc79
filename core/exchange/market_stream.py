"""Market streams (floor 2a): which connections there are and what their frames say.

Klines, mark prices and 24 h statistics travel on `/market`, book tops on `/public`; at most 200
streams share a connection. Book tops and statistics are looked at now and then, the former come by
the thousand, so their newest frame is kept as bytes and decoded when it is asked for.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import msgspec

from core.domain.market import BookTop, Candle, MarkPrice, Ticker24h
from core.domain.ports import Clock
from core.exchange.endpoints import (
    Endpoints,
    StreamRoute,
    book_stream,
    kline_stream,
    mark_stream,
    ticker_stream,
)
from core.exchange.gateway import ConnectorFactory
from core.exchange.symbols import SymbolMap
from core.exchange.websocket import Feed, SocketFactory
from core.kernel.chance import Chance
from core.kernel.supervisor import Restart, Supervisor

MAX_STREAMS = 200
"""Streams per connection; the exchange allows 1024 and closes what lags behind."""
_PREFIX = b'{"stream":"'
_MALFORMED = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
_FOREVER = Restart(limit=1_000, window=3_600.0, pause=1.0)


class _Envelope(msgspec.Struct):
    stream: str


class _KlineBody(msgspec.Struct):
    t: int
    o: str
    h: str
    l: str  # noqa: E741 - the exchange's key
    c: str
    v: str
    q: str
    x: bool


class _Kline(msgspec.Struct):
    k: _KlineBody


class _KlineFrame(msgspec.Struct):
    data: _Kline


class _Mark(msgspec.Struct):
    E: int
    p: Decimal
    r: str
    T: int


class _MarkFrame(msgspec.Struct):
    data: _Mark


class _Ticker(msgspec.Struct):
    E: int
    c: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the exchange's key
    q: Decimal


class _TickerFrame(msgspec.Struct):
    data: _Ticker


class _Book(msgspec.Struct):
    E: int
    b: Decimal
    B: Decimal
    a: Decimal
    A: Decimal


class _BookFrame(msgspec.Struct):
    data: _Book


class MarketStreamSink(Protocol):
    """Who listens. Calls are synchronous and must not raise."""

    def on_stream_candle(self, symbol: str, candle: Candle) -> None: ...

    def on_stream_mark(self, mark: MarkPrice) -> None: ...

    def on_stream_up(self, route: StreamRoute, symbols: tuple[str, ...]) -> None: ...

    def on_stream_down(self, route: StreamRoute, reason: str) -> None: ...


@dataclass(slots=True)
class _Shard:
    """One connection and the symbols it carries."""

    route: StreamRoute
    feed: Feed
    symbols: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    task: asyncio.Task[None] | None = field(default=None)


class MarketStream:
    """Connections for a changing set of symbols."""

    def __init__(
        self,
        endpoints: Endpoints,
        symbols: SymbolMap,
        timeframe: str,
        sink: MarketStreamSink,
        *,
        clock: Clock,
        supervisor: Supervisor,
        chance: Chance,
        connector: ConnectorFactory | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._symbols = symbols
        self._timeframe = timeframe
        self._sink = sink
        self._clock = clock
        self._supervisor = supervisor
        self._chance = chance
        self._factory = SocketFactory(endpoints, clock, connector)
        self._shards: dict[tuple[StreamRoute, int], _Shard] = {}
        self._routes: dict[bytes, tuple[Callable[[str, bytes], None], str]] = {}
        self._books: dict[str, bytes | BookTop] = {}
        self._tickers: dict[str, bytes | Ticker24h] = {}
        self._klines = msgspec.json.Decoder(_KlineFrame)
        self._marks = msgspec.json.Decoder(_MarkFrame)
        self._book_frames = msgspec.json.Decoder(_BookFrame)
        self._ticker_frames = msgspec.json.Decoder(_TickerFrame)
        self._envelopes = msgspec.json.Decoder(_Envelope)
        self.malformed = 0
        """Frames that could not be read, ever."""

    @property
    def is_up(self) -> bool:
        """True when every connection is open and the steady ones have delivered something.

        Mark prices come each second; book tops only when something moves.
        """
        for shard in self._shards.values():
            socket = shard.feed.socket
            if socket is None or socket.ended:
                return False
            if shard.route is StreamRoute.MARKET and not socket.frames:
                return False
        return bool(self._shards)

    @property
    def reconnects(self) -> int:
        return sum(shard.feed.reconnects for shard in self._shards.values())

    def book(self, symbol: str) -> BookTop | None:
        """Newest best bid and ask, decoded on demand."""
        latest = self._books.get(symbol)
        if latest is None or isinstance(latest, BookTop):
            return latest
        try:
            row = self._book_frames.decode(latest).data
        except _MALFORMED:
            self.malformed += 1
            del self._books[symbol]
            return None
        top = BookTop(symbol, row.b, row.B, row.a, row.A, row.E)
        self._books[symbol] = top
        return top

    def ticker(self, symbol: str) -> Ticker24h | None:
        """Newest 24 h statistics, decoded on demand."""
        latest = self._tickers.get(symbol)
        if latest is None or isinstance(latest, Ticker24h):
            return latest
        try:
            row = self._ticker_frames.decode(latest).data
        except _MALFORMED:
            self.malformed += 1
            del self._tickers[symbol]
            return None
        ticker = Ticker24h(symbol, row.c, row.q, row.E, row.h, row.l)
        self._tickers[symbol] = ticker
        return ticker

    def put_book(self, top: BookTop) -> None:
        """Take a book top from REST while the stream is down."""
        self._books[top.symbol] = top

    def set_symbols(self, symbols: tuple[str, ...]) -> None:
        """Carry exactly these symbols. Connections whose streams change are replaced gaplessly."""
        self._routes.clear()
        kept = frozenset(symbols)
        for latest in (self._books, self._tickers):
            for gone in [symbol for symbol in latest if symbol not in kept]:
                del latest[gone]
        self._assign(StreamRoute.MARKET, symbols, MAX_STREAMS // 3)
        self._assign(StreamRoute.PUBLIC, symbols, MAX_STREAMS)

    async def silence(self, limits_s: dict[StreamRoute, float]) -> list[tuple[StreamRoute, float]]:
        """Drop connections on which nothing came for longer than their route's limit (seconds).

        Returns what was dropped: connected is not the same as flowing.
        """
        now = self._clock.monotonic()
        dropped: list[tuple[StreamRoute, float]] = []
        for shard in list(self._shards.values()):
            socket = shard.feed.socket
            if socket is None or socket.ended:
                continue
            silent = now - socket.last_frame_at
            if silent > limits_s[shard.route]:
                dropped.append((shard.route, silent))
                await shard.feed.kick(f"silent for {silent:.0f} s")
        return dropped

    async def close(self) -> None:
        tasks = [shard.task for shard in self._shards.values() if shard.task is not None]
        self._shards.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._factory.close()

    def _assign(self, route: StreamRoute, symbols: tuple[str, ...], per_shard: int) -> None:
        chunks = [symbols[at : at + per_shard] for at in range(0, len(symbols), per_shard)]
        for number, chunk in enumerate(chunks):
            shard = self._shards.get((route, number)) or self._create(route, number)
            streams = self._streams(route, chunk)
            changed = streams != shard.streams
            shard.symbols, shard.streams = chunk, streams
            if shard.task is None:
                name = shard.feed.name
                shard.task = self._supervisor.spawn(name, shard.feed.run, _FOREVER)
            elif changed:
                shard.feed.replace()
        number = len(chunks)
        while (surplus := self._shards.pop((route, number), None)) is not None:
            if surplus.task is not None:
                surplus.task.cancel()
            number += 1

    def _create(self, route: StreamRoute, number: int) -> _Shard:
        name = f"{route.value}-stream-{number}"

        async def address() -> str:
            return self._endpoints.combined_stream(route, shard.streams)

        feed = Feed(
            name,
            self._factory,
            address,
            self._on_frame,
            lambda: self._sink.on_stream_up(route, shard.symbols),
            lambda reason: self._sink.on_stream_down(route, reason),
            clock=self._clock,
            supervisor=self._supervisor,
            random=self._chance.stream(name),
        )
        shard = self._shards[route, number] = _Shard(route, feed)
        return shard

    def _streams(self, route: StreamRoute, symbols: tuple[str, ...]) -> tuple[str, ...]:
        names: list[str] = []
        for symbol in symbols:
            wire = self._symbols.to_wire(symbol)
            if route is StreamRoute.PUBLIC:
                names.append(self._carry(book_stream(wire), self._on_book, symbol))
            else:
                kline = kline_stream(wire, self._timeframe)
                names.append(self._carry(kline, self._on_kline, symbol))
                names.append(self._carry(mark_stream(wire), self._on_mark, symbol))
                names.append(self._carry(ticker_stream(wire), self._on_ticker, symbol))
        return tuple(names)

    def _carry(self, name: str, handler: Callable[[str, bytes], None], symbol: str) -> str:
        self._routes[name.encode()] = (handler, symbol)
        return name

    def _on_frame(self, frame: bytes) -> None:
        if frame.startswith(_PREFIX):
            begin = len(_PREFIX)
            name = frame[begin : frame.find(b'"', begin)]
        else:
            name = self._name_of(frame)
        route = self._routes.get(name)
        if route is None and b"\\" in name:  # letters outside ASCII, escaped
            route = self._routes.get(self._name_of(frame))
        if route is None:
            return  # the last frames of a symbol no longer carried, or an answer to a command
        handler, symbol = route
        try:
            handler(symbol, frame)
        except _MALFORMED:
            self.malformed += 1

    def _name_of(self, frame: bytes) -> bytes:
        try:
            return self._envelopes.decode(frame).stream.encode()
        except _MALFORMED:
            self.malformed += 1
            return b""

    def _on_kline(self, symbol: str, frame: bytes) -> None:
        k = self._klines.decode(frame).data.k
        if k.x:
            candle = Candle(
                k.t, float(k.o), float(k.h), float(k.l), float(k.c), float(k.v), float(k.q)
            )
            self._sink.on_stream_candle(symbol, candle)

    def _on_mark(self, symbol: str, frame: bytes) -> None:
        m = self._marks.decode(frame).data
        # The rate is empty for contracts without funding.
        self._sink.on_stream_mark(MarkPrice(symbol, m.p, Decimal(m.r or 0), m.T, m.E))

    def _on_ticker(self, symbol: str, frame: bytes) -> None:
        self._tickers[symbol] = frame

    def _on_book(self, symbol: str, frame: bytes) -> None:
        self._books[symbol] = frame
