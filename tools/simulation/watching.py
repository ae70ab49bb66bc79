"""The exchange as the judges see it (floor 8): its books, and taps on what passes it.

Nothing of the daemon is asked. Orders, requests and prices are seen where the exchange sees them,
before it acts on a request and right after the account has changed.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal

from core.config import TradingConfig
from core.domain.enums import AlgoStatus, ExecutionType, OrderKind
from core.domain.money import ZERO
from core.domain.timeframe import timeframe_ms
from core.ids import parse_client_id
from core.paper.faults import Phase, RestFault
from core.paper.model import Tick
from core.paper.records import AlgoOrder, Order, Trade
from core.simulation.observer import Observer, OrderEvent
from core.simulation.wire_judge import WireJudge, WireLimits, WireOrder
from core.symbol_utils import to_binance_symbol
from tools.simulation.world import Life, World

_ORDERS = ("POST /fapi/v1/order", "POST /fapi/v1/algoOrder")
_CANCELS = ("DELETE /fapi/v1/order", "DELETE /fapi/v1/algoOrder")
_QUERIES = ("GET /fapi/v1/order", "GET /fapi/v1/algoOrder")
_NAMES = ("newClientOrderId", "origClientOrderId", "clientAlgoId")


class LedgerBooks:
    """The exchange's books as the observer reads them. `strangers` are symbols of somebody else."""

    def __init__(self, world: World) -> None:
        self._paper = world.paper
        self._quote = world.plan.quote
        self.strangers: Mapping[str, None] = {}

    def positions(self) -> Mapping[str, Decimal]:
        rows = self._paper.positions()
        return {row.symbol: row.quantity for row in rows if row.symbol not in self.strangers}

    def stop_quantity(self, symbol: str) -> Decimal:
        held = self._paper.ledger.positions[symbol].quantity
        total = ZERO
        for algo in self._paper.exchange.algos.waiting(symbol):
            order = algo.spec.order
            if order.kind is OrderKind.STOP_MARKET and order.side.sign * held < 0:
                total += order.quantity
        return total

    def price(self, symbol: str) -> Decimal:
        return self._paper.exchange.markets[symbol].mark

    def leverage(self, symbol: str) -> int:
        return self._paper.ledger.positions[symbol].leverage

    def equity(self) -> Decimal:
        """Wallet and unrealised result in the quote coin."""
        wallet = self._paper.wallet(self._quote)
        return wallet + self._paper.exchange.risk.cross_unrealized(self._quote)

    def conditionals(self, symbol: str) -> int:
        waiting = self._paper.exchange.algos.waiting(symbol)
        return sum(parse_client_id(algo.spec.order.client_id) is not None for algo in waiting)


def limits_of(config: TradingConfig) -> WireLimits:
    """What the operator of this configuration allows."""
    return WireLimits(
        order_value=config.max_order_value,
        leverage=config.leverage_default,
        positions=config.max_concurrent_positions,
        margin=config.max_margin_usage_pct,
        entries_per_minute=config.max_entries_per_minute,
        candle_s=timeframe_ms(config.timeframe) / 1_000,
    )


def booked_positions(life: Life) -> Mapping[str, Decimal]:
    """Positions in a life's database, by the exchange's symbol, as another process reads them."""
    path = life.folder / "data" / f"bot.{life.config.venue.value}.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT symbol, quantity FROM positions").fetchall()
    booked: dict[str, Decimal] = {}
    for symbol, quantity in rows:
        name = to_binance_symbol(symbol)
        booked[name] = booked.get(name, ZERO) + Decimal(quantity)
    return booked


def watch_account(world: World, observer: Observer, touch: Callable[[], None]) -> None:
    """Let the observer and the timeline see every change of the account as it happens; `touch` is
    told of each."""
    events = world.paper.users
    order_changed, algo_changed = events.order_changed, events.algo_changed

    def on_order(order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int) -> None:
        touch()
        order_changed(order, execution, trade, now_ms)
        spec = order.spec
        world.tell(
            "exchange",
            f"{spec.symbol} {spec.client_id} {spec.side} {order.state} {order.executed}/"
            f"{spec.quantity} {execution}",
        )
        alive = order.state.is_open
        observer.order(OrderEvent(spec.client_id, spec.symbol, alive, order.executed))
        world.loop.call_soon(observer.look)

    def on_algo(algo: AlgoOrder, now_ms: int) -> None:
        touch()
        algo_changed(algo, now_ms)
        spec = algo.spec.order
        world.tell(
            "exchange",
            f"{spec.symbol} {spec.client_id} {spec.kind} {algo.status} {spec.quantity}"
            f" @ {algo.spec.trigger} {algo.reason}",
        )
        born = algo.order
        alive = algo.status is AlgoStatus.NEW or (born is not None and born.state.is_open)
        filled = born.executed if born is not None else ZERO
        observer.order(OrderEvent(spec.client_id, spec.symbol, alive, filled))
        world.loop.call_soon(observer.look)

    for name, value in (("order_changed", on_order), ("algo_changed", on_algo)):
        setattr(events, name, value)


def watch_wire(world: World, judge: WireJudge) -> None:
    """Let the wire's judge see every price and every request as it arrives."""
    plan, paper = world.paper.faults, world.paper
    for_request, on_tick = plan.for_request, paper.on_tick

    def request(
        route: str, phase: Phase, params: Mapping[str, str] | None = None
    ) -> RestFault | None:
        if phase == "before":
            arrived(route, params or {})
        return for_request(route, phase, params)

    def arrived(route: str, params: Mapping[str, str]) -> None:
        client_id = next((params[name] for name in _NAMES if name in params), "")
        if route in _ORDERS:
            judge.order(_order_of(client_id, params))
            if route == _ORDERS[1]:
                world.loop.call_soon(judge.conditional, params["symbol"])
        elif route in _CANCELS and client_id:
            judge.cancel(client_id)
        elif route in _QUERIES:
            judge.query(client_id)

    def tick(each: Tick) -> None:
        judge.price(each.symbol, each.price)
        on_tick(each)

    for owner, name, value in ((plan, "for_request", request), (paper, "on_tick", tick)):
        setattr(owner, name, value)


def _order_of(client_id: str, params: Mapping[str, str]) -> WireOrder:
    price = params.get("price")
    return WireOrder(
        client_id=client_id,
        symbol=params["symbol"],
        side=params["side"],
        quantity=Decimal(params["quantity"]),
        price=None if price is None else Decimal(price),
        reduce_only=params.get("reduceOnly") == "true",
    )
