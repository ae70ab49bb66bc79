"""User data stream (floor 2a): listen key, connection, ordered delivery of venue facts.

`UserDataStreamManager` keeps one listen key and one feed. Every frame is decoded once and handed
to the sink synchronously and in order; the sink's owner holds the one queue and the one consumer.
`UserStreamUp` goes first after every connect, so that a reconcile runs before later events are
trusted; `UserStreamDown` tells that REST has to take over.

The listen key belongs to the account and is never deleted: another process may live on it.

Keeps INV-05 (resync after every gap) and INV-16 (bounded memory, bounded waits).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from core.domain.enums import Severity, StreamState
from core.domain.errors import CredentialsDead, Refused, RetryLater, VenueError
from core.domain.facts import (
    AccountConfigUpdate,
    Alert,
    AlgoUpdate,
    DaemonFact,
    ListenKeyExpired,
    OrderUpdate,
    StreamChanged,
    TradeLite,
    UnknownEvent,
    UserStreamDown,
    UserStreamUp,
    VenueFact,
)
from core.domain.ports import Clock, UserStreamSink
from core.exchange import error_map
from core.exchange.codec import UserStreamCodec
from core.exchange.endpoints import Endpoints
from core.exchange.gateway import ConnectorFactory
from core.exchange.symbols import SymbolMap
from core.exchange.websocket import CONNECT_ERRORS, Feed, SocketFactory
from core.kernel.chance import Chance
from core.kernel.supervisor import Restart, Supervisor

KEEPALIVE_S = 25 * 60.0
KEEPALIVE_PAUSE_S = 30.0
KEY_LIFE_S = 60 * 60.0
ECHO_LIMIT_S = 2.0
CREDENTIALS_PAUSE_S = 60.0
NAME = "user-stream"
_ECHOES_KEPT = 512
_FOREVER = Restart(limit=1_000, window=3_600.0, pause=1.0)


class ListenKeyApi(Protocol):
    """What the stream needs of the exchange client."""

    @property
    def symbols(self) -> SymbolMap: ...

    async def create_listen_key(self) -> str: ...

    async def keep_listen_key(self) -> None: ...


@dataclass(frozen=True, slots=True)
class UserStreamView:
    """State for metrics and status. Ages and uptime in the unit of their name; -1 is never."""

    state: StreamState
    uptime_s: float
    reconnects: int
    key_swaps: int
    events: int
    unknown_events: int
    last_event_age_ms: int
    last_frame_age_ms: int


class UserDataStreamManager:
    """One user data stream. `start` returns at once; `close` ends it and keeps the key."""

    def __init__(
        self,
        client: ListenKeyApi,
        endpoints: Endpoints,
        sink: UserStreamSink,
        *,
        clock: Clock,
        supervisor: Supervisor,
        chance: Chance,
        publish: Callable[[DaemonFact], None],
        connector: ConnectorFactory | None = None,
    ) -> None:
        self._client = client
        self._endpoints = endpoints
        self._sink = sink
        self._clock = clock
        self._supervisor = supervisor
        self._publish = publish
        self._codec = UserStreamCodec(client.symbols)
        self._factory = SocketFactory(endpoints, clock, connector)
        self._feed = Feed(
            NAME,
            self._factory,
            self._address,
            self._on_frame,
            self._on_up,
            self._on_down,
            clock=clock,
            supervisor=supervisor,
            random=chance.stream(NAME),
        )
        self._state = StreamState.CLOSED
        self._key = ""
        self._key_at = float("-inf")
        self._key_swaps = 0
        self._up_at = 0.0
        self._events = 0
        self._unknown: dict[str, int] = {}
        self._last_event_at: float | None = None
        self._expected: OrderedDict[str, float] = OrderedDict()
        self._echoed: OrderedDict[str, None] = OrderedDict()
        self._expecting = asyncio.Event()
        self._leverage_told: dict[tuple[str, int], asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._change(StreamState.CONNECTING, "starting")
        for name, work in (
            (NAME, self._feed.run),
            (f"{NAME}-key", self._keep_key),
            (f"{NAME}-echo", self._watch_echoes),
        ):
            self._tasks.append(self._supervisor.spawn(name, work, _FOREVER))

    async def close(self) -> None:
        """End the stream. The listen key stays valid for whoever else uses it."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._factory.close()
        if tasks:
            self._change(StreamState.CLOSED, "closed")

    async def reconnect(self, reason: str) -> None:
        """Drop the connection and open a new one, because something told that it is deaf."""
        await self._feed.kick(reason)

    @property
    def state(self) -> StreamState:
        return self._state

    def view(self) -> UserStreamView:
        now = self._clock.monotonic()
        socket = self._feed.socket
        last_event = self._last_event_at
        return UserStreamView(
            state=self._state,
            uptime_s=now - self._up_at if self._state is StreamState.LIVE else 0.0,
            reconnects=self._feed.reconnects,
            key_swaps=self._key_swaps,
            events=self._events,
            unknown_events=sum(self._unknown.values()),
            last_event_age_ms=-1 if last_event is None else round((now - last_event) * 1_000),
            last_frame_age_ms=-1 if socket is None else round((now - socket.last_frame_at) * 1_000),
        )

    # --- echo ------------------------------------------------------------------------------------

    def expect_echo(self, client_id: str) -> None:
        """An order of ours was accepted: its event must come within two seconds.

        An event that came before this call counts. Without an echo the stream is deaf and is
        connected anew.
        """
        if client_id in self._echoed or self._state is not StreamState.LIVE:
            return
        self._expected[client_id] = self._clock.monotonic() + ECHO_LIMIT_S
        if len(self._expected) > _ECHOES_KEPT:
            self._expected.popitem(last=False)
        self._expecting.set()

    def _note_echo(self, client_id: str) -> None:
        self._expected.pop(client_id, None)
        self._echoed[client_id] = None
        if len(self._echoed) > _ECHOES_KEPT:
            self._echoed.popitem(last=False)

    @contextmanager
    def hear_leverage(self, symbol: str, leverage: int) -> Iterator[asyncio.Event]:
        """Event that is set when the stream tells that `symbol` now has `leverage`.

        Enter before the change is sent: its event may overtake the answer.
        """
        key = (symbol, leverage)
        told = self._leverage_told[key] = asyncio.Event()
        try:
            yield told
        finally:
            del self._leverage_told[key]

    async def _watch_echoes(self) -> None:
        while True:
            if not self._expected:
                self._expecting.clear()
                await self._expecting.wait()
            client_id, due = next(iter(self._expected.items()), ("", 0.0))
            left = due - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(left)
            elif client_id:
                self._expected.clear()
                self._alert(Severity.WARNING, f"no event for our order {client_id} in time")
                await self._feed.kick("no echo of our own order")

    # --- connection ------------------------------------------------------------------------------

    async def _address(self) -> str:
        """Address with a fresh key. Asking again extends the key, so it is asked every time."""
        try:
            key = await self._client.create_listen_key()
        except CredentialsDead:
            await self._clock.sleep(CREDENTIALS_PAUSE_S)  # retrying fast cannot help
            raise
        if self._key and key != self._key:
            self._key_swaps += 1
        self._key, self._key_at = key, self._clock.monotonic()
        return self._endpoints.private_stream(key)

    def _on_up(self) -> None:
        self._up_at = self._clock.monotonic()
        self._expected.clear()
        self._change(StreamState.LIVE, "connected")
        self._sink.on_venue_fact(
            UserStreamUp(at_ms=self._clock.now_ms(), reconnects=self._feed.reconnects)
        )

    def _on_down(self, reason: str) -> None:
        was_live = self._state is StreamState.LIVE
        self._expected.clear()
        self._change(StreamState.DEGRADED, reason)
        if was_live:
            self._sink.on_venue_fact(UserStreamDown(at_ms=self._clock.now_ms(), reason=reason))

    def _on_frame(self, frame: bytes) -> None:
        fact = self._codec.decode(frame)
        self._events += 1
        self._last_event_at = self._clock.monotonic()
        if isinstance(fact, (OrderUpdate, AlgoUpdate, TradeLite)):
            self._note_echo(fact.client_id)
        elif isinstance(fact, AccountConfigUpdate):
            told = self._leverage_told.get((fact.symbol, fact.leverage))
            if told is not None:
                told.set()
        elif isinstance(fact, UnknownEvent):
            self._count_unknown(fact)
        self._sink.on_venue_fact(fact)
        if isinstance(fact, ListenKeyExpired):
            # The exchange leaves the socket open and silent.
            self._supervisor.spawn(f"{NAME}-expired", lambda: self._feed.kick("listen key expired"))

    def _count_unknown(self, fact: UnknownEvent) -> None:
        """Counted always, told once per kind."""
        known = self._unknown.get(fact.name, 0)
        self._unknown[fact.name] = known + 1
        if not known:
            self._alert(Severity.INFO, f"unknown user event {fact.name}: {fact.detail}")

    # --- key -------------------------------------------------------------------------------------

    async def _keep_key(self) -> None:
        """Extend the key when it is due, and again after each pause while that fails."""
        while True:
            await self._clock.sleep(KEEPALIVE_PAUSE_S)
            if self._key and self._clock.monotonic() - self._key_at >= KEEPALIVE_S:
                await self._extend_key()

    async def _extend_key(self) -> None:
        try:
            await self._client.keep_listen_key()
            self._key_at = self._clock.monotonic()
        except Refused as error:
            if error.code == error_map.NO_SUCH_LISTEN_KEY:
                await self._feed.kick("listen key is gone")
            else:
                self._alert(Severity.WARNING, f"listen key not extended: {error.text}")
        except VenueError as error:
            if self._clock.monotonic() - self._key_at >= KEY_LIFE_S:
                await self._feed.kick("listen key could not be extended in its life")
            self._alert(Severity.WARNING, f"listen key not extended: {error.text}")

    # --- telling ---------------------------------------------------------------------------------

    def _change(self, state: StreamState, detail: str) -> None:
        if state is self._state and state is not StreamState.LIVE:
            return
        self._state = state
        self._publish(StreamChanged(NAME, state, detail, self._clock.now_ms()))

    def _alert(self, severity: Severity, text: str) -> None:
        self._publish(Alert(severity, NAME, text, self._clock.now_ms()))


