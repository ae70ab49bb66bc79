"""One entry now, by hand: `python -m tools.force_trade SYMBOL long|short` (floor 8; INV-07).

The strategy is not asked; everything else is the daemon's: sizing, every pre-trade check, journal,
stop and ladder. The position stays under its stop on the exchange and is taken up by the daemon at
its next start. The daemon must not run on the same data folder meanwhile.

Exit codes: 0 open and covered by an accepted stop, 1 refused by a check or not covered (then it was
closed again), 2 wrong usage or configuration, 3 the account cannot trade, 4 a daemon holds the data
folder, 5 the exchange cannot be read.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/force_trade.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.domain.enums import Direction, ExitReason
from core.domain.money import to_wire
from core.domain.strategy import Signal
from core.pre_trade_check import PreTradeCheck
from core.symbol_utils import normalize_symbol
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.session import approve, demand_real_venue, entry_words, trading_session

NAME = "force_trade"
_EXITS = (
    "0 open and protected, 1 refused or not protected (closed again), 2 usage, 3 account, 4 a "
    "daemon holds the data folder, 5 exchange unreadable"
)
_STRATEGY = "manual"
_WAIT_S = 15.0


def _symbol(text: str) -> str:
    try:
        return normalize_symbol(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(
        NAME, "One entry by hand, with the daemon's size, checks, stop and ladder.", _EXITS
    )
    made.add_argument("symbol", type=_symbol, metavar="SYMBOL", help="as XRPUSDC")
    made.add_argument("direction", choices=("long", "short"))
    made.add_argument("--reason", default="forced by hand", help="kept with the decision")
    made.add_argument("--yes-real-money", action="store_true", help="needed in production")
    return made.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    return finish_async(NAME, lambda: _force(options))


async def _force(options: argparse.Namespace) -> int:
    config = load_config(options)
    demand_real_venue(config, real_money=options.yes_real_money)
    output = Output(as_json=options.json, config=config)
    symbol = options.symbol
    config = config.with_settings("named for this trade", SYMBOLS=symbol)
    async with trading_session(config, output) as trading:
        now = trading.client.exchange_now_ms()
        mark = trading.market.mark(symbol)
        signal = Signal(
            symbol=symbol,
            strategy=_STRATEGY,
            direction=Direction(options.direction.upper()),
            strength=1.0,
            atr_ratio=float(config.min_atr_pct or 0),
            close=float(mark.price) if mark else 0.0,
            candle_open_ms=now,  # a person's decision is of its own moment, not of a candle
            candle_close_ms=now,
            why=options.reason,
        )
        approved = await approve(trading, PreTradeCheck.from_config(config, trading.risk), signal)
        sent = await trading.orders.place_order(approved)
        covered = bool(sent) and await trading.orders.attach_brackets(symbol, _WAIT_S)
        if not covered:
            await trading.orders.close_position(symbol, ExitReason.EMERGENCY, _WAIT_S)
        await trading.orders.settle(_WAIT_S)
        orders = await trading.client.get_open_orders(symbol)
    rows = [(o.kind, o.side.value, to_wire(o.quantity), to_wire(o.trigger_price)) for o in orders]
    names = ("order", "side", "quantity", "trigger")
    verdict = "open and protected" if covered else "NOT protected in time: closed again"
    output.result(
        {
            "symbol": symbol,
            "entry": sent,
            "protected": covered,
            "quantity": to_wire(approved.quantity),
            "orders": [dict(zip(names, row, strict=True)) for row in rows],
        },
        f"{symbol} {entry_words(approved)}\n\n{table(names, rows, right=(2, 3))}\n\n{verdict}",
    )
    return ToolExit.OK if covered else ToolExit.FINDING


if __name__ == "__main__":
    sys.exit(main())
