"""Market data as values (floor 0).

Candles feed strategies and statistics, so their numbers are floats; prices that reach an order
are Decimals from the exchange's strings (`BookTop`, `MarkPrice`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.domain.timeframe import TIMEFRAMES_MS, timeframe_ms

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = [
    "NO_CANDLES",
    "TIMEFRAMES_MS",
    "BookTop",
    "Candle",
    "CandleArrays",
    "FloatArray",
    "IntArray",
    "MarkPrice",
    "Ticker24h",
    "timeframe_ms",
]


class Candle(msgspec.Struct, frozen=True, gc=False):
    """One closed candle. `open_ms` is UTC milliseconds; volumes are base and quote."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float = 0.0


class MarkPrice(msgspec.Struct, frozen=True, gc=False):
    """Mark price with the current funding rate and the next funding time (UTC ms)."""

    symbol: str
    price: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    event_ms: int


class BookTop(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask."""

    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    event_ms: int

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2

    @property
    def spread_ratio(self) -> Decimal:
        """(ask - bid) / mid, a fraction."""
        mid = self.mid
        return (self.ask - self.bid) / mid if mid else Decimal(0)


class Ticker24h(msgspec.Struct, frozen=True, gc=False):
    """Rolling 24 h statistics; `quote_volume` in the quote coin, `high` and `low` 0 if unknown."""

    symbol: str
    last: Decimal
    quote_volume: Decimal
    event_ms: int
    high: Decimal = Decimal(0)
    low: Decimal = Decimal(0)

    @property
    def range_ratio(self) -> float | None:
        """(high - low) / last, a fraction; None while unknown."""
        known = self.last > 0 and self.high >= self.low > 0
        return float((self.high - self.low) / self.last) if known else None


@dataclass(frozen=True, slots=True)
class CandleArrays:
    """Closed candles as parallel arrays, oldest first: what a strategy sees."""

    open_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __len__(self) -> int:
        return int(self.close.shape[0])

    @staticmethod
    def from_candles(candles: Sequence[Candle]) -> "CandleArrays":
        return CandleArrays(
            open_ms=np.array([c.open_ms for c in candles], dtype=np.int64),
            open=np.array([c.open for c in candles], dtype=np.float64),
            high=np.array([c.high for c in candles], dtype=np.float64),
            low=np.array([c.low for c in candles], dtype=np.float64),
            close=np.array([c.close for c in candles], dtype=np.float64),
            volume=np.array([c.volume for c in candles], dtype=np.float64),
        )


NO_CANDLES = CandleArrays.from_candles(())
