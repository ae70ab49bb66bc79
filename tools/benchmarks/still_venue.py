"""An exchange on which nothing moves (floor 8): it answers at once and without a network.

It knows the entries it was given as open orders. What the order manager sends goes to `place`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal

from core.domain.account import (
    AccountConfig,
    Balance,
    ExchangePosition,
    IncomeRow,
    RuleIndicator,
    SymbolConfig,
)
from core.domain.enums import ExitReason, Lane
from core.domain.instrument import Instrument
from core.domain.intent import OrderRequest
from core.domain.market import BookTop, MarkPrice
from core.domain.order import OrderRecord
from core.domain.ports import Clock
from core.domain.position import Fill, OrderSnapshot
from tools.benchmarks.figures import SectionFailed

Place = Callable[[OrderRequest, Lane], Awaitable[OrderSnapshot]]


class StandingPrices:
    """`core.domain.ports.PriceView` at one price for ever."""

    def __init__(self, price: Decimal, clock: Clock) -> None:
        self._price = price
        self._clock = clock

    def mark(self, symbol: str) -> MarkPrice | None:
        return MarkPrice(symbol, self._price, Decimal(0), 0, self._clock.now_ms())

    def book(self, symbol: str) -> BookTop | None:
        some = Decimal(1)
        return BookTop(symbol, self._price, some, self._price, some, self._clock.now_ms())


class StillRisk:
    """`core.domain.ports.RiskPort`: no trade ends and no money moves during a measurement."""

    cleared_ms = 0

    def halt(self, reason: str, who: str) -> None:
        raise SectionFailed(f"{who} halted: {reason}")

    def note_transfer(self, amount: Decimal) -> None:
        raise SectionFailed(f"{amount} was transferred")

    def trade_closed(
        self, trade_id: str, symbol: str, net: Decimal, reason: ExitReason, at_ms: int
    ) -> None:
        raise SectionFailed(f"{symbol} was closed: {reason}")


class StillVenue:
    """`core.domain.ports.ExchangePort` and `InstrumentSource` of a measurement."""

    recv_window_ms = 5_000

    def __init__(self, clock: Clock, instruments: Sequence[Instrument], place: Place) -> None:
        self._clock = clock
        self._instruments = {each.symbol: each for each in instruments}
        self._place = place
        self._open: dict[str, OrderSnapshot] = {}

    def list_open(self, record: OrderRecord, order_id: int) -> None:
        """`record` is an open order from now on."""
        intent = record.intent
        self._open[record.client_id] = OrderSnapshot(
            symbol=intent.symbol,
            client_id=record.client_id,
            order_id=order_id,
            algo_id=0,
            side=intent.side,
            kind=intent.kind.value,
            conditional=False,
            status=record.status,
            quantity=intent.quantity,
            price=Decimal(0),
            trigger_price=Decimal(0),
            executed=Decimal(0),
            average_price=None,
            reduce_only=False,
            update_ms=intent.created_ms,
        )

    async def get_instruments(
        self, *, refresh: bool = False, lane: Lane = Lane.DATA
    ) -> tuple[Instrument, ...]:
        return tuple(self._instruments.values())

    def instrument(self, symbol: str) -> Instrument | None:
        return self._instruments.get(symbol)

    def exchange_now_ms(self) -> int:
        return self._clock.now_ms()

    def clock_error_ms(self) -> int:
        return 1

    async def submit(self, request: OrderRequest, lane: Lane) -> OrderSnapshot:
        return await self._place(request, lane)

    async def cancel(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        return self._open.get(client_id)

    async def query(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        return self._open.get(client_id)

    async def get_open_orders(self, symbol: str | None = None) -> tuple[OrderSnapshot, ...]:
        return tuple(self._open.values())

    def protecting(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def get_past_orders(self, symbol: str) -> tuple[OrderSnapshot, ...]:
        return ()

    async def get_positions(self) -> tuple[ExchangePosition, ...]:
        return ()

    async def get_balances(self) -> tuple[Balance, ...]:
        return ()

    async def get_trades(
        self, symbol: str, *, order_id: int | None = None, start_ms: int | None = None
    ) -> tuple[Fill, ...]:
        return ()

    async def get_income(
        self, *, kind: str | None = None, start_ms: int | None = None
    ) -> tuple[IncomeRow, ...]:
        return ()

    async def get_rule_indicators(self) -> tuple[RuleIndicator, ...]:
        return ()

    async def get_account_config(self) -> AccountConfig:
        return AccountConfig(can_trade=True, hedge_mode=False, multi_assets=False)

    async def get_symbol_configs(self) -> tuple[SymbolConfig, ...]:
        return ()

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        return None

    async def set_isolated(self, symbol: str) -> None:
        return None


async def never_answers(request: OrderRequest, lane: Lane) -> OrderSnapshot:
    """`Place` for measurements to which what is sent does not belong."""
    await asyncio.Event().wait()
    raise SectionFailed(f"{request.client_id} in lane {lane} was answered")
