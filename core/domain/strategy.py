"""The contract between the daemon and a strategy (floor 0).

A strategy is one pure function from closed candles to parallel arrays. Live trading reads the
last row, a backtest all of them; nothing in it can see the future, the clock or the network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.domain.enums import Direction
from core.domain.market import CandleArrays, FloatArray


class SignalRow(msgspec.Struct, frozen=True, gc=False):
    """Verdict about one candle. `gate` is empty when there is a direction; `words` say why."""

    direction: int
    strength: float
    atr: float
    gate: str
    words: str


def _check_shape(name: str, shape: tuple[int, ...], count: int) -> None:
    if shape != (count,):
        raise ValueError(f"{name} has shape {shape}, expected ({count},)")


@dataclass(frozen=True, slots=True)
class SignalArrays:
    """Verdict per candle. `direction` -1, 0 or +1; `strength` 0…1; `explain(i)` words row i.

    `atr` is in price units; `gate(i)` names the first condition that said no where direction is 0.
    """

    direction: NDArray[np.int8]
    strength: FloatArray
    atr: FloatArray
    explain: Callable[[int], str]
    gate: Callable[[int], str]

    def last(self, count: int) -> SignalRow:
        """Row of the newest of `count` candles. Raises ValueError when the arrays do not fit."""
        _check_shape("direction", np.shape(self.direction), count)
        _check_shape("strength", np.shape(self.strength), count)
        _check_shape("atr", np.shape(self.atr), count)
        direction = float(self.direction[-1])
        if not direction.is_integer():
            raise ValueError(f"direction {direction} is not -1, 0 or 1")
        return SignalRow(
            direction=int(direction),
            strength=float(self.strength[-1]),
            atr=float(self.atr[-1]),
            gate="" if direction else self.gate(count - 1),
            words=self.explain(count - 1),
        )


@dataclass(frozen=True, slots=True)
class Signal:
    """A wish to open a position, made on the candle that opened at `candle_open_ms` (UTC ms)."""

    symbol: str
    strategy: str
    direction: Direction
    strength: float
    atr_ratio: float
    close: float
    candle_open_ms: int
    candle_close_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class NoSignal:
    """The strategy looked and wants nothing; `gate` and `detail` say why."""

    symbol: str
    strategy: str
    close: float
    candle_open_ms: int
    gate: str
    detail: str


class Strategy(Protocol):
    """What StrategyManager needs of a strategy."""

    @property
    def name(self) -> str: ...

    @property
    def tag(self) -> str:
        """Up to four lower-case letters or digits, carried in client order ids."""
        ...

    @property
    def warmup(self) -> int:
        """Closed candles needed before the first verdict."""
        ...

    def signals(self, candles: CandleArrays) -> SignalArrays:
        """Verdict on every candle."""
        ...

    def latest(self, candles: CandleArrays) -> SignalRow:
        """Verdict on the last candle: the last row of `signals`, however it is computed."""
        ...
