"""One misfortune at a time, anywhere in a position's life: a slice of what the command plays."""

from pathlib import Path

import pytest

from core.simulation.forks import CAN_SPLIT
from tools.simulation.crashes import DISKS, TIMES, explore
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
