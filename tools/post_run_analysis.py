"""Report over a period: `python -m tools.post_run_analysis` (floor 8).

Reads the database and the logs; the daemon may run or not. `--html` writes one page that stands
alone, `--csv` and `--parquet` the trades. `--gate` judges: at least 20 closed trades, a win rate
above 55 % and no critical error.

Exit codes: 0 done (and the gate passed), 1 the gate failed, 2 wrong usage, configuration or no
database yet.
"""

import argparse
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

# Run as a file (python tools/post_run_analysis.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import DataError, StorageError
from core.domain.position import Trade
from core.kernel.build_info import VERSION, commit
from core.kernel.clock import LiveClock
from core.observe.analytics import Performance, analyse
from core.observe.report import Report
from core.storage.database import Database, open_reader
from core.storage.queries import closed_trades, critical_alerts, equity_curve, last_checkpoint
from tools.common.cli import Output, finish_async, load_config, parser
from tools.common.exits import ToolExit
from tools.common.export import write_csv, write_parquet
from tools.common.holdings import database_path
from tools.common.period import Period, add_period, period_of

NAME = "post_run_analysis"
_EXITS = "0 done and the gate passed, 1 the gate failed, 2 usage or no database"
GATE_TRADES, GATE_WIN_RATE = 20, 0.55


def _amount(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(NAME, "What the trades of a period came to.", _EXITS)
    add_period(made, "24h")
    made.add_argument("--html", type=Path, metavar="FILE", help="write the page")
    made.add_argument("--csv", type=Path, metavar="FILE", help="write the trades")
    made.add_argument("--parquet", type=Path, metavar="FILE", help="likewise; needs pyarrow")
    made.add_argument(
        "--start-equity",
        type=_amount,
        metavar="AMOUNT",
        help="default: the first recorded one of the period, else PAPER_BALANCE",
    )
    made.add_argument(
        "--gate",
        action="store_true",
        help=f"exit 1 unless {GATE_TRADES} trades closed, more than {GATE_WIN_RATE:.0%}% won, "
        "no critical error",
    )
    return made.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)

    async def work() -> int:
        config = load_config(options)
        return await _analyse(config, Output(as_json=options.json, config=config), options)

    return finish_async(NAME, work)


async def _analyse(config: TradingConfig, output: Output, options: argparse.Namespace) -> int:
    span = period_of(options, LiveClock())
    try:
        database = await open_reader(database_path(config))
    except StorageError as error:
        raise DataError(str(error)) from None
    try:
        trades = await closed_trades(database, span.start_ms, span.end_ms)
        trades = [trade for trade in trades if trade.entry_quantity]
        start = options.start_equity or await _start_equity(database, span, config)
        critical = await critical_alerts(database, span.start_ms, span.end_ms)
        head = await last_checkpoint(database)
    finally:
        await database.close()
    performance = analyse(trades, start)
    failures = gate(performance, critical)
    notes = [f"gate: {line}" for line in failures] if options.gate else []
    report = Report(
        title="Period report",
        venue=config.venue.value,
        quote=config.resolved_quote_coin,
        start_ms=_start(span, trades),
        end_ms=_end(span, trades),
        performance=performance,
        trades=trades,
        build=f"USDC Futures Bot {VERSION} ({commit()})",
        audit_head="" if head is None else f"{head[2]}/{head[1]}",
        notes=tuple(notes),
    )
    _write(report, options, output)
    passed = None if not options.gate else not failures
    output.result({**report.record(), "gate_passed": passed}, report.text())
    return ToolExit.FINDING if passed is False else ToolExit.OK


def gate(performance: Performance, critical: int) -> list[str]:
    """What speaks against going on, one line each."""
    found = []
    if performance.trades < GATE_TRADES:
        found.append(f"{performance.trades} closed trades, {GATE_TRADES} are needed")
    if performance.win_rate <= GATE_WIN_RATE:
        found.append(f"win rate {performance.win_rate:.1%}, above {GATE_WIN_RATE:.0%} is needed")
    if critical:
        found.append(f"{critical} critical errors, none is allowed")
    return found


async def _start_equity(database: Database, span: Period, config: TradingConfig) -> Decimal:
    points = await equity_curve(database, span.start_ms, span.end_ms)
    coin = config.resolved_quote_coin
    first = next((point for point in points if point.coin == coin), None)
    return config.paper_balance if first is None else first.wallet + first.unrealized


def _start(span: Period, trades: Sequence[Trade]) -> int:
    return span.start_ms or min((trade.opened_ms for trade in trades), default=0)


def _end(span: Period, trades: Sequence[Trade]) -> int:
    newest = max((trade.closed_ms + 1 for trade in trades), default=span.start_ms + 1)
    return min(span.end_ms, max(newest, span.start_ms + 1))


def _write(report: Report, options: argparse.Namespace, output: Output) -> None:
    if options.html is not None:
        options.html.write_text(output.redactor.redact_text(report.html()), encoding="utf-8")
        output.note(f"page written to {options.html}")
    if options.csv is not None:
        write_csv(options.csv, report.trades)
        output.note(f"{len(report.trades)} trades written to {options.csv}")
    if options.parquet is not None:
        write_parquet(options.parquet, report.trades)
        output.note(f"{len(report.trades)} trades written to {options.parquet}")


if __name__ == "__main__":
    sys.exit(main())
