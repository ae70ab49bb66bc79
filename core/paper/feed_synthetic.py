"""An endless invented market, the same for the same seed and start (floor 2c).

Its prices are simulated and `simulated` and `describe` say so. History and what follows are one
process (`market_model`); every price is a multiple of its contract's tick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from core.domain.ports import Clock
from core.kernel.chance import Chance
from core.paper.market_model import BLOCK_MINUTES, Block, MarketModel, SymbolModel
from core.paper.model import Contract, FeedSink, PaperCandle, Tick
from core.paper.pacing import wait_until

MINUTE_MS = 60_000
HISTORY_MINUTES = 4_600
"""300 candles of 15 minutes and some."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Minutes:
    """Closed minutes of one symbol as whole ticks and steps; `quote` in tick x step."""

    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    quote: Integers
    trades: Integers

    @staticmethod
    def of(block: Block, ticks_per_minute: int) -> "_Minutes":
        price = block.price.reshape(-1, ticks_per_minute)
        volume = block.volume.reshape(-1, ticks_per_minute)
        return _Minutes(
            open=price[:, 0],
            high=price.max(axis=1),
            low=price.min(axis=1),
            close=price[:, -1],
            volume=volume.sum(axis=1),
            quote=(price * volume).sum(axis=1),
            trades=np.count_nonzero(volume, axis=1).astype(np.int64),
        )

    @staticmethod
    def joined(parts: "list[_Minutes]") -> "_Minutes":
        return _Minutes(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("open", "high", "low", "close", "volume", "quote", "trades")
            )
        )


class SyntheticFeed:
    """`contracts` become the symbols. History reaches back at least `history_minutes`.

    `start_ms` is rounded down to a minute, `tick_ms` must divide a minute (ValueError).
    """

    def __init__(
        self,
        contracts: Sequence[Contract],
        seed: int,
        start_ms: int,
        history_minutes: int = HISTORY_MINUTES,
        tick_ms: int = 5_000,
    ) -> None:
        if tick_ms <= 0 or MINUTE_MS % tick_ms:
            raise ValueError(f"tick_ms must divide {MINUTE_MS}, got {tick_ms}")
        self._contracts = {contract.symbol: contract for contract in contracts}
        self._seed = seed
        self._start = start_ms - start_ms % MINUTE_MS
        self._tick_ms = tick_ms
        self._per_minute = MINUTE_MS // tick_ms
        chance = Chance(seed)
        models = {
            symbol: SymbolModel(
                contract, chance.stream(f"synthetic/{contract.base}"), self._per_minute
            )
            for symbol, contract in self._contracts.items()
        }
        self._market = MarketModel(models, chance.stream("synthetic/market"), self._per_minute)
        blocks = -(-history_minutes // BLOCK_MINUTES)
        self._next_ms = self._start - blocks * BLOCK_MINUTES * MINUTE_MS
        self._history_ms = self._next_ms
        self._history = self._past(blocks)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._contracts)

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
        start = datetime.fromtimestamp(self._start / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        return (
            f"SYNTHETIC PRICES: invented market of {len(self._contracts)} symbols, seed"
            f" {self._seed}, from {start} UTC, no end"
        )

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        """Raises KeyError for an unknown symbol."""
        past = self._history.get(symbol)
        if past is None:
            if symbol not in self._contracts:
                raise KeyError(symbol)
            return ()
        contract = self._contracts[symbol]
        columns = (past.open, past.high, past.low, past.close, past.volume, past.quote, past.trades)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(
            _candle(contract, self._history_ms + n * MINUTE_MS, row) for n, row in enumerate(rows)
        )

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        """Never ends by itself. Never skips: when the clock is ahead, ticks come at once."""
        while True:
            start = self._next_ms
            blocks = self._advance()
            minutes = {
                symbol: _Minutes.of(block, self._per_minute) for symbol, block in blocks.items()
            }
            for minute in range(BLOCK_MINUTES):
                await self._play_minute(start, minute, blocks, sink, clock)
                await wait_until(clock, start + (minute + 1) * MINUTE_MS)
                for symbol, contract in self._contracts.items():
                    sink.on_minute(
                        _minute(contract, start + minute * MINUTE_MS, minutes[symbol], minute)
                    )

    async def _play_minute(
        self, start: int, minute: int, blocks: dict[str, Block], sink: FeedSink, clock: Clock
    ) -> None:
        for index in range(minute * self._per_minute, (minute + 1) * self._per_minute):
            time = start + index * self._tick_ms
            await wait_until(clock, time)
            for symbol, contract in self._contracts.items():
                block = blocks[symbol]
                price = int(block.price[index]) * contract.tick
                volume = int(block.volume[index]) * contract.step
                sink.on_tick(Tick(symbol, time, price, volume, bool(block.gap[index])))

    def _advance(self) -> dict[str, Block]:
        blocks = self._market.block(self._next_ms // MINUTE_MS)
        self._next_ms += BLOCK_MINUTES * MINUTE_MS
        return blocks

    def _past(self, blocks: int) -> dict[str, _Minutes]:
        parts: dict[str, list[_Minutes]] = {symbol: [] for symbol in self._contracts}
        for _ in range(blocks):
            for symbol, block in self._advance().items():
                parts[symbol].append(_Minutes.of(block, self._per_minute))
        return {symbol: _Minutes.joined(part) for symbol, part in parts.items() if part}


def _candle(
    contract: Contract, open_ms: int, row: tuple[int, int, int, int, int, int, int]
) -> PaperCandle:
    opened, high, low, close, volume, quote, trades = row
    tick, step = contract.tick, contract.step
    return PaperCandle(
        symbol=contract.symbol,
        open_ms=open_ms,
        open=opened * tick,
        high=high * tick,
        low=low * tick,
        close=close * tick,
        volume=volume * step,
        quote_volume=quote * (tick * step),
        trades=trades,
    )


def _minute(contract: Contract, open_ms: int, minutes: _Minutes, n: int) -> PaperCandle:
    m = minutes
    columns = (m.open, m.high, m.low, m.close, m.volume, m.quote, m.trades)
    opened, high, low, close, volume, quote, trades = (int(column[n]) for column in columns)
    return _candle(contract, open_ms, (opened, high, low, close, volume, quote, trades))
