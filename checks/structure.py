"""All structure checks by name (upkeep floor)."""

from collections.abc import Callable, Iterator
from pathlib import Path

from checks import floors, layout, names, tidy, venue
from checks.source import Project, Violation, load

Check = Callable[[Project], Iterator[Violation]]
CHECKS: dict[str, Check] = {
    "layout": layout.violations,
    "floors": floors.violations,
    "names": names.violations,
    "venue": venue.violations,
    "tidy": tidy.violations,
}


def violations(root: Path) -> dict[str, list[Violation]]:
    """Violations of the project under `root` by check, sorted by place."""
    project = load(root)
    return {name: sorted(set(check(project))) for name, check in CHECKS.items()}
