"""Nothing may reach the coin-margined book (upkeep floor): not in code, not in a sample file."""

import ast
from collections.abc import Iterator

from checks.source import Module, Project, Violation, covered


def violations(project: Project) -> Iterator[Violation]:
    rule = project.table["coin_margined"]
    for module in project.sources:
        if not covered(module.name, rule["only"]):
            for text, line in _words(module):
                if _names_it(text, rule["words"]):
                    yield Violation(module.path, line, "coin-margined", f"{text!r}: {rule['why']}")
    for name in rule["files"]:
        path = project.root / name
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for number, text in enumerate(lines, 1):
            if _names_it(text, rule["words"]):
                yield Violation(name, number, "coin-margined", rule["why"])


def _names_it(text: str, words: list[str]) -> bool:
    return any(word in text.lower() for word in words)


def _words(module: Module) -> Iterator[tuple[str, int]]:
    """Text and attribute names of the program; docstrings may talk about it."""
    prose = _docstrings(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            yield node.value, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno


def _docstrings(tree: ast.Module) -> set[ast.expr]:
    return {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
