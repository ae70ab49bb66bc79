"""Section remember: audit records, decisions, reports and the quick check (floor 8; INV-11).

Raw writes and flushes of the same run stand beside the audit log's, on the disk of the temporary
folder, because only the ratio says something about another disk. Values of the records change from
one to the next as they do in a trade.
"""

import asyncio
import json
import logging
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from core.audit_logger import AuditLogger
from core.domain.enums import Direction, ExitReason
from core.domain.facts import EntryRefused
from core.domain.intent import CheckVerdict, ProtectionPlan, Refusal, TakeProfitRatio
from core.domain.ports import JsonValue
from core.domain.position import Trade
from core.kernel.chance import Chance
from core.kernel.clock import LiveClock, stopwatch
from core.kernel.dispatcher import Dispatcher
from core.kernel.loops import live_loop_factory, run
from core.kernel.redaction import Redactor
from core.observe.audit_trail import AuditTrail
from core.observe.daily import ReportSource
from core.storage import rows
from core.storage.audit_verify import verify
from core.storage.database import Statement, open_database
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue
from tools.benchmarks.child import Child
from tools.benchmarks.figures import (
    MICROSECONDS,
    Effort,
    Row,
    Section,
    SectionFailed,
    each_us,
    rate,
    row,
)
from tools.benchmarks.start import network_settings

