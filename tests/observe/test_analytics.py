"""Figures against an independent computation over arrays, and by hand at the edges."""

import math
from decimal import Decimal

import numpy as np
import pytest
from report_builders import HOUR_MS, START_MS, closed, many

from core.domain.enums import ExitReason
from core.observe.analytics import DAY_MS, analyse, daily_returns, sharpe, sortino, streaks


@pytest.mark.parametrize(("count", "seed"), [(2, 1), (37, 2), (400, 3)])
def test_against_arrays(count: int, seed: int) -> None:
    trades, start = many(count, seed), 400.0
    found = analyse(reversed(trades), Decimal(400))  # the order they come in does not matter
    nets = np.array([float(t.realized) - float(t.fees) + float(t.funding) for t in trades])
    equity = start + np.cumsum(nets)
    peaks = np.maximum.accumulate(np.concatenate([[start], equity]))[1:]
    assert float(found.net) == pytest.approx(nets.sum())
    assert found.wins == int((nets > 0).sum())
    assert float(found.max_drawdown) == pytest.approx((peaks - equity).max())
    assert found.max_drawdown_ratio == pytest.approx(((peaks - equity) / peaks).max())
    assert found.expectancy == pytest.approx(nets.mean())
    assert found.average_r == pytest.approx((nets / 3).mean())
    if (nets <= 0).any():
        factor = nets[nets > 0].sum() / -nets[nets <= 0].sum()
        assert found.profit_factor == pytest.approx(factor)
    days = np.array([t.closed_ms // DAY_MS for t in trades])
    daily = np.bincount(days - days.min(), weights=nets)
    opening = start + np.concatenate([[0.0], np.cumsum(daily)[:-1]])
    returns = daily / opening
    if len(returns) > 1:
        assert found.sharpe == pytest.approx(
            math.sqrt(365) * returns.mean() / np.std(returns, ddof=1)
        )
        downside = np.sqrt(np.mean(np.clip(returns, None, 0.0) ** 2))
        if downside:
            assert found.sortino == pytest.approx(math.sqrt(365) * returns.mean() / downside)
    for groups in (found.by_symbol, found.by_hour, found.by_reason, found.by_strategy):
        assert sum(group.trades for group in groups) == count
        assert sum((group.net for group in groups), Decimal(0)) == found.net


def test_known_series() -> None:
    """Worked by hand: 100 → 110 → 105 → 120 → 90."""
    nets = ["10", "-5", "15", "-30"]
    trades = [
        closed(net, at_ms=START_MS + number * DAY_MS + HOUR_MS, number=number)
        for number, net in enumerate(nets)
    ]
    found = analyse(trades, Decimal(100))
    assert found.net == Decimal(-10)
    assert found.profit_factor == pytest.approx(25 / 35)
    assert found.max_drawdown == Decimal(30)
    assert found.max_drawdown_ratio == pytest.approx(0.25)
    assert daily_returns(trades, Decimal(100)) == pytest.approx([0.1, -5 / 110, 15 / 105, -0.25])
    assert [point.equity for point in found.curve] == [110, 105, 120, 90]


def test_days_without_a_trade_count() -> None:
    trades = [closed("10"), closed("10", at_ms=START_MS + 3 * DAY_MS, number=2)]
    assert daily_returns(trades, Decimal(100)) == pytest.approx([0.1, 0, 0, 10 / 110])


def test_nothing_and_undefined() -> None:
    nothing = analyse([], Decimal(400))
    assert (nothing.trades, nothing.win_rate, nothing.profit_factor) == (0, 0.0, None)
    assert nothing.sharpe is None
    only_wins = analyse([closed("1", risk="0")], Decimal(0))
    assert (only_wins.profit_factor, only_wins.average_r, only_wins.return_ratio) == (None, None, 0)
    assert sharpe([0.1, 0.1]) is None
    assert sortino([0.1, 0.2]) is None


def test_open_and_unfilled_trades_do_not_count() -> None:
    still_open, never_filled = closed("1"), closed("1", number=2)
    still_open.closed_ms = 0
    never_filled.entry_quantity = Decimal(0)
    assert analyse([still_open, never_filled], Decimal(400)).trades == 0


def test_streaks() -> None:
    assert streaks([]) == (0, 0, 0)
    assert streaks([True, True, False, True, False, False, False]) == (2, 3, -3)


def test_costs_and_reasons() -> None:
    found = analyse(
        [
            closed("1", fees="0.2", funding="-0.1"),
            closed("-3", fees="0.3", number=2, reason=ExitReason.STOP_LOSS),
        ],
        Decimal(400),
    )
    assert (found.gross, found.fees, found.funding) == (
        Decimal("-1.4"),
        Decimal("0.5"),
        Decimal("-0.1"),
    )
    assert (found.stops, found.targets) == (1, 1)
    assert [each.name for each in found.by_hour] == ["00"]
