"""What the guard knows survives restarts, damage and other processes."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from risk_desk import DAY, LIMITS, MINUTE, NOON, XRP, Desk

from core.domain.enums import ExitReason, Venue
from core.domain.facts import DaemonFact
from core.risk_guard import ClosedTrade, RiskGuard

D = Decimal


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
