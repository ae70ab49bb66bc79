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
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

# Run as a file (python tools/post_run_analysis.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import DataError, StorageError
from core.kernel.build_info import VERSION, commit
from core.kernel.clock import LiveClock
from core.observe.analytics import Performance
from core.observe.daily import ReportSource
from core.observe.report import Report
from core.storage.database import open_reader
from core.storage.queries import critical_alerts
from tools.common.cli import Output, finish_async, load_config, parser
from tools.common.exits import ToolExit
from tools.common.export import write_csv, write_parquet
from tools.common.holdings import database_path
from tools.common.period import add_period, period_of

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
        source = ReportSource(
            database=database,
            venue=config.venue.value,
            quote=config.resolved_quote_coin,
            build=f"USDC Futures Bot {VERSION} ({commit()})",
            start_equity=config.paper_balance,
        )
        report = await source.read(
            "Period report", span.start_ms, span.end_ms, start_equity=options.start_equity
        )
        critical = await critical_alerts(database, span.start_ms, span.end_ms)
    finally:
        await database.close()
    failures = gate(report.performance, critical) if options.gate else []
    report = replace(report, notes=tuple(f"gate: {line}" for line in failures))
    _write(report, options, output)
    passed = not failures if options.gate else None
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