async def get_listen_key(client: ListenKeyApi) -> str:
    """Listen key of the account, valid for 60 minutes (kept for scripts)."""
    return await client.create_listen_key()


async def keepalive(client: ListenKeyApi, clock: Clock, interval_s: float = KEEPALIVE_S) -> None:
    """Extend the listen key for ever (kept for scripts). Raises the family of `domain.errors`."""
    while True:
        await clock.sleep(interval_s)
        await client.keep_listen_key()


async def stream_user_data(
    client: ListenKeyApi,
    endpoints: Endpoints,
    on_fact: Callable[[VenueFact], None],
    clock: Clock,
) -> None:
    """Deliver the facts of one connection until it ends (kept for scripts).

    Raises the family of `domain.errors`, RetryLater when the stream cannot be connected.
    """
    codec = UserStreamCodec(client.symbols)
    factory = SocketFactory(endpoints, clock)
    try:
        url = endpoints.private_stream(await client.create_listen_key())
        failure = ""
        try:
            socket = await factory.open(url)
        except CONNECT_ERRORS as error:
            failure = type(error).__name__
        # Raised outside the handler: the library's error shows the address with the key.
        if failure:
            raise RetryLater(f"cannot connect the user stream: {failure}")
        await socket.read(lambda frame: on_fact(codec.decode(frame)), lambda: None)
    finally:
        await factory.close()
