"""A strategy over recorded candles: `python -m tools.backtest --data PATH` (floor 8).

Sizing, precision, plan, stop, ladder, longest hold and cooldowns are the daemon's own functions
with the configuration in force; entries fill at the next candle's open, stops before targets inside
one candle, judged on the finest candles recorded. One row per symbol and stretch without a hole,
each on an account of its own, beside buy and hold and beside random entries with the same exits and
frequency. docs/STRATEGIES.md tells what is assumed and what is not simulated.

Exit codes: 0 done, 2 wrong usage, configuration or file.
"""

import argparse
import csv
import gzip
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

# Run as a file (python tools/backtest.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from core.backtest.bracket import Funding
from core.backtest.history import read_histories
from core.backtest.report import HEADERS, NUMBERS, Question, ReportRow, ask, total_cells
from core.backtest.rules import BacktestRules, Costs
from core.config import TradingConfig
from core.domain.errors import DataError
from core.domain.money import to_wire
from core.domain.ports import JsonValue
from core.domain.timeframe import TIMEFRAMES_MS
from core.kernel.clock import stopwatch
from core.risk_guard import RiskLimits
from core.strategy_manager import load_strategy
from core.symbol_utils import normalize_symbol, to_binance_symbol
from tools.common.cli import Output, finish, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.export import write_csv
from tools.common.period import instant

NAME = "backtest"
_EXITS = "0 done, 2 usage, configuration or file"
_MOST_DRAWS = 10_000


def _fraction(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value < Decimal("0.1"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction from 0 to 0.1")
    return value


def _draws(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_DRAWS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_MOST_DRAWS}")
    return int(text)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(NAME, "A strategy over recorded candles.", _EXITS)
    costs = Costs()
    made.add_argument(
        "--data", type=Path, required=True, metavar="PATH", help="candle file or folder of them"
    )
    made.add_argument("--strategy", metavar="NAME", help="default: STRATEGY")
    made.add_argument("--symbols", metavar="LIST", help="comma list; default: all recorded")
    made.add_argument("--timeframe", choices=TIMEFRAMES_MS, help="default: TIMEFRAME")
    made.add_argument("--from", dest="start", type=instant, metavar="DATE", help="as 2026-09-30")
    made.add_argument("--to", dest="end", type=instant, metavar="DATE", help="not included")
    for name, words, default in (
        ("--fee", "of every fill", costs.fee),
        ("--slippage", "of market entries and exits, half a spread included", costs.slippage),
        ("--stop-slippage", "of stops", costs.stop_slippage),
    ):
        made.add_argument(
            name, type=_fraction, default=default, metavar="FRACTION", help=f"{words} ({default})"
        )
    made.add_argument("--funding", type=Path, metavar="FILE", help="settled funding rates, csv")
    made.add_argument(
        "--draws", type=_draws, default=200, metavar="N", help="random runs per row (200)"
    )
    made.add_argument("--seed", type=int, default=1, help="of the random runs (1)")
    made.add_argument(
        "--brakes", action="store_true", help="let the risk guard stop entries as it would live"
    )
    made.add_argument("--csv", type=Path, metavar="FILE", help="write the trades")
    return made.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)

    def work() -> int:
        fixed = {"STRATEGY": options.strategy, "TIMEFRAME": options.timeframe}
        config = load_config(options, **{key: value for key, value in fixed.items() if value})
        return _backtest(config, Output(as_json=options.json, config=config), options)

    return finish(NAME, work)


def _backtest(config: TradingConfig, output: Output, options: argparse.Namespace) -> int:
    strategies = [load_strategy(name.strip()) for name in config.strategy.split(",")]
    rules = BacktestRules.from_config(
        config, Costs(options.fee, options.slippage, options.stop_slippage)
    )
    histories = read_histories(
        options.data, config.timeframe, symbols=_symbols(options.symbols), end_ms=options.end
    )
    funding = read_funding(options.funding) if options.funding is not None else {}
    began = stopwatch()
    rows: dict[str, list[ReportRow]] = {}
    for strategy in strategies:
        question = Question(
            strategy=strategy,
            rules=rules,
            equity=config.paper_balance,
            start_ms=options.start or 0,
            brakes=RiskLimits.from_config(config) if options.brakes else None,
            draws=options.draws,
            seed=options.seed,
        )
        asked = (
            ask(each, question, funding.get(each.instrument.wire, Funding())) for each in histories
        )
        rows[strategy.name] = [row for row in asked if row is not None]
    seconds = stopwatch() - began
    if not any(rows.values()):
        raise DataError(f"{options.data}: no period longer than the strategy's warm-up")
    if options.csv is not None:
        write_csv(
            options.csv, [t for each in rows.values() for r in each for t in r.outcome.trades]
        )
        output.note(f"trades written to {options.csv}")
    output.result(_record(config, options, rows), _text(config, options, rows, seconds))
    return ToolExit.OK


def _symbols(text: str | None) -> tuple[str, ...]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    return tuple(to_binance_symbol(normalize_symbol(name)) for name in names)


def read_funding(path: Path) -> dict[str, Funding]:
    """Settled rates by recorded symbol from a csv with `symbol,funding_time,funding_rate`.

    Times in UTC ms, rates as fractions. Raises DataError naming file and line.
    """
    found: dict[str, list[tuple[int, Decimal]]] = {}
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), start=2):
                try:
                    at, rate = int(row["funding_time"]), Decimal(row["funding_rate"])
                    found.setdefault(row["symbol"], []).append((at, rate))
                except (KeyError, ValueError, TypeError, InvalidOperation):
                    text = "expected symbol, funding_time and funding_rate"
                    raise DataError(f"{path}: line {number}: {text}") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    made = {}
    for symbol, settled in found.items():
        settled.sort()
        times = np.array([at for at, _ in settled], dtype=np.int64)
        made[symbol] = Funding(times, tuple(rate for _, rate in settled))
    return made


