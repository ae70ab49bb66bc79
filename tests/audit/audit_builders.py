"""Audit logs for tests, and a clock that is set by hand."""

import json
from datetime import UTC, datetime
from pathlib import Path

from core.audit_logger import AuditLogger

START_US = int(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000
DAY_US = 86_400_000_000


class SetClock:
    """Moves one millisecond with every look."""

    def __init__(self, us: int = START_US) -> None:
        self.us = us

    def now_us(self) -> int:
        self.us += 1_000
        return self.us

    def now_ms(self) -> int:
        return self.now_us() // 1_000

    def monotonic(self) -> float:
        return self.us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


def log_of(folder: Path, records: int = 8, **options: object) -> Path:
    """A closed log with `records` records."""
    options.setdefault("clock", SetClock())
    log = AuditLogger(folder / "audit.jsonl", **options)  # type: ignore[arg-type]  # by name
    for n in range(1, records + 1):
        log.write({"action": "test", "n": n, "words": f"número {n}"})
    log.close()
    return folder / "audit.jsonl"


def records_of(*paths: Path) -> list[dict[str, object]]:
    return [
        json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()
    ]
