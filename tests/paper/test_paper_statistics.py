"""The invented market in numbers: hours, regimes, jumps, coins that move together.

Seeded, so each figure is one number; the bounds say what a market looks like, not what this seed
happens to give.
"""

from functools import cache

import numpy as np
import pytest
from paper_kit import START_MS

from core.paper.contracts import listed_contracts
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.model import PaperCandle

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAYS = 12
QUIET, BUSY = range(1, 6), range(13, 18)
"""Hours UTC"""
CONTRACTS = listed_contracts(("USDC", "USDT"))
SYMBOLS = ("BTCUSDC", "ETHUSDC", "NEOUSDC", "BOMEUSDC", "BTCUSDT", "ETHUSDT")


@cache
def market() -> dict[str, tuple[PaperCandle, ...]]:
    feed = SyntheticFeed(
        [CONTRACTS[symbol] for symbol in SYMBOLS], 7, START_MS, DAYS * 1440, tick_ms=20_000
    )
    return {symbol: feed.history(symbol) for symbol in SYMBOLS}


def returns(symbol: str, minutes: int) -> np.ndarray:
    closes = np.array([float(row.close) for row in market()[symbol]])[minutes - 1 :: minutes]
    return np.diff(np.log(closes))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_hours_are_thin_and_busy(symbol: str) -> None:
    by_hour: dict[int, list[float]] = {hour: [] for hour in range(24)}
    for row in market()[symbol]:
        by_hour[row.open_ms // HOUR_MS % 24].append(float(row.quote_volume))
    mean = {hour: float(np.mean(rows)) for hour, rows in by_hour.items()}
    quiet, busy = (np.mean([mean[hour] for hour in hours]) for hours in (QUIET, BUSY))
    assert 1.5 < busy / quiet < 5
    assert min(mean, key=mean.get) in range(7)
    assert max(mean, key=mean.get) in range(10, 20)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_volatility_comes_in_bursts(symbol: str) -> None:
    steps = returns(symbol, 5)
    kurtosis = float(np.mean((steps - steps.mean()) ** 4) / steps.var() ** 2)
    assert kurtosis > 3.5  # fatter tails than chance alone
    spread = np.array([part.std() for part in np.array_split(returns(symbol, 1), DAYS * 24)])
    assert correlation(spread[1:], spread[:-1]) > 0.15  # a wild hour follows a wild one
    assert spread.max() > 2 * np.median(spread)
    assert spread.min() < 0.8 * np.median(spread)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_stretches_trend_and_stretches_range(symbol: str) -> None:
    """How much of its way a stretch of three hours keeps: near 1 trends, near 0 ranges."""
    closes = np.log([float(row.close) for row in market()[symbol]])
    kept = [
        abs(part[-1] - part[0]) / np.abs(np.diff(part)).sum()
        for part in np.array_split(closes, DAYS * 8)
    ]
    assert np.quantile(kept, 0.95) > 4 * np.quantile(kept, 0.25)


def test_coins_move_together_and_contracts_on_one_coin_nearly_alike() -> None:
    assert 0.3 < correlation(returns("BTCUSDC", 15), returns("ETHUSDC", 15)) < 0.95
    for coin in ("BTC", "ETH"):
        assert correlation(returns(f"{coin}USDC", 15), returns(f"{coin}USDT", 15)) > 0.99
    for one, other in zip(market()["BTCUSDC"], market()["BTCUSDT"], strict=True):
        assert abs(float(one.close / other.close) - 1) < 1e-5


def test_a_candle_holds_its_own_path() -> None:
    for symbol, rows in market().items():
        times = [row.open_ms for row in rows]
        assert times == list(range(times[0], times[0] + len(times) * MINUTE_MS, MINUTE_MS))
        for row in rows:
            assert row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high
            if row.volume:
                mean = row.quote_volume / row.volume
                assert row.low <= mean <= row.high, symbol


def test_contracts_in_both_coins_have_filters_and_brackets_of_their_own() -> None:
    for quote in ("USDC", "USDT"):
        listed = [row for row in CONTRACTS.values() if row.quote == quote]
        assert len(listed) >= 25
        assert all(row.brackets[0].initial_leverage >= 20 for row in listed)
    usdc, usdt = CONTRACTS["BTCUSDC"], CONTRACTS["BTCUSDT"]
    assert (str(usdc.tick), str(usdt.tick)) == ("0.1", "0.10")
    assert usdc.brackets != usdt.brackets
    assert usdt.brackets[0].initial_leverage == 150