def _record(
    config: TradingConfig, options: argparse.Namespace, rows: dict[str, list[ReportRow]]
) -> dict[str, JsonValue]:
    return {
        "timeframe": config.timeframe,
        "equity": to_wire(config.paper_balance),
        "fee": to_wire(options.fee),
        "slippage": to_wire(options.slippage),
        "stop_slippage": to_wire(options.stop_slippage),
        "funding": options.funding is not None,
        "brakes": options.brakes,
        "seed": options.seed,
        "strategies": {name: [row.record() for row in found] for name, found in rows.items()},
    }


def _text(
    config: TradingConfig,
    options: argparse.Namespace,
    rows: dict[str, list[ReportRow]],
    seconds: float,
) -> str:
    parts = []
    for name, found in rows.items():
        cells = [row.cells() for row in found]
        if len(found) > 1:
            cells.append(total_cells(found))
        shown = table(HEADERS, cells, right=NUMBERS)
        finest = "/".join(sorted({row.history.recorded for row in found}))
        parts.append(f"{name}, {config.timeframe} candles, judged on {finest}\n\n{shown}")
    candles = sum(len(row.history.fine) for found in rows.values() for row in found)
    parts.append(
        f"each row: {to_wire(config.paper_balance)} at the start, risk "
        f"{to_wire(config.risk_per_trade_pct * 100)} % a trade, stop "
        f"{to_wire(config.stop_loss_pct * 100)} %, targets {config.tp_mode}, longest hold "
        f"{config.max_hold_minutes} min\n"
        f"costs: fee {to_wire(options.fee * 100)} % of every fill, slippage "
        f"{to_wire(options.slippage * 100)} %, of stops {to_wire(options.stop_slippage * 100)} %, "
        f"funding {'as recorded' if options.funding is not None else 'not known'}; "
        f"risk guard {'on' if options.brakes else 'off'}\n"
        f"random: {options.draws} runs with the same exits and frequency; "
        "beaten: share of them below the strategy\n"
        f"{candles:,} recorded candles in {seconds:.2f} s, random runs included"
    )
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
