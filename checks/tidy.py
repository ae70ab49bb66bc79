"""Small and explained (upkeep floor): sizes, docstrings, reasons for every silenced check."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from checks.source import Module, Project, Violation

SILENCERS = (
    (
        re.compile(r"#\s*noqa\b(?P<codes>:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?(?P<reason>.*)"),
        "# noqa: CODE - reason",
    ),
    (
        re.compile(r"#\s*type:\s*ignore(?P<codes>\[[\w\-, ]+\])?(?P<reason>.*)"),
        "# type: ignore[code]  # reason",
    ),
)
"""(comment that silences a check, how it should look)"""
SILENCING_TAIL = re.compile(r"\s+#\s*(?:noqa|type:\s*ignore).*$")
"""It must stand on the line it belongs to, so it does not count toward the width."""


def violations(project: Project) -> Iterator[Violation]:
    sizes = project.table["sizes"]
    for module in project.modules:
        lines = module.text.splitlines()
        if len(lines) > sizes["file_lines"]:
            text = f"{len(lines)} lines, {sizes['file_lines']} allowed"
            yield Violation(module.path, 0, "file-size", text)
        if lines and not ast.get_docstring(module.tree):
            yield Violation(module.path, 1, "docstring", "the module has no docstring")
        for number, line in enumerate(lines, 1):
            width = len(SILENCING_TAIL.sub("", line))
            if width > sizes["columns"]:
                text = f"{width} columns, {sizes['columns']} allowed"
                yield Violation(module.path, number, "columns", text)
        yield from _long_functions(module, sizes["function_lines"])
        yield from _unexplained(module)


def _long_functions(module: Module, allowed: int) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > allowed:
                text = f"{node.name}() has {count} lines, {allowed} allowed"
                yield Violation(module.path, node.lineno, "function-size", text)


def _unexplained(module: Module) -> Iterator[Violation]:
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type != tokenize.COMMENT:
            continue
        for pattern, example in SILENCERS:
            found = pattern.search(token.string)
            if found and not (found["codes"] and re.search(r"\w{3}", found["reason"])):
                text = f"a silenced check names its code and its reason: {example}"
                yield Violation(module.path, token.start[0], "unexplained", text)
