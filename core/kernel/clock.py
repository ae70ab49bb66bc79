"""The only place that reads time (floor 1): wall time may jump, monotonic time never does."""

import asyncio
import time


class LiveClock:
    """The machine's own time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class SimulatedClock:
    """Time of a virtual loop: wall = epoch + offset + loop time.

    The loop starts at 0 and the epoch stays here, because floats near 1.7e9 lose microseconds.
    `shift` moves the wall face only, as a step of NTP would.
    """

    def __init__(self, epoch_ms: int, loop: asyncio.AbstractEventLoop) -> None:
        self._epoch_us = epoch_ms * 1_000
        self._loop = loop
        self._offset_us = 0

    def now_ms(self) -> int:
        return self.now_us() // 1_000

    def now_us(self) -> int:
        return self._epoch_us + self._offset_us + round(self._loop.time() * 1_000_000)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))

    def shift(self, seconds: float) -> None:
        """Step the wall clock; the monotonic face is unaffected."""
        self._offset_us += round(seconds * 1_000_000)


def stopwatch() -> float:
    """Real elapsed seconds for pacing and measuring; never for decisions."""
    return time.perf_counter()
