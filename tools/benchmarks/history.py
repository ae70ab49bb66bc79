"""Section history: recorded candles to closed trades, the backtest's engine (floor 8).

Invented one-minute candles, judged candle by candle. Beside the strategy at 15 minutes and at one:
a strategy that crosses two averages, so that there are many trades, which are the cost. Reading
files and random runs are not in it.
"""

import math
from decimal import Decimal

import numpy as np
import talib

from core.backtest.bracket import BracketSimulator, Funding
from core.backtest.history import History, histories
from core.backtest.rules import BacktestRules, Costs
from core.backtest.run import Decisions, Outcome, run
from core.config import TradingConfig
from core.domain.market import CandleArrays
from core.domain.strategy import SignalArrays, Strategy
from core.kernel.chance import Chance
from core.kernel.clock import stopwatch
from core.paper.archive_series import Series, Table, packed
from core.strategy_manager import load_strategy
from strategies.base_strategy import BaseStrategy, StrategyParams
from tools.benchmarks.figures import MICROSECONDS, Effort, Row, Section, row

NAME = "history"
TITLE = "recorded candles to closed trades, one symbol of one-minute candles"
_FAST, _SLOW, _ATR = 9, 21, 14
_GOAL_US = 2.5


class _CrossParams(StrategyParams):
    pass


class _Cross(BaseStrategy[_CrossParams]):
    """Long when the fast average crosses the slow one upward, short when downward."""

    name, tag, params_type = "cross", "crss", _CrossParams

    @property
    def warmup(self) -> int:
        return _SLOW * 3

    def signals(self, candles: CandleArrays) -> SignalArrays:
        close = candles.close
        above = talib.EMA(close, _FAST) > talib.EMA(close, _SLOW)
        direction = np.zeros(len(candles), dtype=np.int8)
        direction[1:] = above[1:].astype(np.int8) - above[:-1]
        direction[: self.warmup] = 0
        atr = talib.ATR(candles.high, candles.low, close, _ATR)
        return SignalArrays(
            direction, np.abs(direction) * 0.5, atr, lambda _: "cross", lambda _: "no cross"
        )


def measure(effort: Effort) -> Section:
    series = _walk(effort.pick(500_000, 20_000))
    rounds = effort.pick(3, 1)
    rows, notes = [], []
    for name, strategy, timeframe in (
        ("scalping_v1 on 15m", load_strategy("scalping_v1"), "15m"),
        ("scalping_v1 on 1m", load_strategy("scalping_v1"), "1m"),
        ("two averages on 1m", _Cross(), "1m"),
    ):
        made, trades = _row(name, strategy, timeframe, series, rounds)
        rows.append(made)
        notes.append(f"{name}: {trades:,} trades in {len(series):,} candles")
    return Section(NAME, TITLE, tuple(rows), tuple(notes))


def _row(
    name: str, strategy: Strategy, timeframe: str, series: Series, rounds: int
) -> tuple[Row, int]:
    (history,) = histories(series, timeframe)
    samples, trades = [], 0
    for _ in range(rounds):
        began = stopwatch()
        trades = len(_played(history, strategy, timeframe).trades)
        samples.append([(stopwatch() - began) / len(history.fine) * MICROSECONDS])
    return row(f"{name}, per recorded candle", "us", samples, _GOAL_US), trades


def _played(history: History, strategy: Strategy, timeframe: str) -> Outcome:
    rules = BacktestRules.from_config(TradingConfig(TIMEFRAME=timeframe), Costs())
    return run(
        BracketSimulator(history, rules, Funding()),
        strategy,
        strategy.signals(history.candles),
        Decisions(history, strategy.warmup),
        rules,
        Decimal(1_000_000),
    )


def _walk(count: int) -> Series:
    """A random walk about 2.0 with the volatility of a liquid coin."""
    dice = Chance(1).stream("minutes")
    steps = np.array([dice.gauss(0.0, 0.0007) for _ in range(count)])
    level = 20_000.0 * np.exp(np.cumsum(steps) - 0.02 * np.sin(np.arange(count) / 9_000))
    close = np.rint(level).astype(np.int64)
    opened = np.concatenate((close[:1], close[:-1]))
    wick = np.maximum(np.rint(level * 0.0004), 1).astype(np.int64)
    high, low = np.maximum(opened, close) + wick, np.minimum(opened, close) - wick
    volume = np.array([math.ceil(dice.gammavariate(2.0, 500.0)) for _ in range(count)], np.int64)
    none = np.zeros(count, np.int64)
    time = np.arange(count, dtype=np.int64) * 60_000
    table = Table(time, (opened, high, low, close, volume, none, none), (4, 4, 4, 4, 0, 0, 0))
    return packed(table, "XRPUSDT", "XRP", "1m")
