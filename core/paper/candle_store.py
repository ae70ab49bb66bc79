"""Compact memory of one symbol's candles (floor 2c).

Numbers are exact machine integers: prices and volumes scaled to the decimals seen so far, quote
volume to eight decimals. A minute costs 64 bytes instead of half a kilobyte of Decimals. Bounded:
minutes for eight days, quarter hours for ninety (INV-16).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from core.paper.model import PaperCandle, Tick

MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS
DAY_MS = 1440 * MINUTE_MS
QUOTE_DECIMALS = 8
_MINUTES_KEPT = 8 * 1440
_QUARTERS_KEPT = 90 * 96


class Row(NamedTuple):
    """A candle in scaled integers; `time` is its opening in UTC ms."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int


def joined(first: Row, later: Row, time: int) -> Row:
    """One candle from two that follow each other, opening at `time`."""
    return Row(
        time,
        first.open,
        max(first.high, later.high),
        min(first.low, later.low),
        later.close,
        first.volume + later.volume,
        first.quote + later.quote,
        first.trades + later.trades,
    )


def rescaled(row: Row, price: int, volume: int) -> Row:
    """`row` with prices and volume multiplied."""
    return Row(
        row.time,
        row.open * price,
        row.high * price,
        row.low * price,
        row.close * price,
        row.volume * volume,
        row.quote,
        row.trades,
    )


def decimals_of(value: Decimal) -> int:
    """Decimals needed to write `value`, trailing zeros not counted."""
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


class Columns:
    """Rows as parallel integer arrays, oldest first, at most `limit` plus an eighth."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.time = array("q")
        self.open = array("q")
        self.high = array("q")
        self.low = array("q")
        self.close = array("q")
        self.volume = array("q")
        self.quote = array("q")
        self.trades = array("q")

    def __len__(self) -> int:
        return len(self.time)

    def _all(self) -> "tuple[array[int], ...]":
        return (
            self.time,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote,
            self.trades,
        )

    def append(self, row: Row) -> int:
        """Add the newest row; returns how many of the oldest were dropped to stay bounded."""
        for column, value in zip(self._all(), row, strict=True):
            column.append(value)
        return self.trim()

    def extend(self, rows: Sequence[Row]) -> None:
        """Add many rows, oldest first; `trim` is the caller's."""
        if rows:
            for column, values in zip(self._all(), zip(*rows, strict=True), strict=True):
                column.extend(values)

    def trim(self) -> int:
        """Drop the oldest rows once there are an eighth too many; returns how many."""
        surplus = len(self) - self._limit
        if surplus <= self._limit // 8:
            return 0
        for column in self._all():
            del column[:surplus]
        return surplus

    def drop_last(self) -> None:
        for column in self._all():
            column.pop()

    def replace_last(self, row: Row) -> None:
        for column, value in zip(self._all(), row, strict=True):
            column[-1] = value

    def last(self) -> Row:
        return Row(*(column[-1] for column in self._all()))

    def group(self, low: int, high: int, time: int) -> Row:
        """Rows `low`..`high`-1 as one candle that opens at `time`."""
        return Row(
            time,
            self.open[low],
            max(self.high[low:high]),
            min(self.low[low:high]),
            self.close[high - 1],
            sum(self.volume[low:high]),
            sum(self.quote[low:high]),
            sum(self.trades[low:high]),
        )

    def rescale(self, price: int, volume: int) -> None:
        """Multiply prices and volumes; used when finer values appear."""
        for column in (self.open, self.high, self.low, self.close):
            column[:] = array("q", (value * price for value in column))
        self.volume[:] = array("q", (value * volume for value in self.volume))


