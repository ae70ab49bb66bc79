"""A network inside the process (floor 2d): real aiohttp on both ends, bytes travel by timer.

One `MemoryNetwork` joins one server with any number of owners (a life of the daemon, the operator's
phone). Every connection belongs to a link, named by the first part of its path (`market`, `public`,
`private`, `paper` for the exchange's own operator; everything else is `rest`), and every link has
conditions that may change at any time. Bytes keep their order within a connection, as TCP keeps it,
and none is lost while a connection lives: trouble is delay, a reset, a refused or unanswered
connect, or a half-open connection whose two ends believe in each other and hear nothing.

`detach` is what a kill does to a process: its ends fall silent for ever, whatever code still runs
behind them, and the server sees a reset.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

REST = "rest"
STREAMS = ("market", "public", "private")
_APART = (*STREAMS, "paper")
OnChunk = Callable[[str, bool, bytes], None]
"""(link, from the client, bytes) for every write that left."""


class ServesConnections(Protocol):
    """A protocol factory, as aiohttp's server is."""

    def __call__(self) -> asyncio.Protocol: ...


@dataclass(slots=True)
class Conditions:
    """State of a link. Seconds are one way; a spike delays one write and all that follow it."""

    latency_s: float = 0.01
    jitter_s: float = 0.0
    spike_chance: float = 0.0
    spike_s: float = 0.0
    refuse: bool = False
    """New connections are refused."""
    unanswered: bool = False
    """New connections get no answer at all."""


