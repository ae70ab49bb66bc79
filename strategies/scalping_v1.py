"""Scalping with the trend, entered on a confirmation (imports floor 0 only).

1 + 1 gating: one trend condition (EMA alignment, or the MACD histogram changing sign on this
candle) and one confirmation (RSI turning back in its pull-back zone, or a volume spike on a candle
that closes in the trade's direction), while ATR / close lies inside a band. Long and short mirror
each other; a candle that satisfies both sides counts for neither.

The rules are written once and read the same for one candle, in floats, and for all of them, in
arrays: live trading asks about the newest candle only, and three hundred rows of every condition
would cost more than the indicators.

Indicators are TA-Lib's on plain arrays. `import talib` also imports pandas and polars where they
are installed (for wrappers not needed here); a production environment has neither, so no work is
spent on avoiding it. Words are built only for the row that is asked for.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import talib
from pydantic import Field, model_validator

from core.domain.market import CandleArrays, FloatArray
from core.domain.strategy import SignalArrays, SignalRow
from strategies.base_strategy import BaseStrategy, StrategyParams, silent

Number = Any
"""A float, or an array of them, row by row: the rules below hold for both."""
Flag = Any
"""A bool, or an array of them."""

_SETTLING = 3
"""Warm-up in multiples of the slowest indicator's length: its seed has then faded."""


class ScalpingParams(StrategyParams):
    """Lengths in candles; RSI levels 0…100; ATR bounds as fractions of the close."""

    ema_fast: int = Field(9, ge=2, le=200)
    ema_slow: int = Field(21, ge=3, le=400)
    rsi_length: int = Field(14, ge=2, le=100)
    rsi_turn: float = Field(50.0, ge=5, le=50)
    """A long is confirmed by an RSI rising at or below this, a short by one falling at or above
    100 minus this."""
    macd_fast: int = Field(12, ge=2, le=200)
    macd_slow: int = Field(26, ge=3, le=400)
    macd_signal: int = Field(9, ge=2, le=100)
    atr_length: int = Field(14, ge=2, le=100)
    atr_min: float = Field(0.001, ge=0, lt=1)
    atr_max: float = Field(0.03, gt=0, lt=1)
    volume_length: int = Field(20, ge=2, le=200)
    volume_spike: float = Field(1.8, gt=1, le=100)
    """Times the average volume that counts as a spike."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            ("ema_fast", "ema_slow"),
            ("macd_fast", "macd_slow"),
            ("atr_min", "atr_max"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be below {high}")
        return self


class _Seen(NamedTuple):
    """What the rules look at: of one candle, or of all."""

    open: Number
    close: Number
    volume: Number
    fast: Number
    slow: Number
    rsi: Number
    rsi_before: Number
    histogram: Number
    histogram_before: Number
    atr: Number
    mean: Number


class _Side(NamedTuple):
    """The conditions of one direction: two of trend, two of confirmation."""

    aligned: Flag
    crossed: Flag
    pullback: Flag
    spike: Flag

    def wanted(self) -> Flag:
        return (self.aligned | self.crossed) & (self.pullback | self.spike)

    def strength(self) -> Number:
        """A quarter for each condition that holds."""
        return 0.25 * self.aligned + 0.25 * self.crossed + 0.25 * self.pullback + 0.25 * self.spike


def _sides(seen: _Seen, p: ScalpingParams) -> tuple[_Side, _Side]:
    """The conditions for long and for short. Unknown numbers (NaN) satisfy none."""
    busy = seen.volume > seen.mean * p.volume_spike
    above, was_above = seen.histogram > 0, seen.histogram_before > 0
    long = _Side(
        aligned=seen.fast > seen.slow,
        crossed=above > was_above,
        pullback=(seen.rsi > seen.rsi_before) & (seen.rsi <= p.rsi_turn),
        spike=busy & (seen.close > seen.open),
    )
    short = _Side(
        aligned=seen.fast < seen.slow,
        crossed=above < was_above,
        pullback=(seen.rsi < seen.rsi_before) & (seen.rsi >= 100.0 - p.rsi_turn),
        spike=busy & (seen.close < seen.open),
    )
    return long, short


def _calm(seen: _Seen, p: ScalpingParams) -> Flag:
    """ATR inside its band."""
    ratio = seen.atr / seen.close
    return (ratio >= p.atr_min) & (ratio <= p.atr_max)


class ScalpingV1(BaseStrategy[ScalpingParams]):
    """See the module's docstring."""

    name = "scalping_v1"
    tag = "scv1"
    params_type = ScalpingParams

    def __init__(self, params: ScalpingParams | None = None) -> None:
        super().__init__(params)
        p = self.params
        slowest = (p.ema_slow, p.macd_slow + p.macd_signal, p.rsi_length + 2, p.atr_length + 1)
        self._warmup = max(*slowest, p.volume_length) * _SETTLING

    @property
    def warmup(self) -> int:
        return self._warmup

    def signals(self, candles: CandleArrays) -> SignalArrays:
        count = len(candles)
        if count < self._warmup:
            return silent(count, "warmup", f"{count} of {self._warmup} candles")
        view = _View(candles, self.params)
        seen = view.every()
        long, short = _sides(seen, self.params)
        calm = _calm(seen, self.params)
        calm[: self._warmup - 1] = False
        up, down = (calm & side.wanted() for side in (long, short))
        direction = up.view(np.int8) - down.view(np.int8)
        strength = np.where(direction > 0, long.strength(), short.strength()) * (direction != 0)
        return SignalArrays(
            direction,
            strength,
            view.atr,
            explain=lambda i: self._row(view, i).words,
            gate=lambda i: self._row(view, i).gate,
        )

    def latest(self, candles: CandleArrays) -> SignalRow:
        if len(candles) < self._warmup:
            return super().latest(candles)
        return self._row(_View(candles, self.params), -1)

    def _row(self, view: "_View", i: int) -> SignalRow:
        """The verdict on candle `i`, in words as well."""
        p, index = self.params, range(len(view.candles))[i]
        if index < self._warmup - 1:
            words = f"warmup: {index + 1} of {self._warmup} candles"
            return SignalRow(0, 0.0, float(view.atr[index]), "warmup", words)
        seen = view.one(index)
        long, short = _sides(seen, p)
        calm = _calm(seen, p)
        up, down = long.wanted(), short.wanted()
        if calm and up is not down:
            side = long if up else short
            words = f"{_trend(side, p, up=up)}; {_confirm(side, seen, up=up)}; {_atr(seen)}"
            return SignalRow(up - down, side.strength(), seen.atr, "", words)
        gate = _gate(seen, p, long, short)
        return SignalRow(0, 0.0, seen.atr, gate, f"{gate}: {_numbers(seen, p)}")


