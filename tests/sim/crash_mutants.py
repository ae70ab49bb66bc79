"""Deliberate breakages that only a death in the right place, or a power cut, brings to light.

An undisturbed run violates nothing under any of them. Each names the perils and the story that
reveal it, how densely they are played, and the invariants of which one must be reported.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from core.audit_logger import AuditLogger
from core.domain.enums import ExitReason, OrderStatus
from core.domain.order import OrderRecord
from core.domain.ports import JsonValue
from core.oms.closeout import CloseOut
from core.oms.state import SymbolState
from core.order_manager import OrderManager
from core.simulation.disk import SimulatedDisk
from core.storage import audit_file
from core.storage.audit_file import AuditFile
from core.storage.journal import Journal, LoadedState

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class CrashMutant:
    """Caught within `points` deaths: every `every`-th within a `part` of the story `target`."""

    apply: Callable[[Patch], None]
    caught_by: tuple[str, ...]
    points: int
    every: int = 12
    part: tuple[float, float] = (0.0, 1.0)
    peril: str = "power"


def intent_not_flushed(patch: Patch) -> None:
    """A request leaves while the record of it is in the system's memory only."""

    async def written(self: AuditLogger, payload: dict[str, JsonValue]) -> str:
        return self.write(payload)

    patch.setattr(AuditLogger, "write_durable", written)


def journal_not_awaited(patch: Patch) -> None:
    """A request leaves while its attempt waits to be written."""

    async def soon(self: Journal, record: OrderRecord) -> None:
        self._put_order(record)

    patch.setattr(Journal, "record_attempt", soon)


def state_not_flushed(patch: Patch) -> None:
    """A state file takes the place of the old one before its content is on disk."""
    flush = SimulatedDisk.flush

    def careless(self: SimulatedDisk, fd: int) -> None:
        if self._handles[fd].path.suffix != ".tmp":
            flush(self, fd)

    patch.setattr(SimulatedDisk, "flush", careless)


def torn_tail_ignored(patch: Patch) -> None:
    """The log goes on behind an incomplete last line."""

    def blind(self: AuditFile) -> None:
        size = os.fstat(self._fd).st_size
        line, end = audit_file._last_line(self._fd, size)
        archived = self._head_of_archive()
        head = archived if line is None else self._checked(self.path, line, end - len(line) - 1)
        self.seq, self.digest, self.day = head.seq, head.hash, head.day
        self.size = size

    patch.setattr(AuditFile, "_read_end", blind)


def name_not_flushed(patch: Patch) -> None:
    """The log's content is on disk and its name is not."""
    attach = AuditFile._attach

    def forgetful(self: AuditFile) -> None:
        attach(self)
        self._new_name = False

    patch.setattr(AuditFile, "_attach", forgetful)


def closed_before_audited(patch: Patch) -> None:
    """The journal calls a trade closed before its orders' ends are in the audit log for good."""

    async def hasty(self: CloseOut, state: SymbolState, reason: ExitReason) -> bool:
        return await self._journal.record_close(state.trade, reason)

    patch.setattr(CloseOut, "_record", hasty)


def not_told_again(patch: Patch) -> None:
    """A restart takes what the journal knows for what the audit log has."""
    patch.setattr(OrderManager, "_tell_again", lambda self, record: None)


def forgets(patch: Patch) -> None:
    async def empty(self: Journal) -> LoadedState:
        return LoadedState([], [], [])

    patch.setattr(Journal, "load", empty)


def doubt_is_no(patch: Patch) -> None:
    """What was on its way when the process died is taken for never sent."""
    restore = OrderManager._restore

    def hasty(self: OrderManager, state: SymbolState, records: list[OrderRecord]) -> None:
        restore(self, state, records)
        for record in records:
            if record.status is OrderStatus.UNKNOWN:
                record.status = OrderStatus.ABSENT

    patch.setattr(OrderManager, "_restore", hasty)


CRASH_MUTANTS = {
    "intent not flushed": CrashMutant(intent_not_flushed, ("INV-03",), 20),
    "journal not awaited": CrashMutant(
        journal_not_awaited, ("INV-05",), 40, every=1, part=(0.05, 0.25), peril="kill"
    ),
    "state not flushed": CrashMutant(state_not_flushed, ("INV-13",), 20),
    "torn tail ignored": CrashMutant(torn_tail_ignored, ("INV-11", "INV-16"), 20),
    "name not flushed": CrashMutant(name_not_flushed, ("INV-03",), 20),
    "closed before audited": CrashMutant(
        closed_before_audited, ("INV-12",), 30, every=1, part=(0.9, 1.0)
    ),
    "not told again": CrashMutant(not_told_again, ("INV-12",), 45, every=1, part=(0.7, 0.9)),
    "forgets at restart": CrashMutant(forgets, ("INV-05", "INV-10"), 10, every=24, peril="kill"),
    "doubt is no": CrashMutant(
        doubt_is_no, ("INV-05",), 40, every=2, part=(0.05, 0.4), peril="kill"
    ),
}
