"""Who may ask and how often (floor 2c): key, signature, time window, weight and order counts."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from core.paper.errors import ApiError, refuse
from core.paper.params import Params

WEIGHT_PER_MINUTE = 2400
FUNDING_PER_5M = 500
"""Requests for funding rates have a pool of their own."""
ORDERS_PER_10S = 300
ORDERS_PER_MINUTE = 1200
DEFAULT_RECV_WINDOW_MS = 5000
MAX_RECV_WINDOW_MS = 60_000
_AHEAD_MS = 1000
_BAN_AFTER = 20
_BAN_MS = 120_000
_LONGEST_BAN_MS = 3 * 86_400_000
_PEM_HEAD = "-----BEGIN PUBLIC KEY-----"
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")


class Pool(Enum):
    """Which count of requests per address a route draws on."""

    WEIGHT = 0
    FUNDING = 1


class Security(Enum):
    """What a route asks of the caller."""

    NONE = 0
    KEY = 1
    SIGNED = 2


def sign(secret: str, payload: str) -> str:
    """HMAC-SHA256 of the payload as hex."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def signed_payload(query: str, body: str) -> str:
    """What the client signed: query and body joined without a separator, less the signature."""
    return _SIGNATURE.sub("", query, count=1).removeprefix("&") + _SIGNATURE.sub(
        "", body, count=1
    ).removeprefix("&")


def _socket_payloads(raw: Mapping[str, object]) -> Iterator[str]:
    """Spellings of a socket request's signed text."""
    pairs = sorted((name, value) for name, value in raw.items() if name != "signature")
    lowered = [(k, str(v).lower() if isinstance(v, bool) else v) for k, v in pairs]
    for spelt in (lowered, pairs):
        yield "&".join(f"{name}={value}" for name, value in spelt)
        yield urlencode(spelt)


