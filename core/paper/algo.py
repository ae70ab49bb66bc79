"""Conditional orders of the algo service (floor 2c): acceptance, trigger, life cycle.

States and order of events are the venue's: NEW, then TRIGGERING, TRIGGERED with the id of the
ordinary order (whose client id equals the conditional one's), its own events, FINISHED. Margin is
checked at the trigger only; a failure shows as REJECTED with its reason. An order that closes the
whole position (GTE_GTC) expires with the position.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from core.domain.enums import AlgoStatus, OrderKind, Side, TimeInForce, WorkingType
from core.paper.errors import ApiError, refuse
from core.paper.events import UserEvents
from core.paper.ledger import Ledger
from core.paper.market import Market
from core.paper.matching import Matcher
from core.paper.records import AlgoOrder, AlgoSpec, Order, OrderSpec

OPEN_LIMIT = 200
_FIRST_ALGO_ID = 1_000_000_000_000_001
_HISTORY = 50_000
_TAKE_PROFITS = (OrderKind.TAKE_PROFIT, OrderKind.TAKE_PROFIT_MARKET)
_RESULT_KIND = {
    OrderKind.STOP: OrderKind.LIMIT,
    OrderKind.TAKE_PROFIT: OrderKind.LIMIT,
    OrderKind.STOP_MARKET: OrderKind.MARKET,
    OrderKind.TAKE_PROFIT_MARKET: OrderKind.MARKET,
    OrderKind.TRAILING_STOP_MARKET: OrderKind.MARKET,
}


def triggers_upward(spec: AlgoSpec) -> bool:
    """True when the order fires as the price rises to its trigger."""
    buys = spec.order.side is Side.BUY
    return buys if spec.order.kind not in _TAKE_PROFITS else not buys


def is_hit(spec: AlgoSpec, trigger: Decimal, price: Decimal) -> bool:
    """True when `price` is at the trigger or beyond it."""
    return price >= trigger if triggers_upward(spec) else price <= trigger


def working(market: Market, spec: AlgoSpec, last: Decimal) -> Decimal:
    """The price an order watches when the last price is `last`."""
    marked = spec.order.working_type is WorkingType.MARK_PRICE
    return market.mark_at(last) if marked else last


class AlgoDesk:
    """All conditional orders of the account."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        ledger: Ledger,
        matcher: Matcher,
        events: UserEvents,
        now_ms: Callable[[], int],
        check_margin: Callable[[OrderSpec], None],
    ) -> None:
        self._markets = markets
        self._ledger = ledger
        self._matcher = matcher
        self._events = events
        self._now_ms = now_ms
        self._check_margin = check_margin
        self._next_id = _FIRST_ALGO_ID
        self.algos: dict[int, AlgoOrder] = {}
        self._by_client: dict[str, AlgoOrder] = {}
        self._finished: deque[int] = deque()
        self.hidden_ms = 0
        self.reject_trigger: Callable[[AlgoOrder], str] = lambda _: ""

    # --- look-up ---------------------------------------------------------------------------------

    def shown(self, algo_id: int | None, client_id: str | None) -> AlgoOrder | None:
        """As GET algoOrder finds it: not before `hidden_ms` have passed since its acceptance."""
        algo = self.find(algo_id, client_id)
        late = algo is not None and self._now_ms() - algo.created_ms < self.hidden_ms
        return None if late else algo

    def find(self, algo_id: int | None, client_id: str | None) -> AlgoOrder | None:
        if algo_id is not None:
            return self.algos.get(algo_id)
        return self._by_client.get(client_id) if client_id is not None else None

    def waiting(self, symbol: str | None = None) -> list[AlgoOrder]:
        markets = self._markets.values() if symbol is None else (self._markets[symbol],)
        return [algo for market in markets for algo in market.algos.values()]

    # --- placing ---------------------------------------------------------------------------------

    def place(self, spec: AlgoSpec) -> AlgoOrder:
        """Accept a conditional order whose filters were checked.

        Raises ApiError -2021 (would trigger at once), -4045, -4116, -4130, -4509.
        """
        order = spec.order
        market = self._markets[order.symbol]
        twin = self._by_client.get(order.client_id)
        if twin is not None and twin.is_waiting:
            raise refuse(-4116)
        if sum(len(row.algos) for row in self._markets.values()) >= OPEN_LIMIT:
            raise refuse(-4045)
        if order.close_position:
            self._check_close_position(market, spec)
        trailing = order.kind is OrderKind.TRAILING_STOP_MARKET
        if trailing:
            spec = self._activation(market, spec)
        elif is_hit(spec, spec.trigger, working(market, spec, market.price)):
            raise refuse(-2021)
        now = self._now_ms()
        algo = AlgoOrder(self._next_id, spec, now, now, activated=not trailing)
        self._next_id += 1
        self.algos[algo.algo_id] = algo
        self._by_client[order.client_id] = algo
        market.algos[algo.algo_id] = algo
        self._events.algo_changed(algo, now)
        if trailing:
            self.follow(market, market.price)
        return algo

    def _check_close_position(self, market: Market, spec: AlgoSpec) -> None:
        order = spec.order
        held = self._held(order)
        if held * order.side.sign >= 0:
            raise refuse(-4509)
        for other in market.algos.values():
            same = other.spec.order
            if (
                same.close_position
                and same.side is order.side
                and same.position_side is order.position_side
                and (same.kind in _TAKE_PROFITS) == (order.kind in _TAKE_PROFITS)
            ):
                raise refuse(-4130)

    def _held(self, order: OrderSpec) -> Decimal:
        return self._ledger.position(order.symbol, order.position_side).quantity

    @staticmethod
    def _activation(market: Market, spec: AlgoSpec) -> AlgoSpec:
        """A trailing order without activation price starts at the current price."""
        price = working(market, spec, market.price)
        if not spec.activate:
            return replace(spec, activate=price)
        if (spec.activate - price) * spec.order.side.sign >= 0:
            raise refuse(-2021)
        return spec

    # --- price path ------------------------------------------------------------------------------

    def follow(self, market: Market, last: Decimal) -> None:
        """Let trailing orders see the last price: activate them and move their extreme."""
        for algo in market.algos.values():
            spec = algo.spec
            if spec.order.kind is not OrderKind.TRAILING_STOP_MARKET:
                continue
            price = working(market, spec, last)
            sign = spec.order.side.sign
            if not algo.activated and (price - spec.activate) * sign <= 0:
                algo.activated = True
                algo.extreme = price
                algo.updated_ms = self._now_ms()
                self._events.algo_changed(algo, algo.updated_ms)
            elif algo.activated and (price - algo.extreme) * sign < 0:
                algo.extreme = price

    def trigger_price(self, market: Market, algo: AlgoOrder) -> Decimal | None:
        """Last price at which the order fires now.

        None while a trailing order is not active, and while a protected one waits for mark and last
        price to come together.
        """
        spec = algo.spec
        if not algo.activated or (spec.order.price_protect and market.is_torn):
            return None
        trigger = spec.trigger
        if spec.order.kind is OrderKind.TRAILING_STOP_MARKET:
            sign = spec.order.side.sign
            raw = algo.extreme * (1 + sign * spec.callback / 100)
            rounding = ROUND_CEILING if sign > 0 else ROUND_FLOOR
            tick = market.contract.tick
            trigger = (raw / tick).to_integral_value(rounding) * tick
        marked = spec.order.working_type is WorkingType.MARK_PRICE
        return market.last_at(trigger) if marked else trigger

    def fire(self, algo: AlgoOrder) -> None:
        """The trigger was hit: send the resulting ordinary order to the matching engine."""
        market = self._markets[algo.spec.order.symbol]
        market.algos.pop(algo.algo_id, None)
        now = self._now_ms()
        algo.trigger_ms = now
        self._set(algo, AlgoStatus.TRIGGERING)
        try:
            self._matcher.submit(self._resulting_order(algo), algo.algo_id)
        except ApiError as error:
            algo.reason = "Reduce Only reject" if error.code == -2022 else error.msg
            self._set(algo, AlgoStatus.REJECTED)
            self._retire(algo)

    def _resulting_order(self, algo: AlgoOrder) -> OrderSpec:
        """The ordinary order a trigger makes. Raises ApiError when it cannot be placed."""
        refused = self.reject_trigger(algo)
        if refused:
            raise ApiError(-2010, refused)
        spec = algo.spec.order
        held = -self._held(spec) * spec.side.sign
        if spec.reduce_only and held <= 0:
            raise refuse(-2022)
        tif = TimeInForce.GTC if spec.tif is TimeInForce.GTE_GTC else spec.tif
        result = replace(
            spec,
            kind=_RESULT_KIND[spec.kind],
            tif=tif,
            quantity=held if spec.close_position else spec.quantity,
            price=self._matched_price(spec),
        )
        if self._matcher.is_duplicate(result):
            raise refuse(-4116)
        self._check_margin(result)
        return result

    def _matched_price(self, spec: OrderSpec) -> Decimal:
        """A price taken from the book at the trigger, when the order asked for that."""
        if spec.price_match == "NONE":
            return spec.price
        return self._markets[spec.symbol].book.matched(spec.side, spec.price_match)

    def order_accepted(self, order: Order) -> None:
        """The matching engine took the order a trigger made: TRIGGERED comes before its events."""
        algo = self.algos.get(order.algo_id)
        if algo is not None:
            algo.order = order
            self._set(algo, AlgoStatus.TRIGGERED)

    def order_done(self, order: Order) -> None:
        """The resulting order was filled, cancelled or expired."""
        algo = self.algos.get(order.algo_id)
        if algo is not None:
            self._set(algo, AlgoStatus.FINISHED)
            self._retire(algo)

    # --- ending ----------------------------------------------------------------------------------

    def cancel(self, algo: AlgoOrder) -> None:
        """Cancel a waiting order. Raises ApiError -2011 when it is not waiting any more."""
        if not algo.is_waiting:
            raise refuse(-2011)
        self._end(algo, AlgoStatus.CANCELED)

    def position_changed(self, symbol: str) -> None:
        """Expire closing orders that no position backs any more."""
        for algo in list(self._markets[symbol].algos.values()):
            spec = algo.spec.order
            if spec.close_position and self._held(spec) * spec.side.sign >= 0:
                self._end(algo, AlgoStatus.EXPIRED)

    def _end(self, algo: AlgoOrder, status: AlgoStatus) -> None:
        self._markets[algo.spec.order.symbol].algos.pop(algo.algo_id, None)
        self._set(algo, status)
        self._retire(algo)

    def _set(self, algo: AlgoOrder, status: AlgoStatus) -> None:
        algo.status = status
        algo.updated_ms = self._now_ms()
        self._events.algo_changed(algo, algo.updated_ms)

    def _retire(self, algo: AlgoOrder) -> None:
        self._finished.append(algo.algo_id)
        if len(self._finished) > _HISTORY:
            old = self.algos.pop(self._finished.popleft())
            if self._by_client.get(old.spec.order.client_id) is old:
                del self._by_client[old.spec.order.client_id]
