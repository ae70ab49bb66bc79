"""Ownership of tasks on virtual time: fates, restart budgets, close."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest

from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.supervisor import Restart, Supervisor
from core.simulation.virtual_loop import virtual_loop_factory

T = TypeVar("T")
Failures = list[tuple[str, str, bool]]


def virtually(main: Coroutine[Any, Any, T]) -> T:
    return run(main, loop_factory=virtual_loop_factory())


def build(failures: Failures) -> tuple[Supervisor, SimulatedClock]:
    clock = SimulatedClock(0, asyncio.get_running_loop())

    def failed(name: str, error: BaseException, again: bool) -> None:
        failures.append((name, str(error), again))

    return Supervisor(clock, failed), clock


def test_a_failure_is_reported_and_stays_inside() -> None:
    failures: Failures = []

    async def broken() -> None:
        raise OSError("disk full")

    async def main() -> tuple[str, ...]:
        supervisor, clock = build(failures)
        await supervisor.spawn("writer", broken)
        await clock.sleep(0)
        return supervisor.names

    assert virtually(main()) == ()
    assert failures == [("writer", "disk full", False)]


def test_restarts_are_bounded_within_the_window() -> None:
    failures: Failures = []
    begun: list[float] = []

    async def main() -> None:
        supervisor, clock = build(failures)

        async def broken() -> None:
            begun.append(clock.monotonic())
            raise OSError("again")

        await supervisor.spawn("stream", broken, Restart(limit=3, window=60, pause=2))

    virtually(main())
    assert begun == [0.0, 2.0, 4.0, 6.0]
    assert [again for _, _, again in failures] == [True, True, True, False]


def test_old_failures_leave_the_window() -> None:
    failures: Failures = []

    async def main() -> None:
        supervisor, clock = build(failures)

        async def hourly() -> None:
            await clock.sleep(3_600)
            raise OSError("hourly")

        supervisor.spawn("stream", hourly, Restart(limit=1, window=60, pause=1))
        await clock.sleep(86_400)
        assert await supervisor.close(1) == ()

    virtually(main())
    assert len(failures) == 23
    assert all(again for _, _, again in failures)


def test_a_task_that_returns_is_not_restarted() -> None:
    runs: list[int] = []

    async def once() -> None:
        runs.append(1)

    async def main() -> None:
        supervisor, clock = build([])
        supervisor.spawn("once", once, Restart())
        await clock.sleep(60)

    virtually(main())
    assert runs == [1]


def test_close_cancels_in_the_order_of_spawning_and_names_who_stays() -> None:
    ended: list[int] = []

    async def main() -> tuple[str, ...]:
        supervisor, clock = build([])

        async def wait(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(number)

        async def stubborn() -> None:
            while clock.monotonic() < 30:
                try:
                    await clock.sleep(10)
                except asyncio.CancelledError:
                    continue

        for number in range(50):
            supervisor.spawn(f"task {number}", partial(wait, number))
        supervisor.spawn("stubborn", stubborn)
        await clock.sleep(1)
        left = await supervisor.close(5)
        assert clock.monotonic() == 6.0
        with pytest.raises(RuntimeError, match="closing"):
            supervisor.spawn("late", lambda: wait(99))
        return left

    assert virtually(main()) == ("stubborn",)
    assert ended == list(range(50))


def test_close_from_inside_a_task_does_not_wait_for_that_task() -> None:
    closed: list[tuple[str, ...]] = []

    async def main() -> None:
        supervisor, _ = build([])

        async def closer() -> None:
            closed.append(await supervisor.close(5))

        await supervisor.spawn("closer", closer)

    virtually(main())
    assert closed == [()]
