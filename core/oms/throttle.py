"""Hard limits at the wire (floor 3; INV-06, INV-07).

The last look before a request leaves, independent of how it came to be decided: no strategy, no
sizing and no check before it can widen what is allowed here. Counted is what is let through, so
requests in flight are included, and a restart counts on from what was sent before it.

An entry must be one that was approved, on an open contract, within the largest value and near the
mark price, and entries may not come faster than the limits say. The same entry asked for again and
again latches entries off until a person clears it. An exit is never kept back by any of this: it
is refused only when it is not an exit at all, or larger than the position ever was.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from core.config import TradingConfig
from core.domain.enums import DenyReason, Direction, Purpose, Side
from core.domain.intent import ApprovedEntry, OrderIntent
from core.domain.money import ZERO, to_wire
from core.domain.order import OrderRecord, SentEntry
from core.domain.ports import InstrumentSource, PriceView, RiskPort
from core.kernel.config_values import instant_text
from core.oms.state import SymbolState

MINUTE_MS = 60_000
_MAX_PRICE_AGE_MS = 30_000
_EXIT_REPEATS = 10
"""Requests under one exit intent; its keeper starts a new intent long before."""
_REMEMBERED = 1_000
_APPROVALS = 32
_APPROVAL_MS = 5 * MINUTE_MS
"""Approvals are kept whole, a few and not for long; an entry leaves, or is given up, in seconds."""


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Limits of what leaves. `order_value` in the quote coin, `price_deviation` a fraction.

    `entries_per_minute` counts requests, `same_entries` intents of one symbol and side within
    `same_window_ms`.
    """

    entries_per_minute: int = 6
    orders_per_intent: int = 3
    same_entries: int = 5
    same_window_ms: int = 60 * MINUTE_MS
    order_value: Decimal = Decimal(10_000)
    price_deviation: Decimal = Decimal("0.02")

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        return cls(
            entries_per_minute=config.max_entries_per_minute,
            orders_per_intent=config.max_orders_per_intent,
            same_entries=config.max_same_entries,
            same_window_ms=config.same_entry_minutes * MINUTE_MS,
            order_value=config.max_order_value,
            price_deviation=config.max_price_deviation_pct,
        )


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request did not leave, with the numbers compared."""

    reason: DenyReason
    numbers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line: the word of the limit and its numbers."""
        numbers = " ".join(f"{name}={value}" for name, value in self.numbers.items())
        return f"{self.reason}: {numbers}" if numbers else self.reason.value


@dataclass(frozen=True, slots=True)
class ThrottleView:
    """How much of the limits is used now, for whoever looks."""

    entries_last_minute: int
    entries_per_minute: int
    most_repeated: int
    same_entries: int
    order_value: Decimal
    price_deviation: Decimal
    denied: Mapping[str, int]
    """Requests kept back since the start, by word of the limit."""


Bar = Callable[[str], Denial | None]
"""Further reasons against entries of a symbol: its contract rules, our order ratios."""


