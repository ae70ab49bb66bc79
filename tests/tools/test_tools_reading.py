"""Tools that read what a daemon left: why, post_run_analysis."""

import csv
import json
from pathlib import Path

import pytest
from recorded import XRP, paper_env, record_day

from tools import post_run_analysis, why
from tools.common import export

WINS = ["4"] * 15 + ["-3"] * 5


def test_why_answers_with_gates_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_day(tmp_path, [])
    env = ["--env-file", str(paper_env(tmp_path))]
    assert why.main(["xrpusdc", *env]) == 0
    text = capsys.readouterr().out
    assert "rsi 55.1 not under 30" in text
    assert "LONG refused: spread=0.002 | rsi 28.0" in text
    assert why.main(["XRPUSDC", "--signals", "--json", *env]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {gate["gate"]: gate["candles"] for gate in told["gates"]} == {"rsi": 1, "spread": 1}
    assert [row["gate"] for row in told["decisions"]] == ["spread"]
    assert told["decisions"][0]["detail"]["checks"][1]["numbers"] == {"spread": "0.002"}
    assert why.main(["ADAUSDC", *env]) == 1


def test_no_database_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = ["--env-file", str(paper_env(tmp_path))]
    assert why.main(env) == 2
    assert post_run_analysis.main(env) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert not (tmp_path / "data").exists(), "looking leaves nothing behind"


def test_report_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_day(tmp_path, WINS)
    page, rows = tmp_path / "report.html", tmp_path / "trades.csv"
    arguments = ["--html", str(page), "--csv", str(rows), "--json"]
    env = ["--env-file", str(paper_env(tmp_path))]
    assert post_run_analysis.main([*arguments, *env, "--gate"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["net"], told["start_equity"], told["gate_passed"]) == ("45", "500", True)
    assert told["audit_head"] == "ab" * 32 + "/12"
    assert "<svg" in page.read_text()
    with rows.open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 20
    assert (table[0]["symbol"], table[0]["net"], table[0]["entry_price"]) == (XRP, "4", "2.1")


@pytest.mark.parametrize(
    ("nets", "critical", "said"),
    [
        (WINS[:19], False, "19 closed trades, 20 are needed"),
        (["4"] * 11 + ["-3"] * 9, False, "win rate 55.0%, above 55% is needed"),
        (WINS, True, "1 critical errors, none is allowed"),
    ],
)
def test_gate_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nets: list[str], critical: bool, said: str
) -> None:
    record_day(tmp_path, nets, critical=critical)
    assert post_run_analysis.main(["--gate", "--env-file", str(paper_env(tmp_path))]) == 1
    assert f"gate: {said}" in capsys.readouterr().out


def test_parquet_without_its_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_day(tmp_path, WINS)
    monkeypatch.setattr(export, "parquet", None)
    arguments = ["--parquet", str(tmp_path / "t.parquet"), "--env-file", str(paper_env(tmp_path))]
    assert post_run_analysis.main(arguments) == 2
    assert "pip install pyarrow" in capsys.readouterr().err


def test_period_may_be_all_or_dates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_day(tmp_path, ["4", "-3"], ended_ms=1_750_000_000_000)
    env = ["--json", "--env-file", str(paper_env(tmp_path))]
    counted = []
    for period in (["--since", "7d"], ["--since", "all"], ["--from", "2025-06-15"]):
        assert post_run_analysis.main([*period, *env]) == 0
        counted.append(json.loads(capsys.readouterr().out)["trades"])
    assert counted == [0, 2, 2]
    with pytest.raises(SystemExit):
        post_run_analysis.main(["--since", "soon"])
