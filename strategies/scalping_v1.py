"""Scalping with the trend, entered on a confirmation (imports floor 0 only).

1 + 1 gating: one trend condition (EMA alignment, or the MACD histogram changing sign on this
candle) and one confirmation (RSI turning back in its pull-back zone, or a volume spike on a candle
that closes in the trade's direction), while ATR / close lies inside a band. Long and short mirror
each other; a candle that satisfies both sides counts for neither.

Indicators are TA-Lib's on plain arrays. `import talib` also imports pandas and polars where they
are installed (for wrappers not needed here); a production environment has neither, so no work is
spent on avoiding it. Words are built only for the row that is asked for.
"""

from typing import Self

import numpy as np
import talib
from numpy.typing import NDArray
from pydantic import Field, model_validator

from core.domain.market import CandleArrays, FloatArray
from core.domain.strategy import SignalArrays
from strategies.base_strategy import BaseStrategy, StrategyParams, silent

BoolArray = NDArray[np.bool_]

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


_ALIGNED, _CROSSED, _PULLBACK, _SPIKE = range(4)
"""Rows of the table of conditions: two of trend, two of confirmation."""
_LONG, _SHORT = range(2)


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
        if count < self.warmup:
            return silent(count, "warmup", f"{count} of {self.warmup} candles")
        view = _View(candles, self.params)
        fired = view.fired()
        wanted = fired[_ALIGNED] | fired[_CROSSED]
        wanted &= fired[_PULLBACK] | fired[_SPIKE]
        wanted &= view.calm()
        wanted[:, : self.warmup - 1] = False
        sides = wanted.view(np.int8)
        direction = sides[_LONG] - sides[_SHORT]
        held = np.add.reduce(fired.view(np.int8), axis=0, dtype=np.int8)
        held *= sides
        strength = (held[_LONG] - held[_SHORT]) * direction * 0.25
        words = _Words(self.warmup, view, fired, wanted, direction)
        return SignalArrays(direction, strength, view.atr, words.explain, words.gate)


class _View:
    """Candles with their indicators."""

    __slots__ = ("atr", "atr_ratio", "candles", "fast", "histogram", "mean", "p", "rsi", "slow")

    def __init__(self, candles: CandleArrays, p: ScalpingParams) -> None:
        close = candles.close
        self.candles = candles
        self.p = p
        self.fast: FloatArray = talib.EMA(close, p.ema_fast)
        self.slow: FloatArray = talib.EMA(close, p.ema_slow)
        self.rsi: FloatArray = talib.RSI(close, p.rsi_length)
        macd = talib.MACD(close, p.macd_fast, p.macd_slow, p.macd_signal)
        self.histogram: FloatArray = macd[2]
        self.atr: FloatArray = talib.ATR(candles.high, candles.low, close, p.atr_length)
        self.mean: FloatArray = talib.SMA(candles.volume, p.volume_length)
        self.atr_ratio: FloatArray = self.atr / close

    def calm(self) -> BoolArray:
        """ATR inside its band; False while it is unknown (NaN compares false)."""
        return (self.atr_ratio >= self.p.atr_min) & (self.atr_ratio <= self.p.atr_max)

    def fired(self) -> BoolArray:
        """Condition x side x candle: what holds, before the ATR band is asked.

        Written into one table because at a few hundred candles the number of numpy calls and
        temporary arrays is the cost, not the arithmetic.
        """
        p, rsi, candles = self.p, self.rsi, self.candles
        table = np.zeros((4, 2, len(candles)), dtype=np.bool_)
        aligned, crossed, pullback, spike = table
        np.greater(self.fast, self.slow, aligned[_LONG])
        np.less(self.fast, self.slow, aligned[_SHORT])
        above = self.histogram > 0
        np.greater(above[1:], above[:-1], crossed[_LONG, 1:])
        np.less(above[1:], above[:-1], crossed[_SHORT, 1:])
        now, before = rsi[1:], rsi[:-1]
        np.greater(now, before, pullback[_LONG, 1:])
        np.less(now, before, pullback[_SHORT, 1:])
        pullback[_LONG] &= rsi <= p.rsi_turn
        pullback[_SHORT] &= rsi >= 100.0 - p.rsi_turn
        np.greater(candles.close, candles.open, spike[_LONG])
        np.less(candles.close, candles.open, spike[_SHORT])
        spike &= candles.volume > self.mean * p.volume_spike
        return table


class _Words:
    """Puts single rows into words, when asked."""

    __slots__ = ("direction", "fired", "view", "wanted", "warmup")

    def __init__(
        self,
        warmup: int,
        view: _View,
        fired: BoolArray,
        wanted: BoolArray,
        direction: NDArray[np.int8],
    ) -> None:
        self.warmup = warmup
        self.view = view
        self.fired = fired
        self.wanted = wanted
        self.direction = direction

    def explain(self, i: int) -> str:
        """What fired in row i, or what was missing."""
        gate = self.gate(i)
        if gate in ("warmup", "bad_data"):
            return f"{gate}: {self._numbers(i)}"
        if self.direction[i]:
            side = _LONG if self.direction[i] > 0 else _SHORT
            return f"{self._trend(side, i)}; {self._confirm(side, i)}; {self._atr(i)}"
        return f"{gate}: {self._numbers(i)}"

    def gate(self, i: int) -> str:
        """First condition of row i that said no; empty when none did."""
        if self.direction[i]:
            return ""
        index = range(len(self.direction))[i]
        if index < self.warmup - 1:
            return "warmup"
        view = self.view
        known = (view.atr_ratio[i], view.rsi[i], view.histogram[i], view.fast[i], view.mean[i])
        if not np.isfinite(known).all():
            return "bad_data"
        if view.atr_ratio[i] < view.p.atr_min:
            return "atr_low"
        if view.atr_ratio[i] > view.p.atr_max:
            return "atr_high"
        if self.wanted[:, i].all():
            return "conflict"
        return "confirm" if self.fired[: _CROSSED + 1, :, i].any() else "trend"

    def _trend(self, side: int, i: int) -> str:
        p, up = self.view.p, side == _LONG
        parts = []
        if self.fired[_ALIGNED, side, i]:
            parts.append(f"ema{p.ema_fast}{'>' if up else '<'}ema{p.ema_slow}")
        if self.fired[_CROSSED, side, i]:
            parts.append(f"macd crossed {'up' if up else 'down'}")
        return "trend: " + ", ".join(parts)

    def _confirm(self, side: int, i: int) -> str:
        parts = []
        if self.fired[_PULLBACK, side, i]:
            turn = "rising" if side == _LONG else "falling"
            parts.append(f"rsi {self.view.rsi[i]:.0f} {turn}")
        if self.fired[_SPIKE, side, i]:
            times = self.view.candles.volume[i] / self.view.mean[i]
            parts.append(f"volume {times:.1f}x average")
        return "confirm: " + ", ".join(parts)

    def _atr(self, i: int) -> str:
        return f"atr {self.view.atr_ratio[i] * 100:.2f} %"

    def _numbers(self, i: int) -> str:
        view = self.view
        relation = ">" if view.fast[i] > view.slow[i] else "<="
        return (
            f"ema{view.p.ema_fast}{relation}ema{view.p.ema_slow}, rsi {view.rsi[i]:.0f}, "
            f"macd histogram {view.histogram[i]:+.4g}, "
            f"volume {view.candles.volume[i] / view.mean[i]:.1f}x average, {self._atr(i)}"
        )