class DayWindow:
    """Sums and extremes of the closed minutes of the last 24 hours, O(1) amortised per minute."""

    def __init__(self, minutes: Columns) -> None:
        self._minutes = minutes
        self.restart()

    def restart(self) -> None:
        """Count anew from the stored minutes (after a change of scale)."""
        self.volume = self.quote = self.trades = 0
        self._highs: deque[tuple[int, int]] = deque()
        self._lows: deque[tuple[int, int]] = deque()
        times = self._minutes.time
        newest = times[-1] if times else 0
        self._head = bisect_right(times, newest + MINUTE_MS - DAY_MS)
        for index in range(self._head, len(times)):
            self._count(index)

    def added(self, dropped: int) -> None:
        """The newest row was appended and `dropped` of the oldest removed."""
        self._head -= dropped
        self._count(len(self._minutes) - 1)

    def _count(self, index: int) -> None:
        rows = self._minutes
        time, high, low = rows.time[index], rows.high[index], rows.low[index]
        self.volume += rows.volume[index]
        self.quote += rows.quote[index]
        self.trades += rows.trades[index]
        while self._highs and self._highs[-1][1] <= high:
            self._highs.pop()
        self._highs.append((time, high))
        while self._lows and self._lows[-1][1] >= low:
            self._lows.pop()
        self._lows.append((time, low))

    def row(self, now_ms: int) -> Row | None:
        """The window that ends at `now_ms`, None when no closed minute lies in it."""
        rows, since = self._minutes, now_ms - DAY_MS
        while self._head < len(rows) and rows.time[self._head] < since:
            self.volume -= rows.volume[self._head]
            self.quote -= rows.quote[self._head]
            self.trades -= rows.trades[self._head]
            self._head += 1
        for extremes in (self._highs, self._lows):
            while extremes and extremes[0][0] < since:
                extremes.popleft()
        if self._head >= len(rows):
            return None
        return Row(
            rows.time[self._head],
            rows.open[self._head],
            self._highs[0][1],
            self._lows[0][1],
            rows.close[-1],
            self.volume,
            self.quote,
            self.trades,
        )


