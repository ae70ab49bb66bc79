"""The audit log's head is remembered elsewhere every hour, and a cut-off end shows against it."""

import asyncio
import json
from pathlib import Path

from core.audit_logger import AuditLogger
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.observe.checkpoints import HOUR_MS, Checkpoints, fingerprint
from core.simulation.virtual_loop import virtual_loop_factory
from core.storage.audit_verify import Fault, KnownHead, verify
from core.storage.database import open_database
from core.storage.queries import last_checkpoint
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue

START_MS = 1_750_000_020_000


def test_hourly_checkpoint_betrays_a_cut_log(tmp_path: Path) -> None:
    said: list[str] = []

    async def story() -> tuple[int, int, str] | None:
        clock = SimulatedClock(START_MS, asyncio.get_running_loop())
        audit = AuditLogger(tmp_path / "audit.jsonl", clock=clock, venue="paper")
        database = await open_database(tmp_path / "bot.paper.db", inline=True)
        queue = WriteQueue(database, clock, said.append)
        checkpoints = Checkpoints(
            audit,
            FactRecorder(queue),
            clock,
            lambda _component, _level, line: said.append(line),
            build="1.0 (abc)",
            config=fingerprint({"TIER": "balanced"}),
        )
        audit.write({"action": "start"})
        try:
            async with asyncio.timeout(2 * HOUR_MS / 1_000):
                await checkpoints.run()
        except TimeoutError:
            pass
        await queue.settle()
        found = await last_checkpoint(database)
        await database.close()
        audit.close()
        return found

    found = run(story(), loop_factory=virtual_loop_factory())
    assert found is not None
    at_ms, records, head = found
    assert at_ms == (START_MS // HOUR_MS + 2) * HOUR_MS
    assert (records, said[-1]) == (3, f"checkpoint {head}/3")
    path = tmp_path / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    told = json.loads(lines[1])
    assert (told["length"], told["build"]) == (1, "1.0 (abc)")
    known = KnownHead(records, head)
    assert verify([path], whole=True, known=known).bad is None
    path.write_bytes(b"".join(lines[:2]))
    bad = verify([path], whole=True, known=known).bad
    assert bad is not None
    assert bad.fault is Fault.TRUNCATED


def test_fingerprint_follows_the_settings() -> None:
    assert fingerprint({"A": "1", "B": "2"}) == fingerprint({"B": "2", "A": "1"})
    assert fingerprint({"A": "1"}) != fingerprint({"A": "2"})
