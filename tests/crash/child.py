"""A daemon process that dies by SIGKILL at a chosen step (run by test_kill_sweep.py).

Arguments: folder, REST and stream address, step to die at (0 never), `trade` or `recover`.
Steps are the moments around every request to the exchange, every database transaction and every
audit record: before it, and after it took effect but before anybody here knows.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from support.world import SYMBOL, Daemon, Failures, Ground, approved

from core.audit_logger import AuditLogger
from core.domain.facts import PositionOpened, TradeClosed
from core.exchange.gateway import Gateway
from core.kernel.clock import LiveClock
from core.storage.database import Database

Async = Callable[..., Coroutine[Any, Any, Any]]


class Steps:
    """Counts moments and ends the process at one of them."""

    def __init__(self, die_at: int) -> None:
        self.count = 0
        self._die_at = die_at

    def step(self) -> None:
        self.count += 1
        if self.count == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, name: str) -> None:
        original: Async = getattr(owner, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = await original(*args, **kwargs)
            self.step()
            return result

        setattr(owner, name, counted)

    def around_sync(self, owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = original(*args, **kwargs)
            self.step()
            return result

        setattr(owner, name, counted)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def until(clock: LiveClock, holds: Callable[[], object], what: str) -> None:
    deadline = clock.monotonic() + 20
    while not holds():
        if clock.monotonic() > deadline:
            raise TimeoutError(what)
        await clock.sleep(0.005)


async def trade(daemon: Daemon, clock: LiveClock, steps: Steps) -> None:
    """One whole life: entry, stop, ladder, first target, stop."""
    await daemon.orders.place_order(approved())
    await until(clock, lambda: daemon.of(PositionOpened), "position")
    say("OPENED")
    await until(clock, lambda: _stop_quantity(daemon) == 50, "resized stop")
    await until(clock, lambda: not _surplus(daemon), "old stop gone")
    say("RESIZED")
    await until(clock, lambda: daemon.of(TradeClosed), "close")
    await daemon.journal.flush()
    say(f"STEPS {steps.count}")


def _stop_quantity(daemon: Daemon) -> object:
    views = daemon.orders.get_active_positions()
    return views[0].stop_quantity if views and abs(views[0].quantity) == 50 else None


def _surplus(daemon: Daemon) -> bool:
    views = daemon.orders.get_active_positions()
    return bool(views) and views[0].stop_quantity > abs(views[0].quantity)


async def recover(daemon: Daemon, clock: LiveClock) -> None:
    """Take up what is there, wait for quiet, then leave by hand if anything is open."""
    await daemon.orders.settle(18.0)
    held = bool(daemon.orders.get_active_positions())
    if held:
        await daemon.orders.attach_brackets(SYMBOL, timeout=5.0)
    say("PROTECTED" if held else "FLAT")
    await asyncio.to_thread(sys.stdin.readline)  # the exchange's side is looked at meanwhile
    if daemon.orders.busy(SYMBOL):
        await daemon.orders.close_position(SYMBOL)
    await until(clock, lambda: not daemon.orders.busy(SYMBOL), "flat and accounted")
    await daemon.journal.flush()
    say("DONE")


async def main() -> None:
    folder, rest, ws, die_at, mode = sys.argv[1:6]
    steps = Steps(int(die_at))
    steps.around(Gateway, "_send")
    steps.around(Database, "write")
    steps.around_sync(AuditLogger, "_write")
    clock = LiveClock()
    failures = Failures()
    daemon = Daemon(Ground(Path(folder), clock, failures, rest, ws, inline=False))
    await daemon.start()
    if mode == "trade":
        await trade(daemon, clock, steps)
    else:
        await recover(daemon, clock)
    await daemon.stop()
    if failures.seen:
        raise RuntimeError("; ".join(failures.seen))


if __name__ == "__main__":
    asyncio.run(main())
