"""The histogram of times without a stop says what the audit log says."""

import json
from pathlib import Path

import pytest

from core.audit_logger import AuditLogger
from core.kernel.clock import LiveClock
from tools import unprotected


def log_of(folder: Path, *stops_us: int) -> Path:
    path = folder / "audit.jsonl"
    audit = AuditLogger(path, clock=LiveClock(), venue="paper")
    for number, elapsed in enumerate(stops_us):
        trade = f"t{number}"
        audit.write({"action": "stop.confirmed", "trade_id": trade, "elapsed_us": elapsed})
        audit.write({"action": "position.closed", "trade_id": trade, "unprotected_us": elapsed * 2})
        audit.write({"action": "order.fill", "trade_id": trade})
    audit.close()
    return path


def test_every_time_is_in_its_bucket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_of(tmp_path, 999, 1_000, 7_000, 7_500, 1_999_999)
    assert unprotected.main([str(path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-1] == "5"
    counts = [line[3] for line in lines[1:13]]
    assert counts == ["1", "1", "0", "2", "0", "0", "0", "0", "0", "0", "1", "0"]
    assert lines[13][:6] == ["median", "7.0", "ms,", "p99", "2000.0", "ms,"]
    assert lines[13][-1] == "(t4)"
    assert lines[-1] == ["above", "2,000", "ms:", "0"]


def test_above_the_limit_is_a_failure_and_json_has_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_of(tmp_path, 400, 2_000_001)
    assert unprotected.main([str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["above"] == 1
    assert found["stops"] == {"samples_us": [400, 2_000_001], "worst_id": "t1"}
    assert found["trades"]["samples_us"] == [800, 4_000_002]
    assert unprotected.main([str(tmp_path), "--limit-ms", "3000"]) == 0


def test_a_quiet_log_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unprotected.main([str(log_of(tmp_path))]) == 0
    assert "fill to accepted stop: 0" in capsys.readouterr().out


def test_nothing_to_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unprotected.main([str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
