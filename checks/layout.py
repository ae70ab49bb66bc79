"""Files where they belong (upkeep floor): required ones, tests, the `telegram/` source root."""

import sys
from collections import defaultdict
from collections.abc import Iterator

from checks.source import Project, Violation


def violations(project: Project) -> Iterator[Violation]:
    yield from project.broken
    for path in project.table["layout"]["required"]:
        if not (project.root / path).is_file():
            yield Violation(path, 0, "required", "the file is missing")
    yield from _stray_tests(project)
    yield from _import_roots(project)


def _stray_tests(project: Project) -> Iterator[Violation]:
    seen: dict[str, list[str]] = defaultdict(list)
    for module in project.modules:
        name = module.path.rpartition("/")[2]
        is_test = name.startswith("test_") or name.endswith("_test.py")
        if is_test and not module.is_test:
            yield Violation(module.path, 0, "stray-test", "tests live under tests/")
        if module.is_test:
            if name == "__init__.py":
                text = "test folders are no packages: file names are unique instead"
                yield Violation(module.path, 0, "stray-test", text)
            elif name != "conftest.py":
                seen[name].append(module.path)
    for paths in seen.values():
        for path in paths[1:]:
            text = f"the same file name as {paths[0]}"
            yield Violation(path, 0, "stray-test", text)


def _import_roots(project: Project) -> Iterator[Violation]:
    """`telegram/` must stay a bare folder or it would hide the library of that import name."""
    for module in project.modules:
        parts = module.path.split("/")
        if parts[0] == "telegram" and len(parts) == 2:
            text = "telegram/ holds no Python file of its own: it would hide the library"
            yield Violation(module.path, 0, "import-root", text)
        on_path = parts[1] if parts[0] in {"tools", "telegram"} and len(parts) > 1 else parts[0]
        if on_path.removesuffix(".py") in sys.stdlib_module_names:
            text = "a module of this name would hide one of the standard library"
            yield Violation(module.path, 0, "import-root", text)
