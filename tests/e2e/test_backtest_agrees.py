"""The daemon over recorded candles and the backtest over the same ones: trade by trade.

What remains between them, and why: the daemon meets a book with a spread, asks it some
milliseconds after the candle's close, and its targets wait as maker orders, which pay less.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from e2e_kit import archive, audit, having, last_run, needs_archive, replay, run_bot

from core.backtest.bracket import BracketSimulator, Funding
from core.backtest.history import History, read_histories
from core.backtest.rules import BacktestRules, Costs
from core.backtest.run import Decisions, Outcome, run
from core.config import TradingConfig
from core.domain.position import Trade
from core.risk_guard import RiskLimits
from core.strategy_manager import load_strategy

pytestmark = needs_archive

START, END, SYMBOL = "2025-06-10T09:00", "2025-06-10T16:00", "ETHUSDT"
TAKER, MAKER = Decimal("0.0004"), Decimal("0.0002")
SPREAD = Decimal("0.03")
"""The book's spread at 2,700, and a tick more."""
MINUTE = 60_000


@dataclass(frozen=True)
class Both:
    """The same hours twice."""

    records: list[dict[str, Any]]
    figures: dict[str, Any]
    history: History
    outcome: Outcome

    @property
    def closed(self) -> list[dict[str, Any]]:
        """The daemon's trades that ended before the recording did."""
        trades = having(self.records, "position.closed")
        return [trade for trade in trades if trade["reason"] != "shutdown"]

    def pairs(self) -> list[tuple[dict[str, Any], Trade]]:
        return list(zip(self.closed, self.outcome.trades, strict=True))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("rehearsal")
    ended = run_bot(folder, **replay(START, END, SYMBOL), QUOTE_COIN="USDT")
    assert ended.code == 0, ended.err[-3000:]
    config = TradingConfig(TIMEFRAME="5m", QUOTE_COIN="USDT")
    rules = BacktestRules.from_config(config, Costs(TAKER, Decimal(0), Decimal(0)))
    (history,) = read_histories(archive(), "5m", symbols=[SYMBOL], end_ms=_ms(END))
    strategy = load_strategy("scalping_v1")
    outcome = run(
        BracketSimulator(history, rules, Funding()),
        strategy,
        strategy.signals(history.candles),
        Decisions(history, strategy.warmup, _ms(START) - 1),
        rules,
        config.paper_balance,
        brakes=RiskLimits.from_config(config),
    )
    return Both(audit(folder), last_run(folder), history, outcome)


def test_every_wish_is_the_same(both: Both) -> None:
    """Each signal of the backtest is a decision of the daemon, and the reverse."""
    signals = load_strategy("scalping_v1").signals(both.history.candles)
    wanted = {
        int(both.history.candles.open_ms[row]): int(signals.direction[row])
        for row in signals.direction.nonzero()[0]
    }
    decided = having(both.records, "decision.enter") + having(both.records, "decision.skip")
    told = {record["candle_open_ms"]: 1 if record["side"] == "LONG" else -1 for record in decided}
    first, end = _ms(START) - 5 * MINUTE, _ms(END) - 5 * MINUTE
    assert told == {at: sign for at, sign in wanted.items() if first <= at < end}
    assert len(told) > 8


def test_the_same_trades_in_the_same_order(both: Both) -> None:
    assert len(both.closed) >= 5
    for trade, played in both.pairs():
        assert trade["side"] == played.direction.value
        assert trade["reason"] == played.exit_reason
        assert 0 < trade["opened_ms"] - played.opened_ms < 1_000
        assert abs(trade["closed_ms"] - played.closed_ms) <= MINUTE
    assert {"stop_loss", "take_profit", "max_hold"} == {each["reason"] for each in both.closed}


def test_prices_differ_by_the_spread_and_sizes_by_a_step(both: Both) -> None:
    for trade, played in both.pairs():
        assert abs(Decimal(trade["entry_price"]) - played.entry_price) <= SPREAD
        assert abs(Decimal(trade["exit_price"]) - played.exit_price) <= SPREAD
        assert abs(Decimal(trade["quantity"]) - played.entry_quantity) <= Decimal("0.001")


def test_results_differ_by_the_spread_and_the_makers_fee_and_nothing_else(both: Both) -> None:
    for trade, played in both.pairs():
        size = max(Decimal(trade["quantity"]), played.entry_quantity)
        step = Decimal("0.001") * abs(played.exit_price - played.entry_price)
        fills = [
            fill
            for fill in having(both.records, "order.fill", trade_id=trade["trade_id"])
            if fill["maker"]
        ]
        traded = sum(Decimal(fill["quantity"]) * Decimal(fill["price"]) for fill in fills)
        cheaper = traded * (TAKER - MAKER)
        daemon = Decimal(trade["gross"]) - Decimal(trade["fees"])
        backtest = played.realized - played.fees
        assert abs(daemon - cheaper - backtest) <= 2 * size * SPREAD + step + Decimal("0.01")


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1_000)
