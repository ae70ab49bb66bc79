"""Reports out of the database (floor 5): of any period on demand, and of each UTC day at its end.

The day's report lies in `logs/reports/` as page, JSON and text; the audit log's remembered head
stands in it, so that a log that was cut off or written anew shows against it (INV-11).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from core.domain.errors import StorageError
from core.domain.ports import Clock
from core.kernel.durable_file import replace_file
from core.kernel.redaction import Redactor
from core.observe.analytics import DAY_MS, analyse
from core.observe.narrator import LogEvent
from core.observe.report import Report
from core.storage.database import Database
from core.storage.queries import closed_trades, equity_curve, last_checkpoint

KEPT_DAYS = 400
_AFTER_MIDNIGHT_S = 5.0
"""The day's last rows are written by then, and its last checkpoint taken."""


@dataclass(frozen=True, slots=True)
class ReportSource:
    """Where reports come from. `start_equity` is used where no equity was recorded (quote coin)."""

    database: Database
    venue: str
    quote: str
    build: str
    start_equity: Decimal

    async def read(
        self, title: str, start_ms: int, end_ms: int, *, start_equity: Decimal | None = None
    ) -> Report:
        """Report of the trades closed in the period (UTC ms). Raises StorageError.

        A period without a beginning begins with its first trade, and ends with the last.
        """
        trades = await closed_trades(self.database, start_ms, end_ms)
        trades = [trade for trade in trades if trade.entry_quantity]
        head = await last_checkpoint(self.database)
        first = start_ms or min((trade.opened_ms for trade in trades), default=0)
        last = max((trade.closed_ms + 1 for trade in trades), default=first + 1)
        start = start_equity or await self._equity_at(start_ms, end_ms)
        return Report(
            title=title,
            venue=self.venue,
            quote=self.quote,
            start_ms=first,
            end_ms=min(end_ms, max(last, first + 1)),
            performance=analyse(trades, start),
            trades=trades,
            build=self.build,
            audit_head="" if head is None else f"{head[2]}/{head[1]}",
        )

    async def _equity_at(self, start_ms: int, end_ms: int) -> Decimal:
        """First recorded equity of the period."""
        points = await equity_curve(self.database, start_ms, end_ms)
        first = next((point for point in points if point.coin == self.quote), None)
        return self.start_equity if first is None else first.wallet + first.unrealized


class DailyReports:
    """`run` writes the report of each UTC day when it is over; `write` that of any day."""

    def __init__(
        self,
        source: ReportSource,
        folder: Path,
        clock: Clock,
        say: LogEvent,
        redactor: Redactor,
    ) -> None:
        self._source = source
        self._folder = folder
        self._clock = clock
        self._say = say
        self._redactor = redactor

    async def run(self) -> None:
        """Until cancelled. A report that cannot be made is told; the next day's still comes."""
        while True:
            now_ms = self._clock.now_ms()
            day_ms = now_ms - now_ms % DAY_MS
            await self._clock.sleep((day_ms + DAY_MS - now_ms) / 1_000 + _AFTER_MIDNIGHT_S)
            try:
                report = await self.write(day_ms)
            except (StorageError, OSError) as error:
                self._say("report", "ERROR", f"no report of the day: {error}")
                continue
            for line in report.text().splitlines():
                self._say("report", "INFO", line)

    async def write(self, day_ms: int) -> Report:
        """Page, JSON and text of the day that began at `day_ms`. Raises StorageError, OSError."""
        report = await self._source.read("Daily report", day_ms, day_ms + DAY_MS)
        name = f"report-{datetime.fromtimestamp(day_ms / 1_000, UTC):%Y-%m-%d}"
        record = json.dumps(report.record(), ensure_ascii=False, indent=1) + "\n"
        for suffix, content in (
            ("html", report.html()),
            ("json", record),
            ("txt", report.text() + "\n"),
        ):
            clean = self._redactor.redact_text(content)
            replace_file(self._folder / f"{name}.{suffix}", clean.encode())
        self._forget(sorted(self._folder.glob("report-*.*")))
        return report

    def _forget(self, files: Sequence[Path]) -> None:
        """Three files a day; the oldest go."""
        for path in files[: -3 * KEPT_DAYS]:
            path.unlink(missing_ok=True)
