"""What holds for every strategy in `strategies/`, the shipped ones and those dropped there."""

import numpy as np
import pytest
from decide_builders import archive_candles, synthetic_candles

from core.domain.market import CandleArrays
from core.domain.strategy import SignalArrays, Strategy
from core.strategy_manager import discover, load_strategy

COUNT = 900
FIELDS = tuple(CandleArrays.__dataclass_fields__)


@pytest.fixture(params=sorted(discover()))
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return load_strategy(request.param)


def part(candles: CandleArrays, count: int) -> CandleArrays:
    return CandleArrays(*(getattr(candles, name)[:count].copy() for name in FIELDS))


def other_future(candles: CandleArrays, cut: int) -> CandleArrays:
    """The same up to `cut`, and something else entirely from there on."""
    changed = part(candles, len(candles))
    for name in ("open", "high", "low", "close"):
        getattr(changed, name)[cut:] = getattr(changed, name)[cut:][::-1] * 1.7
    changed.volume[cut:] = changed.volume[cut:][::-1] * 9.0
    return changed


def assert_same_past(one: SignalArrays, other: SignalArrays, cut: int) -> None:
    for name in ("direction", "strength", "atr"):
        np.testing.assert_array_equal(getattr(one, name)[:cut], getattr(other, name)[:cut], name)
    for row in range(max(cut - 40, 0), cut):
        assert one.explain(row) == other.explain(row)
        assert one.gate(row) == other.gate(row)


@pytest.mark.parametrize("cut", [0.4, 0.63, 0.99])
def test_no_future_reaches_the_past(strategy: Strategy, cut: float) -> None:
    candles = synthetic_candles(COUNT, seed=8)
    end = int(COUNT * cut)
    whole = strategy.signals(candles)
    assert whole.direction.any(), "nothing is shown by a strategy that never speaks"
    assert_same_past(strategy.signals(other_future(candles, end)), whole, end)
    assert_same_past(strategy.signals(part(candles, end)), whole, end)


def test_no_future_reaches_the_past_on_real_candles(strategy: Strategy) -> None:
    candles = archive_candles("5m/BTCUSDT-5m-20250525-20250713.csv.gz", 4_000)
    whole = strategy.signals(candles)
    for end in (500, 2_345, 3_999):
        assert_same_past(strategy.signals(other_future(candles, end)), whole, end)
        assert_same_past(strategy.signals(part(candles, end)), whole, end)


def test_the_newest_candle_alone_is_the_last_row_of_all(strategy: Strategy) -> None:
    candles = synthetic_candles(strategy.warmup + 200, seed=9)
    for count in range(strategy.warmup, len(candles)):
        row, whole = strategy.latest(part(candles, count)), strategy.signals(part(candles, count))
        assert (row.direction, row.gate) == (whole.direction[-1], whole.gate(-1))
        assert row.words == whole.explain(-1)


def test_it_remembers_nothing_and_changes_nothing(strategy: Strategy) -> None:
    candles, other = synthetic_candles(COUNT, seed=8), synthetic_candles(COUNT, seed=3)
    before = part(candles, COUNT)
    first = strategy.signals(candles)
    strategy.signals(other)
    strategy.latest(other)
    assert_same_past(strategy.signals(candles), first, COUNT)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(candles, name), getattr(before, name))


def test_its_arrays_fit_and_are_in_range(strategy: Strategy) -> None:
    for count in (0, 1, strategy.warmup - 1, strategy.warmup, COUNT):
        result = strategy.signals(
            synthetic_candles(max(count, 1)) if count else part(synthetic_candles(1), 0)
        )
        for row in (result.direction, result.strength, result.atr):
            assert row.shape == (count,)
        assert set(np.unique(result.direction)) <= {-1, 0, 1}
        assert not result.direction[: strategy.warmup - 1].any()
        fired = result.direction != 0
        assert ((result.strength[fired] > 0) & (result.strength[fired] <= 1)).all()
        assert (result.atr[fired] > 0).all()
