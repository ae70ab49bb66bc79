"""Recorded candles as exact scaled integers (floor 2c).

A number is kept as an integer and the decimals of its column, so a recording of a month costs
1.5 MB per symbol and still gives back every digit of its file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.domain.errors import DataError
from core.domain.market import TIMEFRAMES_MS

Integers = NDArray[np.int64]
Packed = NDArray[np.int64] | NDArray[np.int32]
VALUE_NAMES = ("open", "high", "low", "close", "volume", "quote_volume", "count")
"""Order of the value columns in a `Table`."""
_GROUPS = ((0, 1, 2, 3), (4,), (5,), (6,))
"""Value columns that share their decimals."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows while reading: opening times (UTC ms), value columns and the decimals of each."""

    time: Integers
    values: tuple[Integers, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Candles of one symbol, oldest first. A price is `open[i]` / 10^`price_decimals`.

    `symbol` is the recorded one; `time` the opening in UTC ms.
    """

    symbol: str
    base: str
    interval: str
    price_decimals: int
    volume_decimals: int
    quote_decimals: int
    time: Integers
    open: Packed
    high: Packed
    low: Packed
    close: Packed
    volume: Packed
    quote: Packed
    trades: Packed

    def __len__(self) -> int:
        return int(self.time.shape[0])

    @property
    def interval_ms(self) -> int:
        return TIMEFRAMES_MS[self.interval]

    @property
    def first_ms(self) -> int:
        return int(self.time[0])

    @property
    def end_ms(self) -> int:
        """First instant after the last candle."""
        return int(self.time[-1]) + self.interval_ms

    def gaps(self, since_ms: int, until_ms: int) -> int:
        """Places between the two instants where candles are missing."""
        inside = self.time[(self.time >= since_ms) & (self.time < until_ms)]
        return int(np.count_nonzero(np.diff(inside) != self.interval_ms))


def scaled_up(values: Integers, decimals: int) -> Integers:
    """`values` x 10^`decimals`. Raises DataError instead of losing digits."""
    factor = 10**decimals
    if int(values.max()) > np.iinfo(np.int64).max // factor:
        raise DataError(f"number with too many digits: {values.max()} x 10^{decimals}")
    result: Integers = values * factor
    return result


def concatenated(tables: Sequence[Table]) -> Table:
    """One table under another, each column brought to the most decimals any of them has."""
    places = tuple(max(column) for column in zip(*(table.places for table in tables), strict=True))
    values = tuple(
        np.concatenate([scaled_up(table.values[n], most - table.places[n]) for table in tables])
        for n, most in enumerate(places)
    )
    return Table(np.concatenate([table.time for table in tables]), values, places)


def stitched(tables: Sequence[Table], what: str) -> Table:
    """Files of one symbol in time order; rows that two of them share must be equal.

    Raises DataError beginning with `what` when they are not.
    """
    table = concatenated(tables)
    order = np.argsort(table.time, kind="stable")
    time = table.time[order]
    repeated = np.diff(time, prepend=time[0] - 1) == 0
    values: list[Integers] = []
    for name, column in zip(VALUE_NAMES, table.values, strict=True):
        ordered = column[order]
        differs = repeated & (np.diff(ordered, prepend=ordered[0]) != 0)
        if differs.any():
            at = int(time[int(np.argmax(differs))])
            raise DataError(f"{what}: two files disagree on {name} of the candle at {at}")
        values.append(ordered[~repeated])
    return Table(time[~repeated], tuple(values), table.places)


def packed(table: Table, symbol: str, base: str, interval: str) -> Series:
    """The table in the fewest bytes: no superfluous decimals, 32 bits where they suffice."""
    values, places = list(table.values), list(table.places)
    for group in _GROUPS:
        while places[group[0]] and not any((values[n] % 10).any() for n in group):
            for n in group:
                values[n] = values[n] // 10
                places[n] -= 1
    columns = [_narrow(column) for column in values]
    return Series(symbol, base, interval, places[0], places[4], places[5], table.time, *columns)


def _narrow(column: Integers) -> Packed:
    if int(column.max()) <= np.iinfo(np.int32).max:
        return column.astype(np.int32)
    return column
