"""`OptimizedExchangeClient`: Binance USDⓈ-M over ccxt (floor 2a).

With `core.exchange.library` the only code that touches ccxt: for signing and routing through its
implicit endpoint methods with parameters of our own (the unified calls lag the exchange). Numbers
leave as plain strings; answers are domain values, failures the family of `core.domain.errors`.

Order answers: MARKET orders and immediate limits (IOC, FOK) ask for RESULT, so the executed
quantity is known from the answer; everything else asks for the faster ACK. No order answer carries
a fill price: it comes from the user stream, or from `get_trades`.

Keeps INV-04, INV-08 and INV-14 (through `core.exchange.gateway`).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Protocol, TypeVar

import msgspec

from core.domain.account import (
    AccountConfig,
    Balance,
    ExchangePosition,
    IncomeRow,
    KeyPermissions,
    RuleIndicator,
    SymbolConfig,
)
from core.domain.enums import (
    ContractStatus,
    Lane,
    OrderKind,
    Side,
    TakeProfitStyle,
    TimeInForce,
    WorkingType,
)
from core.domain.instrument import Instrument
from core.domain.intent import OrderRequest
from core.domain.market import BookTop, Candle, MarkPrice, Ticker24h
from core.domain.money import decimal
from core.domain.ports import Clock
from core.domain.position import Fill, OrderSnapshot
from core.exchange.account_desk import AccountDesk
from core.exchange.endpoints import Endpoints
from core.exchange.gateway import REQUEST_TIMEOUT_S, ConnectorFactory, Gateway, protecting
from core.exchange.library import Credentials, open_library
from core.exchange.market_desk import MARKETS_MAX_AGE_S, MarketDesk
from core.exchange.order_desk import OrderDesk
from core.exchange.preflight import Preflight, verify
from core.exchange.rate_budget import BudgetView
from core.exchange.symbols import SymbolMap
from core.ids import make_client_id

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Number = Decimal | int | str | float
"""Amounts in the call forms kept for scripts; a float is read through its shortest text."""

RECV_WINDOW_MS = 5_000


class OptimizedExchangeClient:
    """REST access to one account on one venue. Symbols are normal forms, amounts Decimals.

    Every method raises only the family of `core.domain.errors`. `on_ban` hears the end (UTC ms) of
    a ban, for whoever remembers it across a restart; `banned_until_ms` gives it back.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        credentials: Credentials | None,
        clock: Clock,
        *,
        quote_coin: str = "USDC",
        recv_window_ms: int = RECV_WINDOW_MS,
        timeout_s: float = REQUEST_TIMEOUT_S,
        banned_until_ms: int = 0,
        on_ban: Callable[[int], None] | None = None,
        connector: ConnectorFactory | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.quote_coin = quote_coin
        self.symbols = SymbolMap()
        self._clock = clock
        self._markets: dict[str, Mapping[str, object]] = {}
        self._markets_at = float("-inf")
        self._recv_window_ms = recv_window_ms
        self._api = open_library(endpoints, credentials, recv_window_ms)
        has_credentials = credentials is not None
        self._gateway = Gateway(
            self._api,
            endpoints,
            clock,
            has_credentials=has_credentials,
            banned_until_ms=banned_until_ms,
            on_ban=on_ban,
            connector=connector,
            timeout_s=timeout_s,
        )
        self._orders = OrderDesk(self._gateway, self.symbols)
        self._account = AccountDesk(self._gateway, self.symbols)
        self._market = MarketDesk(
            self._gateway, self.symbols, clock, has_credentials=has_credentials
        )

    # --- life ------------------------------------------------------------------------------------

    async def initialize(self) -> None:
        """Measure the clock and load contracts and limits. Needs no API key."""
        with protecting():  # a position may be waiting behind a start
            await self._gateway.sync_time()
            await self._market.load(brackets=False)

    async def close(self) -> None:
        """Close all connections; the client cannot be used afterwards."""
        await self._gateway.close()

    async def verify_permissions(self) -> Preflight:
        """Whether account and key can trade. Raises AccountError with the way to mend it."""
        with protecting():
            return await verify(
                self._account,
                self._orders,
                self._market,
                quote_coin=self.quote_coin,
                production=self.endpoints.is_production,
                clock_error_ms=self.clock_error_ms(),
            )

    def protecting(self) -> AbstractContextManager[None]:
        """Calls inside the block go in the lane of protection, whatever lane is theirs."""
        return protecting()

    # --- time and budget -------------------------------------------------------------------------

    def exchange_now_ms(self) -> int:
        return self._gateway.time.now_ms()

    def clock_error_ms(self) -> int:
        return self._gateway.time.error_ms()

    @property
    def recv_window_ms(self) -> int:
        return self._recv_window_ms

    @property
    def budget(self) -> BudgetView:
        """Use of the exchange's limits, for metrics."""
        return self._gateway.budget.view()

    async def server_time(self) -> int:
        """Measure the exchange's clock once and return its time (UTC ms)."""
        await self._gateway.sync_time(1)
        return self.exchange_now_ms()

    # --- market ----------------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument | None:
        return self._market.instrument(symbol)

    async def get_instruments(
        self, *, refresh: bool = False, lane: Lane = Lane.DATA
    ) -> tuple[Instrument, ...]:
        """Every perpetual contract; with leverage brackets when there is an API key."""
        return await self._market.load(brackets=True, refresh=refresh, lane=lane)

    async def get_markets(self) -> dict[str, Mapping[str, object]]:
        """ccxt's market table by symbol, at most an hour old, for code that expects its form."""
        now = self._clock.monotonic()
        if now - self._markets_at > MARKETS_MAX_AGE_S:
            body = await self._market.exchange_info()
            rows = self._api.parse_markets(msgspec.json.decode(body)["symbols"])
            self._markets = {str(row["symbol"]): row for row in rows}
            self._markets_at = now
        return self._markets

    async def get_usdc_symbols(self) -> list[str]:
        """Tradable perpetuals quoted and settled in the configured coin, sorted."""
        coin = self.quote_coin
        return sorted(
            each.symbol
            for each in await self._market.load(brackets=False)
            if each.quote == coin and each.settle == coin and each.status is ContractStatus.TRADING
        )

    async def get_candles(
        self, symbol: str, timeframe: str, limit: int = 300, start_ms: int | None = None
    ) -> list[Candle]:
        """Closed candles, oldest first: the newest `limit`, or `limit` from `start_ms` (UTC ms)."""
        return await self._market.candles(symbol, timeframe, limit, start_ms)

    async def get_ohlcv(
        self, symbol: str, timeframe: str, limit: int = 300, start_ms: int | None = None
    ) -> list[Candle]:
        """Older name of `get_candles`."""
        return await self.get_candles(symbol, timeframe, limit, start_ms)

    async def get_ticker(self, symbol: str) -> Ticker24h:
        return await self._market.ticker(symbol)

    async def get_tickers(self) -> dict[str, Ticker24h]:
        return await self._market.tickers()

    async def get_book_tops(self) -> dict[str, BookTop]:
        return await self._market.book_tops()

    async def get_mark_prices(self) -> dict[str, MarkPrice]:
        return await self._market.mark_prices()

    # --- orders ----------------------------------------------------------------------------------

    async def submit(self, request: OrderRequest, lane: Lane) -> OrderSnapshot:
        """Place one order. A duplicate id (-4116) is an unknown outcome: the first one lives."""
        return await self._orders.submit(request, lane)

    async def test_order(self, request: OrderRequest) -> None:
        """Have the exchange validate a plain order without placing it."""
        await self._orders.test(request)

    async def cancel(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        return await self._orders.cancel(symbol, client_id, conditional=conditional, lane=lane)

    async def query(
        self, symbol: str, client_id: str, *, conditional: bool, lane: Lane
    ) -> OrderSnapshot | None:
        return await self._orders.query(symbol, client_id, conditional=conditional, lane=lane)

    async def get_open_orders(self, symbol: str | None = None) -> tuple[OrderSnapshot, ...]:
        return await self._orders.open_orders(symbol)

    async def get_past_orders(self, symbol: str) -> tuple[OrderSnapshot, ...]:
        return await self._orders.past_orders(symbol)

    async def get_trades(
        self, symbol: str, *, order_id: int | None = None, start_ms: int | None = None
    ) -> tuple[Fill, ...]:
        return await self._account.trades(symbol, order_id=order_id, start_ms=start_ms)

    # --- account ---------------------------------------------------------------------------------

    async def get_positions(self) -> tuple[ExchangePosition, ...]:
        return await self._account.positions()

    async def get_balances(self) -> tuple[Balance, ...]:
        return await self._account.balances()

    async def get_income(
        self, *, kind: str | None = None, start_ms: int | None = None
    ) -> tuple[IncomeRow, ...]:
        return await self._account.income(kind=kind, start_ms=start_ms)

    async def get_account_config(self) -> AccountConfig:
        return await self._account.config()

    async def get_symbol_configs(self) -> tuple[SymbolConfig, ...]:
        return await self._account.symbol_configs()

    async def get_rule_indicators(self) -> tuple[RuleIndicator, ...]:
        return await self._account.rule_indicators()

    async def get_key_permissions(self) -> KeyPermissions | None:
        """What the key may do; None where the venue has no such endpoint."""
        return await self._account.key_permissions() if self.endpoints.is_production else None

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        await self._account.set_leverage(symbol, leverage)

    async def set_isolated(self, symbol: str) -> None:
        await self._account.set_margin_type(symbol, isolated=True)

    async def set_margin_mode(self, symbol: str, mode: str) -> None:
        """`mode` is `isolated` or `cross`. Already set is success."""
        if mode not in ("isolated", "cross"):
            raise ValueError(f"margin mode {mode!r} is not one of isolated, cross")
        await self._account.set_margin_type(symbol, isolated=mode == "isolated")

    async def create_listen_key(self) -> str:
        return await self._account.create_listen_key()

    async def keep_listen_key(self) -> None:
        """Extend the listen key by 60 min. Refused with code -1125 when it is gone."""
        await self._account.keep_listen_key()

    # --- call forms kept for scripts -------------------------------------------------------------

    async def get_balance(self) -> dict[str, dict[str, Decimal]]:
        """Balances by coin: `free`, `used`, `total` (wallet and unrealised)."""
        return {
            each.asset: {
                "free": each.available,
                "used": each.equity - each.available,
                "total": each.equity,
            }
            for each in await self._account.balances()
        }

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: Number,
        price: Number | None = None,
        params: Mapping[str, object] | None = None,
    ) -> OrderSnapshot:
        """ccxt's call form. Without `newClientOrderId` the id follows from the arguments and time.

        Understood in `params`: stopPrice or triggerPrice, reduceOnly, workingType, timeInForce,
        newClientOrderId, clientOrderId or clientAlgoId.
        """
        extra = {} if params is None else dict(params)
        kind = OrderKind(type.upper())
        trigger = extra.get("triggerPrice", extra.get("stopPrice"))
        working = extra.get("workingType")
        force = extra.get("timeInForce")
        request = OrderRequest(
            client_id=self._client_id(extra, symbol, side, str(amount)),
            symbol=symbol,
            side=Side(side.upper()),
            kind=kind,
            quantity=_amount(amount),
            price=None if price is None else _amount(price),
            trigger_price=None if trigger is None else _amount(trigger),
            working_type=None if working is None else WorkingType(str(working)),
            time_in_force=None if force is None else TimeInForce(str(force)),
            reduce_only=str(extra.get("reduceOnly", False)).lower() == "true",
        )
        return await self.submit(request, Lane.PROTECT if request.reduce_only else Lane.MANAGE)

    async def create_stop_loss_order(
        self, symbol: str, side: str, qty: Number, stop_price: Number, cfg: "BracketConfig"
    ) -> OrderSnapshot:
        return await create_stop_loss_order(self, symbol, side, qty, stop_price, cfg)

    async def create_take_profit_order(
        self, symbol: str, side: str, qty: Number, tp_price: Number, cfg: "BracketConfig"
    ) -> OrderSnapshot:
        return await create_take_profit_order(self, symbol, side, qty, tp_price, cfg)

    async def cancel_order(
        self, symbol: str, client_id: str, *, conditional: bool = False
    ) -> OrderSnapshot | None:
        return await self.cancel(symbol, client_id, conditional=conditional, lane=Lane.PROTECT)

    async def fetch_order_by_client_id(
        self, symbol: str, client_id: str, *, conditional: bool = False
    ) -> OrderSnapshot | None:
        return await self.query(symbol, client_id, conditional=conditional, lane=Lane.MANAGE)

    def _client_id(self, params: Mapping[str, object], symbol: str, side: str, amount: str) -> str:
        for name in ("newClientOrderId", "clientOrderId", "clientAlgoId"):
            if params.get(name):
                return str(params[name])
        return make_client_id("cli", "man", symbol, side, self.exchange_now_ms(), nonce=amount)


