"""Open positions and what protects them: `python -m tools.check_positions` (floor 8; INV-01).

Exit codes: 0 every position of ours is covered by stops, 1 one is not, 2 wrong usage or
configuration, 3 the account cannot trade, 5 the exchange cannot be read.
"""

import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

# Run as a file (python tools/check_positions.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.money import to_wire
from core.kernel.clock import LiveClock
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.holdings import Holding, read_holdings
from tools.common.venue import connected

NAME = "check_positions"
_EXITS = "0 all covered by stops, 1 a position of ours is not, 2 usage, 3 account, 5 exchange"
_CENT = Decimal("0.0001")


def main(argv: Sequence[str] | None = None) -> int:
    args = parser(NAME, "Open positions, their result and the stops that cover them.", _EXITS)
    options = args.parse_args(argv)

    async def work() -> int:
        config = load_config(options)
        return await _show(config, Output(as_json=options.json, config=config))

    return finish_async(NAME, work)


async def _show(config: TradingConfig, output: Output) -> int:
    async with connected(config, LiveClock()) as client:
        found = await read_holdings(client, config)
    rows = [_row(holding) for holding in found.positions]
    naked = [h.position.symbol for h in found.positions if h.ours and not h.protected]
    text = table(
        ("symbol", "quantity", "entry", "mark", "unrealised", "liquidation", "stops", "whose"),
        [tuple(row.values()) for row in rows],
        right=(1, 2, 3, 4, 5),
    )
    ending = f"{len(rows)} positions, {len(naked)} of ours without a full stop"
    output.result(
        {"venue": config.venue.value, "positions": rows, "unprotected": naked},
        f"{text}\n\n{ending}" if text else ending,
    )
    return ToolExit.FINDING if naked else ToolExit.OK


def _row(holding: Holding) -> dict[str, str]:
    row = holding.position
    return {
        "symbol": row.symbol,
        "quantity": to_wire(row.quantity),
        "entry": to_wire(row.entry_price),
        "mark": to_wire(row.mark_price),
        "unrealised": to_wire(row.unrealized.quantize(_CENT)),
        "liquidation": to_wire(row.liquidation_price),
        "stops": "full" if holding.protected else f"{to_wire(holding.covered)} only",
        "whose": "bot" if holding.ours else "not ours",
    }


if __name__ == "__main__":
    sys.exit(main())
