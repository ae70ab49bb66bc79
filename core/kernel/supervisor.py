"""The only place that spawns tasks (floor 1): every task has an owner, a name and a fate.

A task that ends with an exception is reported; with a restart policy it starts again after a
pause, a bounded number of times within a window. `close` cancels and awaits everything.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from core.domain.ports import Clock

TaskFailed = Callable[[str, BaseException, bool], None]
"""(task name, error, will restart)"""
Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Restart:
    """At most `limit` restarts within `window` seconds, `pause` seconds before each."""

    limit: int = 5
    window: float = 60.0
    pause: float = 1.0


class Supervisor:
    """Owner of tasks. `on_failure` must not raise."""

    def __init__(self, clock: Clock, on_failure: TaskFailed) -> None:
        self._clock = clock
        self._on_failure = on_failure
        # a dict for its order: tasks are cancelled in the order they were spawned, in every run
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._closing = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(task.get_name() for task in self._tasks))

    def spawn(self, name: str, work: Work, restart: Restart | None = None) -> asyncio.Task[None]:
        """Run `work()` under supervision. Raises RuntimeError once closing."""
        if self._closing:
            raise RuntimeError(f"supervisor is closing, cannot spawn {name}")
        task = asyncio.create_task(self._run(name, work, restart), name=name)
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)

    async def _run(self, name: str, work: Work, restart: Restart | None) -> None:
        failures: list[float] = []
        while True:
            try:
                await work()
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the border of a task; reported below
                again = restart is not None and not self._closing
                if again and restart is not None:
                    now = self._clock.monotonic()
                    failures = [at for at in failures if now - at < restart.window]
                    failures.append(now)
                    again = len(failures) <= restart.limit
                self._on_failure(name, error, again)
                if not again or restart is None:
                    return
            await self._clock.sleep(restart.pause)

    async def close(self, timeout: float) -> tuple[str, ...]:
        """Cancel and await all tasks; returns the names of those that did not end in time."""
        self._closing = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=timeout)
            return tuple(sorted(task.get_name() for task in pending))
        return ()
