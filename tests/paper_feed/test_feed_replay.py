"""Replay: exact candles, consistent paths, order in time, symbols, bounds."""

from itertools import groupby, pairwise
from pathlib import Path

import pytest
from feed_kit import (
    DAY,
    MINUTE,
    START,
    D,
    archive,
    joined,
    numbers,
    played,
    real_candles,
    row,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from core.domain.errors import DataError
from core.paper.candles import CandleBook
from core.paper.feed_replay import Minute, ReplayFeed, cut, shares
from core.paper.model import PaperCandle, Tick

BULL = ("100.0", "101.5", "99.0", "100.5")
BEAR = ("100.5", "101.5", "99.0", "100.0")


def recording(folder: Path, symbol: str = "BTCUSDT", count: int = 10, first: int = 0) -> Path:
    """`count` minutes, alternately rising and falling."""
    lines = [row(START + n * MINUTE, BEAR if n % 2 else BULL) for n in range(first, first + count)]
    return write(folder / f"{symbol}-1m-2025-06.csv", lines)


@st.composite
def candles(draw: st.DrawFn) -> Minute:
    low, mid, other, high = sorted(draw(st.integers(1, 10**6)) for _ in range(4))
    opened, close = draw(st.permutations([mid, other]))
    counts = st.integers(0, 10**9)
    return Minute(START, opened, high, low, close, draw(counts), draw(counts), draw(counts))


@given(candles(), st.sampled_from([3, 5, 15, 60]))
def test_a_cut_candle_joins_to_itself(candle: Minute, count: int) -> None:
    minutes = list(cut(candle, count))
    assert [m.time for m in minutes] == [START + n * MINUTE for n in range(count)]
    assert minutes[0].open == candle.open
    assert minutes[-1].close == candle.close
    assert max(m.high for m in minutes) == candle.high
    assert min(m.low for m in minutes) == candle.low
    for name in ("volume", "quote", "trades"):
        assert sum(getattr(m, name) for m in minutes) == getattr(candle, name)
    for before, after in pairwise(minutes):
        assert before.close == after.open  # the path inside a candle has no jumps
    for m in minutes:
        assert m.low <= min(m.open, m.close) <= max(m.open, m.close) <= m.high


@given(st.integers(0, 10**12), st.integers(1, 60))
def test_shares_sum_exactly(total: int, parts: int) -> None:
    assert sum(shares(total, parts)) == total
    assert len(shares(total, parts)) == parts


def test_a_minute_is_played_open_extremes_close(tmp_path: Path) -> None:
    feed = ReplayFeed(recording(tmp_path, count=3), "USDT", warmup_ms=MINUTE)
    recorder = played(feed)
    falling, rising = START + MINUTE, START + 2 * MINUTE
    expected = [
        (falling, "100.5"),
        (falling + 20_000, "101.5"),
        (falling + 40_000, "99.0"),
        (falling + 59_900, "100.0"),
        (rising, "100.0"),
        (rising + 20_000, "99.0"),
        (rising + 40_000, "101.5"),
        (rising + 59_900, "100.5"),
    ]
    assert [(t.time_ms, t.price) for t in recorder.ticks()] == [(at, D(p)) for at, p in expected]
    assert [t.gap for t in recorder.ticks()] == [True, False, False, False] * 2
    assert sum(t.volume for t in recorder.ticks()[:4]) == D("7.003")
    assert recorder.minutes() == [
        PaperCandle("BTCUSDT", falling, *map(D, BEAR), D("7.003"), D("700.5"), 9),
        PaperCandle("BTCUSDT", rising, *map(D, BULL), D("7.003"), D("700.5"), 9),
    ]


def test_events_come_when_due_in_time_order_and_minutes_between_ticks(tmp_path: Path) -> None:
    recording(tmp_path)
    recording(tmp_path, "ETHUSDT")
    recorder = played(ReplayFeed(tmp_path, "USDC", warmup_ms=2 * MINUTE))
    due = [e.time_ms if isinstance(e, Tick) else e.open_ms + MINUTE for e in recorder.events]
    assert recorder.at == due == sorted(due)
    for symbol in ("BTCUSDC", "ETHUSDC"):
        kinds = [isinstance(e, Tick) for e in recorder.events if e.symbol == symbol]
        assert kinds == [True, True, True, True, False] * 8


def test_a_late_clock_gets_everything_at_once_and_in_order(tmp_path: Path) -> None:
    feed = ReplayFeed(recording(tmp_path), "USDT", warmup_ms=2 * MINUTE)
    late = played(feed, ahead_ms=DAY)
    assert late.events == played(feed).events
    assert set(late.at) == {feed.start_ms + DAY}


def test_history_ends_where_play_begins(tmp_path: Path) -> None:
    feed = ReplayFeed(recording(tmp_path), "USDT", warmup_ms=4 * MINUTE)
    assert feed.start_ms == START + 4 * MINUTE
    assert feed.end_ms == START + 10 * MINUTE
    assert not feed.simulated
    opens = [c.open_ms for c in (*feed.history("BTCUSDT"), *played(feed).minutes())]
    assert opens == [START + n * MINUTE for n in range(10)]
    with pytest.raises(KeyError):
        feed.history("ETHUSDT")


def test_gaps_are_played_as_jumps_and_reported(tmp_path: Path) -> None:
    lines = [row(START + n * MINUTE) for n in (0, 1, 2, 7, 8)]
    path = write(tmp_path / "BTCUSDT-1m-2025-06.csv", lines)
    feed = ReplayFeed(path, "USDT", warmup_ms=MINUTE)
    recorder = played(feed)
    assert feed.gaps == 1
    assert "1 gaps" in feed.describe()
    assert [c.open_ms for c in recorder.minutes()] == [START + n * MINUTE for n in (1, 2, 7, 8)]
    first_after = next(t for t in recorder.ticks() if t.time_ms >= START + 7 * MINUTE)
    assert first_after.gap


def test_another_coin_is_played_as_the_wanted_one_and_said(tmp_path: Path) -> None:
    feed = ReplayFeed(recording(tmp_path), "USDC", warmup_ms=0)
    assert feed.symbols == ("BTCUSDC",)
    assert "BTCUSDC from BTCUSDT" in feed.describe()
    assert "\n" not in feed.describe()
    write(tmp_path / "BTCUSDC-1m-2025-06.csv", [row(START + n * MINUTE) for n in range(5)])
    own = ReplayFeed(tmp_path, "USDC", warmup_ms=0)
    assert own.symbols == ("BTCUSDC",)
    assert "from" not in own.describe()
    assert own.end_ms == START + 5 * MINUTE


def test_symbols_choose_and_order_what_is_played(tmp_path: Path) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        recording(tmp_path, symbol)
    feed = ReplayFeed(tmp_path, "USDC", ["SOLUSDC", "BTCUSDC"], warmup_ms=0)
    assert feed.symbols == ("SOLUSDC", "BTCUSDC")
    with pytest.raises(DataError, match=r"no candles for XRPUSDC; recorded are BTCUSDC, ETHUSDC"):
        ReplayFeed(tmp_path, "USDC", ["XRPUSDC"])


def test_a_symbol_without_data_at_the_start_is_left_out_and_named(tmp_path: Path) -> None:
    recording(tmp_path)
    recording(tmp_path, "ETHUSDT", first=6)
    feed = ReplayFeed(tmp_path, "USDC", start_ms=START + 2 * MINUTE)
    assert feed.symbols == ("BTCUSDC",)
    assert "left out, no data at the start: ETHUSDC" in feed.describe()
    both = ReplayFeed(tmp_path, "USDC", warmup_ms=MINUTE)
    assert both.symbols == ("BTCUSDC", "ETHUSDC")
    assert both.start_ms == START + 7 * MINUTE


def test_bounds_cut_the_play(tmp_path: Path) -> None:
    path = recording(tmp_path)
    feed = ReplayFeed(path, "USDT", None, START + 3 * MINUTE + 500, START + 5 * MINUTE)
    assert [c.open_ms for c in played(feed).minutes()] == [START + 3 * MINUTE, START + 4 * MINUTE]
    with pytest.raises(DataError, match="is not after start"):
        ReplayFeed(path, "USDT", None, START + 3 * MINUTE, START + 3 * MINUTE)


def test_too_little_data_for_the_warm_up_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"2025-06-01 01:00.*warm-up of 60 minutes.*2025-06-01 00:00 to 2025-06-01"
    ):
        ReplayFeed(recording(tmp_path), "USDT", warmup_ms=60 * MINUTE)


