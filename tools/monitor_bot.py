"""Live view in the terminal: `python -m tools.monitor_bot` (floor 8).

Reads the daemon's database and log a few times a minute; it can neither slow nor break what trades.
Ends with Ctrl-C. `--once` prints one frame, for pipes and screenshots.

Exit codes: 0 stopped, 2 wrong usage, configuration or no database yet.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shutil import get_terminal_size

# Run as a file (python tools/monitor_bot.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import DataError, StorageError
from core.domain.money import ZERO, to_wire
from core.domain.ports import JsonValue
from core.domain.position import Trade
from core.kernel.clock import LiveClock
from core.observe.log_lines import LoggedLine, newest_lines
from core.observe.monitor import DAY_MS, Monitor, Reading, read_figures
from core.observe.report import duration, money
from core.storage.database import Database, open_reader
from core.storage.queries import (
    Decision,
    EquityPoint,
    closed_trades,
    decisions,
    equity_curve,
    open_trades,
)
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.daemon import running_daemon
from tools.common.exits import ToolExit
from tools.common.holdings import database_path
from tools.common.venue import risk_store

NAME = "monitor_bot"
_EXITS = "0 stopped, 2 usage or no database"
_HOME, _BELOW = "\x1b[H", "\x1b[J"
_SPARK = "▁▂▃▄▅▆▇█"
_DECISIONS, _LINES = 5, 8
_END_MS = 1 << 53


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything one picture shows."""

    venue: str
    quote: str
    at_ms: int
    daemon: str
    halt: str
    equity: tuple[EquityPoint, ...]
    today: tuple[Trade, ...]
    open: tuple[Trade, ...]
    decisions: tuple[Decision, ...]
    readings: tuple[Reading, ...]
    lines: tuple[LoggedLine, ...]


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0.2 <= value <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 0.2..3600")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(NAME, "What the bot does now, in the terminal.", _EXITS)
    made.add_argument("--once", action="store_true", help="one frame, then stop")
    made.add_argument(
        "--interval", type=_seconds, default=2.0, metavar="S", help="refresh (default: 2)"
    )
    options = made.parse_args(argv)
    try:
        return finish_async(NAME, lambda: _watch(options))
    except KeyboardInterrupt:
        return ToolExit.OK


async def _watch(options: argparse.Namespace) -> int:
    config, clock = load_config(options), LiveClock()
    output = Output(as_json=options.json, config=config)
    live = sys.stdout.isatty() and not options.once and not options.json
    while True:
        frame = await _read(config, clock.now_ms())
        text = _text(frame, output, get_terminal_size((100, 40)).columns)
        if live:
            sys.stdout.write(_HOME + _BELOW)
        output.result(_record(frame), text)
        sys.stdout.flush()
        if options.once or not live:
            return ToolExit.OK
        await clock.sleep(options.interval)


# --- reading -------------------------------------------------------------------------------------


async def _read(config: TradingConfig, now_ms: int) -> Frame:
    try:
        database = await open_reader(database_path(config))
        try:
            return await _frame(config, database, now_ms)
        finally:
            await database.close()
    except StorageError as error:
        raise DataError(str(error)) from None


async def _frame(config: TradingConfig, database: Database, now_ms: int) -> Frame:
    halt = risk_store(config).halt()
    day_ms = now_ms - now_ms % DAY_MS
    coin = config.resolved_quote_coin
    points = await equity_curve(database, now_ms - DAY_MS, _END_MS)
    figures = await read_figures(database, config.logs_dir, now_ms, coin)
    return Frame(
        venue=config.venue.value,
        quote=coin,
        at_ms=now_ms,
        daemon=running_daemon(config),
        halt="" if halt is None else f"{halt.who}: {halt.reason}",
        equity=tuple(point for point in points if point.coin == coin),
        today=tuple(await closed_trades(database, day_ms, _END_MS)),
        open=tuple(await open_trades(database)),
        decisions=tuple(await decisions(database, 0, _END_MS, limit=_DECISIONS)),
        readings=Monitor().judge(figures),
        lines=tuple(newest_lines(config.logs_dir, _LINES)),
    )


