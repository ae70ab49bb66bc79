"""Which time counts against the daemon (floor 2d).

A disturbance is a span in which something hides the world from the daemon or keeps it from acting.
How long each kind reaches follows from the daemon's stated times, not from what would be
comfortable; the constants here say which. Time outside every span is calm.
"""

NAKED_LIMIT_S = 2.5
"""INV-01: 2 s from when the fill is known, and what the news may travel."""
REPEAT_S = 2.0
"""A request that went wrong is followed by another at the latest after the naked limit again."""
PAUSE_S = 10.0
"""Longest pause between two tries: pauses grow while tries fail."""
REQUEST_S = 10.0
"""Longest wait for one answer."""
RECONCILE_S = 30.0
"""Between two reconciles: what no event told is found then."""
HEARTBEAT_S = 15.0
"""A deaf stream is noticed: a ping after 10 s of silence, its answer due 5 s later."""
BIRTH_S = 8.0
"""From a start, or a stream that is back, to stops in place: connect, reconcile, 5 s (INV-01)."""
_TOLERANCE_S = 1e-6


class Calm:
    """Time outside all disturbances."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def disturb(self, start: float, end: float) -> int:
        """A disturbance; the number is for `end`, when its end was not known before."""
        self._spans.append((start, end))
        return len(self._spans) - 1

    def end(self, number: int, at: float) -> None:
        self._spans[number] = (self._spans[number][0], at)

    def between(self, start: float, end: float) -> float:
        """Longest stretch without disturbance within the period: what nothing excuses."""
        longest, at = 0.0, start
        for begin, stop in sorted(self._spans):
            if stop <= at or begin >= end:
                continue
            longest = max(longest, begin - at)
            at = max(at, stop)
        return max(longest, end - at)

    def is_whole(self, start: float, end: float) -> bool:
        """True when nothing disturbed the period."""
        return self.between(start, end) >= end - start - _TOLERANCE_S
