"""One account over one history: what is taken, what is left, and what chance would have brought."""

from decimal import Decimal

import numpy as np
import pytest
from backtest_kit import FREE, MINUTE, D, Row, flat, history, mirrored, rules

from core.backtest.baselines import RandomTrader, buy_and_hold
from core.backtest.bracket import BracketSimulator, Funding
from core.backtest.history import History
from core.backtest.report import Question, ask
from core.backtest.rules import BacktestRules, Costs
from core.backtest.run import Decisions, Outcome, Rest, run
from core.config import TradingConfig
from core.domain.enums import Direction, ExitReason
from core.domain.market import CandleArrays
from core.domain.strategy import SignalArrays, SignalRow
from core.kernel.chance import Chance
from core.risk_guard import RiskLimits

RISE: Row = (2.0, 2.05, 2.0, 2.05)
FALL: Row = (2.0, 2.0, 1.95, 1.95)


class Scripted:
    """Wants what the test says, row by row."""

    name, tag = "scripted", "scr1"

    def __init__(self, wishes: dict[int, int], warmup: int = 1) -> None:
        self.wishes = wishes
        self.warmup = warmup

    def signals(self, candles: CandleArrays) -> SignalArrays:
        count = len(candles)
        direction = np.zeros(count, dtype=np.int8)
        for row, sign in self.wishes.items():
            direction[row] = sign
        return SignalArrays(
            direction, np.ones(count), np.full(count, 0.01), lambda _: "as told", lambda _: "quiet"
        )

    def latest(self, candles: CandleArrays) -> SignalRow:
        return self.signals(candles).last(len(candles))


def traded(
    made: History,
    wishes: dict[int, int],
    *,
    by: BacktestRules | None = None,
    brakes: RiskLimits | None = None,
    warmup: int = 1,
    start_ms: int = 0,
) -> Outcome:
    strategy, chosen = Scripted(wishes, warmup), by or rules()
    simulator = BracketSimulator(made, chosen, Funding())
    decisions = Decisions(made, warmup, start_ms)
    signals = strategy.signals(made.candles)
    return run(simulator, strategy, signals, decisions, chosen, D(400), brakes=brakes)


def test_a_signal_opens_at_the_next_candle_and_the_account_compounds() -> None:
    made = history([*flat(4), RISE, *flat(10), RISE, *flat(20)])
    outcome = traded(made, {3: 1, 14: 1})
    first, second = outcome.trades
    assert (first.opened_ms, second.opened_ms) == (4 * MINUTE, 15 * MINUTE)
    assert first.direction is Direction.LONG
    assert second.entry_quantity > first.entry_quantity
    assert second.risk <= (400 + first.net) * rules().sizing.risk_pct
    assert (outcome.signals, outcome.refused, outcome.open_at_end) == (2, {}, False)


