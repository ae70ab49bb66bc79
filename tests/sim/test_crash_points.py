"""kill -9 in the middle of an entry: before, while and after it is sent, filled and protected."""

from pathlib import Path

import pytest
from mutants import MUTANTS

from tools import simulate
from tools.simulation.crashes import explore


def test_an_entry_survives_a_kill_at_any_step(tmp_path: Path) -> None:
    report = explore(3, 5, tmp_path)
    assert report.violations == []
    assert len(set(report.points)) == 5


def test_a_daemon_that_forgets_is_found_out_by_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MUTANTS["forgets at restart"].apply(monkeypatch)
    code = simulate.main(["--seeds", "3", "--crashes", "2", "--folder", str(tmp_path)])
    told = capsys.readouterr().out
    assert code == 1
    assert "step " in told
    assert "INV-" in told
