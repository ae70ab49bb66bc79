"""Small histories drawn by hand."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from core.backtest.bracket import BracketSimulator, Funding, Wish
from core.backtest.history import History, histories
from core.backtest.rules import BacktestRules, Costs
from core.config import TradingConfig
from core.domain.enums import Direction
from core.domain.position import Trade
from core.paper.archive_series import Series, Table, packed

D = Decimal
MINUTE = 60_000
FREE = Costs(D(0), D(0), D(0))
Row = tuple[float, float, float, float]
"""open, high, low, close"""


def series(rows: Sequence[Row], *, start_ms: int = 0, skip: Sequence[int] = ()) -> Series:
    """XRPUSDT minute by minute; the minutes in `skip` are missing."""
    kept = [i for i in range(len(rows)) if i not in skip]
    time = np.array([start_ms + i * MINUTE for i in kept], dtype=np.int64)
    prices = [np.array([round(rows[i][n] * 10_000) for i in kept], np.int64) for n in range(4)]
    volume = np.array([10 + i for i in kept], np.int64)
    none = np.zeros(len(kept), np.int64)
    table = Table(time, (*prices, volume, none, none), (4, 4, 4, 4, 0, 0, 0))
    return packed(table, "XRPUSDT", "XRP", "1m")


def history(rows: Sequence[Row], timeframe: str = "1m", *, start_ms: int = 0) -> History:
    (made,) = histories(series(rows, start_ms=start_ms), timeframe)
    return made


def rules(costs: Costs = FREE, **settings: object) -> BacktestRules:
    """Stop 1 %, targets 1 % (half) and 2 % (half), two hours at most, unless told otherwise."""
    chosen = {
        "STOP_LOSS_PCT": "0.01",
        "TP_LEVELS": "0.01:0.5,0.02:0.5",
        "TIMEFRAME": "1m",
        **settings,
    }
    return BacktestRules.from_config(TradingConfig(**chosen), costs)


def flat(count: int, price: float = 2.0) -> list[Row]:
    return [(price, price, price, price)] * count


def play(
    made: History,
    direction: Direction = Direction.LONG,
    *,
    by: BacktestRules | None = None,
    row: int = 0,
    funding: Funding | None = None,
) -> Trade:
    """The trade that an entry after candle `row` becomes."""
    simulator = BracketSimulator(made, by or rules(), funding or Funding())
    played = simulator.play(Wish(row, direction, 0.004, "drawn", D(400)))
    assert isinstance(played, Trade), played
    return played


def mirrored(rows: Sequence[Row]) -> list[Row]:
    """Every rise a fall of the same size, about 2.0."""
    return [(4 - o, 4 - low, 4 - high, 4 - c) for o, high, low, c in rows]
