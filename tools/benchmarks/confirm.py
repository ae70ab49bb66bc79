"""Section confirm: the entry's fill to the accepted stop, over loopback (floor 8; INV-01).

From the moment when the exchange fills the waiting entry to the fact that the stop is accepted:
event over the user stream, decision, journal and audit record on disk, signed request, answer. The
exchange is in this process.
"""

import asyncio
import tempfile
from pathlib import Path

from core.domain.facts import DaemonFact, StopConfirmed
from core.kernel.clock import stopwatch
from core.kernel.loops import live_loop_factory, run
from tools.benchmarks.desk import open_desk
from tools.benchmarks.figures import MILLISECONDS, Effort, Section, SectionFailed, row

NAME = "confirm"
TITLE = "fill at the exchange to the accepted stop, over loopback"
_LIMIT_S = 5.0
_MOST = 40
"""Fills per round: with their stops and targets they fit into one window of the order limit."""


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when a fill was not followed by an accepted stop."""
    return run(_measure(effort), loop_factory=live_loop_factory())


async def _measure(effort: Effort) -> Section:
    whole: list[list[float]] = []
    known: list[list[float]] = []
    await _round(5, [], [])
    for _ in range(effort.pick(3, 1)):
        await _round(effort.pick(_MOST, 5), whole, known)
    rows = (
        row("fill at the exchange to accepted stop", "ms", whole),
        row("fill known to accepted stop", "ms", known),
    )
    return Section(NAME, TITLE, rows, ("the exchange works in the same process",))


async def _round(count: int, whole: list[list[float]], known: list[list[float]]) -> None:
    """One fill after another; each position is complete before the next."""
    samples: list[float] = []
    inside: list[float] = []
    confirmed = asyncio.Event()
    at = 0.0

    def hear(fact: DaemonFact) -> None:
        nonlocal at
        if isinstance(fact, StopConfirmed):
            at = stopwatch()
            inside.append(fact.elapsed_ms)
            confirmed.set()

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with open_desk(Path(folder), count) as desk:
            desk.dispatcher.subscribe_all(hear)
            for number, symbol in enumerate(desk.symbols, start=1):
                confirmed.clear()
                began = stopwatch()
                desk.fill(symbol)
                await _within(confirmed)
                samples.append((at - began) * MILLISECONDS)
                await desk.opened(number)
    whole.append(samples)
    known.append(inside)


async def _within(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LIMIT_S):
            await event.wait()
    except TimeoutError:
        raise SectionFailed(f"no accepted stop within {_LIMIT_S:g} s of a fill") from None
