"""Names that only one place may use (upkeep floor): clock, chance, tasks, approval, errors."""

import ast
from collections.abc import Iterator
from typing import Any

from checks.source import Module, Project, Violation, covered

EVERYTHING = {"Exception", "BaseException"}


def violations(project: Project) -> Iterator[Violation]:
    for module in project.modules:
        for rule in project.table["rule"]:
            if _applies(project, module, rule):
                yield from _broken(module, rule)
        yield from _swallowed(module)


def _applies(project: Project, module: Module, rule: dict[str, Any]) -> bool:
    if not module.is_test:
        return not covered(module.name, rule["only"])
    return rule.get("tests", False) and not any(
        module.path == path or module.path.startswith(f"{path}/")
        for path in project.table["tests_with_time"]
    )


def _broken(module: Module, rule: dict[str, Any]) -> Iterator[Violation]:
    for name, line in sorted(set(_uses(module, rule))):
        yield Violation(module.path, line, rule["id"], f"{name}: {rule['why']}")


def _uses(module: Module, rule: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Uses of what the rule reserves: imported from, referred to, called."""
    names = rule.get("names", [])
    for each in module.imports:
        # `import time` is no use yet when only some of its names are reserved; `from` is one
        if covered(each.target, names):
            yield each.target, each.line
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            origin = module.origin(node)
            if covered(origin, names) and not (module.is_test and _is_yield(module, node)):
                yield _pattern_of(origin, names), node.lineno
        elif isinstance(node, ast.Call):
            origin = module.origin(node.func)
            if origin and origin in rule.get("calls", []):
                yield origin, node.lineno
            if isinstance(node.func, ast.Attribute) and node.func.attr in rule.get("methods", []):
                keyword = rule.get("with_keyword")
                if keyword is None or any(each.arg == keyword for each in node.keywords):
                    yield f".{node.func.attr}()", node.lineno


def _pattern_of(origin: str, names: list[str]) -> str:
    return origin if origin in names else ".".join(origin.split(".")[:2])


def _is_yield(module: Module, node: ast.Attribute) -> bool:
    """`asyncio.sleep(0)` in a test lets others run; it does not wait."""
    return node in _zero_sleeps(module)


def _zero_sleeps(module: Module) -> set[ast.expr]:
    return {
        call.func
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call)
        and module.origin(call.func) == "asyncio.sleep"
        and [getattr(argument, "value", None) for argument in call.args] == [0]
    }


def _swallowed(module: Module) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield Violation(module.path, node.lineno, "swallow", "bare except")
            elif _catches_everything(node.type) and all(map(_does_nothing, node.body)):
                yield Violation(module.path, node.lineno, "swallow", "every error is swallowed")
        elif (
            isinstance(node, ast.Call)
            and module.origin(node.func) == "contextlib.suppress"
            and any(map(_catches_everything, node.args))
        ):
            yield Violation(module.path, node.lineno, "swallow", "suppress() of every error")


def _catches_everything(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(map(_catches_everything, node.elts))
    return isinstance(node, ast.Name) and node.id in EVERYTHING


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
