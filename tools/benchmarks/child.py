"""A child process that says when it is ready, with its resource use (floor 8).

Memory and CPU time come from `/proc` and are None where that does not exist.
"""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.kernel.clock import stopwatch
from tools.benchmarks.figures import SectionFailed

ROOT = Path(__file__).resolve().parents[2]
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
_TAIL = 5
_STOP_S = 30.0
_STAT_TICKS = slice(11, 13)
"""User and system time, counted after the command name of `/proc/PID/stat`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Resident memory in MiB, CPU time since the start in seconds."""

    rss_mb: float
    cpu_s: float


class Child:
    """`python ARGUMENTS` in the project folder; ready with the first line that has `marker`.

    It gets nothing of this process' environment but paths, so settings of an operator do not
    change what is measured. Leaving the `with` block stops it.
    """

    def __init__(
        self, arguments: Sequence[str], marker: str, settings: Mapping[str, str] | None = None
    ) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._marker = marker
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._seen = threading.Event()
        self._at = 0.0
        self._line = ""
        self._began = stopwatch()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and files
            [sys.executable, *arguments],
            cwd=ROOT,
            env=kept | dict(settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _read(self) -> None:
        """Read to the end, so that the child never waits for a full pipe."""
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            self._tail.append(line.strip())
            if not self._seen.is_set() and self._marker in line:
                self._at, self._line = stopwatch(), line.strip()
                self._seen.set()
        self._seen.set()

    def ready(self, limit_s: float) -> tuple[float, str]:
        """Seconds from the start of the process to the ready line, and the line.

        Raises SectionFailed when the process ended or said nothing within `limit_s`.
        """
        if not self._seen.wait(limit_s):
            raise SectionFailed(f"not ready within {limit_s:g} s, last words: {self._words()}")
        if not self._line:
            code = self._process.wait(_STOP_S)  # it has closed its output
            raise SectionFailed(f"ended with code {code}, last words: {self._words()}")
        return self._at - self._began, self._line

    def _words(self) -> str:
        return " | ".join(self._tail) or "none"

    def watch(self, seconds: float) -> None:
        """Wait. Raises SectionFailed when the process ends meanwhile."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise SectionFailed(f"ended with code {code}, last words: {self._words()}")

    def usage(self) -> Usage | None:
        """Memory and CPU time now; None when the process or `/proc` is not there."""
        folder = Path(f"/proc/{self._process.pid}")
        try:
            pages = int((folder / "statm").read_text().split()[1])
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        ticks = sum(int(field) for field in fields[_STAT_TICKS])
        return Usage(
            pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576, ticks / os.sysconf("SC_CLK_TCK")
        )

    def stop(self) -> int:
        """Ask it to stop, insist after 30 s; returns its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(_STOP_S)
        return code
