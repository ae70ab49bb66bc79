"""What the operator reads: complete, in order, readable, bounded, and stamped by our clock."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from pathlib import Path

import pytest

from core.kernel.clock import SimulatedClock
from core.unified_logger import UnifiedLogger

ROOT = Path(__file__).resolve().parents[2]
NOON = int(datetime(2026, 3, 1, 12, 34, 56, 789_000, tzinfo=UTC).timestamp() * 1000)
Make = Callable[..., UnifiedLogger]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Iterator[SimulatedClock]:
    loop = asyncio.new_event_loop()  # only its time is used, and that is taken as zero
    loop.time = lambda: 0.0  # type: ignore[method-assign]  # a clock that stands still
    yield SimulatedClock(NOON, loop)
    loop.close()


@pytest.fixture
def console() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(tmp_path: Path, clock: SimulatedClock, console: io.StringIO) -> Iterator[Make]:
    made: list[UnifiedLogger] = []

    def build(**changes: object) -> UnifiedLogger:
        options: dict[str, object] = {"clock": clock, "stream": console, **changes}
        made.append(UnifiedLogger(tmp_path / "logs", **options))  # type: ignore[arg-type]  # by name
        return made[-1]

    yield build
    for logger in made:
        logger.close()


def day_log(tmp_path: Path, day: str = "20260301", ending: str = "log") -> list[str]:
    return (tmp_path / "logs" / f"bot_{day}.{ending}").read_text(encoding="utf-8").splitlines()


def test_a_line_on_the_console_and_in_the_day_file(
    make: Make, tmp_path: Path, console: io.StringIO
) -> None:
    log = make()
    log.log_event("engine", "INFO", "XRP/USDC:USDC 15m no entry: spread above limit", gate="spread")
    log.log_event("oms", "warning", "stop late", ms=2100, why="no answer yet")
    log.flush()
    words = "engine     XRP/USDC:USDC 15m no entry: spread above limit gate=spread"
    late = 'oms        stop late ms=2100 why="no answer yet"'
    assert console.getvalue().splitlines() == [
        "---- 2026-03-01 UTC ----",
        f"12:34:56 INFO  {words}",
        f"12:34:56 WARN  {late}",
    ]
    assert day_log(tmp_path) == [
        f"2026-03-01T12:34:56.789Z INFO  {words}",
        f"2026-03-01T12:34:56.789Z WARN  {late}",
    ]


def test_the_console_tells_the_date_again_after_midnight(
    make: Make, clock: SimulatedClock, console: io.StringIO
) -> None:
    log = make()
    log.log_event("engine", "INFO", "evening")
    clock.shift(86_400)
    log.log_event("engine", "INFO", "next evening")
    log.flush()
    dates = [line for line in console.getvalue().splitlines() if line.startswith("----")]
    assert dates == ["---- 2026-03-01 UTC ----", "---- 2026-03-02 UTC ----"]


def test_colours_only_on_a_terminal(make: Make, console: io.StringIO) -> None:
    screen = Terminal()
    on_screen, in_pipe = make(stream=screen), make()
    on_screen.log_event("oms", "ERROR", "no stop")
    in_pipe.log_event("oms", "ERROR", "no stop")
    on_screen.flush()
    in_pipe.flush()
    assert "\x1b[31m" in screen.getvalue()
    assert "\x1b" not in console.getvalue()


def test_text_from_outside_forges_no_line(make: Make, tmp_path: Path) -> None:
    log = make()
    log.log_event(
        "tg", "INFO", "from chat: \x1b[2Ahi\r\n12:00:00 INFO  oms  all closed\u2028x", a="b\nc"
    )
    log.flush()
    lines = day_log(tmp_path)
    assert len([line for line in lines if line.startswith("2026")]) == 1
    assert "\\x1b[2Ahi\\r" in lines[0]
    assert all(line.startswith("    ") for line in lines[1:])


def test_nothing_said_is_lost_at_close_and_order_is_kept(make: Make, tmp_path: Path) -> None:
    log = make(console=False)
    for n in range(5000):
        log.log_event("x", "INFO", f"line {n}")
    log.close()
    log.close()
    assert [line.rsplit(" ", 1)[1] for line in day_log(tmp_path)] == [str(n) for n in range(5000)]


def test_an_exit_without_close_loses_nothing(tmp_path: Path) -> None:
    script = f"""
from core.unified_logger import UnifiedLogger
log = UnifiedLogger({str(tmp_path)!r}, console=False)
for n in range(2000):
    log.log_event("x", "INFO", f"line {{n}}")
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=30)
    (path,) = tmp_path.iterdir()
    assert len(path.read_text().splitlines()) == 2000


def test_repetitions_are_counted(make: Make, tmp_path: Path) -> None:
    log = make()
    for _ in range(400):
        log.log_event("stream", "WARNING", "reconnecting", attempt=1)
    log.log_event("stream", "INFO", "connected")
    log.log_event("stream", "INFO", "connected")
    log.close()
    assert [line.split("stream     ")[1] for line in day_log(tmp_path)] == [
        "reconnecting attempt=1",
        "reconnecting (repeated 399 times)",
        "connected",
        "connected (repeated once)",
    ]


def test_a_long_repetition_is_told_every_minute(
    make: Make, tmp_path: Path, clock: SimulatedClock
) -> None:
    log = make()
    for _ in range(150):
        log.log_event("stream", "WARNING", "reconnecting")
        clock.shift(1.0)
    log.close()
    assert [line[11:19] + line.split("reconnecting")[1] for line in day_log(tmp_path)] == [
        "12:34:56",
        "12:35:56 (repeated 60 times)",
        "12:36:56 (repeated 60 times)",
        "12:37:25 (repeated 29 times)",
    ]


