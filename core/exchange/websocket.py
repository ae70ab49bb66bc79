"""WebSocket feeds that stay up (floor 2a).

`SocketFactory` opens one connection; `Feed` keeps one feed alive over many of them: reconnect with
back-off and jitter, reset by data and not by a connect (a wrong route connects and never
delivers); half-open detection by heartbeat; planned replacement before the exchange's 24 h cut,
with both connections open for a while so that nothing is lost in between. Duplicates during that
overlap are the receiver's to drop.

Keeps INV-16: one reader per connection, bounded retries per time, every wait with a limit.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from random import Random

import aiohttp
import certifi
import yarl

from core.domain.errors import VenueError
from core.domain.ports import Clock
from core.exchange.endpoints import Endpoints
from core.exchange.gateway import CONNECT_TIMEOUT_S, ConnectorFactory
from core.kernel.supervisor import Supervisor

HEARTBEAT_S = 10.0
"""Ping after this silence; no pong within half of it closes the connection."""
MAX_AGE_S = 23 * 3_600.0
AGE_JITTER_S = 1_200.0
OVERLAP_S = 3.0
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 30.0
STEADY_S = 300.0
"""A connection that held this long under heartbeats counts as data for a quiet feed."""
_CLOSE_TIMEOUT_S = 1.0

CONNECT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
OnFrame = Callable[[bytes], None]
UrlSource = Callable[[], Awaitable[str]]


class Socket:
    """One open connection and what is known of it. Times in monotonic seconds."""

    def __init__(self, response: "aiohttp.ClientWebSocketResponse[bool]", clock: Clock) -> None:
        self._response = response
        self._clock = clock
        self.opened_at = clock.monotonic()
        self.last_frame_at = self.opened_at
        self.frames = 0
        self.ended = False
        self.reason = ""

    async def read(self, on_frame: OnFrame, on_end: Callable[[], None]) -> None:
        """Hand over frames until the connection ends; then `reason` says why."""
        receive = self._response.receive
        monotonic = self._clock.monotonic
        try:
            while True:
                message = await receive()
                kind = message.type
                if kind is aiohttp.WSMsgType.TEXT or kind is aiohttp.WSMsgType.BINARY:
                    self.last_frame_at = monotonic()
                    self.frames += 1
                    data = message.data
                    on_frame(data if isinstance(data, bytes) else str(data).encode())
                elif kind in _ENDS:
                    self.reason = self.reason or _end_reason(
                        self._response.close_code, message.data
                    )
                    return
        finally:
            self.reason = self.reason or "reader stopped"
            self.ended = True
            on_end()

    async def close(self, reason: str) -> None:
        self.reason = self.reason or reason
        await self._response.close()


_ENDS = frozenset(
    {
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.ERROR,
    }
)


def _end_reason(close_code: int | None, data: object) -> str:
    if isinstance(data, BaseException):
        return f"lost: {type(data).__name__}"
    return f"closed by the exchange (code {close_code})"


class SocketFactory:
    """Opens connections to one venue; owns their HTTP session."""

    def __init__(
        self, endpoints: Endpoints, clock: Clock, connector: ConnectorFactory | None = None
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._connector = connector or self._tcp_connector
        self._session: aiohttp.ClientSession | None = None

    async def open(self, url: str) -> Socket:
        """Connect. Raises one of `CONNECT_ERRORS`, whose text may show the address."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(), trust_env=not self._endpoints.is_local
            )
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            response = await self._session.ws_connect(
                yarl.URL(url, encoded=True),
                heartbeat=HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
                decode_text=False,
            )
        return Socket(response, self._clock)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _tcp_connector(self) -> aiohttp.BaseConnector:
        if not self._endpoints.ws.startswith("wss:"):
            return aiohttp.TCPConnector(limit=0)
        context = ssl.create_default_context(cafile=certifi.where())
        return aiohttp.TCPConnector(ssl=context, limit=0)


