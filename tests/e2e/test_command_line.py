"""One pass, one look, one question: what `main.py` prints and returns without staying."""

import subprocess
import sys
from pathlib import Path

import pytest
from e2e_kit import (
    MAIN,
    SYNTHETIC,
    assert_chain,
    assert_clean,
    audit,
    environment,
    having,
    last_run,
    run_bot,
)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a complete `--once` on synthetic prices, as a fresh clone would run it."""
    folder = tmp_path_factory.mktemp("once")
    settings = {name: value for name, value in SYNTHETIC.items() if name != "DRY_RUN"}
    ended = run_bot(folder, "--once", **settings)
    (folder / "code").write_text(str(ended.code))
    assert_clean(ended)
    return folder


def screen(folder: Path) -> str:
    return (folder / "stderr-0.txt").read_text(encoding="utf-8")


def test_once_ends_with_the_summary_alone_on_standard_output(once: Path) -> None:
    assert (once / "code").read_text() == "0"
    lines = (once / "stdout-0.txt").read_text(encoding="utf-8").splitlines()
    assert set(lines[0]) == set(lines[-1]) == {"─"}
    assert lines[1].startswith("run         paper, SYNTHETIC PRICES")
    assert lines[2] == "ended       one pass done" or lines[3] == "ended       one pass done"
    assert any(line.startswith("candles     3 evaluated") for line in lines)
    assert max(map(len, lines)) <= 100


def test_once_says_that_there_are_no_keys_and_that_prices_are_invented(once: Path) -> None:
    said = screen(once)
    assert "PAPER - no order leaves this machine (no API keys are configured)" in said
    assert said.count("SYNTHETIC PRICES") >= 2


def test_once_gives_a_verdict_for_every_symbol(once: Path) -> None:
    verdicts = [line for line in screen(once).splitlines() if " engine " in line]
    assert [line.split()[3].split("/")[0] for line in verdicts] == ["XRP", "DOGE", "ADA"]
    assert any("ready: 3 symbols" in line for line in screen(once).splitlines())


def test_once_leaves_a_sound_record(once: Path) -> None:
    figures = last_run(once)
    assert figures["candles"] == 3
    assert (figures["open_positions"], figures["ledger_difference"]) == (0, "0")
    assert having(audit(once), "stop", reason="one pass done")
    assert_chain(once)


def test_files_hold_nothing_that_others_may_write(once: Path) -> None:
    for path in (*once.glob("data/**/*"), *once.glob("logs/**/*")):
        assert not path.stat().st_mode & 0o022, path


def test_check_shows_the_card_and_the_effective_configuration_without_secrets(
    tmp_path: Path,
) -> None:
    ended = run_bot(
        tmp_path, "--check", **SYNTHETIC, TELEGRAM_TOKEN="111:CANARYTOKEN", LOG_LEVEL="WARNING"
    )
    assert ended.code == 0
    assert_clean(ended)
    assert "  LEVERAGE_DEFAULT             5" in ended.out
    assert "* SYMBOLS                      XRP/USDC:USDC,DOGE/USDC:USDC,ADA/USDC:USDC" in ended.out
    assert "CANARY" not in ended.out + ended.err
    shown = run_bot(tmp_path, "--check", "--dry-run", **SYNTHETIC)
    assert "build     USDC Futures Bot" in shown.err
    assert "configuration, connection and permissions are fine" in shown.err


def test_explain_one_and_all(tmp_path: Path) -> None:
    one = run_bot(tmp_path, "--explain", "LEVERAGE_DEFAULT", LEVERAGE_DEFAULT="3")
    assert one.code == 0
    assert one.out.splitlines()[0] == "LEVERAGE_DEFAULT = 3"
    assert "origin   process environment" in one.out
    everything = run_bot(tmp_path, "--explain")
    assert everything.code == 0
    for word in ("SL_VERIFY_TIMEOUT = 1.5 s", "default", "allowed", "meaning", "changes"):
        assert word in everything.out
    wrong = run_bot(tmp_path, "--explain", "LEVERAGE_DEFALT")
    assert wrong.code == 2
    assert "did you mean LEVERAGE_DEFAULT?" in wrong.err
    assert list(tmp_path.glob("data")) == []


def test_version(tmp_path: Path) -> None:
    ended = run_bot(tmp_path, "--version")
    assert ended.code == 0
    assert ended.out.startswith("USDC Futures Bot ")
    assert not ended.err


def test_help_touches_nothing(tmp_path: Path) -> None:
    ended = run_bot(tmp_path, "--dry-run", "--help")
    assert ended.code == 0
    for flag in ("--once", "--check", "--explain", "--reset-runtime", "--env-file", "--log-level"):
        assert flag in ended.out
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


NOWHERE = "http://127.0.0.1:1"
"""A port where nobody listens stands for a machine without a network."""


def test_without_a_network_auto_falls_back_loudly(tmp_path: Path) -> None:
    ended = run_bot(
        tmp_path,
        "--once",
        **{**SYNTHETIC, "PAPER_FEED": "auto"},
        BINANCE_REST_URL=NOWHERE,
        BINANCE_WS_URL="ws://127.0.0.1:1",
    )
    assert ended.code == 0, ended.err
    warned = [line for line in ended.error_lines if "WARN  prices     SYNTHETIC PRICES" in line]
    assert len(warned) == 1
    assert "cannot be reached" in warned[0]
    assert "SYNTHETIC PRICES" in ended.out
    assert_clean(ended)


def test_without_a_network_live_prices_fail_in_one_line(tmp_path: Path) -> None:
    ended = run_bot(
        tmp_path,
        "--once",
        **{**SYNTHETIC, "PAPER_FEED": "live", "PAPER_SPEED": "1"},
        BINANCE_REST_URL=NOWHERE,
        BINANCE_WS_URL="ws://127.0.0.1:1",
    )
    assert ended.code == 1
    (line,) = ended.error_lines
    assert line.startswith("PAPER_FEED=live: live prices cannot be read (")
    assert_clean(ended)


def test_last_words_need_neither_a_reader_nor_a_wide_alphabet(tmp_path: Path) -> None:
    plain = run_bot(tmp_path, "--explain", "LEVERAGE_DEFAULT", PYTHONIOENCODING="ascii")
    assert plain.code == 0
    assert "allowed  a whole number \\u2265 1" in plain.out
    command = [sys.executable, str(MAIN), "--explain"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as unheard:
        assert unheard.stdout is not None
        assert unheard.stderr is not None
        unheard.stdout.close()
        assert unheard.stderr.read() == b""
    assert unheard.returncode == 0
