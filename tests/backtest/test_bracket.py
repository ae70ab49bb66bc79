"""One position over candles drawn by hand: what fills, where, and what it costs."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from backtest_kit import D, Row, flat, history, mirrored, play, rules

from core.backtest.bracket import BracketSimulator, Funding, Wish
from core.backtest.rules import Costs
from core.domain.enums import Direction, ExitReason
from core.domain.money import floor_to_step
from core.domain.position import Trade
from core.sizing import SizingRefused

LONG, SHORT = Direction.LONG, Direction.SHORT
MINUTE = 60_000
RISE: Row = (2.0, 2.05, 2.0, 2.05)
HALF_RISE: Row = (2.0, 2.03, 2.0, 2.0)
FALL: Row = (2.0, 2.0, 1.95, 1.95)
BOTH: Row = (2.0, 2.05, 1.95, 2.0)


def halves(trade: Trade) -> tuple[Decimal, Decimal]:
    """What the two targets of the ladder take."""
    near = floor_to_step(trade.entry_quantity / 2, D("0.1"))
    return near, trade.entry_quantity - near


def both_ways(rows: list[Row]) -> list[tuple[Direction, list[Row]]]:
    return [(LONG, rows), (SHORT, mirrored(rows))]


@pytest.mark.parametrize(("side", "rows"), both_ways([*flat(3), RISE, *flat(3)]))
def test_a_candle_beyond_all_targets_takes_the_whole_ladder(
    side: Direction, rows: list[Row]
) -> None:
    trade = play(history(rows), side)
    assert trade.exit_reason is ExitReason.TAKE_PROFIT
    assert (trade.entry_price, trade.quantity) == (2, 0)
    near, far = halves(trade)
    assert abs(trade.exit_notional - 2 * trade.entry_quantity) == (near + 2 * far) * D("0.02")
    assert (trade.opened_ms, trade.closed_ms) == (MINUTE, 4 * MINUTE - 1)
    assert trade.net == trade.realized == (near + 2 * far) * D("0.02")


@pytest.mark.parametrize(("side", "rows"), both_ways([*flat(3), FALL, *flat(3)]))
def test_a_touched_stop_ends_it_at_its_trigger(side: Direction, rows: list[Row]) -> None:
    trade = play(history(rows), side)
    assert trade.exit_reason is ExitReason.STOP_LOSS
    assert abs(trade.exit_price - 2) == D("0.02")
    assert trade.net == -trade.entry_quantity * D("0.02")


@pytest.mark.parametrize(("side", "rows"), both_ways([*flat(2), BOTH, *flat(3)]))
def test_the_stop_comes_first_in_a_candle_that_touches_both(
    side: Direction, rows: list[Row]
) -> None:
    assert play(history(rows), side).exit_reason is ExitReason.STOP_LOSS


def test_finer_candles_decide_what_came_first() -> None:
    rows = [*flat(5), *flat(2), RISE, FALL, *flat(6)]
    assert play(history(rows, "5m")).exit_reason is ExitReason.TAKE_PROFIT
    swapped = [*flat(5), *flat(2), FALL, RISE, *flat(6)]
    assert play(history(swapped, "5m")).exit_reason is ExitReason.STOP_LOSS


def test_a_market_that_opens_beyond_the_stop_is_left_at_the_open() -> None:
    gap: Row = (1.9, 1.92, 1.9, 1.9)
    trade = play(history([*flat(3), gap, *flat(2)]))
    assert (trade.exit_reason, trade.exit_price) == (ExitReason.STOP_LOSS, D("1.9"))


def test_a_target_fills_only_when_the_market_goes_beyond_it() -> None:
    exactly: Row = (2.0, 2.02, 2.0, 2.0)
    trade = play(history([*flat(2), exactly, *flat(200)]))
    assert trade.exit_reason is ExitReason.MAX_HOLD
    assert trade.exit_price == 2


def test_part_of_the_ladder_and_then_the_stop() -> None:
    trade = play(history([*flat(2), HALF_RISE, FALL, *flat(2)]))
    assert trade.exit_reason is ExitReason.STOP_LOSS
    near, far = halves(trade)
    assert trade.realized == (near - far) * D("0.02")
    assert trade.exit_quantity == trade.entry_quantity


def test_the_longest_hold_ends_at_the_next_open() -> None:
    rows = [*flat(121), (2.001, 2.002, 2.0, 2.0), *flat(3)]
    trade = play(history(rows))
    assert trade.exit_reason is ExitReason.MAX_HOLD
    assert trade.closed_ms - trade.opened_ms == 120 * MINUTE
    assert trade.exit_price == D("2.001")
    for_ever = play(history([*flat(900), RISE, *flat(2)]), by=rules(MAX_HOLD_MINUTES=0))
    assert (for_ever.exit_reason, for_ever.closed_ms) == (
        ExitReason.TAKE_PROFIT,
        901 * MINUTE - 1,
    )


def test_the_recording_ends_before_the_position_does() -> None:
    made = history(flat(100))
    simulator = BracketSimulator(made, rules(), Funding())
    assert simulator.play(Wish(0, LONG, 0.004, "drawn", D(400))) is None
    assert simulator.play(Wish(99, LONG, 0.004, "drawn", D(400))) is None


def test_costs_worsen_every_fill_and_never_leave_the_grid() -> None:
    costs = Costs(fee=D("0.0005"), slippage=D("0.00012"), stop_slippage=D("0.0005"))
    for side, rows in both_ways([*flat(3), FALL, *flat(2)]):
        trade = play(history(rows), side, by=rules(costs))
        sign = side.sign
        assert (trade.entry_price - 2) * sign == D("0.0003")  # 0.00024, up to the next tick
        stop = trade.entry_price * (1 - sign * D("0.01"))
        slipped = stop * (1 - sign * D("0.0005"))
        assert 0 <= (slipped - trade.exit_price) * sign < D("0.0002")
        paid = trade.entry_notional * costs.fee + trade.exit_notional * costs.fee
        assert trade.fees == paid
        assert trade.net == trade.realized - paid
        tick = D("0.0001") * trade.entry_quantity
        assert -trade.net <= D(400) * D("0.0075") + tick, "never more than the risk"


def test_break_even_after_the_first_target() -> None:
    by = rules(BREAK_EVEN_AFTER_TP1="true", BREAK_EVEN_OFFSET_PCT="0.001")
    rows = [*flat(2), HALF_RISE, (2.01, 2.01, 1.99, 1.99), *flat(200, 1.99)]
    for side, drawn in both_ways(rows):
        trade = play(history(drawn), side, by=by)
        assert trade.exit_reason is ExitReason.MOVED_STOP
        assert trade.closed_ms == 4 * MINUTE - 1
        near, far = halves(trade)
        assert trade.realized == near * D("0.02") + far * D("0.002")
    assert play(history(rows)).exit_reason is ExitReason.MAX_HOLD


def test_a_trailing_stop_follows_candles_that_are_over() -> None:
    by = rules(TRAILING_STOP="true", TRAILING_START_PCT="0.005", TRAILING_DISTANCE_PCT="0.004")
    up: Row = (2.0, 2.015, 2.0, 2.015)
    back: Row = (2.015, 2.015, 2.0, 2.0)
    for side, drawn in both_ways([*flat(2), up, back, *flat(200)]):
        trade = play(history(drawn), side, by=by)
        assert trade.exit_reason is ExitReason.MOVED_STOP
        best = 2 + side.sign * D("0.015")
        assert abs(trade.exit_price - best * (1 - side.sign * D("0.004"))) < D("0.0001")
        assert trade.closed_ms == 4 * MINUTE - 1
    same_candle: Row = (2.0, 2.015, 1.99, 2.0)
    trade = play(history([*flat(2), same_candle, *flat(200)]), by=by)
    assert trade.closed_ms == 4 * MINUTE - 1, "not stopped by the candle that set the trail"


def test_funding_is_paid_by_what_is_open_when_it_settles() -> None:
    rows = [*flat(2), HALF_RISE, *flat(200)]
    rate = D("0.001")
    settled = np.array([MINUTE, 2 * MINUTE + 1, 5 * MINUTE, 122 * MINUTE], dtype=np.int64)
    paid = Funding(settled, (rate,) * 4)
    for side, drawn in both_ways(rows):
        trade = play(history(drawn), side, funding=paid)
        near, far = halves(trade)
        # Not the one at the moment of entry; the second with all, the third with what is left.
        assert trade.funding == -side.sign * (near + far + far) * 2 * rate
        assert trade.net == trade.realized - trade.fees + trade.funding


def test_an_account_too_small_is_told_what_is_in_the_way() -> None:
    made = history(flat(10))
    simulator = BracketSimulator(made, rules(), Funding())
    refused = simulator.play(Wish(0, LONG, 0.004, "drawn", D(5)))
    assert isinstance(refused, SizingRefused)
    assert refused.gate == "min_notional"


def test_size_plan_and_stop_are_the_daemons() -> None:
    """400 at 0.75 % over a stop of 1 % with its costs, as the sizing tests work it out."""
    by = rules()
    trade = play(history([*flat(3), FALL, *flat(3)]), by=by)
    budget = D(400) * by.sizing.risk_pct
    assert trade.entry_quantity * 2 <= budget / by.sizing.loss_ratio
    assert (trade.entry_quantity + D("0.1")) * 2 > budget / by.sizing.loss_ratio
    assert trade.plan.stop_ratio == D("0.01")
    assert trade.risk == trade.entry_notional * by.sizing.loss_ratio
    made = history([*flat(3), FALL, *flat(3)])
    coarse = replace(made.instrument, step=D(10), market_step=D(10))
    assert play(replace(made, instrument=coarse)).entry_quantity % 10 == 0
