"""Every breakage that only a death reveals is caught within its stated number of deaths."""

from pathlib import Path

import pytest
from crash_mutants import CRASH_MUTANTS

from core.simulation.forks import CAN_SPLIT
from tools.simulation.crashes import explore

pytestmark = pytest.mark.skipif(not CAN_SPLIT, reason="needs fork")


@pytest.mark.parametrize("name", CRASH_MUTANTS)
def test_a_mutant_is_caught(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = CRASH_MUTANTS[name]
    mutant.apply(monkeypatch)
    report = explore(
        "target",
        1,
        tmp_path,
        perils=(mutant.peril,),
        every=mutant.every,
        part=mutant.part,
        until_broken=True,
    )
    found = {line.split()[1] for lines in report.broken.values() for line in lines}
    assert found & set(mutant.caught_by), found
    assert report.total <= mutant.points