def test_a_new_utc_day_is_a_new_file_and_old_ones_go(
    make: Make, tmp_path: Path, clock: SimulatedClock
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    old = ("bot_20260214.log", "bot_20260215.log", "bot_20260216.jsonl")
    others = ("audit.jsonl", "bot_notes.log", "bot_20260101.log.gz")
    for name in (*old, *others):
        (logs / name).write_text("old")
    log = make(retention_days=14)
    log.log_event("x", "INFO", "first day")
    clock.shift(86_400)
    log.log_event("x", "INFO", "second day")
    log.close()
    assert len(day_log(tmp_path)) == 1
    assert len(day_log(tmp_path, "20260302")) == 1
    kept = sorted(path.name for path in logs.iterdir())
    assert kept == sorted(("bot_20260216.jsonl", "bot_20260301.log", "bot_20260302.log", *others))


def test_a_flooded_day_file_keeps_room_for_errors(make: Make, tmp_path: Path) -> None:
    log = make(max_file_bytes=2000)
    for n in range(500):
        log.log_event("x", "INFO", f"chatter {n}")
    log.log_event("x", "ERROR", "this matters")
    log.close()
    lines = day_log(tmp_path)
    assert lines[-1].endswith("this matters")
    assert "only warnings and errors until midnight" in lines[-2]
    assert len(lines) < 60


def test_json_lines_beside_the_text(make: Make, tmp_path: Path) -> None:
    log = make(json_lines=True)
    log.log_event("oms", "ERROR", "überraschung", code=-2021, parts=["a", 1])
    log.close()
    (line,) = day_log(tmp_path, ending="jsonl")
    assert json.loads(line) == {
        "ts": "2026-03-01T12:34:56.789Z",
        "level": "ERROR",
        "component": "oms",
        "message": "überraschung",
        "fields": {"code": -2021, "parts": ["a", 1]},
    }
    assert len(day_log(tmp_path)) == 1


def test_level_and_quiet_libraries(make: Make, tmp_path: Path) -> None:
    log = make(level="info")
    log.log_event("x", "DEBUG", "hidden")
    for name in ("httpx", "httpcore.connection", "ccxt.base.exchange", "aiohttp.access"):
        logging.getLogger(name).info("GET /secret")
        logging.getLogger(name).warning("from %s", name)
    logging.getLogger("telegram.ext").info("polling")
    log.close()
    assert [line.split()[2:] for line in day_log(tmp_path)] == [
        ["httpx", "from", "httpx"],
        ["httpcore", "from", "httpcore.connection"],
        ["ccxt", "from", "ccxt.base.exchange"],
        ["aiohttp", "from", "aiohttp.access"],
        ["telegram", "polling"],
    ]


def test_the_root_logger_is_given_back(make: Make) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("httpx").level)
    log = make(level="DEBUG")
    assert (root.level, root.handlers, logging.getLogger("httpx").level) != before
    log.close()
    assert (root.level, root.handlers, logging.getLogger("httpx").level) == before


def test_warnings_and_odd_records_arrive(make: Make, tmp_path: Path) -> None:
    log = make()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
    odd = logging.LogRecord("lib", logging.WARNING, "", 0, "%d items", ("three",), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, QueueHandler):
            handler.handle(odd)
    log.log_event("x", "NONSENSE", "unknown level")
    log.close()
    text = "\n".join(day_log(tmp_path))
    assert "DeprecationWarning: old call" in text
    assert "'%d items' with ('three',)" in text
    assert "INFO  x          unknown level" in text


def test_what_does_not_fit_the_queue_is_counted(make: Make, tmp_path: Path) -> None:
    gate, reached = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            reached.set()
            gate.wait(10)
            return super().write(text)

    log = make(stream=Slow(), queue_size=10)
    log.log_event("x", "INFO", "first")
    assert reached.wait(10)
    for n in range(30):
        log.log_event("x", "INFO", f"line {n}")
    assert log.dropped == 20
    gate.set()
    log.close()
    lines = day_log(tmp_path)
    assert len(lines) == 1 + 10 + 1
    assert sum("20 lines lost" in line for line in lines) == 1


def test_a_failing_console_does_not_stop_the_file(make: Make, tmp_path: Path) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    log = make(stream=Broken())
    for n in range(3):
        log.log_event("x", "INFO", f"line {n}")
    log.close()
    lines = day_log(tmp_path)
    assert len(lines) == 4
    assert sum("ConsoleSink cannot write" in line for line in lines) == 1


def test_a_console_that_cannot_show_a_character(make: Make) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    log = make(stream=stream)
    log.log_event("x", "INFO", "Größe ✓")
    log.close()
    assert b"Gr\\xf6\\xdfe \\u2713\n" in raw.getvalue()
    stream.detach()


def test_the_loop_does_not_wait_for_a_stuck_console(make: Make) -> None:
    gate, reached = threading.Event(), threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            reached.set()
            gate.wait(30)
            return len(text)

    log = make(stream=Stuck())
    for n in range(1000):
        log.log_event("x", "INFO", f"line {n}")  # returns, though nothing can be shown
    assert reached.wait(10)
    assert not log.flush(timeout=0.001)
    gate.set()
    assert log.flush(timeout=10)
