"""One flush for everyone who waits for the disk (floor 2b; INV-03, INV-11).

A flush takes as long for a hundred records as for one. Everyone who asks in one turn of the loop
shares a flush; whoever asks while one is under way waits for the next, which covers all that was
written until it began.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

Offload = Callable[[Callable[[], None]], "asyncio.Future[None]"]
"""Runs a blocking function off the loop, as `loop.run_in_executor` does."""
_Waiter = asyncio.Future[None]


def executor_offload(executor: Executor) -> Offload:
    """Offload to `executor` through the running loop; a virtual loop may run the job inline."""

    def offload(job: Callable[[], None]) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().run_in_executor(executor, job)

    return offload


class GroupCommit:
    """Waits until marks (numbers that grow with every write) are flushed.

    `written()` is the mark of the newest write. A failed flush is final: the system may have
    dropped what it could not write, and a later flush would report success without it. A flush
    that does not end within `patience_s` fails those who wait for it and those who come meanwhile
    with TimeoutError; when it ends after all, it counts.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        offload: Offload,
        written: Callable[[], int],
        patience_s: float,
    ) -> None:
        self._flush = flush
        self._offload = offload
        self._written = written
        self._patience_s = patience_s
        self._boarding: list[_Waiter] = []
        self._aboard: list[_Waiter] = []
        self._called = False
        self._flight: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._overdue = False
        self._covers = 0
        self._durable = 0
        self.failure: BaseException | None = None

    async def reach(self, mark: int) -> None:
        """Return once `mark` is on disk.

        Raises the error of the flush, or TimeoutError. Cancelling one caller does not disturb the
        others.
        """
        if self._durable >= mark:
            return
        if self.failure is not None:
            raise self.failure
        if self._overdue:
            raise TimeoutError
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._boarding.append(waiter)
        if self._flight is None and not self._called:
            self._called = True
            loop.call_soon(self._depart)
        await waiter

    def _depart(self) -> None:
        self._called = False
        self._aboard, self._boarding = self._boarding, []
        self._covers = self._written()
        self._flight = self._offload(self._flush)
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(self._patience_s, self._give_up)
        self._flight.add_done_callback(self._land)

    def _land(self, flight: "asyncio.Future[None]") -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._flight, self._overdue = None, False
        if flight.cancelled():
            # Nobody of ours does that: the loop is being torn down, and with it those who wait.
            self._fail(asyncio.CancelledError())
            return
        self.failure = flight.exception()
        if self.failure is not None:
            self._fail(self.failure)
            return
        self._durable = self._covers
        for waiter in self._aboard:
            if not waiter.done():
                waiter.set_result(None)
        self._aboard = []
        if self._boarding:
            self._depart()

    def _give_up(self) -> None:
        self._overdue = True
        self._fail(TimeoutError())

    def _fail(self, error: BaseException) -> None:
        waiting, self._aboard, self._boarding = [*self._aboard, *self._boarding], [], []
        for waiter in waiting:
            if waiter.done():
                continue
            if isinstance(error, asyncio.CancelledError):
                waiter.cancel()
            else:
                waiter.set_exception(error)