class SymbolStore:
    """Minutes, quarter hours, the open minute and running aggregates of one symbol."""

    def __init__(self) -> None:
        self.minutes = Columns(_MINUTES_KEPT)
        self.quarters = Columns(_QUARTERS_KEPT)
        self.day = DayWindow(self.minutes)
        self.price_decimals = 0
        self.volume_decimals = 0
        self.open_minute: Row | None = None
        self._open_quote = 0  # of the open minute, price x volume in both scales
        self._running: dict[int, Row] = {}

    def load(self, candles: Sequence[PaperCandle]) -> None:
        """Append closed minutes at once. Raises ValueError when one is not newer than the last."""
        newest = self.minutes.time[-1] if len(self.minutes) else -1
        for candle in candles:
            if candle.open_ms <= newest:
                raise ValueError(f"{candle.symbol}: minute {candle.open_ms} comes out of order")
            newest = candle.open_ms
        first_new = len(self.minutes)
        self.minutes.extend(self._rows(candles))
        self._regroup(first_new)
        self.minutes.trim()
        self._running.clear()
        self.day.restart()

    def tick(self, tick: Tick) -> None:
        (price,), volume = self._scaled((tick.price,), tick.volume)
        minute = tick.time_ms - tick.time_ms % MINUTE_MS
        trades = 1 if volume else 0
        current = self.open_minute
        if current is None or current.time != minute:
            self._open_quote = price * volume
            self.open_minute = Row(minute, price, price, price, price, volume, 0, trades)
            return
        self._open_quote += price * volume
        self.open_minute = Row(
            minute,
            current.open,
            max(current.high, price),
            min(current.low, price),
            price,
            current.volume + volume,
            0,
            current.trades + trades,
        )

    def close_minute(self, candle: PaperCandle) -> None:
        """Append a closed minute. Raises ValueError when it is not newer than the last one."""
        if len(self.minutes) and candle.open_ms <= self.minutes.time[-1]:
            raise ValueError(f"{candle.symbol}: minute {candle.open_ms} comes out of order")
        row = self._row(candle)
        self.open_minute = None
        self.day.added(self.minutes.append(row))
        self._to_quarter(row)
        for interval, aggregate in self._running.items():
            bucket = row.time - row.time % interval
            same = aggregate.time == bucket
            self._running[interval] = (
                joined(aggregate, row, bucket) if same else row._replace(time=bucket)
            )

    def newest(self, interval: int) -> Row | None:
        """Newest candle of `interval` ms, in progress or just closed. O(1) after the first call."""
        if interval not in self._running:
            groups = self.groups(interval, None, None, 1)
            if groups:
                self._running[interval] = groups[0]
        closed, current = self._running.get(interval), self.opened()
        if current is None:
            return closed
        bucket = current.time - current.time % interval
        if closed is None or closed.time != bucket:
            return current._replace(time=bucket)
        return joined(closed, current, bucket)

    def opened(self) -> Row | None:
        """The open minute with its quote volume so far."""
        if self.open_minute is None:
            return None
        shift = QUOTE_DECIMALS - self.price_decimals - self.volume_decimals
        quote = self._open_quote * 10**shift if shift >= 0 else self._open_quote // 10**-shift
        return self.open_minute._replace(quote=quote)

    def groups(self, interval: int, start: int | None, end: int | None, limit: int) -> list[Row]:
        """Closed minutes as candles of `interval` ms, oldest first (see `CandleBook.klines`)."""
        rows = self.quarters if interval % QUARTER_MS == 0 else self.minutes
        times = rows.time
        stop = len(times)
        if end is not None:
            stop = bisect_left(times, end - end % interval + interval)
        found: list[Row] = []
        if start is not None:
            low = bisect_left(times, -(-start // interval) * interval)
            while low < stop and len(found) < limit:
                bucket = times[low] - times[low] % interval
                high = bisect_left(times, bucket + interval, low, stop)
                found.append(rows.group(low, high, bucket))
                low = high
            return found
        while stop > 0 and len(found) < limit:
            bucket = times[stop - 1] - times[stop - 1] % interval
            low = bisect_left(times, bucket, 0, stop)
            found.append(rows.group(low, stop, bucket))
            stop = low
        found.reverse()
        return found

    def last_price(self) -> Decimal | None:
        if self.open_minute is not None:
            return self.price(self.open_minute.close)
        return self.price(self.minutes.close[-1]) if len(self.minutes) else None

    def price(self, value: int) -> Decimal:
        return Decimal(value).scaleb(-self.price_decimals)

    def volume(self, value: int) -> Decimal:
        return Decimal(value).scaleb(-self.volume_decimals)

    def _to_quarter(self, row: Row) -> None:
        bucket = row.time - row.time % QUARTER_MS
        if len(self.quarters) and self.quarters.time[-1] == bucket:
            self.quarters.replace_last(joined(self.quarters.last(), row, bucket))
        else:
            self.quarters.append(row._replace(time=bucket))

    def _regroup(self, first_new: int) -> None:
        """Bring the quarter hours up to date with the minutes from index `first_new` on."""
        times = self.minutes.time
        if first_new < len(times) and len(self.quarters):
            first_new = bisect_left(times, self.quarters.time[-1])
            self.quarters.drop_last()
        found: list[Row] = []
        while first_new < len(times):
            bucket = times[first_new] - times[first_new] % QUARTER_MS
            after = bisect_left(times, bucket + QUARTER_MS, first_new)
            found.append(self.minutes.group(first_new, after, bucket))
            first_new = after
        self.quarters.extend(found)
        self.quarters.trim()

    def _rows(self, candles: Sequence[PaperCandle]) -> list[Row]:
        rows: list[Row] = []
        index = 0
        while index < len(candles):
            scale = self.price_decimals, self.volume_decimals
            row = self._row(candles[index])
            if scale != (self.price_decimals, self.volume_decimals):
                rows.clear()  # a finer value: what was scaled before it is scaled again
                index = 0
                continue
            rows.append(row)
            index += 1
        return rows

    def _row(self, candle: PaperCandle) -> Row:
        prices = (candle.open, candle.high, candle.low, candle.close)
        (opened, high, low, close), volume = self._scaled(prices, candle.volume)
        quote = candle.quote_volume
        if not quote and candle.volume:  # the source does not know it
            quote = candle.volume * sum(prices) / 4
        scaled_quote = round(quote.scaleb(QUOTE_DECIMALS))
        return Row(candle.open_ms, opened, high, low, close, volume, scaled_quote, candle.trades)

    def _scaled(self, prices: Sequence[Decimal], volume: Decimal) -> tuple[list[int], int]:
        """Exact integers in the store's scales, which grow when a finer value appears."""
        exact = [price.scaleb(self.price_decimals) for price in prices]
        exact_volume = volume.scaleb(self.volume_decimals)
        numbers, number = [int(value) for value in exact], int(exact_volume)
        if numbers == exact and number == exact_volume:
            return numbers, number
        self._refine(prices, volume)
        return self._scaled(prices, volume)

    def _refine(self, prices: Sequence[Decimal], volume: Decimal) -> None:
        price_decimals = max(self.price_decimals, *(decimals_of(price) for price in prices))
        volume_decimals = max(self.volume_decimals, decimals_of(volume))
        price_factor = 10 ** (price_decimals - self.price_decimals)
        volume_factor = 10 ** (volume_decimals - self.volume_decimals)
        self.price_decimals, self.volume_decimals = price_decimals, volume_decimals
        for tier in (self.minutes, self.quarters):
            tier.rescale(price_factor, volume_factor)
        if self.open_minute is not None:
            self.open_minute = rescaled(self.open_minute, price_factor, volume_factor)
        self._open_quote *= price_factor * volume_factor
        self._running.clear()
        self.day.restart()
