"""Market data pushes (floor 2c): books, trades, klines, mark prices, tickers, liquidations.

Pushes come from ticks and, for what the venue sends periodically, from timers. Nothing is built
that nobody listens to. Mark and index price are the last feed price (see `Market`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from core.domain.market import TIMEFRAMES_MS
from core.domain.ports import Clock
from core.paper.candles import CandleBook, Kline, Stats24h
from core.paper.depth_stream import DepthFeed
from core.paper.exchange import PaperExchange
from core.paper.market import PERPETUAL_END_MS, Market
from core.paper.model import PaperCandle, Tick
from core.paper.quotes import Quotes
from core.paper.records import Order, Trade
from core.paper.sessions import MARKETS, session_at
from core.paper.streams import StreamHub, StreamName, Topic
from core.paper.tape import Print, TradeTape
from core.paper.wire import Row, collateral_event, fixed, number

KLINE_PERIOD_MS = 250
_BOOKS = (Topic.DEPTH, Topic.RPI)
_UM = 1
"""`st` of USDⓈ-M symbols"""


@dataclass(slots=True)
class _Demand:
    """What is listened to of one symbol."""

    book: bool = False
    prints: bool = False
    trades: bool = False
    klines: list[StreamName] = field(default_factory=list)

    def want(self, name: StreamName) -> None:
        """Note one stream that is pushed with the ticks; liquidations need no note."""
        if name.topic is Topic.BOOK:
            self.book = True
        elif name.topic is Topic.PRINT:
            self.prints = True
        elif name.topic is Topic.TRADE:
            self.trades = True
        elif name.topic in (Topic.KLINE, Topic.CONTINUOUS):
            self.klines.append(name)


@dataclass(slots=True)
class _Beat:
    """A periodic push: its streams, and whether anybody wants them."""

    period_ms: int
    streams: list[StreamName] = field(default_factory=list)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)


class MarketStream:
    """Builds and publishes market data frames."""

    def __init__(
        self,
        hub: StreamHub,
        exchange: PaperExchange,
        candles: CandleBook,
        tape: TradeTape,
        quotes: dict[str, Quotes],
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._exchange = exchange
        self._candles = candles
        self._clock = clock
        self._tape = tape
        self._quotes = quotes
        self.depth = DepthFeed(hub, quotes)
        self._demand: dict[str, _Demand] = {}
        self._kline_due: dict[str, int] = {}
        self._books_seen: dict[str, int] = {}
        self._stats_seen: dict[str, int] = {}
        self.beats = {
            "mark-1s": _Beat(1_000),
            "mark-3s": _Beat(3_000),
            "conditions": _Beat(1_000),
            "ticker": _Beat(2_000),
            "books": _Beat(5_000),
            "depth-100": _Beat(100),
            "depth-250": _Beat(250),
            "depth-500": _Beat(500),
        }
        hub.on_demand = self._refresh_demand
        exchange.risk.on_liquidated = self._liquidated

    def _refresh_demand(self) -> None:
        demand: dict[str, _Demand] = {}
        for beat in self.beats.values():
            beat.streams = []
        for name in self._hub.wanted():
            own = demand.setdefault(name.symbol, _Demand()) if name.symbol else None
            if name.topic is Topic.MARK:
                self.beats["mark-1s" if name.fast else "mark-3s"].streams.append(name)
            elif name.topic in (Topic.COLLATERAL, Topic.SESSION):
                self.beats["conditions"].streams.append(name)
            elif name.topic in _BOOKS:
                self.beats[f"depth-{name.period_ms}"].streams.append(name)
            elif name.topic in (Topic.TICKER, Topic.MINI):
                self.beats["ticker"].streams.append(name)
            elif own is None:
                if name.topic is Topic.BOOK:
                    self.beats["books"].streams.append(name)
            else:
                own.want(name)
        self._demand = demand
        self.depth.listen([n for n in self._hub.wanted() if n.topic in _BOOKS])
        for beat in self.beats.values():
            if beat.streams:
                beat.wanted.set()
            else:
                beat.wanted.clear()

    # --- from ticks ------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        rising = self._exchange.markets[tick.symbol].book.rising
        traded = self._tape.on_tick(tick, rising=rising)
        demand = self._demand.get(tick.symbol)
        if demand is None:
            return
        now = self._clock.now_ms()
        market = self._exchange.markets[tick.symbol]
        low = tick.symbol.lower()
        if demand.book:
            self._hub.publish(f"{low}@bookTicker", self._book(market, now))
        if traded is not None and demand.prints:
            self._hub.publish(f"{low}@trade", self._print(tick.symbol, traded, now))
        if traded is not None and demand.trades:
            self._hub.publish(f"{low}@aggTrade", self._trade(tick.symbol, traded, now))
        if demand.klines and now >= self._kline_due.get(tick.symbol, 0):
            self._kline_due[tick.symbol] = now + KLINE_PERIOD_MS
            for name in demand.klines:
                kline = self._candles.current(tick.symbol, name.interval, now)
                self._hub.publish(name.text, self._kline(name, kline, now, closed=False))

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
                self._hub.publish(name.text, self._kline(name, kline, now, closed=True))

    def _book(self, market: Market, now: int) -> Row:
        bid, ask = self._quotes[market.symbol].best()
        return {
            "e": "bookTicker",
            "u": market.view,
            "E": now,
            "T": market.last_time_ms,
            "s": market.symbol,
            "ps": market.symbol,
            "b": bid[0],
            "B": bid[1],
            "a": ask[0],
            "A": ask[1],
            "st": _UM,
        }

    def _trade(self, symbol: str, row: Print, now: int) -> Row:
        quotes = self._quotes[symbol]
        return {
            "e": "aggTrade",
            "E": now,
            "s": symbol,
            "a": row.number,
            "p": quotes.price(row.price),
            "q": quotes.size(row.quantity),
            "nq": quotes.size(row.quantity),
            "f": row.number,
            "l": row.number,
            "T": row.time_ms,
            "m": row.buyer_maker,
            "st": _UM,
            "ps": symbol,
        }

    def _print(self, symbol: str, row: Print, now: int) -> Row:
        quotes = self._quotes[symbol]
        return {
            "e": "trade",
            "E": now,
            "T": row.time_ms,
            "s": symbol,
            "t": row.number,
            "p": quotes.price(row.price),
            "q": quotes.size(row.quantity),
            "X": "MARKET",
            "m": row.buyer_maker,
            "st": _UM,
            "ps": symbol,
        }

    def _kline(self, name: StreamName, kline: Kline, now: int, *, closed: bool) -> Row:
        quotes = self._quotes[kline.symbol]
        half = quotes.size(kline.volume / 2)
        continuous = name.topic is Topic.CONTINUOUS
        return {
            "e": "continuous_kline" if continuous else "kline",
            "E": now,
            **({"ct": "PERPETUAL"} if continuous else {"s": kline.symbol}),
            "k": {
                "t": kline.open_ms,
                "T": kline.close_ms,
                **({} if continuous else {"s": kline.symbol}),
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

    # --- from single events ----------------------------------------------------------------------

    def _liquidated(self, order: Order, trade: Trade) -> None:
        """A position was taken over: forceOrder, for the symbol and for all markets."""
        quotes, now = self._quotes[trade.symbol], self._clock.now_ms()
        price, quantity = quotes.price(trade.price), quotes.size(trade.quantity)
        event = {
            "e": "forceOrder",
            "E": now,
            "o": {
                "s": trade.symbol,
                "S": trade.side.value,
                "o": "LIMIT",
                "f": order.spec.tif.value,
                "q": quantity,
                "p": price,
                "ap": price,
                "X": order.state.value,
                "l": quantity,
                "z": quantity,
                "T": now,
                "st": _UM,
                "ps": trade.symbol,
            },
        }
        self._hub.publish(f"{trade.symbol.lower()}@forceOrder", event)
        self._hub.publish("!forceOrder@arr", event)

    def contract_changed(self, market: Market) -> None:
        """A contract's status changed: contractInfo."""
        contract = market.contract
        self._hub.publish(
            "!contractInfo",
            {
                "e": "contractInfo",
                "E": self._clock.now_ms(),
                "s": market.symbol,
                "ps": market.symbol,
                "ct": "PERPETUAL",
                "dt": PERPETUAL_END_MS,
                "ot": contract.onboard_ms,
                "cs": market.status,
                "bks": [
                    {
                        "bs": row.number,
                        "bnf": row.notional_floor,
                        "bnc": row.notional_cap,
                        "mmr": float(row.maint_margin_ratio),
                        "cf": number(row.cum),
                        "mi": 1,
                        "ma": row.initial_leverage,
                    }
                    for row in contract.brackets
                ],
                "st": _UM,
            },
        )

    # --- from timers -----------------------------------------------------------------------------

    async def beat(self, name: str) -> None:
        """Push one periodic family for ever, asleep while nobody listens."""
        beat = self.beats[name]
        push: Callable[[list[StreamName], int], None] = {
            "mark-1s": self._push_marks,
            "mark-3s": self._push_marks,
            "conditions": self._push_conditions,
            "ticker": self._push_tickers,
            "books": self._push_books,
        }.get(name, self._push_depth)
        while True:
            await beat.wanted.wait()
            now = self._clock.now_ms()
            await self._clock.sleep((beat.period_ms - now % beat.period_ms) / 1000)
            push(beat.streams, self._clock.now_ms())

    def _push_depth(self, streams: list[StreamName], now: int) -> None:
        self.depth.push(streams, self._exchange.markets, now)

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
        price, index = fixed(market.mark), fixed(market.index)
        due = self._exchange.next_funding_ms(now)
        return {
            "e": "markPriceUpdate",
            "E": now,
            "s": symbol,
            "p": price,
            "ap": price,
            "i": index,
            "P": index,
            "r": fixed(self._exchange.funding_rate(symbol, due)),
            "T": due,
            "st": _UM,
            "ps": symbol,
        }

    def _push_conditions(self, streams: list[StreamName], now: int) -> None:
        coins = {f"{asset}USD": asset for asset in self._exchange.ledger.wallets}
        for name in streams:
            if name.topic is Topic.SESSION:
                self._push_sessions(name, now)
            elif not name.symbol:
                self._hub.publish(name.text, [collateral_event(c, now) for c in coins.values()])
            elif name.symbol in coins:
                self._hub.publish(name.text, collateral_event(coins[name.symbol], now))

    def _push_sessions(self, name: StreamName, now: int) -> None:
        """Each market's session in a message of its own."""
        for market in MARKETS:
            session = session_at(market, now)
            event = {
                "e": f"{market.capitalize()}Update",
                "E": now,
                "t": session.start_ms,
                "T": session.end_ms,
                "S": session.kind,
            }
            self._hub.publish(name.text, event)

    def _push_books(self, streams: list[StreamName], now: int) -> None:
        for symbol in self._trading():
            market = self._exchange.markets[symbol]
            if self._books_seen.get(symbol) != market.view:
                self._books_seen[symbol] = market.view
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
