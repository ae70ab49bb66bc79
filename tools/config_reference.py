"""Documents made from the configuration's own metadata (floor 8).

`python -m tools.config_reference` prints the reference, `--env-example` the example file,
`--write` renews both in the project, `--check` exits 1 when one of them is out of step.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

# Run as a file (python tools/config_reference.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.kernel.config_meta import FILE_SUFFIX, SettingInfo
from core.kernel.config_model import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = Path("docs/reference/configuration.md")
ENV_EXAMPLE = Path(".env.example")

_REFERENCE_HEAD = """\
# Configuration

Made by `python -m tools.config_reference --write` from the settings themselves; do not edit.

Sources, strongest first: command line, runtime overrides (`data/runtime_config.json`, only the
settings marked *run time*), process environment, `.env`, the tier's defaults, defaults. An empty
value counts as not given. Values are taken as written: `${NAME}` is not expanded.

All `_PCT` settings are fractions: 0.0075 means 0.75 %. Windows of hours and all times are UTC.
Secrets may come from files: `KEY_FILE` names the file that holds the value of `KEY`.

An unknown key in `.env` is an error; variables of other programs in the process environment are
left alone. `python main.py --explain KEY` shows a value with its origin, and no secret.
"""

_ENV_HEAD = """\
# Copy to .env and change what you need: every line shows its default, an empty one is not given.
# Everything here is optional. Without keys the daemon trades on paper.
# Fractions: 0.0075 means 0.75 %. Times are UTC. Secrets may come from files as KEY_FILE=/path.
# python main.py --explain KEY tells where a value comes from. Protect it: chmod 600 .env
"""


def reference() -> str:
    """The reference as Markdown, one table per group."""
    parts = [_REFERENCE_HEAD]
    for title, infos in groupby(CATALOGUE, lambda info: info.group):
        parts += [f"\n## {title}\n\n", "| key | default | allowed | meaning |\n|---|---|---|---|\n"]
        parts += [_row(info) for info in infos]
    return "".join(parts)


def _row(info: SettingInfo) -> str:
    names = f"`{info.key}`"
    if info.aliases:
        names += " (" + ", ".join(f"`{alias}`" for alias in info.aliases) + ")"
    if info.secret:
        names += f" · `{info.key}{FILE_SUFFIX}`"
    meaning = info.meaning + (" · *run time*" if info.runtime else "")
    cells = [names, info.default_text, info.bounds_text, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def env_example() -> str:
    """`.env.example`: every setting with its default, ready to be copied."""
    parts = [_ENV_HEAD]
    for title, infos in groupby(CATALOGUE, lambda info: info.group):
        parts.append(f"\n# --- {title} ---\n")
        parts += [_lines(info) for info in infos]
    return "".join(parts)


def _lines(info: SettingInfo) -> str:
    notes = [info.meaning, f"allowed: {info.bounds_text}"]
    value = info.text(info.default)
    if not value:
        notes.append(f"default: {info.default_text}")
    return f"\n# {' | '.join(notes)}\n{info.key}={value}\n"


DOCUMENTS = {REFERENCE: reference, ENV_EXAMPLE: env_example}


def outdated(root: Path) -> list[Path]:
    """Documents under `root` that differ from what the settings say."""
    return [
        path
        for path, render in DOCUMENTS.items()
        if not (root / path).is_file() or (root / path).read_text("utf-8") != render()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="config_reference", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--env-example", action="store_true", help="print .env.example")
    choice.add_argument("--write", action="store_true", help="renew both documents")
    choice.add_argument("--check", action="store_true", help="exit 1 when one is out of step")
    options = parser.parse_args(arguments)
    if options.check:
        stale = outdated(ROOT)
        for path in stale:
            print(f"{path}: out of step, run python -m tools.config_reference --write")
        return 1 if stale else 0
    if options.write:
        for path, render in DOCUMENTS.items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(render(), "utf-8")
        return 0
    print(env_example() if options.env_example else reference(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
