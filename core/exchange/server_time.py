"""The exchange's clock as seen from here (floor 2a).

Samples of `/fapi/v1/time` give an offset between the exchange's clock and our monotonic clock.
The sample with the shortest round trip decides, because its error is at most half of that trip;
the bound grows with the sample's age by the drift two crystals may have. Wall time is not
involved, so a step of the local clock changes nothing (INV-14).
"""

import math
from collections import deque
from dataclasses import dataclass

from core.domain.ports import Clock

DRIFT_PPM = 100
SAMPLE_MAX_AGE_S = 300.0
_WINDOW_S = 1_800.0
_UNKNOWN_ERROR_MS = 60_000
_WALL_STEP_MS = 500.0


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    """Monotonic seconds at the middle of the round trip."""
    server_ms: float
    half_trip_ms: float

    def error_at(self, now: float) -> float:
        """Bound in ms; one extra for the whole milliseconds the exchange answers in."""
        return self.half_trip_ms + 1.0 + (now - self.at) * DRIFT_PPM / 1_000


class ServerTime:
    """Estimate of the exchange's time. Without a sample it is the wall clock, error one minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: deque[_Sample] = deque(maxlen=16)
        self._best: _Sample | None = None
        self._last_at = float("-inf")
        self._wall_skew_ms = 0.0

    def add_sample(self, sent: float, received: float, server_ms: int) -> None:
        """One answer: `sent` and `received` in monotonic seconds around the request."""
        middle = (sent + received) / 2
        self._samples.append(_Sample(middle, float(server_ms), (received - sent) * 500))
        self._last_at = received
        fresh = [sample for sample in self._samples if received - sample.at <= _WINDOW_S]
        self._best = min(fresh, key=lambda sample: sample.error_at(received))
        self._wall_skew_ms = self._skew()

    def forget(self) -> None:
        """Drop all samples but keep the estimate: the exchange has just said it is wrong."""
        self._samples.clear()
        self._last_at = float("-inf")

    def now_ms(self) -> int:
        """UTC ms on the exchange's clock."""
        best = self._best
        if best is None:
            return self._clock.now_ms()
        return int(best.server_ms + (self._clock.monotonic() - best.at) * 1_000)

    def error_ms(self) -> int:
        """Bound on the error of `now_ms`."""
        best = self._best
        if best is None:
            return _UNKNOWN_ERROR_MS
        return math.ceil(best.error_at(self._clock.monotonic())) + 1

    @property
    def synced(self) -> bool:
        return self._best is not None

    @property
    def stale(self) -> bool:
        """True when a new sample is due: old, forgotten, or the machine slept (wall moved on)."""
        if self._clock.monotonic() - self._last_at > SAMPLE_MAX_AGE_S:
            return True
        return abs(self._skew() - self._wall_skew_ms) > _WALL_STEP_MS

    def _skew(self) -> float:
        return float(self._clock.now_ms() - self.now_ms())
