"""The transition table: every pair of states is decided, and evidence merges in any order."""

from decimal import Decimal
from itertools import permutations, product

import pytest

from core.domain.enums import OrderKind, OrderStatus, Purpose, Side
from core.domain.intent import OrderIntent
from core.domain.order import TRANSITIONS, Move, OrderRecord

S = OrderStatus


def record(status: OrderStatus = S.CREATED, quantity: str = "10") -> OrderRecord:
    intent = OrderIntent(
        intent_id="i",
        trade_id="t",
        symbol="XRP/USDC:USDC",
        side=Side.BUY,
        kind=OrderKind.MARKET,
        quantity=Decimal(quantity),
        purpose=Purpose.ENTRY,
        created_ms=0,
    )
    return OrderRecord(intent=intent, client_id="c", attempt=0, status=status)


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_every_pair_of_states_is_applied_stale_or_misfit(
    before: OrderStatus, after: OrderStatus
) -> None:
    order = record(before)
    move = order.advance(after)
    if before is after:
        assert move == Move.STALE
        assert order.status is before
    elif after in TRANSITIONS[before]:
        assert move == Move.APPLIED
        assert order.status is after
    else:
        assert move in (Move.STALE, Move.MISFIT)
        assert order.status is before


def test_a_terminal_state_is_left_only_by_a_fill_or_by_disproof_of_absence() -> None:
    for status in OrderStatus:
        if status.is_terminal and status is not S.ABSENT:
            assert TRANSITIONS[status] <= {S.FILLED}


def test_a_fill_reported_after_the_cancel_counts() -> None:
    order = record(S.CANCELED)
    assert order.advance(S.FILLED, executed=Decimal(10)) == Move.APPLIED
    assert order.executed == 10


def test_an_old_answer_does_not_take_back_a_fill_event() -> None:
    order = record(S.SENT)
    order.advance(S.FILLED, executed=Decimal(10))
    assert order.advance(S.LIVE, executed=Decimal(0)) == Move.STALE
    assert (order.status, order.executed) == (S.FILLED, Decimal(10))


@pytest.mark.parametrize(
    "order_of_arrival",
    list(
        permutations(
            [(S.LIVE, "0"), (S.PARTIALLY_FILLED, "4"), (S.PARTIALLY_FILLED, "7"), (S.FILLED, "10")]
        )
    ),
)
def test_any_order_of_arrival_ends_filled(order_of_arrival: tuple[tuple[S, str], ...]) -> None:
    order = record(S.SENT)
    for status, executed in order_of_arrival:
        assert order.advance(status, executed=Decimal(executed)) != Move.MISFIT
    assert (order.status, order.executed, order.remaining) == (S.FILLED, Decimal(10), Decimal(0))
