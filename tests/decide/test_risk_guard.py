"""The guard stops entries when it should and counts trades once."""

import time
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from decide_builders import Watch
from hypothesis import given
from hypothesis import strategies as st
from risk_desk import DAY, LIMITS, MINUTE, NOON, XRP, Desk

from core.config import TradingConfig
from core.domain.enums import ExitReason, Venue
from core.risk_guard import RiskGuard, RiskLimits

D = Decimal


# --- the call forms scripts use ------------------------------------------------------------------


class Logger:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, *_: object) -> None: ...

    def warning(self, message: str, /) -> None:
        self.lines.append(message)


def test_three_recorded_stops_block() -> None:
    logger = Logger()
    guard = RiskGuard(TradingConfig(max_sl_streak=3), logger)
    for _ in range(3):
        assert guard.can_open_position() == (True, "ok")
        guard.record_sl(10)
    allowed, reason = guard.can_open_position()
    assert not allowed
    assert "SL streak 3 of 3" in reason
    assert "exits active" in reason
    assert any("SL streak 3 of 3" in line for line in logger.lines)


def test_a_logger_of_events_is_told_too() -> None:
    class Events:
        def __init__(self) -> None:
            self.calls: list[tuple[str, ...]] = []

        def log_event(self, component: str, level: str, message: str, /) -> None:
            self.calls.append((component, level, message))

    events = Events()
    RiskGuard(LIMITS, events).record_sl(1)
    assert events.calls == [("risk", "WARNING", "SL streak 1 of 3")]


def test_a_profit_counts_in_full() -> None:
    guard = RiskGuard(replace(LIMITS, max_daily_loss=D(5)), clock=Watch(NOON))
    guard.record_sl(4)
    guard.record_tp(3)
    guard.record_sl(3)
    assert guard.view().realized_today == D(-4)
    assert guard.can_open_position()[0]
    with pytest.raises(ValueError, match="not negative"):
        guard.record_tp(-1)


def test_loss_in_money_is_not_compared_with_a_fraction() -> None:
    guard = RiskGuard(LIMITS, clock=Watch(NOON))
    guard.observe(D(400), D(0), 0)
    guard.record_sl("0.05")
    assert guard.can_open_position()[0], "0.05 of 400 is far from 2 %, though 0.05 > 0.02"


# --- stop-loss streak ----------------------------------------------------------------------------


def test_streak_pauses_for_the_cooldown_and_then_starts_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(3):
        desk.close("-1")
    assert "SL streak 3 of 3" in desk.reason
    desk.watch.at_ms += 59 * MINUTE
    assert not desk.allowed
    desk.watch.at_ms += MINUTE
    assert desk.allowed
    assert desk.guard.view().sl_streak == 0
    assert desk.words[-1] == "cooldown_over"
    assert not desk.facts[-1].blocked
    desk.close("-1")
    assert desk.allowed


def test_a_profit_ends_the_streak_and_other_losses_leave_it() -> None:
    desk = Desk()
    desk.close("-1")
    desk.close("-1")
    desk.close("-0.2", ExitReason.MAX_HOLD)
    desk.close("-0.2", ExitReason.MANUAL)
    assert desk.guard.view().sl_streak == 2
    desk.close("0.5", ExitReason.TAKE_PROFIT)
    assert desk.guard.view().sl_streak == 0


def test_a_stop_in_profit_is_no_stop_loss() -> None:
    desk = Desk()
    desk.close("-1")
    desk.close("0.3", ExitReason.STOP_LOSS)
    assert desk.guard.view().sl_streak == 0


@pytest.mark.parametrize("reason", [ExitReason.EMERGENCY, ExitReason.LIQUIDATION])
def test_worse_than_a_stop_counts_as_one(reason: ExitReason) -> None:
    desk = Desk()
    desk.close("-1", reason)
    assert desk.guard.view().sl_streak == 1


def test_cooldown_survives_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(3):
        desk.close("-1")
    desk.watch.at_ms += 30 * MINUTE
    desk.restart()
    assert "SL streak 3 of 3" in desk.reason
    desk.watch.at_ms += 30 * MINUTE
    desk.restart()
    assert desk.allowed


# --- the day -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "lost", "allowed"),
    [(None, "7.99", True), (None, "8", False), ("5", "5", False), ("50", "8", False)],
)
def test_the_stricter_daily_limit_wins(amount: str | None, lost: str, allowed: bool) -> None:
    limits = replace(LIMITS, max_daily_loss=None if amount is None else D(amount))
    desk = Desk(limits=limits)
    desk.close(f"-{lost}", ExitReason.MAX_HOLD)
    assert desk.allowed is allowed
    if not allowed:
        assert f"lost {lost} of at most" in desk.reason


