"""quick_check: one screen that says what is wrong, and its exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import paper_env, record_day
from tool_kit import XRP, Exchange, paper_process

from core.audit_logger import AuditLogger
from core.kernel.instance_lock import InstanceLock
from tools import doctor, panic, quick_check


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with paper_process("--symbols", "XRPUSDC,DOGEUSDC,BTCUSDC") as running:
        yield running


def checks(output: str) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["state"], row["text"]) for row in json.loads(output)["checks"]}


def test_all_well(exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = ["--env-file", str(exchange.env(tmp_path))]
    assert doctor.main([*env, "--json"]) == 0
    found = checks(capsys.readouterr().out)
    assert found["account"] == ("ok", "may trade; wallet 400 USDC, 400 available")
    assert found["symbols"][1].startswith("3 would be traded")
    assert found["positions"] == ("ok", "0 open, all covered by stops")
    assert not (tmp_path / "data").exists(), "looking leaves nothing behind"
    assert quick_check.main(env) == 0
    screen = capsys.readouterr().out
    assert "✓  exchange" in screen
    assert exchange.api_secret not in screen


def test_naked_position_and_halt_are_told(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(exchange.env(tmp_path))]
    assert panic.main([*env, "--reason", "drill"]) == 0
    exchange.buy(XRP, "20")
    exchange.place_stop(XRP, "5")
    capsys.readouterr()
    assert quick_check.main([*env, "--json"]) == 1
    found = checks(capsys.readouterr().out)
    assert found["positions"] == ("fail", f"WITHOUT A FULL STOP: {XRP}")
    assert "drill" in found["halt"][1]


def test_wrong_key_is_an_account_problem(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = exchange.env(tmp_path, BINANCE_API_SECRET="not-the-secret-of-this-key")
    assert quick_check.main(["--env-file", str(env), "--json"]) == 3
    assert checks(capsys.readouterr().out)["account"][0] == "fail"


def test_without_network_and_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_day(tmp_path, [])
    audit = AuditLogger(tmp_path / "logs" / "audit.jsonl", venue="paper")
    audit.write({"action": "start"})
    audit.close()
    env = ["--env-file", str(paper_env(tmp_path)), "--json"]
    with InstanceLock(tmp_path / "data"):
        assert quick_check.main(env) == 1, "the remembered head is not in this log"
    found = checks(capsys.readouterr().out)
    assert found["daemon"][1].startswith("pid ")
    assert found["audit"][0] == "fail"
    assert "none has been started" in found["exchange"][1]
    assert quick_check.main(env) == 1
    assert "none runs" in checks(capsys.readouterr().out)["exchange"][1]
    nowhere = Exchange("http://127.0.0.1:9", "ws://127.0.0.1:9", "key-of-test", "secret-of-test")
    folder = tmp_path / "other"
    folder.mkdir()
    assert quick_check.main(["--env-file", str(nowhere.env(folder))]) == 5
