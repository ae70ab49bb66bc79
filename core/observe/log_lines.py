"""The newest lines of the log, read back (floor 5)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_LINE = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<level>[A-Z]+) +(?P<words>.*)")
_BYTES = 256 * 1024
_ERRORS = frozenset({"ERROR", "CRIT"})


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """`level` as in the file: DEBUG, INFO, WARN, ERROR or CRIT."""

    at: str
    level: str
    words: str

    @property
    def is_error(self) -> bool:
        return self.level in _ERRORS


def newest_text(logs_dir: Path, count: int) -> list[str]:
    """At most `count` lines as they are, traces included, oldest first.

    A new day begins a new file: where its lines are too few, those before it are read too.
    """
    return _newest(logs_dir, count, lambda line: line)


def newest_lines(logs_dir: Path, count: int) -> list[LoggedLine]:
    """At most `count` lines, oldest first, over as many files as needed; traces are left out."""
    return _newest(logs_dir, count, _parse)


def _newest(logs_dir: Path, count: int, take: Callable[[str], T | None]) -> list[T]:
    found: list[T] = []
    for path in sorted(logs_dir.glob("bot_*.log"), reverse=True):
        if len(found) >= count:
            break
        taken = (take(line) for line in _end_of(path).splitlines())
        found[:0] = [each for each in taken if each is not None]
    return found[max(len(found) - count, 0) :]


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _BYTES, 0))
        return file.read().decode("utf-8", "replace")


def _parse(line: str) -> LoggedLine | None:
    match = _LINE.match(line)
    return LoggedLine(match["at"], match["level"], match["words"]) if match else None