def test_the_daily_stop_holds_until_midnight_utc_even_when_won_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.close("-9")
    desk.close("20", ExitReason.TAKE_PROFIT)
    assert not desk.allowed
    desk.watch.at_ms = NOON + DAY // 2 - 1
    desk.restart()
    assert not desk.allowed
    desk.watch.at_ms += 1
    assert desk.allowed
    assert desk.words[-1] == "new_day"
    assert "Daily drawdown" in desk.facts[-1].detail


def test_midnight_passes_while_the_daemon_is_down(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.close("-9")
    desk.watch.at_ms += 3 * DAY
    desk.restart()
    assert desk.allowed
    view = desk.guard.view()
    assert (view.realized_today, view.trades_today) == (D(0), 0)


def test_a_clock_that_steps_back_over_midnight_does_not_reopen_the_day() -> None:
    desk = Desk()
    desk.watch.at_ms = 20_001 * DAY + MINUTE
    desk.guard.observe(D(400), D(0), 0)
    desk.close("-9", ExitReason.MAX_HOLD)
    desk.watch.at_ms -= 2 * MINUTE
    assert not desk.allowed


def test_the_day_starts_from_the_equity_before_its_results(tmp_path: Path) -> None:
    desk = Desk(tmp_path, equity=None)
    desk.close("-6", ExitReason.MAX_HOLD)
    desk.guard.observe(D(394), D(0), 0)
    assert desk.guard.view().daily_limit == D(8)


def test_open_loss_counts_only_while_it_is_open() -> None:
    desk = Desk()
    desk.close("-5", ExitReason.MAX_HOLD)
    desk.guard.observe(D(391), D(-4), 1)
    assert "open loss included" in desk.reason
    desk.guard.observe(D(395), D("-0.5"), 1)
    assert desk.allowed


def test_a_loss_that_is_realised_is_no_longer_open() -> None:
    """Between two looks at the account it would count twice."""
    desk = Desk()
    desk.guard.observe(D(393), D(-7), 2)
    desk.close("-5", ExitReason.STOP_LOSS)
    assert desk.guard.view().open_loss == 2
    assert desk.guard.blocked_by == ""
    desk.close("3", ExitReason.TAKE_PROFIT)
    assert desk.guard.view().open_loss == 2


def test_an_open_profit_does_not_hide_a_realised_loss() -> None:
    desk = Desk()
    desk.close("-8", ExitReason.MAX_HOLD)
    desk.guard.observe(D(450), D(50), 1)
    assert not desk.allowed


def test_a_poor_profit_factor_ends_the_day_after_ten_trades() -> None:
    desk = Desk()
    for i in range(9):
        desk.close("0.5" if i % 2 else "-0.5", ExitReason.MAX_HOLD)
        assert desk.allowed
    desk.close("0.4", ExitReason.MAX_HOLD)
    assert "Profit factor 0.96 under 1 after 10 trades" in desk.reason
    assert "day_stop" in desk.words


def test_winning_days_have_no_profit_factor_to_fail() -> None:
    desk = Desk()
    for _ in range(12):
        desk.close("0.5", ExitReason.TAKE_PROFIT)
    assert desk.allowed
    assert desk.guard.view().profit_factor_today is None


def test_a_trade_of_yesterday_told_late_counts_in_the_totals_only() -> None:
    desk = Desk()
    desk.guard.trade_closed("late", XRP, D(-9), ExitReason.MAX_HOLD, NOON - DAY)
    assert desk.guard.view().realized_today == 0
    assert desk.guard.record == (1, 0)


# --- once each -----------------------------------------------------------------------------------


def test_a_trade_counts_once_also_across_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(2):
        desk.guard.trade_closed("same", XRP, D(-3), ExitReason.STOP_LOSS, NOON)
        desk.restart()
        desk.guard.trade_closed("same", XRP, D(-3), ExitReason.STOP_LOSS, NOON)
    view = desk.guard.view()
    assert (view.realized_today, view.sl_streak, view.trades_today) == (D(-3), 1, 1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 15),
            st.decimals(-20, 20, places=2),
            st.sampled_from([ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT, ExitReason.MAX_HOLD]),
        ),
        max_size=40,
    )
)
def test_the_day_is_the_sum_of_its_distinct_trades(
    told: list[tuple[int, Decimal, ExitReason]],
) -> None:
    guard = RiskGuard(LIMITS, clock=Watch(NOON))
    guard.observe(D(400), D(0), 0)
    first: dict[int, Decimal] = {}
    blocked = False
    for number, net, reason in told:
        guard.trade_closed(str(number), XRP, net, reason, NOON)
        first.setdefault(number, net)
        total = sum(first.values(), D(0))
        assert guard.view().realized_today == total
        blocked = blocked or -total >= D(8)
        assert not (blocked and guard.can_open_position()[0]), "a daily stop never lifts itself"


