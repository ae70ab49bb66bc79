"""The whole daemon under the faults that a seed draws: a slice of what a night runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.simulation.schedule import FaultKind, write_script
from tools import simulate
from tools.simulation.campaign import run_seed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", [2, 7])
def test_a_seed_violates_nothing(seed: int, tmp_path: Path) -> None:
    result = run_seed(seed, 0.5, tmp_path / "run")
    assert result.violations == []
    assert result.trades > 5
    assert result.fired.total() > 5


def test_a_quiet_world_needs_no_repair(tmp_path: Path) -> None:
    result = run_seed(5, 0.4, tmp_path / "run", kinds=())
    assert result.violations == []
    assert result.trades > 5
    assert result.longest_naked_s < 1.0


def test_equal_seeds_are_equal_runs_in_other_processes(tmp_path: Path) -> None:
    """Two processes whose hashes differ agree on every byte and every time."""
    digests = []
    for hash_seed in ("0", "4242"):
        command = [sys.executable, "-m", "tools.simulate", "--replay", "4", "--hours", "0.2"]
        done = subprocess.run(
            [*command, "--json", "--folder", str(tmp_path / hash_seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        digests.append(json.loads(done.stdout)["seeds"][0]["digest"])
    assert digests[0] == digests[1]
    assert digests[0] != run_seed(6, 0.2, tmp_path / "other").digest


def test_a_script_depends_on_its_seed_only() -> None:
    first = write_script(11, 4.0)
    assert first == write_script(11, 4.0)
    assert first != write_script(12, 4.0)
    assert all(strike.at < first.heal_at for strike in first.strikes)
    kinds = {strike.kind for seed in range(40) for strike in write_script(seed, 4).strikes}
    assert kinds == set(FaultKind)


def test_the_command_tells_how_to_see_a_failure_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.simulation.observer.NAKED_LIMIT_S", -1.0)
    code = simulate.main(["--seeds", "5", "--hours", "0.2", "--folder", str(tmp_path)])
    told = capsys.readouterr().out
    assert code == 1
    assert "INV-01" in told
    assert "python -m tools.simulate --replay 5 --hours 0.2" in told
    timeline = (tmp_path / "seed-5" / "timeline.txt").read_text()
    assert "VIOLATION" in timeline
    assert "exchange" in timeline
    assert "daemon" in timeline


def test_a_range_of_seeds_that_ends_before_it_begins_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert simulate.main(["--seeds", "9-3"]) == 2
    assert "9-3" in capsys.readouterr().err
