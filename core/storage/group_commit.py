"""One flush for everyone who waits for the disk (floor 2b; INV-03, INV-11).

A flush takes as long for a hundred records as for one. Whoever asks while one is under way waits
for the next, which covers all that was written until it began.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

Offload = Callable[[Callable[[], None]], "asyncio.Future[None]"]
"""Runs a blocking function off the loop, as `loop.run_in_executor` does."""


def executor_offload(executor: Executor) -> Offload:
    """Offload to `executor` through the running loop; a virtual loop may run the job inline."""

    def offload(job: Callable[[], None]) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().run_in_executor(executor, job)

    return offload


class GroupCommit:
    """Waits until marks (numbers that grow with every write) are flushed.

    A failed flush is final: the system may have dropped what it could not write, and a later
    flush would report success without it.
    """

    def __init__(self, flush: Callable[[], None], offload: Offload) -> None:
        self._flush = flush
        self._offload = offload
        self._flight: asyncio.Future[None] | None = None
        self._covers = 0
        self._durable = 0
        self.failure: BaseException | None = None

    async def reach(self, mark: int, written: Callable[[], int]) -> None:
        """Return once `mark` is on disk; `written()` is the mark of the newest write.

        Raises the error of the flush. Cancelling one caller does not disturb the others.
        """
        while True:
            self._land()
            if self._durable >= mark:
                return
            if self.failure is not None:
                raise self.failure
            if self._flight is None:
                self._covers = written()
                self._flight = self._offload(self._flush)
            else:
                await asyncio.shield(self._flight)

    def _land(self) -> None:
        """Take note of a flush that has ended: waiters wake in any order, the first one does it."""
        flight = self._flight
        if flight is None or not flight.done():
            return
        self._flight = None
        if flight.cancelled():
            return
        self.failure = flight.exception()
        if self.failure is None:
            self._durable = self._covers
