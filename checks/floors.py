"""Who imports whom (upkeep floor): floors, cycles, hidden imports, restricted libraries."""

import ast
import sys
from collections.abc import Iterator

from checks.source import Module, Project, Violation, covered


def violations(project: Project) -> Iterator[Violation]:
    yield from _floors(project)
    yield from _cycles(project)
    for module in project.sources:
        yield from _hidden(module)
        yield from _restricted(project, module)


def _place(project: Project, name: str) -> tuple[int, str] | None:
    """Floor and group of a module, by the longest pattern that covers it."""
    best: tuple[int, int, str] | None = None
    for floor in project.table["floor"]:
        for pattern in floor["modules"]:
            if covered(name, [pattern]) and (pattern != "core" or name == "core"):
                found = (len(pattern), floor["level"], floor["group"])
                best = max(best, found) if best else found
    return None if best is None else (best[1], best[2])


def _targets(project: Project, module: Module) -> Iterator[tuple[str, int]]:
    """Project modules that `module` imports, with the line."""
    for each in module.imports:
        if each.target in project.by_name:
            yield each.target, each.line
        elif each.name in project.by_name:
            yield each.name, each.line


def _floors(project: Project) -> Iterator[Violation]:
    for module in project.sources:
        place = _place(project, module.name)
        if place is None:
            yield Violation(module.path, 0, "floor", f"{module.name} is not in floors.toml")
            continue
        for target, line in _targets(project, module):
            other = _place(project, target)
            if other is None or other[0] < place[0] or other == place:
                continue
            relation = "a sister" if other[0] == place[0] else "above it"
            yield Violation(
                module.path,
                line,
                "floor",
                f"{module.name} (floor {place[0]} {place[1]}) imports {target}"
                f" (floor {other[0]} {other[1]}), {relation}",
            )
        for each in module.imports:
            if each.name.partition(".")[0] == "tests":
                yield Violation(module.path, each.line, "floor", "program code imports tests")


def _cycles(project: Project) -> Iterator[Violation]:
    graph = {
        module.name: sorted({target for target, _ in _targets(project, module)} - {module.name})
        for module in project.sources
    }
    for component in _strongly_connected(graph):
        names = sorted(component)
        path = project.by_name[names[0]].path
        yield Violation(path, 0, "cycle", f"modules import each other: {', '.join(names)}")


def _strongly_connected(graph: dict[str, list[str]]) -> Iterator[list[str]]:
    """Components of two or more nodes (Tarjan's algorithm, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for root, successors in graph.items():
        if root in index:
            continue
        work = [(root, iter(successors))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            node, edges = work[-1]
            for target in edges:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    work.append((target, iter(graph[target])))
                    break
                if target in stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    component = stack[at:]
                    del stack[at:]
                    if len(component) > 1:
                        yield component


def _hidden(module: Module) -> Iterator[Violation]:
    """Imports that hide from the reader: inside functions, or only for the type checker."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    yield Violation(
                        module.path, inner.lineno, "lazy-import", f"import inside {node.name}()"
                    )
        elif isinstance(node, ast.Name | ast.Attribute) and (
            module.origin(node) == "typing.TYPE_CHECKING"
        ):
            yield Violation(
                module.path, node.lineno, "type-checking", "TYPE_CHECKING hides an import"
            )


def _restricted(project: Project, module: Module) -> Iterator[Violation]:
    for each in module.imports:
        for rule in project.table["restricted"]:
            if not covered(each.target, rule["names"]):
                continue
            allowed = (
                covered(module.name, rule["only"])
                if "only" in rule
                else not covered(module.name, rule["not_in"])
            )
            if not allowed:
                text = f"{module.name} imports {each.target}: {rule['why']}"
                yield Violation(module.path, each.line, "restricted-import", text)
        only_standard = project.table["standard_library_only"]
        first = each.name.partition(".")[0]
        if (
            covered(module.name, only_standard["modules"])
            and first not in sys.stdlib_module_names
            and not covered(each.name, only_standard["modules"])
        ):
            text = f"{module.name} imports {first}: {only_standard['why']}"
            yield Violation(module.path, each.line, "restricted-import", text)