class Feed:
    """One feed, kept alive. Callbacks are synchronous and must not raise.

    `url` is asked before every connect and may do REST work; it raises the error family.
    `on_up` follows each first connect and each reconnect, `on_down` each loss; a planned
    replacement causes neither, because there was no gap.
    """

    def __init__(
        self,
        name: str,
        factory: SocketFactory,
        url: UrlSource,
        on_frame: OnFrame,
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        *,
        clock: Clock,
        supervisor: Supervisor,
        random: Random,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self.name = name
        self._factory = factory
        self._url = url
        self._on_frame = on_frame
        self._on_up = on_up
        self._on_down = on_down
        self._clock = clock
        self._supervisor = supervisor
        self._random = random
        self._max_age_s = max_age_s
        self._socket: Socket | None = None
        self._replace_wanted = False
        self._wake = asyncio.Event()
        self._attempt = 0
        self._serial = 0
        self._connects = 0

    @property
    def socket(self) -> Socket | None:
        """The connection in use, None while down."""
        return self._socket

    @property
    def reconnects(self) -> int:
        return max(self._connects - 1, 0)

    def replace(self) -> None:
        """Ask for a new connection (a new address) beside the present one, without a gap."""
        self._replace_wanted = True
        self._wake.set()

    async def kick(self, reason: str) -> None:
        """Drop the present connection because it is not to be trusted."""
        if self._socket is not None:
            await self._socket.close(reason)

    async def run(self) -> None:
        """Keep the feed up until cancelled."""
        try:
            while True:
                socket = await self._connect()
                self._socket = socket
                self._connects += 1
                self._on_up()
                await self._serve()
        finally:
            last, self._socket = self._socket, None
            if last is not None:
                await last.close("stopped")

    async def _serve(self) -> None:
        """Live with the present connection, and its planned successors, until one is lost."""
        while (socket := self._socket) is not None:
            limit = self._max_age_s + self._random.random() * min(AGE_JITTER_S, self._max_age_s / 8)
            if await self._wait(socket, limit):
                self._credit(socket)
                self._socket = None
                self._on_down(socket.reason)
                return
            await self._succeed(socket)

    async def _wait(self, socket: Socket, limit_s: float) -> bool:
        """True when the connection ended, False when it is time for a successor."""
        stop = self._clock.monotonic() + limit_s
        while not socket.ended:
            left = stop - self._clock.monotonic()
            if left <= 0 or self._replace_wanted:
                return False
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return False
        return True

    async def _succeed(self, old: Socket) -> None:
        """Open the successor while the old connection still delivers."""
        self._replace_wanted = False
        try:
            self._socket = await self._open()
        except (VenueError, *CONNECT_ERRORS):
            # The old connection still works; the next round tries again after a pause.
            await self._clock.sleep(self._delay())
            self._replace_wanted = True
            return
        await self._clock.sleep(OVERLAP_S)
        await old.close("replaced")

    async def _connect(self) -> Socket:
        self._replace_wanted = False
        again = self._connects > 0
        while True:
            if again:
                await self._clock.sleep(self._delay())
            again = True
            try:
                return await self._open()
            except VenueError as error:
                self._on_down(error.text)
            except CONNECT_ERRORS as error:
                self._on_down(f"cannot connect: {type(error).__name__}")

    async def _open(self) -> Socket:
        socket = await self._factory.open(await self._url())
        self._serial += 1
        self._supervisor.spawn(
            f"{self.name}-read-{self._serial}", lambda: socket.read(self._on_frame, self._wake.set)
        )
        return socket

    def _delay(self) -> float:
        ceiling = min(BACKOFF_BASE_S * float(2**self._attempt), BACKOFF_CAP_S)
        self._attempt = min(self._attempt + 1, 10)
        return ceiling * (0.5 + self._random.random() / 2)

    def _credit(self, socket: Socket) -> None:
        if socket.frames or self._clock.monotonic() - socket.opened_at >= STEADY_S:
            self._attempt = 0
