"""The strategy reads closed candles only, mirrors its sides and says what it saw."""

import numpy as np
import pytest
import talib
from decide_builders import archive_candles, synthetic_candles

from core.domain.market import CandleArrays
from strategies.scalping_v1 import ScalpingParams, ScalpingV1

STRATEGY = ScalpingV1()
BTC_5M = "5m/BTCUSDT-5m-20250525-20250713.csv.gz"
XRP_1M = "1m/XRPUSDT-1m-20250504-20250624.csv.gz"


def head(candles: CandleArrays, count: int) -> CandleArrays:
    return CandleArrays(
        *(getattr(candles, name)[:count].copy() for name in CandleArrays.__dataclass_fields__)
    )


def mirrored(candles: CandleArrays) -> CandleArrays:
    """Prices reflected about a level: every rise becomes an equal fall."""
    level = 2 * float(candles.close.mean())
    return CandleArrays(
        candles.open_ms,
        level - candles.open,
        level - candles.low,
        level - candles.high,
        level - candles.close,
        candles.volume,
    )


def test_shapes_and_ranges() -> None:
    candles = synthetic_candles(400)
    result = STRATEGY.signals(candles)
    assert result.direction.shape == result.strength.shape == result.atr.shape == (400,)
    assert set(np.unique(result.direction)) == {-1, 0, 1}
    assert not result.direction[: STRATEGY.warmup - 1].any()
    fired = result.direction != 0
    assert ((result.strength[fired] >= 0.5) & (result.strength[fired] <= 1.0)).all()
    assert not result.strength[~fired].any()


@pytest.mark.parametrize("cut", [150, 237, 399])
def test_the_future_changes_nothing(cut: int) -> None:
    candles = synthetic_candles(400)
    whole = STRATEGY.signals(candles)
    shifted = head(candles, 400)
    for name in ("open", "high", "low", "close"):
        getattr(shifted, name)[cut:] *= 3.0
    shifted.volume[cut:] *= 50.0
    other_future = STRATEGY.signals(shifted)
    cut_off = STRATEGY.signals(head(candles, cut))
    for result in (other_future, cut_off):
        for name in ("direction", "strength", "atr"):
            np.testing.assert_array_equal(
                getattr(result, name)[:cut], getattr(whole, name)[:cut], err_msg=name
            )
        words = [result.explain(i) for i in range(cut)]
        assert words == [whole.explain(i) for i in range(cut)]


def test_asking_twice_is_the_same_answer_and_inputs_stay() -> None:
    candles = synthetic_candles(300)
    before = [getattr(candles, name).copy() for name in CandleArrays.__dataclass_fields__]
    first, second = STRATEGY.signals(candles), STRATEGY.signals(candles)
    np.testing.assert_array_equal(first.direction, second.direction)
    for kept, name in zip(before, CandleArrays.__dataclass_fields__, strict=True):
        np.testing.assert_array_equal(getattr(candles, name), kept)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_newest_candle_alone_is_the_last_row_of_all(seed: int) -> None:
    """Live trading asks for one row, a backtest for all: one set of rules, one answer."""
    candles = synthetic_candles(420, seed=seed)
    sides = set()
    for count in range(STRATEGY.warmup - 2, 420):
        part = head(candles, count)
        row, whole = STRATEGY.latest(part), STRATEGY.signals(part)
        assert (row.direction, row.strength) == (whole.direction[-1], whole.strength[-1])
        np.testing.assert_equal(row.atr, whole.atr[-1])
        assert (row.gate, row.words) == (whole.gate(-1), whole.explain(-1))
        sides.add(row.direction)
    assert sides == {-1, 0, 1}


def test_long_and_short_mirror_each_other() -> None:
    candles = synthetic_candles(600, seed=5)
    wide = ScalpingV1(ScalpingParams(atr_min=0.0, atr_max=0.9))
    there, back = wide.signals(candles), wide.signals(mirrored(candles))
    assert there.direction.any()
    np.testing.assert_array_equal(there.direction, -back.direction)
    np.testing.assert_array_equal(there.strength, back.strength)


