"""Where log lines end: console, daily text file, daily JSON file (floor 2b; INV-16).

Sinks run in the listener's thread of `core.unified_logger`; a sink that fails is reported on the
console once and tried again with the next line, it never stops the others.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TextIO

from core.domain.ports import JsonValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[1;31m",
}
_RESET = "\x1b[0m"
_INDENT = "\n" + " " * 4
_LOG_NAME = re.compile(r"bot_(\d{8})\.(?:log|jsonl)")
# What moves the cursor or begins a new line: text from outside must not forge either.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event, with every secret already gone. `us` is UTC microseconds by the daemon's clock."""

    us: int
    level: str
    component: str
    message: str
    fields: Mapping[str, JsonValue]
    trace: str = ""
    source: str = ""
    """Module of a library's own record; empty for the daemon's."""

    @property
    def at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.us)

    @property
    def day(self) -> int:
        return self.us // _DAY_US

    def same_as(self, other: "LogLine") -> bool:
        """True when only the time differs."""
        return (
            self.message == other.message
            and self.level == other.level
            and self.component == other.component
            and self.fields == other.fields
            and self.trace == other.trace
        )

    def text(self) -> str:
        """Level, component, message, fields and trace; continued lines are indented."""
        words = f"{_SHORT.get(self.level, self.level):<5} {self.component:<10} {self.message}"
        for name, value in self.fields.items():
            shown = value if isinstance(value, str) else json.dumps(value, default=str)
            words += f" {name}={shown}" if shown and " " not in shown else f' {name}="{shown}"'
        if self.trace:
            words += f"\n{self.trace}"
        return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], words).replace("\n", _INDENT)


class Sink(Protocol):
    """A destination. `write` may raise OSError or ValueError (closed stream)."""

    def write(self, line: LogLine) -> None: ...

    def close(self) -> None: ...


class ConsoleSink:
    """Lines for a person: `12:34:56 INFO  engine     …`, coloured on a terminal.

    Times are UTC; a line of its own tells the date before the first one and after midnight.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty()
        self._day = -1

    def write(self, line: LogLine) -> None:
        if line.day != self._day:
            self._day = line.day
            self._put(f"---- {line.at:%Y-%m-%d} UTC ----")
        words = f"{line.at:%H:%M:%S} {line.text()}"
        if self._coloured:
            words = f"{_COLOURS.get(line.level, '')}{words}{_RESET}"
        self._put(words)

    def _put(self, words: str) -> None:
        try:
            self._stream.write(f"{words}\n")
        except UnicodeEncodeError:  # a terminal that cannot show everything
            self._stream.write(f"{words.encode('ascii', 'backslashreplace').decode()}\n")
        self._stream.flush()

    def close(self) -> None:
        """The stream is not ours to close."""


class FileSink:
    """`bot_YYYYMMDD.log` (text) or `.jsonl` (JSON), a file per UTC day, old ones removed.

    Above `max_bytes` a day's file takes warnings and errors only.
    """

    def __init__(self, folder: Path, *, as_json: bool, keep_days: int, max_bytes: int) -> None:
        self._folder = folder
        self._as_json = as_json
        self._keep_days = keep_days
        self._max_bytes = max_bytes
        self._day = -1
        self._file: TextIO | None = None
        self._full = False
        self._open(0)

    def write(self, line: LogLine) -> None:
        if self._file is None or line.day != self._day:
            self._open(line.day)
        if self._file is None or (self._full and line.level in ("DEBUG", "INFO")):
            return
        self._file.write(self._render(line))
        self._file.flush()
        if not self._full and self._file.tell() >= self._max_bytes:
            self._full = True
            note = f"this file has {self._max_bytes} bytes: only warnings and errors until midnight"
            self._file.write(self._render(LogLine(line.us, "WARNING", "log", note, {})))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self, day: int) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        if not day:  # before the first line there is only the folder to be made sure of
            return
        date = _EPOCH + timedelta(days=day)
        path = self._folder / f"bot_{date:%Y%m%d}.{'jsonl' if self._as_json else 'log'}"
        self._file = path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._day = day
        self._full = self._file.tell() >= self._max_bytes
        self._remove_old(date)

    def _remove_old(self, today: datetime) -> None:
        oldest = f"{today - timedelta(days=self._keep_days):%Y%m%d}"
        for path in sorted(self._folder.iterdir()):
            found = _LOG_NAME.fullmatch(path.name)
            if found and found[1] < oldest:
                path.unlink(missing_ok=True)

    def _render(self, line: LogLine) -> str:
        stamp = line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if not self._as_json:
            return f"{stamp} {line.text()}\n"
        record = {
            "ts": stamp,
            "level": line.level,
            "component": line.component,
            "message": line.message,
            **({"fields": line.fields} if line.fields else {}),
            **({"trace": line.trace} if line.trace else {}),
            **({"source": line.source} if line.source else {}),
        }
        return json.dumps(record, ensure_ascii=False, default=str) + "\n"


class Coalescer:
    """Passes lines on; a line said again is counted, and the count is told afterwards.

    A repetition is told at the latest with the first one after `window_us`.
    """

    def __init__(self, sinks: tuple[Sink, ...], window_us: int) -> None:
        self._sinks = list(sinks)
        self._window_us = window_us
        self._last: LogLine | None = None
        self._repeated = 0
        self._told_us = 0
        self._failed: set[int] = set()

    def write(self, line: LogLine) -> None:
        last = self._last
        if last is not None and line.same_as(last):
            self._repeated += 1
            self._last = line
            if line.us - self._told_us >= self._window_us:
                self.tell()
            return
        self.tell()
        self._last = line
        self._told_us = line.us
        self._emit(line)

    def tell(self) -> None:
        """Say how often the last line was repeated, if it was."""
        if self._last is None or not self._repeated:
            return
        times, self._repeated = self._repeated, 0
        last = self._last
        self._told_us = last.us
        often = "once" if times == 1 else f"{times} times"
        words = f"{_first_line(last.message)} (repeated {often})"
        self._emit(LogLine(last.us, last.level, last.component, words, {}))

    def close(self) -> None:
        self.tell()
        for sink in self._sinks:
            sink.close()

    def _emit(self, line: LogLine) -> None:
        for number, sink in enumerate(self._sinks):
            try:
                sink.write(line)
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self._report(number, line, error)
            else:
                self._failed.discard(number)

    def _report(self, number: int, line: LogLine, error: Exception) -> None:
        """Tell the other sinks, once until it works again."""
        if number in self._failed:
            return
        self._failed.add(number)
        name = type(self._sinks[number]).__name__
        words = f"{name} cannot write: {error}"
        for other, sink in enumerate(self._sinks):
            if other not in self._failed:
                sink.write(LogLine(line.us, "ERROR", "log", words, {}))


def _first_line(message: str) -> str:
    return message.split("\n", 1)[0]
