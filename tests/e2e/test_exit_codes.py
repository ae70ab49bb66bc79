"""What an operator got wrong costs one clear line per mistake and exit code 2, never a traceback;
a second daemon on the same folder is refused with 4, an account that cannot trade with 3."""

import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_kit import (
    ROOT,
    SYNTHETIC,
    Ended,
    Venue,
    assert_clean,
    environment,
    run_bot,
    start_bot,
)

CANARIES = ("CANARYSECRET", "CANARYTOKEN", "CANARYHOOK", "CANARYKEY")


def assert_refused(ended: Ended, *starts: str) -> None:
    """Exit code 2 and exactly these lines, by their beginnings."""
    assert ended.code == 2, ended.err
    assert_clean(ended)
    lines = ended.error_lines
    assert len(lines) == len(starts), ended.err
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(f"configuration: {start}"), ended.err


def test_every_wrong_setting_is_named_and_no_secret_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "bot.env").write_text(
        "LEVERGE_DEFAULT=3\n"
        "BINANCE_API_KEY=CANARYKEY\n"
        "BINANCE_API_SECRET=CANARYSECRET\n"
        "TELEGRAM_TOKEN=CANARYTOKEN with blanks\n"
        "SLACK_WEBHOOK_URL=CANARYHOOK\n"
        "RISK_PER_TRADE_PCT=0.75\n"
        "TP_LEVELS=0.006:0.5,0.012:0.3\n"
    )
    (tmp_path / "bot.env").chmod(0o600)
    ended = run_bot(tmp_path, "--env-file", "bot.env", LEVERAGE_DEFAULT="50", TIMEFRAME="7m")
    assert ended.code == 2
    assert_clean(ended)
    for words in (
        "bot.env line 1: LEVERGE_DEFAULT is not a setting; did you mean LEVERAGE_DEFAULT?",
        "LEVERAGE_DEFAULT=50: must be a whole number",
        "RISK_PER_TRADE_PCT=0.75: 0.75 means 75 %, for 0.75 % write 0.0075",
        "TIMEFRAME=7m: must be",
        "TP_LEVELS=",
    ):
        assert sum(words in line for line in ended.error_lines) == 1, (words, ended.err)
    assert all(line.startswith("configuration: ") for line in ended.error_lines)
    assert not any(canary in ended.err + ended.out for canary in CANARIES)
    assert not (tmp_path / "data").exists()


def test_a_leverage_above_its_tier_is_refused_but_not_above_a_higher_one(tmp_path: Path) -> None:
    refused = run_bot(tmp_path, "--explain", "LEVERAGE_DEFAULT", LEVERAGE_DEFAULT="7")
    assert_refused(refused, "LEVERAGE_DEFAULT=7: ")
    allowed = run_bot(
        tmp_path, "--explain", "LEVERAGE_DEFAULT", LEVERAGE_DEFAULT="7", TIER="balanced"
    )
    assert allowed.code == 0


def test_a_missing_settings_file_and_an_unknown_strategy(tmp_path: Path) -> None:
    assert_refused(run_bot(tmp_path, "--env-file", "no.env"), "no.env: no such file")
    ended = run_bot(tmp_path, "--once", "--strategy", "moonshot", **SYNTHETIC)
    assert ended.code == 2
    assert ended.error_lines[-1] == "configuration: STRATEGY = moonshot: allowed are scalping_v1"
    assert "build  " not in ended.out, "told before anything is opened"
    assert_clean(ended)


# --- recordings that cannot be played -----------------------------------------------------------

_ROW = "{open},2.0,2.1,1.9,2.0,100,{close},200,10,50,100,0"
_START_MS = 1_749_513_600_000


def candles(count: int) -> list[str]:
    """Lines of a recording as Binance's archive has them."""
    opens = [_START_MS + minute * 60_000 for minute in range(count)]
    return [_ROW.format(open=at, close=at + 59_999) for at in opens]


def play(folder: Path, name: str, content: bytes | None) -> Ended:
    recordings = folder / "recorded"
    recordings.mkdir()
    if content is not None:
        (recordings / name).write_bytes(content)
    return run_bot(
        folder,
        DRY_RUN="true",
        PAPER_FEED="replay",
        PAPER_REPLAY_PATH="recorded",
        PAPER_SPEED="max",
    )


