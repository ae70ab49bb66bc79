"""Who may ask and how often (floor 2c): key, signature, time window, weight and order counts."""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from core.paper.errors import ApiError, refuse
from core.paper.params import Params

WEIGHT_PER_MINUTE = 2400
ORDERS_PER_10S = 300
ORDERS_PER_MINUTE = 1200
DEFAULT_RECV_WINDOW_MS = 5000
MAX_RECV_WINDOW_MS = 60_000
_AHEAD_MS = 1000
_BAN_AFTER = 20
_BAN_MS = 120_000
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")


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


class Gatekeeper:
    """Checks key, signature and timestamp exactly as received."""

    def __init__(self, api_key: str, api_secret: str, now_ms: Callable[[], int]) -> None:
        self._key = api_key
        self._secret = api_secret
        self._now_ms = now_ms

    def check(
        self, security: Security, key: str | None, query: str, body: str, params: Params
    ) -> None:
        """Raises ApiError -2014, -2015, -1102, -1021, -1022."""
        if security is Security.NONE:
            return
        if not key:
            raise refuse(-2014)
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            raise refuse(-2015)
        if security is Security.SIGNED:
            self._check_signature(query, body, params)
            self._check_time(params)

    def _check_signature(self, query: str, body: str, params: Params) -> None:
        given = params.text("signature").lower()
        wanted = sign(self._secret, signed_payload(query, body))
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            raise refuse(-1022)

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
        self._orders_10s = _Window(10_000, ORDERS_PER_10S)
        self._orders_1m = _Window(60_000, ORDERS_PER_MINUTE)
        self._strikes = 0
        self._banned_until_ms = 0

    def ban(self, milliseconds: int) -> None:
        """Answer 418 for a while (rehearsals)."""
        self._banned_until_ms = self._now_ms() + milliseconds

    def spend(self, weight: int) -> None:
        """Raises ApiError -1003 with status 429, or 418 while banned."""
        now = self._now_ms()
        if now < self._banned_until_ms:
            raise self._banned()
        if self._weight.add(now, weight):
            return
        self._strikes += 1
        if self._strikes % _BAN_AFTER == 0:
            self._banned_until_ms = now + _BAN_MS
            raise self._banned()
        raise ApiError(
            -1003,
            f"Too many requests; current limit of IP is {WEIGHT_PER_MINUTE} requests per minute.",
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
        text = f"Way too many requests; IP banned until {until}. Please use the websocket."
        return ApiError(-1003, text, 418)

    def headers(self, *, orders: bool) -> dict[str, str]:
        self._weight.add(self._now_ms(), 0)
        head = {"X-MBX-USED-WEIGHT-1M": str(self._weight.used)}
        if orders:
            head["X-MBX-ORDER-COUNT-10S"] = str(self._orders_10s.used)
            head["X-MBX-ORDER-COUNT-1M"] = str(self._orders_1m.used)
        return head

    def retry_after(self) -> str:
        """Seconds until the ban or the minute ends."""
        now = self._now_ms()
        if now < self._banned_until_ms:
            return str((self._banned_until_ms - now + 999) // 1000)
        return str(self._weight.left_s(now))
