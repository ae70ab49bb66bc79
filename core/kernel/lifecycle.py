"""Orderly shutdown (floor 1): stages one after the other, each within its share of a total.

A stage that fails or does not end in time is reported and the next one still runs: closing the
exchange client must not depend on Telegram being polite.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.domain.ports import Clock
from core.kernel.supervisor import Supervisor

CANCEL_GRACE_S = 0.1
"""Seconds a cancelled stage gets to clean up before it is left behind."""


@dataclass(frozen=True, slots=True)
class Stage:
    """`work()` is called when its turn comes; `budget_s` is its share of the total, in seconds."""

    name: str
    work: Callable[[], Awaitable[object]]
    budget_s: float


class StageOutcome(StrEnum):
    DONE = "done"
    FAILED = "failed"
    OVER_BUDGET = "over budget"


@dataclass(frozen=True, slots=True)
class StageReport:
    """How a stage ended; `error` is set when it failed."""

    name: str
    outcome: StageOutcome
    seconds: float
    error: BaseException | None = None


async def run_stages(
    stages: Sequence[Stage],
    *,
    total_s: float,
    clock: Clock,
    report: Callable[[StageReport], None] = lambda _: None,
) -> tuple[StageReport, ...]:
    """Run the stages in order and return how each ended; `report` hears of each at once.

    Budgets that add up to more than `total_s` are all reduced in proportion, so that the last
    stages keep their share of a short total. Never raises for a stage; being cancelled itself
    cancels the running stage.
    """
    wanted = sum(stage.budget_s for stage in stages)
    share = min(1.0, total_s / wanted) if wanted > 0 else 1.0
    reports = []
    for stage in stages:
        ended = await _run(stage, stage.budget_s * share, clock)
        reports.append(ended)
        report(ended)
    return tuple(reports)


async def _run(stage: Stage, budget_s: float, clock: Clock) -> StageReport:
    failures: list[BaseException] = []
    # A task of its own, so that a stage that ignores its cancellation can be left behind.
    owner = Supervisor(clock, lambda _name, error, _again: failures.append(error))
    finished = asyncio.Event()

    async def work() -> None:
        try:
            await stage.work()
        finally:
            finished.set()

    begun = clock.monotonic()
    task = owner.spawn(f"stage {stage.name}", work)
    outcome = StageOutcome.DONE
    try:
        async with asyncio.timeout(budget_s):
            await finished.wait()
    except TimeoutError:
        outcome = StageOutcome.OVER_BUDGET
    finally:
        await owner.close(CANCEL_GRACE_S)
    if failures and outcome is StageOutcome.DONE:
        outcome = StageOutcome.FAILED
    elif task.cancelled() and outcome is StageOutcome.DONE:
        outcome = StageOutcome.FAILED
        failures.append(asyncio.CancelledError("the stage cancelled itself"))
    error = failures[0] if failures else None
    return StageReport(stage.name, outcome, clock.monotonic() - begun, error)
