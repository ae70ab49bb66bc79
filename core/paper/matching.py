"""Ordinary orders (floor 2c): acceptance, execution against the modelled book, cancellation.

Taker fills walk the book level by level; a resting order fills at its own price when the feed's
price goes through it and in part when the price only touches it (others queue before us). A
reduce-only order never reverses a position: what is too much expires.
"""

from collections import deque
from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Decimal
from random import Random

from core.domain.enums import ExecutionType, OrderKind, Side, TimeInForce
from core.domain.money import ZERO
from core.paper import ledger as books
from core.paper.book import Slice
from core.paper.errors import refuse
from core.paper.events import AccountChange, UserEvents
from core.paper.ledger import Execution, Ledger
from core.paper.market import Market
from core.paper.records import Expiry, Order, OrderSpec, OrderState, Position, Trade

_FIRST_ORDER_ID = 4_000_000_001
_HISTORY = 50_000


class Matcher:
    """All ordinary orders of the account."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        ledger: Ledger,
        events: UserEvents,
        now_ms: Callable[[], int],
        chance: Random,
    ) -> None:
        self._markets = markets
        self._ledger = ledger
        self._events = events
        self._now_ms = now_ms
        self._chance = chance
        self._next_id = _FIRST_ORDER_ID
        self.orders: dict[int, Order] = {}
        self._by_client: dict[tuple[str, str], Order] = {}
        self._finished: deque[int] = deque()
        self.on_accept: Callable[[Order], None] = lambda _: None
        self.on_done: Callable[[Order], None] = lambda _: None
        self.on_position: Callable[[str], None] = lambda _: None
        self.share: Callable[[str], Decimal] = lambda _: Decimal(1)

    # --- look-up ---------------------------------------------------------------------------------

    def find(self, symbol: str, order_id: int | None, client_id: str | None) -> Order | None:
        """The order by either id; the newest one when a client id was reused."""
        order = self.orders.get(order_id) if order_id is not None else None
        if order is None and client_id is not None:
            order = self._by_client.get((symbol, client_id))
        return order if order is not None and order.spec.symbol == symbol else None

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        markets = self._markets.values() if symbol is None else (self._markets[symbol],)
        return [order for market in markets for order in market.orders.values()]

    def is_duplicate(self, spec: OrderSpec) -> bool:
        """True when an open order has this client id (ids are unique among open orders only)."""
        order = self._by_client.get((spec.symbol, spec.client_id))
        return order is not None and order.state.is_open

    # --- placing ---------------------------------------------------------------------------------

    def submit(self, spec: OrderSpec, algo_id: int = 0) -> Order:
        """Accept and match an order whose filters and margin were checked.

        Raises ApiError -5021 (FOK), -5022 (post-only) before anything happened.
        """
        market = self._markets[spec.symbol]
        fills = self._takeable(market, spec, self._liquid(market, spec))
        if spec.tif is TimeInForce.GTX and fills:
            raise refuse(-5022)
        if spec.tif is TimeInForce.FOK and sum(size for _, size in fills) < spec.quantity:
            raise refuse(-5021)
        order = self._accept(spec, algo_id)
        self._take(order, fills)
        if order.state.is_open:
            self._expire_remainder(order)
        return order

    def _liquid(self, market: Market, spec: OrderSpec) -> Decimal:
        """Quantity the book may give at once: all, unless a rehearsal cuts it (at least a step)."""
        share = self.share(spec.symbol)
        if share == 1:
            return spec.quantity
        step = market.contract.step
        return max((spec.quantity * share / step).to_integral_value(ROUND_FLOOR) * step, step)

    def rematch(self, order: Order) -> None:
        """An amended order may cross now: it takes, or is cancelled when it must not."""
        fills = self._takeable(self._markets[order.spec.symbol], order.spec, order.remaining)
        if fills and order.spec.tif is TimeInForce.GTX:
            self.finish(order, OrderState.CANCELED)
        else:
            self._take(order, fills)

    def _take(self, order: Order, fills: list[Slice]) -> None:
        book = self._markets[order.spec.symbol].book
        for price, quantity in fills:
            if not order.state.is_open:
                break
            part = self._allowed(order, quantity)
            if part:
                book.take(order.spec.side, part)
                self.execute(order, price, part, maker=False)
            if part < quantity and order.state.is_open:
                self.finish(order, OrderState.EXPIRED, Expiry.REDUCE_ONLY)

    def _takeable(self, market: Market, spec: OrderSpec, quantity: Decimal) -> list[Slice]:
        if spec.kind is OrderKind.LIMIT:
            return market.book.sweep(spec.side, quantity, spec.price)
        bound = 1 + spec.side.sign * market.contract.market_take_bound
        return market.book.sweep(spec.side, quantity, market.mark * bound)

    def _accept(self, spec: OrderSpec, algo_id: int) -> Order:
        now = self._now_ms()
        order = Order(self._next_id, spec, now, now, algo_id=algo_id)
        self._next_id += 1
        self.orders[order.order_id] = order
        self._by_client[spec.symbol, spec.client_id] = order
        self._markets[spec.symbol].orders[order.order_id] = order
        self.on_accept(order)
        self._events.order_changed(order, ExecutionType.NEW, None, now)
        return order

    def _expire_remainder(self, order: Order) -> None:
        """What was not filled at once: only a limit order with a resting time in force stays."""
        spec = order.spec
        if spec.kind is not OrderKind.LIMIT:
            self.finish(order, OrderState.EXPIRED, Expiry.MARKET_REMAINDER)
        elif spec.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self.finish(order, OrderState.EXPIRED, Expiry.IOC_REMAINDER)

    def _allowed(self, order: Order, quantity: Decimal) -> Decimal:
        """Part of `quantity` that may fill: a reduce-only order stops at a flat position."""
        if not order.spec.reduce_only:
            return quantity
        held = -self._held(order.spec) * order.spec.side.sign
        return min(quantity, max(held, ZERO))

    def _held(self, spec: OrderSpec) -> Decimal:
        return self._ledger.position(spec.symbol, spec.position_side).quantity

    # --- filling ---------------------------------------------------------------------------------

    def pass_through(self, order: Order) -> None:
        """The price went through a resting order: it fills completely at its own price."""
        self._fill_resting(order, order.remaining)

    def touch(self, order: Order, volume: Decimal) -> None:
        """The price stopped exactly at a resting order: a share of the tick's volume is ours."""
        step = self._markets[order.spec.symbol].contract.step
        share = volume * Decimal(self._chance.randint(0, 50)) / 100
        part = min((share / step).to_integral_value(ROUND_FLOOR) * step, order.remaining)
        if part > 0:
            self._fill_resting(order, part)

    def _fill_resting(self, order: Order, quantity: Decimal) -> None:
        part = self._allowed(order, quantity)
        if part:
            self.execute(order, order.spec.price, part, maker=True)
        if part < quantity and order.state.is_open:
            self.finish(order, OrderState.EXPIRED, Expiry.REDUCE_ONLY)

    def execute(
        self,
        order: Order,
        price: Decimal,
        quantity: Decimal,
        *,
        maker: bool,
        execution: ExecutionType = ExecutionType.TRADE,
    ) -> Trade:
        """Book one execution and tell everyone, in the venue's order of events."""
        now = self._now_ms()
        spec = order.spec
        fee = books.commission(price, quantity, maker=maker)
        trade = self._ledger.book(
            Execution(
                symbol=spec.symbol,
                order_id=order.order_id,
                side=spec.side,
                price=price,
                quantity=quantity,
                fee=fee,
                maker=maker,
                time_ms=now,
                position_side=spec.position_side,
            )
        )
        order.executed += quantity
        order.notional += price * quantity
        order.updated_ms = now
        full = order.executed >= spec.quantity
        order.state = OrderState.FILLED if full else OrderState.PARTIALLY_FILLED
        if full:
            self._retire(order)
        self._events.order_changed(order, execution, trade, now)
        self.tell_account(self._ledger.position(spec.symbol, spec.position_side), "ORDER")
        if full:
            self.on_done(order)
        self.on_position(spec.symbol)
        return trade

    def tell_account(self, position: Position, reason: str, change: Decimal = ZERO) -> None:
        """Send what changed for one position: the wallet and, except for cross funding, itself."""
        symbol = position.symbol
        wallet = self._ledger.wallet_of(symbol)
        funding = reason == "FUNDING_FEE"
        self._events.account_changed(
            AccountChange(
                reason=reason,
                wallet=wallet,
                cross_wallet=self._ledger.cross_wallet(wallet.asset),
                position=None if funding and not position.isolated else position,
                mark=self._markets[symbol].mark,
                change=change,
                symbol=symbol if funding else "",
            ),
            self._now_ms(),
        )

    # --- ending ----------------------------------------------------------------------------------

    def cancel(self, order: Order) -> None:
        """Cancel an open order. Raises ApiError -2011 when it is not open any more."""
        if not order.state.is_open:
            raise refuse(-2011)
        self.finish(order, OrderState.CANCELED)

    def finish(self, order: Order, state: OrderState, expiry: Expiry = Expiry.NONE) -> None:
        """End an order that is not filled."""
        order.state = state
        order.expiry = expiry
        order.updated_ms = self._now_ms()
        self._retire(order)
        execution = (
            ExecutionType.CANCELED if state is OrderState.CANCELED else ExecutionType.EXPIRED
        )
        self._events.order_changed(order, execution, None, order.updated_ms)
        self.on_done(order)

    def drop_reduce_only(self, symbol: str) -> None:
        """Expire resting reduce-only orders that no position backs any more."""
        for order in list(self._markets[symbol].orders.values()):
            spec = order.spec
            resting = spec.kind is OrderKind.LIMIT and spec.tif is not TimeInForce.IOC
            if spec.reduce_only and resting and self._held(spec) * spec.side.sign >= 0:
                self.finish(order, OrderState.EXPIRED, Expiry.REDUCE_ONLY)

    def expire_by_date(self, market: Market, now_ms: int) -> None:
        """End good-till-date orders whose date has come."""
        for order in list(market.orders.values()):
            if 0 < order.spec.good_till_ms <= now_ms:
                self.finish(order, OrderState.EXPIRED)

    def liquidation_order(self, position: Position, client: str) -> Order:
        """The exchange's own order that takes over a position."""
        return self._accept(
            OrderSpec(
                symbol=position.symbol,
                side=Side.SELL if position.quantity > 0 else Side.BUY,
                kind=OrderKind.LIQUIDATION,
                tif=TimeInForce.IOC,
                quantity=abs(position.quantity),
                price=ZERO,
                reduce_only=True,
                client_id=client,
                position_side=position.side,
            ),
            algo_id=0,
        )

    def _retire(self, order: Order) -> None:
        self._markets[order.spec.symbol].orders.pop(order.order_id, None)
        self._finished.append(order.order_id)
        if len(self._finished) > _HISTORY:
            old = self.orders.pop(self._finished.popleft())
            key = (old.spec.symbol, old.spec.client_id)
            if self._by_client.get(key) is old:
                del self._by_client[key]
