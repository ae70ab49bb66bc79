"""Every tool explains itself, runs in both ways, and stands in the reference."""

import subprocess
import sys
from pathlib import Path

from tool_kit import ROOT

from tools.tools_reference import DOCUMENT, read_tools, reference

_RUN_ALL = """
import contextlib, io, runpy, sys
base = list(sys.path)
for path in sys.argv[1:]:
    sys.path[:] = [path.rpartition("/")[0], *base]
    sys.argv = [path, "--help"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        print(path.rpartition("/")[2], end.code, "usage:" in said.getvalue())
"""


def test_reference_is_in_step() -> None:
    assert (ROOT / DOCUMENT).read_text("utf-8") == reference(), (
        "run python -m tools.tools_reference --write"
    )


def test_exit_codes_of_operators_tools_are_told() -> None:
    told = {tool.name: [code for code, _ in tool.exits] for tool in read_tools(ROOT)}
    for name in ("panic", "quick_check", "doctor", "close_position", "why", "verify_audit"):
        assert told[name][:2] == ["0", "1"], name
    assert told["force_trade"] == ["0", "1", "2", "3", "4", "5"]


def test_each_runs_as_a_file_from_anywhere(tmp_path: Path) -> None:
    paths = sorted(str(path) for path in (ROOT / "tools").glob("[a-z]*.py"))
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ALL, *paths],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [path.rpartition("/")[2] for path in paths]
    assert done.stdout.splitlines() == [f"{name} 0 True" for name in names], done.stderr
    assert list(tmp_path.iterdir()) == [], "asking for help leaves nothing behind"


def test_one_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.doctor", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Exit codes: 0 all well" in " ".join(done.stdout.split())
