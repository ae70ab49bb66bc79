"""The alert desk (floor 5): what is told, how often, and until when.

Repetitions of one key are coalesced, a burst becomes a digest, and the number of what could not be
kept is told. In quiet hours everything but the critical waits and becomes one digest when they end.
A critical alert is on disk before it is told, never dropped, and repeated at growing pauses until
somebody has acknowledged it; the repetition says so and goes to every route. Where no route can
acknowledge, it is repeated a few times and then left alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from core.domain.enums import Severity, StreamState
from core.domain.facts import DaemonFact, StreamChanged, TradeClosed
from core.domain.ports import Clock
from core.kernel.config_values import HoursWindow
from tgbot.notices import Notice, notice_of
from tgbot.render import Card, clock_text, span, text
from tgbot.state import OpenCritical, Remembered

GATHER_S = 0.3
PAUSE_S = 1.0
QUIET_S = 60.0
"""A key told once waits this long before it is told again, with a count."""
REPEAT_MS = (300_000, 600_000, 1_200_000, 1_800_000)
"""Pauses before a critical alert is repeated; the last one stays."""
UNANSWERED = len(REPEAT_MS)
"""How often a critical alert is told when nobody could acknowledge it."""
KEPT = 500
CRITICALS_KEPT = 1_000
_ALONE = 3
_DIGEST = 20
_TOGETHER = 8
"""Critical alerts of one message: their numbers must fit into its button."""
_OVERFLOW = "overflow"
_REPORTS_HELD = 2


@dataclass(frozen=True, slots=True)
class Telling:
    """One message for every route. `numbers` are the critical alerts it would acknowledge.

    `report` marks the result of a day; `silent` makes no sound.
    """

    card: Card
    severity: Severity
    playbook: str = ""
    numbers: tuple[int, ...] = ()
    repeated: bool = False
    report: bool = False
    silent: bool = False
    photo: bytes = b""


class Route(Protocol):
    """A way to the operator. `tell` keeps the message and returns at once."""

    def tell(self, telling: Telling) -> None: ...


class AlertDesk:
    """`on_fact` and `offer` never wait; `run` is one supervised task.

    `save` puts the remembered state on disk and reports a failure itself. `answered` is False when
    no route can acknowledge; `quiet` are the hours in which only the critical is told.
    """

    def __init__(
        self,
        clock: Clock,
        remembered: Remembered,
        routes: Sequence[Route],
        *,
        badge: Callable[[], str],
        quote: str,
        save: Callable[[], Awaitable[None]],
        answered: bool,
        quiet: HoursWindow,
    ) -> None:
        self._clock = clock
        self._state = remembered
        self._routes = routes
        self._badge = badge
        self._quote = quote
        self._save = save
        self._answered = answered
        self._quiet = quiet
        self._reports: deque[Telling] = deque(maxlen=_REPORTS_HELD)
        self._pending: dict[str, Notice] = {}
        self._told_at: dict[str, float] = {}
        self._lost = 0
        self._wake = asyncio.Event()
        self._degraded: set[str] = set()
        self.offered = 0
        self.told = 0

    @property
    def streak(self) -> int:
        """Wins (positive) or losses in a row, kept across restarts."""
        return self._state.streak

    @property
    def unacknowledged(self) -> tuple[OpenCritical, ...]:
        return tuple(self._state.criticals.values())

    # --- in --------------------------------------------------------------------------------------

    def on_fact(self, fact: DaemonFact) -> None:
        if isinstance(fact, TradeClosed):
            won = fact.net > 0
            same = (self.streak > 0) == won and self.streak != 0
            self._state.streak = (self.streak if same else 0) + (1 if won else -1)
        if isinstance(fact, StreamChanged) and not self._worth_telling(fact):
            return
        notice = notice_of(fact, self._quote, self.streak)
        if notice is not None:
            self.offer(notice)

    def _worth_telling(self, fact: StreamChanged) -> bool:
        """A stream that lives is news only after it was degraded."""
        if fact.state is StreamState.DEGRADED:
            self._degraded.add(fact.stream)
            return True
        if fact.state is StreamState.LIVE and fact.stream in self._degraded:
            self._degraded.discard(fact.stream)
            return True
        return False

    def offer(self, notice: Notice) -> None:
        self.offered += 1
        if notice.severity is Severity.CRITICAL:
            self._note_critical(notice)
        else:
            self._note(notice)
        self._wake.set()

    def _note(self, notice: Notice) -> None:
        known = self._pending.pop(notice.key, None)
        if known is None and len(self._pending) >= KEPT:
            victim = next(
                (key for key, held in self._pending.items() if held.severity is Severity.INFO),
                next(iter(self._pending)),
            )
            self._lost += self._pending.pop(victim).count
        self._pending[notice.key] = notice if known is None else known.again(notice)

    def _note_critical(self, notice: Notice) -> None:
        key = notice.key
        if key not in self._state.criticals and len(self._state.criticals) >= CRITICALS_KEPT:
            key = _OVERFLOW
        now = self._clock.now_ms()
        known = self._state.criticals.get(key)
        if known is not None:
            known.count += 1
            known.text = "\n".join(line for block in notice.blocks for line in block.lines)
            known.next_ms = min(known.next_ms, now + round(QUIET_S * 1_000))
            return
        self._state.criticals[key] = OpenCritical(
            number=self._state.next_number,
            key=key,
            title=notice.title,
            text="\n".join(line for block in notice.blocks for line in block.lines),
            playbook=notice.playbook,
            first_ms=notice.at_ms,
            next_ms=now,
        )
        self._state.next_number += 1

    def acknowledge(self, numbers: Sequence[int]) -> int:
        """Forget these critical alerts; returns how many were open."""
        keys = [key for key, entry in self._state.criticals.items() if entry.number in numbers]
        for key in keys:
            del self._state.criticals[key]
        self._wake.set()
        return len(keys)

    # --- out -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell what is due, for ever."""
        while True:
            await self._wait_due()
            await self._clock.sleep(GATHER_S)
            await self.flush()
            await self._clock.sleep(PAUSE_S)

    async def flush(self, *, last: bool = False) -> None:
        """Tell everything that is due now. The last time, what quiet hours held back is told too,
        without a sound: nobody would remember it."""
        self._wake.clear()
        due = self._due_criticals()
        await self._save()
        for start in range(0, len(due), _TOGETHER):
            self.send(self._critical_telling(due[start : start + _TOGETHER]))
        quiet = self._quiet_s() > 0
        if last or not quiet:
            self._tell_rest(everything=last, silent=quiet)

    def report(self, telling: Telling) -> None:
        """Tell the result of a day, after the quiet hours if there are any."""
        if self._quiet_s() > 0:
            self._reports.append(telling)
            self._wake.set()
        else:
            self.send(telling)

    def _quiet_s(self) -> float:
        """Seconds until the quiet hours end; 0 outside them."""
        now = self._clock.now_ms()
        return self._quiet.rest_ms(now) / 1_000 if self._quiet.contains(now) else 0.0

    async def _wait_due(self) -> None:
        pause = self._seconds_to_due()
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return  # something became due

    def _seconds_to_due(self) -> float | None:
        """Until something waits no longer; None when nothing is held."""
        now = self._clock.monotonic()
        waits = [
            (entry.next_ms - self._clock.now_ms()) / 1_000
            for entry in self._state.criticals.values()
        ]
        held = [self._told_at.get(key, now - QUIET_S) + QUIET_S - now for key in self._pending]
        held += [0.0 for _ in self._reports]
        quiet = self._quiet_s()
        waits += [max(wait, quiet) for wait in held]
        return max(min(waits), 0.0) if waits else None

    def _due_criticals(self) -> list[OpenCritical]:
        now = self._clock.now_ms()
        due = [entry for entry in self._state.criticals.values() if entry.next_ms <= now]
        for entry in due:
            entry.next_ms = now + REPEAT_MS[min(entry.told, len(REPEAT_MS) - 1)]
            entry.told += 1
            if not self._answered and entry.told >= UNANSWERED:
                del self._state.criticals[entry.key]
        return due

    def _critical_telling(self, entries: Sequence[OpenCritical]) -> Telling:
        repeated = any(entry.told > 1 for entry in entries)
        blocks = [text(*(_critical_line(entry) for entry in entries))]
        if repeated:
            waited = self._clock.now_ms() - min(entry.first_ms for entry in entries)
            blocks.append(text(f"nobody has acknowledged this for {span(waited)}"))
        title = entries[0].title if len(entries) == 1 else f"🚨 {len(entries)} CRITICAL"
        return Telling(
            Card(f"{self._badge()} · {title}", tuple(blocks)),
            Severity.CRITICAL,
            next((entry.playbook for entry in entries if entry.playbook), ""),
            tuple(entry.number for entry in entries),
            repeated,
        )

    def _tell_rest(self, *, everything: bool, silent: bool) -> None:
        self._tell_notices(everything=everything, silent=silent)
        while self._reports:
            self.send(replace(self._reports.popleft(), silent=silent))

    def _tell_notices(self, *, everything: bool, silent: bool) -> None:
        now = self._clock.monotonic()
        self._told_at = {key: at for key, at in self._told_at.items() if now - at < QUIET_S}
        due = [
            notice
            for key, notice in self._pending.items()
            if everything or key not in self._told_at
        ]
        for notice in due:
            del self._pending[notice.key]
            self._told_at[notice.key] = now
        if len(due) <= _ALONE and not self._lost:
            for notice in due:
                card = notice.card(self._badge())
                self.send(Telling(card, notice.severity, notice.playbook, silent=silent))
        elif due or self._lost:
            self.send(replace(self._digest(due), silent=silent))

    def _digest(self, due: Sequence[Notice]) -> Telling:
        loud = sorted(due, key=lambda notice: notice.severity is Severity.INFO)[:_DIGEST]
        lines = [
            f"{clock_text(notice.at_ms)} {notice.short}"
            + (f" (×{notice.count})" if notice.count > 1 else "")
            for notice in sorted(loud, key=lambda notice: notice.at_ms)
        ]
        total = sum(notice.count for notice in due) + self._lost
        shown = sum(notice.count for notice in loud)
        if total > shown:
            lines.append(f"… and {total - shown} more, see /logs")
        self._lost = 0
        severity = Severity.INFO
        if any(notice.severity is Severity.WARNING for notice in due):
            severity = Severity.WARNING
        return Telling(Card(f"{self._badge()} · 🗂 {total} messages", (text(*lines),)), severity)

    def send(self, telling: Telling) -> None:
        """Give one message to every route now."""
        self.told += 1
        for route in self._routes:
            route.tell(telling)


def _critical_line(entry: OpenCritical) -> str:
    times = f" (×{entry.count})" if entry.count > 1 else ""
    return f"{clock_text(entry.first_ms)} {entry.text}{times}"
