"""An asyncio loop whose time is a number (floor 2d): a simulated day passes in seconds.

Invariants it keeps for everything that runs on it:

- time moves only when no callback is ready, no socket is readable and no write is blocked, and
  then exactly to the due time of the next timer: it never runs ahead of pending work;
- with a pace it is also never ahead of `speed` times the real time since the start, and a signal or
  a real socket wakes it at once;
- timers due at the same instant fire in the order in which they were set, whatever else is
  scheduled: the library's heap would let a stranger's timer turn two of ours around;
- no threads: executor work runs inline, so its order is the program's order;
- nothing scheduled and nothing to wait for is a deadlock and says where every task stands.

The loop starts at 0.0; the epoch belongs to `core.kernel.clock.SimulatedClock`, because floats
near 1.7e9 lose microseconds.

Linux delivers bytes written to loopback TCP before the write returns, so one idle poll proves that
no peer in this process is about to be heard. Other systems deliver them a moment later: there
`SETTLE_S` of real silence is required before time moves.
"""

import asyncio
import contextvars
import heapq
import selectors
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar, TypeVarTuple

import aiohttp.connector

from core.kernel.clock import stopwatch as real_stopwatch

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Ready = list[tuple[selectors.SelectorKey, int]]

SETTLE_S = 0.0 if sys.platform == "linux" else 0.005
"""Real silence required before time moves, for systems whose loopback is not immediate."""
BLOCKED_WRITE_S = 0.25
"""Real seconds a blocked write is given to drain: Linux may delay a TCP window update by 0.2 s."""
MAX_WAIT_S = 0.5
"""Longest real wait in one piece. A select that a signal cannot interrupt (Windows) ends anyway."""
MAX_LAG_S = 0.05
"""How far behind its pace the loop may catch up; a longer stall is not made good by a rush."""
RESOLUTION_S = 1e-7
"""Timers this close fire together. Must exceed the spacing of floats: good for 30 years."""


class SimulationStalled(RuntimeError):
    """Nothing is scheduled and nobody outside can help: every task waits for ever."""


class _OrderedTimer(asyncio.TimerHandle):
    """A timer with a turn among those due at the same instant."""

    __slots__ = ("turn",)

    turn: int

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        if isinstance(other, _OrderedTimer):
            return (self.when(), self.turn) < (other.when(), other.turn)
        return NotImplemented


