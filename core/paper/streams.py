"""WebSocket fan-out (floor 2c): stream names, routes, connections, subscriptions.

A frame is encoded once per event, not once per subscriber. A subscription on the wrong route is
acknowledged and then silent, as on the venue. Each connection has a bounded outbox; a client that
does not read loses its connection, never the exchange's memory (INV-16).
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from core.domain.market import TIMEFRAMES_MS

OUTBOX_LIMIT = 20_000
MAX_STREAMS = 1024
_SYMBOL_STREAM = re.compile(r"^([^@!/]+)@([A-Za-z]+?)(\d*)(?:_(\w+))?(?:@(\d+m?s))?$")
_COIN_STREAM = re.compile(r"^([a-z0-9]+usd)@assetIndex$")
_DEPTH_LEVELS = ("", "5", "10", "20")
_DEPTH_MS = {"": 250, "100ms": 100, "250ms": 250, "500ms": 500}
_PERPETUAL = "_perpetual"


class Route(StrEnum):
    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"


class Topic(StrEnum):
    """What a stream carries, as spelt in its name."""

    BOOK = "bookTicker"
    DEPTH = "depth"
    PRINT = "trade"
    TRADE = "aggTrade"
    KLINE = "kline"
    CONTINUOUS = "continuousKline"
    MARK = "markPrice"
    TICKER = "ticker"
    MINI = "miniTicker"
    FORCE = "forceOrder"
    CONTRACT = "contractInfo"
    RPI = "rpiDepth"
    COLLATERAL = "assetIndex"
    SESSION = "tradingSession"

    @property
    def route(self) -> Route:
        return Route.PUBLIC if self in _PUBLIC else Route.MARKET


_PUBLIC = (Topic.BOOK, Topic.DEPTH, Topic.PRINT, Topic.RPI)
_NO_SYMBOL = (None, Topic.CONTINUOUS, Topic.CONTRACT, Topic.COLLATERAL, Topic.SESSION)
_KLINES = (Topic.KLINE, Topic.CONTINUOUS)


@dataclass(frozen=True, slots=True)
class StreamName:
    """A stream we serve. `symbol` is empty for all markets, `fast` is `@1s` of markPrice; that of
    an assetIndex is the coin with its dollar (`USDCUSD`).

    `levels` is 0 for the differences of the whole book; `period_ms` is the pace of a depth stream.
    """

    text: str
    topic: Topic
    symbol: str = ""
    interval: str = ""
    fast: bool = False
    levels: int = 0
    period_ms: int = 0


_ALL_MARKETS = {
    name: StreamName(name, topic, fast=name.endswith("@1s"))
    for name, topic in (
        ("!bookTicker", Topic.BOOK),
        ("!markPrice@arr", Topic.MARK),
        ("!markPrice@arr@1s", Topic.MARK),
        ("!ticker@arr", Topic.TICKER),
        ("!miniTicker@arr", Topic.MINI),
        ("!forceOrder@arr", Topic.FORCE),
        ("!contractInfo", Topic.CONTRACT),
        ("!assetIndex@arr", Topic.COLLATERAL),
        ("tradingSession", Topic.SESSION),
    )
}


def is_stream(text: str) -> bool:
    """True when a part of a URL names a stream, known or not, and is no mere filler."""
    return "@" in text or text in _ALL_MARKETS or text.startswith("!")


def parse_stream(text: str, symbols: Mapping[str, object]) -> StreamName | None:
    """The stream a name means, None when it is unknown (which is acknowledged and silent)."""
    if text in _ALL_MARKETS:
        return _ALL_MARKETS[text]
    coin = _COIN_STREAM.match(text)
    if coin is not None:
        return StreamName(text, Topic.COLLATERAL, coin[1].upper())
    match = _SYMBOL_STREAM.match(text)
    if match is None:
        return None
    low, kind, digits, interval, pace = (part or "" for part in match.groups())
    topic = next((topic for topic in Topic if topic.value == kind), None)
    if topic is Topic.CONTINUOUS and low.endswith(_PERPETUAL):
        low = low.removesuffix(_PERPETUAL)
    elif topic in _NO_SYMBOL:
        return None
    if low != low.lower() or low.upper() not in symbols or topic is None:
        return None
    if topic is Topic.DEPTH:
        return _depth(text, low.upper(), digits, interval, pace)
    if topic is Topic.RPI:
        plain = not digits and not interval and pace == "500ms"
        return StreamName(text, topic, low.upper(), period_ms=500) if plain else None
    if digits or (interval not in TIMEFRAMES_MS if topic in _KLINES else interval != ""):
        return None
    if pace and (topic is not Topic.MARK or pace != "1s"):
        return None
    return StreamName(text, topic, low.upper(), interval, fast=bool(pace))


def _depth(text: str, symbol: str, levels: str, interval: str, pace: str) -> StreamName | None:
    if interval or levels not in _DEPTH_LEVELS or pace not in _DEPTH_MS:
        return None
    return StreamName(text, Topic.DEPTH, symbol, levels=int(levels or 0), period_ms=_DEPTH_MS[pace])


@dataclass(eq=False, slots=True)
class Connection:
    """One client socket as the hub sees it.

    `keys` maps a listen key to its event allow-list; `frozen` rehearses a half-open socket.
    """

    route: Route
    combined: bool
    names: dict[str, StreamName | None] = field(default_factory=dict)
    keys: dict[str, frozenset[str]] = field(default_factory=dict)
    outbox: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(OUTBOX_LIMIT))
    overflowed: bool = False
    frozen: bool = False
    incoming: deque[float] = field(default_factory=lambda: deque(maxlen=11))

    def send(self, frame: bytes) -> None:
        """Queue a frame; on overflow the connection is to be closed."""
        if self.overflowed or self.frozen:
            return
        try:
            self.outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """Ask the writer to close after what it has; drops the rest when the outbox is full."""
        self.overflowed = True
        while self.outbox.full():
            self.outbox.get_nowait()
        self.outbox.put_nowait(None)


def encode(payload: object) -> bytes:
    return msgspec.json.encode(payload)


def _wrapped(name: str, raw: bytes) -> bytes:
    return b'{"stream":%b,"data":%b}' % (msgspec.json.encode(name), raw)


class StreamHub:
    """All connections and who listens to what."""

    def __init__(self, symbols: Mapping[str, object]) -> None:
        self._symbols = symbols
        self._connections: dict[Connection, None] = {}
        self._listeners: dict[str, dict[Connection, None]] = {}
        self.on_demand: Callable[[], None] = lambda: None

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(self._connections)

    def wanted(self) -> list[StreamName]:
        """Streams somebody listens to on the right route."""
        found: dict[str, StreamName] = {}
        for connection in self._connections:
            for name in connection.names.values():
                if name is not None and name.topic.route is connection.route:
                    found[name.text] = name
        return list(found.values())

    def add(self, connection: Connection) -> None:
        self._connections[connection] = None

    def remove(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self.unsubscribe(connection, tuple(connection.names))

    def subscribe(self, connection: Connection, names: Iterable[str]) -> None:
        for text in names:
            name = parse_stream(text, self._symbols)
            connection.names[text] = name
            if name is not None and name.topic.route is connection.route:
                self._listeners.setdefault(text, {})[connection] = None
        self.on_demand()

    def unsubscribe(self, connection: Connection, names: Iterable[str]) -> None:
        for text in names:
            connection.names.pop(text, None)
            listeners = self._listeners.get(text)
            if listeners is not None:
                listeners.pop(connection, None)
                if not listeners:
                    del self._listeners[text]
        self.on_demand()

    def publish(self, name: str, payload: object) -> None:
        """Send one payload to everyone who listens to `name`."""
        listeners = self._listeners.get(name)
        if listeners:
            self._send(name, encode(payload), tuple(listeners))

    def publish_private(self, listen_key: str, event: str, payload: object) -> None:
        """Send a user event to the sockets of a listen key whose allow-list admits it."""
        targets = [
            connection
            for connection in self._connections
            if listen_key in connection.keys
            and (not connection.keys[listen_key] or event in connection.keys[listen_key])
        ]
        if targets:
            self._send(listen_key, encode(payload), targets)

    @staticmethod
    def _send(name: str, raw: bytes, targets: Iterable[Connection]) -> None:
        wrapped = b""
        for connection in targets:
            if connection.combined:
                wrapped = wrapped or _wrapped(name, raw)
                connection.send(wrapped)
            else:
                connection.send(raw)

    def close_key(self, listen_key: str) -> None:
        """Close every socket of a listen key."""
        for connection in self.connections:
            if listen_key in connection.keys:
                connection.close()

    def freeze_route(self, route: Route | None) -> None:
        """Leave the sockets of a route, or all of them, open but silent."""
        for connection in self.connections:
            if route is None or connection.route is route:
                connection.frozen = True

    def close_route(self, route: Route | None) -> None:
        """Cut all sockets of a route, or all of them."""
        for connection in self.connections:
            if route is None or connection.route is route:
                connection.close()
