"""Section start: what a daemon costs before and while it waits for its first trade (floor 8).

Imports are timed inside fresh interpreters. The daemon is a real `main.py` with folders of its own,
twice: as `--dry-run`, with the paper exchange inside the process, and as on the demo network, with
`tools.paper_exchange` in another process as the network. Prices are synthetic at their own speed.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.kernel.clock import stopwatch
from tools.benchmarks.child import Child, Usage
from tools.benchmarks.figures import Effort, Row, Section, SectionFailed, row

NAME = "start"
TITLE = "a real `python main.py` from process start to the log line that it may trade"
READY = "ready:"
"""Part of the log line with which the daemon says that it may trade."""
_LIMIT_S = 60.0
_GOAL_S = 1.0
_GOAL_MB = 130.0
_GOAL_CPU_S = 0.3
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


@dataclass(frozen=True, slots=True)
class _Setup:
    """One way to run the daemon. `demanding` rows have goals."""

    name: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str]
    demanding: bool


@dataclass(slots=True)
class _Found:
    """One list per measured value, one element per run."""

    ready_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    ready_mb: list[float] = field(default_factory=list)
    later_mb: list[float] = field(default_factory=list)
    cpu_per_minute: list[float] = field(default_factory=list)
    line: str = ""

    def rows(self, setup: _Setup, hold_s: float) -> list[Row]:
        values = (
            ("start to ready", "s", self.ready_s, _GOAL_S),
            ("CPU until ready", "s", self.cpu_s, None),
            ("memory when ready", "MiB", self.ready_mb, None),
            (f"memory {hold_s:g} s later", "MiB", self.later_mb, _GOAL_MB),
            ("CPU per minute at rest", "s", self.cpu_per_minute, _GOAL_CPU_S),
        )
        return [
            row(f"{setup.name}, {name}", unit, [found], goal if setup.demanding else None)
            for name, unit, found, goal in values
            if found
        ]


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when the daemon does not get ready."""
    runs, hold_s = effort.pick(5, 1), float(effort.pick(30, 2))
    rows: list[Row] = []
    notes: list[str] = []
    for name, statement in _IMPORTS:
        rows += _imports(name, statement, runs, notes)
    inside = {"PAPER_FEED": "synthetic", "PAPER_SPEED": "1"}
    setups = [_Setup("dry run", ("--dry-run",), inside, demanding=False)]
    with Child(["-m", "tools.paper_exchange"], '"rest"') as exchange:
        venue = json.loads(exchange.ready(_LIMIT_S)[1])
        setups.append(_Setup("exchange outside", (), network_settings(venue), demanding=True))
        for setup in setups:
            found = _Found()
            for number in range(runs):
                _run(setup, found, hold_s if number == runs - 1 else 0.0)
            rows += found.rows(setup, hold_s)
            notes.append(f"{setup.name}: {found.line}")
    return Section(NAME, TITLE, tuple(rows), tuple(notes))


def network_settings(venue: Mapping[str, str]) -> Mapping[str, str]:
    """Settings that make the demo network a server on this machine."""
    return {
        "DRY_RUN": "false",
        "TESTNET": "true",
        "QUOTE_COIN": "USDC",
        "BINANCE_REST_URL": venue["rest"],
        "BINANCE_WS_URL": venue["ws"],
        "BINANCE_API_KEY": venue["api_key"],
        "BINANCE_API_SECRET": venue["api_secret"],
    }


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


def _run(setup: _Setup, found: _Found, hold_s: float) -> None:
    """Start a daemon, and look at it for `hold_s` seconds once it is ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with _daemon(setup, folder) as child:
            took, line = child.ready(_LIMIT_S)
            found.ready_s.append(took)
            found.line = line[line.index(READY) :]
            first = child.usage()
            if first is not None:
                found.cpu_s.append(first.cpu_s)
                found.ready_mb.append(first.rss_mb)
            if hold_s:
                _hold(found, child, first, hold_s)
            code = child.stop()
    if code:
        raise SectionFailed(f"{setup.name}: the daemon stopped with code {code}")


def _hold(found: _Found, child: Child, first: Usage | None, hold_s: float) -> None:
    began = stopwatch()
    child.watch(hold_s)
    last = child.usage()
    if first is None or last is None:
        return
    found.later_mb.append(last.rss_mb)
    found.cpu_per_minute.append((last.cpu_s - first.cpu_s) / (stopwatch() - began) * 60.0)


def _daemon(setup: _Setup, folder: Path) -> Child:
    """`--env-file` names an empty file, so that no settings of this machine are read."""
    empty = folder / "empty.env"
    empty.touch()
    arguments = ["main.py", *setup.arguments, "--env-file", os.fspath(empty)]
    arguments += ["--data-dir", os.fspath(folder / "data")]
    arguments += ["--logs-dir", os.fspath(folder / "logs")]
    return Child(arguments, READY, setup.settings)