class Throttle:
    """One per daemon; `admit` is asked once per request, right before it leaves."""

    def __init__(
        self,
        limits: ThrottleLimits,
        *,
        prices: PriceView,
        instruments: InstrumentSource,
        risk: RiskPort,
        now_ms: Callable[[], int],
        bars: tuple[Bar, ...] = (),
    ) -> None:
        self._limits = limits
        self._prices = prices
        self._instruments = instruments
        self._risk = risk
        self._now_ms = now_ms
        self._bars = bars
        self._approved: OrderedDict[str, ApprovedEntry] = OrderedDict()
        self._entries: deque[SentEntry] = deque(maxlen=_REMEMBERED)
        self._requests: OrderedDict[str, int] = OrderedDict()
        self._denied: dict[str, int] = {}
        self._held: dict[str, Denial] = {}

    @property
    def memory_ms(self) -> int:
        """How far back sent entries matter."""
        return max(self._limits.same_window_ms, MINUTE_MS)

    def restore(self, sent: Iterable[SentEntry], records: Iterable[OrderRecord]) -> None:
        """Count on from before a restart: entries sent lately, attempts of open intents."""
        self._entries.extend(sorted(sent, key=lambda entry: entry.sent_ms))
        for record in records:
            if record.sent_ms:
                self._count_request(record.intent)

    def approve(self, approved: ApprovedEntry) -> None:
        """An approval arrived: a request may match it from now on."""
        over = self._now_ms() - _APPROVAL_MS
        while self._approved and next(iter(self._approved.values())).decided_ms < over:
            self._approved.popitem(last=False)
        self._approved[approved.intent_id] = approved
        while len(self._approved) > _APPROVALS:
            self._approved.popitem(last=False)

    def approval(self, intent_id: str) -> ApprovedEntry | None:
        return self._approved.get(intent_id)

    def admit(self, state: SymbolState, record: OrderRecord) -> Denial | None:
        """None when the request may leave, which counts it; otherwise the limit in its way."""
        intent = record.intent
        entry = intent.purpose is Purpose.ENTRY
        denial = self._judge_entry(intent) if entry else self._judge_exit(state, intent)
        if denial is not None:
            self._denied[denial.reason] = self._denied.get(denial.reason, 0) + 1
            if denial.reason is DenyReason.REPEATED_ENTRY:
                self._risk.halt(f"{intent.symbol} {intent.side} {denial.text}", "throttle")
            return denial
        self._count_request(intent)
        if entry:
            self._entries.append(
                SentEntry(intent.intent_id, intent.symbol, intent.side, self._now_ms())
            )
        return None

    def hold(self, who: str, denial: Denial | None) -> None:
        """Keep every entry back for this reason until `who` tells None; exits are not touched."""
        if denial is None:
            self._held.pop(who, None)
        else:
            self._held[who] = denial

    @property
    def _hold(self) -> Denial | None:
        return next(iter(self._held.values()), None)

    def blocked(self) -> str:
        """Why no entry at all may leave at this moment; empty when one may."""
        held = self._hold
        if held is not None:
            return held.text
        used = self._last_minute()
        most = self._limits.entries_per_minute
        return f"{used} entries in the last minute, limit {most}" if used >= most else ""

    def view(self) -> ThrottleView:
        limits = self._limits
        kinds = {(entry.symbol, entry.side) for entry in self._entries}
        return ThrottleView(
            entries_last_minute=self._last_minute(),
            entries_per_minute=limits.entries_per_minute,
            most_repeated=max((self._repeats(*each) for each in kinds), default=0),
            same_entries=limits.same_entries,
            order_value=limits.order_value,
            price_deviation=limits.price_deviation,
            denied=dict(self._denied),
        )

    # --- entries ---------------------------------------------------------------------------------

    def _judge_entry(self, intent: OrderIntent) -> Denial | None:
        approved = self._approved.get(intent.intent_id)
        if approved is None or not _matches(approved, intent):
            return Denial(DenyReason.NOT_APPROVED, {"intent": intent.intent_id})
        held = self._hold
        if held is not None:
            return held
        denial = self._judge_contract(intent.symbol) or self._judge_rate(intent)
        if denial is not None:
            return denial
        for bar in self._bars:
            denial = bar(intent.symbol)
            if denial is not None:
                return denial
        return self._judge_value(intent, approved)

    def _judge_contract(self, symbol: str) -> Denial | None:
        instrument = self._instruments.instrument(symbol)
        if instrument is None:
            return Denial(DenyReason.CLOSE_ONLY, {"status": "unknown"})
        if instrument.accepts_entries:
            return None
        numbers = {"status": instrument.status.value}
        if instrument.delivery_ms:
            numbers["delivery"] = instant_text(instrument.delivery_ms)
        return Denial(DenyReason.CLOSE_ONLY, numbers)

    def _judge_rate(self, intent: OrderIntent) -> Denial | None:
        limits = self._limits
        requests = self._requests.get(intent.intent_id, 0)
        if requests >= limits.orders_per_intent:
            return _over(DenyReason.ORDERS_PER_INTENT, "sent", requests, limits.orders_per_intent)
        used = self._last_minute()
        if used >= limits.entries_per_minute:
            return _over(DenyReason.ENTRY_RATE, "last_minute", used, limits.entries_per_minute)
        same = self._repeats(intent.symbol, intent.side, intent.intent_id)
        if same >= limits.same_entries:
            return _over(DenyReason.REPEATED_ENTRY, "times", same, limits.same_entries)
        return None

    def _judge_value(self, intent: OrderIntent, approved: ApprovedEntry) -> Denial | None:
        """The order at its mark price, which must be fresh, and every price against that mark."""
        mark, book = self._prices.mark(intent.symbol), self._prices.book(intent.symbol)
        if mark is None or mark.price <= ZERO:
            return Denial(DenyReason.NO_PRICE, {"mark": "none"})
        age = self._now_ms() - mark.event_ms
        if age > _MAX_PRICE_AGE_MS:
            return Denial(
                DenyReason.NO_PRICE, {"mark_age_ms": str(age), "limit_ms": str(_MAX_PRICE_AGE_MS)}
            )
        prices = {"reference": approved.reference_price}
        if intent.price is not None:
            prices["limit_price"] = intent.price
        if book is not None:
            prices["book"] = book.ask if intent.side is Side.BUY else book.bid
        for name, price in prices.items():
            away = abs(price - mark.price) / mark.price
            if away > self._limits.price_deviation:
                return Denial(
                    DenyReason.PRICE_COLLAR,
                    {
                        name: to_wire(price),
                        "mark": to_wire(mark.price),
                        "away": f"{away:.5f}",
                        "limit": to_wire(self._limits.price_deviation),
                    },
                )
        value = intent.quantity * max(mark.price, *prices.values())
        if value > self._limits.order_value:
            numbers = {"value": to_wire(value), "limit": to_wire(self._limits.order_value)}
            return Denial(DenyReason.ORDER_VALUE, numbers)
        return None

    def _last_minute(self) -> int:
        since = self._now_ms() - MINUTE_MS
        return sum(entry.sent_ms > since for entry in self._entries)

    def _repeats(self, symbol: str, side: Side, but: str = "") -> int:
        """Entries of one symbol and side in the window, since a person last cleared a halt."""
        since = max(self._now_ms() - self._limits.same_window_ms, self._risk.cleared_ms)
        return len(
            {
                entry.intent_id
                for entry in self._entries
                if entry.symbol == symbol
                and entry.side is side
                and entry.sent_ms > since
                and entry.intent_id != but
            }
        )

    # --- exits -----------------------------------------------------------------------------------

    def _judge_exit(self, state: SymbolState, intent: OrderIntent) -> Denial | None:
        """Absurdities only (INV-08)."""
        position = state.position()
        grows = position != ZERO and intent.side.sign * position > ZERO
        if not intent.reduce_only or grows:
            numbers = {"side": intent.side.value, "position": to_wire(position)}
            return Denial(DenyReason.NOT_REDUCING, numbers)
        largest = _largest(state)
        if intent.quantity > largest:
            numbers = {"quantity": to_wire(intent.quantity), "position": to_wire(largest)}
            return Denial(DenyReason.OVERSIZED_EXIT, numbers)
        requests = self._requests.get(intent.intent_id, 0)
        if requests >= _EXIT_REPEATS:
            return _over(DenyReason.ORDERS_PER_INTENT, "sent", requests, _EXIT_REPEATS)
        return None

    def _count_request(self, intent: OrderIntent) -> None:
        key = intent.intent_id
        self._requests[key] = self._requests.pop(key, 0) + 1
        while len(self._requests) > _REMEMBERED:
            self._requests.popitem(last=False)


def _matches(approved: ApprovedEntry, intent: OrderIntent) -> bool:
    side = Direction(approved.direction).entry_side
    return (
        approved.symbol == intent.symbol
        and side is intent.side
        and intent.quantity == approved.quantity
        and not intent.reduce_only
    )


def _largest(state: SymbolState) -> Decimal:
    """The largest position the episode may have had: the exchange caps what is beyond today's."""
    entered = sum((record.executed for record in state.of(Purpose.ENTRY)), ZERO)
    beside = abs(state.foreign_quantity) + abs(state.adjustment)
    return max(abs(state.position()), entered + beside)


def _over(reason: DenyReason, what: str, count: int, limit: int) -> Denial:
    return Denial(reason, {what: str(count), "limit": str(limit)})
