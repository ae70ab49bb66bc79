"""A strategy for simulations: it enters on most candles, so that orders and exits abound.

Direction and pauses follow from the candle's own numbers, so equal prices give equal decisions.
Found as `STRATEGY=churn` only where the simulation adds this folder to the strategies' path.
"""

import numpy as np

from core.domain.market import CandleArrays
from core.domain.strategy import SignalArrays
from strategies.base_strategy import BaseStrategy, StrategyParams

_PRIME = 7_919


class ChurnParams(StrategyParams):
    """`rest` of 4 means that every fourth candle has no signal."""

    rest: int = 4


class Churn(BaseStrategy[ChurnParams]):
    name = "churn"
    tag = "chrn"
    params_type = ChurnParams

    @property
    def warmup(self) -> int:
        return 20

    def signals(self, candles: CandleArrays) -> SignalArrays:
        mix = (candles.open_ms // 60_000) * _PRIME + (candles.volume * 1e3).astype(np.int64)
        direction = np.where(mix % 2 == 0, 1, -1).astype(np.int8)
        direction[(mix // 2) % self.params.rest == 0] = 0
        atr = np.full(len(candles), np.nan)
        atr[1:] = np.abs(np.diff(candles.close))
        atr[:1] = 0.0
        return SignalArrays(
            direction=direction,
            strength=np.full(len(candles), 0.8),
            atr=atr,
            explain=lambda _: "churn",
            gate=lambda _: "rest",
        )
