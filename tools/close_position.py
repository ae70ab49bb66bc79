"""Close positions at market: `python -m tools.close_position SYMBOL… | --all` (floor 8; INV-08).

Works from the exchange's state alone, whether the daemon lives or not. It blocks nothing: use
`tools.panic` to stop entries as well.

Exit codes: 0 flat and our orders of it cancelled, 1 something is still open, 2 wrong usage or
configuration, 3 the account cannot trade, 5 the exchange cannot be read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/close_position.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.enums import ExitReason
from core.domain.money import to_wire
from core.kernel.clock import LiveClock
from core.oms.by_hand import ByHand
from core.symbol_utils import normalize_symbol
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.holdings import open_audit, read_holdings
from tools.common.venue import connected

NAME = "close_position"
_EXITS = "0 flat, 1 something is still open, 2 usage, 3 account, 5 exchange unreadable"


def _symbol(text: str) -> str:
    try:
        return normalize_symbol(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(NAME, "Close positions with reduce-only market orders and verify.", _EXITS)
    made.add_argument("symbols", nargs="*", type=_symbol, metavar="SYMBOL", help="as XRPUSDC")
    made.add_argument("--all", action="store_true", help="every position of the bot's")
    made.add_argument(
        "--timeout", type=float, default=20.0, metavar="S", help="seconds (default: %(default)s)"
    )
    options = made.parse_args(argv)
    if options.all is bool(options.symbols):
        made.error("name symbols or give --all")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)

    async def work() -> int:
        config = load_config(options)
        return await _close(config, Output(as_json=options.json, config=config), options)

    return finish_async(NAME, work)


async def _close(config: TradingConfig, output: Output, options: argparse.Namespace) -> int:
    clock = LiveClock()
    audit = open_audit(config, clock, output)
    try:
        async with connected(config, clock) as client:
            found = await read_holdings(client, config)
            ours = [holding.position.symbol for holding in found.positions if holding.ours]
            symbols = tuple(ours if options.all else options.symbols)
            hand = ByHand(
                exchange=client,
                instruments=client,
                audit=audit,
                instance=config.instance_id,
                clock=clock,
                symbols=symbols,
            )
            reports = [
                await hand.close(symbol, ExitReason.MANUAL, options.timeout) for symbol in symbols
            ]
            cancelled = {
                row.symbol: await hand.cancel_rest(row.symbol) for row in reports if row.closed
            }
    finally:
        if audit is not None:
            audit.close()
    for line in hand.trouble:
        output.note(f"warning: {line}")
    rows = [
        (row.symbol, row.detail, to_wire(row.quantity), str(cancelled.get(row.symbol, 0)))
        for row in reports
    ]
    names = ("symbol", "result", "left", "orders cancelled")
    records = [dict(zip(names, row, strict=True)) for row in rows]
    output.result({"closed": records}, table(names, rows, right=(2, 3)) or "no position to close")
    return ToolExit.OK if all(row.closed for row in reports) else ToolExit.FINDING


if __name__ == "__main__":
    sys.exit(main())
