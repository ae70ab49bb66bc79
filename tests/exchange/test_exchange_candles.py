"""A series of closed candles: contiguous, bounded and free of bad numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.market import Candle, CandleArrays
from core.exchange.candle_series import CandleSeries, Verdict, defect

MINUTE = 60_000


def candle(minute: int, close: float = 1.0, volume: float = 5.0) -> Candle:
    return Candle(minute * MINUTE, 1.0, max(1.0, close), min(1.0, close), close, volume)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 10))
def test_any_arrival_order_leaves_a_contiguous_tail(minutes: list[int], capacity: int) -> None:
    series = CandleSeries(MINUTE, capacity)
    accepted = [m for m in minutes if series.offer(candle(m)) is Verdict.APPENDED]
    opens = (series.arrays().open_ms // MINUTE).tolist()
    assert opens == accepted[-capacity:]
    assert accepted == list(range(accepted[0], accepted[0] + len(accepted))) if accepted else True


def test_what_does_not_join() -> None:
    series = CandleSeries(MINUTE, 10)
    assert series.offer(candle(5)) is Verdict.APPENDED
    assert series.offer(candle(5)) is Verdict.OLD
    assert series.offer(candle(4)) is Verdict.OLD
    assert series.offer(candle(7)) is Verdict.GAP
    assert series.next_open_ms == 6 * MINUTE
    series.restart()
    assert series.offer(candle(7)) is Verdict.APPENDED


@pytest.mark.parametrize("capacity", [1, 2, 7, 10])
def test_a_snapshot_stays_whatever_comes_after(capacity: int) -> None:
    series = CandleSeries(MINUTE, capacity)
    taken = []
    for minute in range(5 * capacity):
        series.offer(candle(minute, close=1.0 + minute, volume=float(minute)))
        taken.append((minute, series.arrays()))
    series.restart()
    series.offer(candle(99))
    for minute, arrays in taken:
        kept = list(range(max(minute + 1 - capacity, 0), minute + 1))
        assert (arrays.open_ms // MINUTE).tolist() == kept
        assert arrays.close.tolist() == arrays.high.tolist() == [1.0 + m for m in kept]
        assert arrays.open.tolist() == arrays.low.tolist() == [1.0] * len(kept)
        assert arrays.volume.tolist() == kept


def test_asking_twice_costs_nothing_and_nobody_can_change_what_was_given() -> None:
    series = CandleSeries(MINUTE, 10)
    assert len(series.arrays()) == 0
    series.offer(candle(1))
    arrays = series.arrays()
    assert series.arrays() is arrays
    for name in CandleArrays.__dataclass_fields__:
        with pytest.raises(ValueError, match="read-only"):
            getattr(arrays, name)[0] = 5


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (candle(1, close=math.nan), "positive"),
        (candle(1, close=math.inf), "positive"),
        (candle(1, close=0.0), "positive"),
        (candle(1, close=-1.0), "positive"),
        (candle(1, volume=math.nan), "volume"),
        (candle(1, volume=-1.0), "volume"),
        (Candle(MINUTE, 1.0, 0.9, 0.8, 1.0, 1.0), "high and low"),
        (Candle(MINUTE, 1.0, 1.2, 1.1, 1.0, 1.0), "high and low"),
        (Candle(MINUTE + 1, 1.0, 1.0, 1.0, 1.0, 1.0), "grid"),
    ],
)
def test_bad_candles_are_named(bad: Candle, says: str) -> None:
    assert says in defect(bad, MINUTE)
    assert CandleSeries(MINUTE, 3).offer(bad) is Verdict.BAD


def test_a_candle_without_trades_is_a_candle() -> None:
    assert defect(candle(1, volume=0.0), MINUTE) == ""
