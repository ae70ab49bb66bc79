"""Replays recorded candles (floor 2c).

Prices are the file's own; only the path inside a minute is modelled: open, then the extreme that
lies against the candle's direction, then the other, then close, a quarter of the volume at each.
Ticks of all symbols come merged in time order at fixed offsets, and after a minute's last tick its
exact candle. Coarser files (5m and up) are cut into minutes along the same path, so that joining
the minutes gives the recorded candle again.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.domain.errors import DataError
from core.domain.ports import Clock
from core.paper.archive import FileName, find_files, read_symbol
from core.paper.archive_series import Series
from core.paper.model import FeedSink, PaperCandle, Tick
from core.paper.pacing import wait_until

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
WARMUP_MS = 75 * 60 * MINUTE_MS
"""300 candles of 15 minutes."""
OFFSETS_MS = (0, 20_000, 40_000, 59_900)
"""When in a minute its four ticks come."""
_STATISTICS_MS = DAY_MS + 60 * MINUTE_MS


class Minute(NamedTuple):
    """One minute in the scaled integers of its series."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int

    @property
    def path(self) -> tuple[int, int, int, int]:
        """The four prices in the order they are played."""
        if self.close >= self.open:
            return self.open, self.low, self.high, self.close
        return self.open, self.high, self.low, self.close


@dataclass(frozen=True, slots=True)
class _Track:
    """A series under the symbol it is played as; `first` is the row at which play begins."""

    symbol: str
    series: Series
    first: int

    def minutes(self, low: int, high: int) -> Iterator[Minute]:
        """Rows `low`..`high`-1, coarser candles cut into minutes."""
        s = self.series
        count = s.interval_ms // MINUTE_MS
        for i in range(low, high):
            row = Minute(
                int(s.time[i]),
                int(s.open[i]),
                int(s.high[i]),
                int(s.low[i]),
                int(s.close[i]),
                int(s.volume[i]),
                int(s.quote[i]),
                int(s.trades[i]),
            )
            if count == 1:
                yield row
            else:
                yield from cut(row, count)

    def price(self, value: int) -> Decimal:
        return Decimal(value).scaleb(-self.series.price_decimals)

    def volume(self, value: int) -> Decimal:
        return Decimal(value).scaleb(-self.series.volume_decimals)

    def candle(self, row: Minute, shift_ms: int) -> PaperCandle:
        return PaperCandle(
            symbol=self.symbol,
            open_ms=row.time + shift_ms,
            open=self.price(row.open),
            high=self.price(row.high),
            low=self.price(row.low),
            close=self.price(row.close),
            volume=self.volume(row.volume),
            quote_volume=Decimal(row.quote).scaleb(-self.series.quote_decimals),
            trades=row.trades,
        )


def shares(total: int, parts: int) -> tuple[int, ...]:
    """`total` in `parts` whole shares as equal as can be; the last takes the remainder."""
    share = total // parts
    return (share,) * (parts - 1) + (total - share * (parts - 1),)


def cut(row: Minute, count: int) -> Iterator[Minute]:
    """A candle of `count` minutes as minutes along its path (extremes at one and two thirds)."""
    path, thirds = row.path, 3

    def at(step: int) -> int:
        leg, rest = divmod(step * thirds, count)
        if leg == thirds:
            return path[thirds]
        return path[leg] + (path[leg + 1] - path[leg]) * rest // count

    volumes, quotes, trades = (
        shares(total, count) for total in (row.volume, row.quote, row.trades)
    )
    for n in range(count):
        touched = [at(n), at(n + 1)]
        touched += [path[leg] for leg in (1, 2) if n * thirds <= leg * count <= (n + 1) * thirds]
        yield Minute(
            row.time + n * MINUTE_MS,
            touched[0],
            max(touched),
            min(touched),
            touched[1],
            volumes[n],
            quotes[n],
            trades[n],
        )


