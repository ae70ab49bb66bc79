"""Section evaluate: closed candles to verdicts, for one symbol and for many (floor 8).

Each symbol has candles of its own, a seeded random walk with bursts of volume. Timed are whole
passes over all symbols; the indicators alone are TA-Lib's on the same arrays in the same run.
"""

import math

import talib

from core.domain.market import Candle, CandleArrays
from core.domain.strategy import Signal
from core.exchange.candle_series import CandleSeries
from core.kernel.chance import Chance
from core.kernel.clock import stopwatch
from core.strategy_manager import StrategyManager, load_strategy
from tools.benchmarks.figures import (
    MICROSECONDS,
    MILLISECONDS,
    Effort,
    Row,
    Section,
    each_us,
    row,
)

NAME = "evaluate"
TITLE = "closed candles to verdicts, scalping_v1, 300 candles per symbol"
_CANDLES = 300
_STEP_MS = 900_000
_SYMBOLS = (1, 35, 200)
_GOAL_US = 30.0
_MOST = 200


def measure(effort: Effort) -> Section:
    candles = [_walk(number) for number in range(_MOST)]
    arrays = {
        f"X{number:03d}/USDC:USDC": CandleArrays.from_candles(walk)
        for number, walk in enumerate(candles)
    }
    manager = StrategyManager([load_strategy("scalping_v1")], "15m")
    passes = effort.pick(30, 3)
    rounds = effort.pick(5, 1)
    _pass(manager, arrays, _MOST)
    indicators = row(
        "indicators alone, per symbol",
        "us",
        [each_us(_indicators, arrays.values()) for _ in range(rounds)],
    )
    rows = [indicators]
    for count in _SYMBOLS:
        rows += _of(count, manager, arrays, (rounds, passes), indicators)
    rows.append(
        row(
            "take a closed candle in and hand out the arrays, per symbol",
            "us",
            [_taken_in(candles) for _ in range(rounds)],
        )
    )
    spoke = sum(_spoke(manager, symbol, each) for symbol, each in arrays.items())
    return Section(NAME, TITLE, tuple(rows), (f"{spoke} of {_MOST} symbols gave a signal",))


def _of(
    count: int,
    manager: StrategyManager,
    arrays: dict[str, CandleArrays],
    effort: tuple[int, int],
    indicators: Row,
) -> list[Row]:
    """Rows of `count` symbols: microseconds per symbol and, for many, the whole pass."""
    rounds, passes = effort
    repeat = max(1, passes * _SYMBOLS[1] // count) if count == 1 else passes
    seconds = [[_pass(manager, arrays, count) for _ in range(repeat)] for _ in range(rounds)]
    per_symbol = [[each / count * MICROSECONDS for each in samples] for samples in seconds]
    word = "symbol" if count == 1 else "symbols"
    rows = [
        row(f"evaluate {count} {word}, per symbol", "us", per_symbol, _GOAL_US).against(
            indicators, "indicators"
        )
    ]
    if count > 1:
        total = [[each * MILLISECONDS for each in samples] for samples in seconds]
        goal = _GOAL_US * count / 1_000
        rows.append(row(f"evaluate {count} {word}, all of them", "ms", total, goal))
    return rows


def _pass(manager: StrategyManager, arrays: dict[str, CandleArrays], count: int) -> float:
    """Seconds to evaluate the first `count` symbols."""
    wanted = list(arrays.items())[:count]
    began = stopwatch()
    for symbol, candles in wanted:
        manager.evaluate(symbol, candles)
    return stopwatch() - began


def _taken_in(candles: list[list[Candle]]) -> list[float]:
    """Microseconds from a candle of the stream to what a strategy is given, per symbol."""
    stores = []
    for walk in candles:
        series = CandleSeries(_STEP_MS, _CANDLES)
        for candle in walk[:-1]:
            series.offer(candle)
        stores.append((series, walk[-1]))

    def take_in(store: tuple[CandleSeries, Candle]) -> int:
        series, candle = store
        series.offer(candle)
        return len(series.arrays())

    return each_us(take_in, stores)


def _spoke(manager: StrategyManager, symbol: str, candles: CandleArrays) -> bool:
    return any(isinstance(verdict, Signal) for verdict in manager.evaluate(symbol, candles))


def _indicators(candles: CandleArrays) -> None:
    """What the strategy asks of TA-Lib, with its default lengths."""
    close = candles.close
    talib.EMA(close, 9)
    talib.EMA(close, 21)
    talib.RSI(close, 14)
    talib.MACD(close, 12, 26, 9)
    talib.ATR(candles.high, candles.low, close, 14)
    talib.SMA(candles.volume, 20)


def _walk(number: int) -> list[Candle]:
    dice = Chance(1).stream(f"candles {number}")
    close = 100.0
    candles = []
    for index in range(_CANDLES):
        opened, close = close, close * math.exp(dice.gauss(0.0, 0.004))
        wick = close * abs(dice.gauss(0.002, 0.001))
        burst = 4.0 if dice.random() > 0.9 else 1.0
        candles.append(
            Candle(
                open_ms=index * _STEP_MS,
                open=opened,
                high=max(opened, close) + wick,
                low=min(opened, close) - wick,
                close=close,
                volume=dice.gammavariate(2.0, 50.0) * burst,
            )
        )
    return candles