def test_a_moved_replay_opens_at_the_wall_time_with_hours_of_the_day_kept(tmp_path: Path) -> None:
    path = recording(tmp_path, count=3000)
    opens = START + 400 * DAY + 90 * MINUTE + 17_000
    feed = ReplayFeed(path, "USDT", warmup_ms=60 * MINUTE, opens_at_ms=opens)
    assert feed.start_ms == START + 400 * DAY + 90 * MINUTE
    history = feed.history("BTCUSDT")
    assert [history[0].open_ms, history[-1].open_ms] == [START + 400 * DAY, feed.start_ms - MINUTE]
    assert "shown +400 days later" in feed.describe()
    assert played(feed).minutes()[0].open_ms == feed.start_ms


def test_coarser_candles_play_as_minutes_that_join_to_them(tmp_path: Path) -> None:
    step = 5 * MINUTE
    prices = [BULL, BEAR, ("100.0", "100.0", "100.0", "100.0")]
    lines = [row(START + n * step, p, interval_ms=step) for n, p in enumerate(prices)]
    path = write(tmp_path / "BTCUSDT-5m-2025-06.csv", lines)
    feed = ReplayFeed(path, "USDT", start_ms=START + 7 * MINUTE)  # inside a candle
    minutes = [*feed.history("BTCUSDT"), *played(feed).minutes()]
    assert [c.open_ms for c in minutes] == [START + n * MINUTE for n in range(15)]
    assert feed.history("BTCUSDT")[-1].open_ms == START + 6 * MINUTE
    for n, expected in enumerate(prices):
        assert joined(minutes[5 * n : 5 * n + 5]) == (*map(D, expected), D("7.003"))
    assert "5m candles" in feed.describe()


