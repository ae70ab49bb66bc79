"""The public trades of every contract (floor 2c): what happened, for whoever asks later.

A feed tells prices and volumes, not single trades; each of its moves is therefore one print here,
with the same id as a trade and as an aggregate. History gives one print per closed minute, so that
the tape is not empty when the exchange opens.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from core.paper.model import PaperCandle, Tick

KEPT = 1000
"""Prints remembered per symbol: the most one request may ask for."""
_MINUTE_MS = 60_000


class Print(msgspec.Struct, frozen=True, gc=False):
    """One public trade. `buyer_maker` is True when the price fell to it."""

    number: int
    price: Decimal
    quantity: Decimal
    time_ms: int
    buyer_maker: bool


class TradeTape:
    """The newest prints of each symbol, ids counted from 1."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._prints: dict[str, deque[Print]] = {name: deque(maxlen=KEPT) for name in symbols}
        self._last: dict[str, int] = dict.fromkeys(self._prints, 0)

    def load(self, symbol: str, minutes: Sequence[PaperCandle]) -> None:
        """The last minutes of history, one print each at their close."""
        for candle in minutes[-KEPT:]:
            if candle.volume:
                closed = candle.open_ms + _MINUTE_MS - 1
                fell = candle.close < candle.open
                self._add(symbol, candle.close, candle.volume, closed, buyer_maker=fell)

    def on_tick(self, tick: Tick, *, rising: bool) -> Print | None:
        """The print of a move; None when nothing was traded on it."""
        if not tick.volume:
            return None
        return self._add(tick.symbol, tick.price, tick.volume, tick.time_ms, buyer_maker=not rising)

    def _add(
        self, symbol: str, price: Decimal, quantity: Decimal, time_ms: int, *, buyer_maker: bool
    ) -> Print:
        number = self._last[symbol] = self._last[symbol] + 1
        row = Print(number, price, quantity, time_ms, buyer_maker)
        self._prints[symbol].append(row)
        return row

    def newest(self, symbol: str, limit: int) -> list[Print]:
        """The last `limit` prints, oldest first."""
        return list(self._prints[symbol])[-limit:]

    def since(self, symbol: str, number: int, limit: int) -> list[Print]:
        """At most `limit` prints from an id on, that one included."""
        return [row for row in self._prints[symbol] if row.number >= number][:limit]

    def between(self, symbol: str, start_ms: int, end_ms: int, limit: int) -> list[Print]:
        """At most `limit` prints of a time window, oldest first."""
        rows = (row for row in self._prints[symbol] if start_ms <= row.time_ms <= end_ms)
        return [row for row, _ in zip(rows, range(limit), strict=False)]