# --- drawdown, positions, transfers --------------------------------------------------------------


def test_drawdown_from_the_peak_latches_until_cleared(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.guard.observe(D(500), D(0), 0)
    desk.guard.observe(D(451), D(0), 0)
    assert desk.allowed
    desk.guard.observe(D(450), D(0), 0)
    assert "drawdown 10.00 % from the peak 500" in desk.reason
    desk.guard.observe(D(499), D(0), 0)
    desk.restart()
    assert not desk.allowed
    desk.guard.observe(D(450), D(0), 0)
    assert desk.guard.clear_halt("looked at it", "op")
    desk.guard.observe(D(449), D(0), 0)
    assert desk.allowed, "the peak starts again from where it was cleared"


def test_transfers_are_neither_profit_nor_drawdown() -> None:
    desk = Desk()
    desk.guard.note_transfer(D(-200))
    desk.guard.observe(D(200), D(0), 0)
    assert desk.allowed
    desk.guard.note_transfer(D(400))
    desk.guard.observe(D(600), D(0), 0)
    view = desk.guard.view()
    assert (view.drawdown, view.peak_equity, view.daily_limit) == (D(0), D(600), D(12))


def test_an_equity_of_zero_is_no_information() -> None:
    desk = Desk()
    desk.guard.observe(D(0), D(0), 0)
    assert desk.allowed
    assert desk.guard.view().equity == D(400)


def test_positions_are_limited_without_calling_it_a_risk_event() -> None:
    desk = Desk()
    desk.guard.observe(D(400), D(0), 2)
    heard = len(desk.facts)
    assert desk.reason == "2 of 2 positions open"
    assert desk.guard.blocked_by == ""
    assert len(desk.facts) == heard


# --- configuration -------------------------------------------------------------------------------


def test_new_limits_apply_at_once_and_keep_what_was_counted() -> None:
    desk = Desk()
    desk.close("-5", ExitReason.MAX_HOLD)
    assert desk.allowed
    desk.guard.reconfigure(replace(LIMITS, max_daily_loss=D(4)))
    assert "lost 5 of at most 4" in desk.reason


def test_limits_come_from_the_configuration() -> None:
    config = TradingConfig(MAX_DAILY_LOSS=12, MAX_SL_STREAK=4)
    limits = RiskLimits.from_config(config)
    assert (limits.max_sl_streak, limits.max_daily_loss) == (4, D(12))
    assert (limits.daily_drawdown, limits.max_positions) == (D("0.02"), 2)
    assert RiskLimits.from_config(TradingConfig(DRAWDOWN_BRAKE_PCT="0.2")).drawdown_brake == D(
        "0.2"
    )


@pytest.mark.parametrize(
    "day",
    ["2028-02-28", "2028-02-29", "2028-12-31", "2027-03-28", "2026-10-25"],
    ids=["before a leap day", "leap day", "year's end", "clocks forward", "clocks back"],
)
def test_the_day_rolls_at_midnight_utc_whatever_the_calendar_or_the_time_zone_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: str
) -> None:
    midnight = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1_000) + DAY
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        desk = Desk(tmp_path, limits=replace(LIMITS, max_daily_loss=D(5)), equity=None)
        desk.watch.at_ms = midnight - 1
        desk.guard = desk.restart()
        desk.guard.observe(D(400), D(0), 0)
        desk.close("-6")
        assert desk.guard.blocked_by == "day_stop"
        assert desk.restart().blocked_by == "day_stop"
        desk.watch.at_ms = midnight  # while the daemon is down
        assert desk.restart().can_open_position()[0]
        assert desk.guard.view().realized_today == 0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_production_is_ramped_up_by_results() -> None:
    desk = Desk(limits=replace(LIMITS, ramp=True, max_positions=5), venue=Venue.PROD)
    assert (desk.guard.allowance.positions, desk.guard.allowance.risk_pct) == (1, D("0.005"))
    for _ in range(10):
        desk.close("1", ExitReason.TAKE_PROFIT)
    assert (desk.guard.allowance.positions, desk.guard.allowance.risk_pct) == (2, D("0.005"))
    for i in range(40):
        desk.close("1" if i % 2 else "-0.5", ExitReason.MAX_HOLD)
    assert (desk.guard.allowance.positions, desk.guard.allowance.risk_pct) == (5, None)
    for _ in range(30):
        desk.close("-1", ExitReason.MAX_HOLD)
    assert desk.guard.allowance.positions == 2, "a profit factor that falls takes it back"


def test_paper_is_not_ramped() -> None:
    desk = Desk(limits=replace(LIMITS, ramp=True))
    assert desk.guard.allowance.positions == 2
