"""Deaths, failing disks, wrong clocks and stalls at every point of a position's life (floor 8).

A story (entry, fill, stop, targets, exit) is played once undisturbed and tells at which steps of
the loop, and with which operations of the disk, it happened. Then it is played again for all
points at once: where something is to befall the daemon the process is split (`forks`), the copy
suffers it and is judged, the original plays on to the next point. A copy is exactly the run that
`replay` plays from the start.

A death costs one restart: the copy is made at its step, and nothing of the dead life is touched any
more. A living daemon cannot be copied, its database is open; so what it has to live through is
played in copies made before its birth.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.domain.enums import Purpose
from core.ids import parse_client_id
from core.kernel.clock import stopwatch
from core.simulation.disk import Asked, DiskFault, Trouble
from core.simulation.forks import CAN_SPLIT, Ending, Forks
from tools.simulation.plays import Death, Play, perform
from tools.simulation.stories import STORIES

_LEAD_STEPS = 40
"""Steps before the entry reaches the exchange: decision, journal and audit."""
_HOUR_S = 3_600.0
_STALL_S = 4.0
_STALL_CALM_S = 8.0
_DRIFT = 500e-6
_OUT_S = 40.0
"""After so long the peril ends also when the story has not: without a disk there is no entry."""
_AFTER_S = 2.0
_GIVE_UP_S = 60.0
_HEALED_CALM_S = 8.0

CLOCKS: Mapping[str, float] = {"clock+1h": _HOUR_S, "clock-1h": -_HOUR_S}
STALL, DRIFT = "stall", "drift"
TIMES = (*CLOCKS, STALL, DRIFT)
DISKS: Mapping[str, tuple[Trouble, bool]] = {
    "full": (Trouble.FULL, False),
    "full-on": (Trouble.FULL, True),
    "read-only-on": (Trouble.READ_ONLY, True),
    "broken": (Trouble.BROKEN, False),
    "broken-on": (Trouble.BROKEN, True),
    "locked": (Trouble.LOCKED, False),
    "locked-on": (Trouble.LOCKED, True),
}
"""One operation fails, or (`-on`) all from that one on."""
PERILS = (*Death, *TIMES, *DISKS)


@dataclass(frozen=True, slots=True)
class Point:
    """What befalls whom and when: `number` is a step of the loop, for a disk its operation."""

    story: str
    seed: int
    peril: str
    number: int

    def __str__(self) -> str:
        return f"{self.story}:{self.seed}:{self.peril}:{self.number}"

    @staticmethod
    def read(text: str) -> "Point":
        """Raises ValueError."""
        match text.split(":"):
            case [story, seed, peril, number] if (
                story in STORIES and peril in PERILS and seed.isdigit() and number.isdigit()
            ):
                return Point(story, int(seed), peril, int(number))
        raise ValueError(f"{text}: a point is STORY:SEED:PERIL:NUMBER, as a run prints it")


@dataclass(slots=True)
class Report:
    """`broken` holds the violations by point; `cpu_s` is the processor time of the copies."""

    story: str
    seed: int
    points: dict[str, int] = field(default_factory=dict)
    """How many by peril."""
    broken: dict[Point, list[str]] = field(default_factory=dict)
    real_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.points.values())

    @property
    def rate(self) -> float:
        """Points per real second, the undisturbed playing included."""
        return self.total / self.real_s if self.real_s else 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """Where a story happens: steps of the loop, and operations of the disk."""

    steps: range
    operations: range


def course_of(story: str, seed: int, folder: Path) -> Course:
    """Play a story undisturbed. Raises RuntimeError when that alone violates something."""
    asked: list[tuple[int, int]] = []
    ends: list[int] = []

    async def act(play: Play) -> None:
        loop = play.world.loop

        def listen(_: int) -> None:
            if play.world.life is not None:
                play.world.life.disk.on_operation = note
                loop.on_step = None

        def note(operation: Asked) -> None:
            asked.append((loop.steps, operation.number))

        loop.on_step = listen
        await play.whole(_GIVE_UP_S)
        ends.extend((play.entered_at - _LEAD_STEPS, loop.steps))
        await play.run.end()

    played = perform(story, seed, folder, act)
    if played.run.observer.violations:
        raise RuntimeError(f"{story} {seed} fails undisturbed: {played.run.observer.violations}")
    numbers = [number for step, number in asked if ends[0] <= step < ends[1]]
    return Course(range(*ends), range(numbers[0], numbers[-1] + 1))


def points_of(
    course: Course,
    story: str,
    seed: int,
    perils: Sequence[str],
    every: int,
    part: tuple[float, float],
) -> Iterator[Point]:
    """Every `every`-th point of each peril, within `part` of the course."""
    for peril in perils:
        numbers = course.operations if peril in DISKS else course.steps
        begin, end = (round(share * len(numbers)) for share in part)
        for number in numbers[begin:end:every]:
            yield Point(story, seed, peril, number)


def explore(
    story: str,
    seed: int,
    folder: Path,
    *,
    perils: Sequence[str] = tuple(Death),
    every: int = 1,
    part: tuple[float, float] = (0.0, 1.0),
    until_broken: bool = False,
    at_once: int | None = None,
    told: Callable[[Point, Sequence[str]], None] = lambda point, found: None,
) -> Report:
    """Every `every`-th point of a story, or of a `part` of it (0 to 1), for each of `perils`;
    `told` hears of each verdict. `until_broken` ends it with the first that is not survived."""
    began = stopwatch()
    report = Report(story, seed)
    course = course_of(story, seed, folder / "whole")
    points = list(points_of(course, story, seed, perils, every, part))

    def ended(ending: Ending) -> None:
        found = [f"the copy ended with status {ending.status}"]
        if ending.result is not None:
            found = json.loads(ending.result)
        report.cpu_s += ending.cpu_s
        _enter(report, Point.read(ending.label), found)
        told(Point.read(ending.label), found)

    def done() -> bool:
        return until_broken and bool(report.broken)

    if not CAN_SPLIT:
        for point in points:
            if done():
                break
            found = _words(replay(point, folder / "again"))
            _enter(report, point, found)
            told(point, found)
    else:
        forks = Forks(at_once or os.cpu_count() or 1, ended)
        try:
            perform(story, seed, folder / "split", _Splitter(points, folder, forks, done).act)
        except BaseException as error:  # a copy must not go on as the original's caller
            if forks.is_copy:
                forks.finish(json.dumps([repr(error)]).encode())
            raise
        forks.drain()
    report.real_s = stopwatch() - began
    return report


def _enter(report: Report, point: Point, found: list[str]) -> None:
    report.points[point.peril] = report.points.get(point.peril, 0) + 1
    if found:
        report.broken[point] = found


def _words(play: Play) -> list[str]:
    return [str(violation) for violation in play.run.observer.violations]


class _Splitter:
    """Plays a story and makes a copy at each point until `done`."""

    def __init__(
        self, points: Sequence[Point], folder: Path, forks: Forks, done: Callable[[], bool]
    ) -> None:
        self._folder = folder
        self._forks = forks
        self._done = done
        self._trials = [point for point in points if point.peril not in tuple(Death)]
        self._deaths: dict[int, list[Point]] = {}
        for point in points:
            if point.peril in tuple(Death):
                self._deaths.setdefault(point.number, []).append(point)

    async def act(self, play: Play) -> None:
        for point in self._trials:
            if not self._done() and self._forks.split(str(point)):
                play.world.move(self._place(point))
                await endure(play, point)
                _finish(play, self._forks)
        if not self._deaths:
            return
        play.world.loop.on_step = lambda step: self._die_in_copies(play, step)
        await play.whole()
        if self._forks.is_copy:
            await asyncio.Event().wait()  # `_live_again` has the last word
        play.world.loop.on_step = None
        await play.run.end()

    def _place(self, point: Point) -> Path:
        return self._folder / point.peril / str(point.number)

    def _die_in_copies(self, play: Play, step: int) -> None:
        for point in self._deaths.get(step, ()):
            if self._forks.is_copy or self._done():
                return
            place = self._place(point)
            play.leave(step, Death(point.peril), place)  # before the original goes on
            if self._forks.split(str(point)):
                play.die(place)
                play.world.supervisor.spawn("aftermath", lambda: self._live_again(play))

    async def _live_again(self, play: Play) -> None:
        await play.aftermath()
        _finish(play, self._forks)


def _finish(play: Play, forks: Forks) -> None:
    shutil.rmtree(play.world.folder, ignore_errors=True)
    forks.finish(json.dumps(_words(play)).encode())


def replay(point: Point, folder: Path) -> Play:
    """One point again, in this process and from the start; the play tells what was found."""

    async def act(play: Play) -> None:
        if point.peril not in tuple(Death):
            await endure(play, point)
            return
        judged = asyncio.Event()

        async def live_again() -> None:
            await play.aftermath()
            judged.set()
            play.over.set()  # whether or not the position was

        def step(number: int) -> None:
            if number == point.number:
                play.leave(number, Death(point.peril), folder)
                play.die(folder)
                play.world.supervisor.spawn("aftermath", live_again)

        play.world.loop.on_step = step
        await play.whole()  # here, not in a task of its own: steps are counted as in a copy
        await judged.wait()
        play.world.loop.thaw()
        for life in play.world.past:
            await play.world.lives.kill(life.name)

    return perform(point.story, point.seed, folder, act, log_level="INFO")


# --- what a life has to live through ---------------------------------------------------------


async def endure(play: Play, point: Point) -> None:
    """A whole story during which `point` befalls the daemon; then the verdict."""
    run, world = play.run, play.world
    await run.begin()
    life = world.life
    if life is None:
        raise RuntimeError("nobody was born")
    if point.peril in DISKS:
        trouble, for_ever = DISKS[point.peril]
        life.disk.fail(DiskFault(trouble, point.number, for_ever))
    else:
        world.loop.on_step = _at(point, play)
    await play.wait(play.is_over, _OUT_S)
    await world.clock.sleep(_AFTER_S)
    life.disk.heal()
    run.observer.disturb(_HEALED_CALM_S)
    await play.settle(recorded=point.peril not in DISKS)
    await run.end()
    if point.peril in DISKS:
        _excuse(play)


def _at(point: Point, play: Play) -> Callable[[int], None]:
    """What a loop does at each step, for a peril of time."""
    world = play.world

    def strike(step: int) -> None:
        if step != point.number:
            return
        world.tell("peril", point.peril)
        if point.peril == STALL:
            play.run.observer.disturb(_STALL_S + _STALL_CALM_S)
            world.loop.stall(_STALL_S)
        elif point.peril == DRIFT:
            world.supervisor.spawn("drift", lambda: _drift(play))
        else:
            world.machine.shift(CLOCKS[point.peril])

    return strike


async def _drift(play: Play) -> None:
    while True:
        await play.world.clock.sleep(1.0)
        play.world.machine.shift(_DRIFT)


def _excuse(play: Play) -> None:
    """A disk that fails cannot record everything: that protection went on without its records is
    what is asked for (INV-08), and an outcome that could not be written is no lie (INV-12)."""
    kept = []
    for violation in play.run.observer.violations:
        words = violation.text.split()
        parts = parse_client_id(words[1]) if words[0] == "order" else None
        exits = parts is not None and parts.purpose is not Purpose.ENTRY
        if violation.invariant == "INV-12" or (violation.invariant == "INV-03" and exits):
            continue
        kept.append(violation)
    play.run.observer.violations[:] = kept


def named(text: str) -> Iterator[str]:
    """Perils of a comma-separated list, groups included. Raises ValueError."""
    groups: Mapping[str, tuple[str, ...]] = {
        "all": PERILS,
        "death": tuple(Death),
        "time": TIMES,
        "disk": tuple(DISKS),
    }
    for word in text.split(","):
        if word not in groups and word not in PERILS:
            raise ValueError(f"{word}: allowed are {', '.join((*groups, *PERILS))}")
        yield from groups.get(word, (word,))
