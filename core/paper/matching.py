"""Ordinary orders (floor 2c): acceptance, execution against the modelled book, cancellation.

Taker fills walk the book level by level; a resting order fills at its own price when the feed's
price goes through it and in part when the price only touches it (others queue before us). A
reduce-only order never reverses a position: what is too much expires. Our own resting orders stand
between the levels; an incoming order that would trade with one meets self-trade prevention.
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
from core.paper.records import Expiry, Order, OrderSpec, OrderState, Position, StpMode, Trade

_FIRST_ORDER_ID = 4_000_000_001
_STP_TIF = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTD)
"""Self-trade prevention has no effect with the others."""
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
        """The order by either id; its own prevails, and a reused client id means the newest one."""
        if order_id is not None:
            order = self.orders.get(order_id)
        else:
            order = self._by_client.get((symbol, client_id or ""))
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
        if spec.tif is TimeInForce.GTX and (fills or self._own_in_reach(spec)):
            raise refuse(-5022)
        if spec.tif is TimeInForce.FOK and not self._is_filled_by(spec, fills):
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
        spec = order.spec
        fills = self._takeable(self._markets[spec.symbol], spec, order.remaining)
        if spec.tif is TimeInForce.GTX and (fills or self._own_in_reach(spec)):
            self.finish(order, OrderState.CANCELED)
        else:
            self._take(order, fills)

    def _take(self, order: Order, fills: list[Slice]) -> None:
        """Fill along the levels, meeting our own orders where they stand between them."""
        book = self._markets[order.spec.symbol].book
        own = deque(self._own_in_reach(order.spec))
        for price, quantity in fills:
            self._meet_own(order, own, price)
            if not order.state.is_open:
                return
            wanted = min(quantity, order.remaining)
            part = self._allowed(order, wanted)
            if part:
                book.take(order.spec.side, part)
                self.execute(order, price, part, maker=False)
            if part < wanted and order.state.is_open:
                self.finish(order, OrderState.EXPIRED, Expiry.REDUCE_ONLY)
        self._meet_own(order, own, None)

    def _takeable(self, market: Market, spec: OrderSpec, quantity: Decimal) -> list[Slice]:
        return market.book.sweep(spec.side, quantity, self._worst(market, spec))

    @staticmethod
    def _worst(market: Market, spec: OrderSpec) -> Decimal:
        """Price beyond which an incoming order does not trade."""
        if spec.kind is OrderKind.LIMIT:
            return spec.price
        return market.mark * (1 + spec.side.sign * market.contract.market_take_bound)

    # --- our own orders --------------------------------------------------------------------------

    def _own_in_reach(self, spec: OrderSpec) -> list[Order]:
        """Our resting orders an incoming one could trade with, best first."""
        market = self._markets[spec.symbol]
        sign, edge = spec.side.sign, self._worst(market, spec)
        rows = [
            row
            for row in market.orders.values()
            if row.spec.side is spec.side.opposite and (row.spec.price - edge) * sign <= 0
        ]
        return sorted(rows, key=lambda row: row.spec.price * sign)

    def _is_filled_by(self, spec: OrderSpec, fills: list[Slice]) -> bool:
        """True when the book, with our own orders in it, holds the whole quantity."""
        own = sum((row.remaining for row in self._own_in_reach(spec)), ZERO)
        return own + sum(size for _, size in fills) >= spec.quantity

    def _meet_own(self, taker: Order, own: deque[Order], level: Decimal | None) -> None:
        """Self-trade prevention: the mode of the incoming order decides who expires.

        `own` is used up to the `level`, at which the others queue first; None means all of it.
        """
        sign = taker.spec.side.sign
        while own and taker.state.is_open:
            if level is not None and (own[0].spec.price - level) * sign >= 0:
                return
            maker = own.popleft()
            if maker.state.is_open:  # not ended by what the one before did to the position
                self._meet_one(taker, maker)

    def _meet_one(self, taker: Order, maker: Order) -> None:
        mode = taker.spec.stp_mode
        if mode is StpMode.NONE or taker.spec.tif not in _STP_TIF:
            self._trade_with_own(taker, maker)
            return
        if mode is not StpMode.EXPIRE_TAKER:
            self.finish(maker, OrderState.EXPIRED_IN_MATCH, Expiry.SELF_TRADE)
        if mode is not StpMode.EXPIRE_MAKER:
            at_once = taker.spec.tif is TimeInForce.IOC
            why = Expiry.IOC_SELF_TRADE if at_once else Expiry.SELF_TRADE
            self.finish(taker, OrderState.EXPIRED_IN_MATCH, why)

    def _trade_with_own(self, taker: Order, maker: Order) -> None:
        """Nothing prevents it: both fill at the resting order's price."""
        part = self._allowed(taker, min(taker.remaining, maker.remaining))
        if part:
            self.execute(taker, maker.spec.price, part, maker=False)
        else:
            self.finish(taker, OrderState.EXPIRED, Expiry.REDUCE_ONLY)
        if part and maker.state.is_open:
            self._fill_resting(maker, part)

    def _accept(self, spec: OrderSpec, algo_id: int) -> Order:
        now = self._now_ms()
        order = Order(self._next_id, spec, now, now, algo_id=algo_id)
        self._next_id += 1
        self.orders[order.order_id] = order
        self._by_client[spec.symbol, spec.client_id] = order
        market = self._markets[spec.symbol]
        market.orders[order.order_id] = order
        market.touched += 1
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
        self._markets[spec.symbol].touched += 1
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

    def tell_wallet(self, asset: str, reason: str, change: Decimal) -> None:
        """Send a balance that changed on its own, no position being concerned."""
        self._events.account_changed(
            AccountChange(
                reason=reason,
                wallet=self._ledger.wallets[asset],
                cross_wallet=self._ledger.cross_wallet(asset),
                position=None,
                mark=ZERO,
                change=change,
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
        market = self._markets[order.spec.symbol]
        market.orders.pop(order.order_id, None)
        market.touched += 1
        self._finished.append(order.order_id)
        if len(self._finished) > _HISTORY:
            old = self.orders.pop(self._finished.popleft())
            key = (old.spec.symbol, old.spec.client_id)
            if self._by_client.get(key) is old:
                del self._by_client[key]
