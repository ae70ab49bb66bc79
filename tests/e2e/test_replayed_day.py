"""A recorded day from the first candle to the summary, judged by the files it leaves."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from e2e_kit import (
    Ended,
    archive,
    assert_chain,
    assert_clean,
    audit,
    having,
    last_run,
    needs_archive,
    replay,
    run_bot,
    start_bot,
)

pytestmark = needs_archive

DAY = ("2025-06-10", "2025-06-11", "ETHUSDC", "SOLUSDC", "DOGEUSDC")
SHORT = ("2025-06-10T00:00", "2025-06-10T02:30", "BNBUSDC", "ETHUSDC")


@dataclass(frozen=True)
class Day:
    folder: Path
    ended: Ended
    figures: dict[str, Any]
    records: list[dict[str, Any]]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("day")
    ended = run_bot(folder, **replay(*DAY))
    assert ended.code == 0, ended.err[-3000:]
    return Day(folder, ended, last_run(folder), audit(folder))


def test_it_ends_by_itself_and_says_why(day: Day) -> None:
    assert day.figures["ended"] == "the recording has ended"
    assert day.ended.out.splitlines()[1].startswith("run ")
    assert "ended       the recording has ended" in day.ended.out
    assert_clean(day.ended)


def test_trades_opened_and_closed_and_the_books_balance(day: Day) -> None:
    figures = day.figures
    assert figures["trades"] > 3
    assert figures["trades"] == figures["approved"]
    assert figures["ledger_difference"] == "0"
    assert (figures["open_positions"], figures["open_orders"]) == (0, 0)
    assert len(having(day.records, "position.closed")) == figures["trades"]


def test_the_audit_chain_holds_for_an_outsider(day: Day) -> None:
    assert day.figures["audit_verdict"] == "chain verifies"
    assert day.figures["audit_head"] == day.records[-1]["hash"]
    assert [record["seq"] for record in day.records] == list(range(1, len(day.records) + 1))
    assert_chain(day.folder)


def test_every_position_had_its_stop_within_two_seconds(day: Day) -> None:
    entries = having(day.records, "order.fill", purpose="entry")
    assert entries
    for trade_id in dict.fromkeys(fill["trade_id"] for fill in entries):
        filled = next(fill for fill in entries if fill["trade_id"] == trade_id)
        (stop,) = having(day.records, "stop.confirmed", trade_id=trade_id, first=True)
        (closed,) = having(day.records, "position.closed", trade_id=trade_id)
        assert filled["seq"] < stop["seq"] < closed["seq"]
        assert 0 <= _seconds(filled, stop) <= 2.0
        total = sum(Decimal(fill["quantity"]) for fill in entries if fill["trade_id"] == trade_id)
        assert Decimal(stop["quantity"]) == total


def test_every_order_was_intended_on_record_before_anything_else_is_known_of_it(day: Day) -> None:
    first: dict[str, str] = {}
    for record in day.records:
        if record["action"].startswith("order."):
            first.setdefault(record["client_id"], record["action"])
    assert first
    assert set(first.values()) == {"order.intent"}
    intended = [record["client_id"] for record in having(day.records, "order.intent")]
    assert len(intended) == len(set(intended))


def test_fills_and_funding_explain_the_wallet_to_the_last_digit(day: Day) -> None:
    fills = having(day.records, "order.fill")
    result = sum(Decimal(f["realized_pnl"]) - Decimal(f["commission"]) for f in fills)
    closed = having(day.records, "position.closed")
    funding = sum(Decimal(trade["funding"]) for trade in closed)
    change = Decimal(day.figures["wallet_end"]) - Decimal(day.figures["wallet_start"])
    assert result + funding == change
    assert sum(Decimal(trade["net"]) for trade in closed) == change


def test_every_signal_has_a_decision_with_reasons(day: Day) -> None:
    decided = having(day.records, "decision.enter") + having(day.records, "decision.skip")
    assert len(decided) == day.figures["approved"] + day.figures["refused"]
    for record in decided:
        assert record["lens"] == "scalping_v1"
        assert {"symbol", "side", "size", "why", "checks", "sizing"} <= record.keys()
        assert record["config"].keys() == {"tp_style", "working_type", "risk"}
        assert record["why"].startswith("trend: ")


def test_the_screen_is_readable(day: Day) -> None:
    lines = day.ended.error_lines
    assert lines[0] == "---- 2025-06-10 UTC ----"
    assert any(line.endswith("ready: 3 symbols") for line in lines)
    verdicts = [line for line in lines if " engine " in line]
    assert verdicts
    assert max(map(len, verdicts)) <= 180
    assert max(map(len, day.ended.out.splitlines())) <= 100
    trades = [line for line in lines if " trade " in line]
    assert len(trades) == 2 * day.figures["trades"]


def test_the_same_recording_gives_the_same_trades_whatever_the_hash_seed(tmp_path: Path) -> None:
    runs = [
        start_bot(tmp_path / seed, **replay(*SHORT), PYTHONHASHSEED=seed) for seed in ("1", "77")
    ]
    stories = []
    for running, seed in zip(runs, ("1", "77"), strict=True):
        ended = running.end()
        assert ended.code == 0, ended.err[-3000:]
        assert last_run(tmp_path / seed)["trades"] > 0
        stories.append([_decisive(record) for record in audit(tmp_path / seed)])
    assert stories[0] == stories[1]


def test_a_folder_with_a_past_goes_on_with_its_chain(tmp_path: Path) -> None:
    """Recordings of other days leave records with other dates: the chain runs through them."""
    for start, end in (
        ("2025-06-10T00:00", "2025-06-10T00:20"),
        ("2025-06-09T00:00", "2025-06-09T00:20"),
    ):
        ended = run_bot(tmp_path, **replay(start, end, "BNBUSDC"))
        assert ended.code == 0, ended.err[-3000:]
        assert last_run(tmp_path)["audit_verdict"] == "chain verifies"
    assert len(having(audit(tmp_path), "start")) == 2
    assert_chain(tmp_path)


def test_it_plays_what_it_is_told_and_nothing_else(tmp_path: Path) -> None:
    refused = run_bot(tmp_path, **{**replay(*SHORT), "SYMBOLS": "LTCUSDC"})
    assert refused.code == 2
    assert refused.error_lines == [
        f"configuration: PAPER_REPLAY_PATH: {archive()}: no candles for LTCUSDC; recorded are "
        "BNBUSDC, BTCUSDC, DOGEUSDC, ETHUSDC, SOLUSDC, XRPUSDC"
    ]


def _seconds(earlier: dict[str, Any], later: dict[str, Any]) -> float:
    return (
        datetime.fromisoformat(later["ts"]) - datetime.fromisoformat(earlier["ts"])
    ).total_seconds()


def _decisive(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what must differ between two processes: the free port the paper exchange
    was given, and the hashes, in which that port is contained."""
    left = {name: v for name, v in record.items() if name not in ("hash", "prev_hash", "head")}
    if record["action"] == "start":
        left["card"] = {name: v for name, v in left["card"].items() if name != "endpoint"}
    return left
