"""Recorded candles as a backtest reads them (floor 6).

A recording is cut where candles are missing: every stretch without a hole is a history of its own,
so that no indicator mixes both sides of one. Candles of the strategy's timeframe are joined from
the recorded ones, which stay beside them to decide what happened first inside one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.backtest.contracts import recorded_instrument
from core.domain.errors import DataError
from core.domain.instrument import Instrument
from core.domain.market import CandleArrays, IntArray
from core.domain.timeframe import timeframe_ms
from core.paper.archive import find_files, read_symbol
from core.paper.archive_series import Series


@dataclass(frozen=True, slots=True)
class History:
    """One stretch without a hole. `candles` are of `timeframe`, `fine` the recorded ones.

    `fine` begins with the first and ends with the last candle: `ratio` of them make one.
    """

    instrument: Instrument
    timeframe: str
    recorded: str
    candles: CandleArrays
    fine: CandleArrays

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    @property
    def step_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    @property
    def fine_ms(self) -> int:
        return timeframe_ms(self.recorded)

    @property
    def ratio(self) -> int:
        """Recorded candles per candle."""
        return self.step_ms // self.fine_ms

    @property
    def end_ms(self) -> int:
        """First instant after the last candle (UTC ms)."""
        return int(self.candles.open_ms[-1]) + self.step_ms


def read_histories(
    path: Path,
    timeframe: str,
    *,
    symbols: Sequence[str] = (),
    start_ms: int = 0,
    end_ms: int | None = None,
) -> list[History]:
    """Stretches of the files under `path`, by symbol and time. Times in UTC ms, the end excluded.

    `symbols` as recorded (`BTCUSDT`), none for all. Raises DataError for an unreadable file, an
    unknown symbol, a recording too coarse for the timeframe, and when nothing is left.
    """
    files = find_files(path)
    missing = [symbol for symbol in symbols if symbol not in files]
    if missing:
        raise DataError(
            f"{path}: no candles for {', '.join(missing)}; there are {', '.join(files)}"
        )
    found: list[History] = []
    for symbol in symbols or files:
        series = read_symbol(files[symbol])
        found += histories(series, timeframe, start_ms, end_ms)
    if not found:
        raise DataError(f"{path}: no whole {timeframe} candle in the period asked for")
    return found


def histories(
    series: Series, timeframe: str, start_ms: int = 0, end_ms: int | None = None
) -> list[History]:
    """The stretches of one recording. Raises DataError when it is too coarse."""
    step_ms = timeframe_ms(timeframe)
    if step_ms % series.interval_ms:
        raise DataError(
            f"{series.symbol}: recorded as {series.interval}, which does not make {timeframe}"
        )
    inside = (series.time >= start_ms) & (series.time < (end_ms or series.end_ms))
    rows = np.flatnonzero(inside)
    if not rows.size:
        return []
    instrument = recorded_instrument(series)
    breaks = np.flatnonzero(np.diff(series.time[rows]) != series.interval_ms) + 1
    found = []
    for stretch in np.split(rows, breaks):
        cut = _on_grid(series.time[stretch], step_ms, series.interval_ms)
        if cut.stop > cut.start:
            found.append(_history(series, instrument, timeframe, stretch[cut]))
    return found


def _on_grid(times: IntArray, step_ms: int, fine_ms: int) -> slice:
    """The part of a stretch that is made of whole candles of the timeframe."""
    ratio = step_ms // fine_ms
    first = int(-times[0] % step_ms) // fine_ms
    return slice(first, first + max(len(times) - first, 0) // ratio * ratio)


def _history(series: Series, instrument: Instrument, timeframe: str, rows: IntArray) -> History:
    ratio = timeframe_ms(timeframe) // series.interval_ms
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    time = series.time[part]
    opened, high, low, close, volume = (
        column[part].astype(np.int64)
        for column in (series.open, series.high, series.low, series.close, series.volume)
    )
    fine = _arrays(series, time, (opened, high, low, close, volume))
    joined = (
        opened[::ratio],
        high.reshape(-1, ratio).max(axis=1),
        low.reshape(-1, ratio).min(axis=1),
        close[ratio - 1 :: ratio],
        volume.reshape(-1, ratio).sum(axis=1),
    )
    candles = _arrays(series, time[::ratio], joined)
    return History(instrument, timeframe, series.interval, candles, fine)


def _arrays(series: Series, time: IntArray, columns: Sequence[IntArray]) -> CandleArrays:
    """The float nearest to each recorded number: what parsing its text would give."""
    price, amount = 10.0**series.price_decimals, 10.0**series.volume_decimals
    opened, high, low, close = (column / price for column in columns[:4])
    return CandleArrays(np.ascontiguousarray(time), opened, high, low, close, columns[4] / amount)