# --- showing -------------------------------------------------------------------------------------


def _record(frame: Frame) -> dict[str, JsonValue]:
    newest = frame.equity[-1] if frame.equity else None
    return {
        "venue": frame.venue,
        "daemon": frame.daemon,
        "halt": frame.halt,
        "equity": None if newest is None else to_wire(newest.wallet + newest.unrealized),
        "today": {"trades": len(frame.today), "net": to_wire(_net(frame.today))},
        "open": [{"symbol": t.symbol, "quantity": to_wire(t.quantity)} for t in frame.open],
        "alarms": [reading.rule.key for reading in frame.readings if reading.raised],
    }


def _text(frame: Frame, output: Output, width: int) -> str:
    at = f"{datetime.fromtimestamp(frame.at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    state = output.paint("running", "32") if frame.daemon else output.paint("NOT RUNNING", "1;31")
    head = f"{output.paint(frame.venue.upper(), '1')}  {state} {frame.daemon}  {at}"
    parts = [head]
    if frame.halt:
        parts.append(output.paint(f"ENTRIES STOPPED by {frame.halt}", "1;33"))
    parts += [_money_lines(frame, output), _positions(frame)]
    parts.append("\n".join(_coloured(reading, output) for reading in frame.readings))
    parts.append(_decision_lines(frame, width))
    parts.append("\n".join(f"{line.at[11:19]} {line.words}"[:width] for line in frame.lines))
    return "\n\n".join(part for part in parts if part)


def _money_lines(frame: Frame, output: Output) -> str:
    net = _net(frame.today)
    wins = sum(trade.net > ZERO for trade in frame.today)
    painted = output.paint(f"{money(net, sign=True)} {frame.quote}", "32" if net >= 0 else "31")
    lines = [f"today   {painted} in {len(frame.today)} trades, {wins} won"]
    if frame.equity:
        values = [point.wallet + point.unrealized for point in frame.equity]
        shape = sparkline([float(value) for value in values])
        lines.insert(0, f"equity  {money(values[-1])} {frame.quote}  {shape}")
    return "\n".join(lines)


def _positions(frame: Frame) -> str:
    rows = [
        (
            trade.symbol.split(":")[0],
            trade.direction.value.lower(),
            to_wire(abs(trade.quantity)),
            f"{float(trade.entry_price):.7g}",
            duration(frame.at_ms - trade.opened_ms),
            money(trade.realized - trade.fees, sign=True),
        )
        for trade in frame.open
    ]
    names = ("position", "side", "quantity", "entry", "held", "realised")
    return table(names, rows, right=(2, 3, 5)) or "no open position"


def _decision_lines(frame: Frame, width: int) -> str:
    lines = []
    for row in frame.decisions:
        at = f"{datetime.fromtimestamp(row.at_ms / 1_000, UTC):%H:%M:%S}"
        words = row.detail if row.verdict == "passed" else row.why
        name = row.symbol.split("/")[0]
        lines.append(f"{at} {name:<9} {row.verdict:<8} {row.gate:<12} {words}"[:width])
    return "\n".join(lines)


def _coloured(reading: Reading, output: Output) -> str:
    return output.paint(reading.line, "1;31" if reading.raised else "2")


def _net(trades: Sequence[Trade]) -> Decimal:
    return sum((trade.net for trade in trades), ZERO)


def sparkline(values: Sequence[float], width: int = 48) -> str:
    """The newest values as a line of blocks, evenly thinned to `width`."""
    if len(values) > width:
        values = [values[int(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_SPARK[int((value - low) / span * (len(_SPARK) - 1))] for value in values)


if __name__ == "__main__":
    sys.exit(main())
