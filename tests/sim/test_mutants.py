"""Every deliberate breakage is caught within its stated number of seeds."""

from pathlib import Path

import pytest
from mutants import MUTANTS

from tools.simulation.campaign import run_seed


@pytest.mark.shows_secrets
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    mutant.apply(monkeypatch)
    found: dict[str, None] = {}
    for seed in range(1, mutant.seeds + 1):
        result = run_seed(
            seed, mutant.hours, tmp_path / "run", mutant.kinds, intensity=mutant.intensity
        )
        found.update(dict.fromkeys(violation.invariant for violation in result.violations))
        if any(invariant in found for invariant in mutant.caught_by):
            return
    pytest.fail(f"{name}: not caught by {mutant.caught_by}; reported {list(found)}")
