"""Section start: what a daemon costs before it trades (floor 8).

Imports are timed inside fresh interpreters. The daemon is a real `main.py --dry-run` with synthetic
prices and folders of its own; its numbers contain the paper exchange that runs inside it.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from core.kernel.clock import stopwatch
from tools.benchmarks.child import Child, Usage
from tools.benchmarks.figures import Effort, Row, Section, SectionFailed, row

NAME = "start"
TITLE = "a real `python main.py --dry-run`, paper exchange and synthetic prices inside"
READY = "ready:"
"""Part of the log line with which the daemon says that it may trade."""
_LIMIT_S = 60.0
_GOAL_S = 1.0
_GOAL_MB = 130.0
_LIBRARY = (
    "from core.exchange.library import load_exchange_class\nload_exchange_class('binanceusdm')"
)
_IMPORTS = (
    ("python alone", "pass"),
    ("imports of the daemon", "import main"),
    ("the same and the exchange library", f"import main\n{_LIBRARY}"),
)
_PROBE = """
import json, sys, time
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
heavy = [name for name in ('pandas', 'polars', 'ccxt.pro', 'telegram') if name in sys.modules]
print(json.dumps({{'seconds': took, 'modules': len(sys.modules), 'heavy': heavy}}), flush=True)
time.sleep(60)
"""


@dataclass(slots=True)
class _Daemon:
    """One list per measured value, one element per run."""

    ready_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    ready_mb: list[float] = field(default_factory=list)
    later_mb: list[float] = field(default_factory=list)
    cpu_per_minute: list[float] = field(default_factory=list)


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when the daemon does not get ready."""
    runs, hold_s = effort.pick(5, 1), float(effort.pick(15, 2))
    rows: list[Row] = []
    notes: list[str] = []
    for name, statement in _IMPORTS:
        rows += _imports(name, statement, runs, notes)
    found = _Daemon()
    for number in range(runs):
        _run(found, hold_s if number == runs - 1 else 0.0)
    rows.append(row("process start to ready", "s", [found.ready_s], _GOAL_S))
    held = f"{hold_s:g} s later"
    for name, unit, values, goal in (
        ("CPU until ready", "s", found.cpu_s, None),
        ("memory when ready", "MiB", found.ready_mb, None),
        (f"memory {held}", "MiB", found.later_mb, _GOAL_MB),
        ("CPU per minute at rest", "s", found.cpu_per_minute, None),
    ):
        if values:
            rows.append(row(name, unit, [values], goal))
    return Section(NAME, TITLE, tuple(rows), tuple(notes))


def _imports(name: str, statement: str, runs: int, notes: list[str]) -> list[Row]:
    """Seconds and memory of a statement in a fresh interpreter."""
    seconds, memory = [], []
    for _ in range(runs):
        with Child(["-c", _PROBE.format(statement=statement)], "seconds") as child:
            _, line = child.ready(_LIMIT_S)
            usage = child.usage()
        answer = json.loads(line)
        seconds.append(float(answer["seconds"]))
        if usage is not None:
            memory.append(usage.rss_mb)
    heavy = ", ".join(answer["heavy"]) or "none of the heavy ones"
    notes.append(f"{name}: {answer['modules']} modules, {heavy}")
    rows = [row(name, "s", [seconds])]
    return [*rows, row(f"{name}, memory", "MiB", [memory])] if memory else rows


def _run(found: _Daemon, hold_s: float) -> None:
    """Start a daemon, and look at it for `hold_s` seconds once it is ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _daemon(Path(folder)) as child:
        took, _ = child.ready(_LIMIT_S)
        found.ready_s.append(took)
        first = child.usage()
        if first is not None:
            found.cpu_s.append(first.cpu_s)
            found.ready_mb.append(first.rss_mb)
        if hold_s:
            _hold(found, child, first, hold_s)
        code = child.stop()
    if code:
        raise SectionFailed(f"the daemon stopped with code {code}")


def _hold(found: _Daemon, child: Child, first: Usage | None, hold_s: float) -> None:
    began = stopwatch()
    child.watch(hold_s)
    last = child.usage()
    if first is None or last is None:
        return
    found.later_mb.append(last.rss_mb)
    found.cpu_per_minute.append((last.cpu_s - first.cpu_s) / (stopwatch() - began) * 60.0)


def _daemon(folder: Path) -> Child:
    """`--env-file` names an empty file, so that no settings of this machine are read."""
    empty = folder / "empty.env"
    empty.touch()
    arguments = ["main.py", "--dry-run", "--env-file", os.fspath(empty)]
    arguments += ["--data-dir", os.fspath(folder / "data")]
    arguments += ["--logs-dir", os.fspath(folder / "logs")]
    return Child(arguments, READY, {"PAPER_FEED": "synthetic", "PAPER_SPEED": "1"})
