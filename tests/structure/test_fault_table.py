"""The table of faults names tests that exist, and has a row for every fault."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "reference" / "faults.md"
WITHOUT_TEST = "not injected here: "
IDS = [f"F{number:02d}" for number in range(1, 47)]


@cache
def rows() -> list[list[str]]:
    """Cells of every row that begins with a fault's id, in order."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if re.match(r"\| F\d+ \|", line)
    ]


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, found))


def test_every_fault_has_one_row_in_order() -> None:
    assert [row[0] for row in rows()] == IDS


@pytest.mark.parametrize("number", range(len(IDS)), ids=IDS)
def test_every_row_is_complete_and_its_tests_exist(number: int) -> None:
    _, injected, holds, proof = rows()[number]
    assert injected
    assert holds
    if proof.startswith(WITHOUT_TEST):
        assert len(proof) > len(WITHOUT_TEST)
        return
    names = re.findall(r"`([^`]+)`", proof)
    assert names
    for name in names:
        file, _, test = name.partition("::")
        path = ROOT / file
        assert path.is_file(), f"{file} does not exist"
        assert test.startswith("test_")
        assert test in functions_of(path), f"{name} does not exist"
