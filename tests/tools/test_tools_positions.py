"""check_orders, check_positions, close_position and panic against the exchange as a process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tool_kit import DOGE, XRP, Exchange, paper_process

from core.storage.audit_verify import find_segments, verify
from tools import check_orders, check_positions, close_position, panic


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """One per test: a shared account would run into the exchange's own request limits."""
    with paper_process("--symbols", "XRPUSDC,DOGEUSDC") as running:
        yield running


def test_empty_account(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(exchange.env(tmp_path))]
    assert check_orders.main(env) == 0
    assert check_positions.main(env) == 0
    assert close_position.main([*env, "--all"]) == 0
    assert "0 open orders" in capsys.readouterr().out


def test_naked_position_is_a_finding_only_when_ours(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(exchange.env(tmp_path)), "--json"]
    exchange.buy(XRP, "20")
    assert check_positions.main(env) == 0
    assert json.loads(capsys.readouterr().out)["positions"][0]["whose"] == "not ours"
    exchange.place_stop(XRP, "5")
    assert check_positions.main(env) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["unprotected"] == [XRP]
    assert found["positions"][0]["stops"] == "5 only"
    exchange.place_stop(XRP, "15")
    assert check_positions.main(env) == 0


def test_orphan_order_is_a_finding(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client_id = exchange.place_stop(DOGE, "100")
    assert check_orders.main(["--env-file", str(exchange.env(tmp_path)), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["orphans"] == [client_id]
    assert found["orders"][0]["purpose"] == "stop"


def test_close_one_position_and_its_orders(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.buy(XRP, "20")
    exchange.place_stop(XRP, "20")
    exchange.buy(DOGE, "100")
    env = exchange.env(tmp_path)
    assert close_position.main(["XRPUSDC", "--env-file", str(env), "--json"]) == 0
    closed = json.loads(capsys.readouterr().out)["closed"]
    assert closed[0]["orders cancelled"] == "1"
    positions, orders = exchange.state()
    assert [row.symbol for row in positions] == [DOGE]
    assert orders == ()
    actions = [json.loads(line) for line in (tmp_path / "logs/audit.jsonl").open()]
    assert [row["action"] for row in actions][:2] == ["order.intent", "order.filled"]


def test_panic_with_the_daemon_dead(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.buy(XRP, "20")
    exchange.place_stop(XRP, "20")
    exchange.buy(DOGE, "100")
    env = exchange.env(tmp_path)
    assert panic.main(["--env-file", str(env), "--json", "--reason", "drill"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["proof"] == {
        "positions": 0,
        "orders": 0,
        "conditional orders": 0,
        "positions not the bot's, left alone": 1,
    }
    assert (said["clean"], said["not_ours"]) == (False, [DOGE])
    positions, orders = exchange.state()
    assert [row.symbol for row in positions] == [DOGE]
    assert orders == ()
    halt = json.loads((tmp_path / "data/runtime/stage_f_state.halt-testnet.json").read_text())
    assert halt["reason"] == "drill"
    files, whole = find_segments([tmp_path / "logs" / "audit.jsonl"])
    assert verify(files, whole=whole).bad is None
    assert panic.main(["--env-file", str(env)]) == 1, "idempotent"
    screen = capsys.readouterr().out
    assert f"NOT EMPTY: left alone, not the bot's (--all takes them too): {DOGE}" in screen
    assert "CLEAN" not in screen
    assert panic.main(["--env-file", str(env), "--all"]) == 0
    assert "CLEAN: no position on the account" in capsys.readouterr().out
    assert exchange.state() == ((), ())


def test_panic_needs_neither_database_nor_disk(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.buy(XRP, "20")
    exchange.place_stop(XRP, "20")
    (tmp_path / "data").mkdir()
    for name in ("logs", "data/runtime"):  # files where folders have to be
        (tmp_path / name).write_text("")
    env = exchange.env(tmp_path)
    assert panic.main(["--env-file", str(env)]) == 0
    captured = capsys.readouterr()
    assert "NOT blocked" in captured.err
    assert "CLEAN" in captured.out
    assert exchange.state()[0] == ()


def test_unreachable_exchange_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Exchange("http://127.0.0.1:9", "ws://127.0.0.1:9", "key-of-test", "secret-of-test")
    assert check_positions.main(["--env-file", str(nowhere.env(tmp_path))]) == 5
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "secret-of-test" not in captured.err


def test_wrong_usage(tmp_path: Path) -> None:
    for arguments in (["--all", "XRPUSDC"], [], ["NOCOIN"]):
        with pytest.raises(SystemExit) as error:
            close_position.main(arguments)
        assert error.value.code == 2
    assert check_orders.main(["--env-file", str(tmp_path / "missing")]) == 2
