"""Is everything as it should be? `python -m tools.quick_check` (floor 8).

Configuration, connection, clock, permissions, account, symbols and why any was skipped, what is
open and protected, disk, database, audit log: one screen, in at most ten seconds. Changes nothing;
`doctor` is an alias.

Exit codes: 0 all well (warnings allowed), 1 something is wrong, 2 wrong usage or configuration, 3
the account or key cannot trade, 5 the exchange cannot be read.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from shutil import disk_usage

# Run as a file (python tools/quick_check.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.assembly.build_card import build_card
from core.assembly.universe import read_candidates
from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.errors import (
    AccountError,
    ConfigError,
    CredentialsDead,
    StorageError,
    VenueError,
)
from core.domain.money import to_wire
from core.domain.ports import Clock, JsonValue
from core.exchange_client import OptimizedExchangeClient
from core.kernel.clock import LiveClock
from core.storage.audit_verify import KnownHead, find_segments, verify
from core.storage.database import open_reader
from core.storage.queries import last_checkpoint
from core.symbol_manager import SymbolManager
from tools.common.cli import Output, finish_async, load_config, parser
from tools.common.daemon import running_daemon
from tools.common.exits import ToolExit
from tools.common.holdings import database_path, read_holdings
from tools.common.venue import connected, risk_store

NAME = "quick_check"
_EXITS = "0 all well, 1 something is wrong, 2 usage, 3 account or key, 5 exchange unreadable"
_LIMIT_S = 9.5
_MIB = 1024 * 1024
_REASONS = 4


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    INFO = "info"


_MARKS = {State.OK: "✓", State.WARN: "!", State.FAIL: "✗", State.INFO: "·"}
_COLOURS = {State.OK: "32", State.WARN: "33", State.FAIL: "1;31", State.INFO: "2"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the screen; `code` is the exit code a failure asks for."""

    name: str
    state: State
    text: str
    code: ToolExit = ToolExit.FINDING


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(NAME, "One screen: is everything as it should be?", _EXITS).parse_args(argv)

    async def work() -> int:
        config, clock = load_config(options), LiveClock()
        output = Output(as_json=options.json, config=config)
        lines = [*_settings(config), *await _here(config)]
        try:
            async with asyncio.timeout(_LIMIT_S):
                lines += await _there(config, clock)
        except TimeoutError:
            late = f"no answer within {_LIMIT_S:g} s"
            lines.append(Line("exchange", State.FAIL, late, ToolExit.UNREACHABLE))
        return _show(output, lines)

    return finish_async(NAME, work)


def _settings(config: TradingConfig) -> list[Line]:
    """What would run, from the configuration alone."""
    rows = dict(build_card(config, "", "").rows)
    lines = [Line(name, State.INFO, rows[name]) for name in ("build", "venue") if name in rows]
    lines += [
        Line("quote", State.INFO, config.resolved_quote_coin),
        Line("tier", State.INFO, rows.get("tier", "")),
        Line("strategy", State.INFO, rows.get("strategy", "")),
        Line(
            "exits",
            State.INFO,
            f"take-profit {config.tp_order_style.value}, triggered by {config.working_type.value}, "
            f"held at most {config.max_hold_minutes or 'any number of'} min",
        ),
    ]
    lines += [Line("settings", State.WARN, warning) for warning in config.warnings]
    if not config.trading_enabled:
        lines.append(Line("trading", State.WARN, "paused by the operator: no entries"))
    return lines


# --- this machine --------------------------------------------------------------------------------


async def _here(config: TradingConfig) -> list[Line]:
    path = database_path(config)
    holder = running_daemon(config)
    halt = risk_store(config).halt()
    lines = [
        Line("daemon", State.OK if holder else State.INFO, holder or "not running"),
        Line("halt", State.OK, "none")
        if halt is None
        else Line("halt", State.WARN, f"entries stopped by {halt.who}: {halt.reason}"),
        _disk(config.data_dir, config.min_free_disk),
    ]
    known: KnownHead | None = None
    database = Line("database", State.INFO, f"{path} does not exist yet")
    if path.is_file():
        known, database = await _database(path)
    return [*lines, database, _audit(config.logs_dir / "audit.jsonl", known)]


def _disk(folder: Path, least_mib: int) -> Line:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = disk_usage(there).free
    text = f"{free / 2**30:.1f} GiB free for {folder}"
    if free < least_mib * _MIB:
        text += f", less than the {least_mib} MiB entries need"
        return Line("disk", State.FAIL, text)
    return Line("disk", State.OK if free >= least_mib * _MIB * 2 else State.WARN, text)


async def _database(path: Path) -> tuple[KnownHead | None, Line]:
    """State of the database and the audit head it remembers."""
    try:
        database = await open_reader(path)
        try:
            told = await last_checkpoint(database)
        finally:
            await database.close()
    except StorageError as error:
        return None, Line("database", State.FAIL, str(error))
    known = None if told is None else KnownHead(told[1], told[2])
    return known, Line("database", State.OK, str(path))


