"""Trading sessions of the stock and commodity markets (floor 2c): plain weeks, hours of winter.

No contract on a stock or a commodity is listed here; clients may ask for the hours all the same.
Holidays are not known.
"""

from datetime import UTC, datetime
from typing import NamedTuple

DAY_MS = 86_400_000
_HALF_HOUR_MS = 1_800_000
_SATURDAY = 5


class Session(NamedTuple):
    """A stretch of a market's day, UTC milliseconds, the end excluded."""

    start_ms: int
    end_ms: int
    kind: str


def _day(*parts: tuple[float, str]) -> tuple[Session, ...]:
    """Sessions from (hour they end at, kind), the first from midnight on."""
    rows: list[Session] = []
    start = 0
    for hour, kind in parts:
        end = int(hour * 2) * _HALF_HOUR_MS
        rows.append(Session(start, end, kind))
        start = end
    return tuple(rows)


_CLOSED = _day((24, "NO_TRADING"))
MARKETS = {
    "EQUITY": _day((8, "OVERNIGHT"), (13.5, "PRE_MARKET"), (20, "REGULAR"), (24, "AFTER_MARKET")),
    "COMMODITY": _day((13.5, "NO_TRADING"), (20, "REGULAR"), (24, "NO_TRADING")),
}
"""A working day of each market."""


def sessions_of(market: str, day_ms: int) -> tuple[Session, ...]:
    """The sessions of the day that begins at `day_ms`."""
    weekend = datetime.fromtimestamp(day_ms / 1000, UTC).weekday() >= _SATURDAY
    rows = _CLOSED if weekend else MARKETS[market]
    return tuple(Session(day_ms + row.start_ms, day_ms + row.end_ms, row.kind) for row in rows)


def session_at(market: str, now_ms: int) -> Session:
    """The session a market is in."""
    rows = sessions_of(market, now_ms - now_ms % DAY_MS)
    return next(row for row in rows if now_ms < row.end_ms)