NAME = "remember"
TITLE = "audit records with and without the disk, decisions, a report, the quick check"
_GOAL_BUFFERED_US = 2.5
_GOAL_BURST_US = 5.0
_GOAL_CHECK_S = 10.0
_BURST = 100
_START_MS = 1_750_032_000_000
_SECRETS = ("bench-key-0123456789-0123456789", "bench-secret-987654321-987654321")


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when something was not written, or not as it should be."""
    return run(_measure(effort), loop_factory=live_loop_factory())


async def _measure(effort: Effort) -> Section:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder)
        found = [
            *await _buffered(place, effort),
            *await _durable(place, effort),
            *await _decisions(place, effort),
            *await _report(place, effort),
        ]
    found += _quick_check(effort)
    notes = ("a turn: what the loop does before it looks for events again",)
    return Section(NAME, TITLE, tuple(found), notes)


def _record(number: int) -> dict[str, JsonValue]:
    return {
        "action": "order.filled",
        "client_id": f"ucb-bench-scv1-en0-{number:010x}-0",
        "symbol": "XRP/USDC:USDC",
        "purpose": "entry",
        "executed": f"{650 + number % 97}",
        "evidence": "stream",
        "detail": "",
    }


def _open(path: Path) -> AuditLogger:
    secrets = Redactor([SecretStr(each) for each in _SECRETS])
    return AuditLogger(path, venue="bench", redactor=secrets, hmac_key=None)


def _close(log: AuditLogger, records: int) -> None:
    log.close()
    verdict = verify([log.path])
    if verdict.bad is not None or verdict.count != records:
        raise SectionFailed(f"{verdict.count} of {records} records, bad: {verdict.bad}")


async def _buffered(folder: Path, effort: Effort) -> list[Row]:
    """Without the disk: one system call and what stands before it."""
    count, rounds = effort.pick(5_000, 200), effort.pick(5, 1)
    records = [_record(number) for number in range(count)]
    line = b"x" * 349 + b"\n"
    fd = os.open(folder / "raw", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    plain, handler = _stdlib(folder / "plain.log")
    log, clock = _open(folder / "buffered.jsonl"), LiveClock()
    raw: list[list[float]] = []
    stdlib: list[list[float]] = []
    busy: list[list[float]] = []
    alone: list[list[float]] = []
    for _ in range(rounds):
        raw.append(each_us(lambda _: os.write(fd, line), records))
        stdlib.append(each_us(lambda record: plain.info("filled %s", record["executed"]), records))
        busy.append(each_us(log.write, records))
        alone.append([])
        for record in records:
            await clock.sleep(0)
            alone[-1] += each_us(log.write, [record])
    os.close(fd)
    handler.close()
    _close(log, 2 * count * rounds)
    base = row("raw append of 350 bytes, no flush", "us", raw)
    library = row("standard library's logging, a line to a file", "us", stdlib)
    return [
        base,
        library,
        row("audit record in a busy turn", "us", busy, _GOAL_BUFFERED_US)
        .against(library, "logging")
        .against(base, "raw"),
        row("audit record alone in its turn", "us", alone).against(library, "logging"),
        rate("audit records, not flushed", busy),
    ]


def _stdlib(path: Path) -> tuple[logging.Logger, logging.Handler]:
    logger = logging.Logger("bench", logging.INFO)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    return logger, handler


async def _durable(folder: Path, effort: Effort) -> list[Row]:
    """With the disk: one flush each, and one for a hundred that come together."""
    count, rounds = effort.pick(300, 20), effort.pick(5, 1)
    line = b"x" * 349 + b"\n"
    fd = os.open(folder / "raw-flushed", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    flush: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    log = _open(folder / "durable.jsonl")
    raw: list[list[float]] = []
    single: list[list[float]] = []
    burst: list[list[float]] = []

    def append_and_flush(_: int) -> None:
        os.write(fd, line)
        flush(fd)

    for _ in range(rounds):
        raw.append([])
        single.append([])
        for number in range(count):  # in turns: the disk has its moods
            raw[-1] += each_us(append_and_flush, [number])
            began = stopwatch()
            await log.write_durable(_record(number))
            single[-1].append((stopwatch() - began) * MICROSECONDS)
        burst.append([])
        for _ in range(max(count // 10, 1)):
            began = stopwatch()
            await asyncio.gather(*map(log.write_durable, map(_record, range(_BURST))))
            burst[-1].append((stopwatch() - began) * MICROSECONDS / _BURST)
    os.close(fd)
    _close(log, rounds * (count + _BURST * max(count // 10, 1)))
    base = row("raw append of 350 bytes and flush", "us", raw)
    one = row("durable audit record", "us", single)
    return [
        base,
        one.against(base, "raw append and flush"),
        row(f"{_BURST} durable records at once, each", "us", burst, _GOAL_BURST_US),
        rate("durable audit records, one after the other", single),
    ]


async def _decisions(folder: Path, effort: Effort) -> list[Row]:
    """A refused signal with twelve checks: audit record and database row."""
    count, rounds = effort.pick(1_000, 50), effort.pick(5, 1)
    clock, troubles = LiveClock(), list[str]()
    log = _open(folder / "decisions.jsonl")
    database = await open_database(folder / "bot.bench.db", inline=False)
    queue = WriteQueue(database, clock, troubles.append)
    dispatcher = Dispatcher(lambda name, error: troubles.append(f"{name}: {error}"))
    AuditTrail(log, {"tp_style": "limit", "working_type": "MARK_PRICE", "risk": "0.0075"}).listen(
        dispatcher
    )
    FactRecorder(queue).attach(dispatcher)
    samples: list[list[float]] = []
    seconds = 0.0
    for number in range(rounds):
        facts = [_refused(number * count + each) for each in range(count)]
        began = stopwatch()
        samples.append(each_us(dispatcher.publish, facts))
        await queue.settle()
        seconds += stopwatch() - began
    kept = (await database.query("SELECT COUNT(*) FROM decisions"))[0][0]
    await database.close()
    _close(log, count * rounds)
    if kept != count * rounds or troubles:
        raise SectionFailed(f"{kept} of {count * rounds} decisions kept; {troubles[:1]}")
    rates = row("decisions, in the database too", "1/s", [[count * rounds / seconds]])
    return [row("decision told: audit record, row queued", "us", samples), rates]


def _refused(number: int) -> EntryRefused:
    checks = tuple(
        CheckVerdict(f"check {each}", each != 7, {"value": f"0.00{number % 89}", "limit": "0.001"})
        for each in range(12)
    )
    at_ms = _START_MS + number
    return EntryRefused(
        Refusal(
            symbol="XRP/USDC:USDC",
            direction=Direction.LONG,
            strategy="scalping_v1",
            why="EMA 9 over 21, RSI 55",
            gate="spread",
            candle_open_ms=at_ms - 900_000,
            decided_ms=at_ms,
            checks=checks,
        )
    )


async def _report(folder: Path, effort: Effort) -> list[Row]:
    """From the database to the page, over many closed trades."""
    count, rounds = effort.pick(10_000, 200), effort.pick(3, 1)
    database = await open_database(folder / "bot.report.db", inline=True, durable=False)
    trades = _history(count)
    await database.write(statement for trade in trades for statement in _stored(trade))
    source = ReportSource(database, "bench", "USDC", "bench", Decimal(400))
    end_ms = trades[-1].closed_ms + 1

    async def once() -> int:
        report = await source.read("Report", _START_MS, end_ms)
        if report.performance.trades != count:
            raise SectionFailed(f"{report.performance.trades} of {count} trades in the report")
        return len(report.html()) + len(report.text())

    seconds = []
    for _ in range(rounds):
        began = stopwatch()
        size = await once()
        seconds.append([stopwatch() - began])
    tracemalloc.start()
    await once()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    await database.close()
    return [
        row(f"report over {count:,} trades", "s", seconds),
        row("the same, memory at most", "MiB", [[peak]]),
        row("the same, size of the page", "KiB", [[size / 1024]]),
    ]


def _history(count: int) -> list[Trade]:
    chance = Chance(7).stream("trades")
    plan = ProtectionPlan(Decimal("0.008"), (TakeProfitRatio(Decimal("0.012"), Decimal(1)),))
    found = []
    for number in range(count):
        opened = _START_MS + number * 3_600_000
        net = Decimal(chance.randrange(-300, 400)) / 100
        found.append(
            Trade(
                trade_id=f"e{number}",
                symbol=f"{['XRP', 'DOGE', 'ADA', 'SOL', 'LINK'][number % 5]}/USDC:USDC",
                strategy="scalping_v1",
                direction=Direction.LONG if number % 3 else Direction.SHORT,
                plan=plan,
                leverage=5,
                planned_quantity=Decimal(100),
                reference_price=Decimal("2.1"),
                why="bench",
                created_ms=opened,
                risk=Decimal(3),
                entry_quantity=Decimal(100),
                entry_notional=Decimal(210),
                exit_quantity=Decimal(100),
                exit_notional=Decimal(210) + net,
                realized=net,
                fees=Decimal("0.2"),
                opened_ms=opened,
                closed_ms=opened + 1_800_000,
                exit_reason=ExitReason.TAKE_PROFIT if net > 0 else ExitReason.STOP_LOSS,
            )
        )
    return found


def _stored(trade: Trade) -> tuple[Statement, ...]:
    return rows.add_trade(trade), rows.close_trade(
        trade, trade.exit_reason or ExitReason.TAKE_PROFIT
    )


def _quick_check(effort: Effort) -> list[Row]:
    """The tool as a process, its exchange in another."""
    seconds = []
    with (
        Child(["-m", "tools.paper_exchange"], '"rest"') as exchange,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
    ):
        settings = network_settings(json.loads(exchange.ready(60.0)[1]))
        empty = Path(folder) / "empty.env"
        empty.touch()
        command = ["-m", "tools.quick_check", "--env-file", os.fspath(empty)]
        command += ["--data-dir", folder, "--logs-dir", folder]
        for _ in range(effort.pick(5, 1)):
            with Child(command, " all well", settings) as check:
                seconds.append(check.ready(30.0)[0])
    return [row("quick_check, start of the process to its verdict", "s", [seconds], _GOAL_CHECK_S)]
