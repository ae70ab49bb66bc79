"""What a run says besides its trades: how it ends when something unforeseen happens, and that
invented prices are called so again and again."""

from pathlib import Path

import pytest
from support.application import config_in, with_application

import core.app
from core.app import Application, RunOptions, run_daemon
from core.assembly.exit_codes import ExitCode
from core.kernel.clock import SimulatedClock

CANARY = "CANARY-0123456789-abcdef"


def whole_log(folder: Path) -> str:
    """All of it: a run that begins before midnight has two files."""
    files = sorted((folder / "logs").glob("bot_*.log"))
    return "".join(path.read_text(encoding="utf-8") for path in files)


def test_an_unforeseen_error_is_told_in_full_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError(f"cannot post to https://hooks.example/{CANARY}")

    monkeypatch.setattr(core.app, "open_venue", broken)
    config = config_in(tmp_path, SLACK_WEBHOOK_URL=f"https://hooks.example/{CANARY}")
    assert run_daemon(config, RunOptions(once=True)) is ExitCode.FATAL
    told = whole_log(tmp_path)
    assert "CRIT  process    unexpected error" in told
    assert "RuntimeError: cannot post to" in told
    out, err = capfd.readouterr()
    assert CANARY not in told + out + err


def test_invented_prices_are_called_so_again_and_again(tmp_path: Path) -> None:
    async def story(app: Application, clock: SimulatedClock) -> None:
        await clock.sleep(25 * 60)

    assert with_application(config_in(tmp_path), story) is ExitCode.OK
    warned = [line for line in whole_log(tmp_path).splitlines() if "WARN  prices " in line]
    assert len(warned) == 3
    assert all("SYNTHETIC PRICES" in line for line in warned)
