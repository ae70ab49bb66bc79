"""Results from the executions alone: `python -m tools.surrogate_pnl` (floor 8; INV-10).

Every closed trade is what was received minus what was paid, held against the booked result; with
`--online` every UTC day also against the exchange's income history.

Exit codes: 0 both agree, 1 a trade or a day differs, 2 wrong usage, configuration or no database
yet, 3 the account cannot trade, 5 the exchange cannot be read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/surrogate_pnl.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import DataError, StorageError
from core.domain.money import ZERO, to_wire
from core.domain.ports import JsonValue
from core.kernel.clock import LiveClock
from core.observe.ledger import DayDifference, Recount, compare_days, recount
from core.storage.database import open_reader
from core.storage.queries import TradeFill, closed_trades, fills_between
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.holdings import database_path
from tools.common.period import Period, add_period, period_of, utc_text
from tools.common.venue import connected

NAME = "surrogate_pnl"
_EXITS = "0 both agree, 1 something differs, 2 usage or no database, 3 account, 5 exchange"


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(NAME, "Results from the executions alone, against the booked ones.", _EXITS)
    add_period(made, "24h")
    made.add_argument(
        "--online", action="store_true", help="also against the exchange's income history"
    )
    options = made.parse_args(argv)
    return finish_async(NAME, lambda: _count(options))


async def _count(options: argparse.Namespace) -> int:
    config = load_config(options)
    output = Output(as_json=options.json, config=config)
    span = period_of(options, LiveClock())
    counted, fills = await _read(config, span)
    days = await _days(config, span, fills) if options.online else []
    wrong = [row for row in counted if not row.agrees]
    wrong_days = [day for day in days if not day.agrees]
    gross, fees = sum((r.gross for r in counted), ZERO), sum((r.fees for r in counted), ZERO)
    totals: dict[str, JsonValue] = {
        "trades": len(counted),
        "net": to_wire(gross - fees),
        "booked": to_wire(sum((r.booked_gross - r.booked_fees for r in counted), ZERO)),
        "differ": [_record(row) for row in wrong],
        "days": [_day_record(day) for day in days],
    }
    output.result(totals, _text(totals, wrong, days))
    return ToolExit.FINDING if wrong or wrong_days else ToolExit.OK


async def _read(config: TradingConfig, span: Period) -> tuple[list[Recount], list[TradeFill]]:
    """Trades closed in the period, recounted, and the executions of the period itself."""
    try:
        database = await open_reader(database_path(config))
        try:
            trades = await closed_trades(database, span.start_ms, span.end_ms)
            trades = [trade for trade in trades if trade.entry_quantity]
            first = min((trade.created_ms for trade in trades), default=span.start_ms)
            fills = await fills_between(database, min(first, span.start_ms), span.end_ms)
        finally:
            await database.close()
    except StorageError as error:
        raise DataError(str(error)) from None
    counted = recount(trades, ((row.trade_id, row.fill) for row in fills))
    return counted, [row for row in fills if row.fill.time_ms >= span.start_ms]


async def _days(
    config: TradingConfig, span: Period, fills: Sequence[TradeFill]
) -> list[DayDifference]:
    async with connected(config, LiveClock()) as client:
        income = await client.get_income(start_ms=span.start_ms or None)
    inside = [row for row in income if span.start_ms <= row.time_ms < span.end_ms]
    return compare_days((row.fill for row in fills), inside)


def _record(row: Recount) -> dict[str, JsonValue]:
    return {
        "trade_id": row.trade_id,
        "symbol": row.symbol,
        "booked": to_wire(row.booked_gross - row.booked_fees),
        "counted": to_wire(row.gross - row.fees),
        "difference": to_wire(row.difference),
        "left_open": to_wire(row.left),
    }


def _day_record(day: DayDifference) -> dict[str, JsonValue]:
    return {
        "day": utc_text(day.day_ms)[:10],
        "realized": to_wire(day.realized),
        "income_realized": to_wire(day.income_realized),
        "fees": to_wire(day.fees),
        "income_fees": to_wire(day.income_fees),
        "funding": to_wire(day.funding),
        "agrees": day.agrees,
    }


def _text(
    totals: dict[str, JsonValue], wrong: Sequence[Recount], days: Sequence[DayDifference]
) -> str:
    parts = [f"{totals['trades']} trades: counted {totals['net']}, booked {totals['booked']}"]
    rows = [tuple(str(value) for value in _record(row).values()) for row in wrong]
    names = ("trade", "symbol", "booked", "counted", "difference", "left open")
    parts.append(table(names, rows, right=(2, 3, 4, 5)) or "every trade agrees")
    told = [tuple(str(value) for value in _day_record(day).values()) for day in days]
    heads = ("day", "realised", "income says", "fees", "income says", "funding", "agrees")
    parts.append(table(heads, told, right=(1, 2, 3, 4, 5)))
    return "\n\n".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
