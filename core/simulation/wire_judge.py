"""Judges requests as they reach the exchange (floor 2d), by the exchange's books and the disk.

- INV-06: value, leverage, positions and margin together, conditional orders of a symbol, entries
  per minute, orders per exchange window; what is on its way counts.
- INV-07: a request that may add risk is one approval in the audit log, by id, symbol, side,
  quantity and price.
- INV-14: the approval's candle closed within one candle of now by the exchange's clock, its price
  was one the feed gave within the limit of its age, and the account's stream was not gone.
- INV-15: nobody's orders but the daemon's are touched, nobody's positions traded.
- INV-08 takes from here when a protective or closing request was last tried.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from core.domain.money import ZERO, to_wire
from core.ids import parse_client_id
from core.simulation.audit_reader import AuditFiles, DecisionRecord, IntentRecord

FLIGHT_S = 25.0
"""Between decision and arrival at most: the request's own time limit, twice, and a slow link."""
PRICE_AGE_S = 30.0
STREAM_GONE_S = 30.0
"""A user stream that is gone is noticed (15 s) and what was decided before has arrived."""
CONDITIONAL_PER_SYMBOL = 10
_SPREAD = Decimal("0.002")
"""Half a spread and a tick around the feed's prices."""
_MARGIN_SLACK = Decimal("1.1")
"""Prices and equity move while a request is on its way."""
_ENTRY_WINDOW_S = 45.0
"""A minute of the daemon's, less what a slow link may squeeze it by."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What the operator allowed. Amounts in the quote coin, `margin` a part of equity."""

    order_value: Decimal
    leverage: int
    positions: int
    margin: Decimal
    entries_per_minute: int
    candle_s: float
    orders_10s: int = 300
    orders_1m: int = 1_200


@dataclass(frozen=True, slots=True)
class WireOrder:
    """A request for an order as it arrived. `symbol` in the exchange's spelling."""

    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool


class Account(Protocol):
    """The exchange's own view of the account, read at any time."""

    def positions(self) -> Mapping[str, Decimal]: ...

    def price(self, symbol: str) -> Decimal: ...

    def leverage(self, symbol: str) -> int: ...

    def equity(self) -> Decimal: ...

    def conditionals(self, symbol: str) -> int:
        """Conditional orders of the daemon's that wait."""
        ...


Blame = Callable[[str, str], None]


@dataclass(slots=True)
class Prices:
    """What the feed gave for a symbol lately: (virtual second, price), oldest first."""

    seen: deque[tuple[float, Decimal]] = field(default_factory=deque)

    def add(self, at: float, price: Decimal) -> None:
        self.seen.append((at, price))
        while self.seen and self.seen[0][0] < at - PRICE_AGE_S - FLIGHT_S:
            self.seen.popleft()

    def knows(self, price: Decimal) -> bool:
        """True when `price` lies within what was seen."""
        values = [value for _, value in self.seen]
        return min(values) * (1 - _SPREAD) <= price <= max(values) * (1 + _SPREAD)


