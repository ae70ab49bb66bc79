"""Cleaning a real git repository: what goes, what moves, and above all what stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cleanup_project
from core.kernel.instance_lock import InstanceLock

CACHES = [
    "core/__pycache__/app.cpython-311.pyc",
    "core/loose.pyc",
    ".mypy_cache/3.11/cache.json",
    ".ruff_cache/0.1/x",
    ".pytest_cache/v/x",
    ".hypothesis/examples/x",
    ".coverage",
    "htmlcov/index.html",
    "build/lib/x.py",
    "dist/x.whl",
    "bot.egg-info/PKG-INFO",
]
ARCHIVES = ["old.zip", "backup/all.tar.gz", "logs-2024.tgz"]
RUNTIME = [
    "data/bot.paper.db",
    "data/bot.paper.db-wal",
    "data/candles/BTCUSDC.csv",
    "data/export.zip",
    "data/__pycache__/x.pyc",
    "logs/bot_20240101.log",
    "logs/audit.jsonl",
]
TRACKED = [
    "main.py",
    "core/app.py",
    "docs/sample.zip",
    "vendor/__pycache__/kept.pyc",
    "data/README.md",
    "tests/core/test_app.py",
]
KEPT = [
    ".env",
    ".env.prod",
    "exchange.key",
    "build/signing.pem",
    "data/telegram.key",
    ".venv/pyvenv.cfg",
    ".venv/lib/__pycache__/x.pyc",
    "node_modules/x/__pycache__/x.pyc",
    "lib/site-packages/x/__pycache__/x.pyc",
    "other/.git/HEAD",
    "other/__pycache__/x.pyc",
    "notes.txt",
]


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x" * 1_000)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    write(root, *TRACKED)
    git(root, "add", "-f", ".")
    git(root, "commit", "-qm", "begin")
    write(root, *CACHES, *ARCHIVES, *RUNTIME, *KEPT)
    return root


def clean(root: Path, *arguments: str) -> int:
    return cleanup_project.main(list(arguments), root)


def present(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and root / ".git" not in path.parents
    }


def test_caches_go_and_nothing_else(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(project) == 0
    assert present(project) == {*TRACKED, *KEPT, *ARCHIVES, *RUNTIME}
    assert not (project / "core" / "__pycache__").exists()
    assert not (project / "htmlcov").exists()
    out = capsys.readouterr().out
    assert f"reclaimed {len(CACHES) * 1_000 / 1024:.1f} KiB in {len(CACHES)} files" in out
    assert git(project, "diff", "--name-only") == ""


def test_dry_run_says_the_same_and_touches_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, "core/test_stray.py")
    before = present(project)
    assert clean(project, "--dry-run", "--archives", "--runtime") == 0
    assert present(project) == before
    said = capsys.readouterr().out
    assert clean(project, "--archives", "--runtime") == 0
    did = capsys.readouterr().out
    for dry, real in (("would remove", "removed"), ("would move", "moved")):
        said = said.replace(dry, real)
    assert said.replace("would reclaim", "reclaimed") == did


def test_archives_only_when_asked_and_never_tracked_ones(project: Path) -> None:
    clean(project, "--archives")
    assert present(project) == {*TRACKED, *KEPT, *RUNTIME}


def test_runtime_only_when_asked_and_never_keys(project: Path) -> None:
    clean(project, "--runtime")
    assert present(project) == {*TRACKED, *KEPT, *ARCHIVES}
    assert (project / "logs").is_dir()


def test_the_record_of_real_trades_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "data/bot.prod.db", "data/bot.prod.db-wal")
    clean(project, "--runtime")
    kept = {"data/bot.prod.db", "data/bot.prod.db-wal", "logs/audit.jsonl"}
    assert present(project) == {*TRACKED, *KEPT, *ARCHIVES, *kept}
    assert "kept, record of real trades: logs/audit.jsonl" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to delete files in use")
def test_a_running_bot_keeps_everything(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = InstanceLock(project / "data")
    lock.acquire()
    try:
        before = present(project)
        assert clean(project, "--runtime") == 1
        assert present(project) == before
    finally:
        lock.release()
    assert "a running bot holds" in capsys.readouterr().err
    assert clean(project, "--runtime") == 0


def test_stray_tests_move_and_git_knows(project: Path) -> None:
    write(project, "core/test_stray.py", "tools/other_test.py")
    git(project, "add", "core/test_stray.py")
    git(project, "commit", "-qm", "stray")
    assert clean(project) == 0
    assert {"tests/test_stray.py", "tests/other_test.py"} <= present(project)
    assert git(project, "diff", "--cached", "--name-status", "-M").split() == [
        "R100",
        "core/test_stray.py",
        "tests/test_stray.py",
    ]


def test_a_stray_test_never_replaces_another(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, "core/test_stray.py")
    write(project, "tests/test_stray.py")
    (project / "tests/test_stray.py").write_text("the one that belongs here")
    assert clean(project) == 1
    assert (project / "core/test_stray.py").exists()
    assert (project / "tests/test_stray.py").read_text() == "the one that belongs here"
    assert "is there already" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_nothing_behind_a_link_is_touched(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    write(outside, "__pycache__/x.pyc", "bot.paper.db", "x.zip")
    (project / "linked").symlink_to(outside)
    (project / "tools").mkdir()
    (project / "tools" / "__pycache__").symlink_to(outside / "__pycache__")
    (project / "logs" / "bot_20240101.log").unlink()
    (project / "logs" / "audit.jsonl").unlink()
    (project / "logs").rmdir()
    (project / "logs").symlink_to(outside)
    clean(project, "--archives", "--runtime")
    assert present(outside) == {"__pycache__/x.pyc", "bot.paper.db", "x.zip"}
    assert (project / "tools" / "__pycache__").is_symlink()
    assert "left alone: logs is a link" in capsys.readouterr().out


def test_a_repository_git_cannot_read_is_left_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".git" / "HEAD").write_text("broken")
    before = present(project)
    assert clean(project) == 1
    assert present(project) == before
    assert capsys.readouterr().err.startswith("error: git cannot tell what it tracks:")


def test_without_a_repository_it_still_cleans(tmp_path: Path) -> None:
    write(tmp_path, "core/__pycache__/x.pyc", "core/app.py", "data/bot.paper.db")
    assert clean(tmp_path) == 0
    assert present(tmp_path) == {"core/app.py", "data/bot.paper.db"}


def test_a_file_that_will_not_go_is_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == "index.html":
            raise PermissionError(13, os.strerror(13))
        original(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert clean(project) == 1
    assert "cannot remove" in capsys.readouterr().err
    assert (project / "htmlcov/index.html").exists()
    assert not (project / "core/loose.pyc").exists()