def test_samples_show_the_finest_price_and_volume(tmp_path: Path) -> None:
    lines = [row(START + n * MINUTE, ("100", "101", "99", "100"), volume="7") for n in range(50)]
    lines[31] = row(START + 31 * MINUTE, ("100", "101", "98.375", "100"), volume="0.0625")
    feed = ReplayFeed(write(tmp_path / "XYZUSDT-1m-a.csv", lines), "USDC", warmup_ms=0)
    sample = feed.samples()["XYZUSDC"]
    assert len(sample) <= 6
    assert D("98.375") in {c.low for c in sample}
    assert D("0.0625") in {c.volume for c in sample}


@real_candles
def test_a_recorded_hour_plays_to_the_last_digit() -> None:
    path = archive() / "1m"
    start = START + 7 * DAY + 11 * 60 * MINUTE
    feed = ReplayFeed(path, "USDC", ["BTCUSDC", "SOLUSDC"], start, start + 60 * MINUTE)
    recorder = played(feed)
    book = CandleBook(feed.symbols)
    for symbol in feed.symbols:
        candles = recorder.minutes(symbol)
        assert len(candles) == 60
        by_minute = {
            at: list(ticks)
            for at, ticks in groupby(recorder.ticks(symbol), lambda t: t.time_ms // MINUTE * MINUTE)
        }
        for candle in candles:
            ticks = by_minute[candle.open_ms]
            prices = [t.price for t in ticks]
            assert (prices[0], max(prices), min(prices), prices[-1]) == numbers(candle)[:4]
            assert sum(t.volume for t in ticks) == candle.volume
            book.on_minute(candle)
        hour = book.klines(symbol, "15m", now_ms=start + 60 * MINUTE)
        assert sum(k.volume for k in hour) == sum(c.volume for c in candles)