def test_signals_while_a_position_is_open_or_resting_change_nothing() -> None:
    made = history([*flat(4), *flat(3), RISE, *flat(20)])
    every = dict.fromkeys(range(2, 26), 1)
    outcome = traded(made, every)
    # Entered at 3, out in minute 7, which ends at 8:00; one candle of rest: decided on at 9:00.
    assert [trade.opened_ms // MINUTE for trade in outcome.trades] == [3]
    assert outcome.open_at_end
    assert outcome.refused == {"position or cooldown": 5}
    stopped = traded(history([*flat(4), *flat(3), FALL, *flat(4), RISE, *flat(20)]), every)
    assert [trade.exit_reason for trade in stopped.trades] == [
        ExitReason.STOP_LOSS,
        ExitReason.TAKE_PROFIT,
    ]
    # Out in minute 7; three candles of rest after a stop: decided on at 11:00, not at 9:00.
    assert [trade.opened_ms // MINUTE for trade in stopped.trades] == [3, 11]


def test_nothing_is_decided_before_the_warm_up_or_the_start() -> None:
    made = history([*flat(30), RISE, *flat(10)])
    every = dict.fromkeys(range(41), 1)
    assert traded(made, every, warmup=20).trades[0].opened_ms == 20 * MINUTE
    assert traded(made, every, start_ms=25 * MINUTE).trades[0].opened_ms == 26 * MINUTE


def test_free_candles_are_those_after_which_an_entry_was_possible() -> None:
    made = history([*flat(10), RISE, *flat(9)])
    idle = traded(made, {})
    assert idle.free == 19  # the last candle has none after it to enter at
    busy = traded(made, {9: 1})
    assert busy.free == 19 - 1  # decided at 10:00, out by 11:00, and again from 12:00 on


def test_brakes_hold_back_as_the_guard_would() -> None:
    config = TradingConfig(TIMEFRAME="1m", MAX_SL_STREAK=2, SL_COOLDOWN_MINUTES=30)
    rows = [*flat(2)]
    for _ in range(12):
        rows += [FALL, *flat(5)]
    made = history([*rows, *flat(3)])
    every = dict.fromkeys(range(1, len(rows)), 1)
    free = traded(made, every)
    held = traded(made, every, brakes=RiskLimits.from_config(config))
    assert len(free.trades) == 12
    assert all(trade.exit_reason is ExitReason.STOP_LOSS for trade in free.trades)
    second, third = held.trades[1:3]
    assert third.opened_ms - second.closed_ms >= 30 * MINUTE
    assert held.refused["sl_streak"] > 0


def test_what_the_future_holds_changes_no_trade() -> None:
    dice = np.random.default_rng(4)
    close = np.round(2 * np.exp(np.cumsum(dice.normal(0, 0.002, 1_500))), 4)
    rows: list[Row] = []
    for before, now in zip(np.append(2.0, close), close, strict=False):
        rows.append((before, max(before, now) + 0.002, min(before, now) - 0.002, now))
    wishes = {row: 1 if row % 2 else -1 for row in range(0, 1_500, 7)}
    whole = traded(history(rows), wishes).trades
    cut = traded(history(rows[:900]), {r: s for r, s in wishes.items() if r < 899}).trades
    assert len(whole) > len(cut) > 10
    assert [vars_of(trade) for trade in cut] == [vars_of(trade) for trade in whole[: len(cut)]]


def vars_of(trade: object) -> dict[str, object]:
    return {name: getattr(trade, name) for name in trade.__slots__}  # type: ignore[attr-defined]  # a dataclass with slots


def test_buy_and_hold_pays_its_costs_too() -> None:
    made = history([*flat(10), *flat(10, 3.0)])
    simulator = BracketSimulator(made, rules(), Funding())
    assert buy_and_hold(simulator, Decisions(made, 1), FREE) == pytest.approx(0.5)
    costs = Costs(fee=D("0.001"), slippage=D(0))
    expected = 1.5 * (1 - 0.001) / (1 + 0.001) - 1
    assert buy_and_hold(simulator, Decisions(made, 1), costs) == pytest.approx(expected)


def waves(count: int) -> list[Row]:
    """Up 3 % and down 3 % again: each wave pays the side that is taken."""
    rows: list[Row] = []
    for _ in range(count):
        rows += [*flat(6), RISE, *flat(6), *mirrored([RISE]), *flat(6)]
    return rows


def compared(wishes: dict[int, int], draws: int = 40, seed: int = 1) -> tuple[Outcome, object]:
    made, strategy, by = history(waves(60)), Scripted(wishes), rules()
    simulator, decisions = BracketSimulator(made, by, Funding()), Decisions(made, 1)
    signals = strategy.signals(made.candles)
    outcome = run(simulator, strategy, signals, decisions, by, D(400))
    trader = RandomTrader(simulator, signals, decisions, Rest(by), D(400))
    return outcome, trader.compare(outcome, draws, Chance(seed).stream("dice"))


def test_random_entries_are_as_many_and_the_same_for_a_seed() -> None:
    knowing = {20 * n + 5: 1 for n in range(60)}
    outcome, random = compared(knowing)
    again = compared(knowing)[1]
    other = compared(knowing, seed=2)[1]
    assert random == again != other
    assert len(outcome.trades) == 60
    assert random is not None
    assert abs(random.trades - 60) < 15  # type: ignore[attr-defined]  # compared above
    assert random.low <= random.mean <= random.high  # type: ignore[attr-defined]  # likewise


def test_a_strategy_that_knows_beats_chance_and_one_that_errs_does_not() -> None:
    knowing = compared({20 * n + 5: 1 for n in range(60)})[1]
    erring = compared({20 * n + 5: -1 for n in range(60)})[1]
    assert knowing.beaten == 1.0  # type: ignore[attr-defined]  # there are trades
    assert erring.beaten == 0.0  # type: ignore[attr-defined]  # likewise
    assert compared({})[1] is None


def test_a_row_carries_all_of_it() -> None:
    made = history(waves(20))
    question = Question(Scripted({20 * n + 5: 1 for n in range(20)}), rules(), D(400), draws=10)
    row = ask(made, question, Funding())
    assert row is not None
    record = row.record()
    assert (record["trades"], record["win_rate"], record["symbol"]) == (20, 1.0, "XRP/USDT:USDT")
    assert record["exits"] == {"take_profit": 20}
    assert Decimal(str(record["net"])) == sum(trade.net for trade in row.outcome.trades)
    assert row.cells()[:4] == ("XRP/USDT:USDT", "1970-01-01..01-01", "20", "100%")
    late = Question(Scripted({}, warmup=5_000), rules(), D(400))
    assert ask(made, late, Funding()) is None
