"""Hard limits at the wire (INV-06, INV-07, INV-08, INV-13)."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import SYMBOL, add, instrument, opened, state
from hypothesis import given
from hypothesis import strategies as st
from support.world import EPOCH_MS, World, approved, in_world
from support.world import SYMBOL as XRP

from core.domain.enums import (
    ContractStatus,
    DenyReason,
    Direction,
    OrderKind,
    OrderStatus,
    Purpose,
    Side,
)
from core.domain.facts import Alert, EntryRefused, OrderChanged
from core.domain.instrument import Instrument
from core.domain.intent import ApprovedEntry, OrderIntent
from core.domain.market import BookTop, MarkPrice
from core.domain.order import OrderRecord, SentEntry
from core.oms.throttle import MINUTE_MS, Denial, Throttle, ThrottleLimits

LIMITS = ThrottleLimits(
    entries_per_minute=3,
    orders_per_intent=2,
    same_entries=4,
    same_window_ms=60 * MINUTE_MS,
    order_value=Decimal(1_000),
    price_deviation=Decimal("0.02"),
)


class Risk:
    def __init__(self) -> None:
        self.halts: list[str] = []
        self.cleared_ms = 0

    def halt(self, reason: str, who: str) -> None:
        self.halts.append(f"{who}: {reason}")

    def note_transfer(self, amount: Decimal) -> None: ...

    def trade_closed(self, *_: object) -> None: ...


class Desk:
    """A throttle with a clock, a price and a contract that a test moves by hand."""

    def __init__(self, limits: ThrottleLimits = LIMITS) -> None:
        self.now = EPOCH_MS
        self.price: Decimal | None = Decimal("2.0000")
        self.ask = Decimal("2.0002")
        self.mark_age_ms = 0
        self.contract: Instrument | None = instrument()
        self.risk = Risk()
        self.bar: Denial | None = None
        self.throttle = self.again(limits)
        self._number = 0

    def again(self, limits: ThrottleLimits = LIMITS) -> Throttle:
        """A throttle as a new process has it."""
        return Throttle(
            limits,
            prices=self,
            instruments=self,
            risk=self.risk,
            now_ms=lambda: self.now,
            bars=(lambda _: self.bar,),
        )

    def mark(self, symbol: str) -> MarkPrice | None:
        if self.price is None:
            return None
        return MarkPrice(symbol, self.price, Decimal(0), 0, self.now - self.mark_age_ms)

    def book(self, symbol: str) -> BookTop | None:
        bid = self.ask - Decimal("0.0002")
        return BookTop(symbol, bid, Decimal(1), self.ask, Decimal(1), self.now)

    def instrument(self, symbol: str) -> Instrument | None:
        return self.contract if symbol == SYMBOL else None

    def decided(
        self, direction: Direction = Direction.LONG, quantity: str = "100", price: str = "2.0000"
    ) -> ApprovedEntry:
        self._number += 1
        return approved(direction, quantity, price, self._number)

    def ask_for(self, entry: ApprovedEntry, **changes: object) -> Denial | None:
        """One entry request of an approved entry."""
        self.throttle.approve(entry)
        return self.throttle.admit(state(entry.direction), entry_record(entry, **changes))

    def open(self, direction: Direction = Direction.LONG) -> Denial | None:
        return self.ask_for(self.decided(direction))


def entry_record(entry: ApprovedEntry, **changes: object) -> OrderRecord:
    intent = OrderIntent(
        intent_id=entry.intent_id,
        trade_id=entry.intent_id,
        symbol=entry.symbol,
        side=entry.direction.entry_side,
        kind=OrderKind.MARKET,
        quantity=entry.quantity,
        purpose=Purpose.ENTRY,
        created_ms=0,
    )
    return OrderRecord(replace(intent, **changes), client_id="c", attempt=0)  # type: ignore[arg-type]  # a test's own changes


def reason(denial: Denial | None) -> DenyReason | None:
    return None if denial is None else denial.reason


def test_an_approved_entry_near_the_mark_leaves() -> None:
    assert Desk().open() is None


def test_an_entry_nobody_approved_does_not_leave() -> None:
    desk = Desk()
    denial = desk.throttle.admit(state(), entry_record(desk.decided()))
    assert reason(denial) is DenyReason.NOT_APPROVED


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal("100.1")},
        {"side": Side.SELL},
        {"symbol": "ADA/USDC:USDC"},
        {"reduce_only": True},
    ],
    ids=["more", "other side", "other symbol", "reduce-only"],
)
def test_an_entry_that_differs_from_its_approval_does_not_leave(changes: dict[str, object]) -> None:
    desk = Desk()
    assert reason(desk.ask_for(desk.decided(), **changes)) is DenyReason.NOT_APPROVED


def test_entries_of_a_minute_are_counted_over_all_symbols_and_sides() -> None:
    desk = Desk()
    sides = [Direction.LONG, Direction.SHORT, Direction.LONG]
    assert [desk.open(side) for side in sides] == [None, None, None]
    denial = desk.open(Direction.SHORT)
    assert denial is not None
    assert denial.text == "entry_rate: last_minute=3 limit=3"
    assert desk.throttle.blocked() == "3 entries in the last minute, limit 3"
    desk.now += MINUTE_MS
    assert desk.throttle.blocked() == ""
    assert desk.open(Direction.SHORT) is None


def test_a_denied_entry_does_not_count() -> None:
    desk = Desk()
    for _ in range(10):
        assert reason(desk.ask_for(desk.decided(price="3"))) is DenyReason.PRICE_COLLAR
    assert desk.open() is None


def test_one_decision_may_be_repeated_only_so_often() -> None:
    desk = Desk()
    entry = desk.decided()
    assert [reason(desk.ask_for(entry)) for _ in range(3)] == [
        None,
        None,
        DenyReason.ORDERS_PER_INTENT,
    ]


def test_the_same_entry_again_and_again_halts_entries_until_a_person_clears_it() -> None:
    desk = Desk()
    for _ in range(4):
        assert desk.open() is None
        desk.now += 2 * MINUTE_MS
    assert desk.open(Direction.SHORT) is None  # another side is another matter
    desk.now += MINUTE_MS
    assert reason(desk.open()) is DenyReason.REPEATED_ENTRY
    assert desk.risk.halts == [f"throttle: {SYMBOL} BUY repeated_entry: times=4 limit=4"]
    desk.risk.cleared_ms = desk.now
    assert desk.open() is None


def test_repetitions_of_one_decision_are_one_entry() -> None:
    desk = Desk()
    for _ in range(4):
        entry = desk.decided()
        assert desk.ask_for(entry) is None
        desk.now += MINUTE_MS
        last = entry
    assert desk.ask_for(last) is None  # its second attempt, not a fifth entry


def test_a_restart_counts_on() -> None:
    desk = Desk()
    entry = desk.decided()
    for _ in range(2):
        assert desk.ask_for(entry) is None
    sent = [SentEntry(entry.intent_id, SYMBOL, Side.BUY, desk.now)] * 2
    attempts = [replace(entry_record(entry), sent_ms=desk.now) for _ in range(2)]
    desk.throttle = desk.again()
    desk.throttle.restore(sent, attempts)
    assert reason(desk.ask_for(entry)) is DenyReason.ORDERS_PER_INTENT
    assert desk.open() is None
    assert reason(desk.open()) is DenyReason.ENTRY_RATE


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [("500", "2", None), ("500.1", "2", DenyReason.ORDER_VALUE)],
)
def test_no_order_above_the_largest_value(
    quantity: str, price: str, expected: DenyReason | None
) -> None:
    desk = Desk()
    desk.ask = Decimal("2.0000")
    assert reason(desk.ask_for(desk.decided(quantity=quantity, price=price))) is expected


@pytest.mark.parametrize(
    ("reference", "limit", "ask", "expected"),
    [
        ("2.04", None, "2.0", None),
        ("2.0401", None, "2.0", DenyReason.PRICE_COLLAR),
        ("1.9599", None, "2.0", DenyReason.PRICE_COLLAR),
        ("2.0", "2.0401", "2.0", DenyReason.PRICE_COLLAR),
        ("2.0", "2.04", "2.0", None),
        ("2.0", None, "2.0401", DenyReason.PRICE_COLLAR),
    ],
)
def test_prices_stay_within_the_collar_around_the_mark(
    reference: str, limit: str | None, ask: str, expected: DenyReason | None
) -> None:
    desk = Desk()
    desk.ask = Decimal(ask)
    price = None if limit is None else Decimal(limit)
    assert reason(desk.ask_for(desk.decided(price=reference), price=price)) is expected


def test_without_a_fresh_mark_price_nothing_is_opened() -> None:
    desk = Desk()
    desk.mark_age_ms = 30_001
    assert reason(desk.open()) is DenyReason.NO_PRICE
    desk.price = None
    assert reason(desk.open()) is DenyReason.NO_PRICE


@pytest.mark.parametrize(
    "contract",
    [
        None,
        replace(instrument(), status=ContractStatus.OTHER),
        replace(instrument(), delivery_ms=EPOCH_MS + 86_400_000),
    ],
    ids=["unknown", "not trading", "delivery announced"],
)
def test_a_contract_that_is_leaving_is_close_only(contract: Instrument | None) -> None:
    desk = Desk()
    desk.contract = contract
    assert reason(desk.open()) is DenyReason.CLOSE_ONLY
    held = opened()
    flatten = add(held, Purpose.FLATTEN, OrderStatus.CREATED, "100")
    assert desk.throttle.admit(held, flatten) is None


def test_other_reasons_against_a_symbol_are_heard() -> None:
    desk = Desk()
    desk.bar = Denial(DenyReason.ORDER_RATIO, {"UFR": "0.9"})
    assert reason(desk.open()) is DenyReason.ORDER_RATIO


# --- exits ---


@pytest.mark.parametrize("purpose", [Purpose.STOP, Purpose.TAKE_PROFIT, Purpose.FLATTEN])
def test_no_limit_for_entries_keeps_an_exit_back(purpose: Purpose) -> None:
    desk = Desk()
    desk.price, desk.contract = None, None
    desk.bar = Denial(DenyReason.ORDER_RATIO)
    for _ in range(20):
        desk.open()
    held = opened(quantity="100000")
    assert desk.throttle.admit(held, add(held, purpose, OrderStatus.CREATED, "100000")) is None


def test_an_exit_larger_than_the_position_ever_was_is_a_mistake() -> None:
    desk, held = Desk(), opened(quantity="100")
    add(held, Purpose.TAKE_PROFIT, OrderStatus.FILLED, "50", executed="50")
    as_decided_before = add(held, Purpose.STOP, OrderStatus.CREATED, "100")
    assert desk.throttle.admit(held, as_decided_before) is None
    absurd = add(held, Purpose.STOP, OrderStatus.CREATED, "100.1")
    assert reason(desk.throttle.admit(held, absurd)) is DenyReason.OVERSIZED_EXIT


def test_an_adopted_position_may_be_left_whole() -> None:
    desk, held = Desk(), state()
    held.adjustment = Decimal(30)
    assert desk.throttle.admit(held, add(held, Purpose.STOP, OrderStatus.CREATED, "30")) is None


def test_an_exit_that_would_add_to_the_position_is_a_mistake() -> None:
    desk, held = Desk(), opened()
    wrong = add(held, Purpose.FLATTEN, OrderStatus.CREATED, "100")
    wrong.intent = replace(wrong.intent, side=Side.BUY)
    assert reason(desk.throttle.admit(held, wrong)) is DenyReason.NOT_REDUCING
    naked = add(held, Purpose.FLATTEN, OrderStatus.CREATED, "100")
    naked.intent = replace(naked.intent, reduce_only=False)
    assert reason(desk.throttle.admit(held, naked)) is DenyReason.NOT_REDUCING


@given(
    steps=st.lists(st.tuples(st.sampled_from(list(Direction)), st.integers(0, 50_000)), max_size=60)
)
def test_never_more_than_allowed_in_any_minute(steps: list[tuple[Direction, int]]) -> None:
    desk = Desk(replace(LIMITS, same_entries=100))
    left: list[int] = []
    for side, pause in steps:
        desk.now += pause
        if desk.open(side) is None:
            left.append(desk.now)
    for at in left:
        assert sum(at - MINUTE_MS < other <= at for other in left) <= LIMITS.entries_per_minute


# --- in the whole daemon ---


def test_a_denied_entry_is_recorded_told_once_and_leaves_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.rules = lambda rules: replace(
            rules, throttle=ThrottleLimits(order_value=Decimal(100))
        )
        daemon = await world.daemon()
        for number in (1, 2):
            assert await daemon.orders.place_order(approved(number=number))
            await world.wait(lambda: not daemon.orders.busy(XRP))
        assert world.paper.requests["POST /fapi/v1/order"] == 0
        refusals = [f.refusal for f in daemon.facts if isinstance(f, EntryRefused)]
        assert [refusal.gate for refusal in refusals] == ["order_value", "order_value"]
        assert refusals[0].checks[-1].numbers == {"value": "200", "limit": "100"}
        statuses = [f.status for f in daemon.facts if isinstance(f, OrderChanged)]
        assert statuses == [OrderStatus.DENIED, OrderStatus.DENIED]
        keys = [f.key for f in daemon.facts if isinstance(f, Alert)]
        assert keys == [f"limit:order_value:{XRP}"]
        assert daemon.orders.limits_used().denied == {"order_value": 2}
        await daemon.stop()

    in_world(tmp_path, story)


def test_entries_sent_before_a_restart_count_after_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.rules = lambda rules: replace(rules, throttle=ThrottleLimits(entries_per_minute=1))
        daemon = await world.daemon()
        await daemon.orders.place_order(approved(number=1))
        await world.wait(lambda: world.stops() == 100)
        await daemon.orders.close_position(XRP)
        await daemon.stop()
        again = await world.daemon()
        assert again.orders.entries_blocked() == "1 entries in the last minute, limit 1"
        assert await again.orders.place_order(approved(number=2)) == ""
        await world.clock.sleep(60)
        assert await again.orders.place_order(approved(number=3)) != ""
        await world.wait(lambda: world.stops() == 100)
        await again.stop()

    in_world(tmp_path, story)


def test_a_price_that_ran_away_between_decision_and_wire_stops_the_entry(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.feed.push("XRPUSDC", "2.1000", gap=True)
        await daemon.orders.place_order(approved(price="2.0000"))
        await world.wait(lambda: not daemon.orders.busy(XRP))
        assert world.position() == 0
        assert daemon.orders.limits_used().denied == {"price_collar": 1}
        await daemon.stop()

    in_world(tmp_path, story)


def test_an_approval_of_long_ago_is_none_any_more() -> None:
    desk = Desk()
    old = desk.decided()
    desk.throttle.approve(old)
    desk.now += 6 * MINUTE_MS
    young = replace(desk.decided(), decided_ms=desk.now)
    desk.throttle.approve(young)
    assert desk.throttle.approval(young.intent_id) is young
    late = desk.throttle.admit(state(old.direction), entry_record(old))
    assert reason(late) is DenyReason.NOT_APPROVED
