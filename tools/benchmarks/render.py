"""Report as an aligned table or as JSON (floor 8)."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tools.benchmarks.figures import Row, Section

_HEAD = ("", "median", "p90", "p99", "rounds", "n", "goal", "ratios")
_NONE = "-"


def as_json(machine: dict[str, str], sections: Sequence[Section]) -> str:
    """One object: `machine` and `sections`, numbers unrounded."""
    report = {"machine": machine, "sections": [asdict(section) for section in sections]}
    return json.dumps(report, indent=2, ensure_ascii=False)


def as_text(machine: dict[str, str], sections: Sequence[Section]) -> str:
    width = max(len(name) for name in machine)
    parts = ["\n".join(f"{name:<{width}}  {value}" for name, value in machine.items())]
    parts += [_section(section) for section in sections]
    return "\n\n".join(parts)


def number(value: float | None) -> str:
    """Three digits that matter, never an exponent."""
    if value is None:
        return _NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _section(section: Section) -> str:
    lines = [f"{section.name}: {section.title}"]
    if section.failure:
        lines.append(f"  NOT MEASURED: {section.failure}")
    elif section.rows:
        lines += _table([_HEAD, *(_cells(row) for row in section.rows)])
    lines += [f"  {note}" for note in section.notes]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    rounds = _NONE if row.rounds is None else f"{number(row.rounds[0])}..{number(row.rounds[1])}"
    return (
        f"{row.name} [{row.unit}]",
        number(row.median),
        number(row.p90),
        number(row.p99),
        rounds,
        f"{row.samples:,}",
        _NONE if row.goal is None else f"<= {number(row.goal)}",
        ", ".join(f"{number(ratio)} x {name}" for name, ratio in row.ratios) or _NONE,
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """First and last column to the left, numbers to the right."""
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(_HEAD))]
    last = len(_HEAD) - 1
    return [
        "  "
        + "  ".join(
            f"{cell:<{width}}" if column in (0, last) else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in rows
    ]
