"""The newest lines of the log, read back (floor 5)."""

import re
from dataclasses import dataclass
from pathlib import Path

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


def newest_lines(logs_dir: Path, count: int) -> list[LoggedLine]:
    """At most `count` lines of the newest log file, oldest first; traces are left out."""
    files = sorted(logs_dir.glob("bot_*.log"))
    if not files:
        return []
    with files[-1].open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _BYTES, 0))
        text = file.read().decode("utf-8", "replace")
    found = (_LINE.match(line) for line in text.splitlines())
    return [LoggedLine(each["at"], each["level"], each["words"]) for each in found if each][-count:]
