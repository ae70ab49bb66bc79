"""Thresholds with two levels, and the figures they judge."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from report_builders import START_MS, closed

from core.domain.enums import ExitReason
from core.domain.position import Trade
from core.kernel.clock import LiveClock
from core.observe.log_lines import newest_lines, newest_text
from core.observe.monitor import (
    DAY_MS,
    RULES,
    Monitor,
    read_figures,
    report_text,
    start_of_day,
    stop_streak,
)
from core.storage.database import open_database
from core.storage.journal import Journal
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_one_message_up_and_one_down(rule: object) -> None:
    known = next(each for each in RULES if each is rule)
    monitor = Monitor()
    between = (known.raise_at + known.clear_at) / 2
    story = [
        (known.clear_at, False, False),
        (between, False, False),
        (known.raise_at, True, True),
        (between, True, False),
        (known.raise_at * 2, True, False),
        (between, True, False),
        (known.clear_at, False, True),
        (between, False, False),
    ]
    for value, raised, changed in story:
        (reading,) = monitor.judge({known.key: value})
        assert (reading.raised, reading.changed) == (raised, changed), value


def test_what_is_raised_survives_a_restart() -> None:
    first = Monitor()
    first.judge({"stop_streak": 2.0})
    (reading,) = Monitor(first.raised).judge({"stop_streak": 2.0})
    assert (reading.raised, reading.changed) == (True, False)
    assert Monitor(["no such rule"]).raised == ()


def test_stop_streak_ends_at_the_last_other_exit() -> None:
    def ends(*reasons: ExitReason) -> list[Trade]:
        return [closed("-1", number=n, reason=reason) for n, reason in enumerate(reasons)]

    stop, target = ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT
    assert stop_streak(ends(stop, target, stop, ExitReason.EMERGENCY)) == 2
    assert stop_streak(ends(stop, target)) == 0
    assert stop_streak([]) == 0


def test_equity_at_the_start_of_the_day() -> None:
    points = [(50, Decimal(390)), (90, Decimal(400)), (120, Decimal(410))]
    assert start_of_day(points, 100) == 400
    assert start_of_day(points[2:], 100) == 410
    assert start_of_day([], 100) is None


def test_figures_from_database_and_log(tmp_path: Path) -> None:
    now_ms = START_MS + DAY_MS // 2
    lines = ["2025-06-16T11:00:00.000Z ERROR engine     broke", "    a trace", "no log line"]
    lines += ["2025-06-16T11:00:00.000Z CRIT  engine     broke"]
    lines += ["2025-06-16T11:00:00.000Z INFO  engine     fine"] * 150
    (tmp_path / "bot_20250616.log").write_text("\n".join(lines) + "\n")

    async def work() -> dict[str, float]:
        database = await open_database(tmp_path / "bot.paper.db", inline=True)
        queue = WriteQueue(database, LiveClock(), print)
        journal, recorder = Journal(database, queue), FactRecorder(queue)
        recorder.note_equity(START_MS - 1, "USDC", Decimal(390), Decimal(10), Decimal(0), 0)
        for number, (net, at_ms) in enumerate([("-5", START_MS - 5_000), ("-8", now_ms - 10)]):
            trade = closed(net, number=number, at_ms=at_ms)
            await journal.record_trade(trade, None)
            await journal.record_close(trade, ExitReason.STOP_LOSS)
        held = closed("0", number=9, at_ms=now_ms, held_ms=75 * 60_000)
        held.closed_ms = 0
        await journal.record_trade(held, None)
        journal.note_trade(held)
        await queue.settle()
        figures = await read_figures(database, tmp_path, now_ms, "USDC")
        await database.close()
        return figures

    figures = asyncio.run(work())
    assert figures == {
        "daily_loss": pytest.approx(2.0),
        "stop_streak": 2.0,
        "position_age": 75.0,
        "log_errors": 2.0,
    }
    text = report_text(Monitor().judge(figures), "2025-06-16 12:00:00")
    assert text.startswith("monitor 2025-06-16 12:00:00 UTC: 3 alarms\n")
    assert "ALARM  oldest position: 75 min (alarm from 60)" in text


def test_no_log_is_no_line(tmp_path: Path) -> None:
    assert newest_lines(tmp_path, 10) == []


def test_just_after_midnight_the_lines_of_yesterday_are_still_the_newest(tmp_path: Path) -> None:
    old = [
        "2025-06-16T23:59:58.000Z ERROR orders     refused",
        "Traceback (most recent call last):",
    ]
    new = ["2025-06-17T00:00:01.000Z INFO  report     the day"]
    (tmp_path / "bot_20250616.log").write_text("\n".join(old) + "\n", encoding="utf-8")
    (tmp_path / "bot_20250617.log").write_text("\n".join(new) + "\n", encoding="utf-8")
    assert newest_text(tmp_path, 2) == [old[1], new[0]]
    assert newest_text(tmp_path, 0) == []
    assert [line.level for line in newest_lines(tmp_path, 5)] == ["ERROR", "INFO"]