class BracketConfig(Protocol):
    """What the bracket functions read of the configuration."""

    @property
    def working_type(self) -> WorkingType | str: ...

    @property
    def tp_order_style(self) -> TakeProfitStyle | str: ...


class CreatesOrders(Protocol[T_co]):
    """This client, or any ccxt exchange."""

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: Number,
        price: Number | None = None,
        params: Mapping[str, object] | None = None,
    ) -> T_co: ...


async def create_stop_loss_order(
    exchange: CreatesOrders[T],
    symbol: str,
    side: str,
    qty: Number,
    stop_price: Number,
    cfg: BracketConfig,
) -> T:
    """Reduce-only STOP_MARKET on `side` (the closing side) of an existing position."""
    params = {
        "stopPrice": stop_price,
        "reduceOnly": True,
        "workingType": WorkingType(cfg.working_type).value,
    }
    return await exchange.create_order(symbol, "STOP_MARKET", side, qty, None, params)


async def create_take_profit_order(
    exchange: CreatesOrders[T],
    symbol: str,
    side: str,
    qty: Number,
    tp_price: Number,
    cfg: BracketConfig,
) -> T:
    """Reduce-only take-profit on `side` (the closing side): limit or market by `tp_order_style`."""
    kind = _take_profit_kind(cfg.tp_order_style)
    params: dict[str, object] = {
        "stopPrice": tp_price,
        "reduceOnly": True,
        "workingType": WorkingType(cfg.working_type).value,
    }
    limit = kind is OrderKind.TAKE_PROFIT
    if limit:
        params["timeInForce"] = TimeInForce.GTC.value
    return await exchange.create_order(
        symbol, kind.value, side, qty, tp_price if limit else None, params
    )


def _take_profit_kind(style: TakeProfitStyle | str) -> OrderKind:
    if style in (OrderKind.TAKE_PROFIT.value, OrderKind.TAKE_PROFIT_MARKET.value):
        return OrderKind(style)
    return TakeProfitStyle(style).kind


def _amount(value: object) -> Decimal:
    """Exact Decimal of a script's number; a float means its shortest text."""
    return decimal(str(value)) if not isinstance(value, Decimal) else value
