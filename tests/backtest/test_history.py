"""Recorded candles become histories: joined, cut at holes, with their contract."""

import gzip
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from backtest_kit import MINUTE, Row, flat, series

from core.backtest.history import histories, read_histories
from core.domain.errors import DataError

WAVE: list[Row] = [(2 + i / 100, 2.5 + i / 100, 1.5 + i / 1000, 2.2 + i / 100) for i in range(32)]


def test_candles_are_joined_exactly_and_the_fine_ones_stay() -> None:
    (made,) = histories(series(WAVE, start_ms=2 * MINUTE), "5m")
    assert made.ratio == 5
    assert made.candles.open_ms.tolist() == [n * 5 * MINUTE for n in range(1, 6)]
    assert made.fine.open_ms[0] == 5 * MINUTE
    assert len(made.fine) == 25
    first = WAVE[3:8]
    assert made.candles.open[0] == pytest.approx(first[0][0], abs=1e-12)
    assert made.candles.high[0] == max(row[1] for row in first)
    assert made.candles.low[0] == min(row[2] for row in first)
    assert made.candles.close[0] == first[-1][3]
    assert made.candles.volume[0] == sum(10 + i for i in range(3, 8))
    assert made.end_ms == 30 * MINUTE


def test_numbers_are_the_floats_their_text_would_be() -> None:
    (made,) = histories(series(WAVE), "1m")
    assert [repr(value) for value in made.fine.low.tolist()] == [f"{row[2]:.4g}" for row in WAVE]


def test_a_hole_makes_two_histories() -> None:
    first, second = histories(series(flat(40), skip=[17]), "5m")
    assert first.candles.open_ms.tolist() == [0, 5 * MINUTE, 10 * MINUTE]
    assert second.candles.open_ms.tolist() == [20 * MINUTE, 25 * MINUTE, 30 * MINUTE, 35 * MINUTE]
    for made in (first, second):
        assert (np.diff(made.fine.open_ms) == MINUTE).all()
    assert histories(series(flat(4)), "5m") == []


def test_the_end_cuts_and_a_coarse_recording_is_refused() -> None:
    (made,) = histories(series(flat(40)), "5m", end_ms=22 * MINUTE)
    assert made.end_ms == 20 * MINUTE
    coarse = replace(series(flat(40)), interval="5m")
    with pytest.raises(DataError, match="XRPUSDT: recorded as 5m, which does not make 1m"):
        histories(coarse, "1m")


def test_the_contract_is_the_listed_one_or_follows_from_the_data() -> None:
    (made,) = histories(series(WAVE), "1m")
    assert (made.symbol, made.instrument.tick, made.instrument.min_notional) == (
        "XRP/USDT:USDT",
        Decimal("0.0001"),
        5,
    )
    assert made.instrument.brackets[0].max_leverage == 75
    strange = replace(series(WAVE), symbol="ODDUSDT", base="ODD")
    (odd,) = histories(strange, "1m")
    assert (odd.instrument.tick, odd.instrument.step) == (Decimal("0.001"), 1)
    with pytest.raises(DataError, match="ODDXYZ: quote coin 'XYZ' is not one of"):
        histories(replace(strange, symbol="ODDXYZ"), "1m")


def test_files_are_found_by_recorded_symbol(tmp_path: Path) -> None:
    lines = [f"{i * MINUTE},2,3,1,2,5,{(i + 1) * MINUTE - 1},0,0,0,0,0" for i in range(30)]
    with gzip.open(tmp_path / "XRPUSDT-1m-1970-01.csv.gz", "wt") as text:
        text.write("\n".join(lines))
    (made,) = read_histories(tmp_path, "15m", symbols=["XRPUSDT"])
    assert (made.symbol, len(made.candles), len(made.fine)) == ("XRP/USDT:USDT", 2, 30)
    with pytest.raises(DataError, match="no candles for DOGEUSDT; there are XRPUSDT"):
        read_histories(tmp_path, "15m", symbols=["DOGEUSDT"])
    with pytest.raises(DataError, match="no whole 1h candle"):
        read_histories(tmp_path, "1h")
