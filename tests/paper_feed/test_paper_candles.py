"""Candle book: every interval agrees with its minutes, Binance's window semantics, 24 h numbers."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from feed_kit import DAY, MINUTE, START, D, joined, minute, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.market import TIMEFRAMES_MS
from core.paper.candle_store import Columns, Row
from core.paper.candles import CandleBook, Kline
from core.paper.model import PaperCandle, Tick

SYMBOL = "BTCUSDC"


@st.composite
def recordings(draw: st.DrawFn) -> list[PaperCandle]:
    """Up to 200 minutes with gaps and with prices and volumes of changing decimals."""
    skips = draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 17, 400]), min_size=1, max_size=200))
    begin = START + draw(st.integers(0, 2000)) * MINUTE
    candles = []
    for skip in skips:
        begin += skip * MINUTE
        units = st.integers(1, 10**6)
        places = draw(st.integers(0, 4))
        low, mid, other, high = sorted(D(draw(units)).scaleb(-places) for _ in range(4))
        volume = D(draw(st.integers(0, 10**6))).scaleb(-draw(st.integers(0, 3)))
        quote = D(draw(st.integers(1, 10**9))).scaleb(-4)
        candles.append(PaperCandle(SYMBOL, begin, mid, high, low, other, volume, quote, 3))
    return candles


def aggregated(candles: Sequence[PaperCandle], interval: str) -> list[tuple[Decimal | int, ...]]:
    """The slow and obvious way."""
    length = TIMEFRAMES_MS[interval]
    buckets: dict[int, list[PaperCandle]] = {}
    for candle in candles:
        buckets.setdefault(candle.open_ms // length * length, []).append(candle)
    return [
        (
            time,
            *joined(group),
            sum((c.quote_volume for c in group), D(0)),
            sum(c.trades for c in group),
        )
        for time, group in buckets.items()
    ]


def flat(kline: Kline) -> tuple[Decimal | int, ...]:
    return (kline.open_ms, *numbers(kline), kline.quote_volume, kline.trades)


@settings(max_examples=60, deadline=None)
@given(recordings(), st.sampled_from(list(TIMEFRAMES_MS)), st.integers(0, 200))
def test_every_interval_is_the_exact_sum_of_its_minutes(
    candles: list[PaperCandle], interval: str, loaded: int
) -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, candles[:loaded])
    for candle in candles[loaded:]:
        book.on_minute(candle)
        current = book.current(SYMBOL, interval, candle.open_ms + MINUTE)
        assert (
            current.open_ms == candle.open_ms // TIMEFRAMES_MS[interval] * TIMEFRAMES_MS[interval]
        )
    now = candles[-1].open_ms + MINUTE
    expected = aggregated(candles, interval)
    assert [flat(k) for k in book.klines(SYMBOL, interval, now_ms=now)] == expected
    assert flat(book.current(SYMBOL, interval, now)) == expected[-1]


@settings(max_examples=60, deadline=None)
@given(
    recordings(),
    st.sampled_from(["1m", "5m", "15m", "1h"]),
    st.none() | st.integers(-10, 3000),
    st.none() | st.integers(-10, 3000),
    st.integers(1, 30),
)
def test_windows_follow_the_exchange_semantics(
    candles: list[PaperCandle], interval: str, start: int | None, end: int | None, limit: int
) -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, candles[:-1])
    last = candles[-1]  # in progress, made of ticks
    book.on_tick(Tick(SYMBOL, last.open_ms, last.open, D(1), True))
    start_ms = None if start is None else START + start * 30_000
    end_ms = None if end is None else START + end * 30_000
    everything = book.klines(SYMBOL, interval, limit=10_000, now_ms=last.open_ms + 1)
    inside = [
        k
        for k in everything
        if (start_ms is None or k.open_ms >= start_ms) and (end_ms is None or k.open_ms <= end_ms)
    ]
    got = book.klines(SYMBOL, interval, start_ms, end_ms, limit, now_ms=last.open_ms + 1)
    assert got == (inside[-limit:] if start_ms is None else inside[:limit])


def test_ticks_fill_the_open_minute_and_the_exact_candle_replaces_it() -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, [minute(START)])
    now = START + MINUTE
    for offset, price, volume in (
        (0, "100.6", "1"),
        (20_000, "102.25", "0.5"),
        (40_000, "98", "0"),
    ):
        book.on_tick(Tick(SYMBOL, now + offset, D(price), D(volume), offset == 0))
    assert book.last_price(SYMBOL) == D(98)
    one = book.current(SYMBOL, "1m", now + 40_000)
    assert numbers(one) == (D("100.6"), D("102.25"), D(98), D(98), D("1.5"))
    assert one.quote_volume == D("100.6") + D("51.125")
    assert (one.open_ms, one.close_ms, one.trades, one.closed) == (now, now + MINUTE - 1, 2, False)
    five = book.current(SYMBOL, "5m", now + 40_000)
    assert numbers(five) == (D("100.0"), D("102.25"), D(98), D(98), D("8.503"))
    assert (five.open_ms, five.trades) == (START, 11)
    exact = minute(now, ("100.6", "103", "97", "98.5"), volume="2")
    book.on_minute(exact)
    closed = book.current(SYMBOL, "1m", now + MINUTE)
    assert numbers(closed) == numbers(exact)
    assert closed.closed


def test_an_interval_closes_with_its_last_minute() -> None:
    book = CandleBook([SYMBOL])
    states = []
    for n in range(6):
        book.on_minute(minute(START + n * MINUTE))
        kline = book.current(SYMBOL, "5m", START + (n + 1) * MINUTE)
        states.append((kline.open_ms, kline.closed))
    assert states == [(START, False)] * 4 + [(START, True), (START + 5 * MINUTE, False)]


def test_unknown_quote_volume_is_estimated_from_price_and_volume() -> None:
    book = CandleBook([SYMBOL])
    book.on_minute(minute(START, ("100", "102", "98", "100"), volume="3", quote="0"))
    assert book.current(SYMBOL, "1m", START + MINUTE).quote_volume == D(300)
    book.on_minute(minute(START + MINUTE, volume="0", quote="0"))
    assert book.current(SYMBOL, "1m", START + 2 * MINUTE).quote_volume == 0


@settings(max_examples=60, deadline=None)
@given(recordings(), st.integers(0, 3000))
def test_24h_statistics_equal_a_count_over_the_window(
    candles: list[PaperCandle], wait: int
) -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, candles[: len(candles) // 2])
    for candle in candles[len(candles) // 2 :]:
        book.on_minute(candle)
        book.stats_24h(SYMBOL, candle.open_ms + MINUTE)
    now = candles[-1].open_ms + MINUTE + wait * MINUTE
    stats = book.stats_24h(SYMBOL, now)
    window = [c for c in candles if c.open_ms >= now - DAY]
    assert stats.last == candles[-1].close
    if not window:
        assert (stats.volume, stats.trades, stats.high) == (0, 0, stats.last)
        return
    assert (stats.open, stats.high, stats.low, stats.last, stats.volume) == joined(window)
    assert stats.quote_volume == sum((c.quote_volume for c in window), D(0))
    assert stats.trades == 3 * len(window)
    assert stats.open_ms == window[0].open_ms


def test_24h_statistics_include_the_open_minute() -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, [minute(START)])
    book.on_tick(Tick(SYMBOL, START + MINUTE, D("250.5"), D(2), True))
    stats = book.stats_24h(SYMBOL, START + MINUTE + 1)
    assert (stats.open, stats.high, stats.last) == (D(100), D("250.5"), D("250.5"))
    assert stats.volume == D("9.003")
    assert stats.change == D("150.5")
    assert stats.change_percent == D("150.5")
    assert stats.weighted_average == (D("700.5") + 501) / D("9.003")


def test_the_24h_window_begins_exactly_a_day_ago() -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, [minute(START, ("500", "900", "100", "500")), minute(START + MINUTE)])
    assert book.stats_24h(SYMBOL, START + DAY).high == D(900)
    assert book.stats_24h(SYMBOL, START + DAY).volume == 2 * D("7.003")
    later = book.stats_24h(SYMBOL, START + DAY + 1)
    assert (later.open, later.high, later.volume) == (D("100.0"), D("101.5"), D("7.003"))


def test_finer_numbers_in_mid_minute_lose_nothing() -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, [minute(START, ("100", "100", "100", "100"), volume="1", quote="100")])
    assert book.current(SYMBOL, "5m", START + MINUTE).close == 100
    for price, volume in (("100", "1"), ("100.25", "0.04"), ("99.125", "2.0001")):
        book.on_tick(Tick(SYMBOL, START + MINUTE, D(price), D(volume), False))
    five = book.current(SYMBOL, "5m", START + MINUTE)
    assert numbers(five) == (D(100), D("100.25"), D("99.125"), D("99.125"), D("4.0401"))
    assert five.quote_volume == 100 + 100 + D("4.01") + D("99.125") * D("2.0001")
    stats = book.stats_24h(SYMBOL, START + 2 * MINUTE)
    assert (stats.high, stats.volume) == (D("100.25"), D("4.0401"))


def test_nothing_known_yet_is_an_error_not_a_zero() -> None:
    book = CandleBook([SYMBOL])
    assert book.last_price(SYMBOL) is None
    assert book.klines(SYMBOL, "1m", now_ms=START) == []
    with pytest.raises(LookupError, match=SYMBOL):
        book.current(SYMBOL, "1m", START)
    with pytest.raises(LookupError, match=SYMBOL):
        book.stats_24h(SYMBOL, START)
    with pytest.raises(KeyError):
        book.current("ETHUSDC", "1m", START)
    with pytest.raises(ValueError, match="7m"):
        book.klines(SYMBOL, "7m", now_ms=START)


def test_minutes_out_of_order_are_refused() -> None:
    book = CandleBook([SYMBOL])
    book.load(SYMBOL, [minute(START)])
    with pytest.raises(ValueError, match="out of order"):
        book.on_minute(minute(START))
    with pytest.raises(ValueError, match="out of order"):
        book.load(SYMBOL, [minute(START + 2 * MINUTE), minute(START + MINUTE)])


def test_memory_is_bounded_and_long_intervals_reach_further_than_minutes() -> None:
    book = CandleBook([SYMBOL])
    days = 20
    book.load(SYMBOL, [minute(START + n * MINUTE) for n in range(days * 1440)])
    now = START + days * DAY
    minutes = book.klines(SYMBOL, "1m", limit=100_000, now_ms=now)
    assert 8 * 1440 <= len(minutes) <= 9 * 1440
    assert minutes[-1].open_ms == now - MINUTE
    hours = book.klines(SYMBOL, "1h", limit=1000, now_ms=now)
    assert len(hours) == days * 24
    assert hours[0].volume == 60 * D("7.003")


def test_columns_drop_the_oldest_beyond_their_limit() -> None:
    columns = Columns(limit=80)
    dropped = sum(columns.append(Row(n, 1, 1, 1, 1, 1, 1, 1)) for n in range(1000))
    assert len(columns) == 1000 - dropped
    assert 80 <= len(columns) <= 90
    assert columns.last().time == 999
