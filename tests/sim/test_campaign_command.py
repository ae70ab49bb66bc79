"""The command of a campaign: what it tells, when it fails, how it is ended."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from core.simulation.schedule import FaultKind
from tools import simulate
from tools.simulation import tables
from tools.simulation.campaign import SeedResult
from tools.simulation.measure import TimeShares, reachable_bytes
from tools.simulation.week import week_script, week_symbols

ROOT = Path(__file__).parents[2]


def result(seed: int, planned: dict[FaultKind, int], fired: dict[FaultKind, int]) -> SeedResult:
    made = SeedResult(seed, 1.0, ("XRPUSDC",))
    made.planned, made.fired = Counter(planned), Counter(fired)
    return made


def test_a_fault_that_was_drawn_and_never_struck_is_named_with_its_seeds() -> None:
    kinds = (FaultKind.BANNED, FaultKind.GAP)
    results = [
        result(1, {kinds[0]: 2, kinds[1]: 1}, {kinds[0]: 1}),
        result(2, {kinds[1]: 3}, {}),
    ]
    assert tables.never_fired(results) == [FaultKind.GAP]
    told = tables.table(results, TimeShares().of_all())
    assert "NEVER FIRED: F18 events lost, planned 4 times in seed 1, 2" in told
    assert json.loads(tables.as_json(results, {}))["never_fired"] == [FaultKind.GAP]


def test_a_stop_signal_ends_the_campaign_and_not_the_simulated_daemon(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.simulate", "--seeds", "1-500", "--hours", "0.05"]
    with subprocess.Popen(
        [*command, "--folder", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        told, said = process.communicate(timeout=60)
    assert first.startswith("seed     1")
    assert process.returncode == 130
    assert "simulated days" in told
    assert "stopped" in said


def test_a_measured_campaign_says_where_the_time_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--seeds", "3-3", "--hours", "0.1", "--json", "--folder", str(tmp_path)]
    assert simulate.main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["time"]) == {"daemon", "exchange", "simulation", "loop"}
    assert sum(told["time"].values()) == pytest.approx(1.0, abs=0.01)
    assert told["time"]["daemon"] > 0.05


def test_a_week_has_what_a_week_has() -> None:
    script = week_script(1, 7.0, week_symbols(35))
    assert len(script.symbols) == 35
    kinds = Counter(strike.kind for strike in script.strikes)
    assert kinds[FaultKind.STREAMS_CUT] >= 6
    assert kinds[FaultKind.KEY_EXPIRED] == 7
    for once in (FaultKind.KILL, FaultKind.STOP, FaultKind.BANNED, FaultKind.MAINTENANCE):
        assert kinds[once] == 1
    assert all(strike.at < script.heal_at for strike in script.strikes)


def test_more_symbols_than_there_are_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--week", "1", "--symbols", "500"]) == 2
    assert "--symbols must be 1 to" in capsys.readouterr().err


def test_memory_is_counted_through_everything_but_the_world() -> None:
    beyond = ["x" * 100_000]
    mine = {"a": [bytes(10_000), bytes(20_000)], "world": beyond}
    assert 30_000 < reachable_bytes(mine, (beyond,)) < 40_000
    assert reachable_bytes(mine, ()) > 100_000


def test_a_short_week_needs_no_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--week", "0.06", "--symbols", "2", "--json", "--folder", str(tmp_path)]
    assert simulate.main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["violations"] == []
    assert told["comparisons"] > 10
    assert told["faults"][FaultKind.KILL] == 1
    assert told["samples"]
