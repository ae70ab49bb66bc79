"""Closed candles of one symbol: contiguous, bounded, checked (floor 2a).

A series never has a hole: what cannot be joined starts a new run, so an indicator never mixes
candles from both sides of missing data (INV-14).

The numbers live in one table with room for more candles than are kept, so that a strategy reads
them in place: asking for the arrays copies nothing, and every so many appends the kept part moves
to a fresh table.
"""

import math
from enum import StrEnum

import numpy as np

from core.domain.market import NO_CANDLES, Candle, CandleArrays

_SPARE_SHARE = 4
"""Room for a quarter more than is kept: a fifth of the memory against one copy in that many."""


class Verdict(StrEnum):
    """What became of a candle that was offered."""

    APPENDED = "appended"
    OLD = "old"
    GAP = "gap"
    BAD = "bad"


def defect(candle: Candle, step_ms: int) -> str:
    """Why a candle is unusable; empty when it is fine. A candle without volume is fine."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    if not all(math.isfinite(price) and price > 0 for price in prices):
        return "a price is not a positive number"
    if not (math.isfinite(candle.volume) and candle.volume >= 0):
        return "the volume is not a number"
    if candle.high < max(candle.open, candle.close) or candle.low > min(candle.open, candle.close):
        return "high and low do not enclose open and close"
    if candle.open_ms % step_ms:
        return "the open time is off the timeframe's grid"
    return ""


class CandleSeries:
    """At most `capacity` candles, oldest first. Appending is O(1) on average."""

    def __init__(self, step_ms: int, capacity: int) -> None:
        self._step = step_ms
        self._capacity = capacity
        self._room = capacity + max(capacity // _SPARE_SHARE, 1)
        self._last: Candle | None = None
        self._view: CandleArrays | None = NO_CANDLES
        self._allocate()

    @property
    def last(self) -> Candle | None:
        return self._last

    @property
    def last_open_ms(self) -> int | None:
        return None if self._last is None else self._last.open_ms

    @property
    def next_open_ms(self) -> int | None:
        """Open time of the candle that is due next."""
        return None if self._last is None else self._last.open_ms + self._step

    def arrays(self) -> CandleArrays:
        """The candles as a read-only snapshot: the same object until the next append."""
        if self._view is None:
            kept = slice(max(self._end - self._capacity, 0), self._end)
            times, values = self._times[kept], self._values[:, kept]
            times.flags.writeable = values.flags.writeable = False
            self._view = CandleArrays(times, *values)
        return self._view

    def offer(self, candle: Candle) -> Verdict:
        """Append the candle if it is the next one."""
        if defect(candle, self._step):
            return Verdict.BAD
        due = self.next_open_ms
        if due is not None and candle.open_ms != due:
            return Verdict.OLD if candle.open_ms < due else Verdict.GAP
        self._append(candle)
        return Verdict.APPENDED

    def restart(self) -> None:
        """Forget everything: the next candle begins a new run."""
        self._last, self._view = None, NO_CANDLES
        self._allocate()

    def _allocate(self) -> None:
        """A fresh table: snapshots handed out keep the one they were taken of."""
        self._times = np.empty(self._room, dtype=np.int64)
        self._values = np.empty((5, self._room), dtype=np.float64)
        self._end = 0

    def _append(self, candle: Candle) -> None:
        if self._end == self._room:
            kept = slice(self._end - self._capacity, self._end)
            times, values = self._times[kept], self._values[:, kept]
            self._allocate()
            self._times[: self._capacity], self._values[:, : self._capacity] = times, values
            self._end = self._capacity
        self._times[self._end] = candle.open_ms
        self._values[:, self._end] = (
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
        )
        self._end += 1
        self._last = candle
        self._view = None
