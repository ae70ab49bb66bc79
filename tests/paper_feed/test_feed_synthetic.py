"""The invented market: reproducible, seamless, on the grid, lively, never passed off as real."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from feed_kit import DAY, MINUTE, START, Recorder, numbers, virtually

from core.kernel.clock import SimulatedClock
from core.paper.candles import CandleBook
from core.paper.contracts import build_contracts
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.market_model import PROFILES
from core.paper.model import Contract, Tick

CONTRACTS = build_contracts("USDC")
BOOKED = tuple(CONTRACTS.values())


def some(count: int) -> tuple[Contract, ...]:
    return BOOKED[:count]


def recorded(feed: SyntheticFeed, seconds: float) -> Recorder:
    """What the feed delivers in the first `seconds`."""

    async def main() -> Recorder:
        recorder = Recorder(SimulatedClock(feed.start_ms, asyncio.get_running_loop()))
        assert recorder.clock is not None
        try:
            async with asyncio.timeout(seconds):
                await feed.run(recorder, recorder.clock)
        except TimeoutError:
            return recorder
        raise AssertionError("the feed ended")

    return virtually(main())


def test_the_same_seed_and_start_give_the_same_market() -> None:
    def market(seed: int) -> tuple[object, ...]:
        feed = SyntheticFeed(some(3), seed, START, 120)
        past = [feed.history(symbol) for symbol in feed.symbols]
        return (*past, *recorded(feed, 200).events)

    assert market(7) == market(7)
    assert market(7) != market(8)


def test_more_symbols_do_not_change_the_others() -> None:
    few, many = (SyntheticFeed(some(count), 7, START, 120) for count in (2, 9))
    for symbol in few.symbols:
        assert few.history(symbol) == many.history(symbol)


def test_history_and_play_are_one_seamless_process() -> None:
    feed = SyntheticFeed(some(4), 7, START + 17_500, 90)
    recorder = recorded(feed, 3 * 3600)
    assert feed.start_ms == START
    assert feed.end_ms is None
    for symbol in feed.symbols:
        candles = [*feed.history(symbol), *recorder.minutes(symbol)]
        times = [c.open_ms for c in candles]
        assert times[0] <= START - 90 * MINUTE
        assert times == list(range(times[0], times[0] + len(times) * MINUTE, MINUTE))
        assert times[-1] >= START + 178 * MINUTE
        border = len(feed.history(symbol))
        jumps = [abs(float(b.open / a.close) - 1) for a, b in pairwise(candles)]
        assert jumps[border - 1] < 10 * float(np.median(jumps)) + 1e-4


def test_minutes_are_exactly_their_ticks_and_events_come_when_due() -> None:
    recorder = recorded(SyntheticFeed(some(3), 3, START, 60, tick_ms=10_000), 601)
    due = [e.time_ms if isinstance(e, Tick) else e.open_ms + MINUTE for e in recorder.events]
    assert recorder.at == due == sorted(due)
    book = CandleBook(tuple(CONTRACTS))
    for event in recorder.events:
        if isinstance(event, Tick):
            book.on_tick(event)
            continue
        from_ticks = book.current(event.symbol, "1m", event.open_ms)
        assert numbers(from_ticks) == numbers(event)
        assert from_ticks.quote_volume == event.quote_volume
        assert from_ticks.trades == event.trades
        book.on_minute(event)
    assert len(recorder.minutes()) == 30


def test_every_price_and_volume_is_on_the_contract_grid() -> None:
    feed = SyntheticFeed(BOOKED, 11, START, 60)
    for symbol in feed.symbols:
        contract = CONTRACTS[symbol]
        for candle in feed.history(symbol):
            for price in numbers(candle)[:4]:
                assert price % contract.tick == 0
                assert contract.min_price <= price <= contract.max_price
            assert candle.volume % contract.step == 0
            assert candle.low <= min(candle.open, candle.close)
            assert candle.high >= max(candle.open, candle.close)


def test_every_listed_contract_has_a_realistic_profile() -> None:
    for contract in BOOKED:
        profile = PROFILES[contract.base]
        assert float(contract.min_price) * 20 < profile.price < float(contract.max_price) / 4
        assert float(contract.tick) / profile.price < 0.002  # a tick is not a visible move


def test_a_coin_without_profile_still_trades() -> None:
    contract = build_contracts("USDC", ["XYZUSDC"])["XYZUSDC"]
    feed = SyntheticFeed([contract], 7, START, 60)
    assert feed.history("XYZUSDC")[-1].close > 100 * contract.tick


def closes(feed: SyntheticFeed, symbol: str) -> np.ndarray:
    book = CandleBook([symbol])
    book.load(symbol, feed.history(symbol))
    rows = book.klines(symbol, "15m", limit=5000, now_ms=feed.start_ms)
    return np.array([float(k.close) for k in rows])


def ema(values: np.ndarray, length: int) -> np.ndarray:
    out, alpha = values.copy(), 2 / (length + 1)
    for n in range(1, len(values)):
        out[n] = alpha * values[n] + (1 - alpha) * out[n - 1]
    return out


@pytest.mark.parametrize("seed", [1, 7, 20])
def test_fifteen_minute_candles_move_like_a_market(seed: int) -> None:
    days = 6
    feed = SyntheticFeed(some(8), seed, START, days * 1440)
    series = [closes(feed, symbol) for symbol in feed.symbols]
    for values in series:
        steps = np.diff(np.log(values))
        assert 0.0015 < steps.std() < 0.02
        crosses = np.count_nonzero(np.diff(np.sign(ema(values, 9) - ema(values, 21))))
        assert 1 <= crosses / days <= 15  # a strategy on averages trades a few times a day
    returns = np.array([np.diff(np.log(values)) for values in series])
    correlation = np.corrcoef(returns)[np.triu_indices(len(series), 1)]
    assert 0.2 < correlation.mean() < 0.9


def test_prices_jump_now_and_then_and_the_jump_is_marked() -> None:
    recorder = recorded(SyntheticFeed(some(8), 7, START, 60, tick_ms=60_000), DAY / 1000)
    jumps = [t for t in recorder.ticks() if t.gap]
    assert 1 <= len(jumps) <= 40  # about one in 1500 minutes and symbol


def test_it_never_claims_to_be_real() -> None:
    feed = SyntheticFeed(some(2), 7, START, 60)
    assert feed.simulated
    assert feed.describe().startswith("SYNTHETIC PRICES")
    assert "seed 7" in feed.describe()


def test_no_history_when_none_is_wanted() -> None:
    feed = SyntheticFeed(some(1), 7, START, 0)
    assert feed.history("BTCUSDC") == ()
    with pytest.raises(KeyError):
        feed.history("ETHUSDC")


@pytest.mark.parametrize("tick_ms", [0, -5, 7_000])
def test_a_tick_that_does_not_divide_a_minute_is_refused(tick_ms: int) -> None:
    with pytest.raises(ValueError, match=f"tick_ms.*{tick_ms}"):
        SyntheticFeed(some(1), 7, START, 60, tick_ms)