class _End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, wire: "_Wire", *, client: bool, context: contextvars.Context) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._wire = wire
        self._client = client
        self._context = context
        self._protocol: asyncio.Protocol
        self._closing = False
        self._lost = False
        self._paused = False
        self._deaf = False
        self._incoming: deque[tuple[float, bytes | Exception | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    # --- asyncio.Transport -----------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing and data:
            self._wire.carry(bytes(data), from_client=self._client)

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._wire.carry(None, from_client=self._client)
            self.lose_soon(None)

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            error = ConnectionResetError("reset by the peer")
            self._wire.carry(error, from_client=self._client)
            self.lose_soon(None)

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._plan()

    def is_reading(self) -> bool:
        return not self._paused

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    # --- the wire's side -------------------------------------------------------------------------

    def open(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._context.run(protocol.connection_made, self)

    def take(self, due: float, item: bytes | Exception | None) -> None:
        """What arrives at `due`; None is an orderly end, an exception a reset."""
        if not self._lost and not self._deaf:
            self._incoming.append((due, item))
            self._plan()

    def lose_soon(self, error: Exception | None) -> None:
        """Tell the protocol of the end in the next step of the loop."""
        self._wire.loop.call_soon(self._lose, error, context=self._context)

    def fall_silent(self) -> None:
        """Nothing comes in any more, and nobody is told; its own close still ends it."""
        self._deaf = True
        self._incoming.clear()

    def _plan(self) -> None:
        if self._timer is None and self._incoming and not self._paused:
            due = max(self._incoming[0][0], self._wire.loop.time())
            self._timer = self._wire.loop.call_at(due, self._deliver, context=self._context)

    def _deliver(self) -> None:
        self._timer = None
        now = self._wire.loop.time() + 1e-9
        parts: list[bytes] = []
        while self._incoming and self._incoming[0][0] <= now and not self._paused:
            _, item = self._incoming.popleft()
            if isinstance(item, bytes):
                parts.append(item)
                continue
            self._hand_over(parts)
            parts = []
            if item is None and not self._lost:
                self._protocol.eof_received()
            self._closing = True
            self.lose_soon(item)
        self._hand_over(parts)
        self._plan()

    def _hand_over(self, parts: list[bytes]) -> None:
        if parts and not self._lost and not self._closing:
            self._protocol.data_received(parts[0] if len(parts) == 1 else b"".join(parts))

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._incoming.clear()
        self._wire.gone()
        self._protocol.connection_lost(error)


class _Wire:
    """One connection: two ends and the direction-wise order of what travels between them."""

    def __init__(self, network: "MemoryNetwork", link: str, owner: str) -> None:
        self.network = network
        self.loop = network.loop
        self.link = link
        self.owner = owner
        self.dead = False
        self.ends: tuple[_End, _End]
        self._last_due = [0.0, 0.0]
        self._open_ends = 2

    def carry(self, item: bytes | Exception | None, *, from_client: bool) -> None:
        if self.dead:
            return
        if isinstance(item, bytes):
            self.network.on_chunk(self.link, from_client, item)
        due = self.loop.time() + self.network.delay(self.link)
        due = self._last_due[from_client] = max(due, self._last_due[from_client])
        self.ends[1 if from_client else 0].take(due, item)

    def reset(self) -> None:
        """Both ends learn of a reset at once."""
        self.dead = True
        for end in self.ends:
            end._closing = True
            end.lose_soon(ConnectionResetError("connection reset"))

    def gone(self) -> None:
        self._open_ends -= 1
        if self._open_ends <= 0:
            self.network.forget(self)


class MemoryNetwork:
    """`serve` once, then `connector` for every owner. `random` decides delays only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random) -> None:
        self.loop = loop
        self.on_chunk: OnChunk = lambda link, from_client, data: None
        self._random = random
        self._links: dict[str, Conditions] = {}
        self._wires: dict[_Wire, None] = {}
        self._detached: dict[str, None] = {}
        self._factory: ServesConnections | None = None
        self._context = contextvars.copy_context()

    def serve(self, factory: ServesConnections) -> None:
        """Accept connections; what the server does runs in the context of this call."""
        self._factory = factory
        self._context = contextvars.copy_context()

    def connector(self, owner: str) -> aiohttp.BaseConnector:
        """A connector of `owner` for one client session."""
        return _MemoryConnector(self, owner)

    def link(self, name: str) -> Conditions:
        """Conditions of a link, to be changed in place."""
        return self._links.setdefault(name, Conditions())

    @property
    def links(self) -> tuple[str, ...]:
        """The links a daemon uses."""
        return (REST, *STREAMS)

    def delay(self, name: str) -> float:
        """Seconds one write takes now."""
        state = self.link(name)
        seconds = state.latency_s
        if state.jitter_s:
            seconds += state.jitter_s * self._random.random()
        if state.spike_chance and self._random.random() < state.spike_chance:
            seconds += state.spike_s * self._random.random()
        return seconds

    def reset(self, name: str | None = None) -> int:
        """Reset the connections of a link, or all; returns how many there were."""
        return self._each(name, _Wire.reset)

    def half_open(self, name: str | None = None) -> int:
        """Leave the connections of a link, or all, open and deaf; returns how many there were."""

        def silence(wire: _Wire) -> None:
            wire.dead = True

        return self._each(name, silence)

    def detach(self, owner: str) -> None:
        """The owner's process is gone: its ends fall silent, the server sees resets."""
        self._detached[owner] = None
        for wire in [wire for wire in self._wires if wire.owner == owner]:
            client, server = wire.ends
            wire.dead = True
            client.fall_silent()
            due = self.loop.time() + self.delay(wire.link)
            server.take(due, ConnectionResetError("the peer is gone"))
            wire.gone()

    def count(self, name: str, owner: str) -> int:
        """Living connections of an owner on a link."""
        return sum(
            wire.link == name and wire.owner == owner and not wire.dead for wire in self._wires
        )

    def _each(self, name: str | None, act: Callable[[_Wire], None]) -> int:
        hit = [wire for wire in self._wires if not wire.dead and name in (None, wire.link)]
        for wire in hit:
            act(wire)
        return len(hit)

    def forget(self, wire: _Wire) -> None:
        self._wires.pop(wire, None)

    async def connect(self, link: str, owner: str, protocol: asyncio.Protocol) -> None:
        """Join `protocol` with a new one of the server. Raises OSError; may take for ever."""
        state = self.link(link)
        if state.unanswered or owner in self._detached:
            await self.loop.create_future()
        handshake = self.loop.create_future()
        self.loop.call_later(2 * self.delay(link), _finish, handshake)
        await handshake
        if state.refuse or self._factory is None or owner in self._detached:
            raise ConnectionRefusedError(f"{link}: connection refused")
        wire = _Wire(self, link, owner)
        client = _End(wire, client=True, context=contextvars.copy_context())
        server = _End(wire, client=False, context=self._context)
        wire.ends = (client, server)
        self._wires[wire] = None
        accepted = self._factory()
        server.open(accepted)
        client.open(protocol)


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _MemoryConnector(aiohttp.BaseConnector):
    def __init__(self, network: MemoryNetwork, owner: str) -> None:
        super().__init__(limit=0, keepalive_timeout=15.0)
        self._network = network
        self._owner = owner

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        first = req.url.path.split("/", 2)[1]
        link = first if first in _APART else REST
        protocol = ResponseHandler(loop=self._network.loop)
        try:
            async with asyncio.timeout(timeout.sock_connect):
                await self._network.connect(link, self._owner, protocol)
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol
