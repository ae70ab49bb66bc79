"""Builders shared by the tests of the paper exchange."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
from yarl import URL

from core.domain.enums import ExecutionType, OrderKind, Side, TimeInForce, WorkingType
from core.domain.ports import Clock
from core.paper.contracts import build_contracts, listed_contracts
from core.paper.events import AccountChange, MarginCall
from core.paper.exchange import PaperExchange
from core.paper.limits import sign
from core.paper.model import FeedSink, PaperCandle, Tick
from core.paper.records import AlgoOrder, AlgoSpec, Order, OrderSpec, StpMode, Trade
from core.paper.server import PaperEndpoints, PaperServer

D = Decimal
API_KEY = "paper-key"
API_SECRET = "paper-secret"
START_MS = 1_750_000_020_000
"""A whole minute, not a funding time."""
ALL_CONTRACTS = listed_contracts(("USDC", "USDT"))
CONTRACTS = build_contracts("USDC")
BTC = "BTCUSDC"
TETHER = "BTCUSDT"
ADA = "ADAUSDC"
PRICES = {BTC: D(60_000), ADA: D("0.5")}


def candle(symbol: str, open_ms: int, price: Decimal) -> PaperCandle:
    return PaperCandle(
        symbol=symbol,
        open_ms=open_ms,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=D(10),
        quote_volume=price * 10,
        trades=7,
    )


class StillFeed:
    """A feed with flat history that ends when told; tests push its ticks themselves."""

    def __init__(
        self, start_ms: int, minutes: int = 180, prices: Mapping[str, Decimal] = PRICES
    ) -> None:
        self._prices = prices
        self.symbols = tuple(prices)
        self.start_ms = start_ms // 60_000 * 60_000
        self.end_ms = None
        self.simulated = True
        self.ending = asyncio.Event()
        self._minutes = minutes

    def describe(self) -> str:
        return "still"

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        first = self.start_ms - self._minutes * 60_000
        return tuple(
            candle(symbol, first + n * 60_000, self._prices[symbol]) for n in range(self._minutes)
        )

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        await self.ending.wait()


@dataclass
class Recorder:
    """Collects what the engine says, in order, as short tuples and in full."""

    log: list[tuple[str, ...]] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    accounts: list[AccountChange] = field(default_factory=list)

    def order_changed(
        self, order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int
    ) -> None:
        self.log.append(("order", execution.value, order.state.value))
        if trade is not None:
            self.trades.append(trade)

    def account_changed(self, change: AccountChange, now_ms: int) -> None:
        self.log.append(("account", change.reason))
        self.accounts.append(change)

    def algo_changed(self, algo: AlgoOrder, now_ms: int) -> None:
        self.log.append(("algo", algo.status.value))

    def leverage_changed(self, symbol: str, leverage: int, now_ms: int) -> None:
        self.log.append(("leverage", symbol, str(leverage)))

    def margin_called(
        self, calls: Sequence[MarginCall], cross_wallet: Decimal, now_ms: int
    ) -> None:
        for call in calls:
            self.log.append(("margin-call", call.position.symbol, call.position.side.value))

    def multi_assets_changed(self, now_ms: int, *, enabled: bool) -> None:
        self.log.append(("multi-assets", str(enabled)))


class Bench:
    """An exchange without network, at a hand-driven time and price."""

    def __init__(
        self,
        balance: str = "1000",
        seed: int = 7,
        isolated: bool = True,
        also: Mapping[str, str] | None = None,
        events: Recorder | None = None,
    ) -> None:
        """`also` are start wallets of further coins, whose BTC contract trades too."""
        self.now = START_MS
        self.events = events or Recorder()
        wallets = {"USDC": balance, **(also or {})}
        prices = PRICES | {f"BTC{coin}": PRICES[BTC] for coin in also or {}}
        listed = {symbol: ALL_CONTRACTS[symbol] for symbol in prices}
        self.exchange = PaperExchange(
            listed, {coin: D(text) for coin, text in wallets.items()}, self.events, self.time, seed
        )
        for symbol, price in prices.items():
            self.exchange.set_price(symbol, price, self.now)
            if isolated:
                self.exchange.set_isolated(symbol, isolated=True)
        self.events.log.clear()
        self._ids = 0

    def time(self) -> int:
        return self.now

    def tick(
        self, price: str, symbol: str = BTC, *, gap: bool = False, volume: str = "1", ms: int = 1000
    ) -> None:
        self.now += ms
        self.exchange.on_tick(Tick(symbol, self.now, D(price), D(volume), gap))

    def path(self, prices: Iterable[str], symbol: str = BTC) -> None:
        for price in prices:
            self.tick(price, symbol)

    def client_id(self) -> str:
        self._ids += 1
        return f"test-{self._ids}"

    def spec(
        self,
        side: Side,
        quantity: str,
        price: str = "0",
        *,
        tif: TimeInForce = TimeInForce.GTC,
        reduce_only: bool = False,
        symbol: str = BTC,
        stp_mode: StpMode = StpMode.EXPIRE_MAKER,
    ) -> OrderSpec:
        return OrderSpec(
            symbol=symbol,
            side=side,
            kind=OrderKind.LIMIT if D(price) else OrderKind.MARKET,
            tif=tif,
            quantity=D(quantity),
            price=D(price),
            reduce_only=reduce_only,
            client_id=self.client_id(),
            stp_mode=stp_mode,
        )

    def market(self, side: Side, quantity: str, **options: object) -> Order:
        return self.exchange.matcher.submit(self.spec(side, quantity, **options))

    def limit(self, side: Side, quantity: str, price: str, **options: object) -> Order:
        return self.exchange.matcher.submit(self.spec(side, quantity, price, **options))

    def algo(
        self,
        kind: OrderKind,
        side: Side,
        quantity: str,
        trigger: str,
        *,
        price: str = "0",
        reduce_only: bool = True,
        close_position: bool = False,
        activate: str = "0",
        callback: str = "0",
        symbol: str = BTC,
        working_type: WorkingType = WorkingType.CONTRACT_PRICE,
        price_protect: bool = False,
    ) -> AlgoOrder:
        order = OrderSpec(
            symbol=symbol,
            side=side,
            kind=kind,
            tif=TimeInForce.GTE_GTC if close_position else TimeInForce.GTC,
            quantity=D(quantity),
            price=D(price),
            reduce_only=reduce_only or close_position,
            client_id=self.client_id(),
            close_position=close_position,
            working_type=working_type,
            price_protect=price_protect,
        )
        return self.exchange.algos.place(AlgoSpec(order, D(trigger), D(activate), D(callback)))

    def position(self, symbol: str = BTC) -> Decimal:
        return self.exchange.ledger.positions[symbol].quantity

    def wallet(self, asset: str = "USDC") -> Decimal:
        return self.exchange.ledger.wallets[asset].balance


@dataclass
class Venue:
    """The server under test with what tests need around it."""

    server: PaperServer
    endpoints: PaperEndpoints
    feed: StillFeed
    clock: Clock
    http: aiohttp.ClientSession

    def tick(self, price: str, symbol: str = BTC, *, gap: bool = False) -> None:
        now = self.clock.now_ms()
        self.server.on_tick(Tick(symbol, now, Decimal(price), Decimal(1), gap))

    async def call(
        self, method: str, path: str, *, signed: bool = True, **params: object
    ) -> tuple[int, Any]:
        """One raw request, parameters in the query; (status, decoded body)."""
        pairs = dict(params)
        if signed:
            pairs.setdefault("timestamp", self.clock.now_ms())
        query = "&".join(f"{name}={value}" for name, value in pairs.items())
        if signed:
            query += ("&" if query else "") + "signature=" + sign(API_SECRET, query)
        url = URL(f"{self.endpoints.rest}{path}?{query}", encoded=True)
        async with self.http.request(method, url, headers={"X-MBX-APIKEY": API_KEY}) as answer:
            return answer.status, await answer.json()


async def api(venue: Venue, method: str, path: str, wish: object = None) -> tuple[int, Any]:
    """One request to a rehearsal route."""
    async with venue.http.request(method, venue.endpoints.rest + path, json=wish) as answer:
        return answer.status, await answer.json()
