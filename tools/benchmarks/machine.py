"""What the numbers were measured on and with (floor 8)."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.kernel.build_info import VERSION, commit, python_version
from core.kernel.clock import LiveClock
from core.kernel.loops import live_loop_factory

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows
    getrusage = None  # type: ignore[assignment]  # told apart in cpu_us

_LIBRARIES = ("aiohttp", "ccxt", "msgspec", "numpy", "ta-lib", "uvloop")


def machine() -> dict[str, str]:
    """Rows of name and text in reading order."""
    factory = live_loop_factory()
    now = datetime.fromtimestamp(LiveClock().now_ms() / 1_000, tz=UTC)
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} CPU, {_memory()}, load {_load()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": python_version(),
        "loop": f"{factory.__module__.partition('.')[0]}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES),
        "build": f"{VERSION} ({commit()})",
    }


def cpu_us() -> float:
    """CPU time of this process in microseconds, user and system; 0 where it cannot be told."""
    if getrusage is None:
        return 0.0
    used = getrusage(RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return f"{int(value.split()[0]) / 1_048_576:.0f} GiB"
    return "memory unknown"


def _load() -> str:
    lines = _lines("/proc/loadavg")
    return lines[0].split()[0] if lines else "unknown"


def _lines(path: str) -> list[str]:
    """Lines of a file only Linux has."""
    file = Path(path)
    return file.read_text().splitlines() if file.is_file() else []
