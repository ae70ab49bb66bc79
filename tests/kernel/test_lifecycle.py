"""Shutdown stages on virtual time: order, budgets, failures, a stage that will not end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from core.kernel.clock import SimulatedClock
from core.kernel.lifecycle import CANCEL_GRACE_S, Stage, StageOutcome, StageReport, run_stages
from core.kernel.loops import run
from core.simulation.virtual_loop import virtual_loop_factory

T = TypeVar("T")
DONE, FAILED, OVER = StageOutcome.DONE, StageOutcome.FAILED, StageOutcome.OVER_BUDGET


class Shutdown:
    """Stages that note when they began."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []
        self.heard: list[StageReport] = []

    def stage(self, name: str, takes_s: float, budget_s: float = 5.0) -> Stage:
        async def work() -> None:
            loop = asyncio.get_running_loop()
            self.begun.append((name, loop.time()))
            await SimulatedClock(0, loop).sleep(takes_s)

        return Stage(name, work, budget_s)

    def run(self, *stages: Stage, total_s: float = 15.0) -> list[tuple[str, StageOutcome, float]]:
        async def main() -> tuple[StageReport, ...]:
            clock = SimulatedClock(0, asyncio.get_running_loop())
            return await run_stages(stages, total_s=total_s, clock=clock, report=self.heard.append)

        reports = virtually(main())
        assert list(reports) == self.heard
        return [(each.name, each.outcome, each.seconds) for each in reports]


def virtually(main: Coroutine[Any, Any, T]) -> T:
    return run(main, loop_factory=virtual_loop_factory())


@pytest.fixture
def shutdown() -> Shutdown:
    return Shutdown()


def test_stages_run_one_after_the_other(shutdown: Shutdown) -> None:
    reports = shutdown.run(shutdown.stage("first", 2), shutdown.stage("second", 1))
    assert reports == [("first", DONE, 2.0), ("second", DONE, 1.0)]
    assert shutdown.begun == [("first", 0.0), ("second", 2.0)]


def test_a_stage_over_budget_is_cancelled_and_the_next_one_runs(shutdown: Shutdown) -> None:
    reports = shutdown.run(shutdown.stage("slow", 60), shutdown.stage("last", 1))
    assert reports == [("slow", OVER, 5.0), ("last", DONE, 1.0)]


def test_a_stage_that_ignores_its_cancellation_is_left_behind(shutdown: Shutdown) -> None:
    async def stubborn() -> None:
        clock = SimulatedClock(0, asyncio.get_running_loop())
        while clock.monotonic() < 100:
            try:
                await clock.sleep(10)
            except asyncio.CancelledError:
                continue

    reports = shutdown.run(Stage("stubborn", stubborn, 5), shutdown.stage("last", 1))
    assert reports == [("stubborn", OVER, 5 + CANCEL_GRACE_S), ("last", DONE, 1.0)]


def test_a_cancelled_stage_may_clean_up(shutdown: Shutdown) -> None:
    cleaned: list[float] = []

    async def work() -> None:
        clock = SimulatedClock(0, asyncio.get_running_loop())
        try:
            await clock.sleep(60)
        finally:
            await clock.sleep(CANCEL_GRACE_S / 2)
            cleaned.append(clock.monotonic())

    shutdown.run(Stage("tidy", work, 5))
    assert cleaned == [5 + CANCEL_GRACE_S / 2]


def test_a_failing_stage_is_reported_with_its_error(shutdown: Shutdown) -> None:
    problem = OSError("disk full")

    async def work() -> None:
        raise problem

    reports = shutdown.run(Stage("flush", work, 5), shutdown.stage("last", 1))
    assert reports == [("flush", FAILED, 0.0), ("last", DONE, 1.0)]
    assert shutdown.heard[0].error is problem


def test_a_stage_that_cannot_even_begin_is_a_failure(shutdown: Shutdown) -> None:
    def broken() -> Coroutine[Any, Any, None]:
        raise LookupError("never built")

    assert [outcome for _, outcome, _ in shutdown.run(Stage("broken", broken, 5))] == [FAILED]


def test_a_timeout_inside_a_stage_is_its_failure_not_its_budget(shutdown: Shutdown) -> None:
    async def work() -> None:
        raise TimeoutError("the exchange did not answer")

    assert shutdown.run(Stage("cancel orders", work, 5)) == [("cancel orders", FAILED, 0.0)]


def test_a_stage_that_cancels_itself_is_a_failure(shutdown: Shutdown) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    assert shutdown.run(Stage("odd", work, 5)) == [("odd", FAILED, 0.0)]


def test_budgets_above_the_total_shrink_in_proportion(shutdown: Shutdown) -> None:
    stages = [shutdown.stage(name, 60, budget) for name, budget in (("a", 20), ("b", 8), ("c", 2))]
    reports = shutdown.run(*stages, total_s=15.0)
    assert [(name, seconds) for name, _, seconds in reports] == [
        ("a", 10.0),
        ("b", 4.0),
        ("c", 1.0),
    ]


def test_cancelling_the_shutdown_cancels_its_stage() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        clock = SimulatedClock(0, asyncio.get_running_loop())
        async with asyncio.timeout(1):
            await run_stages([Stage("long", work, 5)], total_s=5, clock=clock)

    with pytest.raises(TimeoutError):
        virtually(main())
    assert ended == ["cancelled"]
