"""Kill the daemon at one step after another of an entry's life (floor 8).

First the seed runs undisturbed and tells at which steps of the loop its first entry was decided,
sent, filled and protected. Then it runs again once per step: at that step the world is detached and
the process dies, a second later the next life begins on the files that were there, and what it
makes of the situation is judged like any other run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.domain.enums import Purpose
from core.ids import parse_client_id
from core.kernel.clock import stopwatch
from core.simulation.observer import Violation
from core.simulation.schedule import Script
from tools.simulation.campaign import SeedRun, drive

_LEAD_STEPS = 40
"""Steps before the entry reaches the exchange: decision, journal and audit."""
_AFTER_S = 3.0
_DOWN_S = 1.0
_SETTLE_S = 20.0
_GIVE_UP_S = 900.0


@dataclass(slots=True)
class CrashReport:
    """`points` are the steps at which the daemon was killed."""

    seed: int
    points: list[int] = field(default_factory=list)
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    real_s: float = 0.0


def explore(seed: int, points: int, folder: Path) -> CrashReport:
    """Kill at `points` steps spread evenly over the first entry of a seed."""
    script = Script(
        seed=seed,
        hours=1.0,
        symbols=("XRPUSDC", "SOLUSDC"),
        tick_ms=1_000,
        latency_ms=10,
        jitter_ms=0,
        guarded=True,
        strikes=(),
    )
    began = stopwatch()
    first, last = _busy_steps(script, folder / "whole")
    report = CrashReport(seed)
    for step in _spread(first, last, points):
        report.points.append(step)
        run = drive(script, folder / "crash", _Crash(step).play)
        report.violations += [(step, violation) for violation in run.observer.violations]
    report.real_s = stopwatch() - began
    return report


def _spread(first: int, last: int, points: int) -> Iterator[int]:
    count = min(points, last - first + 1)
    for number in range(count):
        yield first + number * (last - first) // max(count - 1, 1)


def _busy_steps(script: Script, folder: Path) -> tuple[int, int]:
    steps: list[int] = []

    async def play(run: SeedRun) -> None:
        await run.begin()
        await run.world.wait(lambda: _entered(run), _GIVE_UP_S)
        steps.append(run.world.loop.steps - _LEAD_STEPS)
        await run.world.clock.sleep(_AFTER_S)
        steps.append(run.world.loop.steps)
        await run.end()

    drive(script, folder, play)
    return steps[0], steps[1]


def _entered(run: SeedRun) -> bool:
    """True once an entry of ours has reached the exchange."""
    for order in run.world.paper.exchange.ledger.trades:
        found = run.world.paper.exchange.matcher.find(order.symbol, order.order_id, None)
        parts = None if found is None else parse_client_id(found.spec.client_id)
        if parts is not None and parts.purpose is Purpose.ENTRY:
            return True
    return False


class _Crash:
    """One run that dies at `step`."""

    def __init__(self, step: int) -> None:
        self._step = step

    async def play(self, run: SeedRun) -> None:
        world = run.world

        def strike(step: int) -> None:
            if step == self._step and world.life is not None:
                absence = run.observer.disturb(1e9)
                life = world.strike_dead()
                world.supervisor.spawn("rebirth", lambda: rebirth(life.name, absence))

        async def rebirth(dead: str, absence: int) -> None:
            await world.lives.kill(dead)
            await world.clock.sleep(_DOWN_S)
            world.birth()
            run.observer.calm.end(absence, world.loop.time() + 5.0)

        world.loop.on_step = strike
        await run.begin()
        await world.wait(lambda: world.past and world.life is not None, _GIVE_UP_S)
        await world.clock.sleep(_SETTLE_S)
        await run.end()
