"""What a person may ask and command, against the whole daemon on virtual time."""

import json
from pathlib import Path

import pytest
from support.application import config_in, with_application

from core.app import Application
from core.assembly.exit_codes import ExitCode
from core.domain.enums import StreamState, Tier, Venue
from core.domain.ports import OperatorPort
from core.kernel.clock import SimulatedClock


def audited(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "logs" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def desk(app: Application) -> OperatorPort:
    assert app.operator is not None
    return app.operator


def test_views_show_live_state(tmp_path: Path) -> None:
    async def story(app: Application, clock: SimulatedClock) -> None:
        await clock.sleep(20 * 60)
        status = desk(app).status()
        assert status.venue is Venue.PAPER
        assert "SYNTHETIC" in status.feed
        assert status.quote_coin == "USDC"
        assert 300 < status.equity < 500
        assert status.user_stream is StreamState.LIVE
        assert status.entries_blocked == ""
        assert status.uptime_s >= 20 * 60
        lines = await desk(app).why("XRPUSDC", 5)
        assert lines
        assert {line.symbol for line in lines} == {"XRP/USDC:USDC"}
        assert all(line.gate or line.verdict == "approved" for line in lines)
        assert any("ready:" in line for line in desk(app).log_tail(200))
        assert "LEVERAGE_DEFAULT" in desk(app).settings()
        day = await desk(app).day(0, clock.now_ms())
        assert day.net == day.gross - day.fees + day.funding

    assert with_application(config_in(tmp_path), story) is ExitCode.OK


def test_pause_stops_entries_survives_a_restart_and_resume_ends_it(tmp_path: Path) -> None:
    config = config_in(tmp_path)

    async def pause(app: Application, clock: SimulatedClock) -> None:
        text = await desk(app).pause("operator")
        assert "exits active" in text
        assert "paused" in desk(app).status().entries_blocked
        assert clock.now_ms() > 0

    with_application(config, pause)
    stored = json.loads((tmp_path / "data" / "runtime_config.json").read_text(encoding="utf-8"))
    assert stored["overrides"]["TRADING_ENABLED"]["value"] == "false"
    assert stored["overrides"]["TRADING_ENABLED"]["who"] == "operator"

    async def resume(app: Application, clock: SimulatedClock) -> None:
        assert "paused" in desk(app).status().entries_blocked
        await desk(app).resume("operator")
        assert desk(app).status().entries_blocked == ""
        assert clock.now_ms() > 0

    with_application(config.with_runtime("TRADING_ENABLED", "false", "operator"), resume)
    commands = [row["command"] for row in audited(tmp_path) if row["action"] == "operator.command"]
    assert commands == ["pause", "resume"]


def test_panic_latches_until_cleared_with_a_reason(tmp_path: Path) -> None:
    config = config_in(tmp_path, BINANCE_API_KEY=None)

    async def story(app: Application, clock: SimulatedClock) -> None:
        report = await desk(app).panic("operator", "test")
        assert report.clean
        assert desk(app).status().entries_blocked
        with pytest.raises(ValueError, match="reason"):
            await desk(app).clear_halt("operator", " ")
        assert "cleared" in await desk(app).clear_halt("operator", "looked at it")
        assert desk(app).status().entries_blocked == ""
        assert clock.now_ms() > 0

    assert with_application(config, story) is ExitCode.OK


def test_tier_changes_limits_and_refuses_what_the_command_line_fixed(tmp_path: Path) -> None:
    async def story(app: Application, clock: SimulatedClock) -> None:
        text = await desk(app).set_tier(Tier.BALANCED, "operator")
        assert "3 positions" in text
        assert "7x" in text
        assert "balanced" in desk(app).settings()
        assert clock.now_ms() > 0

    with_application(config_in(tmp_path), story)
    changed = [row for row in audited(tmp_path) if row["action"] == "config.changed"]
    assert [row["key"] for row in changed] == ["TIER"]


def test_closing_an_unknown_symbol_says_so(tmp_path: Path) -> None:
    async def story(app: Application, clock: SimulatedClock) -> None:
        report = await desk(app).close("xrpusdc", "operator")
        assert report.closed
        assert report.detail == "no position"
        with pytest.raises(ValueError, match="symbol"):
            await desk(app).close("not a symbol", "operator")
        assert clock.now_ms() > 0

    with_application(config_in(tmp_path), story)
