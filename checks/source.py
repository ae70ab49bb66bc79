"""The project's Python files, parsed once for every check (upkeep floor)."""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One broken rule; `line` counts from 1, 0 means the file as a whole."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class Import:
    """`import name` or `from name import item`; `target` is the longest dotted form."""

    name: str
    item: str
    line: int

    @property
    def target(self) -> str:
        return f"{self.name}.{self.item}" if self.item else self.name


@dataclass(frozen=True)
class Module:
    """One parsed file. `name` is what it is imported as (`tgbot.commands`, not `telegram.…`)."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/")

    @property
    def is_package(self) -> bool:
        return self.path.endswith("/__init__.py")

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import of the file at any depth, relative ones made absolute."""
        return tuple(self._imports())

    def _imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, "", node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    yield Import(base, alias.name, node.lineno)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        keep = len(parts) - node.level + (1 if self.is_package else 0)
        return ".".join([*parts[:keep], *([node.module] if node.module else [])])

    @cached_property
    def _origins(self) -> dict[str, str]:
        """Local name -> dotted origin, from the imports."""
        origins: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        origins[alias.asname] = alias.name
                    else:
                        first = alias.name.partition(".")[0]
                        origins[first] = first
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    origins[alias.asname or alias.name] = f"{base}.{alias.name}"
        return origins

    def origin(self, node: ast.expr) -> str:
        """Dotted origin of a name or attribute chain; "" when it does not start at an import."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._origins:
            return ""
        return ".".join([self._origins[node.id], *reversed(attributes)])


@dataclass(frozen=True)
class Project:
    """The tree under `root` and its `floors.toml`."""

    root: Path
    table: dict[str, Any]
    modules: tuple[Module, ...]
    broken: tuple[Violation, ...]

    @cached_property
    def by_name(self) -> dict[str, Module]:
        return {module.name: module for module in self.modules}

    @property
    def sources(self) -> Iterator[Module]:
        """Everything but tests."""
        return (module for module in self.modules if not module.is_test)


def load(root: Path) -> Project:
    """Read and parse the project. A file that does not parse becomes a violation."""
    table = tomllib.loads((root / "floors.toml").read_text(encoding="utf-8"))
    modules: list[Module] = []
    broken: list[Violation] = []
    for path in _python_files(root, table["layout"]["source_roots"]):
        relative = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        try:
            tree = ast.parse(text, filename=relative)
        except SyntaxError as error:
            broken.append(Violation(relative, error.lineno or 0, "syntax", error.msg))
        else:
            modules.append(Module(relative, module_name(relative), text, tree))
    return Project(root, table, tuple(modules), tuple(broken))


def _python_files(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    yield from sorted(root.glob("*.py"))
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


def module_name(relative: str) -> str:
    """`core/oms/sender.py` -> `core.oms.sender`; `telegram/` is a source root, not a package."""
    parts = relative.removesuffix(".py").split("/")
    if parts[0] == "telegram" and len(parts) > 1:
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def covered(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern is `name` itself or a package above it."""
    return any(name == pattern or name.startswith(f"{pattern}.") for pattern in patterns)