class ReplayFeed:
    """Recorded candles of `path` (file or folder) as a price source.

    Contracts recorded in another quote coin are played as the coin of `quote`, or as each of
    several; a recording in that coin itself is preferred. `symbols` (`BTCUSDC`) restricts what is
    played. `start_ms` and `end_ms` bound the play in the time of the recording; without `start_ms`
    it starts when every symbol has `warmup_ms` of history. `opens_at_ms` moves the recording by
    whole days so that it opens at that wall time, hours of the day and candle borders kept. Symbols
    without data at the start are left out and named by `describe`.

    Raises DataError for defective files, unknown symbols and too little data.
    """

    def __init__(
        self,
        path: Path,
        quote: str | Sequence[str],
        symbols: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        warmup_ms: int = WARMUP_MS,
        opens_at_ms: int | None = None,
    ) -> None:
        self._path = path
        found = find_files(path)
        files: dict[str, list[FileName]] = {}
        for coin in (quote,) if isinstance(quote, str) else quote:
            files |= _as_quote(found, coin)
        if symbols is not None:
            files = _chosen(files, symbols, path)
        recorded = {symbol: read_symbol(names) for symbol, names in files.items()}
        start = start_ms
        if start is None:
            start = max(series.first_ms for series in recorded.values()) + warmup_ms
        start -= start % MINUTE_MS
        self._shift_ms = 0
        if opens_at_ms is not None:
            opens_at = opens_at_ms - opens_at_ms % MINUTE_MS
            start += (opens_at - start) % DAY_MS
            self._shift_ms = opens_at - start
        self._tracks = [
            _Track(symbol, series, int(np.searchsorted(series.time, start)))
            for symbol, series in recorded.items()
            if series.first_ms <= start < series.end_ms
        ]
        self._left_out = [s for s in recorded if s not in {t.symbol for t in self._tracks}]
        if not self._tracks:
            longest = max(recorded.values(), key=len)
            raise DataError(
                f"{path}: no data at the start {_utc(start)} (start or warm-up of"
                f" {warmup_ms // MINUTE_MS} minutes); it spans {_utc(longest.first_ms)} to"
                f" {_utc(longest.end_ms)}"
            )
        self._start = start
        self._end = max(track.series.end_ms for track in self._tracks)
        if end_ms is not None:
            self._end = min(self._end, end_ms - end_ms % MINUTE_MS)
        if self._end <= start:
            raise DataError(f"{path}: end {_utc(self._end)} is not after start {_utc(start)}")
        self._history_ms = max(warmup_ms, _STATISTICS_MS)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(track.symbol for track in self._tracks)

    @property
    def start_ms(self) -> int:
        return self._start + self._shift_ms

    @property
    def end_ms(self) -> int | None:
        return self._end + self._shift_ms

    @property
    def simulated(self) -> bool:
        return False

    @property
    def gaps(self) -> int:
        """Places in what is played where candles are missing, over all symbols."""
        return sum(track.series.gaps(self._start, self._end) for track in self._tracks)

    def describe(self) -> str:
        names = ", ".join(
            track.symbol
            if track.symbol == track.series.symbol
            else f"{track.symbol} from {track.series.symbol}"
            for track in self._tracks
        )
        intervals = "/".join(sorted({track.series.interval for track in self._tracks}))
        parts = [
            f"replay of recorded {intervals} candles: {names}",
            f"{_utc(self._start)} to {_utc(self._end)} UTC",
            "path inside a minute modelled",
            f"{self.gaps} gaps",
        ]
        if self._shift_ms:
            parts.append(f"shown {self._shift_ms // DAY_MS:+d} days later")
        if self._left_out:
            parts.append(f"left out, no data at the start: {', '.join(self._left_out)}")
        return "; ".join(parts)

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        """The warm-up, at least a day where recorded. Raises KeyError for an unknown symbol."""
        track = self._track(symbol)
        low = int(np.searchsorted(track.series.time, self._start - self._history_ms))
        return tuple(
            track.candle(row, self._shift_ms)
            for row in track.minutes(low, track.first)
            if row.time < self._start
        )

    def samples(self) -> dict[str, tuple[PaperCandle, ...]]:
        """A few candles per symbol that show the finest price and volume of its recording."""
        return {track.symbol: _finest(track) for track in self._tracks}

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        """Play to the end. Never skips: when the clock is ahead, ticks come at once, in order."""
        played = heapq.merge(*map(self._played, self._tracks), key=_time)
        for time, rows in groupby(played, key=_time):
            await self._play_minute(time + self._shift_ms, list(rows), sink, clock)

    async def _play_minute(
        self, time: int, rows: list[tuple[Minute, _Track]], sink: FeedSink, clock: Clock
    ) -> None:
        quarters = [shares(row.volume, len(OFFSETS_MS)) for row, _ in rows]
        for n, offset in enumerate(OFFSETS_MS):
            await wait_until(clock, time + offset)
            for (row, track), volumes in zip(rows, quarters, strict=True):
                price, volume = track.price(row.path[n]), track.volume(volumes[n])
                sink.on_tick(Tick(track.symbol, time + offset, price, volume, n == 0))
        await wait_until(clock, time + MINUTE_MS)
        for row, track in rows:
            sink.on_minute(track.candle(row, self._shift_ms))

    def _played(self, track: _Track) -> Iterator[tuple[Minute, _Track]]:
        stop = int(np.searchsorted(track.series.time, self._end))
        first = max(track.first - 1, 0)  # the start may lie inside a coarse candle
        for row in track.minutes(first, stop):
            if self._start <= row.time < self._end:
                yield row, track

    def _track(self, symbol: str) -> _Track:
        for track in self._tracks:
            if track.symbol == symbol:
                return track
        raise KeyError(symbol)


def _time(played: tuple[Minute, _Track]) -> int:
    return played[0].time


def _as_quote(found: dict[str, list[FileName]], quote: str) -> dict[str, list[FileName]]:
    """Files by the symbol they are played as; a recording in the wanted coin goes first."""
    played: dict[str, list[FileName]] = {}
    for recorded, names in found.items():
        symbol = f"{names[0].base}{quote}"
        if symbol not in played or recorded == symbol:
            played[symbol] = names
    return played


def _chosen(
    files: dict[str, list[FileName]], symbols: Sequence[str], path: Path
) -> dict[str, list[FileName]]:
    missing = [symbol for symbol in symbols if symbol not in files]
    if missing:
        raise DataError(
            f"{path}: no candles for {', '.join(missing)}; recorded are {', '.join(files)}"
        )
    return {symbol: files[symbol] for symbol in symbols}


def _finest(track: _Track) -> tuple[PaperCandle, ...]:
    s = track.series
    rows = {len(s) - 1}
    for column in (s.open, s.high, s.low, s.close, s.volume):
        rows.add(int(np.argmax(column % 10 != 0)))
    return tuple(
        track.candle(row, 0) for index in sorted(rows) for row in track.minutes(index, index + 1)
    )


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
