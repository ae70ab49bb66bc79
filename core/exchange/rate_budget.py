"""Request budget in three lanes (floor 2a): protect before manage before data.

The exchange counts IP weight per minute and orders per 10 s and per minute, in windows aligned to
its own clock. We count what we send, correct ourselves by the numbers in each answer's headers
(they include other programs behind the same address) and stop each lane at its share of the
limit, so that data never starves protection (INV-08). A 418 stops everything until the ban's end;
a 429 stops everything but protection.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.domain.enums import Lane
from core.domain.errors import RateLimited
from core.domain.ports import Clock

WEIGHT_1M = "WEIGHT_1M"
ORDERS_10S = "ORDERS_10S"
ORDERS_1M = "ORDERS_1M"
_HEADERS = {
    "X-MBX-USED-WEIGHT-1M": WEIGHT_1M,
    "X-MBX-ORDER-COUNT-10S": ORDERS_10S,
    "X-MBX-ORDER-COUNT-1M": ORDERS_1M,
}
_SHARE_PCT: dict[Lane, int] = {Lane.PROTECT: 98, Lane.MANAGE: 80, Lane.DATA: 60}
_PATIENCE_S: dict[Lane, float] = {Lane.PROTECT: 1.0, Lane.MANAGE: 12.0, Lane.DATA: 65.0}
"""How long a lane waits for room before it gives up: protection has its own fallbacks."""


@dataclass(slots=True)
class _Window:
    """One limit of the exchange: at most `limit` per aligned window of `length_ms`."""

    limit: int
    length_ms: int
    index: int = -1
    used: int = 0

    def roll(self, now_ms: int) -> None:
        index = now_ms // self.length_ms
        if index > self.index:
            self.index = index
            self.used = 0

    def has_room(self, cost: int, share_pct: int) -> bool:
        return self.used + cost <= self.limit * share_pct // 100 or cost == 0

    def ms_to_next(self, now_ms: int) -> int:
        return self.length_ms - now_ms % self.length_ms


@dataclass(frozen=True, slots=True)
class BudgetView:
    """Use of the limits in the current windows, for metrics."""

    weight_used: int
    weight_limit: int
    orders_10s_used: int
    orders_10s_limit: int
    orders_1m_used: int
    orders_1m_limit: int
    banned_until_ms: int


class RateBudget:
    """Admission of requests. `now_ms` is the exchange's time; `on_ban` hears of every new ban."""

    def __init__(
        self,
        clock: Clock,
        now_ms: Callable[[], int],
        *,
        banned_until_ms: int = 0,
        on_ban: Callable[[int], None] | None = None,
    ) -> None:
        self._clock = clock
        self._now_ms = now_ms
        self._on_ban = on_ban
        self._banned_until_ms = banned_until_ms
        self._limited_until_ms = 0
        self._windows = {
            WEIGHT_1M: _Window(2_400, 60_000),
            ORDERS_10S: _Window(300, 10_000),
            ORDERS_1M: _Window(1_200, 60_000),
        }

    @property
    def banned_until_ms(self) -> int:
        """End of the last ban (UTC ms, exchange time), 0 when there was none."""
        return self._banned_until_ms

    def view(self) -> BudgetView:
        now_ms = self._now_ms()
        for window in self._windows.values():
            window.roll(now_ms)
        weight, orders_10s, orders_1m = self._windows.values()
        return BudgetView(
            weight.used,
            weight.limit,
            orders_10s.used,
            orders_10s.limit,
            orders_1m.used,
            orders_1m.limit,
            self._banned_until_ms,
        )

    def configure(self, name: str, limit: int) -> None:
        """Take a limit from exchangeInfo; unknown names and limits < 1 are ignored."""
        if name in self._windows and limit > 0:
            self._windows[name].limit = limit

    def note_headers(self, headers: Mapping[str, str]) -> None:
        """Correct our counts upward by what the exchange says it has counted."""
        now_ms = self._now_ms()
        for header, name in _HEADERS.items():
            text = headers.get(header, "")
            if text.isdecimal():
                window = self._windows[name]
                window.roll(now_ms)
                window.used = max(window.used, int(text))

    def note_limited(self, status: int, until_ms: int) -> None:
        """The exchange said 429 (all lanes but protect pause) or 418 (all lanes pause)."""
        if status == 418:
            self._banned_until_ms = max(self._banned_until_ms, until_ms)
            if self._on_ban is not None:
                self._on_ban(self._banned_until_ms)
        else:
            self._limited_until_ms = max(self._limited_until_ms, until_ms)

    async def acquire(self, lane: Lane, weight: int, *, orders: int = 0) -> None:
        """Wait until the request fits its lane's share and count it.

        Raises RateLimited when that would take longer than the lane waits.
        """
        deadline = self._clock.monotonic() + _PATIENCE_S[lane]
        while True:
            now_ms = self._now_ms()
            wait_ms = self._wait_ms(lane, weight, orders, now_ms)
            if wait_ms <= 0:
                break
            if self._clock.monotonic() + wait_ms / 1_000 > deadline:
                raise RateLimited(
                    f"request budget of the {lane.value} lane is used up", until_ms=now_ms + wait_ms
                )
            await self._clock.sleep(wait_ms / 1_000)
        self._windows[WEIGHT_1M].used += weight
        self._windows[ORDERS_10S].used += orders
        self._windows[ORDERS_1M].used += orders

    def _wait_ms(self, lane: Lane, weight: int, orders: int, now_ms: int) -> int:
        wait = self._banned_until_ms - now_ms
        if lane is not Lane.PROTECT:
            wait = max(wait, self._limited_until_ms - now_ms)
        share = _SHARE_PCT[lane]
        for name, window in self._windows.items():
            window.roll(now_ms)
            cost = weight if name == WEIGHT_1M else orders
            if not window.has_room(cost, share):
                wait = max(wait, window.ms_to_next(now_ms))
        return wait