def _audit(path: Path, known: KnownHead | None) -> Line:
    if not path.is_file():
        return Line("audit", State.INFO, f"{path} does not exist yet")
    files, whole = find_segments([path])
    verdict = verify(files, whole=whole, known=known)
    if verdict.bad is not None:
        bad = verdict.bad
        return Line("audit", State.FAIL, f"{bad.file} line {bad.line} {bad.fault}: {bad.why}")
    against = "the chain and the remembered head hold" if known else "the chain holds"
    return Line("audit", State.OK, f"{verdict.count} records, {against}")


# --- the exchange --------------------------------------------------------------------------------


async def _there(config: TradingConfig, clock: Clock) -> list[Line]:
    began = clock.monotonic()
    try:
        async with connected(config, clock) as client:
            took = (clock.monotonic() - began) * 1_000
            text = f"{client.endpoints.rest} answered in {took:.0f} ms"
            return [Line("exchange", State.OK, text), *await _account(client, config)]
    except ConfigError as error:
        paper = config.venue is Venue.PAPER
        return [
            Line(
                "exchange",
                State.INFO if paper else State.FAIL,
                "; ".join(error.problems),
                ToolExit.USAGE,
            )
        ]
    except VenueError as error:
        code = ToolExit.ACCOUNT if isinstance(error, CredentialsDead) else ToolExit.UNREACHABLE
        return [Line("exchange", State.FAIL, str(error), code)]


async def _account(client: OptimizedExchangeClient, config: TradingConfig) -> list[Line]:
    error_ms = client.clock_error_ms()
    clock_state = State.OK if error_ms <= 500 else State.WARN
    lines = [Line("clock", clock_state, f"known to ±{error_ms} ms of the exchange's")]
    try:
        preflight = await client.verify_permissions()
    except AccountError as error:
        return [*lines, Line("account", State.FAIL, str(error), ToolExit.ACCOUNT)]
    quote = config.resolved_quote_coin
    wallet, free = to_wire(preflight.wallet), to_wire(preflight.available)
    lines.append(Line("account", State.OK, f"may trade; wallet {wallet} {quote}, {free} available"))
    lines += [Line("account", State.WARN, warning) for warning in preflight.warnings]
    equity = sum((b.equity for b in await client.get_balances() if b.asset == quote), Decimal(0))
    return [*lines, *await _symbols(client, config, equity), *await _open(client, config)]


async def _symbols(
    client: OptimizedExchangeClient, config: TradingConfig, equity: Decimal
) -> list[Line]:
    manager = SymbolManager.from_config(config, LiveClock())
    chosen = manager.select(await read_candidates(client), equity=equity, held=())
    names = ", ".join(symbol.split("/")[0] for symbol in chosen.symbols)
    state = State.OK if chosen.symbols else State.FAIL
    lines = [Line("symbols", state, f"{len(chosen.symbols)} would be traded: {names or 'none'}")]
    reasons = Counter(skipped.reason for skipped in chosen.skipped)
    for reason, count in reasons.most_common(_REASONS):
        example = next(each.symbol for each in chosen.skipped if each.reason == reason)
        more = f" and {count - 1} more" if count > 1 else ""
        lines.append(Line("skipped", State.INFO, f"{example.split(':')[0]}{more}: {reason}"))
    return lines


async def _open(client: OptimizedExchangeClient, config: TradingConfig) -> list[Line]:
    found = await read_holdings(client, config)
    naked = [h.position.symbol for h in found.positions if h.ours and not h.protected]
    foreign = [h.position.symbol for h in found.positions if not h.ours]
    ours = len(found.positions) - len(foreign)
    lines = [Line("positions", State.OK, f"{ours} open, all covered by stops")]
    if naked:
        lines = [Line("positions", State.FAIL, f"WITHOUT A FULL STOP: {', '.join(naked)}")]
    if foreign:
        lines.append(Line("positions", State.WARN, f"not the bot's: {', '.join(foreign)}"))
    orphans = found.orphans
    state = State.WARN if orphans else State.OK
    text = f"{len(found.orders)} open, {len(orphans)} of ours without a position"
    return [*lines, Line("orders", state, text)]


# --- showing -------------------------------------------------------------------------------------


def _show(output: Output, lines: Sequence[Line]) -> int:
    failed = [line for line in lines if line.state is State.FAIL]
    warned = sum(line.state is State.WARN for line in lines)
    code = failed[0].code if failed else ToolExit.OK
    width = max(len(line.name) for line in lines)
    rows, last = [], ""
    for line in lines:
        name = "" if line.name == last else line.name
        last = line.name
        mark = output.paint(_MARKS[line.state], _COLOURS[line.state])
        rows.append(f" {mark}  {name:<{width}}  {line.text}")
    verdict = f"{len(failed)} wrong, {warned} warnings" if failed or warned else "all well"
    colour = _COLOURS[State.FAIL if failed else State.WARN if warned else State.OK]
    records: list[JsonValue] = [
        {"name": line.name, "state": line.state.value, "text": line.text} for line in lines
    ]
    result: dict[str, JsonValue] = {"exit": int(code), "verdict": verdict, "checks": records}
    output.result(result, "\n".join([*rows, "", f" {output.paint(verdict, colour)}"]))
    return code


if __name__ == "__main__":
    sys.exit(main())