GOOD = "\n".join(candles(3_000)).encode() + b"\n"
SWAPPED = "\n".join([*candles(50)[:20], candles(50)[30], *candles(50)[20:]]).encode() + b"\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nothing", None, "recorded: no candle file here"),
        ("XRPUSDT-1m-2025-06.csv", b"hello,world\n", "line 1: 2 columns, expected 12"),
        ("XRPUSDT-1m-2025-06.zip", b"PK no archive", "unreadable or truncated"),
        ("XRPUSDT-1m-2025-06.csv.gz", gzip.compress(GOOD)[:-400], "unreadable or truncated"),
        ("XRPUSDT-1m-2025-06.csv", SWAPPED, "line 22: "),
        ("XRPUSDT-1m-2025-06.csv", GOOD.replace(b"1.9", b"nan", 1), "line 1: "),
    ],
    ids=["missing", "other", "no zip", "truncated", "unordered", "not a number"],
)
def test_recordings_that_cannot_be_played(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    ended = play(tmp_path, name, content)
    assert_refused(ended, "PAPER_REPLAY_PATH: ")
    assert says in ended.err


def test_a_recording_that_does_not_exist(tmp_path: Path) -> None:
    ended = run_bot(tmp_path, "--dry-run", PAPER_FEED="replay", PAPER_REPLAY_PATH="nowhere")
    assert_refused(ended, "PAPER_REPLAY_PATH=nowhere: no such file or folder")


# --- folders and files of its own ---------------------------------------------------------------


@pytest.mark.parametrize(("flag", "key"), [("--data-dir", "DATA_DIR"), ("--logs-dir", "LOGS_DIR")])
def test_a_file_where_a_folder_should_be(tmp_path: Path, flag: str, key: str) -> None:
    (tmp_path / "taken").touch()
    for place in ("taken", "taken/deeper"):
        assert_refused(run_bot(tmp_path, flag, place, **SYNTHETIC), f"{key}: taken")


_AS_ANOTHER = """
import codecs, os, sys
sys.path.insert(0, sys.argv.pop(1))
import main
codecs.lookup("ascii")
if os.geteuid() == 0:
    os.seteuid(65534)
sys.exit(main.main())
"""
"""Modes do not stop root: a suite that runs as root becomes somebody else once all is imported."""


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder in which this user may create nothing, beside one that is open to all."""
    with tempfile.TemporaryDirectory() as place:
        outside = Path(place)
        outside.chmod(0o755)
        (outside / "open").mkdir()
        (outside / "open").chmod(0o777)
        (outside / "closed").mkdir(mode=0o555)
        yield outside


@pytest.mark.skipif(os.name != "posix", reason="folder modes are POSIX")
@pytest.mark.parametrize("key", ["DATA_DIR", "LOGS_DIR"])
def test_a_folder_without_permission(closed_folder: Path, key: str) -> None:
    other = {"DATA_DIR": "LOGS_DIR", "LOGS_DIR": "DATA_DIR"}[key]
    done = subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER, str(ROOT), "--once"],
        cwd="/",
        env=environment(
            {**SYNTHETIC, key: closed_folder / "closed" / "x", other: closed_folder / "open" / "x"}
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_refused(
        Ended(done.returncode, done.stdout, done.stderr), f"{key}: {closed_folder}/closed/x "
    )
    assert "allowed is a folder this user may write to" in done.stderr


def test_a_damaged_audit_log_is_not_written_on(tmp_path: Path) -> None:
    assert run_bot(tmp_path, "--once", **SYNTHETIC).code == 0
    path = tmp_path / "logs" / "audit.jsonl"
    sound = path.read_bytes()
    lines = sound.splitlines(keepends=True)
    edited = b"".join([lines[0], lines[1].replace(b"paper", b"papir"), *lines[2:]])
    for damaged, says in (
        (edited, "line 2 edited: "),
        (b"".join([*lines[:2], *lines[3:]]), "line 3 removed: "),
        (sound + b'{"seq":1,"nonsense":true}\n', "its last record (at byte "),
    ):
        path.write_bytes(damaged)
        ended = run_bot(tmp_path, "--once", **SYNTHETIC)
        assert ended.code == 2, ended.err
        assert_clean(ended)
        (line,) = [line for line in ended.error_lines if line.startswith("configuration: ")]
        assert line.startswith("configuration: LOGS_DIR: audit log logs/audit.jsonl: ")
        assert says in line
        assert "python -m tools.verify_audit" in line
        assert path.read_bytes() == damaged
    path.write_bytes(sound + b'{"seq":9,"cut off in the mid')
    assert run_bot(tmp_path, "--once", **SYNTHETIC).code == 0


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    first = start_bot(tmp_path, **{**SYNTHETIC, "PAPER_SPEED": "1"})
    try:
        first.wait_for("ready:")
        second = run_bot(tmp_path, "--once", **SYNTHETIC)
        assert second.code == 4
        assert second.error_lines == [
            f"another instance (pid {first.process.pid}) holds the data folder data: stop it "
            "first, or choose another folder with --data-dir"
        ]
        assert run_bot(tmp_path, "--explain", "TIER").code == 0
    finally:
        first.kill()
    assert run_bot(tmp_path, "--once", **SYNTHETIC).code == 0


# --- an account that cannot trade ---------------------------------------------------------------


def test_an_account_or_a_key_that_cannot_trade(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue") as venue:
        assert (
            venue.ask("/fapi/v1/positionSide/dual", "POST", dualSidePosition="true")["code"] == 200
        )
        hedged = run_bot(tmp_path, "--once", **venue.settings)
        assert hedged.code == 3
        assert hedged.error_lines[-1].startswith("the account is in hedge mode: ")
        assert "One-way Mode" in hedged.error_lines[-1]
        wrong = {**venue.settings, "BINANCE_API_KEY": "CANARYKEY"}
        stranger = run_bot(tmp_path, "--once", **wrong)
        assert stranger.code == 3
        assert stranger.error_lines[-1].startswith("the exchange refuses the API key: ")
        for ended in (hedged, stranger):
            assert_clean(ended)
            assert venue.secret not in ended.err + ended.out
            assert not any(canary in ended.err + ended.out for canary in CANARIES)
