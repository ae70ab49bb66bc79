"""Reads candle files in the layout of Binance's public archive (floor 2c).

A file is named `SYMBOL-INTERVAL-<period>` and is plain `.csv`, `.csv.gz` or a `.zip` with one csv
inside; with or without header; times in ms or µs. Twelve columns: open_time, open, high, low,
close, volume, close_time, quote_volume, count and three that are not used. Numbers stay exact:
they are kept as integers scaled to the decimals of their column. Every defect is a `DataError`
with one line that names file, line and reason.
"""

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from core.domain.errors import DataError
from core.domain.market import TIMEFRAMES_MS
from core.paper.archive_series import (
    Integers,
    Series,
    Table,
    concatenated,
    packed,
    scaled_up,
    stitched,
)

COLUMNS = 12
QUOTE_COINS = ("USDT", "USDC", "FDUSD", "BUSD")
_CHUNK = 8192
_MICROSECONDS = 10**14
"""Times from here on are microseconds: as milliseconds they would lie beyond the year 5000."""
_NAME = re.compile(r"^(?P<symbol>[^-]+)-(?P<interval>\d+[a-zA-Z]+)-.+(\.csv|\.csv\.gz|\.zip)$")
_PLAIN = re.compile(r"\d+(\.\d*)?")
_UNUSUAL = re.compile(r"[^0-9.,\r\n]")
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, UnicodeDecodeError, RuntimeError)
_PRICES = (1, 2, 3, 4)
_NAMES = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
)
_USED = tuple(range(len(_NAMES)))
_VALUES = (1, 2, 3, 4, 5, 7, 8)


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a file tells."""

    path: Path
    symbol: str
    base: str
    interval: str

    @property
    def interval_ms(self) -> int:
        return TIMEFRAMES_MS[self.interval]


def parse_name(path: Path) -> FileName | None:
    """Parts of the name of a candle file, None when it is not one this reader plays."""
    match = _NAME.match(path.name)
    if match is None or match["interval"] not in TIMEFRAMES_MS:
        return None
    for quote in QUOTE_COINS:
        base = match["symbol"].removesuffix(quote)
        if base not in ("", match["symbol"]):
            return FileName(path, match["symbol"], base, match["interval"])
    return None


def find_files(path: Path) -> dict[str, list[FileName]]:
    """Candle files under `path` (a file, or a folder searched through) by recorded symbol.

    Raises DataError when there is none.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    by_symbol: dict[str, list[FileName]] = {}
    for name in map(parse_name, found):
        if name is not None:
            by_symbol.setdefault(name.symbol, []).append(name)
    if not by_symbol:
        raise DataError(
            f"{path}: no candle file here; expected names like BTCUSDT-1m-2025-05.zip"
            " (or .csv, .csv.gz)"
        )
    return dict(sorted(by_symbol.items()))


def read_archive(path: Path) -> dict[str, Series]:
    """All series under `path` by recorded symbol. Raises DataError."""
    return {symbol: read_symbol(files) for symbol, files in find_files(path).items()}


def read_symbol(files: Sequence[FileName]) -> Series:
    """The files of one symbol as one series; of several intervals the finest. Raises DataError."""
    finest = min(files, key=lambda name: name.interval_ms)
    same = [name for name in files if name.interval == finest.interval]
    table = stitched([read_file(name) for name in same], f"{finest.path.parent} {finest.symbol}")
    return packed(table, finest.symbol, finest.base, finest.interval)


