"""One misfortune at a time, anywhere in a position's life: a slice of what the command plays."""

import asyncio
from pathlib import Path

import pytest

from core.assembly.exit_codes import ExitCode
from core.simulation.forks import CAN_SPLIT
from tools.simulation.crashes import DISKS, TIMES, course_of, explore
from tools.simulation.plays import Death, Play, booked, perform
from tools.simulation.stories import STORIES

pytestmark = pytest.mark.skipif(not CAN_SPLIT, reason="needs fork")


@pytest.mark.parametrize("story", STORIES)
def test_a_position_survives_death_at_any_step(story: str, tmp_path: Path) -> None:
    report = explore(story, 3, tmp_path, every=40)
    assert report.broken == {}
    assert report.points["kill"] == report.points["power"] >= 2


def test_a_position_survives_a_failing_disk(tmp_path: Path) -> None:
    report = explore("target", 2, tmp_path, perils=tuple(DISKS), every=40)
    assert report.broken == {}
    assert report.total >= 2 * len(DISKS)


def test_a_position_survives_wrong_clocks_and_stalls(tmp_path: Path) -> None:
    report = explore("target", 2, tmp_path, perils=TIMES, every=70)
    assert report.broken == {}
    assert report.total >= 2 * len(TIMES)


def test_a_stop_that_leaves_something_is_not_called_clean(tmp_path: Path) -> None:
    """An order in doubt outlasts the shutdown: the next start resolves it, the exit code tells."""
    course = course_of("target", 1, tmp_path / "whole")
    unfinished = 0
    for step in course.steps[38:80:7]:
        left, code = _stopped_at_once(step, tmp_path / str(step))
        assert code is (ExitCode.FATAL if left else ExitCode.OK)
        unfinished += left
    assert unfinished


def _stopped_at_once(step: int, folder: Path) -> tuple[bool, object]:
    """Die at `step`, start again and stop as soon as the daemon is ready: whether a trade is left
    open in its books, and its exit code."""
    found: list[tuple[bool, object]] = []

    async def act(play: Play) -> None:
        judged = asyncio.Event()

        async def stop() -> None:
            await play.world.clock.sleep(1.0)
            play.world.birth()
            await play.wait(play.is_ready, 60.0)
            life = await play.world.stop()
            held, _ = await booked(life)
            found.append((bool(held), life.exit_code))
            judged.set()
            play.over.set()

        def strike(number: int) -> None:
            if number == step:
                play.leave(number, Death.KILL, folder)
                play.die(folder)
                play.world.supervisor.spawn("stop", stop)

        play.world.loop.on_step = strike
        await play.whole()
        await judged.wait()
        play.world.loop.thaw()
        for life in play.world.past:
            await play.world.lives.kill(life.name)
        await play.world.close()

    perform("target", 1, folder, act)
    return found[0]
