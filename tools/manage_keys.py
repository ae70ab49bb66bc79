"""API keys in the settings file: `python -m tools.manage_keys write|check|remove` (floor 8).

`write` asks for key and secret without showing them (or reads two lines with `--stdin`) and puts
them into `.env`, readable by its owner alone; every other line stays as it is. `check` says what is
there without showing it, with `--online` also whether the exchange takes it.

Exit codes: 0 done, or all well, 1 keys are missing or the file is readable by others, 2 wrong usage
or configuration, 3 the exchange refuses the key, 5 the exchange cannot be read.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from getpass import getpass
from pathlib import Path

# Run as a file (python tools/manage_keys.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import DEFAULT_ENV_FILE, TradingConfig
from core.domain.errors import DataError
from core.domain.money import to_wire
from core.domain.ports import JsonValue
from core.kernel.clock import LiveClock
from core.kernel.config_sources import exposure
from core.kernel.durable_file import replace_file
from tools.common.cli import Output, finish, finish_async, load_config, parser
from tools.common.exits import ToolExit
from tools.common.venue import connected

NAME = "manage_keys"
_EXITS = "0 well, 1 keys missing or file exposed, 2 usage, 3 key refused, 5 exchange unreadable"
KEY, SECRET, PEM = "BINANCE_API_KEY", "BINANCE_API_SECRET", "BINANCE_PRIVATE_KEY_PATH"
_VALUE = re.compile(r"[!-~]{8,512}")
_QUOTED = re.compile(r"[\"'#$\\]")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(NAME, "Write, check or remove the API keys of the settings file.", _EXITS)
    made.add_argument("action", choices=("write", "check", "remove"))
    made.add_argument(
        "--private-key", type=Path, metavar="PEM", help="Ed25519 key file instead of a secret"
    )
    made.add_argument("--stdin", action="store_true", help="key and secret from standard input")
    made.add_argument("--online", action="store_true", help="check with the exchange as well")
    return made.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    path = options.env_file or DEFAULT_ENV_FILE
    if options.action == "write":
        return finish(NAME, lambda: _write(path, options))
    if options.action == "remove":
        return finish(NAME, lambda: _remove(path, options))
    return finish_async(NAME, lambda: _check(path, options))


def _write(path: Path, options: argparse.Namespace) -> int:
    output = Output(as_json=options.json)
    settings = {KEY: _asked("API key", options)}
    if options.private_key is None:
        settings[SECRET] = _asked("API secret", options)
    elif options.private_key.is_file():
        settings[PEM] = str(options.private_key.absolute())
    else:
        raise DataError(f"--private-key {options.private_key}: no such file")
    kept = _other_lines(path)
    added = [f"{name}={value}" for name, value in settings.items()]
    replace_file(path, ("\n".join([*kept, *added]) + "\n").encode())
    done = f"{', '.join(settings)} written to {path}, readable by you alone"
    output.result({"written": list(settings), "file": str(path)}, done)
    return ToolExit.OK


def _remove(path: Path, options: argparse.Namespace) -> int:
    output = Output(as_json=options.json)
    kept = _other_lines(path)
    if path.is_file():
        replace_file(path, ("\n".join(kept) + "\n").encode())
    output.result({"removed": str(path)}, f"no API keys in {path} any more")
    return ToolExit.OK


def _asked(what: str, options: argparse.Namespace) -> str:
    value = (sys.stdin.readline() if options.stdin else getpass(f"{what}: ")).strip()
    if not _VALUE.fullmatch(value) or _QUOTED.search(value):
        raise DataError(f"{what}: expected 8 to 512 printable characters without quotes or spaces")
    return value


def _other_lines(path: Path) -> list[str]:
    """Lines of the file that say nothing about keys."""
    if not path.is_file():
        return []
    name = re.compile(rf"\s*(?:export\s+)?({KEY}|{SECRET}|{PEM})\s*=")
    return [line for line in path.read_text("utf-8").splitlines() if not name.match(line)]


async def _check(path: Path, options: argparse.Namespace) -> int:
    config = load_config(options)
    output = Output(as_json=options.json, config=config)
    exposed = exposure(path, has_secrets=config.has_keys)
    key = config.binance_api_key
    mark = ""
    if key is not None:
        mark = hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]
    how = "Ed25519 key file" if config.binance_private_key_path else "secret"
    record: dict[str, JsonValue] = {
        "network": "demo" if config.testnet else "production",
        "present": config.has_keys,
        "signs_with": how if config.has_keys else None,
        "private": not exposed,
    }
    lines = [
        f"network   {record['network']}",
        f"key       {f'set (hash {mark}), signs with a {how}' if config.has_keys else 'MISSING'}",
        f"file      {exposed or f'{path} is private'}",
    ]
    if options.online and config.has_keys:
        lines.append(f"exchange  {await _online(config, record)}")
    output.result(record, "\n".join(lines))
    return ToolExit.OK if config.has_keys and not exposed else ToolExit.FINDING


async def _online(config: TradingConfig, record: dict[str, JsonValue]) -> str:
    async with connected(config, LiveClock()) as client:
        preflight = await client.verify_permissions()
    record["wallet"] = to_wire(preflight.wallet)
    record["warnings"] = list(preflight.warnings)
    coin = config.resolved_quote_coin
    told = "".join(f"; {warning}" for warning in preflight.warnings)
    return f"may trade, wallet {to_wire(preflight.wallet)} {coin}{told}"


if __name__ == "__main__":
    sys.exit(main())
