"""After every test: no planted secret in any file it left or any word it caused (INV-12)."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from support.canaries import leaks_in, leaks_under


@pytest.fixture(autouse=True)
def _no_secret_in_any_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """`shows_secrets` marks a test that plants them in a file of its own."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    if isinstance(folder, Path) and request.node.get_closest_marker("shows_secrets") is None:
        assert leaks_under(folder) == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was said on the way."""
    report = yield
    words = [text for title, text in report.sections if title.endswith(report.when or "")]
    marked = item.get_closest_marker("shows_secrets") is not None
    if report.passed and not marked and leaks_in("".join(words)):
        report.outcome = "failed"
        report.longrepr = f"a planted secret was printed or logged ({report.when})"
    return report
