"""Continuous integration runs what the README tells people to run, with nothing left unpinned."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEST_COMMAND = "bootstrap.py test"
posix = pytest.mark.skipif(sys.platform == "win32", reason="a bash script")


def test_the_readme_and_ci_name_the_same_test_command() -> None:
    for path in ("README.md", ".ci/run", ".github/workflows/ci.yml", "CONTRIBUTING.md"):
        assert TEST_COMMAND in (ROOT / path).read_text(encoding="utf-8"), path


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version_beside(workflow: Path) -> None:
    uses = re.findall(r"uses:\s*(.+)", workflow.read_text(encoding="utf-8"))
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_ci_covers_the_supported_versions_and_can_be_started_by_hand() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    for needed in ('["3.11", "3.12", "3.13"]', "workflow_dispatch:", "concurrency:", "cache: pip"):
        assert needed in text
    assert "--only venue" in text
    assert "python -m tools.client_matrix --all" in text


def run_ci(root: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {key: value for key, value in os.environ.items() if key != "CANDLE_ARCHIVE"}
    return subprocess.run(
        [str(root / ".ci" / "run")],
        env=inherited | environment,
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@posix
def test_the_ci_script_runs_the_test_command_and_finds_recorded_candles(tmp_path: Path) -> None:
    root = tmp_path / "a checkout"
    (root / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", root / ".ci")
    (root / "bootstrap.py").write_text(
        "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ.get('CANDLE_ARCHIVE'))\n"
        "sys.exit(5)\n"
    )
    done = run_ci(root)
    assert done.stdout == f"['test'] {root} None\n", done.stderr
    assert done.returncode == 5
    assert run_ci(root, CANDLE_ARCHIVE="/elsewhere").stdout == f"['test'] {root} /elsewhere\n"
    beside = re.search(r"\[ -d (\S+) \]", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert beside
    archive = (root / beside[1]).resolve()
    archive.mkdir(parents=True)
    assert run_ci(root).stdout == f"['test'] {root} {archive}\n"
