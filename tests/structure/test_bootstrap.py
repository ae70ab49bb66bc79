"""The two commands of a fresh clone, on a real small project with a real `.venv`."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ECHO = 'import sys; print("{}", sys.prefix, *sys.argv[1:])\n'


def bootstrap(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, str(project / "bootstrap.py"), *arguments],
        env=environment | {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a folder with spaces")
    shutil.copy(ROOT / "bootstrap.py", root)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (root / name).write_text(f"# nothing needed: {name}\n")
    (root / "main.py").write_text(ECHO.format("main"))
    (root / "validate_project.py").write_text(ECHO.format("validate"))
    return root


def test_run_makes_the_environment_once_and_then_goes_straight_on(project: Path) -> None:
    first = bootstrap(project, "run")
    prefix = str((project / ".venv").resolve())
    assert first.stdout == f"main {prefix} --dry-run\n", first.stderr
    assert "making .venv" in first.stderr
    second = bootstrap(project, "run", "--once", "-h", "--env-file", "a b")
    assert second.stdout == f"main {prefix} --once -h --env-file a b\n"
    assert second.stderr == ""

    tests = bootstrap(project, "test", "-k", "one or two")
    assert tests.stdout == f"validate {prefix} -- -k one or two\n"
    assert "requirements-dev.txt" in tests.stderr
    again = bootstrap(project, "test")
    assert (again.stdout, again.stderr) == (f"validate {prefix}\n", "")
    # the development requirements contain the others
    assert bootstrap(project, "run").stderr == ""

    stamp = project / ".venv" / "installed.json"
    content = json.loads(stamp.read_text())
    stamp.write_text(json.dumps(content | {"python": "cpython-3.0"}))
    assert "making .venv" in bootstrap(project, "run").stderr

    (project / "requirements.txt").write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    failed = bootstrap(project, "run")
    assert failed.returncode == 1
    assert failed.stdout == ""
    error = failed.stderr.splitlines()[-1]
    assert error.startswith("error: pip could not install requirements.txt (is the network")
    assert "no-such-package" in error
    assert "Traceback" not in failed.stderr
    assert not stamp.exists()  # a broken installation is not taken for a complete one


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("fly",), 2), (("--help",), 0)])
def test_a_wrong_call_shows_the_two_commands(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    shutil.copy(ROOT / "bootstrap.py", tmp_path)
    done = bootstrap(tmp_path, *arguments)
    assert done.returncode == code
    assert "bootstrap.py run" in done.stderr
    assert "bootstrap.py test" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_missing_requirements_are_named(tmp_path: Path) -> None:
    shutil.copy(ROOT / "bootstrap.py", tmp_path)
    done = bootstrap(tmp_path, "run")
    assert done.returncode == 1
    assert done.stderr == "error: cannot read requirements.txt: No such file or directory\n"


def test_an_old_interpreter_can_read_far_enough_to_refuse() -> None:
    text = (ROOT / "bootstrap.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 7))
    at, guard = next(each for each in enumerate(tree.body) if isinstance(each[1], ast.If))
    assert "version_info < (3, 11)" in ast.unparse(guard)
    assert all(isinstance(node, ast.Expr | ast.Import | ast.ImportFrom) for node in tree.body[:at])
