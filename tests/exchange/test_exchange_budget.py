"""Three lanes, bans and headers, on virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from paper_world import virtually

from core.domain.enums import Lane
from core.domain.errors import RateLimited
from core.exchange.rate_budget import ORDERS_10S, WEIGHT_1M, RateBudget
from core.kernel.clock import SimulatedClock

MINUTE_MS = 60_000
EPOCH_MS = 1_800_000_000_000
assert EPOCH_MS % MINUTE_MS == 0

Scene = Callable[[RateBudget, SimulatedClock], Coroutine[Any, Any, None]]


def play(scene: Scene, **options: Any) -> None:
    async def main() -> None:
        clock = SimulatedClock(EPOCH_MS, asyncio.get_running_loop())
        await scene(RateBudget(clock, clock.now_ms, **options), clock)

    virtually(main)


def test_requests_within_the_budget_do_not_wait() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        for _ in range(100):
            await budget.acquire(Lane.DATA, 10)
        assert clock.monotonic() == 0
        assert budget.view().weight_used == 1_000

    play(scene)


def test_data_waits_for_the_next_minute_and_leaves_room_for_protection() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        await clock.sleep(10)
        budget.note_headers({"X-MBX-USED-WEIGHT-1M": "1440"})
        await budget.acquire(Lane.MANAGE, 5)
        await budget.acquire(Lane.PROTECT, 5)
        assert clock.monotonic() == 10
        await budget.acquire(Lane.DATA, 5)
        assert clock.monotonic() == 60

    play(scene)


@pytest.mark.parametrize(("used", "lane"), [(1_930, Lane.MANAGE), (2_360, Lane.PROTECT)])
def test_a_lane_that_would_wait_too_long_says_when(used: int, lane: Lane) -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        budget.note_headers({"X-MBX-USED-WEIGHT-1M": str(used)})
        with pytest.raises(RateLimited) as caught:
            await budget.acquire(lane, 5)
        assert caught.value.until_ms == EPOCH_MS + MINUTE_MS
        assert clock.monotonic() == 0

    play(scene)


def test_an_order_without_weight_passes_a_spent_weight_budget() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        budget.note_headers({"X-MBX-USED-WEIGHT-1M": "9999"})
        await budget.acquire(Lane.PROTECT, 0, orders=1)
        assert clock.monotonic() == 0

    play(scene)


def test_entries_stop_before_the_order_limit_and_protection_goes_on() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        budget.configure(ORDERS_10S, 10)
        for _ in range(8):
            await budget.acquire(Lane.MANAGE, 0, orders=1)
        await budget.acquire(Lane.PROTECT, 0, orders=1)
        assert clock.monotonic() == 0
        await budget.acquire(Lane.MANAGE, 0, orders=1)
        assert clock.monotonic() == 10

    play(scene)


def test_other_programs_behind_the_address_count() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        await budget.acquire(Lane.DATA, 1)
        budget.note_headers({"X-MBX-USED-WEIGHT-1M": "700", "X-MBX-ORDER-COUNT-10S": "12"})
        budget.note_headers({"X-MBX-USED-WEIGHT-1M": "650"})  # an answer that was overtaken
        budget.note_headers({"X-MBX-USED-WEIGHT-1M": "many"})
        view = budget.view()
        assert (view.weight_used, view.orders_10s_used) == (700, 12)
        await clock.sleep(60)
        assert budget.view().weight_used == 0

    play(scene)


def test_429_pauses_all_but_protection() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        budget.note_limited(429, EPOCH_MS + 5_000)
        await budget.acquire(Lane.PROTECT, 1)
        assert clock.monotonic() == 0
        await budget.acquire(Lane.MANAGE, 1)
        assert clock.monotonic() == 5

    play(scene)


def test_418_pauses_everything_until_its_end_and_is_told() -> None:
    told: list[int] = []

    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        until = EPOCH_MS + 3_600_000
        budget.note_limited(418, until)
        budget.note_limited(418, until - 1_000)
        for lane in Lane:
            with pytest.raises(RateLimited) as caught:
                await budget.acquire(lane, 0)
            assert caught.value.until_ms == until
        await clock.sleep(3_600)
        await budget.acquire(Lane.PROTECT, 0)
        assert told == [until, until]

    play(scene, on_ban=told.append)


def test_a_ban_survives_a_restart() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        with pytest.raises(RateLimited):
            await budget.acquire(Lane.PROTECT, 0)

    play(scene, banned_until_ms=EPOCH_MS + 600_000)


def test_limits_are_the_exchange_s_own() -> None:
    async def scene(budget: RateBudget, clock: SimulatedClock) -> None:
        budget.configure(WEIGHT_1M, 6_000)
        budget.configure("SOMETHING_NEW", 1)
        budget.configure(ORDERS_10S, 0)
        assert budget.view().weight_limit == 6_000
        assert budget.view().orders_10s_limit == 300

    play(scene)
