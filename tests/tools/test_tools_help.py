"""Every tool starts both ways, as a module and as a file, and explains itself."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py") if path.name != "__init__.py")

CHILD = """\
import contextlib, io, json, runpy, sys

root, names = sys.argv[1], sys.argv[2:]
base = [entry for entry in sys.path if entry not in ("", root)]
told = {}
for name in names:
    for form in ("file", "module"):
        sys.argv = [name, "--help"]
        sys.path[:] = [root + "/tools", *base] if form == "file" else [root, *base]
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                if form == "file":
                    runpy.run_path(f"{root}/tools/{name}.py", run_name="__main__")
                else:
                    runpy.run_module(f"tools.{name}", run_name="__main__")
            code = "did not end"
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            code = repr(error)
        told[f"{name} as {form}"] = [code, out.getvalue(), root in sys.path]
print(json.dumps(told))
"""
"""One interpreter for all, because each would spend most of its time on the same imports. That a
file finds `core` by itself shows in the path it has put first, not in an import that may be old."""


def test_every_tool_explains_itself_as_module_and_as_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(ROOT), *TOOLS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    told = json.loads(done.stdout)
    assert len(told) == 2 * len(TOOLS) > 10
    assert {each: code for each, (code, _, _) in told.items() if code != 0} == {}
    assert [each for each, (_, text, _) in told.items() if not text.startswith("usage: ")] == []
    assert [each for each, (_, _, found) in told.items() if not found] == []
