"""Builders shared by the tests of candles and price sources."""

import asyncio
import gzip
import os
import zipfile
from collections.abc import Coroutine, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.paper.model import Feed, PaperCandle, Tick
from core.simulation.virtual_loop import virtual_loop_factory

D = Decimal
T = TypeVar("T")
MINUTE = 60_000
DAY = 1440 * MINUTE
START = 1_748_736_000_000  # 2025-06-01 00:00 UTC
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)

real_candles = pytest.mark.skipif(
    "CANDLE_ARCHIVE" not in os.environ,
    reason="CANDLE_ARCHIVE does not name a folder of recorded candles",
)


def archive() -> Path:
    return Path(os.environ["CANDLE_ARCHIVE"])


def virtually(main: Coroutine[Any, Any, T]) -> T:
    return run(main, loop_factory=virtual_loop_factory())


def minute(
    open_ms: int,
    prices: Sequence[str] = ("100.0", "101.5", "99.0", "100.5"),
    volume: str = "7.003",
    quote: str = "700.5",
    trades: int = 9,
    symbol: str = "BTCUSDC",
) -> PaperCandle:
    opened, high, low, close = map(D, prices)
    return PaperCandle(symbol, open_ms, opened, high, low, close, D(volume), D(quote), trades)


def row(
    open_ms: int,
    prices: Sequence[str] = ("100.0", "101.5", "99.0", "100.5"),
    volume: str = "7.003",
    interval_ms: int = MINUTE,
    quote: str = "700.5",
    trades: int = 9,
    unit: int = 1,
) -> str:
    """A line of a candle file; `unit` 1000 writes microseconds."""
    close_ms = (open_ms + interval_ms) * unit - 1
    return f"{open_ms * unit},{','.join(prices)},{volume},{close_ms},{quote},{trades},0,0,0"


def write(path: Path, lines: Iterable[str], *, header: bool = True) -> Path:
    """Write `lines` in the way the name of `path` says."""
    text = "\n".join([*([HEADER] if header else []), *lines, ""])
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(path.name.replace(".zip", ".csv"), text)
    else:
        path.write_text(text)
    return path


class Recorder:
    """A sink that remembers everything, with the time of the clock at which it came."""

    def __init__(self, clock: SimulatedClock | None = None) -> None:
        self.clock = clock
        self.events: list[Tick | PaperCandle] = []
        self.at: list[int] = []

    def on_tick(self, tick: Tick) -> None:
        self._add(tick)

    def on_minute(self, candle: PaperCandle) -> None:
        self._add(candle)

    def _add(self, event: Tick | PaperCandle) -> None:
        self.events.append(event)
        self.at.append(self.clock.now_ms() if self.clock else 0)

    def ticks(self, symbol: str | None = None) -> list[Tick]:
        return [e for e in self.events if isinstance(e, Tick) and symbol in (None, e.symbol)]

    def minutes(self, symbol: str | None = None) -> list[PaperCandle]:
        return [e for e in self.events if isinstance(e, PaperCandle) and symbol in (None, e.symbol)]


def played(feed: Feed, ahead_ms: int = 0) -> Recorder:
    """Everything a feed that ends delivers; the clock starts `ahead_ms` after the feed."""

    async def main() -> Recorder:
        loop = asyncio.get_running_loop()
        recorder = Recorder(SimulatedClock(feed.start_ms + ahead_ms, loop))
        assert recorder.clock is not None
        await feed.run(recorder, recorder.clock)
        return recorder

    return virtually(main())


def joined(candles: Sequence[PaperCandle]) -> tuple[Decimal, ...]:
    """Open, high, low, close and volume of the candle that `candles` make together."""
    return (
        candles[0].open,
        max(c.high for c in candles),
        min(c.low for c in candles),
        candles[-1].close,
        sum((c.volume for c in candles), D(0)),
    )


def numbers(candle: Any) -> tuple[Decimal, ...]:
    return (candle.open, candle.high, candle.low, candle.close, candle.volume)