class Gatekeeper:
    """Checks key, signature and timestamp exactly as received.

    `api_secret` is the shared secret, or the public half of an Ed25519 or RSA pair in PEM, of which
    the exchange never sees the private one. Raises ValueError for a pair of another kind.
    """

    def __init__(self, api_key: str, api_secret: str, now_ms: Callable[[], int]) -> None:
        self._key = api_key
        self._secret = api_secret
        self._now_ms = now_ms
        self._public: Ed25519PublicKey | RSAPublicKey | None = None
        if api_secret.startswith(_PEM_HEAD):
            loaded = load_pem_public_key(api_secret.encode())
            if not isinstance(loaded, Ed25519PublicKey | RSAPublicKey):
                raise ValueError("the public key of a signature pair must be Ed25519 or RSA")
            self._public = loaded

    @property
    def kind(self) -> str:
        """How requests are signed, as the exchange names it."""
        if self._public is None:
            return "HMAC_SHA256"
        return "ED25519" if isinstance(self._public, Ed25519PublicKey) else "RSA"

    @property
    def is_ed25519(self) -> bool:
        return isinstance(self._public, Ed25519PublicKey)

    def check(
        self, security: Security, key: str | None, query: str, body: str, params: Params
    ) -> None:
        """Raises ApiError -2014, -2015, -1102, -1021, -1022."""
        if security is Security.NONE:
            return
        self._check_key(key)
        if security is Security.SIGNED:
            given = params.text("signature")
            if not self._is_signed(given, signed_payload(query, body)):
                raise refuse(-1022)
            self._check_time(params)

    def check_socket(
        self,
        security: Security,
        raw: Mapping[str, object],
        params: Params,
        logged_on: str | None,
    ) -> None:
        """The same for a request by socket: the payload is all parameters, sorted by name.

        Clients differ in how they write truth values and special characters there, and all of them
        sign what they wrote: each spelling is tried.
        """
        self._check_key(params.optional("apiKey") or logged_on)
        if security is not Security.SIGNED:
            return
        if logged_on is None:
            given = params.text("signature")
            if not any(self._is_signed(given, text) for text in _socket_payloads(raw)):
                raise refuse(-1022)
        self._check_time(params)

    def _check_key(self, key: str | None) -> None:
        if not key:
            raise refuse(-2014)
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            raise refuse(-2015)

    def _is_signed(self, given: str, payload: str) -> bool:
        if self._public is None:
            wanted = sign(self._secret, payload)
            return hmac.compare_digest(given.lower().encode(), wanted.encode())
        try:
            signature = base64.b64decode(given, validate=True)
            if isinstance(self._public, RSAPublicKey):
                self._public.verify(signature, payload.encode(), PKCS1v15(), SHA256())
            else:
                self._public.verify(signature, payload.encode())
        except (InvalidSignature, ValueError):  # ValueError: not base64
            return False
        return True

    def _check_time(self, params: Params) -> None:
        stamp = params.integer("timestamp")
        window = params.integer("recvWindow", DEFAULT_RECV_WINDOW_MS)
        if not 0 < window <= MAX_RECV_WINDOW_MS:
            raise ApiError(-1130, "Data sent for parameter 'recvWindow' is not valid.")
        now = self._now_ms()
        if stamp >= now + _AHEAD_MS:
            raise refuse(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - stamp > window:
            raise refuse(-1021)


@dataclass(slots=True)
class _Window:
    """A counter that starts anew at every multiple of its period."""

    period_ms: int
    limit: int
    index: int = -1
    used: int = 0

    def add(self, now_ms: int, amount: int) -> bool:
        """Count `amount`; False when the limit is exceeded."""
        index = now_ms // self.period_ms
        if index != self.index:
            self.index, self.used = index, 0
        self.used += amount
        return self.used <= self.limit

    def left_s(self, now_ms: int) -> int:
        return (self.period_ms - now_ms % self.period_ms + 999) // 1000


class RateLimits:
    """Request weight per minute and order counts, with the headers that tell them."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._weight = _Window(60_000, WEIGHT_PER_MINUTE)
        self._funding = _Window(300_000, FUNDING_PER_5M)
        self._orders_10s = _Window(10_000, ORDERS_PER_10S)
        self._orders_1m = _Window(60_000, ORDERS_PER_MINUTE)
        self._strikes = 0
        self._bans = 0
        self._banned_until_ms = 0

    def ban(self, milliseconds: int) -> None:
        """Answer 418 for a while (rehearsals)."""
        self._banned_until_ms = self._now_ms() + milliseconds

    def spend(self, weight: int, pool: Pool = Pool.WEIGHT) -> None:
        """Raises ApiError -1003 with status 429, or 418 while banned.

        The limit is the address's: once it is passed every request is refused, also one that
        weighs nothing, until the minute ends. Going on regardless brings the ban; each ban lasts
        twice as long as the one before, up to three days.
        """
        now = self._now_ms()
        if now < self._banned_until_ms:
            raise self._banned()
        within = self._weight.add(now, weight)
        if pool is Pool.FUNDING:
            within = self._funding.add(now, 1) and within
        if within:
            return
        self._strikes += 1
        if self._strikes % _BAN_AFTER == 0:
            self._banned_until_ms = now + min(_BAN_MS << self._bans, _LONGEST_BAN_MS)
            self._bans += 1
            raise self._banned()
        raise ApiError(
            -1003,
            f"Too many requests; current limit is {WEIGHT_PER_MINUTE} requests per minute. Please "
            "use the websocket for live updates to avoid polling the API.",
            429,
        )

    def count_orders(self, per_10s: int, per_minute: int) -> None:
        """Raises ApiError -1015."""
        now = self._now_ms()
        for window, amount, name in (
            (self._orders_10s, per_10s, "10 SECOND"),
            (self._orders_1m, per_minute, "1 MINUTE"),
        ):
            if not window.add(now, amount):
                raise refuse(
                    -1015,
                    f"Too many new orders; current limit is {window.limit} orders per {name}.",
                )

    def _banned(self) -> ApiError:
        until = self._banned_until_ms
        text = (
            f"Way too many requests; IP banned until {until}. Please use the websocket for live "
            "updates to avoid bans."
        )
        return ApiError(-1003, text, 418)

    def headers(self, *, orders: bool) -> dict[str, str]:
        self._weight.add(self._now_ms(), 0)
        head = {"X-MBX-USED-WEIGHT-1M": str(self._weight.used)}
        if orders:
            head["X-MBX-ORDER-COUNT-10S"] = str(self._orders_10s.used)
            head["X-MBX-ORDER-COUNT-1M"] = str(self._orders_1m.used)
        return head

    def usage(self, *, orders: bool) -> list[dict[str, object]]:
        """`rateLimits` of an answer by socket."""
        now = self._now_ms()
        rows = [("REQUEST_WEIGHT", "MINUTE", 1, self._weight)]
        if orders:
            rows.append(("ORDERS", "SECOND", 10, self._orders_10s))
            rows.append(("ORDERS", "MINUTE", 1, self._orders_1m))
        for *_, window in rows:
            window.add(now, 0)
        return [
            {
                "rateLimitType": kind,
                "interval": interval,
                "intervalNum": number,
                "limit": window.limit,
                "count": window.used,
            }
            for kind, interval, number, window in rows
        ]

    def retry_after(self) -> str:
        """Seconds until the ban or the minute ends."""
        now = self._now_ms()
        if now < self._banned_until_ms:
            return str((self._banned_until_ms - now + 999) // 1000)
        return str(self._weight.left_s(now))