def read_file(name: FileName) -> Table:
    """One file, checked line by line. Raises DataError."""
    try:
        with _opened(name.path) as handle:
            return _Reader(name).read(handle)
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{name.path}: unreadable or truncated: {reason}") from error


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The csv inside `path` as text."""
    if path.name.endswith(".gz"):
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as text:
            yield text
    elif path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            inside = [item for item in archive.namelist() if item.endswith(".csv")]
            if len(inside) != 1:
                raise DataError(f"{path}: holds {len(inside)} csv files, expected one")
            with archive.open(inside[0]) as raw:
                yield TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    else:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield text


class _Reader:
    """Parses one file chunk by chunk, so that a month of minutes never lies in memory as text."""

    def __init__(self, name: FileName) -> None:
        self._name = name
        self._line = 0
        self._last_ms = -1
        self._chunks: list[Table] = []

    def read(self, handle: TextIO) -> Table:
        while lines := list(islice(handle, _CHUNK)):
            if self._line == 0 and lines[0].lower().startswith("open_time"):
                lines.pop(0)
                self._line = 1
            while lines and not lines[-1].strip():
                lines.pop()
            if lines:
                self._take(lines)
            self._line += len(lines)
        if not self._chunks:
            raise DataError(f"{self._name.path}: no candles in the file")
        return concatenated(self._chunks)

    def _fail(self, index: int, reason: str) -> DataError:
        return DataError(f"{self._name.path}: line {self._line + index + 1}: {reason}")

    def _take(self, lines: list[str]) -> None:
        rows = [line.rstrip("\r\n").split(",") for line in lines]
        for index, row in enumerate(rows):
            if len(row) != COLUMNS:
                raise self._fail(index, f"{len(row)} columns, expected {COLUMNS}")
        if _UNUSUAL.search("".join(lines)):
            rows = [self._plain(index, row) for index, row in enumerate(rows)]
        columns = list(zip(*rows, strict=True))
        scaled = [self._scaled(number, columns[number]) for number in _USED]
        arrays = [array for array, _ in scaled]
        decimals = [places for _, places in scaled]
        self._check_times(arrays, decimals)
        self._check_prices(arrays, decimals)
        values = tuple(arrays[number] for number in _VALUES)
        self._chunks.append(Table(arrays[0], values, tuple(decimals[n] for n in _VALUES)))

    def _plain(self, index: int, row: list[str]) -> list[str]:
        """The row with numbers in plain notation (some writers use an exponent)."""
        plain = list(row)
        for number in _USED:
            try:
                value = Decimal(row[number])
            except InvalidOperation:
                raise self._fail(
                    index, f"{_NAMES[number]} is not a number: {row[number]!r}"
                ) from None
            if not value.is_finite() or value < 0:
                raise self._fail(index, f"{_NAMES[number]} is not a valid amount: {row[number]!r}")
            plain[number] = format(value, "f")
        return plain

    def _scaled(self, number: int, column: Sequence[str]) -> tuple[Integers, int]:
        """A column as integers and the decimals they are scaled by."""
        parts = [text.partition(".") for text in column]
        decimals = max(len(fraction) for _, _, fraction in parts)
        try:
            values = [int(whole + fraction.ljust(decimals, "0")) for whole, _, fraction in parts]
            scaled = np.array(values, dtype=np.int64)
        except (ValueError, OverflowError):
            raise self._fail(*self._worst(number, column)) from None
        if "" in column:
            raise self._fail(column.index(""), f"{_NAMES[number]} is empty")
        return scaled, decimals

    def _worst(self, number: int, column: Sequence[str]) -> tuple[int, str]:
        """Row and reason for a column that could not be read."""
        for index, text in enumerate(column):
            if not _PLAIN.fullmatch(text):
                return index, f"{_NAMES[number]} is not a number: {text!r}"
        longest = max(range(len(column)), key=lambda index: len(column[index]))
        return longest, f"{_NAMES[number]} has too many digits: {column[longest]!r}"

    def _check_times(self, arrays: list[Integers], decimals: list[int]) -> None:
        if decimals[0] or decimals[6] or decimals[8]:
            raise self._fail(0, "open_time, close_time or count is not a whole number")
        for number in (0, 6):
            if int(arrays[number][0]) >= _MICROSECONDS:
                arrays[number] //= 1000
        times, interval = arrays[0], self._name.interval_ms
        steps = np.diff(times, prepend=self._last_ms)
        if self._last_ms < 0:
            steps[0] = interval
        for wrong, reason in (
            (steps == 0, "same open_time as the row before"),
            (steps < 0, "open_time is before that of the row before"),
            (times % interval != 0, f"open_time is not a multiple of {self._name.interval}"),
            (
                arrays[6] != times + interval - 1,
                f"close_time does not fit the interval {self._name.interval} of the file name",
            ),
        ):
            if wrong.any():
                raise self._fail(int(np.argmax(wrong)), reason)
        self._last_ms = int(times[-1])

    def _check_prices(self, arrays: list[Integers], decimals: list[int]) -> None:
        common = max(decimals[number] for number in _PRICES)
        for number in _PRICES:
            arrays[number] = scaled_up(arrays[number], common - decimals[number])
            decimals[number] = common
        opened, high, low, close = (arrays[number] for number in _PRICES)
        for wrong, reason in (
            (low <= 0, "a price is not above zero"),
            (high < low, "high is below low"),
            (high < np.maximum(opened, close), "high is below open or close"),
            (low > np.minimum(opened, close), "low is above open or close"),
        ):
            if wrong.any():
                raise self._fail(int(np.argmax(wrong)), reason)