class _View:
    """Candles with their indicators."""

    __slots__ = ("atr", "candles", "fast", "histogram", "mean", "rsi", "slow")

    def __init__(self, candles: CandleArrays, p: ScalpingParams) -> None:
        close = candles.close
        self.candles = candles
        self.fast: FloatArray = talib.EMA(close, p.ema_fast)
        self.slow: FloatArray = talib.EMA(close, p.ema_slow)
        self.rsi: FloatArray = talib.RSI(close, p.rsi_length)
        self.histogram: FloatArray = talib.MACD(close, p.macd_fast, p.macd_slow, p.macd_signal)[2]
        self.atr: FloatArray = talib.ATR(candles.high, candles.low, close, p.atr_length)
        self.mean: FloatArray = talib.SMA(candles.volume, p.volume_length)

    def one(self, i: int) -> _Seen:
        """Candle `i`, which is not the first, in floats."""
        candles = self.candles
        return _Seen(
            candles.open.item(i),
            candles.close.item(i),
            candles.volume.item(i),
            self.fast.item(i),
            self.slow.item(i),
            self.rsi.item(i),
            self.rsi.item(i - 1),
            self.histogram.item(i),
            self.histogram.item(i - 1),
            self.atr.item(i),
            self.mean.item(i),
        )

    def every(self) -> _Seen:
        """All candles, in arrays."""
        candles = self.candles
        return _Seen(
            candles.open,
            candles.close,
            candles.volume,
            self.fast,
            self.slow,
            self.rsi,
            _shifted(self.rsi),
            self.histogram,
            _shifted(self.histogram),
            self.atr,
            self.mean,
        )


def _shifted(values: FloatArray) -> FloatArray:
    """The value of the candle before; unknown for the first."""
    before = np.empty_like(values)
    before[0] = np.nan
    before[1:] = values[:-1]
    return before


# --- words -----------------------------------------------------------------------------------


def _gate(seen: _Seen, p: ScalpingParams, long: _Side, short: _Side) -> str:
    """The first condition that said no, of a candle without a direction."""
    ratio = seen.atr / seen.close
    # Whatever is NaN or infinite makes the sum so.
    if not math.isfinite(ratio + seen.rsi + seen.histogram + seen.fast + seen.mean):
        return "bad_data"
    if ratio < p.atr_min:
        return "atr_low"
    if ratio > p.atr_max:
        return "atr_high"
    if long.wanted() and short.wanted():
        return "conflict"
    trend = long.aligned or long.crossed or short.aligned or short.crossed
    return "confirm" if trend else "trend"


def _trend(side: _Side, p: ScalpingParams, *, up: bool) -> str:
    parts = []
    if side.aligned:
        parts.append(f"ema{p.ema_fast}{'>' if up else '<'}ema{p.ema_slow}")
    if side.crossed:
        parts.append(f"macd crossed {'up' if up else 'down'}")
    return "trend: " + ", ".join(parts)


def _confirm(side: _Side, seen: _Seen, *, up: bool) -> str:
    parts = []
    if side.pullback:
        parts.append(f"rsi {seen.rsi:.0f} {'rising' if up else 'falling'}")
    if side.spike:
        parts.append(f"volume {_times(seen):.1f}x average")
    return "confirm: " + ", ".join(parts)


def _times(seen: _Seen) -> float:
    """Volume in multiples of its average; 0 in a market without any."""
    return seen.volume / seen.mean if seen.mean else 0.0


def _atr(seen: _Seen) -> str:
    return f"atr {seen.atr / seen.close * 100:.2f} %"


def _numbers(seen: _Seen, p: ScalpingParams) -> str:
    relation = ">" if seen.fast > seen.slow else "<="
    return (
        f"ema{p.ema_fast}{relation}ema{p.ema_slow}, rsi {seen.rsi:.0f}, "
        f"macd histogram {seen.histogram:+.4g}, volume {_times(seen):.1f}x average, {_atr(seen)}"
    )
