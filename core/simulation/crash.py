"""Killing a process that is only a set of tasks (floor 2d).

Every task knows whose life it belongs to: the life is a context variable and a task inherits it
from whoever spawned it. A kill detaches the world first (the caller does: network, files) and then
cancels the life's tasks until none is left, so that no `finally:` mends what a real kill would not.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from typing import Any

from core.simulation.virtual_loop import Ready, VirtualLoop

LIFE: ContextVar[str] = ContextVar("life", default="")
"""Name of the life the running code belongs to; empty for the world outside."""
ROUNDS = 200
"""Steps of the loop after which a task that refuses to die is an error."""


class Immortal(RuntimeError):
    """Tasks of a killed life that would not end."""


class Lives:
    """Task factory of a loop: who spawned what. Install with `loop.set_task_factory`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tasks: dict[asyncio.Task[Any], str] = {}
        loop.set_task_factory(self._make)

    def _make(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, context=context)
        life = context.get(LIFE, "") if context is not None else LIFE.get()
        if life:
            self._tasks[task] = life
            task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)

    def tasks(self, life: str) -> list["asyncio.Task[Any]"]:
        """Unfinished tasks of a life, in the order they were spawned."""
        return [task for task, owner in self._tasks.items() if owner == life]

    async def kill(self, life: str) -> int:
        """Cancel the life's tasks until none is left; returns how many rounds it took.

        Raises Immortal.
        """
        for round_number in range(ROUNDS):
            left = self.tasks(life)
            if not left:
                return round_number
            for task in left:
                task.cancel()
            await _step()
        raise Immortal(", ".join(task.get_name() for task in self.tasks(life)))


async def _step() -> None:
    """Let the loop run what is ready, once."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.call_soon(ready.set_result, None)
    await ready


class SteppedLoop(VirtualLoop):
    """A virtual loop that counts its steps, calls `on_step` before each, and can stall."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.on_step: Callable[[int], None] | None = None

    def await_events(self, timeout: float | None) -> Ready:
        self.steps += 1
        if self.on_step is not None:
            self.on_step(self.steps)
            timeout = 0 if self._ready else timeout  # type: ignore[attr-defined] # what it queued
        return super().await_events(timeout)

    def stall(self, seconds: float) -> None:
        """The process stands still: time passes and nothing runs."""
        self._virtual_now += seconds
