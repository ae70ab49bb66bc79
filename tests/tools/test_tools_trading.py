"""Tools that open a position: against the exchange as a process, with real streams and files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import paper_env
from tool_kit import XRP, Exchange, paper_process

from core.kernel.instance_lock import InstanceLock
from core.storage.audit_verify import find_segments, verify
from tools import force_trade, panic, prod_smoke, surrogate_pnl, testnet_smoke


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with paper_process("--symbols", "XRPUSDC,DOGEUSDC") as running:
        yield running


def steps(output: str) -> dict[str, bool]:
    return {row["step"]: row["passed"] for row in json.loads(output)["steps"]}


def test_smoke_opens_protects_closes_and_leaves_nothing(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(exchange.env(tmp_path)), "--json"]
    assert testnet_smoke.main(env) == 0, capsys.readouterr()
    found = steps(capsys.readouterr().out)
    assert list(found) == ["connect", "open", "stop", "take-profit", "close", "clean"]
    assert all(found.values())
    assert exchange.state() == ((), ())
    files, whole = find_segments([tmp_path / "logs" / "audit.jsonl"])
    assert verify(files, whole=whole).bad is None
    assert surrogate_pnl.main([*env, "--online"]) == 0
    ledger = json.loads(capsys.readouterr().out)
    assert (ledger["trades"], ledger["net"]) == (1, ledger["booked"])
    assert [day["agrees"] for day in ledger["days"]] == [True]


def test_smoke_leaves_a_position_alone_that_was_there(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.buy(XRP, "20")
    assert testnet_smoke.main(["--env-file", str(exchange.env(tmp_path)), "--json"]) == 1
    assert steps(capsys.readouterr().out)["start clean"] is False
    assert len(exchange.state()[0]) == 1


def test_force_trade_is_sized_checked_and_protected(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(exchange.env(tmp_path, MIN_24H_VOLUME="1"))]
    assert force_trade.main(["XRPUSDC", "long", *env, "--json"]) == 0, capsys.readouterr()
    told = json.loads(capsys.readouterr().out)
    assert told["protected"] is True
    positions, orders = exchange.state()
    assert [row.symbol for row in positions] == [XRP]
    assert sum(order.kind == "STOP_MARKET" for order in orders) == 1
    assert panic.main(env) == 0
    assert exchange.state() == ((), ())
    assert force_trade.main(["XRPUSDC", "long", *env]) == 1
    assert "risk_guard reason=Halted" in capsys.readouterr().err, "a halt holds for tools too"


def test_refusals_before_anything_is_sent(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = ["--env-file", str(paper_env(tmp_path))]
    assert prod_smoke.main(paper) == 2
    assert "DRY_RUN" in capsys.readouterr().err
    real = exchange.env(tmp_path, TESTNET="false", CLOSE_POSITIONS_ON_SHUTDOWN="false")
    assert prod_smoke.main(["--env-file", str(real)]) == 2
    assert force_trade.main(["XRPUSDC", "long", "--env-file", str(real)]) == 2
    assert "--yes-real-money" in capsys.readouterr().err
    env = exchange.env(tmp_path)
    with InstanceLock(tmp_path / "data"):
        assert testnet_smoke.main(["--env-file", str(env)]) == 4
    assert exchange.state() == ((), ())
