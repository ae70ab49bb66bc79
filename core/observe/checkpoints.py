"""Hourly checkpoints of the audit log, remembered in a second place (floor 5; INV-11).

A hash chain shows every change inside it, but not that its end was cut off or that all of it was
written anew. So once an hour, busy or idle, its length and head are recorded with the build and the
configuration, and the head after that record goes to the database and the service log as well.
`python -m tools.verify_audit --head HASH/SEQ` checks the log against it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.domain.ports import AuditPort, Clock
from core.observe.narrator import LogEvent
from core.storage.recorder import FactRecorder

HOUR_MS = 3_600_000


class Chain(AuditPort, Protocol):
    """The audit log with its head: number and hash of the last record."""

    @property
    def head(self) -> tuple[int, str]: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Number (0: not known) and hash of the checkpoint's own record; UTC ms."""

    records: int
    head: str
    at_ms: int


class Checkpoints:
    """`run` writes one at every full hour; `write` one now (start, end, daily report)."""

    def __init__(
        self,
        audit: Chain,
        recorder: FactRecorder,
        clock: Clock,
        say: LogEvent,
        *,
        build: str,
        config: str,
    ) -> None:
        """`build` names version and commit, `config` is the `fingerprint` of the settings."""
        self._audit = audit
        self._recorder = recorder
        self._clock = clock
        self._say = say
        self._build = build
        self._config = config

    async def run(self) -> None:
        """Until cancelled. A wall clock that steps makes an hour shorter or longer, never none."""
        while True:
            left_ms = HOUR_MS - self._clock.now_ms() % HOUR_MS
            await self._clock.sleep(left_ms / 1_000)
            await self.write()

    async def write(self) -> Checkpoint:
        """Record and echo. Raises StorageError when the audit log refuses."""
        records, head = self._audit.head
        own = await self._audit.write_durable(
            {
                "action": "audit.checkpoint",
                "length": records,
                "head": head,
                "build": self._build,
                "config": self._config,
            }
        )
        number, newest = self._audit.head
        # A record that came meanwhile hides our number; the hash alone is enough to find it.
        made = Checkpoint(number if newest == own else 0, own, self._clock.now_ms())
        self._recorder.note_checkpoint(made.at_ms, made.records, made.head)
        self._say("audit", "INFO", f"checkpoint {made.head}/{made.records}")
        return made


def fingerprint(settings: Mapping[str, str]) -> str:
    """Sixteen hex digits that change with any public setting."""
    words = json.dumps(dict(settings), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(words.encode()).hexdigest()[:16]
