"""Copies of this process that each play on to another end (floor 2d).

A run is brought to a point once; there `split` makes a copy (`fork`), which goes on in its own way
from exactly this state and ends by handing back a result, while the original plays on to the next
point. A copy has all that the original had in memory, and shares its files and sockets: it must
touch none of those that the original still uses. On systems without `fork` there are no copies.
"""

import asyncio
import gc
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from core.kernel.clock import stopwatch

CAN_SPLIT = sys.platform != "win32" and hasattr(os, "fork")
PATIENCE_S = 60.0
"""Real seconds after which a copy is given up."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a copy. `result` is None when it ended without handing one back; `cpu_s` is
    the processor time it took."""

    label: str
    result: bytes | None
    status: int
    cpu_s: float


@dataclass(slots=True)
class _Copy:
    label: str
    pid: int
    began: float
    answer: bytearray


class Forks:
    """At most `at_once` copies live at a time; `on_ending` hears of each that has ended."""

    def __init__(self, at_once: int, on_ending: Callable[[Ending], None]) -> None:
        self._at_once = at_once
        self._on_ending = on_ending
        self._copies: dict[int, _Copy] = {}
        self._answer = -1

    @property
    def is_copy(self) -> bool:
        return self._answer >= 0

    def split(self, label: str) -> bool:
        """True in the copy, False in the original; waits for a free place first."""
        while len(self._copies) >= self._at_once:
            self._wait()
        loop = asyncio._get_running_loop()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            self._copies[reader] = _Copy(label, pid, stopwatch(), bytearray())
            return False
        os.close(reader)
        self._answer = writer
        self._copies.clear()
        # A loop counts as running in the process that started it; in the copy it says so anew.
        asyncio._set_running_loop(loop)
        # What the original holds is not garbage here, and looking for it would copy its memory.
        gc.disable()
        gc.freeze()
        return True

    def finish(self, result: bytes) -> NoReturn:
        """The end of a copy: hand `result` back. Nothing is cleaned up; it is the original's."""
        view = result
        while view:
            view = view[os.write(self._answer, view) :]
        os._exit(0)

    def drain(self) -> None:
        """Wait for all copies."""
        while self._copies:
            self._wait()

    def _wait(self) -> None:
        """Until a copy has said something or has ended."""
        ready, _, _ = select.select(list(self._copies), [], [], 1.0)
        for reader in ready:
            part = os.read(reader, 1 << 16)
            if part:
                self._copies[reader].answer += part
            else:
                self._bury(reader)
        for copy in self._copies.values():
            if stopwatch() - copy.began > PATIENCE_S:
                os.kill(copy.pid, signal.SIGKILL)

    def _bury(self, reader: int) -> None:
        copy = self._copies.pop(reader)
        os.close(reader)
        _, status, used = os.wait4(copy.pid, 0)
        whole = bytes(copy.answer) if status == 0 else None
        self._on_ending(Ending(copy.label, whole, status, used.ru_utime + used.ru_stime))
