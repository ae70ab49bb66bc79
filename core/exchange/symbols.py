"""Wire symbols (`BTCUSDC`) and the normal form (`BTC/USDC:USDC`) (floor 2a).

The map is filled from exchangeInfo. A symbol that is not in it (an event about a contract listed
a minute ago) is split by its quote coin, so that it is parked under a sensible name, never lost.
"""

from collections.abc import Iterable

from core.domain.instrument import Instrument

_QUOTES = ("USDC", "USDT", "FDUSD", "BUSD", "USD1", "BTC", "ETH")


class SymbolMap:
    """Two-way map; look-ups never fail."""

    def __init__(self) -> None:
        self._normal: dict[str, str] = {}
        self._wire: dict[str, str] = {}

    def learn(self, instruments: Iterable[Instrument]) -> None:
        for instrument in instruments:
            self._normal[instrument.wire] = instrument.symbol
            self._wire[instrument.symbol] = instrument.wire

    def to_normal(self, wire: str) -> str:
        known = self._normal.get(wire)
        if known is None:
            known = self._normal[wire] = _guess(wire)
        return known

    def to_wire(self, symbol: str) -> str:
        known = self._wire.get(symbol)
        if known is not None:
            return known
        pair = symbol.split(":", 1)[0]
        return pair.replace("/", "").upper()


def _guess(wire: str) -> str:
    pair, _, delivery = wire.partition("_")
    for quote in _QUOTES:
        if pair.endswith(quote) and len(pair) > len(quote):
            normal = f"{pair[: -len(quote)]}/{quote}:{quote}"
            return f"{normal}-{delivery}" if delivery else normal
    return wire
