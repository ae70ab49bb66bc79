"""Measure this checkout on this machine: `python tools/benchmark.py` (floor 8).

Prints a table, or JSON with `--json`. Nothing leaves the machine. Exit codes: 0 measured, 1 a
section could not be measured (the others are printed), 2 wrong usage. docs/BENCHMARKS.md tells what
each section measures and what was found where.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# Run as a file (python tools/benchmark.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.benchmarks import (
    absorb,
    confirm,
    decide,
    evaluate,
    event,
    exchange,
    history,
    phone,
    protect,
    reconcile,
    remember,
    rest,
    start,
)
from tools.benchmarks.figures import Effort, Section, SectionFailed
from tools.benchmarks.machine import machine
from tools.benchmarks.render import as_json, as_text

MEASURED, FAILED = 0, 1
Measure = Callable[[Effort], Section]
SECTIONS: dict[str, tuple[str, Measure]] = {
    module.NAME: (module.TITLE, module.measure)
    for module in (
        start,
        event,
        rest,
        evaluate,
        decide,
        absorb,
        history,
        protect,
        confirm,
        reconcile,
        remember,
        exchange,
        phone,
    )
}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmark", description="Measure this checkout on this machine."
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--section",
        nargs="+",
        choices=sorted(SECTIONS),
        default=list(SECTIONS),
        metavar="NAME",
        help=f"only these: {', '.join(SECTIONS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few repetitions: everything runs, numbers wobble"
    )
    return parser.parse_args(argv)


def run_section(name: str, effort: Effort, sections: dict[str, tuple[str, Measure]]) -> Section:
    """The section's result; what it cannot measure becomes its `failure`."""
    title, measure = sections[name]
    try:
        return measure(effort)
    except SectionFailed as error:
        return Section(name, title, failure=str(error))


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    found = []
    for name in args.section:
        print(f"benchmark: {name} ...", file=sys.stderr, flush=True)
        found.append(run_section(name, Effort(quick=args.quick), SECTIONS))
    print(as_json(machine(), found) if args.json else as_text(machine(), found))
    return FAILED if any(section.failure for section in found) else MEASURED


if __name__ == "__main__":
    sys.exit(main())
