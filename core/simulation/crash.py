"""Killing a process that is only a set of tasks (floor 2d).

Every task knows whose life it belongs to: the life is a context variable and a task inherits it
from whoever spawned it. A kill detaches the world first (the caller does: network, files). Then
`Lives.kill` cancels the life's tasks until none is left, so that no `finally:` mends what a real
kill would not; or `SteppedLoop.freeze` lets none of its code run any more, which is exact and at
once, but keeps all it held in memory until it is let go.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, MutableSequence
from contextvars import Context, ContextVar
from heapq import heapify
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
        self._frozen: tuple[str, ...] = ()
        self._withheld: list[asyncio.Handle] = []

    def await_events(self, timeout: float | None) -> Ready:
        self.steps += 1
        if self.on_step is not None:
            self.on_step(self.steps)
        if self._frozen:
            self._drop_frozen(self._ready)  # type: ignore[attr-defined] # the loop's own queue
        if self.on_step is not None or self._frozen:
            timeout = self._patience()
        return super().await_events(timeout)

    def freeze(self, life: str) -> None:
        """From here on no code of `life` runs. To be called between two steps (`on_step`)."""
        self._frozen = (*self._frozen, life)
        self._drop_frozen(self._scheduled)  # type: ignore[attr-defined] # the loop's own heap
        heapify(self._scheduled)  # type: ignore[attr-defined] # as above

    def thaw(self) -> None:
        """Let what was frozen run again, at once, so that it can be cancelled."""
        self._frozen = ()
        self._ready.extend(self._withheld)  # type: ignore[attr-defined] # the loop's own queue
        self._withheld.clear()

    def _drop_frozen(self, queue: "MutableSequence[asyncio.Handle]") -> None:
        kept: list[asyncio.Handle] = []
        for each in queue:
            life = each._context.get(LIFE)  # type: ignore[attr-defined] # what runs the callback
            (self._withheld if life in self._frozen else kept).append(each)
        if len(kept) != len(queue):
            queue.clear()
            queue.extend(kept)

    def _patience(self) -> float | None:
        """The base class's reckoning again, after its queues have changed."""
        if self._ready or self._stopping:  # type: ignore[attr-defined] # as above
            return 0
        if not self._scheduled:  # type: ignore[attr-defined] # as above
            return None
        due: float = self._scheduled[0].when()  # type: ignore[attr-defined] # as above
        return max(due - self.time(), 0.0)

    def stall(self, seconds: float) -> None:
        """The process stands still: time passes and nothing runs."""
        self._virtual_now += seconds
