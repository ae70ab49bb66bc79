"""A report of every UTC day, written when the day is over, with the audit log's head in it."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr
from report_builders import START_MS, closed

from core.domain.enums import ExitReason
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.redaction import Redactor
from core.observe import daily
from core.observe.analytics import DAY_MS
from core.observe.daily import DailyReports, ReportSource
from core.observe.monitor import last_look
from core.simulation.virtual_loop import virtual_loop_factory
from core.storage.database import open_database
from core.storage.journal import Journal
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue

CANARY = "CanarySecretOfThisTest0123456789"


def test_each_day_at_midnight(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> None:
        clock = SimulatedClock(START_MS + DAY_MS // 2, asyncio.get_running_loop())
        database = await open_database(tmp_path / "bot.paper.db", inline=True)
        queue = WriteQueue(database, clock, said.append)
        journal, recorder = Journal(database, queue), FactRecorder(queue)
        for number, (net, at_ms) in enumerate([("3", START_MS + 1_000), ("-1", START_MS + DAY_MS)]):
            trade = closed(net, number=number, at_ms=at_ms, strategy=CANARY)
            await journal.record_trade(trade, None)
            await journal.record_close(trade, ExitReason.TAKE_PROFIT)
        recorder.note_equity(START_MS + 500, "USDC", Decimal(200), Decimal(0), Decimal(0), 0)
        recorder.note_checkpoint(START_MS + DAY_MS - 1, 7, "cd" * 32)
        await queue.settle()
        reports = DailyReports(
            ReportSource(database, "paper", "USDC", "1.0 (abc)", Decimal(400)),
            tmp_path / "reports",
            clock,
            lambda _component, _level, line: said.append(line),
            Redactor([SecretStr(CANARY)]),
        )
        try:
            async with asyncio.timeout(2 * DAY_MS / 1_000):
                await reports.run()
        except TimeoutError:
            pass
        await last_look(
            database,
            tmp_path,
            clock.now_ms(),
            "USDC",
            lambda _component, level, line: said.append(f"{level} {line}"),
        )
        await database.close()

    run(story(), loop_factory=virtual_loop_factory())
    folder = tmp_path / "reports"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"report-2025-06-{day}.{suffix}" for day in (16, 17) for suffix in ("html", "json", "txt")
    ]
    first = json.loads((folder / "report-2025-06-16.json").read_text())
    assert (first["net"], first["start_equity"], first["trades"]) == ("3", "200", 1)
    second = json.loads((folder / "report-2025-06-17.json").read_text())
    assert (second["net"], second["start_equity"]) == ("-1", "400")
    assert f"audit head {'cd' * 32}/7" in (folder / "report-2025-06-16.txt").read_text()
    assert "Daily report · paper · 2025-06-16" in said
    assert "INFO ok     oldest position: 0 min (alarm from 60)" in said
    for path in folder.iterdir():
        assert CANARY not in path.read_text()


def test_a_broken_database_is_told_and_the_next_day_comes(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []

    async def story() -> None:
        clock = SimulatedClock(START_MS, asyncio.get_running_loop())
        database = await open_database(tmp_path / "bot.paper.db", inline=True)
        await database.close()
        reports = DailyReports(
            ReportSource(database, "paper", "USDC", "", Decimal(400)),
            tmp_path / "reports",
            clock,
            lambda _component, level, line: said.append((level, line)),
            Redactor(),
        )
        try:
            async with asyncio.timeout(2.5 * DAY_MS / 1_000):
                await reports.run()
        except TimeoutError:
            pass

    run(story(), loop_factory=virtual_loop_factory())
    assert [level for level, _ in said] == ["ERROR", "ERROR"]


def test_old_reports_go(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    for day in range(daily.KEPT_DAYS + 5):
        (folder / f"report-2020-{day:04d}.html").write_text("")
        (folder / f"report-2020-{day:04d}.json").write_text("")
        (folder / f"report-2020-{day:04d}.txt").write_text("")

    async def story() -> None:
        clock = SimulatedClock(START_MS, asyncio.get_running_loop())
        database = await open_database(tmp_path / "bot.paper.db", inline=True)
        source = ReportSource(database, "paper", "USDC", "", Decimal(400))
        reports = DailyReports(source, folder, clock, lambda *_: None, Redactor())
        await reports.write(START_MS)
        await database.close()

    run(story(), loop_factory=virtual_loop_factory())
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3 * daily.KEPT_DAYS
    assert names[-1] == "report-2025-06-16.txt"
