"""The result of a period with its picture (floor 5), for whoever asks and for every midnight."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from core.domain.ports import Clock, OperatorPort
from tgbot import views
from tgbot.picture import equity_picture
from tgbot.render import Card, money, table

DAY_MS = 86_400_000
SAMPLES = 1_440
"""Minutes of equity kept for the picture: a day."""


@dataclass(frozen=True, slots=True)
class Report:
    """`photo` is a PNG, empty while there is nothing to draw."""

    card: Card
    photo: bytes


class Reports:
    """`badge` gives the first words of every message, `audit_head` the number of audit records and
    the hash of the last, `streak` the wins (positive) or losses in a row."""

    def __init__(
        self,
        operator: OperatorPort,
        clock: Clock,
        *,
        badge: Callable[[], str],
        audit_head: Callable[[], tuple[int, str]],
        streak: Callable[[], int],
    ) -> None:
        self._operator = operator
        self._clock = clock
        self._badge = badge
        self._audit_head = audit_head
        self._streak = streak
        self._equity: deque[tuple[int, Decimal]] = deque(maxlen=SAMPLES)

    def sample(self) -> None:
        """Remember the equity of this minute."""
        self._equity.append((self._clock.now_ms(), self._operator.status().equity))

    async def of(self, title: str, start_ms: int, end_ms: int) -> Report:
        """Results of a period, the equity picture and the anchor of the audit chain."""
        day = await self._operator.day(start_ms, end_ms)
        status = self._operator.status()
        records, head = self._audit_head()
        blocks = (
            *views.summary(day, status.quote_coin, self._streak()),
            table(
                (
                    ("equity", f"{money(status.equity)} {status.quote_coin}"),
                    ("audit", f"{records} records"),
                    ("", f"head {head[:16]}"),
                )
            ),
        )
        return Report(Card(f"{self._badge()} · report {title}", blocks), await self._picture())

    async def _picture(self) -> bytes:
        """Drawn off the loop: it takes some milliseconds."""
        points = tuple(self._equity)
        if len(points) < 2:
            return b""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, equity_picture, points)
