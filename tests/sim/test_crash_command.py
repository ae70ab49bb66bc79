"""`--crash` and `--point`: what they print, and that a copy is the run that is played again."""

import json
from pathlib import Path

import pytest
from crash_mutants import CRASH_MUTANTS

from core.simulation.forks import CAN_SPLIT
from tools import simulate

pytestmark = pytest.mark.skipif(not CAN_SPLIT, reason="needs fork")


def test_a_point_that_is_not_survived_can_be_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CRASH_MUTANTS["forgets at restart"].apply(monkeypatch)
    words = ["--crash", "kill", "--stories", "target", "--seeds", "1", "--every", "60"]
    assert simulate.main([*words, "--folder", str(tmp_path / "crash")]) == 1
    told = capsys.readouterr().out
    assert "NOT SURVIVED" in told
    lines = told.splitlines()
    at = next(n for n, line in enumerate(lines) if "again: " in line)
    command = lines[at].split("again: python -m tools.simulate ")[1].split()
    assert command[0] == "--point"
    assert simulate.main([*command, "--folder", str(tmp_path / "again")]) == 1
    again = capsys.readouterr().out
    assert lines[at - 1].strip() in again
    assert "life-2 begins" in (tmp_path / "again" / "again" / "timeline.txt").read_text("utf-8")


def test_results_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--crash", "power,stall", "--stories", "gap", "--every", "30", "--json"]
    assert simulate.main([*words, "--seeds", "1", "--folder", str(tmp_path)]) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert report["story"] == "gap"
    assert report["points"].keys() == {"power", "stall"}
    assert report["not_survived"] == {}
    assert report["cpu_s"] > 0


@pytest.mark.parametrize(
    "words",
    [["--crash", "earthquake"], ["--crash", "--stories", "tragedy"], ["--point", "gap:1:kill"]],
)
def test_an_unknown_word_is_one_clear_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate.main(words) == 2
    told = capsys.readouterr().err
    assert words[-1] in told
    assert len(told.splitlines()) == 1
