"""Closed candles of one symbol: contiguous, bounded, checked (floor 2a).

A series never has a hole: what cannot be joined starts a new run, so an indicator never mixes
candles from both sides of missing data (INV-14).
"""

import math
from collections import deque
from enum import StrEnum

from core.domain.market import Candle


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
    """At most `capacity` candles, oldest first. Appending is O(1)."""

    def __init__(self, step_ms: int, capacity: int) -> None:
        self._step = step_ms
        self._candles: deque[Candle] = deque(maxlen=capacity)
        self._view: tuple[Candle, ...] | None = None

    @property
    def last_open_ms(self) -> int | None:
        return self._candles[-1].open_ms if self._candles else None

    @property
    def next_open_ms(self) -> int | None:
        """Open time of the candle that is due next."""
        last = self.last_open_ms
        return None if last is None else last + self._step

    @property
    def last(self) -> Candle | None:
        return self._candles[-1] if self._candles else None

    def view(self) -> tuple[Candle, ...]:
        """The candles as an immutable snapshot, made once per change."""
        if self._view is None:
            self._view = tuple(self._candles)
        return self._view

    def offer(self, candle: Candle) -> Verdict:
        """Append the candle if it is the next one."""
        if defect(candle, self._step):
            return Verdict.BAD
        due = self.next_open_ms
        if due is not None and candle.open_ms != due:
            return Verdict.OLD if candle.open_ms < due else Verdict.GAP
        self._candles.append(candle)
        self._view = None
        return Verdict.APPENDED

    def restart(self) -> None:
        """Forget everything: the next candle begins a new run."""
        self._candles.clear()
        self._view = None
