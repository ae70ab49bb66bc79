"""Candles and 24 h statistics of the paper exchange (floor 2c).

Built from the feed's closed minutes and ticks, so that every interval agrees with the one-minute
candles to the last decimal. Higher intervals are aligned to the UTC epoch as on Binance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.domain.market import timeframe_ms
from core.paper.candle_store import DAY_MS, QUOTE_DECIMALS, Row, SymbolStore, joined
from core.paper.model import PaperCandle, Tick


@dataclass(frozen=True, slots=True)
class Kline:
    """A candle of any interval; `close_ms` is its last millisecond, `closed` that it is over."""

    symbol: str
    interval: str
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: int
    quote_volume: Decimal
    trades: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Stats24h:
    """Rolling statistics of the last 24 hours, as of GET /fapi/v1/ticker/24hr."""

    symbol: str
    open_ms: int
    close_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int

    @property
    def change(self) -> Decimal:
        return self.last - self.open

    @property
    def change_percent(self) -> Decimal:
        return self.change / self.open * 100

    @property
    def weighted_average(self) -> Decimal:
        """Quote volume per base volume; the last price when nothing was traded."""
        return self.quote_volume / self.volume if self.volume else self.last


class CandleBook:
    """Candles of all symbols. Methods raise KeyError for a symbol it was not built with.

    A feed's sink in shape: ticks fill the open minute, `on_minute` replaces it by the exact candle.
    Where the source does not know the quote volume it is volume x mean of open, high, low, close.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self._stores = {symbol: SymbolStore() for symbol in symbols}

    def load(self, symbol: str, minutes: Sequence[PaperCandle]) -> None:
        """History, oldest first. Raises ValueError when a minute is not newer than the last."""
        self._stores[symbol].load(minutes)

    def on_tick(self, tick: Tick) -> None:
        self._stores[tick.symbol].tick(tick)

    def on_minute(self, candle: PaperCandle) -> None:
        """Raises ValueError when the minute is not newer than the last one."""
        self._stores[candle.symbol].close_minute(candle)

    def last_price(self, symbol: str) -> Decimal | None:
        """Price of the newest trade, None before the first."""
        return self._stores[symbol].last_price()

    def klines(
        self,
        symbol: str,
        interval: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
        *,
        now_ms: int,
    ) -> list[Kline]:
        """Candles oldest first, with the semantics of GET /fapi/v1/klines.

        Without `start_ms` the latest `limit` that open not after `end_ms`, the open one included;
        with it the oldest `limit` that open within both bounds. ValueError: unknown interval.
        """
        length = timeframe_ms(interval)
        store = self._stores[symbol]
        rows = store.groups(length, start_ms, end_ms, limit)
        newest = store.newest(length)
        if newest is not None and store.open_minute is not None:
            rows = _with_open(rows, newest, start_ms, end_ms, limit)
        return [self._kline(symbol, interval, length, row, now_ms) for row in rows]

    def current(self, symbol: str, interval: str, now_ms: int) -> Kline:
        """Newest candle: the one in progress, or the one just closed before the next first trade.

        O(1). Raises ValueError for an unknown interval and LookupError before the first trade.
        """
        length = timeframe_ms(interval)
        row = self._stores[symbol].newest(length)
        if row is None:
            raise LookupError(f"{symbol} has not traded yet")
        return self._kline(symbol, interval, length, row, now_ms)

    def stats_24h(self, symbol: str, now_ms: int) -> Stats24h:
        """Statistics of the 24 hours before `now_ms`. Raises LookupError before the first trade."""
        store = self._stores[symbol]
        last = store.last_price()
        if last is None:
            raise LookupError(f"{symbol} has not traded yet")
        row, opened = store.day.row(now_ms), store.opened()
        if opened is not None:
            row = opened if row is None else joined(row, opened, row.time)
        if row is None:  # nothing in 24 hours: a halted market
            zero = Decimal(0)
            return Stats24h(symbol, now_ms - DAY_MS, now_ms, last, last, last, last, zero, zero, 0)
        return Stats24h(
            symbol=symbol,
            open_ms=max(row.time, now_ms - DAY_MS),
            close_ms=now_ms,
            open=store.price(row.open),
            high=store.price(row.high),
            low=store.price(row.low),
            last=last,
            volume=store.volume(row.volume),
            quote_volume=_quote(row),
            trades=row.trades,
        )

    def _kline(self, symbol: str, interval: str, length: int, row: Row, now_ms: int) -> Kline:
        store = self._stores[symbol]
        return Kline(
            symbol=symbol,
            interval=interval,
            open_ms=row.time,
            open=store.price(row.open),
            high=store.price(row.high),
            low=store.price(row.low),
            close=store.price(row.close),
            volume=store.volume(row.volume),
            close_ms=row.time + length - 1,
            quote_volume=_quote(row),
            trades=row.trades,
            closed=row.time + length <= now_ms,
        )


def _quote(row: Row) -> Decimal:
    return Decimal(row.quote).scaleb(-QUOTE_DECIMALS)


def _with_open(
    rows: list[Row], newest: Row, start_ms: int | None, end_ms: int | None, limit: int
) -> list[Row]:
    """Put the candle in progress in its place, or leave it out when the bounds or limit do."""
    if rows and rows[-1].time == newest.time:
        return [*rows[:-1], newest]
    if end_ms is not None and newest.time > end_ms:
        return rows
    if start_ms is not None:
        return [*rows, newest] if newest.time >= start_ms and len(rows) < limit else rows
    return [*rows, newest][-limit:]
