"""UnifiedLogger: what the operator reads (floor 2b; INV-12, INV-16).

`log_event(component, level, message, **fields)` stamps the line with the injected clock, puts it
into a bounded queue and returns; a thread of the standard library's QueueListener redacts it and
writes console and files, so neither a slow disk nor a slow terminal delays the event loop. Records
of libraries come the same way through the root logger. `close` writes everything that was said.
"""

import atexit
import logging
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from decimal import Decimal
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from types import TracebackType
from typing import TextIO

from core.domain.ports import Clock, JsonValue
from core.kernel.clock import LiveClock
from core.kernel.redaction import Redactor
from core.storage.log_sinks import Coalescer, ConsoleSink, FileSink, LogLine, Sink

_QUIET = ("aiohttp.access", "aiosqlite", "asyncio", "ccxt", "httpcore", "httpx")
"""Libraries that log every request, with its URL and so with its secrets."""
_REPEAT_WINDOW_US = 60_000_000
_STOP_S = 5.0
_OURS = "bot."

ExcInfo = BaseException | bool | None


class UnifiedLogger:
    """Console and `logs/bot_YYYYMMDD.log`; with `json_lines` also `bot_YYYYMMDD.jsonl`.

    Takes over the root logger until `close`. `level` is the least severe level shown. Files older
    than `retention_days` are removed. `stream` replaces standard error as the console.
    """

    def __init__(
        self,
        logs_dir: str | Path,
        level: str = "INFO",
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        *,
        console: bool = True,
        stream: TextIO | None = None,
        json_lines: bool = False,
        retention_days: int = 14,
        queue_size: int = 20_000,
        max_file_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        folder = Path(logs_dir)
        formats = (False, True) if json_lines else (False,)
        sinks: list[Sink] = [
            FileSink(folder, as_json=as_json, keep_days=retention_days, max_bytes=max_file_bytes)
            for as_json in formats
        ]
        if console:
            sinks.append(ConsoleSink(stream or sys.stderr))
        self._clock = clock or LiveClock()
        self._level = level_number(level)
        self._redactor = redactor or Redactor()
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(queue_size)
        self._handler = _Intake(self._lines, self._clock)
        self._writer = _Writer(
            self._lines, self._handler, self._redactor, Coalescer(tuple(sinks), _REPEAT_WINDOW_US)
        )
        self._before: dict[str, int] = {}
        self._closed = False
        self._install()

    @property
    def dropped(self) -> int:
        """Lines lost because the queue was full (the log says so where they are missing)."""
        return self._handler.dropped

    def log_event(
        self,
        component: str,
        level: str,
        message: str,
        *,
        exc_info: ExcInfo = None,
        **fields: object,
    ) -> None:
        """Say `message` for `component`. `fields` follow as `name=value`.

        `exc_info` is an exception, or True inside an `except`: its traceback follows, redacted. An
        unknown level counts as INFO. Never blocks and never raises for what it is given.
        """
        number = level_number(level)
        if number < self._level:
            return
        record = logging.LogRecord(_OURS + component, number, "", 0, message, None, None)
        if exc_info is True:
            exc_info = sys.exc_info()[1]
        if isinstance(exc_info, BaseException):
            record.exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        record.fields = {name: _plain(value) for name, value in fields.items()}
        self._handler.handle(record)

    def flush(self, timeout: float = _STOP_S) -> bool:
        """Return when everything said so far is written; False when it is not after `timeout` s."""
        if self._closed:
            return True
        done = self._lines.all_tasks_done
        with done:
            return done.wait_for(lambda: not self._lines.unfinished_tasks, timeout)

    def close(self) -> None:
        """Write what is queued, end the thread, give the root logger back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        root = logging.getLogger()
        root.removeHandler(self._handler)
        for name, level in self._before.items():
            logging.getLogger(name or None).setLevel(level)
        logging.captureWarnings(capture=False)
        self._writer.stop()
        self._handler.close()

    def guard_process(self) -> None:
        """Log, redacted, what would end a thread or the process, until the process ends.

        Without it the interpreter prints such a traceback itself, secrets included.
        """
        sys.excepthook = self._uncaught
        threading.excepthook = lambda args: self._uncaught(
            args.exc_type, args.exc_value, args.exc_traceback
        )
        sys.unraisablehook = lambda args: self._uncaught(
            args.exc_type, args.exc_value, args.exc_traceback
        )

    def _uncaught(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if issubclass(kind, (KeyboardInterrupt, SystemExit)):
            return
        if not self._closed:
            self.log_event("process", "CRITICAL", "uncaught exception", exc_info=error)
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(self._redactor.redact_text(text))

    def _install(self) -> None:
        root = logging.getLogger()
        self._before = {name: logging.getLogger(name or None).level for name in ("", *_QUIET)}
        root.setLevel(self._level)
        for name in _QUIET:
            logging.getLogger(name).setLevel(max(self._level, logging.WARNING))
        root.addHandler(self._handler)
        logging.captureWarnings(capture=True)
        self._writer.start()
        atexit.register(self.close)


class _Intake(QueueHandler):
    """Stamps and copies a record in the caller's thread; the rest is the listener's work."""

    def __init__(self, lines: "queue.Queue[logging.LogRecord]", clock: Clock) -> None:
        super().__init__(lines)
        self._lines = lines
        self._clock = clock
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The message and the traceback as text, because what they refer to goes on changing."""
        record.us = self._clock.now_us()
        try:
            record.msg = record.getMessage()
        except (TypeError, ValueError) as error:  # a library's arguments do not fit its format
            record.msg = f"{record.msg!r} with {record.args!r}: {error}"
        record.args = None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        record.exc_info = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """A record that cannot even be copied: say so without showing it, it may hold secrets."""
        sys.stderr.write(f"a log record of {record.name} could not be taken: {sys.exc_info()[0]}\n")


class _Writer(QueueListener):
    """The thread that redacts and writes."""

    def __init__(
        self,
        lines: "queue.Queue[logging.LogRecord]",
        intake: _Intake,
        redactor: Redactor,
        target: Coalescer,
    ) -> None:
        super().__init__(lines)
        self._lines = lines
        self._intake = intake
        self._redactor = redactor
        self._target = target
        self._told = 0
        self._last_us = 0

    def handle(self, record: logging.LogRecord) -> None:
        try:
            self._tell_loss(_stamp(record))
            self._target.write(self._line(record))
        except Exception as error:  # noqa: BLE001 - the thread must go on; reported, without content
            sys.stderr.write(f"a log line of {record.name} was lost: {type(error).__name__}\n")

    def enqueue_sentinel(self) -> None:
        # The standard library's own end mark; a full queue empties unless the console is frozen.
        self._lines.put(None, timeout=_STOP_S)  # type: ignore[arg-type]  # see above

    def stop(self) -> None:
        """Write what is queued and close. Gives up on a console that stays frozen."""
        thread = self._thread
        if thread is None:
            return
        try:
            self.enqueue_sentinel()
        except queue.Full:
            return
        thread.join(_STOP_S)
        if not thread.is_alive():
            self._thread = None
            self._tell_loss(self._last_us)
            self._target.close()

    def _tell_loss(self, us: int) -> None:
        self._last_us = us
        dropped = self._intake.dropped
        if dropped != self._told:
            words = f"{dropped - self._told} lines lost: more was said than could be written"
            self._told = dropped
            self._target.write(LogLine(us, "WARNING", "log", words, {}))

    def _line(self, record: logging.LogRecord) -> LogLine:
        ours = record.name.startswith(_OURS)
        fields = self._redactor.redact_value(getattr(record, "fields", {}))
        trace = "\n".join(part for part in (record.exc_text, record.stack_info) if part)
        return LogLine(
            us=_stamp(record),
            level=record.levelname,
            component=record.name.removeprefix(_OURS) if ours else record.name.split(".", 1)[0],
            message=self._redactor.redact_text(str(record.msg)).rstrip(),
            fields=fields if isinstance(fields, Mapping) else {},
            trace=self._redactor.redact_text(trace),
            source="" if ours else record.name,
        )


def level_number(level: str) -> int:
    """Number of a level's name in any case; that of INFO for an unknown one."""
    return logging.getLevelNamesMapping().get(str(level).upper(), logging.INFO)


def _stamp(record: logging.LogRecord) -> int:
    return int(getattr(record, "us", 0))


def _plain(value: object) -> JsonValue:
    """What the listener may keep: values that do not change."""
    if value is None or isinstance(value, (bool, int, float, str, Decimal)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value)
