"""Stop signals (floor 1): the first asks for an orderly stop, the second forces it.

`signal.signal` is used rather than the loop's own handlers, which do not exist on Windows. A signal
handler may interrupt any line of the program, so it does nothing but hand the number to the loop.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)


@contextmanager
def interruptible() -> Iterator[None]:
    """Until a loop listens, every stop signal interrupts as Ctrl-C does: KeyboardInterrupt.

    For the main thread only.
    """
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Stop signals wait until the block is done, then act as they would have before.

    For steps that must not be left half done. Outside the main thread, where no signal arrives,
    nothing is held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in STOP_SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


class StopSignals:
    """`stop` is set by the first signal; each later one calls `force(signal name)`.

    Create and `install` in the main thread with the loop running; `uninstall` before it closes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, force: Callable[[str], None]) -> None:
        self.stop = asyncio.Event()
        self.received: tuple[str, ...] = ()
        self._loop = loop
        self._force = force
        self._previous: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._on_signal)

    def uninstall(self) -> None:
        """Put back the handlers found by `install`."""
        for number, handler in self._previous.items():
            # None: the handler was not installed from Python and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._received, signal.Signals(number).name)

    def _received(self, name: str) -> None:
        self.received += (name,)
        if len(self.received) == 1:
            self.stop.set()
        else:
            self._force(name)
