"""Values and seams shared by the rooms of the paper exchange (floor 2c).

Symbols here are the exchange's own (`BTCUSDC`). Prices, quantities and volumes are Decimal.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import msgspec

from core.domain.ports import Clock


@dataclass(frozen=True, slots=True)
class PaperBracket:
    """Row of the leverage table; caps in the quote coin."""

    number: int
    initial_leverage: int
    notional_floor: int
    notional_cap: int
    maint_margin_ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class Contract:
    """One perpetual with its real filters (exchangeInfo) and brackets (leverageBracket)."""

    symbol: str
    base: str
    quote: str
    price_precision: int
    quantity_precision: int
    tick: Decimal
    min_price: Decimal
    max_price: Decimal
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    percent_up: Decimal
    percent_down: Decimal
    max_orders: int
    trigger_protect: Decimal
    market_take_bound: Decimal
    liquidation_fee: Decimal
    onboard_ms: int
    brackets: tuple[PaperBracket, ...]


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The last trade price moved to `price` at `time_ms`; `volume` base traded since the last tick.

    Between two ticks inside one candle the price travels continuously (so a trigger between them is
    hit at its own price); `gap` True means it jumped, as between two candles or over a feed gap.
    """

    symbol: str
    time_ms: int
    price: Decimal
    volume: Decimal
    gap: bool


class PaperCandle(msgspec.Struct, frozen=True, gc=False):
    """A one-minute candle exactly as the source has it."""

    symbol: str
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int


class FeedSink(Protocol):
    """The exchange's ear. Calls come in time order."""

    def on_tick(self, tick: Tick) -> None: ...

    def on_minute(self, candle: PaperCandle) -> None:
        """A minute closed. Comes after the minute's last tick, before the next minute's first."""
        ...


class Feed(Protocol):
    """A price source. `describe` is one line that never hides what is simulated."""

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def start_ms(self) -> int:
        """UTC ms at which the exchange opens; everything before it is history."""
        ...

    @property
    def end_ms(self) -> int | None:
        """Last instant with data, None when endless."""
        ...

    @property
    def simulated(self) -> bool:
        """True when prices are invented (synthetic), False for real recorded or live ones."""
        ...

    def describe(self) -> str: ...

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        """Closed minutes before `start_ms`, oldest first."""
        ...

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        """Deliver ticks and minutes at their times on `clock` until the end or cancellation."""
        ...
