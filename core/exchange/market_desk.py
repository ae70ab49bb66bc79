"""Public market data over REST (floor 2a): contracts, candles, tickers, book tops.

Caches: contracts 1 h, tickers 1 s, candles incremental (only what is missing is asked for).
"""

import asyncio

import msgspec

from core.domain.enums import Lane
from core.domain.instrument import Bracket, Instrument
from core.domain.market import BookTop, Candle, MarkPrice, Ticker24h, timeframe_ms
from core.domain.ports import Clock
from core.exchange import endpoints as ep
from core.exchange import rate_budget
from core.exchange import rest_bodies as rb
from core.exchange import rest_codec as rc
from core.exchange.gateway import Gateway
from core.exchange.symbols import SymbolMap

MARKETS_MAX_AGE_S = 3_600.0
TICKERS_MAX_AGE_S = 1.0
CANDLES_CACHED = 1_500

_INFO = msgspec.json.Decoder(rb.ExchangeInfoBody)
_BRACKETS = msgspec.json.Decoder(list[rb.BracketBody] | rb.BracketBody)
_KLINES = msgspec.json.Decoder(list[rb.KlineRow])
_TICKER = msgspec.json.Decoder(rb.TickerBody)
_TICKERS = msgspec.json.Decoder(list[rb.TickerBody])
_BOOKS = msgspec.json.Decoder(list[rb.BookBody])
_MARKS = msgspec.json.Decoder(list[rb.PremiumBody])

_LIMIT_NAMES = {
    ("REQUEST_WEIGHT", "MINUTE", 1): rate_budget.WEIGHT_1M,
    ("ORDERS", "SECOND", 10): rate_budget.ORDERS_10S,
    ("ORDERS", "MINUTE", 1): rate_budget.ORDERS_1M,
}


class MarketDesk:
    """Public calls of `OptimizedExchangeClient`."""

    def __init__(
        self, gateway: Gateway, symbols: SymbolMap, clock: Clock, *, has_credentials: bool
    ) -> None:
        self._gateway = gateway
        self._symbols = symbols
        self._clock = clock
        self._has_credentials = has_credentials
        self._contracts: tuple[Instrument, ...] = ()
        self._contracts_at = float("-inf")
        self._with_brackets = False
        self._by_symbol: dict[str, Instrument] = {}
        self._tickers: dict[str, Ticker24h] = {}
        self._tickers_at = float("-inf")
        self._candles: dict[tuple[str, str], list[Candle]] = {}
        self._loading = asyncio.Lock()

    def instrument(self, symbol: str) -> Instrument | None:
        """Contract by normal form, from the last load."""
        return self._by_symbol.get(symbol)

    async def exchange_info(self) -> bytes:
        """The raw exchangeInfo body, for the library's own market table."""
        return await self._gateway.call(ep.EXCHANGE_INFO, {}, Lane.DATA, bytes)

    async def load(
        self, *, brackets: bool, refresh: bool = False, lane: Lane = Lane.DATA
    ) -> tuple[Instrument, ...]:
        """All perpetual contracts, cached for an hour; brackets need an API key."""
        brackets = brackets and self._has_credentials
        async with self._loading:
            age = self._clock.monotonic() - self._contracts_at
            enough = self._with_brackets or not brackets
            if refresh or age > MARKETS_MAX_AGE_S or not enough:
                await self._load(lane, brackets=brackets or self._with_brackets)
        return self._contracts

    async def candles(
        self, symbol: str, timeframe: str, limit: int, start_ms: int | None
    ) -> list[Candle]:
        """Closed candles, oldest first: the `limit` after `start_ms`, or the newest `limit`."""
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        step = timeframe_ms(timeframe)
        if start_ms is not None:
            return await self._forward(symbol, timeframe, limit, start_ms)
        end_open = self._gateway.time.now_ms() // step * step
        first_open = end_open - limit * step
        cached = self._candles.get((symbol, timeframe), [])
        if cached and cached[0].open_ms <= first_open:
            begin = cached[-1].open_ms + step
        else:
            cached, begin = [], first_open
        missing = (end_open - begin) // step
        if missing > 0:
            cached = cached + await self._forward(symbol, timeframe, missing, begin)
            self._candles[symbol, timeframe] = cached[-CANDLES_CACHED:]
        return cached[-limit:]

    async def tickers(self) -> dict[str, Ticker24h]:
        """24 h statistics of every contract by symbol, at most a second old."""
        if self._clock.monotonic() - self._tickers_at > TICKERS_MAX_AGE_S:
            rows = await self._gateway.call(ep.TICKER_24H, {}, Lane.DATA, _TICKERS.decode)
            found = (rc.ticker(row, self._symbols) for row in rows)
            self._tickers = {ticker.symbol: ticker for ticker in found}
            self._tickers_at = self._clock.monotonic()
        return self._tickers

    async def ticker(self, symbol: str) -> Ticker24h:
        cached = self._tickers.get(symbol)
        if cached and self._clock.monotonic() - self._tickers_at <= TICKERS_MAX_AGE_S:
            return cached
        params = {"symbol": self._symbols.to_wire(symbol)}
        body = await self._gateway.call(ep.TICKER_24H, params, Lane.DATA, _TICKER.decode)
        return rc.ticker(body, self._symbols)

    async def book_tops(self) -> dict[str, BookTop]:
        rows = await self._gateway.call(ep.BOOK_TICKER, {}, Lane.DATA, _BOOKS.decode)
        found = (rc.book_top(row, self._symbols) for row in rows)
        return {top.symbol: top for top in found}

    async def mark_prices(self) -> dict[str, MarkPrice]:
        rows = await self._gateway.call(ep.PREMIUM_INDEX, {}, Lane.DATA, _MARKS.decode)
        found = (rc.mark_price(row, self._symbols) for row in rows)
        return {mark.symbol: mark for mark in found}

    async def _load(self, lane: Lane, *, brackets: bool) -> None:
        info = await self._gateway.call(ep.EXCHANGE_INFO, {}, lane, _INFO.decode)
        for row in info.rate_limits:
            name = _LIMIT_NAMES.get((row.rate_limit_type, row.interval, row.interval_num))
            if name is not None:
                self._gateway.budget.configure(name, row.limit)
        table: dict[str, tuple[Bracket, ...]] = {}
        if brackets:
            bodies = await self._gateway.call(ep.BRACKETS, {}, lane, _BRACKETS.decode)
            table = rc.bracket_table(bodies)
        self._contracts = rc.perpetuals(info, table)
        self._by_symbol = {contract.symbol: contract for contract in self._contracts}
        self._symbols.learn(self._contracts)
        self._contracts_at = self._clock.monotonic()
        self._with_brackets = brackets

    async def _forward(
        self, symbol: str, timeframe: str, limit: int, start_ms: int
    ) -> list[Candle]:
        """Up to `limit` closed candles from `start_ms` on, page by page."""
        step = timeframe_ms(timeframe)
        found: list[Candle] = []
        begin = start_ms
        while len(found) < limit:
            # One more than needed, because the newest row is the candle still open.
            ask = min(limit - len(found) + 1, ep.KLINE_PAGE)
            params = {
                "symbol": self._symbols.to_wire(symbol),
                "interval": timeframe,
                "startTime": str(begin),
                "limit": str(ask),
            }
            rows = await self._gateway.call(
                ep.KLINES, params, Lane.DATA, _KLINES.decode, weight=ep.kline_weight(ask)
            )
            page = rc.closed_candles(rows, self._gateway.time.now_ms())
            found.extend(page)
            if len(page) < ask:
                break
            begin = page[-1].open_ms + step
        return found[:limit]
