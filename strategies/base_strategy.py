"""What a strategy is made of (imports floor 0 only).

An operator adds one by dropping a module `strategies/NAME.py` that defines one subclass of
`BaseStrategy` with `name = "NAME"`, a tag, its parameters and one pure function `signals`. The same
function serves live trading, paper and backtest: row i may depend on rows 0…i only, never on the
clock, the network, chance or an earlier call.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from core.domain.market import CandleArrays
from core.domain.strategy import SignalArrays, SignalRow


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: immutable, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=StrategyParams)


class BaseStrategy(ABC, Generic[P]):
    """One way to read candles. Instances hold parameters only."""

    name: str
    """Its module's name."""
    tag: str
    """Up to four lower-case letters or digits, carried in client order ids."""
    params_type: type[P]

    def __init__(self, params: P | None = None) -> None:
        self.params = self.params_type() if params is None else params

    @classmethod
    def build(cls, values: Mapping[str, object]) -> Self:
        """Instance from parameters as text or numbers.

        Raises ValueError with one line per parameter that is unknown or out of bounds.
        """
        try:
            return cls(cls.params_type.model_validate(dict(values)))
        except ValidationError as error:
            lines = [
                f"{'.'.join((cls.name, *map(str, row['loc'])))} = {_shown(row['input'])}: "
                f"{row['msg'].removeprefix('Value error, ')}"
                for row in error.errors()
            ]
            raise ValueError("\n".join(lines)) from None

    @property
    @abstractmethod
    def warmup(self) -> int:
        """Closed candles needed before the first verdict."""

    @abstractmethod
    def signals(self, candles: CandleArrays) -> SignalArrays:
        """Verdict per candle; arrays as long as the candles."""

    def latest(self, candles: CandleArrays) -> SignalRow:
        """Verdict on the last candle, which is all that live trading asks for.

        A strategy whose rules are cheap to apply to one row may override it; what it returns must
        equal the last row of `signals`. Raises ValueError when the arrays do not fit the candles.
        """
        return self.signals(candles).last(len(candles))


def _shown(value: object) -> str:
    """A value as the operator wrote it; all of them where a rule is about several."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "the defaults"
    return repr(value)


def silent(count: int, gate: str, words: str) -> SignalArrays:
    """`count` rows without a wish, all for the same reason."""
    return SignalArrays(
        direction=np.zeros(count, dtype=np.int8),
        strength=np.zeros(count),
        atr=np.full(count, np.nan),
        explain=lambda _: words,
        gate=lambda _: gate,
    )
