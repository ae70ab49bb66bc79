"""One way out to the REST interface (floor 2a): budget, signature, deadline, error family.

ccxt signs and routes; the sending itself is ours (its `fetch` is replaced), because an answer must
keep its status, body and headers to be judged, and because ccxt's own limiter would hold the
stop back 200 ms behind the entry. Nothing of aiohttp or ccxt escapes: every failure is one of
`core.domain.errors` without a context, so no header, URL or signature can end in a trace.

Keeps INV-04 (a lost answer of a mutating call is an unknown outcome) and INV-08 (lanes).
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

import aiohttp
import certifi
import msgspec
import yarl

from core.domain.enums import Lane
from core.domain.errors import CredentialsDead, RateLimited, RetryLater, VenueError
from core.domain.ports import Clock
from core.exchange import endpoints as ep
from core.exchange import error_map
from core.exchange.endpoints import Call, Endpoints
from core.exchange.rate_budget import RateBudget
from core.exchange.rest_bodies import TimeBody
from core.exchange.server_time import ServerTime

T = TypeVar("T")
ConnectorFactory = Callable[[], aiohttp.BaseConnector]

REQUEST_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
TIME_SAMPLES = 3
_REFRESH_PAUSE_S = 10.0
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, KeyError, ArithmeticError, RecursionError)
_TIME_DECODER = msgspec.json.Decoder(TimeBody)


_protecting: ContextVar[bool] = ContextVar("protecting", default=False)


@contextmanager
def protecting() -> Iterator[None]:
    """Every call from here to the end of the block, by this task and those it starts, goes in the
    lane of protection: what is read is needed to protect (INV-08)."""
    token = _protecting.set(True)
    try:
        yield
    finally:
        _protecting.reset(token)


class SigningApi(Protocol):
    """What is used of ccxt: its implicit methods (by name) and the seams it calls itself."""

    urls: dict[str, object]
    options: dict[str, object]
    fetch: Callable[..., object]
    milliseconds: Callable[[], int]
    nonce: Callable[[], int]


class Gateway:
    """Sends calls. Owns the HTTP session, the exchange's time and the request budget."""

    def __init__(
        self,
        api: SigningApi,
        endpoints: Endpoints,
        clock: Clock,
        *,
        has_credentials: bool,
        banned_until_ms: int = 0,
        on_ban: Callable[[int], None] | None = None,
        connector: ConnectorFactory | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._api = api
        self._endpoints = endpoints
        self._clock = clock
        self._has_credentials = has_credentials
        self._connector = connector or self._tcp_connector
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._refresh_after = float("-inf")
        self.time = ServerTime(clock)
        self.budget = RateBudget(
            clock, self.time.now_ms, banned_until_ms=banned_until_ms, on_ban=on_ban
        )
        api.fetch = self._send
        api.milliseconds = self.time.now_ms
        api.nonce = self.time.now_ms

    async def call(
        self,
        call: Call,
        params: Mapping[str, str],
        lane: Lane,
        decode: Callable[[bytes], T],
        *,
        weight: int | None = None,
    ) -> T:
        """Send one call and decode its answer.

        Raises the family of `core.domain.errors` only. A clock refusal is a proven no, so the
        time is measured again and the call repeated once.
        """
        if lane is not Lane.PROTECT and self.time.stale:
            await self._refresh_time(lane)
        try:
            body = await self._call_once(call, params, lane, weight)
        except VenueError as error:
            if error.code not in error_map.CLOCK_CODES:
                raise
            self.time.forget()
            await self.sync_time(lane=lane)
            body = await self._call_once(call, params, lane, weight)
        try:
            return decode(body)
        except _DECODE_ERRORS as error:
            detail = str(error)
        raise error_map.unreadable(200, detail, mutating=call.mutating)

    async def sync_time(self, samples: int = TIME_SAMPLES, lane: Lane = Lane.MANAGE) -> None:
        """Measure the exchange's clock. Raises the error family when it cannot be reached."""
        for _ in range(samples):
            sent = self._clock.monotonic()
            body = await self._call_once(ep.TIME, {}, lane, None)
            received = self._clock.monotonic()
            try:
                server_ms = _TIME_DECODER.decode(body).server_time
            except _DECODE_ERRORS as error:
                raise error_map.unreadable(200, str(error), mutating=False) from None
            self.time.add_sample(sent, received, server_ms)

    async def close(self) -> None:
        """Close the session and its connections. Later calls are refused."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _refresh_time(self, lane: Lane) -> None:
        """One measurement at a time, and a pause after one that failed."""
        if self._clock.monotonic() < self._refresh_after:
            return
        self._refresh_after = self._clock.monotonic() + _REFRESH_PAUSE_S
        try:
            await self.sync_time(1 if self.time.synced else TIME_SAMPLES, lane)
        except VenueError:
            # The call itself will meet the same trouble and report it; the old estimate and its
            # growing error bound stay in force meanwhile.
            return

    async def _call_once(
        self, call: Call, params: Mapping[str, str], lane: Lane, weight: int | None
    ) -> bytes:
        if call.signed and not self._has_credentials:
            raise CredentialsDead("no API key is configured for this venue")
        cost = call.weight_of(params) if weight is None else weight
        if _protecting.get():
            lane = Lane.PROTECT
        await self.budget.acquire(lane, cost, orders=1 if call.counts_order else 0)
        failure: VenueError | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                status, headers, body = await getattr(self._api, call.method)(dict(params))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = error_map.from_transport(error, mutating=call.mutating)
        # Raised outside the handler: an implicit context would carry the request's headers along.
        if failure is not None:
            raise failure
        return self._judge(call, status, headers, body)

    def _judge(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        self.budget.note_headers(headers)
        # Some refusals come with status 200; successes carry "code" only as 200.
        if status == 200 and b'"code":-' not in body[:64].replace(b" ", b""):
            return body
        retry_after = headers.get("Retry-After", "")
        error = error_map.from_answer(
            status,
            body,
            mutating=call.mutating,
            retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
            now_ms=self.time.now_ms(),
        )
        if isinstance(error, RateLimited):
            self.budget.note_limited(status, error.until_ms)
        raise error

    async def _send(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """ccxt's `fetch`: the signed text goes out exactly as it was signed."""
        session = self._open()
        async with session.request(
            method,
            yarl.URL(url, encoded=True),
            data=body.encode() if body else None,
            headers=headers,
            allow_redirects=False,
        ) as response:
            return response.status, response.headers, await response.read()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RetryLater("the exchange client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S),
                trust_env=not self._endpoints.is_local,
                headers={"User-Agent": "usdc-futures-bot"},
            )
        return self._session

    def _tcp_connector(self) -> aiohttp.BaseConnector:
        if not self._endpoints.rest.startswith("https:"):
            return aiohttp.TCPConnector()
        return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certifi.where()))
