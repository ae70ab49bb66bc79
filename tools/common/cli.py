"""Arguments, output and ends of every tool (floor 8; INV-12).

Each tool prints one result: a table for people, or one JSON object with `--json`. Everything passes
the redactor; a failure is one line on standard error and an exit code of `ToolExit`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from core.assembly.memory import secrets_of
from core.config import TradingConfig
from core.domain.errors import (
    AccountError,
    BotError,
    ConfigError,
    CredentialsDead,
    DataError,
    InstanceLocked,
    VenueError,
)
from core.domain.money import to_wire
from core.domain.ports import JsonValue
from core.kernel.loops import live_loop_factory, run
from core.kernel.redaction import Redactor
from tools.common.exits import ToolExit

Row = Sequence[str]


def parser(name: str, description: str, exits: str) -> argparse.ArgumentParser:
    """A parser with what every tool takes; `exits` words the exit codes for the help."""
    made = argparse.ArgumentParser(
        prog=name, description=description, epilog=f"Exit codes: {exits}."
    )
    made.add_argument("--env-file", type=Path, metavar="PATH", help="settings file (.env)")
    made.add_argument("--data-dir", metavar="DIR", help="database and state")
    made.add_argument("--logs-dir", metavar="DIR", help="logs and audit")
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    return made


def load_config(args: argparse.Namespace, **fixed: str) -> TradingConfig:
    """The configuration the daemon would run with; `fixed` are settings the tool insists on.

    Raises ConfigError.
    """
    given = {"DATA_DIR": args.data_dir, "LOGS_DIR": args.logs_dir, **fixed}
    config = TradingConfig.from_env(
        env_file=args.env_file, overrides={key: value for key, value in given.items() if value}
    )
    if not config.dry_run and not config.has_keys:
        return config.with_dry_run("no API keys are configured")
    return config


class Output:
    """Prints one result without a secret in it."""

    def __init__(self, *, as_json: bool, config: TradingConfig | None = None) -> None:
        self.as_json = as_json
        self.redactor = Redactor(secrets_of(config) if config is not None else [])
        self._coloured = sys.stdout.isatty()

    def result(self, record: Mapping[str, JsonValue], text: str) -> None:
        """`record` for programs or `text` for people."""
        if self.as_json:
            clean = self.redactor.redact_value(record)
            print(json.dumps(clean, ensure_ascii=False, indent=1, default=_plain))
        else:
            print(self.redactor.redact_text(text))

    def event(self, record: Mapping[str, JsonValue], line: str) -> None:
        """One of many: a JSON object per line, or a line of text."""
        clean = self.redactor.redact_value(record)
        text = json.dumps(clean, ensure_ascii=False, default=_plain)
        print(text if self.as_json else self.redactor.redact_text(line), flush=True)

    def note(self, line: str) -> None:
        """Something said on the way; never part of the result."""
        print(self.redactor.redact_text(line), file=sys.stderr, flush=True)

    def paint(self, text: str, colour: str) -> str:
        """`text` in an ANSI colour where a terminal shows it."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and not self.as_json else text


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return to_wire(value)
    return str(value)


def table(headers: Row, rows: Iterable[Row], *, right: Sequence[int] = ()) -> str:
    """Aligned columns; the ones in `right` are numbers. Empty without rows."""
    lines = [tuple(headers), *(tuple(row) for row in rows)]
    if len(lines) == 1:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]

    def show(line: Row) -> str:
        cells = [
            f"{cell:>{width}}" if i in right else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(
        [show(lines[0]), "  ".join("─" * width for width in widths)]
        + [show(line) for line in lines[1:]]
    )


def finish(name: str, work: Callable[[], int]) -> int:
    """Exit code of `work()`; an operator's problem is one line, never a traceback."""
    try:
        return int(work())
    except ConfigError as error:
        for problem in error.problems:
            print(f"{name}: {problem}", file=sys.stderr)
        return ToolExit.USAGE
    except TimeoutError as error:
        code, line = ToolExit.UNREACHABLE, f"no answer in time {error}".rstrip()
    except (DataError, OSError) as error:
        code, line = ToolExit.USAGE, str(error)
    except InstanceLocked as error:
        code, line = ToolExit.LOCKED, str(error)
    except (AccountError, CredentialsDead) as error:
        code, line = ToolExit.ACCOUNT, str(error)
    except VenueError as error:
        code, line = ToolExit.UNREACHABLE, f"the exchange could not be read: {error}"
    except BotError as error:
        code, line = ToolExit.FINDING, str(error)
    except KeyboardInterrupt:
        code, line = ToolExit.FINDING, "interrupted"
    print(f"{name}: {line}", file=sys.stderr)
    return code


def finish_async(name: str, work: Callable[[], Coroutine[object, object, int]]) -> int:
    """As `finish`, for a coroutine on a loop of its own."""
    return finish(name, lambda: run(work(), loop_factory=live_loop_factory()))
