"""A price source that a test moves by hand."""

import asyncio
from decimal import Decimal

from core.domain.ports import Clock
from core.paper.model import FeedSink, PaperCandle, Tick


class HandFeed:
    """`push` moves the price now; history is flat minutes at the first price."""

    def __init__(self, prices: dict[str, str], start_ms: int, minutes: int = 5_000) -> None:
        self._prices = {symbol: Decimal(price) for symbol, price in prices.items()}
        self._start = start_ms - start_ms % 60_000
        self._minutes = minutes
        self._sink: FeedSink | None = None
        self._clock: Clock | None = None
        self._running = asyncio.Event()

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._prices)

    @property
    def start_ms(self) -> int:
        return self._start

    @property
    def end_ms(self) -> int | None:
        return None

    @property
    def simulated(self) -> bool:
        return True

    def describe(self) -> str:
        return "prices moved by hand"

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        price = self._prices[symbol]
        first = self._start - self._minutes * 60_000
        return tuple(
            PaperCandle(
                symbol=symbol,
                open_ms=first + number * 60_000,
                open=price,
                high=price,
                low=price,
                close=price,
                volume=Decimal(1000),
                quote_volume=price * 1000,
                trades=10,
            )
            for number in range(self._minutes)
        )

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        for symbol, price in self._prices.items():
            sink.on_tick(Tick(symbol, clock.now_ms(), price, Decimal(0), gap=True))
        await self._running.wait()

    def push(self, symbol: str, price: str, *, gap: bool = False) -> None:
        """The last price is now `price`; it travelled there unless `gap`."""
        assert self._sink is not None
        assert self._clock is not None
        tick = Tick(symbol, self._clock.now_ms(), Decimal(price), Decimal(100), gap=gap)
        self._sink.on_tick(tick)
