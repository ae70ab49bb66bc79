"""Why was there a trade, or none? `python -m tools.why [SYMBOL]` (floor 8; INV-12).

Answers from the daemon's decisions: which gate said no how often, and the newest decisions with
the numbers they compared. Reads the database only; the daemon may run or not.

Exit codes: 0 there is an answer, 1 nothing was decided in the period, 2 wrong usage, configuration
or no database yet.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/why.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import DataError, StorageError
from core.domain.ports import JsonValue
from core.kernel.clock import LiveClock
from core.storage.database import open_reader
from core.storage.queries import Decision, GateCount, decisions, gate_counts
from core.symbol_utils import normalize_symbol
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.holdings import database_path
from tools.common.period import Period, add_period, period_of, utc_text

NAME = "why"
_EXITS = "0 answered, 1 nothing was decided in the period, 2 usage or no database"
_GATES = 12


def symbol(text: str) -> str:
    try:
        return normalize_symbol(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(NAME, "Decisions and refusals with their reasons and numbers.", _EXITS)
    made.add_argument("symbol", nargs="?", type=symbol, metavar="SYMBOL", help="default: all")
    made.add_argument("--limit", type=int, default=20, help="newest decisions (default: 20)")
    made.add_argument(
        "--signals", action="store_true", help="only candles on which the strategy saw a signal"
    )
    add_period(made, "24h")
    return made.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)

    async def work() -> int:
        config = load_config(options)
        return await _answer(config, Output(as_json=options.json, config=config), options)

    return finish_async(NAME, work)


async def _answer(config: TradingConfig, output: Output, options: argparse.Namespace) -> int:
    span = period_of(options, LiveClock())
    try:
        database = await open_reader(database_path(config))
    except StorageError as error:
        raise DataError(str(error)) from None
    try:
        gates = await gate_counts(database, span.start_ms, span.end_ms, symbol=options.symbol)
        rows = await decisions(
            database, span.start_ms, span.end_ms, symbol=options.symbol, limit=10_000
        )
    finally:
        await database.close()
    chosen = [row for row in rows if row.verdict != "passed" or not options.signals]
    chosen = chosen[: max(options.limit, 0)]
    record: dict[str, JsonValue] = {
        "symbol": options.symbol,
        "period": span.words,
        "gates": [{"symbol": g.symbol, "gate": g.gate, "candles": g.candles} for g in gates],
        "decisions": [_record(row) for row in chosen],
    }
    output.result(record, _text(options.symbol, span, gates, chosen))
    return ToolExit.OK if rows else ToolExit.FINDING


def _record(row: Decision) -> dict[str, JsonValue]:
    return {
        "at": utc_text(row.at_ms),
        "symbol": row.symbol,
        "strategy": row.strategy,
        "verdict": row.verdict,
        "direction": row.direction,
        "gate": row.gate,
        "why": row.why,
        "detail": row.detail if row.verdict == "passed" else json.loads(row.detail),
        "looks": row.looks,
    }


def _text(
    chosen: str | None, span: Period, gates: Sequence[GateCount], rows: Sequence[Decision]
) -> str:
    head = f"{chosen or 'all symbols'}, {span.words}"
    if not gates and not rows:
        return f"{head}: nothing was decided (no candle closed, or the daemon did not run)"
    counted = [(g.symbol, g.gate, str(g.candles)) for g in gates[:_GATES]]
    newest = [
        (
            utc_text(row.at_ms),
            row.symbol.split(":")[0],
            row.verdict.upper() if row.verdict == "approved" else row.verdict,
            row.gate or "-",
            _words(row),
        )
        for row in rows
    ]
    parts = [
        head,
        table(("symbol", "gate that said no", "candles"), counted, right=(2,)),
        table(("UTC", "symbol", "verdict", "gate", "because"), newest),
    ]
    return "\n\n".join(part for part in parts if part)


def _words(row: Decision) -> str:
    """One line: the numbers of the first check that failed, or of the size, and the signal."""
    if row.verdict == "passed":
        return row.detail
    told = json.loads(row.detail)
    failed = next((check for check in told.get("checks", ()) if not check["passed"]), None)
    if failed is not None:
        numbers = " ".join(f"{name}={value}" for name, value in failed["numbers"].items())
        return f"{row.direction} refused: {numbers} | {row.why}"
    sizing = told.get("sizing") or {}
    size = f"{told.get('quantity', '?')} at about {told.get('reference_price', '?')}"
    return f"{row.direction} {size}, limited by {sizing.get('limited_by', '?')} | {row.why}"


if __name__ == "__main__":
    sys.exit(main())
