"""The project itself keeps the house rules."""

from pathlib import Path

import pytest

from checks.structure import CHECKS, violations

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def broken() -> dict[str, list[str]]:
    return {check: [str(each) for each in group] for check, group in violations(ROOT).items()}


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_no_violation(broken: dict[str, list[str]], check: str) -> None:
    assert not broken[check], "\n".join(broken[check])
