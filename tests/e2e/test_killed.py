"""kill -9 and what comes after: the chain holds, the position stays protected and is taken up."""

import shutil
import signal
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from e2e_kit import (
    ROOT,
    SYNTHETIC,
    Venue,
    assert_chain,
    assert_clean,
    audit,
    having,
    last_run,
    run_bot,
    start_bot,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

EAGER = '''"""Wants to be long on every candle."""

import numpy as np

from core.domain.market import CandleArrays
from core.domain.strategy import SignalArrays
from strategies.base_strategy import BaseStrategy, StrategyParams


class Eager(BaseStrategy[StrategyParams]):
    name = "eager"
    tag = "eag"
    params_type = StrategyParams
    warmup = 20

    def signals(self, candles: CandleArrays) -> SignalArrays:
        count = len(candles)
        return SignalArrays(
            direction=np.ones(count, dtype=np.int8),
            strength=np.ones(count),
            atr=candles.close * 0.005,
            explain=lambda _: "always",
            gate=lambda _: "",
        )
'''


@pytest.fixture
def eager(tmp_path: Path) -> Path:
    """The program with a strategy of the operator's own, dropped in as a file."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "main.py", project)
    shutil.copytree(ROOT / "strategies", project / "strategies")
    (project / "strategies" / "eager.py").write_text(EAGER)
    (project / "core").symlink_to(ROOT / "core")
    return project / "main.py"


def test_a_killed_daemon_starts_again_in_its_folders(tmp_path: Path) -> None:
    running = start_bot(
        tmp_path, **{**SYNTHETIC, "PAPER_SPEED": "300", "TIMEFRAME": "1m", "SYMBOLS": ""}
    )
    try:
        running.wait_for("trade      OPEN ")
    finally:
        running.send(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    again = run_bot(tmp_path, "--once", **SYNTHETIC)
    assert again.code == 0, again.err
    assert_clean(again)
    assert "positions of the last paper account are gone with it" in again.err
    figures = last_run(tmp_path)
    assert figures["audit_verdict"] == "chain verifies"
    assert (figures["ledger_difference"], figures["open_positions"]) == ("0", 0)
    assert_chain(tmp_path)


def test_a_position_outlives_kill_9_protected_and_is_closed_once(
    tmp_path: Path, eager: Path
) -> None:
    with Venue(tmp_path / "venue", "--symbols", "XRPUSDT") as venue:
        settings = {
            **venue.settings,
            "STRATEGY": "eager",
            "SYMBOLS": "XRPUSDT",
            "TIMEFRAME": "1m",
            "CANDLES": 60,
        }
        for word in ("trade      OPEN XRP/USDT:USDT LONG", "ready: 1 symbols"):
            running = start_bot(tmp_path, main=eager, **settings)
            try:
                running.wait_for(word)
            finally:
                running.send(signal.SIGKILL)
            assert running.end().code == -signal.SIGKILL
            assert _protected(venue)
        third = start_bot(tmp_path, main=eager, **settings)
        try:
            third.wait_for("ready: 1 symbols")
            held = _protected(venue)
            third.send(signal.SIGTERM)
            ended = third.end(30)
        finally:
            third.kill()
        assert ended.code == 0, ended.err[-3000:]
        assert_clean(ended)
        assert _position(venue) == 0
        assert venue.ask("/fapi/v1/openOrders") == []
        assert venue.ask("/fapi/v1/openAlgoOrders") == []
        trades = venue.ask("/fapi/v1/userTrades", symbol="XRPUSDT")
    records = audit(tmp_path)
    (closed,) = having(records, "position.closed")
    assert Decimal(closed["quantity"]) == held
    assert closed["reason"] == "shutdown"
    (entered,) = having(records, "decision.enter")
    assert closed["trade_id"] == entered["intent_id"]
    booked = [fill["exchange_trade_id"] for fill in having(records, "order.fill")]
    assert sorted(booked) == sorted(trade["id"] for trade in trades)
    assert_chain(tmp_path)


def _position(venue: Venue) -> Decimal:
    rows = venue.ask("/fapi/v3/positionRisk", symbol="XRPUSDT")
    return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))


def _protected(venue: Venue) -> Decimal:
    """The position's quantity, which exactly one live stop must cover."""
    held = _position(venue)
    stops = [
        order
        for order in venue.ask("/fapi/v1/openAlgoOrders", symbol="XRPUSDT")
        if order["orderType"] == "STOP_MARKET"
    ]
    assert held > 0
    assert [Decimal(stop["quantity"]) for stop in stops] == [held]
    assert all(stop["side"] == "SELL" and stop["reduceOnly"] for stop in stops)
    return held
