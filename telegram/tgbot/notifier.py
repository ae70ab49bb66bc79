"""What tells the operator (floor 5): alerts and their routes; Telegram is one of them.

Without a token Slack and mail go on alone. Nothing here is awaited by trading: `start` returns at
once, and `stop` gives the last messages a few seconds.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from core.domain.enums import Severity
from core.domain.ports import Clock
from core.kernel.dispatcher import Dispatcher
from core.kernel.supervisor import Restart, Supervisor, Work
from tgbot.alerts import AlertDesk, Telling
from tgbot.app import TelegramBot
from tgbot.commands import HoldsPositions
from tgbot.notices import Notice
from tgbot.render import text
from tgbot.reports import DAY_MS, Report, Reports
from tgbot.routes import SecondRoute

_SAMPLE_S = 60.0
_REPORT_S = 20.0
_DRAIN_S = 3.0
_FOREVER = Restart(limit=1_000, window=3_600.0, pause=5.0)


@dataclass(frozen=True, slots=True)
class Routes:
    """Ways to the operator: the bot, if there is one, and what stands beside it."""

    bot: TelegramBot | None
    second: Sequence[SecondRoute]


class Notifier:
    """`start` and `stop` never wait for anybody outside longer than a few seconds."""

    def __init__(
        self,
        desk: AlertDesk,
        routes: Routes,
        reports: Reports,
        *,
        dispatcher: Dispatcher,
        clock: Clock,
        supervisor: Supervisor,
        here: str,
    ) -> None:
        self.desk = desk
        self.bot = routes.bot
        self.second = tuple(routes.second)
        self._reports = reports
        self._dispatcher = dispatcher
        self._clock = clock
        self._supervisor = supervisor
        self._here = here
        self._tasks: list[asyncio.Task[None]] = []

    def set_order_manager(self, orders: HoldsPositions) -> None:
        """Let the bot read open positions from the order manager, not from the status view."""
        if self.bot is not None:
            self.bot.set_order_manager(orders)

    async def start(self) -> None:
        """Begin to tell and to listen. Does not wait for anybody outside."""
        self._dispatcher.subscribe_all(self.desk.on_fact)
        work: list[tuple[str, Work]] = [
            ("alerts", self.desk.run),
            ("alerts minute", self._minutes),
            *((f"alerts by {route.name}", route.run) for route in self.second),
        ]
        for name, run in work:
            self._tasks.append(self._supervisor.spawn(name, run, _FOREVER))
        if self.bot is not None:
            self.bot.start()
        self.desk.offer(self._notice("start", "▶️ started", self._here))

    async def stop(self, reason: str = "") -> None:
        """Tell the end, give the last messages a moment, and close."""
        line = f"{self._here}: {reason}" if reason else self._here
        self.desk.offer(self._notice("stop", "⏹ stopping", line))
        await self.desk.flush(last=True)
        await self._drain()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        if self.bot is not None:
            await self.bot.stop()

    def _notice(self, key: str, title: str, line: str) -> Notice:
        now = self._clock.now_ms()
        return Notice(Severity.INFO, f"bot:{key}", title, (text(line),), f"{title} {line}", now)

    async def _drain(self) -> None:
        """Until every route that works has taken everything, or the time is over."""
        for route in self.second:
            route.hurry()
        deadline = self._clock.monotonic() + _DRAIN_S
        while self._waiting() and self._clock.monotonic() < deadline:
            await self._clock.sleep(0.05)

    def _waiting(self) -> int:
        boxes = [route for route in self.second if not route.trouble]
        count = sum(route.waiting for route in boxes)
        if self.bot is not None and not self.bot.outbox.trouble:
            count += self.bot.outbox.waiting
        return count

    # --- every minute ----------------------------------------------------------------------------

    async def _minutes(self) -> None:
        """Sample equity; when a UTC day has ended, report it."""
        day = self._clock.now_ms() // DAY_MS
        while True:
            self._reports.sample()
            await self._clock.sleep(_SAMPLE_S)
            today = self._clock.now_ms() // DAY_MS
            if today != day:
                await self._report_day(today)
                day = today

    async def _report_day(self, today: int) -> None:
        start = (today - 1) * DAY_MS
        async with asyncio.timeout(_REPORT_S):
            report: Report = await self._reports.of("of the day", start, start + DAY_MS)
        self.desk.report(Telling(report.card, Severity.INFO, report=True, photo=report.photo))
