"""Where a run's time and memory go (floor 8).

Time: a profiling timer looks every few milliseconds of processor time at what is being executed. A
task of the daemon carries its life, so each look falls to the daemon, to the exchange, to the
simulation (its network, its observer) or to the loop and the libraries between them. The timer
wakes nobody and moves no virtual time: a measured run is the same run.

Memory: what can be reached from the living daemon, counted object by object without what belongs to
the world around it, and the whole process beside it.
"""

import gc
import inspect
import os
import signal
import sys
import types
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType

from core.simulation.crash import LIFE

_EVERY_S = 0.005
_SIMULATION = ("/core/simulation/", "/tools/simulation/")
_EXCHANGE = "/core/paper/"
_LOOP = ("/asyncio/", "/selectors.py", "/core/simulation/virtual_loop.py")
_SHARED = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.GetSetDescriptorType,
    property,
)
"""Exists once per program, whoever uses it."""
_WORLD = ("core.paper.", "core.simulation.", "tools.simulation.")
"""Modules whose objects are the world's, not the daemon's."""


class Share(StrEnum):
    """Who was at work."""

    DAEMON = "daemon"
    EXCHANGE = "exchange"
    SIMULATION = "simulation"
    LOOP = "loop"


class TimeShares:
    """`with shares.counting(): ...`, then `of_all()`. Nothing is counted where no timer exists."""

    def __init__(self) -> None:
        self._looks: Counter[Share] = Counter()

    @contextmanager
    def counting(self) -> Iterator[None]:
        if not hasattr(signal, "setitimer"):  # Windows
            yield
            return
        before = signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.signal(signal.SIGPROF, before)

    def of_all(self) -> dict[Share, float]:
        """Part of the looks, 0 to 1, that fell to each."""
        total = self._looks.total()
        return {share: self._looks[share] / total if total else 0.0 for share in Share}

    def _look(self, _number: int, frame: FrameType | None) -> None:
        self._looks[_share_of(frame)] += 1


def _share_of(frame: FrameType | None) -> Share:
    inner = frame.f_code.co_filename if frame is not None else ""
    if any(part in inner for part in _LOOP):
        return Share.LOOP
    if any(part in inner for part in _SIMULATION):
        return Share.SIMULATION
    if LIFE.get():
        return Share.DAEMON
    while frame is not None:
        if _EXCHANGE in frame.f_code.co_filename or "aiohttp/web" in frame.f_code.co_filename:
            return Share.EXCHANGE
        if any(part in frame.f_code.co_filename for part in _SIMULATION):
            return Share.SIMULATION
        frame = frame.f_back
    return Share.LOOP


def processor_s() -> float:
    """Seconds of processor time this process has used so far."""
    used = os.times()
    return used.user + used.system


def process_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def reachable_bytes(root: object, beyond: Iterable[object]) -> int:
    """Bytes of every object that `root` leads to, but not of or through `beyond`, the exchange or
    the simulation.

    Classes, functions and modules exist once whoever uses them and are not counted.
    """
    gc.collect()
    seen = {id(each) for each in beyond}
    todo = [root]
    total = 0
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, _SHARED) or inspect.isclass(each):
            continue
        if type(each).__module__.startswith(_WORLD):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        todo += gc.get_referents(each)
    return total
