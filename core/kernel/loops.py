"""Which event loop the process runs on, and running it (floor 1).

Live: uvloop where it is installed, the standard loop elsewhere (uvloop does not exist on Windows).
A simulation passes its own factory.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

try:
    from uvloop import new_event_loop
except ImportError:  # Windows, or an installation without it
    from asyncio import new_event_loop  # type: ignore[assignment]  # same use, other class

from core.kernel.signals import held_back

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def live_loop_factory() -> LoopFactory:
    """Factory of the fastest loop this machine has."""
    return new_event_loop


def run(main: Coroutine[Any, Any, T], *, loop_factory: LoopFactory) -> T:
    """Run `main` on a new loop, then cancel what is left and close the loop.

    A signal that comes while the loop is made waits for it: half a loop cannot be closed.
    """
    runner = asyncio.Runner(loop_factory=loop_factory)
    try:
        with held_back():
            runner.get_loop()
        return runner.run(main)
    finally:
        runner.close()
        main.close()  # where a signal came before it was begun
