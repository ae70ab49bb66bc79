"""Changing a working limit order (floor 2c): PUT order, PUT batchOrders, orderAmendment.

An amended order keeps its id and loses its place in the queue and its self-trade prevention. It is
cancelled instead when the new quantity is already filled, or when a post-only order would now take.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from core.domain.enums import ExecutionType, OrderKind, Side
from core.paper.errors import ApiError, refuse
from core.paper.events import UserEvents
from core.paper.filters import check_percent, check_price, check_quantity
from core.paper.market import Market
from core.paper.matching import Matcher
from core.paper.records import Amendment, Order, OrderSpec, StpMode

MAX_AMENDMENTS = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """What an amendment asks for. `modify_id` is the client's own number, 0 for none."""

    side: Side
    quantity: Decimal
    price: Decimal
    price_match: str = "NONE"
    modify_id: int = 0
    reduce_only: bool = False


class AmendDesk:
    """Amends orders of one account and remembers how."""

    def __init__(
        self,
        matcher: Matcher,
        events: UserEvents,
        now_ms: Callable[[], int],
        check_margin: Callable[[OrderSpec], None],
    ) -> None:
        self._matcher = matcher
        self._events = events
        self._now_ms = now_ms
        self._check_margin = check_margin
        self._count = 0

    def amend(self, market: Market, order: Order, change: Change) -> None:
        """Change price and quantity of an open limit order.

        Raises ApiError -2013 (not open), -5025 (no limit order), -5026 (too often), -5027 (nothing
        changes), -5029 (notional), -5047 (reduce-only asked of an order that is not), -2019, -2027
        and those of the price and quantity filters.
        """
        self._check(market, order, change)
        if change.quantity <= order.executed:
            self._matcher.cancel(order)
            return
        before = order.spec
        after = replace(
            before,
            price=change.price,
            quantity=change.quantity,
            price_match=change.price_match,
            stp_mode=StpMode.NONE,
        )
        self._check_carried(market, order, after)
        now = self._now_ms()
        order.spec = after
        order.updated_ms = now
        order.modify_id = change.modify_id
        self._count += 1
        order.amendments.append(
            Amendment(
                self._count,
                now,
                (before.price, after.price),
                (before.quantity, after.quantity),
                len(order.amendments) + 1,
                change.price_match,
                change.modify_id,
            )
        )
        market.orders[order.order_id] = market.orders.pop(order.order_id)
        market.touched += 1
        self._events.order_changed(order, ExecutionType.AMENDMENT, None, now)
        self._matcher.rematch(order)

    @staticmethod
    def _check(market: Market, order: Order, change: Change) -> None:
        spec = order.spec
        if not order.state.is_open or spec.side is not change.side:
            raise refuse(-2013)
        if spec.kind is not OrderKind.LIMIT:
            raise refuse(-5025)
        if len(order.amendments) >= MAX_AMENDMENTS:
            raise refuse(-5026)
        if (spec.price, spec.quantity) == (change.price, change.quantity):
            raise refuse(-5027)
        if change.reduce_only and not spec.reduce_only:
            raise refuse(-5047)
        contract = market.contract
        check_quantity(contract, change.quantity, at_market=False)
        check_price(contract, change.price)
        check_percent(contract, spec.side, change.price, market.mark, (-4016, -4024))
        if not spec.reduce_only and change.quantity * change.price < contract.min_notional:
            text = f"Order's notional must be no smaller than {contract.min_notional}."
            raise ApiError(-5029, text)

    def _check_carried(self, market: Market, order: Order, after: OrderSpec) -> None:
        """Margin of the changed order, as if the old one were not there."""
        rest = replace(after, quantity=after.quantity - order.executed)
        orders = dict(market.orders)
        del market.orders[order.order_id]
        try:
            self._check_margin(rest)
        finally:
            market.orders.clear()
            market.orders.update(orders)
