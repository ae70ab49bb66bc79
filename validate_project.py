"""Everything that must be true of the project, in one command: `python validate_project.py`.

Upkeep floor, standard library only: the structure checks run before anything is installed. Cheap
checks come first, and all of them run even when one fails. `--quick` leaves types and tests out,
`--only NAME` runs one. Exit code 0 when all passed, 1 otherwise. Arguments after `--` go to pytest.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from checks import structure
from checks.source import Project, load

ROOT = Path(__file__).resolve().parent
SPREAD = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile")
"""The whole suite over the machine's cores, a file's tests together; arguments of one's own run
in one process, where a debugger works."""
IMPORT_ALL = """\
import importlib, sys
sys.path[:0] = [sys.argv[1]]
sys.path += [sys.argv[1] + "/telegram"]
failed = 0
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed += 1
        print(f"{name}: {type(error).__name__}: {error}")
sys.exit(bool(failed))
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table."""

    name: str
    passed: bool
    note: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """A named check; it prints its findings and says whether it passed, with a short note."""

    name: str
    check: Callable[[], tuple[bool, str]]
    slow: bool = False


def steps(pytest_arguments: list[str]) -> Iterator[Step]:
    """All checks, cheapest first."""
    project = load(ROOT)
    for name, check in structure.CHECKS.items():
        yield Step(name, partial(check_structure, check, project))
    yield Step("imports", partial(check_imports, project))
    yield Step("lint", partial(run_tool, "ruff", "check", "--quiet"))
    yield Step("format", partial(run_tool, "ruff", "format", "--check", "--quiet"))
    yield Step("types", partial(run_tool, "mypy", "--no-error-summary"), slow=True)
    yield Step("tests", partial(run_tool, "pytest", *(pytest_arguments or SPREAD)), slow=True)


def check_structure(check: structure.Check, project: Project) -> tuple[bool, str]:
    """One check of the tree."""
    found = sorted(set(check(project)))
    for each in found:
        print(each)
    return not found, f"{len(found)} violations" if found else ""


def check_imports(project: Project) -> tuple[bool, str]:
    """Every module of the program can be imported, all in one fresh interpreter."""
    names = [module.name for module in project.sources]
    command = [sys.executable, "-c", IMPORT_ALL, str(ROOT), *names]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own arguments
    return done.returncode == 0, f"{len(names)} modules"


def run_tool(module: str, *arguments: str) -> tuple[bool, str]:
    """Run an installed tool; one that is missing is a failure, never a silent pass."""
    if importlib.util.find_spec(module) is None:
        return False, "not installed: python bootstrap.py test"
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own arguments
    return done.returncode == 0, "" if done.returncode == 0 else f"exit code {done.returncode}"


def run_step(step: Step) -> Outcome:
    """Run one check and time it."""
    print(f"== {step.name}", flush=True)
    begun = time.perf_counter()
    passed, note = step.check()
    return Outcome(step.name, passed, note, time.perf_counter() - begun)


def main(arguments: list[str]) -> int:
    """Run the checks and print the table."""
    parser = argparse.ArgumentParser(description="Check the whole project.")
    parser.add_argument("--quick", action="store_true", help="leave types and tests out")
    parser.add_argument("--only", metavar="NAME", help="run this check alone")
    parser.add_argument("pytest", nargs="*", metavar="-- ARGUMENTS", help="passed to pytest")
    given = parser.parse_args(arguments)
    every = list(steps(given.pytest))
    chosen = [
        step
        for step in every
        if given.only == step.name or (given.only is None and not (given.quick and step.slow))
    ]
    if not chosen:
        parser.error(f"no check {given.only!r}; there are {', '.join(step.name for step in every)}")
    outcomes = [run_step(step) for step in chosen]
    print()
    for each in outcomes:
        verdict = "ok    " if each.passed else "FAILED"
        print(f"{each.name:<10} {verdict} {each.seconds:6.1f} s  {each.note}".rstrip())
    return 0 if all(each.passed for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
