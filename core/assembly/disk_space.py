"""Room on the disk (floor 7): too little of it stops entries before a write fails. INV-03, INV-09.

What can be opened must be written down first, and what is open must be followed to its end in
journal and audit log. So entries stop while there is still room for everything that closes, covers
and records; exits and protection are never asked. Entries begin again only with a margin above the
limit, so that a log that is rotated away and grows again does not switch them every minute.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from core.domain.enums import DenyReason, Severity
from core.domain.facts import Alert
from core.domain.ports import Clock
from core.oms.throttle import Denial

LOOK_EVERY_S = 15.0
CLEAR_AT = 1.25
"""Entries begin again at this multiple of the limit."""
_ANSWER_S = 5.0
_MIB = 1024 * 1024

Probe = Callable[[Path], int]
"""Free bytes for this user where the path is. May block; raises OSError."""
Hold = Callable[[Denial | None], None]
"""Holds every entry for the reason given, or lets them go."""


class DiskSpace:
    """`run` looks until cancelled, `look` once. `least_mib` 0 switches the gate off."""

    def __init__(
        self,
        folders: tuple[Path, ...],
        least_mib: int,
        *,
        probe: Probe,
        hold: Hold,
        clock: Clock,
        publish: Callable[[Alert], None],
    ) -> None:
        self._folders = folders
        self._least = least_mib * _MIB
        self._probe = probe
        self._hold = hold
        self._clock = clock
        self._publish = publish
        self.blocked = False
        """True while entries are held because of the disk."""

    async def run(self) -> None:
        while self._least:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Measure and decide. A disk that cannot be asked counts as full."""
        if not self._least:
            return
        try:
            free = await self._free()
        except (OSError, TimeoutError) as error:
            words = getattr(error, "strerror", None) or "no answer"
            self._set(blocked=True, numbers={"free": f"unknown ({words})"})
            return
        limit = self._least * CLEAR_AT if self.blocked else self._least
        self._set(
            blocked=free < limit,
            numbers={"free_mib": str(free // _MIB), "limit_mib": str(self._least // _MIB)},
        )

    async def _free(self) -> int:
        """The least of all folders, asked off the loop: a disk may take its time."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_ANSWER_S):
            return min(
                [await loop.run_in_executor(None, self._probe, path) for path in self._folders]
            )

    def _set(self, *, blocked: bool, numbers: dict[str, str]) -> None:
        denial = Denial(DenyReason.DISK_FULL, numbers) if blocked else None
        self._hold(denial)
        if blocked is self.blocked:
            return
        self.blocked = blocked
        found = " ".join(f"{name}={value}" for name, value in numbers.items())
        text = (
            f"little room on the disk ({found}): entries stopped, exits and protection go on"
            if blocked
            else f"room on the disk again ({found}): entries are possible"
        )
        severity = Severity.CRITICAL if blocked else Severity.INFO
        self._publish(Alert(severity, "storage:disk", text, self._clock.now_ms()))
