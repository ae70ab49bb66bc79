"""Open orders of both families: `python -m tools.check_orders` (floor 8; INV-01).

Exit codes: 0 every order belongs to something, 1 an order of ours closes a position that is not
there, 2 wrong usage or configuration, 3 the account cannot trade, 5 the exchange cannot be read.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/check_orders.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.money import to_wire
from core.domain.position import OrderSnapshot
from core.ids import parse_client_id
from core.kernel.clock import LiveClock
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.holdings import Holdings, read_holdings
from tools.common.venue import connected

NAME = "check_orders"
_EXITS = "0 all in place, 1 an order of ours belongs to no position, 2 usage, 3 account, 5 exchange"


def main(argv: Sequence[str] | None = None) -> int:
    args = parser(NAME, "Open orders, plain and conditional, and whose they are.", _EXITS)
    options = args.parse_args(argv)

    async def work() -> int:
        config = load_config(options)
        return await _show(config, Output(as_json=options.json, config=config))

    return finish_async(NAME, work)


async def _show(config: TradingConfig, output: Output) -> int:
    async with connected(config, LiveClock()) as client:
        found = await read_holdings(client, config)
    orphans = {order.client_id for order in found.orphans}
    rows = [_row(order, found, orphans) for order in found.orders]
    text = table(
        ("symbol", "purpose", "type", "side", "quantity", "trigger", "price", "whose", "id"),
        [tuple(row.values()) for row in rows],
        right=(4, 5, 6),
    )
    ending = f"{len(rows)} open orders, {len(orphans)} without a position"
    output.result(
        {"venue": config.venue.value, "orders": rows, "orphans": sorted(orphans)},
        f"{text}\n\n{ending}" if text else ending,
    )
    return ToolExit.FINDING if orphans else ToolExit.OK


def _row(order: OrderSnapshot, found: Holdings, orphans: set[str]) -> dict[str, str]:
    parts = parse_client_id(order.client_id)
    whose = "bot" if found.is_ours(order) else "not ours"
    return {
        "symbol": order.symbol,
        "purpose": parts.purpose.name.lower() if parts else "-",
        "type": order.kind,
        "side": order.side.value,
        "quantity": "all" if order.close_position else to_wire(order.quantity),
        "trigger": to_wire(order.trigger_price) if order.trigger_price else "-",
        "price": to_wire(order.price) if order.price else "-",
        "whose": "ORPHAN" if order.client_id in orphans else whose,
        "client_id": order.client_id,
    }


if __name__ == "__main__":
    sys.exit(main())
