"""Backup beside a living daemon, and the way back: restore, start, the chain goes on."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from recorded import paper_env, record_day
from tool_kit import ROOT, XRP, paper_process

from core.audit_logger import AuditLogger
from core.kernel.instance_lock import InstanceLock
from core.storage.audit_verify import find_segments, verify
from tools import backup, check_positions, force_trade, post_run_analysis

LIMIT_S = 60.0


def made(output: str) -> dict[str, object]:
    record: dict[str, object] = json.loads(output)
    return record


def figures(output: str) -> dict[str, object]:
    """A report without the moment it was asked for."""
    return {name: value for name, value in made(output).items() if not name.endswith("_ms")}


def run_once(env: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "main.py", "--env-file", str(env), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_restore_from_a_running_daemon_starts_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy is taken while the daemon writes; on it a second life finds its position again."""
    with paper_process("--symbols", "XRPUSDC,DOGEUSDC") as exchange:
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        there.mkdir()
        more = {"MIN_24H_VOLUME": "1", "SYMBOLS": "XRPUSDC", "TIMEFRAME": "1m"}
        env = exchange.env(here, **more)
        arguments = ["--env-file", str(env), "--json"]
        assert force_trade.main(["XRPUSDC", "long", *arguments]) == 0
        daemon = subprocess.Popen(
            [sys.executable, "main.py", "--env-file", str(env)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert daemon.stdout is not None
            assert any("ready:" in line for line in daemon.stdout)
            capsys.readouterr()
            place = ["--to", str(tmp_path / "kept")]
            assert backup.main([*arguments, *place]) == 0
            found = made(capsys.readouterr().out)
        finally:
            daemon.send_signal(signal.SIGKILL)  # the machine is gone, and its disk with it
            daemon.communicate(timeout=20)
        folder = str(found["backup"])
        assert "data/bot.testnet.db" in str(found["files"])
        assert "logs/audit.jsonl" in str(found["files"])
        shutil.rmtree(here)

        env = exchange.env(there, **more)
        arguments = ["--env-file", str(env), "--json"]
        assert backup.main([*arguments, "--verify", folder]) == 0
        assert backup.main([*arguments, "--restore", folder]) == 0
        capsys.readouterr()
        assert check_positions.main(arguments) == 0
        (held,) = json.loads(capsys.readouterr().out)["positions"]
        assert (held["symbol"], held["whose"]) == (XRP, "bot")
        ended = run_once(env, "--once")
        assert ended.returncode == 0, ended.stderr
        assert "chain verifies" in ended.stdout, ended.stdout
    files, whole = find_segments([there / "logs"])
    verdict = verify(files, whole=whole)
    assert verdict.bad is None
    assert verdict.count > int(str(found["audit_records"]))


def filled(folder: Path) -> Path:
    """Data and logs of a bot that has traded; its settings file."""
    record_day(folder, ["2.0", "-1.0"])
    log = AuditLogger(folder / "logs" / "audit.jsonl", rotate_bytes=2_000)
    for number in range(40):
        log.write({"action": "x", "n": number})
    log.close()
    (folder / "data" / "runtime").mkdir()
    (folder / "data" / "runtime" / "stage_f_state.json").write_text("{}")
    (folder / "data" / "runtime" / "paper_exchange.json").write_text('{"api_secret": "gone"}')
    return paper_env(folder)


def test_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = ["--env-file", str(forget_checkpoint(filled(tmp_path)))]
    assert backup.main([*env, "--json", "--to", str(tmp_path / "b")]) == 0
    found = made(capsys.readouterr().out)
    names = list(map(str, found["files"]))  # type: ignore[call-overload]  # a list of names
    assert [n for n in names if not n.startswith("logs/audit-")] == [
        "data/bot.paper.db",
        "data/runtime/stage_f_state.json",
        "logs/audit.jsonl",
    ]
    assert found["audit_records"] == 40
    folder = Path(str(found["backup"]))
    if os.name != "nt":
        modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
        assert modes == {0o600}
    assert not list((tmp_path / "b").glob("*.part"))


def forget_checkpoint(env: Path) -> Path:
    """`record_day` remembers an audit head of its own invention."""
    connection = sqlite3.connect(env.parent / "data" / "bot.paper.db")
    with connection:
        connection.execute("DELETE FROM events WHERE kind = 'AuditCheckpoint'")
    connection.close()
    return env


def test_the_numbers_are_the_same_after_the_way_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    env = ["--env-file", str(forget_checkpoint(filled(tmp_path / "a"))), "--json"]
    post_run_analysis.main(env)
    before = figures(capsys.readouterr().out)
    assert backup.main([*env, "--archive", "--to", str(tmp_path / "kept")]) == 0
    packed = str(made(capsys.readouterr().out)["backup"])
    assert packed.endswith(".tar.gz")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [Path(packed).name]
    env = ["--env-file", str(paper_env(tmp_path / "b")), "--json"]
    assert backup.main([*env, "--verify", packed]) == 0
    assert backup.main([*env, "--restore", packed]) == 0
    capsys.readouterr()
    post_run_analysis.main(env)
    assert figures(capsys.readouterr().out) == before


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: (f / "logs" / "audit.jsonl").unlink(), "audit.jsonl: is missing"),
        (lambda f: (f / "data" / "more").write_text("x"), "more: does not belong"),
        (lambda f: flip(f / "data" / "bot.paper.db"), "bot.paper.db: is not as it was written"),
        (lambda f: flip(f / "logs" / "audit.jsonl"), "audit.jsonl: is not as it was written"),
        (lambda f: (f / "manifest.json").write_text("{"), "is not a complete backup"),
        (lambda f: (f / "manifest.json").unlink(), "is not a complete backup"),
        (lambda f: (f / "manifest.json").write_text('{"format":9,"files":{}}'), "of format 9"),
    ],
)
def test_a_backup_that_does_not_hold_is_named_and_not_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: object, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    env = ["--env-file", str(forget_checkpoint(filled(tmp_path)))]
    assert backup.main([*env, "--to", str(tmp_path / "kept")]) == 0
    (folder,) = (tmp_path / "kept").iterdir()
    harm(folder)  # type: ignore[operator]  # one of the list above
    fresh = ["--env-file", str(paper_env(tmp_path / "empty"))]
    for act in ("--verify", "--restore"):
        capsys.readouterr()
        assert backup.main([*fresh, act, str(folder)]) == 1
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert not (tmp_path / "empty" / "data" / "bot.paper.db").exists()


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x20
    path.write_bytes(raw)


