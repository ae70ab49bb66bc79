"""Rounding names its direction and never passes through a binary float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.enums import Direction
from core.domain.money import (
    ceil_to_step,
    decimal,
    floor_to_step,
    nearest_to_step,
    round_to_tick_away,
    to_wire,
    truncate_to_step,
)

STEPS = st.sampled_from([Decimal(s) for s in ("0.001", "0.01", "0.1", "1", "0.00001", "5")])
VALUES = st.decimals(min_value=Decimal("-1e6"), max_value=Decimal("1e6"), allow_nan=False, places=9)


def test_a_step_is_not_lost_as_binary_floats_lose_it() -> None:
    # 0.3 / 0.1 is 2.9999999999999996 in binary and would be floored to two steps.
    assert floor_to_step(Decimal("0.3"), Decimal("0.1")) == Decimal("0.3")


@given(VALUES, STEPS)
def test_rounding_stays_within_one_step_on_the_named_side(value: Decimal, step: Decimal) -> None:
    low, high = floor_to_step(value, step), ceil_to_step(value, step)
    assert low <= value <= high
    assert high - low in (Decimal(0), step)
    assert low % step == 0
    assert abs(truncate_to_step(value, step)) <= abs(value)
    assert abs(nearest_to_step(value, step) - value) * 2 <= step


@given(VALUES.filter(lambda v: v > 1), STEPS)
def test_a_stop_is_never_rounded_toward_the_entry(price: Decimal, tick: Decimal) -> None:
    assert round_to_tick_away(price, tick, Direction.LONG) <= price
    assert round_to_tick_away(price, tick, Direction.SHORT) >= price


@pytest.mark.parametrize("step", ["0", "-0.1"])
def test_a_step_must_be_positive(step: str) -> None:
    with pytest.raises(ValueError, match="step must be positive"):
        floor_to_step(Decimal(1), Decimal(step))


@given(VALUES)
def test_wire_text_is_exact_and_plain(value: Decimal) -> None:
    text = to_wire(value)
    assert Decimal(text) == value
    assert "e" not in text.lower()
    assert text != "-0"


@pytest.mark.parametrize("bad", [0.1, True, None])
def test_floats_and_other_types_are_refused(bad: object) -> None:
    with pytest.raises(TypeError):
        decimal(bad)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("bad", ["", "NaN", "Infinity", "12,5", "0x10"])
def test_text_that_is_no_finite_number_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="number"):
        decimal(bad)
