"""Signals: the first one stops in order, the second one at once, also before trading began."""

import signal
import sys
from pathlib import Path

import pytest
from e2e_kit import (
    SYNTHETIC,
    assert_chain,
    assert_clean,
    audit,
    having,
    last_run,
    start_bot,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

PACED = {**SYNTHETIC, "PAPER_SPEED": "300", "TIMEFRAME": "1m", "SYMBOLS": ""}
"""Thirty symbols on one-minute candles: something is traded within real seconds."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_positions_and_ends_with_the_summary(
    tmp_path: Path, number: signal.Signals
) -> None:
    running = start_bot(tmp_path, **PACED)
    try:
        running.wait_for("trade      OPEN ")
        running.send(number)
        ended = running.end(30)
    finally:
        running.kill()
    assert ended.code == 0, ended.err[-3000:]
    assert_clean(ended)
    assert f"WARN  stop       {number.name}: stopping; once more forces it" in ended.err
    assert ended.out.startswith("─")
    assert f"ended       signal {number.name}" in ended.out
    figures = last_run(tmp_path)
    assert figures["trades"] == figures["approved"] > 0
    assert (figures["open_positions"], figures["open_orders"]) == (0, 0)
    assert figures["ledger_difference"] == "0"
    records = audit(tmp_path)
    assert records[-1]["action"] == "stop"
    opened = {record["trade_id"] for record in having(records, "order.fill", purpose="entry")}
    assert opened == {record["trade_id"] for record in having(records, "position.closed")}
    assert_chain(tmp_path)


def test_a_second_signal_forces(tmp_path: Path) -> None:
    """In slow motion, so that the orderly stop takes longer than a second signal."""
    running = start_bot(tmp_path, **{**PACED, "PAPER_SPEED": "0.1"})
    try:
        running.wait_for("user-stream live")
        running.send(signal.SIGTERM)
        running.wait_for("SIGTERM: stopping; once more forces it")
        running.send(signal.SIGINT)
        ended = running.end(10)
    finally:
        running.kill()
    assert ended.code == 1
    assert ended.error_lines[-1].endswith(
        "CRIT  stop       SIGINT again: forced, nothing is waited for"
    )
    assert_clean(ended)


def test_a_signal_before_anything_was_begun_is_a_stop_too(tmp_path: Path) -> None:
    """While the network is probed no loop listens yet."""
    running = start_bot(
        tmp_path,
        **{**SYNTHETIC, "PAPER_FEED": "auto"},
        BINANCE_REST_URL="http://10.255.255.1",
        BINANCE_WS_URL="ws://10.255.255.1",
    )
    try:
        held = tmp_path / "data" / "instance.pid"
        running.wait_until(held.exists, "held its data folder")
        running.send(signal.SIGTERM)
        ended = running.end(20)
    finally:
        running.kill()
    assert ended.code == 0, ended.err
    assert_clean(ended)