def test_an_audit_log_without_the_head_the_database_knows_is_not_backed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut off or written anew: a copy of it must not pass for a backup."""
    env = ["--env-file", str(filled(tmp_path))]
    assert backup.main([*env, "--to", str(tmp_path / "kept")]) == 1
    assert "record 12 was known to have hash" in capsys.readouterr().err
    assert list((tmp_path / "kept").iterdir()) == []


def test_restore_neither_overwrites_nor_disturbs_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(forget_checkpoint(filled(tmp_path)))]
    assert backup.main([*env, "--to", str(tmp_path / "kept")]) == 0
    (folder,) = (tmp_path / "kept").iterdir()
    assert backup.main([*env, "--restore", str(folder)]) == 1
    assert "is there already" in capsys.readouterr().err
    with InstanceLock(tmp_path / "data"):
        assert backup.main([*env, "--restore", str(folder)]) == 4


def test_old_ones_go_and_nothing_else_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = ["--env-file", str(forget_checkpoint(filled(tmp_path)))]
    kept = tmp_path / "kept"
    for stamp in ("20250101T000000Z", "20250102T000000Z"):
        (kept / f"backup-{stamp}").mkdir(parents=True)
    (kept / "backup-20250103T000000Z.tar.gz").write_text("")
    (kept / "backup-of-my-own").mkdir()
    assert backup.main([*env, "--to", str(kept), "--keep", "2"]) == 0
    names = sorted(path.name for path in kept.iterdir())
    assert names[0] == "backup-20250103T000000Z.tar.gz"
    assert names[-1] == "backup-of-my-own"
    assert len(names) == 3
    assert (
        backup.main(
            [
                *env,
                "--to",
                str(tmp_path / "none"),
                "--data-dir",
                str(tmp_path / "x"),
                "--logs-dir",
                str(tmp_path / "y"),
            ]
        )
        == 1
    )
    assert "nothing there to back up" in capsys.readouterr().err


def test_an_archive_cannot_write_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.tar.gz"
    (tmp_path / "file").write_text("x")
    with tarfile.open(bad, "w:gz") as tar:
        tar.add(tmp_path / "file", arcname="../../escaped")
    env = ["--env-file", str(paper_env(tmp_path))]
    assert backup.main([*env, "--verify", str(bad)]) == 1
    assert "cannot be unpacked" in capsys.readouterr().err
