"""What a strategy is compared with (floor 6): doing nothing, and entering by chance.

Buy and hold puts the whole equity into the coin once, without leverage. Random entries have the
strategy's own exits, costs, share of longs and frequency, and no idea: what the exits alone would
have brought. Each of their trades is sized from the starting equity and its result scaled with the
balance, so that a position opened after one candle has to be played once only.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import ceil, log
from random import Random

from core.backtest.bracket import BracketSimulator, Wish
from core.backtest.rules import Costs
from core.backtest.run import Decisions, Outcome, Rest
from core.domain.enums import Direction
from core.domain.position import Trade
from core.domain.strategy import SignalArrays

_BAND = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class RandomEntries:
    """Returns of many runs with random entries, as fractions of the starting equity.

    `low` and `high` enclose nine of ten runs; `beaten` is the share of runs with a lower return
    than the strategy's.
    """

    draws: int
    trades: float
    mean: float
    low: float
    high: float
    beaten: float


def buy_and_hold(simulator: BracketSimulator, decisions: Decisions, costs: Costs) -> float:
    """Return from the first possible entry to the end, costs included, as a fraction."""
    history = simulator.history
    bought = float(history.candles.open[decisions.first + 1]) * (1 + float(costs.slippage))
    sold = float(history.candles.close[-1]) * (1 - float(costs.slippage))
    fee = float(costs.fee)
    return sold * (1 - fee) / (bought * (1 + fee)) - 1


class RandomTrader:
    """Plays random entries over one history."""

    def __init__(
        self,
        simulator: BracketSimulator,
        signals: SignalArrays,
        decisions: Decisions,
        rest: Rest,
        equity: Decimal,
    ) -> None:
        self._simulator = simulator
        self._atr_ratio = (signals.atr / simulator.history.candles.close).tolist()
        self._decisions = decisions
        self._rest = rest
        self._equity = equity
        self._played: dict[tuple[int, Direction], tuple[int, float] | None] = {}

    def compare(self, outcome: Outcome, draws: int, dice: Random) -> RandomEntries | None:
        """Random runs beside `outcome`; None when it has no trades to be compared."""
        if not outcome.trades or draws < 1:
            return None
        longs = sum(trade.direction is Direction.LONG for trade in outcome.trades)
        often = min(len(outcome.trades) / max(outcome.free, 1), 1.0)
        share = longs / len(outcome.trades)
        runs = [self._run(often, share, dice) for _ in range(draws)]
        returns = sorted(each for each, _ in runs)
        own = float(sum(trade.net for trade in outcome.trades) / self._equity)
        low, high = (returns[min(int(share * draws), draws - 1)] for share in _BAND)
        return RandomEntries(
            draws=draws,
            trades=sum(count for _, count in runs) / draws,
            mean=sum(returns) / draws,
            low=low,
            high=high,
            beaten=sum(each < own for each in returns) / draws,
        )

    def _run(self, often: float, long_share: float, dice: Random) -> tuple[float, int]:
        """Return and number of trades of one random run."""
        balance, count = 1.0, 0
        row = self._decisions.first + _skipped(often, dice)
        while row < self._decisions.end:
            side = Direction.LONG if dice.random() < long_share else Direction.SHORT
            played = self._outcome(row, side)
            if played is None:
                break
            free, ratio = played
            balance *= 1.0 + ratio
            count += 1
            row = free + _skipped(often, dice)
        return balance - 1.0, count

    def _outcome(self, row: int, side: Direction) -> tuple[int, float] | None:
        """Row from which the next entry may be decided, and the result over equity."""
        key = (row, side)
        if key not in self._played:
            wish = Wish(row, side, self._atr_ratio[row], "random", self._equity)
            played = self._simulator.play(wish)
            self._played[key] = None
            if isinstance(played, Trade):
                free = self._decisions.since(self._rest.over_ms(played))
                self._played[key] = max(free, row + 1), float(played.net / self._equity)
        return self._played[key]


def _skipped(often: float, dice: Random) -> int:
    """Free candles before the next entry, when each is taken with the chance `often`."""
    if often >= 1.0:
        return 0
    return ceil(log(1.0 - dice.random()) / log(1.0 - often)) - 1 if (often > 0.0) else 1 << 40