@pytest.mark.parametrize("name", [BTC_5M, XRP_1M])
def test_conditions_equal_a_plain_reading_of_the_rules_on_real_candles(name: str) -> None:
    """Row by row with TA-Lib's own numbers: what the vectorised table says must be the rule."""
    candles = archive_candles(name, 3000)
    p = STRATEGY.params
    fast, slow = talib.EMA(candles.close, 9), talib.EMA(candles.close, 21)
    rsi = talib.RSI(candles.close, 14)
    histogram = talib.MACD(candles.close, 12, 26, 9)[2]
    atr = talib.ATR(candles.high, candles.low, candles.close, 14)
    mean = talib.SMA(candles.volume, 20)
    result = STRATEGY.signals(candles)
    np.testing.assert_array_equal(result.atr, atr)
    expected = np.zeros(3000, dtype=int)
    for i in range(STRATEGY.warmup - 1, 3000):
        spike = candles.volume[i] > p.volume_spike * mean[i]
        up = fast[i] > slow[i] or histogram[i - 1] <= 0 < histogram[i]
        down = fast[i] < slow[i] or histogram[i] <= 0 < histogram[i - 1]
        buy = (rsi[i - 1] < rsi[i] <= 50) or (spike and candles.close[i] > candles.open[i])
        sell = (rsi[i - 1] > rsi[i] >= 50) or (spike and candles.close[i] < candles.open[i])
        if p.atr_min <= atr[i] / candles.close[i] <= p.atr_max:
            expected[i] = int(up and buy) - int(down and sell)
    assert {-1, 0, 1} == set(expected.tolist())
    np.testing.assert_array_equal(result.direction, expected)


def test_real_candles_give_signals_on_both_sides_with_words() -> None:
    result = STRATEGY.signals(archive_candles(BTC_5M, 14_000))
    rows = np.flatnonzero(result.direction)
    assert 100 < rows.size < 3000, "neither silent nor on every candle"
    for i in rows[:200]:
        words = result.explain(int(i))
        assert words.startswith("trend: ")
        assert "; confirm: " in words
        assert words.endswith(" %")
        sign = ">" if result.direction[i] > 0 else "<"
        assert f"ema9{sign}ema21" in words or "macd crossed" in words
        assert result.gate(int(i)) == ""


def test_every_silent_row_names_its_gate() -> None:
    result = STRATEGY.signals(synthetic_candles(500, seed=3))
    gates = {result.gate(i) for i in np.flatnonzero(result.direction == 0).tolist()}
    assert gates <= {"warmup", "confirm", "trend", "atr_low", "atr_high", "conflict"}
    assert {"warmup", "confirm"} <= gates
    assert result.gate(-1) == result.gate(499)
    assert all(result.explain(i) for i in range(500))


@pytest.mark.parametrize(
    ("params", "gate"),
    [
        (ScalpingParams(atr_min=0.5, atr_max=0.9), "atr_low"),
        (ScalpingParams(atr_max=0.0011), "atr_high"),
    ],
)
def test_volatility_outside_the_band_is_a_gate(params: ScalpingParams, gate: str) -> None:
    result = ScalpingV1(params).signals(synthetic_candles(300))
    assert not result.direction.any()
    assert result.gate(299) == gate
    assert result.explain(299).startswith(gate)


@pytest.mark.parametrize("count", [1, STRATEGY.warmup - 1])
def test_too_few_candles_are_warm_up(count: int) -> None:
    result = STRATEGY.signals(synthetic_candles(count))
    assert not result.direction.any()
    assert result.gate(-1) == "warmup"
    assert f"{count} of {STRATEGY.warmup}" in result.explain(-1)


def test_no_candles_are_no_rows() -> None:
    assert STRATEGY.signals(head(synthetic_candles(5), 0)).direction.shape == (0,)


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("at", [0, 150, 299])
def test_bad_numbers_never_crash(name: str, at: int) -> None:
    candles = synthetic_candles(300)
    getattr(candles, name)[at] = np.nan
    result = STRATEGY.signals(candles)
    assert result.explain(299)
    if name == "close" and at:
        assert result.gate(299) == "bad_data"
        assert not result.direction[at:].any()


def test_flat_market_is_silent() -> None:
    candles = synthetic_candles(300)
    for name in ("open", "high", "low", "close"):
        getattr(candles, name)[:] = 100.0
    candles.volume[:] = 0.0
    result = STRATEGY.signals(candles)
    assert not result.direction.any()
    assert result.gate(299) == "atr_low"


def test_parameters_are_checked_by_name() -> None:
    assert ScalpingV1.build({"ema_fast": "5", "ema_slow": 8}).params.ema_fast == 5
    with pytest.raises(ValueError, match=r"scalping_v1\.ema_fast = 0"):
        ScalpingV1.build({"ema_fast": 0})
    with pytest.raises(ValueError, match=r"scalping_v1\.ema_fats"):
        ScalpingV1.build({"ema_fats": 3})
    with pytest.raises(ValueError, match="ema_fast must be below ema_slow"):
        ScalpingV1.build({"ema_fast": 30})


def test_warm_up_grows_with_the_slowest_length() -> None:
    assert ScalpingV1.build({"ema_slow": 200}).warmup == 600
    assert STRATEGY.warmup == 105