class _VirtualSelector(selectors.DefaultSelector):
    """Asks the loop what to do about the time when no socket is ready."""

    loop: "VirtualLoop"

    def poll(self, timeout: float) -> Ready:
        return super().select(timeout)

    def select(self, timeout: float | None = None) -> Ready:
        return self.loop.await_events(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop on virtual time.

    `speed`: None runs as fast as the machine can; 60 lets one virtual minute take at least one
    real second. `outside`: somebody beyond this process may still act (sockets of other processes,
    signals), so an empty schedule waits instead of being a deadlock. `stopwatch` gives real
    seconds and is replaced in tests.
    """

    def __init__(
        self,
        speed: float | None = None,
        *,
        outside: bool = False,
        stopwatch: Callable[[], float] = real_stopwatch,
    ) -> None:
        self._poller = _VirtualSelector()
        self._poller.loop = self
        super().__init__(self._poller)
        if speed is not None and not 0 < speed < float("inf"):
            self.close()
            raise ValueError(f"speed must be a positive number or None, not {speed}")
        self._clock_resolution = RESOLUTION_S
        self._speed = speed
        self._outside = outside
        self._stopwatch = stopwatch
        self._virtual_now = 0.0
        self._pace_from = (0.0, stopwatch())  # (virtual, real) point the pace is counted from
        self._drained = False  # a blocked write had its chance since the last event
        self._turns = 0

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As the base class, with a turn: `call_later` comes through here too."""
        self._check_closed()  # type: ignore[attr-defined]  # as the base class does
        timer = _OrderedTimer(when, callback, args, self, context)
        self._turns += 1
        timer.turn = self._turns
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]  # no public name
        timer._scheduled = True  # type: ignore[attr-defined]  # as the base class does
        return timer

    def await_events(self, timeout: float | None) -> Ready:
        """What the loop calls instead of `select`: real events if there are any, else time.

        `timeout` is as for `select`: 0 when callbacks are ready, None when nothing is scheduled.
        Raises SimulationStalled.
        """
        ready = self._poller.poll(0)
        if ready or timeout == 0:
            self._drained = self._drained and not ready
            return ready
        ready = self._settle()
        if ready:
            return ready
        due = self._next_due(timeout)
        if due is None and not self._outside:
            raise SimulationStalled(f"nothing can happen any more\n{describe_tasks(self)}")
        if self._speed is not None:
            return self._paced_wait(due, self._speed)
        if due is None:
            return self._poller.poll(MAX_WAIT_S)
        self._virtual_now = due
        return []

    def _paced_wait(self, due: float | None, speed: float) -> Ready:
        """Wait for real until `due` is allowed, in pieces, and move the time along the pace."""
        virtual, real = self._pace_from
        now = self._stopwatch()
        lag = now - real - (self._virtual_now - virtual) / speed
        if lag > MAX_LAG_S:
            virtual, real = self._pace_from = (self._virtual_now, now - MAX_LAG_S)
        wait = MAX_WAIT_S if due is None else real + (due - virtual) / speed - now
        if wait <= 0 and due is not None:
            self._virtual_now = due
            return []
        ready = self._poller.poll(min(wait, MAX_WAIT_S))
        allowed = virtual + (self._stopwatch() - real) * speed
        target = allowed if due is None else min(allowed, due)
        self._virtual_now = max(self._virtual_now, target)
        return ready

    def _settle(self) -> Ready:
        """Give bytes that are still inside the kernel the real time to arrive."""
        keys = self._poller.get_map().values()
        if not self._drained and any(key.events & selectors.EVENT_WRITE for key in keys):
            self._drained = True  # once per quiet spell: a peer that never reads is not waited for
            return self._poller.poll(BLOCKED_WRITE_S)
        if SETTLE_S and len(keys) > 1:  # more than the loop's own wake-up pipe
            return self._poller.poll(SETTLE_S)
        return []

    def _next_due(self, timeout: float | None) -> float | None:
        """The next timer's own due time: `time() + timeout` would be off by a rounding error."""
        if timeout is None:
            return None
        due: float = self._scheduled[0].when()  # type: ignore[attr-defined]  # no public name
        return due

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run `func` here and now; the future returned is done. No thread, hence one order."""
        self._check_closed()  # type: ignore[attr-defined]  # as the base class does
        future: asyncio.Future[T] = self.create_future()
        try:
            # A thread would see its own context; so does the inline call.
            future.set_result(contextvars.copy_context().run(func, *args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            future.set_exception(error)
        return future


def virtual_loop_factory(
    speed: float | None = None, *, outside: bool = False
) -> Callable[[], VirtualLoop]:
    """For `core.kernel.loops.run`."""
    return lambda: VirtualLoop(speed, outside=outside)


@contextmanager
def aiohttp_on_virtual_time(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let aiohttp's connection pool and DNS cache age by the loop's time, not the machine's.

    They read `time.monotonic` themselves. A simulation would otherwise reuse or drop an idle
    connection depending on how fast the machine is.
    """
    module: Any = aiohttp.connector  # the name is the library's import, not its interface
    original = module.monotonic
    module.monotonic = loop.time
    try:
        yield
    finally:
        module.monotonic = original


def describe_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """One paragraph per unfinished task: its name and the chain of awaits it is suspended in."""
    paragraphs = []
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        lines = [f"task {task.get_name()}"]
        lines += [
            f"  {code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
            for code, frame in _await_chain(task.get_coro())
        ]
        paragraphs.append("\n".join(lines))
    return "\n".join(paragraphs) or "no task is left"


def _await_chain(awaitable: Any) -> Iterator[tuple[CodeType, FrameType]]:
    """Frames from the outermost coroutine inward (`Task.get_stack` shows the outermost only)."""
    while awaitable is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(awaitable, f"{prefix}_frame", None)
            if frame is not None:
                yield frame.f_code, frame
                inner = "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await"
                awaitable = getattr(awaitable, inner, None)
                break
        else:
            return
