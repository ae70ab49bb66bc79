"""The reference of the tools, made from what they say of themselves (floor 8).

`python -m tools.tools_reference --write` renews `docs/reference/tools.md`. Exit codes: 0 printed,
written or in step, 1 with `--check` when the document is out of step, 2 wrong usage.
"""

import argparse
import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Run as a file (python tools/tools_reference.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = Path("docs/reference/tools.md")
_COMMAND = re.compile(r":? ?`python [^`]*`:? ?")
_FLOOR = re.compile(r" ?\(floor 8[^)]*\)(; )?")
_EXITS = re.compile(r"Exit codes?:? (?P<codes>\d .*?)(?:\.(?: |$)|$)")
_NEXT = re.compile(r", (?=[0-9] )")

_HEAD = """\
# Tools

Made by `python -m tools.tools_reference --write` from the tools themselves; do not edit.

Each runs as a module, such as `python -m tools.quick_check`, and as a file, such as
`python tools/quick_check.py`, and has `--help`. Those that read the configuration take
`--env-file`, `--data-dir` and `--logs-dir` as `main.py` does; those that report have `--json`. No
tool prints a secret. A failure is one line on standard error and an exit code; on the operators'
tools 2 is always wrong usage, configuration or file, 3 an account or key that cannot trade, 4 a
daemon that holds the data folder, 5 an exchange that could not be read.

| tool | what it does | exit codes |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """What the docstring of a tool says: purpose, and code with meaning in order."""

    name: str
    purpose: str
    exits: tuple[tuple[str, str], ...]


def read_tools(root: Path) -> list[Tool]:
    """Every command in `tools/`, by name."""
    return [_read(path) for path in sorted((root / "tools").glob("[a-z]*.py"))]


def _read(path: Path) -> Tool:
    told = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first, _, _ = told.partition("\n\n")
    purpose = _FLOOR.sub("", _COMMAND.sub(" ", " ".join(first.split())))
    purpose = " ".join(purpose.split()).rstrip(".").replace(" ;", ";")
    found = _EXITS.search(" ".join(told.split()))
    codes = _NEXT.split(found["codes"]) if found else []
    pairs = [(code, words) for code, _, words in (each.partition(" ") for each in codes)]
    return Tool(path.stem, purpose[0].upper() + purpose[1:], tuple(pairs))


def reference(root: Path = ROOT) -> str:
    rows = []
    for tool in read_tools(root):
        exits = "<br>".join(f"**{code}** {words}" for code, words in tool.exits)
        cells = (f"`{tool.name}`", tool.purpose, exits or "as its `--help` says")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return _HEAD + "".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools_reference", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="renew the document")
    choice.add_argument("--check", action="store_true", help="exit 1 when it is out of step")
    options = parser.parse_args(arguments)
    path = ROOT / DOCUMENT
    if options.check:
        if path.is_file() and path.read_text("utf-8") == reference():
            return 0
        print(f"{DOCUMENT}: out of step, run python -m tools.tools_reference --write")
        return 1
    if options.write:
        path.write_text(reference(), "utf-8")
        return 0
    print(reference(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
