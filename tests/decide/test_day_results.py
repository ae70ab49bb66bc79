"""A lost risk memory comes back from two witnesses: our books and the exchange's."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from risk_desk import LIMITS, NOON, XRP, Desk

from core.domain.account import IncomeRow
from core.domain.enums import ExitReason
from core.oms.day_results import day_of, with_unknown_losses
from core.risk_guard import ClosedTrade

D = Decimal
MORNING = day_of(NOON) + 1_000


def trade(net: str, at_ms: int = MORNING) -> ClosedTrade:
    return ClosedTrade(f"t{net}{at_ms}", XRP, D(net), ExitReason.STOP_LOSS, at_ms)


def income(kind: str, amount: str, at_ms: int = MORNING, asset: str = "USDC") -> IncomeRow:
    return IncomeRow(XRP, kind, D(amount), asset, at_ms, f"{kind}{amount}", "")


def test_when_both_agree_nothing_is_added() -> None:
    rows = [income("REALIZED_PNL", "-2.8"), income("COMMISSION", "-0.2")]
    assert with_unknown_losses([trade("-3")], rows, "USDC", NOON) == [trade("-3")]


def test_losses_the_database_lost_count() -> None:
    rows = [
        income("REALIZED_PNL", "-7"),
        income("COMMISSION", "-0.5"),
        income("FUNDING_FEE", "-0.5"),
        income("TRANSFER", "-100"),
        income("COMMISSION", "-9", asset="BNB"),
        income("REALIZED_PNL", "-50", at_ms=day_of(NOON) - 1),
    ]
    found = with_unknown_losses([trade("-3")], rows, "USDC", NOON)
    assert [each.net for each in found] == [D(-3), D(-5)]


def test_money_we_cannot_explain_is_no_excuse() -> None:
    rows = [income("REALIZED_PNL", "50")]
    assert with_unknown_losses([trade("-3")], rows, "USDC", NOON) == [trade("-3")]


def test_trades_of_yesterday_are_not_today_s() -> None:
    old = trade("-3", at_ms=day_of(NOON) - 1)
    assert with_unknown_losses([old], [], "USDC", NOON) == []


def test_a_guard_rebuilt_from_the_exchange_alone_keeps_the_daily_stop(tmp_path: Path) -> None:
    desk = Desk(tmp_path, limits=replace(LIMITS, max_daily_loss=D(5)))
    desk.close("-6")
    assert desk.guard.blocked_by == "day_stop"
    assert desk.path is not None
    desk.path.write_text("{broken")
    guard = desk.restart()
    assert guard.blocked_by == "rebuild"
    guard.rebuild(with_unknown_losses([], [income("REALIZED_PNL", "-6")], "USDC", NOON))
    assert guard.blocked_by == "day_stop"
