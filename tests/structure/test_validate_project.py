"""The one command: its table, its exit code, and what it does before anything is installed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import validate_project
from validate_project import Step

ROOT = Path(__file__).resolve().parents[2]
Checks = Callable[..., None]


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """Replace the real checks by ones that pass or fail as told; they print what they were."""

    def replace(**passing: bool) -> None:
        def steps(pytest_arguments: list[str]) -> list[Step]:
            def build(name: str, *, passes: bool) -> Step:
                def check() -> tuple[bool, str]:
                    print(f"ran {name} {pytest_arguments}")
                    return passes, ""

                return Step(name, check, slow=name == "tests")

            return [build(name, passes=passes) for name, passes in passing.items()]

        monkeypatch.setattr(validate_project, "steps", steps)

    return replace


def test_all_checks_run_even_after_a_failure(
    checks: Checks, capsys: pytest.CaptureFixture[str]
) -> None:
    checks(floors=False, lint=True, tests=True)
    assert validate_project.main(["--", "-k", "money"]) == 1
    out = capsys.readouterr().out
    assert out.count("ran ") == 3
    assert "ran tests ['-k', 'money']" in out
    table = [line.split()[:2] for line in out.splitlines()[-3:]]
    assert table == [["floors", "FAILED"], ["lint", "ok"], ["tests", "ok"]]


def test_it_succeeds_only_when_all_do(checks: Checks) -> None:
    checks(floors=True, tests=True)
    assert validate_project.main([]) == 0
    checks(floors=True, tests=False)
    assert validate_project.main([]) == 1


def test_quick_leaves_the_slow_ones_out(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    checks(floors=True, tests=False)
    assert validate_project.main(["--quick"]) == 0
    assert "ran tests" not in capsys.readouterr().out


def test_one_check_can_be_chosen_and_a_wrong_name_is_refused(
    checks: Checks, capsys: pytest.CaptureFixture[str]
) -> None:
    checks(floors=False, tests=True)
    assert validate_project.main(["--only", "tests"]) == 0
    with pytest.raises(SystemExit) as wrong:
        validate_project.main(["--only", "flaws"])
    assert wrong.value.code == 2
    assert "there are floors, tests" in capsys.readouterr().err


def test_the_structure_part_needs_nothing_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-E", "-S", str(ROOT / "validate_project.py"), "--only", "venue"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "venue      ok" in done.stdout


def test_a_missing_tool_is_a_failure_that_says_how_to_get_it() -> None:
    assert validate_project.run_tool("no_such_tool") == (
        False,
        "not installed: python bootstrap.py test",
    )


def test_a_tool_that_fails_fails_the_check(capfd: pytest.CaptureFixture[str]) -> None:
    assert validate_project.run_tool("platform") == (True, "")
    passed, note = validate_project.run_tool("json.tool", "no-such-file")
    assert not passed
    assert note.startswith("exit code ")
    capfd.readouterr()
