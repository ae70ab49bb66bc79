"""Order book pushes (floor 2c): differences and partial books at three speeds.

A client keeps a local book: it takes a snapshot, then applies every difference. For that the parts
must fit, so each stream remembers the book it told last, a snapshot first brings every stream of
its symbol to the same book under a new update id, and a level that left the book is told with
quantity 0. Snapshot plus differences is therefore always the later snapshot.
"""

from dataclasses import dataclass, field

from core.domain.enums import Side
from core.paper.market import Market
from core.paper.quotes import Quotes
from core.paper.streams import StreamHub, StreamName
from core.paper.wire import Row

_UM = 1
Ladder = dict[str, str]
"""price -> quantity, as quoted"""


@dataclass(slots=True)
class _Told:
    """What the listeners of one stream know."""

    last_id: int = 0
    seen: int = -1
    bids: Ladder = field(default_factory=dict)
    asks: Ladder = field(default_factory=dict)


class DepthFeed:
    """Snapshots and pushes of the modelled books."""

    def __init__(self, hub: StreamHub, quotes: dict[str, Quotes]) -> None:
        self._hub = hub
        self._quotes = quotes
        self._ids = dict.fromkeys(quotes, 1)
        self._told: dict[str, _Told] = {}
        self._streams: dict[str, list[StreamName]] = {}

    def listen(self, streams: list[StreamName]) -> None:
        """The depth streams that somebody wants from now on."""
        wanted: dict[str, list[StreamName]] = {}
        for name in streams:
            wanted.setdefault(name.symbol, []).append(name)
        self._streams = wanted
        listed = {name.text for name in streams}
        self._told = {text: told for text, told in self._told.items() if text in listed}

    def snapshot(self, market: Market, limit: int, now: int) -> Row:
        """Answer of GET depth: the best `limit` levels of either side."""
        self._ids[market.symbol] += 1
        for name in self._streams.get(market.symbol, ()):
            if not name.levels:
                self._push_changes(name, market, now)
        bids, asks = self._ladder(market, Side.SELL, limit), self._ladder(market, Side.BUY, limit)
        return {
            "lastUpdateId": self._ids[market.symbol],
            "E": now,
            "T": market.last_time_ms,
            "bids": [list(row) for row in bids.items()],
            "asks": [list(row) for row in asks.items()],
        }

    def push(self, streams: list[StreamName], markets: dict[str, Market], now: int) -> None:
        """Push what changed on streams of one speed."""
        for name in streams:
            market = markets[name.symbol]
            told = self._told.get(name.text)
            if not market.is_trading or (told and told.seen == market.view):
                continue
            self._ids[name.symbol] += 1
            if name.levels:
                self._push_top(name, market, now)
            else:
                self._push_changes(name, market, now)

    def _ladder(self, market: Market, taker: Side, limit: int | None = None) -> Ladder:
        quotes = self._quotes[market.symbol]
        return {
            quotes.price(price): quotes.size(size) for price, size in market.ladder(taker, limit)
        }

    def _push_top(self, name: StreamName, market: Market, now: int) -> None:
        told = self._told.setdefault(name.text, _Told())
        bids = self._ladder(market, Side.SELL, name.levels)
        asks = self._ladder(market, Side.BUY, name.levels)
        self._publish(name, market, told, now, bids, asks)

    def _push_changes(self, name: StreamName, market: Market, now: int) -> None:
        told = self._told.setdefault(name.text, _Told())
        bids, asks = self._ladder(market, Side.SELL), self._ladder(market, Side.BUY)
        self._publish(name, market, told, now, _changes(told.bids, bids), _changes(told.asks, asks))
        told.bids, told.asks = bids, asks

    def _publish(
        self,
        name: StreamName,
        market: Market,
        told: _Told,
        now: int,
        bids: Ladder,
        asks: Ladder,
    ) -> None:
        last = self._ids[market.symbol]
        before = told.last_id or last - 1
        told.last_id, told.seen = last, market.view
        self._hub.publish(
            name.text,
            {
                "e": "depthUpdate",
                "E": now,
                "T": market.last_time_ms,
                "s": market.symbol,
                "ps": market.symbol,
                "U": before + 1,
                "u": last,
                "pu": before,
                "b": [list(row) for row in bids.items()],
                "a": [list(row) for row in asks.items()],
                "st": _UM,
            },
        )


def _changes(before: Ladder, after: Ladder) -> Ladder:
    """Levels that differ; one that is gone has quantity 0."""
    gone = {price: "0" for price in before if price not in after}
    return gone | {price: size for price, size in after.items() if before.get(price) != size}
