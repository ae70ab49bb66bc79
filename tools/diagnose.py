"""A bundle for a bug report, without secrets: `python -m tools.diagnose` (floor 8; INV-12).

One zip file: build and system, effective settings (masked), newest log lines, newest events and
decisions, the audit log's verdict and its newest records, names and sizes of the state files. The
redactor passes everything once more. Nothing is sent anywhere.

Exit codes: 0 written, 2 wrong usage, configuration or the file cannot be written.
"""

import asyncio
import json
import os
import platform
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path

# Run as a file (python tools/diagnose.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig, render_effective
from core.domain.errors import StorageError
from core.kernel.build_info import VERSION, commit, python_version
from core.kernel.clock import LiveClock
from core.kernel.durable_file import replace_file
from core.storage.audit_verify import find_segments, verify
from core.storage.database import open_reader
from core.storage.queries import decisions, events
from tools.common.cli import Output, finish, load_config, parser
from tools.common.daemon import running_daemon
from tools.common.exits import ToolExit
from tools.common.holdings import database_path

NAME = "diagnose"
_EXITS = "0 written, 2 usage, configuration or file"
_LOG_BYTES = 512 * 1024
_RECORDS = 300
_END_MS = 1 << 53
_STAMP = (2020, 1, 1, 0, 0, 0)
"""Time in the archive's table; the real one stands in the file's name."""


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(NAME, "Gather what a bug report needs, redacted, into one file.", _EXITS)
    made.add_argument("--output", type=Path, metavar="FILE", help="default: diagnose-TIME.zip")
    options = made.parse_args(argv)

    def work() -> int:
        config = load_config(options)
        output = Output(as_json=options.json, config=config)
        path = options.output or Path(f"diagnose-{LiveClock().now_ms() // 1_000}.zip")
        parts = _parts(config)
        clean = {name: output.redactor.redact_text(text) for name, text in parts.items()}
        replace_file(path, _packed(clean))
        sizes = {name: len(text) for name, text in clean.items()}
        listing = "\n".join(f"  {name:<14} {size:>8} characters" for name, size in sizes.items())
        done = f"{path}\n{listing}\nRead it before you send it; secrets are replaced by marks."
        output.result({"file": str(path), "parts": dict(sizes)}, done)
        return ToolExit.OK

    return finish(NAME, work)


def _parts(config: TradingConfig) -> dict[str, str]:
    return {
        "system.txt": _system(config),
        "settings.txt": render_effective(config),
        "files.txt": _files(config),
        "log.txt": _log(config.logs_dir),
        "database.json": asyncio.run(_database(database_path(config))),
        "audit.txt": _audit(config.logs_dir / "audit.jsonl"),
    }


def _packed(parts: dict[str, str]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, _STAMP)
            info.external_attr = 0o600 << 16
            archive.writestr(info, text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _system(config: TradingConfig) -> str:
    packages = sorted({f"{each.name}=={each.version}" for each in distributions()})
    lines = [
        f"build: USDC Futures Bot {VERSION} ({commit()})",
        f"python: {python_version()} on {platform.platform()}, {os.cpu_count()} processors",
        f"daemon: {running_daemon(config) or 'not running'}",
        *(f"warning: {line}" for line in config.warnings),
        "",
        *packages,
    ]
    return "\n".join(lines)


def _files(config: TradingConfig) -> str:
    """Names and sizes only: state files hold addresses and keys of the paper exchange."""
    lines = []
    for folder in (config.data_dir, config.logs_dir):
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file():
                status = path.stat()
                lines.append(f"{status.st_mode & 0o777:o} {status.st_size:>12} {path}")
    return "\n".join(lines)


def _log(folder: Path) -> str:
    files = sorted(folder.glob("bot_*.log"))
    return _tail(files[-1]) if files else "no log yet"


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _LOG_BYTES, 0))
        return file.read().decode("utf-8", "replace")


async def _database(path: Path) -> str:
    try:
        database = await open_reader(path)
    except StorageError as error:
        return json.dumps({"problem": str(error)})
    try:
        told = await events(database, 0, _END_MS, limit=_RECORDS)
        decided = await decisions(database, 0, _END_MS, limit=_RECORDS)
    except StorageError as error:
        return json.dumps({"problem": str(error)})
    finally:
        await database.close()
    rows = {
        "events": [[row.at_ms, row.kind, row.symbol, row.detail] for row in told],
        "decisions": [
            [row.at_ms, row.symbol, row.verdict, row.gate, row.why, row.detail] for row in decided
        ],
    }
    return json.dumps(rows, ensure_ascii=False, indent=1)


def _audit(path: Path) -> str:
    if not path.is_file():
        return "no audit log yet"
    files, whole = find_segments([path])
    verdict = verify(files, whole=whole)
    newest = _tail(path).splitlines()[-_RECORDS:]
    return "\n".join([f"{verdict}", "", *newest])


if __name__ == "__main__":
    sys.exit(main())
