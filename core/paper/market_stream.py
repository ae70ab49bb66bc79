"""Market data pushes (floor 2c): bookTicker, aggTrade, kline, markPrice, ticker, miniTicker.

Pushes come from ticks and, for what the venue sends periodically, from timers. Nothing is built
that nobody listens to. Mark and index price are the last feed price (see `Market`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from core.domain.market import TIMEFRAMES_MS
from core.domain.ports import Clock
from core.paper.candles import CandleBook, Kline, Stats24h
from core.paper.exchange import PaperExchange
from core.paper.market import Market
from core.paper.model import PaperCandle, Tick
from core.paper.streams import StreamHub, StreamName, Topic
from core.paper.wire import Row, fixed, places

KLINE_PERIOD_MS = 250
_UM = 1
"""`st` of USDⓈ-M symbols"""


class Quotes:
    """Prices and quantities of one contract with the fixed number of decimals it is quoted in."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._price = places(market.contract.tick)
        self._size = places(market.contract.step)

    def price(self, value: object) -> str:
        return f"{value:.{self._price}f}"

    def size(self, value: object) -> str:
        return f"{value:.{self._size}f}"


@dataclass(slots=True)
class _Demand:
    """What is listened to of one symbol."""

    book: bool = False
    trades: bool = False
    klines: list[StreamName] = field(default_factory=list)


@dataclass(slots=True)
class _Beat:
    """A periodic push: its streams, and whether anybody wants them."""

    period_ms: int
    streams: list[StreamName] = field(default_factory=list)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)