class WireJudge:
    """Tell it of prices and requests in the order they happen; it tells `blame`."""

    def __init__(
        self,
        account: Account,
        audit: AuditFiles,
        audit_folder: Callable[[], Path],
        limits: WireLimits,
        time: Callable[[], float],
        now_ms: Callable[[], int],
        blame: Blame,
    ) -> None:
        self._account = account
        self._audit = audit
        self._audit_folder = audit_folder
        self._limits = limits
        self._time = time
        self._now_ms = now_ms
        self._blame = blame
        self._prices: dict[str, Prices] = {}
        self._entries: deque[float] = deque()
        self._orders: dict[int, int] = {}
        self.tried: dict[str, float] = {}
        """When a protective or closing request for a symbol was last seen."""
        self.asked: dict[str, int] = {}
        """How often an order was asked for by its client id."""
        self.strangers: dict[str, None] = {}
        """Symbols in which somebody else holds a position."""
        self.stream_gone_since: float | None = None
        self.leverage_moved: dict[str, float] = {}
        """When the leverage of a symbol was last changed by another hand."""
        self.requests = 0

    # --- what happens ----------------------------------------------------------------------------

    def price(self, symbol: str, price: Decimal) -> None:
        self._prices.setdefault(symbol, Prices()).add(self._time(), price)

    def query(self, client_id: str) -> None:
        self.asked[client_id] = self.asked.get(client_id, 0) + 1

    def cancel(self, client_id: str) -> None:
        if parse_client_id(client_id) is None:
            self._blame("INV-15", f"cancels {client_id}, which is not its own")

    def order(self, order: WireOrder) -> None:
        """A request for an order, before the exchange has judged it."""
        self.requests += 1
        self._count_order()
        if order.symbol in self.strangers and order.symbol not in self._audit.entered:
            self._blame("INV-15", f"{order.symbol} {order.client_id} where another one trades")
        if order.reduce_only:
            self.tried[order.symbol] = self._time()
            return
        if order.client_id not in self._audit.intents:
            self._audit.refresh(self._audit_folder())
        intent = self._audit.intents.get(order.client_id)
        decision = None if intent is None else self._audit.decisions.get(intent.intent_id)
        self._judge_approval(order, intent, decision)
        if decision is not None:
            self._judge_freshness(order, decision)
        self._judge_limits(order)

    # --- INV-07 ----------------------------------------------------------------------------------

    def _judge_approval(
        self, order: WireOrder, intent: IntentRecord | None, decision: DecisionRecord | None
    ) -> None:
        name = f"{order.symbol} entry {order.client_id}"
        if intent is None or decision is None:
            self._blame("INV-07", f"{name} has no approval on disk")
            return
        side = "BUY" if decision.direction == "LONG" else "SELL"
        approved = (decision.symbol, side, decision.quantity, intent.price)
        asked = (order.symbol, order.side, order.quantity, order.price)
        if approved != asked or intent.purpose != "entry":
            self._blame("INV-07", f"{name} is {_words(asked)}, approved was {_words(approved)}")

    # --- INV-14 ----------------------------------------------------------------------------------

    def _judge_freshness(self, order: WireOrder, decision: DecisionRecord) -> None:
        name = f"{order.symbol} entry {order.client_id}"
        candle_ms = self._limits.candle_s * 1_000
        age_s = (self._now_ms() - decision.candle_open_ms - candle_ms) / 1_000
        if not -1.0 <= age_s <= self._limits.candle_s + FLIGHT_S:
            self._blame("INV-14", f"{name} on a candle that closed {age_s:.1f} s ago")
        prices = self._prices.get(order.symbol)
        if prices is None or not prices.seen or not prices.knows(decision.price):
            text = f"{name} at {to_wire(decision.price)}, a price older than {PRICE_AGE_S:g} s"
            self._blame("INV-14", text)
        gone = self.stream_gone_since
        if gone is not None and self._time() - gone > STREAM_GONE_S:
            self._blame("INV-14", f"{name} without a user stream since {gone:.3f}")

    # --- INV-06 ----------------------------------------------------------------------------------

    def _judge_limits(self, order: WireOrder) -> None:
        limits, now = self._limits, self._time()
        name = f"{order.symbol} entry {order.client_id}"
        value = order.quantity * self._account.price(order.symbol)
        if value > limits.order_value * _MARGIN_SLACK:
            self._over(name, "value", to_wire(value), to_wire(limits.order_value))
        leverage = self._account.leverage(order.symbol)
        moved = self.leverage_moved.get(order.symbol, float("-inf"))
        if leverage > limits.leverage and now - moved > FLIGHT_S:
            self._over(name, "leverage", str(leverage), str(limits.leverage))
        held = {
            symbol: quantity
            for symbol, quantity in self._account.positions().items()
            if symbol not in self.strangers
        }
        count = len({*held, order.symbol})
        if count > limits.positions:
            self._over(name, "positions", str(count), str(limits.positions))
        used = sum((self._margin(symbol, size) for symbol, size in held.items()), ZERO)
        used += self._margin(order.symbol, order.quantity)
        most = self._account.equity() * limits.margin
        if used > most * _MARGIN_SLACK:
            self._over(name, "margin", f"{used:.2f}", f"{most:.2f}")
        self._entries.append(now)
        while self._entries[0] < now - _ENTRY_WINDOW_S:
            self._entries.popleft()
        if len(self._entries) > limits.entries_per_minute:
            self._over(name, "entries", str(len(self._entries)), str(limits.entries_per_minute))

    def _margin(self, symbol: str, quantity: Decimal) -> Decimal:
        return abs(quantity) * self._account.price(symbol) / self._account.leverage(symbol)

    def _count_order(self) -> None:
        """Orders per window of the exchange's clock."""
        for length_s, most in ((10, self._limits.orders_10s), (60, self._limits.orders_1m)):
            window = self._now_ms() // (length_s * 1_000) * 100 + length_s
            self._orders[window] = self._orders.get(window, 0) + 1
            if self._orders[window] > most:
                self._blame("INV-06", f"more than {most} orders within {length_s} s")
        if len(self._orders) > 1_000:
            self._orders = dict(list(self._orders.items())[-10:])

    def conditional(self, symbol: str) -> None:
        """A conditional order was accepted."""
        waiting = self._account.conditionals(symbol)
        if waiting > CONDITIONAL_PER_SYMBOL:
            self._blame("INV-06", f"{symbol} has {waiting} conditional orders")

    def _over(self, name: str, what: str, found: str, limit: str) -> None:
        self._blame("INV-06", f"{name}: {what} {found}, limit {limit}")


def _words(values: tuple[str, str, Decimal, Decimal | None]) -> str:
    symbol, side, quantity, price = values
    at = "at market" if price is None else f"at {to_wire(price)}"
    return f"{symbol} {side} {to_wire(quantity)} {at}"
