"""Ends a synchronous call that does not come back (floor 1).

Code of an operator, a strategy, runs on the event loop; an endless loop in it would stop every exit
of the process. A watching thread raises `TimeLimitExceeded` inside the call. It works in every
thread and on every system, and also where time is simulated, because what is measured is the
machine's own time. The price: two microseconds per call, and a thread that looks a few times per
limit while calls are made and ends when they stop.

What cannot be ended: a call into C that does not return to Python by itself, and code that catches
`BaseException` for ever.
"""

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOKS = 5
"""Looks of the watcher at one call before it is over its limit. A machine that was suspended shows
one look only, however long it slept."""
_IDLE_LOOKS = 20


class TimeLimitExceeded(BaseException):
    """Raised inside a call that took too long. Not an `Exception`: a call that swallows those must
    not swallow this."""


class TimeLimit:
    """Runs calls that have to end within `seconds` (real time)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._pause = threading.Event()  # never set: only waited on
        self._watching = False
        self._thread_id = 0
        self._running = False
        self._sent = False
        self._looks = 0
        self._idle = 0

    def run(self, call: Callable[[], T]) -> T:
        """Result of `call()`. Raises TimeLimitExceeded when it did not end in time.

        Not re-entrant, and for one thread at a time.
        """
        self._begin()
        try:
            return call()
        finally:
            self._end()

    def _begin(self) -> None:
        with self._lock:
            self._thread_id = threading.get_ident()
            self._looks = self._idle = 0
            self._sent = False
            self._running = True
            start, self._watching = not self._watching, True
        if start:
            threading.Thread(target=self._watch, name="time-limit", daemon=True).start()

    def _end(self) -> None:
        """Call the watcher off, and take back what it has sent and has not arrived yet."""
        arrived = False
        while self._running:
            try:
                with self._lock:
                    self._running = False
                    if self._sent:
                        _interrupt(self._thread_id, None)
            except TimeLimitExceeded:  # it arrived here; the watcher sends one per look at most
                arrived = True
        if arrived:
            raise TimeLimitExceeded

    def _watch(self) -> None:
        while True:
            self._pause.wait(self.seconds / LOOKS)
            with self._lock:
                if self._running:
                    self._looks += 1
                    if self._looks >= LOOKS:
                        self._sent = True
                        _interrupt(self._thread_id, TimeLimitExceeded)
                    continue
                self._idle += 1
                if self._idle > _IDLE_LOOKS:
                    self._watching = False
                    return


def _interrupt(thread_id: int, error: type[BaseException] | None) -> None:
    """Raise `error` in a thread at its next bytecode; None takes back what has not arrived."""
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), what)