class MarketStream:
    """Builds and publishes market data frames."""

    def __init__(
        self, hub: StreamHub, exchange: PaperExchange, candles: CandleBook, clock: Clock
    ) -> None:
        self._hub = hub
        self._exchange = exchange
        self._candles = candles
        self._clock = clock
        self._quotes = {symbol: Quotes(row) for symbol, row in exchange.markets.items()}
        self._demand: dict[str, _Demand] = {}
        self._kline_due: dict[str, int] = {}
        self._trade_ids: dict[str, int] = dict.fromkeys(exchange.markets, 0)
        self._books_seen: dict[str, int] = {}
        self._stats_seen: dict[str, int] = {}
        self.beats = {
            "mark-1s": _Beat(1_000),
            "mark-3s": _Beat(3_000),
            "ticker": _Beat(2_000),
            "books": _Beat(5_000),
        }
        hub.on_demand = self._refresh_demand

    def _refresh_demand(self) -> None:
        demand: dict[str, _Demand] = {}
        for beat in self.beats.values():
            beat.streams = []
        for name in self._hub.wanted():
            own = demand.setdefault(name.symbol, _Demand()) if name.symbol else None
            if name.topic is Topic.MARK:
                self.beats["mark-1s" if name.fast else "mark-3s"].streams.append(name)
            elif name.topic in (Topic.TICKER, Topic.MINI):
                self.beats["ticker"].streams.append(name)
            elif own is None:
                self.beats["books"].streams.append(name)
            elif name.topic is Topic.BOOK:
                own.book = True
            elif name.topic is Topic.TRADE:
                own.trades = True
            else:
                own.klines.append(name)
        self._demand = demand
        for beat in self.beats.values():
            if beat.streams:
                beat.wanted.set()
            else:
                beat.wanted.clear()

    # --- from ticks ------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        demand = self._demand.get(tick.symbol)
        if demand is None:
            return
        now = self._clock.now_ms()
        market = self._exchange.markets[tick.symbol]
        low = tick.symbol.lower()
        if demand.book:
            self._hub.publish(f"{low}@bookTicker", self._book(market, now))
        if demand.trades and tick.volume:
            self._hub.publish(f"{low}@aggTrade", self._trade(tick, now))
        if demand.klines and now >= self._kline_due.get(tick.symbol, 0):
            self._kline_due[tick.symbol] = now + KLINE_PERIOD_MS
            for name in demand.klines:
                kline = self._candles.current(tick.symbol, name.interval, now)
                self._hub.publish(name.text, self._kline(kline, now, closed=False))

    def on_minute(self, candle: PaperCandle) -> None:
        """Close every interval that ends with this minute."""
        demand = self._demand.get(candle.symbol)
        if demand is None or not demand.klines:
            return
        end = candle.open_ms + TIMEFRAMES_MS["1m"]
        now = self._clock.now_ms()
        for name in demand.klines:
            if end % TIMEFRAMES_MS[name.interval] == 0:
                kline = self._candles.current(candle.symbol, name.interval, now)
                self._hub.publish(name.text, self._kline(kline, now, closed=True))

    def _book(self, market: Market, now: int) -> Row:
        quotes, book = self._quotes[market.symbol], market.book
        return {
            "e": "bookTicker",
            "u": book.updates,
            "E": now,
            "T": market.last_time_ms,
            "s": market.symbol,
            "ps": market.symbol,
            "b": quotes.price(book.bid),
            "B": quotes.size(book.size(0)),
            "a": quotes.price(book.ask),
            "A": quotes.size(book.size(1)),
            "st": _UM,
        }

    def _trade(self, tick: Tick, now: int) -> Row:
        quotes = self._quotes[tick.symbol]
        self._trade_ids[tick.symbol] += 1
        number = self._trade_ids[tick.symbol]
        return {
            "e": "aggTrade",
            "E": now,
            "s": tick.symbol,
            "a": number,
            "p": quotes.price(tick.price),
            "q": quotes.size(tick.volume),
            "nq": quotes.size(tick.volume),
            "f": number,
            "l": number,
            "T": tick.time_ms,
            "m": not quotes.market.book.rising,
            "st": _UM,
            "ps": tick.symbol,
        }

    def _kline(self, kline: Kline, now: int, *, closed: bool) -> Row:
        quotes = self._quotes[kline.symbol]
        half = quotes.size(kline.volume / 2)
        return {
            "e": "kline",
            "E": now,
            "s": kline.symbol,
            "k": {
                "t": kline.open_ms,
                "T": kline.close_ms,
                "s": kline.symbol,
                "i": kline.interval,
                "f": -1,
                "L": -1,
                "o": quotes.price(kline.open),
                "c": quotes.price(kline.close),
                "h": quotes.price(kline.high),
                "l": quotes.price(kline.low),
                "v": quotes.size(kline.volume),
                "n": kline.trades,
                "x": closed,
                "q": fixed(kline.quote_volume),
                "V": half,
                "Q": fixed(kline.quote_volume / 2),
                "B": "0",
            },
            "st": _UM,
            "ps": kline.symbol,
        }

    # --- from timers -----------------------------------------------------------------------------

    async def beat(self, name: str) -> None:
        """Push one periodic family for ever, asleep while nobody listens."""
        beat = self.beats[name]
        push: Callable[[list[StreamName], int], None] = {
            "mark-1s": self._push_marks,
            "mark-3s": self._push_marks,
            "ticker": self._push_tickers,
            "books": self._push_books,
        }[name]
        while True:
            await beat.wanted.wait()
            now = self._clock.now_ms()
            await self._clock.sleep((beat.period_ms - now % beat.period_ms) / 1000)
            push(beat.streams, self._clock.now_ms())

    def _push_marks(self, streams: list[StreamName], now: int) -> None:
        for name in streams:
            if name.symbol:
                self._hub.publish(name.text, self.mark(name.symbol, now))
            else:
                self._hub.publish(name.text, [self.mark(s, now) for s in self._trading()])

    def _trading(self) -> list[str]:
        return [s for s, market in self._exchange.markets.items() if market.is_trading]

    def mark(self, symbol: str, now: int) -> Row:
        market = self._exchange.markets[symbol]
        price = fixed(market.mark)
        due = self._exchange.next_funding_ms(now)
        return {
            "e": "markPriceUpdate",
            "E": now,
            "s": symbol,
            "p": price,
            "ap": price,
            "i": price,
            "P": price,
            "r": fixed(self._exchange.funding_rate(symbol, due)),
            "T": due,
            "st": _UM,
            "ps": symbol,
        }

    def _push_books(self, streams: list[StreamName], now: int) -> None:
        for symbol in self._trading():
            market = self._exchange.markets[symbol]
            if self._books_seen.get(symbol) != market.book.updates:
                self._books_seen[symbol] = market.book.updates
                for name in streams:
                    self._hub.publish(name.text, self._book(market, now))

    def _push_tickers(self, streams: list[StreamName], now: int) -> None:
        changed = {
            symbol: self._candles.stats_24h(symbol, now)
            for symbol in self._trading()
            if self._stats_seen.get(symbol) != self._exchange.markets[symbol].book.updates
        }
        for symbol in changed:
            self._stats_seen[symbol] = self._exchange.markets[symbol].book.updates
        for name in streams:
            shape = self._ticker if name.topic is Topic.TICKER else self._mini
            if not name.symbol:
                if changed:
                    self._hub.publish(name.text, [shape(row, now) for row in changed.values()])
            elif name.symbol in changed:
                self._hub.publish(name.text, shape(changed[name.symbol], now))

    def _mini(self, stats: Stats24h, now: int) -> Row:
        quotes = self._quotes[stats.symbol]
        return {
            "e": "24hrMiniTicker",
            "E": now,
            "s": stats.symbol,
            "c": quotes.price(stats.last),
            "o": quotes.price(stats.open),
            "h": quotes.price(stats.high),
            "l": quotes.price(stats.low),
            "v": quotes.size(stats.volume),
            "q": fixed(stats.quote_volume),
            "st": _UM,
            "ps": stats.symbol,
        }

    def _ticker(self, stats: Stats24h, now: int) -> Row:
        quotes = self._quotes[stats.symbol]
        return {
            "e": "24hrTicker",
            "E": now,
            "s": stats.symbol,
            "p": quotes.price(stats.change),
            "P": f"{stats.change_percent:.3f}",
            "w": quotes.price(stats.weighted_average),
            "c": quotes.price(stats.last),
            "Q": quotes.size(quotes.market.last_quantity),
            "o": quotes.price(stats.open),
            "h": quotes.price(stats.high),
            "l": quotes.price(stats.low),
            "v": quotes.size(stats.volume),
            "q": fixed(stats.quote_volume),
            "O": stats.open_ms,
            "C": stats.close_ms,
            "F": 0,
            "L": stats.trades,
            "n": stats.trades,
            "st": _UM,
            "ps": stats.symbol,
        }
