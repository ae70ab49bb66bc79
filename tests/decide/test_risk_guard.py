"""The guard stops entries when it should, remembers across restarts and counts trades once."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import TradingConfig
from core.domain.enums import ExitReason, Venue
from core.domain.facts import DaemonFact, RiskChanged
from core.risk_guard import ClosedTrade, RiskGuard, RiskLimits

D = Decimal
DAY = 86_400_000
NOON = 20_000 * DAY + DAY // 2
MINUTE = 60_000
START = D(400)
LIMITS = RiskLimits(max_sl_streak=3, sl_cooldown_minutes=60, max_positions=2)
XRP = "XRP/USDC:USDC"


class Watch:
    """A clock the test sets."""

    def __init__(self, at_ms: int = NOON) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def now_us(self) -> int:
        return self.at_ms * 1000

    def monotonic(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)


class Desk:
    """A guard that can be restarted, with everything it published."""

    def __init__(
        self,
        folder: Path | None = None,
        limits: RiskLimits = LIMITS,
        venue: Venue = Venue.PAPER,
        equity: Decimal | None = START,
    ) -> None:
        self.path = folder / "runtime" / "stage_f_state.json" if folder else None
        self.watch = Watch()
        self.limits, self.venue = limits, venue
        self.facts: list[RiskChanged] = []
        self.number = 0
        self.guard = self.restart()
        if equity is not None:
            self.guard.observe(equity, D(0), 0)

    def publish(self, fact: DaemonFact) -> None:
        assert isinstance(fact, RiskChanged)
        self.facts.append(fact)

    def restart(self) -> RiskGuard:
        self.guard = RiskGuard(
            self.limits,
            clock=self.watch,
            store_path=self.path,
            venue=self.venue,
            publish=self,
        )
        return self.guard

    def close(self, net: str, reason: ExitReason = ExitReason.STOP_LOSS, symbol: str = XRP) -> None:
        self.number += 1
        self.guard.trade_closed(f"t{self.number}", symbol, D(net), reason, self.watch.at_ms)

    @property
    def allowed(self) -> bool:
        return self.guard.can_open_position()[0]

    @property
    def reason(self) -> str:
        return self.guard.can_open_position()[1]

    @property
    def words(self) -> list[str]:
        return [fact.reason for fact in self.facts]


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
    guard = RiskGuard(replace(LIMITS, max_daily_loss=D(5)), clock=Watch())
    guard.record_sl(4)
    guard.record_tp(3)
    guard.record_sl(3)
    assert guard.view().realized_today == D(-4)
    assert guard.can_open_position()[0]
    with pytest.raises(ValueError, match="not negative"):
        guard.record_tp(-1)


def test_loss_in_money_is_not_compared_with_a_fraction() -> None:
    guard = RiskGuard(LIMITS, clock=Watch())
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
    guard = RiskGuard(LIMITS, clock=Watch())
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


# --- halt ----------------------------------------------------------------------------------------


def test_a_halt_survives_restarts_until_a_person_gives_a_reason(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.guard.halt("panic", "telegram:42")
    desk.guard.halt("panic again", "telegram:42")
    desk.watch.at_ms += 5 * DAY
    desk.restart()
    assert "Halted by telegram:42 (panic again)" in desk.reason
    with pytest.raises(ValueError, match="reason"):
        desk.guard.clear_halt("  ", "telegram:42")
    assert not desk.allowed
    assert desk.guard.clear_halt("positions checked by hand", "telegram:42")
    assert desk.allowed
    desk.restart()
    assert desk.allowed
    assert desk.facts[-1].detail == "telegram:42: positions checked by hand"


def test_a_halt_set_by_another_process_stops_a_running_daemon(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    running = desk.guard
    tool = RiskGuard(LIMITS, clock=desk.watch, store_path=desk.path, venue=desk.venue)
    tool.halt("panic tool", "shell")
    allowed, reason = running.can_open_position()
    assert not allowed
    assert "panic tool" in reason
    assert desk.words[-1] == "halted"
    running.record_sl(1)
    assert tool.halted is not None, "the daemon's own writes do not undo it"
    tool.clear_halt("done", "shell")
    assert running.can_open_position()[0]
    assert desk.words[-1] == "halt_cleared"


def test_a_halt_outlives_a_damaged_state_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.guard.halt("panic", "op")
    assert desk.path is not None
    desk.path.write_text("{")
    desk.restart().rebuild([])
    assert "Halted by op" in desk.reason


def test_an_unreadable_halt_is_a_halt(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.guard.halt("panic", "op")
    assert desk.path is not None
    desk.path.with_name("stage_f_state.halt-paper.json").write_bytes(b"\x00")
    desk.restart()
    assert "halt file unreadable" in desk.reason


def test_a_halt_of_one_venue_leaves_the_other_alone(tmp_path: Path) -> None:
    paper, prod = Desk(tmp_path), Desk(tmp_path, venue=Venue.PROD)
    paper.guard.halt("panic", "op")
    assert prod.allowed
    assert not paper.allowed


# --- memory --------------------------------------------------------------------------------------


def test_paper_losses_never_touch_production(tmp_path: Path) -> None:
    paper, prod = Desk(tmp_path), Desk(tmp_path, venue=Venue.PROD)
    paper.close("-9")
    prod.close("1", ExitReason.TAKE_PROFIT)
    paper.close("-1")
    prod.restart()
    paper.restart()
    assert prod.guard.view().realized_today == D(1)
    assert paper.guard.view().realized_today == D(-10)
    assert prod.allowed
    assert not paper.allowed


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"venues": {"paper": {"day": "soon"}}}',
        '{"venues": {"paper": {"gross_loss": "NaN"}}}',
        '{"venues": {"paper": {"gross_loss": "-4"}}}',
        '{"venues": {"paper": {"trades": -1}}}',
        '{"venues": {}, "version": 99}',
        "\x00" * 200,
    ],
)
def test_unreadable_memory_is_set_aside_and_blocks_until_rebuilt(
    tmp_path: Path, content: str
) -> None:
    desk = Desk(tmp_path)
    desk.close("-1")
    assert desk.path is not None
    desk.path.write_text(content)
    desk.restart()
    assert desk.guard.needs_rebuild
    assert desk.guard.blocked_by == "rebuild"
    assert not desk.allowed
    assert desk.words[-1] == "rebuild"
    assert desk.facts[-1].blocked
    (aside,) = desk.path.parent.glob("*.corrupt-*")
    assert aside.read_text() == content
    desk.restart()
    assert not desk.allowed, "a second restart does not forget it"
    other = Desk(tmp_path, venue=Venue.PROD)
    assert not other.allowed, "the other venues' memory is gone too"
    desk.guard.rebuild(
        [
            ClosedTrade("b", XRP, D(-2), ExitReason.STOP_LOSS, NOON - MINUTE),
            ClosedTrade("a", XRP, D(-1), ExitReason.STOP_LOSS, NOON - 2 * MINUTE),
            ClosedTrade("old", XRP, D(-50), ExitReason.STOP_LOSS, NOON - 2 * DAY),
        ]
    )
    view = desk.guard.view()
    assert (view.realized_today, view.trades_today) == (D(-3), 2)
    assert view.sl_streak == 3, "a streak runs across midnight"
    assert not desk.guard.needs_rebuild
    desk.restart()
    assert desk.guard.view().realized_today == D(-3)


def test_rebuild_finds_the_same_limits_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.guard.rebuild(
        [
            ClosedTrade(f"t{i}", XRP, D(-3), ExitReason.STOP_LOSS, NOON - (10 - i) * MINUTE)
            for i in range(3)
        ]
    )
    desk.guard.observe(D(391), D(0), 0)
    assert "lost 9 of at most 8" in desk.reason


def test_state_file_is_text_people_can_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.close("-1.25")
    assert desk.path is not None
    section = json.loads(desk.path.read_text())["venues"]["paper"]
    assert (section["gross_loss"], section["sl_streak"]) == ("1.25", 1)
    assert not list(desk.path.parent.glob("*.tmp"))


def test_a_halt_file_nobody_can_look_at_is_a_halt(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.path is not None
    desk.path.with_name("stage_f_state.halt-paper.json").mkdir()
    assert "halt file unreadable" in desk.reason


def test_a_disk_that_refuses_blocks_entries_but_never_raises(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.path is not None
    in_the_way = [desk.path.with_name(desk.path.name + ".tmp")]
    in_the_way.append(desk.path.with_name("stage_f_state.halt-paper.json.tmp"))
    for path in in_the_way:
        path.mkdir()
    desk.close("-1")
    assert "cannot be written" in desk.reason
    assert desk.guard.blocked_by == "storage"
    assert desk.words[-1] == "storage"
    desk.guard.halt("panic", "op")
    assert "Halted by op" in desk.reason, "a halt holds even when it cannot be written"
    desk.guard.clear_halt("seen", "op")
    assert not desk.allowed
    for path in in_the_way:
        path.rmdir()
    assert desk.allowed, "it heals by itself"
    desk.restart()
    assert desk.guard.view().realized_today == D(-1)


def test_memory_of_trades_and_exits_is_bounded(tmp_path: Path) -> None:
    desk = Desk(limits=replace(LIMITS, drawdown_brake=D(1)))
    for i in range(1_200):
        desk.close("0.01", ExitReason.TAKE_PROFIT, symbol=f"S{i % 400}/USDC:USDC")
    assert len(desk.guard._state.seen) == 1_000
    assert len(desk.guard._state.exits) <= 300
    assert desk.guard.record == (1_200, 1_200)


def test_last_exit_tells_a_stop_from_a_profit() -> None:
    desk = Desk()
    assert desk.guard.last_exit(XRP) is None
    desk.close("-1")
    last = desk.guard.last_exit(XRP)
    assert last is not None
    assert (last.at_ms, last.stop) == (NOON, True)
    desk.close("1", ExitReason.TAKE_PROFIT)
    last = desk.guard.last_exit(XRP)
    assert last is not None
    assert not last.stop


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


def test_what_is_told_is_already_on_disk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    on_disk: list[int] = []

    def publish(fact: DaemonFact) -> None:
        assert desk.path is not None
        section = json.loads(desk.path.read_text())["venues"]["paper"]
        on_disk.append(section["sl_streak"])

    desk.publish = publish  # type: ignore[method-assign]  # look at the disk at that moment
    desk.close("-1")
    desk.close("-1")
    assert on_disk == [1, 2]
