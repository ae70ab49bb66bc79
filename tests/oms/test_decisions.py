"""What a symbol needs next: protection first, never a gap, never a guess (INV-01, INV-02)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oms.builders import PLAN, add, instrument, opened, state

from core.domain.enums import Direction, ExitReason, OrderStatus, Purpose
from core.domain.position import Fill
from core.oms.decisions import (
    WOULD_TRIGGER,
    BeginFlatten,
    Cancel,
    FetchFills,
    Finish,
    Flatten,
    Idle,
    PlaceLadder,
    PlaceStop,
    Resolve,
    decide_manage,
    decide_protect,
    plan_ladder,
)
from core.oms.state import NakedClock, SymbolState, Tracker, unclaimed_id
from core.oms.stop_level import stop_price

TIMEOUT = 1.5
S = OrderStatus


def protected(direction: Direction = Direction.LONG) -> SymbolState:
    made = opened(direction)
    price = stop_price(made.trade, made.instrument)
    add(made, Purpose.STOP, S.LIVE, "100", trigger=str(price))
    return made


@pytest.mark.parametrize(
    ("direction", "expected"), [(Direction.LONG, "1.9840"), (Direction.SHORT, "2.0160")]
)
def test_the_first_fill_asks_for_a_stop_at_once(direction: Direction, expected: str) -> None:
    step = decide_protect(opened(direction), now=0.0, verify_timeout=TIMEOUT)
    assert step == PlaceStop(Decimal(100), Decimal(expected), urgent=True)


def test_a_partial_fill_is_protected_for_what_is_filled() -> None:
    made = state()
    add(made, Purpose.ENTRY, S.PARTIALLY_FILLED, "100", executed="40")
    step = decide_protect(made, now=0.0, verify_timeout=TIMEOUT)
    assert isinstance(step, PlaceStop)
    assert step.quantity == 40


def test_more_fills_than_the_stop_covers_ask_again() -> None:
    made = protected()
    add(made, Purpose.ENTRY, S.PARTIALLY_FILLED, "50", executed="20")
    step = decide_protect(made, now=0.0, verify_timeout=TIMEOUT)
    assert isinstance(step, PlaceStop)
    assert (step.quantity, step.urgent) == (Decimal(120), True)


def test_a_covered_position_is_left_alone() -> None:
    assert decide_protect(protected(), now=0.0, verify_timeout=TIMEOUT) == Idle()


def test_a_broken_stop_level_flattens_at_once() -> None:
    made = opened()
    add(made, Purpose.STOP, S.REJECTED, "100")
    made.naked = NakedClock(since=0.0, tries=1, refused_code=WOULD_TRIGGER)
    step = decide_protect(made, now=0.01, verify_timeout=TIMEOUT)
    assert isinstance(step, BeginFlatten)
    assert step.reason is ExitReason.STOP_LOSS


def test_any_other_refusal_gets_one_corrected_try_then_flattens() -> None:
    made = opened()
    add(made, Purpose.STOP, S.REJECTED, "100")
    made.naked = NakedClock(since=0.0, tries=1, refused_code=-4014)
    assert isinstance(decide_protect(made, now=0.01, verify_timeout=TIMEOUT), PlaceStop)
    add(made, Purpose.STOP, S.REJECTED, "100")
    made.naked.tries = 2
    step = decide_protect(made, now=0.02, verify_timeout=TIMEOUT)
    assert isinstance(step, BeginFlatten)
    assert step.reason is ExitReason.EMERGENCY


def test_a_silent_stop_is_tried_again_at_half_time_and_flattened_at_the_deadline() -> None:
    made = opened()
    add(made, Purpose.STOP, S.SENT, "100")
    made.naked = NakedClock(since=10.0, tries=1)
    assert decide_protect(made, 10.1, TIMEOUT) == Idle(until=10.75)
    assert isinstance(decide_protect(made, 10.75, TIMEOUT), PlaceStop)
    add(made, Purpose.STOP, S.SENT, "100")
    made.naked.tries = 2
    assert decide_protect(made, 11.0, TIMEOUT) == Idle(until=11.5)
    assert isinstance(decide_protect(made, 11.5, TIMEOUT), BeginFlatten)


def test_a_flatten_in_doubt_is_not_sent_twice_while_a_stop_covers() -> None:
    made = opened()
    made.flatten_reason = ExitReason.MANUAL
    assert decide_protect(made, 0.0, TIMEOUT) == Flatten(Decimal(100), ExitReason.MANUAL)
    flatten = add(made, Purpose.FLATTEN, S.UNKNOWN, "100")
    stop = add(made, Purpose.STOP, S.LIVE, "100", trigger="1.9840")
    assert isinstance(decide_protect(made, 99.0, TIMEOUT), Idle)
    assert decide_manage(made, 0.0, 0) == Resolve(flatten)
    stop.status = S.CANCELED
    flatten.status = S.ABSENT
    assert isinstance(decide_protect(made, 0.0, TIMEOUT), Flatten)


def test_a_flatten_in_doubt_while_nothing_covers_is_followed_by_another() -> None:
    made = opened()
    made.flatten_reason = ExitReason.EMERGENCY
    add(made, Purpose.FLATTEN, S.UNKNOWN, "100")
    made.flatten_again_at = 5.0
    assert decide_protect(made, 4.0, TIMEOUT) == Idle(until=5.0)
    assert isinstance(decide_protect(made, 5.0, TIMEOUT), Flatten)


def test_after_a_take_profit_the_new_stop_is_placed_before_the_old_one_goes() -> None:
    made = protected()
    old = made.live_stops()[0]
    add(made, Purpose.TAKE_PROFIT, S.FILLED, "50", executed="50", level=1)
    step = decide_protect(made, 0.0, TIMEOUT)
    assert step == PlaceStop(Decimal(50), Decimal("1.9840"), urgent=False)
    assert not isinstance(decide_manage(made, 0.0, 0), Cancel)  # the only stop stays
    new = add(made, Purpose.STOP, S.SENT, "50", trigger="1.9840")
    assert not isinstance(decide_manage(made, 0.0, 0), Cancel)  # not accepted yet
    new.status = S.LIVE
    assert decide_manage(made, 0.0, 0) == Cancel(old)


def test_the_ladder_waits_for_the_entry_and_its_stop() -> None:
    made = state()
    entry = add(made, Purpose.ENTRY, S.PARTIALLY_FILLED, "100", executed="60")
    assert isinstance(decide_manage(made, 0.0, 0), Idle)
    entry.status, entry.executed, entry.booked = S.FILLED, Decimal(100), Decimal(100)
    assert isinstance(decide_manage(made, 0.0, 0), Idle)
    add(made, Purpose.STOP, S.LIVE, "100", trigger="1.9840")
    step = decide_manage(made, 0.0, 0)
    assert isinstance(step, PlaceLadder)
    assert [leg.quantity for leg in step.legs] == [Decimal(50), Decimal(30), Decimal(20)]


def test_a_ladder_cut_off_by_a_crash_is_completed_with_what_is_missing() -> None:
    made = protected()
    add(made, Purpose.TAKE_PROFIT, S.FILLED, "50", executed="50", level=1)
    add(made, Purpose.STOP, S.LIVE, "50", trigger="1.9840")
    made.live_stops()[0].status = S.CANCELED
    step = decide_manage(made, 0.0, 0)
    assert isinstance(step, PlaceLadder)
    assert [(leg.level, leg.quantity) for leg in step.legs] == [(2, Decimal(30)), (3, Decimal(20))]
    made.ladder_done = True
    assert decide_manage(made, 0.0, 0) == Idle()


def test_when_flat_siblings_go_and_then_the_books_close() -> None:
    made = protected()
    stop = made.live_stops()[0]
    add(made, Purpose.FLATTEN, S.FILLED, "100", executed="100")
    assert decide_manage(made, 0.0, 0) == Cancel(stop)
    stop.cancel_requested = True
    assert decide_manage(made, 0.0, 0) == Idle()
    stop.status = S.CANCELED
    assert decide_manage(made, 0.0, 0) == Finish()


def test_books_do_not_close_before_every_fill_is_known() -> None:
    made = opened()
    flatten = add(made, Purpose.FLATTEN, S.FILLED, "100", executed="100")
    flatten.booked, flatten.order_id = Decimal(0), 77
    assert isinstance(decide_manage(made, 0.0, 500), Idle)
    assert decide_manage(made, 1.0, 1_500) == FetchFills(flatten)


def test_an_entry_that_never_filled_ends_the_episode() -> None:
    made = state()
    add(made, Purpose.ENTRY, S.REJECTED, "100")
    assert decide_manage(made, 0.0, 0) == Finish()


@given(
    quantity=st.decimals(min_value=Decimal("0.1"), max_value=Decimal(5000), places=1),
    direction=st.sampled_from(Direction),
)
def test_the_ladder_closes_exactly_the_position(quantity: Decimal, direction: Direction) -> None:
    made = opened(direction, str(quantity))
    legs = plan_ladder(made.trade, made.instrument, quantity)
    assert sum(leg.quantity for leg in legs) == quantity
    assert all(leg.quantity >= made.instrument.min_qty for leg in legs)
    assert all(leg.quantity % made.instrument.step == 0 for leg in legs)
    prices = [leg.price for leg in legs]
    assert prices == sorted(prices, reverse=direction is Direction.SHORT)


@given(
    price=st.decimals(min_value=Decimal("0.001"), max_value=Decimal(100000), places=4),
    direction=st.sampled_from(Direction),
)
def test_a_stop_is_on_the_tick_and_on_the_losing_side(price: Decimal, direction: Direction) -> None:
    made = state(direction, str(price))
    made.instrument = instrument(tick=Decimal("0.0001"))
    trigger = stop_price(made.trade, made.instrument)
    assert trigger % Decimal("0.0001") == 0
    distance = (made.trade.reference_price - trigger) * direction.sign
    assert distance >= price * PLAN.stop_ratio


@pytest.mark.parametrize("told_first", [True, False])
def test_a_fill_whose_order_is_recognised_later_counts_once(*, told_first: bool) -> None:
    made = protected()
    tracker = Tracker()
    tracker.add(made)
    target = add(made, Purpose.TAKE_PROFIT, S.LIVE, "50", trigger="2.012", level=1)
    fill = Fill(
        symbol=made.symbol,
        trade_id=1,
        order_id=77,
        client_id=unclaimed_id(77),
        side=made.trade.direction.exit_side,
        quantity=Decimal(50),
        price=Decimal("2.012"),
        commission=Decimal(0),
        commission_asset="USDC",
        realized_pnl=Decimal(0),
        maker=False,
        time_ms=1,
    )
    target.order_id = 0 if told_first else 77
    assert made.book(fill)
    assert made.position() == 50
    target.order_id = 77
    target.advance(S.FILLED, executed=Decimal(50))
    tracker.index(target)
    assert made.position() == 50
    assert made.foreign_quantity == 0
    assert not target.lacks_fills
    assert made.last_exit_client_id == target.client_id
