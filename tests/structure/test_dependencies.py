"""Requirements: pinned, hashed, explained, used, and in step with each other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.]+)(?P<marker>\s*;.*)?$")
IMPORT_NAMES = {
    "python-dotenv": "dotenv",
    "python-telegram-bot": "telegram",
    "ta-lib": "talib",
    "pytest-asyncio": "pytest_asyncio",
}
NOT_IMPORTED = {"mypy", "ruff", "pytest-asyncio", "pytest-xdist"}  # run as programs or as a plug-in


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct(file: str) -> dict[str, str]:
    pins = {}
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "-r ")):
            found = PIN.match(line)
            assert found, f"{file}: {line!r} is not pinned as name==version"
            pins[canonical(found["name"])] = found["version"]
    return pins


def locked(file: str) -> dict[str, tuple[str, int]]:
    """name -> (version, number of hashes)"""
    text = (ROOT / file).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = "\n".join(lines).replace("\\\n", " ").splitlines()
    pins = {}
    for line in filter(str.strip, logical):
        found = re.match(r"^(?P<name>[\w.-]+)==(?P<version>[\w.]+)", line)
        assert found, f"{file}: unexpected line {line[:80]!r}"
        pins[canonical(found["name"])] = (found["version"], line.count("--hash=sha256:"))
    return pins


def imported_names() -> set[str]:
    names = set()
    for folder in ("core", "strategies", "telegram", "tools", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.partition(".")[0])
    return names


CLIENTS = [f"tests/clients/requirements-{name}" for name in ("clients", "freqtrade", "nautilus")]
LOCKS = ["requirements.txt", "requirements-dev.txt", *(f"{name}.txt" for name in CLIENTS)]


@pytest.mark.parametrize("file", LOCKS)
def test_every_locked_package_has_hashes_and_no_host_is_named(file: str) -> None:
    pins = locked(file)
    assert len(pins) > 5
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.findall(r"--(?:extra-)?index-url|--find-links|https?://|file:", text) == []


def test_direct_pins_are_what_is_locked() -> None:
    for source, lock in (
        ("requirements.in", "requirements.txt"),
        ("requirements.in", "requirements-dev.txt"),
        ("requirements-dev.in", "requirements-dev.txt"),
        *((f"{name}.in", f"{name}.txt") for name in CLIENTS),
    ):
        pins = locked(lock)
        assert {name: pins[name][0] for name in direct(source)} == direct(source)


def test_development_installs_the_same_runtime() -> None:
    development = locked("requirements-dev.txt")
    assert {name: development.get(name) for name in locked("requirements.txt")} == locked(
        "requirements.txt"
    )


def test_every_direct_dependency_is_explained_and_nothing_else() -> None:
    text = (ROOT / "docs" / "DEPENDENCIES.md").read_text(encoding="utf-8")
    explained = [canonical(name) for name in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)]
    assert sorted(explained) == sorted(direct("requirements.in") | direct("requirements-dev.in"))


def test_no_direct_dependency_is_unused() -> None:
    names = imported_names()
    unused = [
        name
        for name in direct("requirements.in") | direct("requirements-dev.in")
        if name not in NOT_IMPORTED and IMPORT_NAMES.get(name, name.replace("-", "_")) not in names
    ]
    assert unused == []
