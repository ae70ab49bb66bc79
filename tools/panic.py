"""Leave everything now: `python -m tools.panic` (floor 8; INV-08, INV-13).

Works from the exchange's state alone, whether the daemon lives or not: latches entries off on disk
(a running daemon sees it), cancels entries, closes the bot's positions reduce-only, verifies,
cancels the rest and prints the proof. Calling it again repeats only what is still open.

Positions of the account that bear no mark of the bot's are left alone unless `--all` is given; the
proof names them, and then the account does not count as clean.

Exit codes: 0 no position is open on the account and no order of the bot's, 1 something is left (the
table says what), 2 wrong usage or configuration, 3 the account cannot trade, 5 the exchange cannot
be read.
"""

import argparse
import sys
from collections.abc import Sequence
from getpass import getuser
from pathlib import Path

# Run as a file (python tools/panic.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.audit_logger import AuditLogger
from core.config import TradingConfig
from core.domain.commands import PanicReport, ProofRow
from core.domain.money import to_wire
from core.domain.ports import Clock, JsonValue
from core.exchange_client import OptimizedExchangeClient
from core.kernel.clock import LiveClock
from core.oms.by_hand import ByHand
from core.oms.panic import Panic
from core.oms.risk_store import Halt
from tools.common.cli import Output, finish_async, load_config, parser, table
from tools.common.exits import ToolExit
from tools.common.holdings import open_audit, read_holdings
from tools.common.venue import connected, risk_store

NAME = "panic"
_EXITS = "0 nothing is left, 1 something is, 2 usage, 3 account, 5 exchange unreadable"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(NAME, "Block entries, close everything of the bot's, prove it.", _EXITS)
    made.add_argument("--reason", default="panic at the shell", help="kept with the halt")
    made.add_argument(
        "--all",
        action="store_true",
        help="also positions and orders of the account that are not the bot's",
    )
    made.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds (default: %(default)s)"
    )
    return made.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)

    async def work() -> int:
        config, clock = load_config(options), LiveClock()
        output = Output(as_json=options.json, config=config)
        _halt(config, clock, options.reason, output)
        audit = open_audit(config, clock, output)
        try:
            async with connected(config, clock) as client:
                return await _leave(client, config, clock, audit, output, options)
        finally:
            if audit is not None:
                audit.close()

    return finish_async(NAME, work)


def _halt(config: TradingConfig, clock: Clock, reason: str, output: Output) -> None:
    """Latch entries off; a disk that refuses must not stop the exits."""
    try:
        risk_store(config).set_halt(Halt(reason, f"tools.panic by {getuser()}", clock.now_ms()))
    except OSError as error:
        output.note(f"warning: entries are NOT blocked, the halt cannot be written: {error}")
        return
    output.note(f"entries blocked ({config.data_dir}); clear it with /resume in Telegram")


async def _leave(
    client: OptimizedExchangeClient,
    config: TradingConfig,
    clock: Clock,
    audit: AuditLogger | None,
    output: Output,
    options: argparse.Namespace,
) -> int:
    found = await read_holdings(client, config)
    chosen = [h.position.symbol for h in found.positions if h.ours or options.all]
    hand = ByHand(
        exchange=client,
        instruments=client,
        audit=audit,
        instance=config.instance_id,
        clock=clock,
        symbols=tuple(chosen),
        everything=options.all,
    )
    panic = Panic(
        exchange=client,
        close_all=hand.close_all,
        is_ours=hand.is_ours,
        managed=hand.managed,
        clock=clock,
    )
    report = await panic.run(config.resolved_quote_coin, options.timeout)
    if audit is not None:
        proof = {row.what: row.count for row in _proof(report)}
        audit.write({"action": "panic", "reason": options.reason, "proof": proof})
    for line in hand.trouble:
        output.note(f"warning: {line}")
    output.result(_record(report), _text(report))
    return ToolExit.OK if _empty(report) else ToolExit.FINDING


def _empty(report: PanicReport) -> bool:
    return report.clean and not report.left_alone


def _proof(report: PanicReport) -> tuple[ProofRow, ...]:
    """What the exchange showed at the end, other people's positions as a row of their own."""
    if not report.proof:
        return ()
    return (*report.proof, ProofRow("positions not the bot's, left alone", len(report.left_alone)))


def _record(report: PanicReport) -> dict[str, JsonValue]:
    return {
        "clean": _empty(report),
        "closed": [
            {
                "symbol": row.symbol,
                "closed": row.closed,
                "left": to_wire(row.quantity),
                "detail": row.detail,
            }
            for row in report.closed
        ],
        "proof": {row.what: row.count for row in _proof(report)},
        "realized": None if report.realized is None else to_wire(report.realized),
        "problem": report.problem,
        "not_ours": list(report.left_alone),
    }


def _text(report: PanicReport) -> str:
    parts = [
        table(
            ("position", "result"),
            [
                (row.symbol, row.detail if row.closed else f"{row.detail}: {row.quantity}")
                for row in report.closed
            ],
        ),
        table(
            ("on the exchange now", "count"),
            [(row.what, str(row.count)) for row in _proof(report)],
            right=(1,),
        ),
    ]
    if report.realized is not None:
        parts.append(f"wallet changed by {to_wire(report.realized)}")
    if _empty(report):
        parts.append("CLEAN: no position on the account, no order of the bot's")
    elif report.clean:
        names = ", ".join(report.left_alone)
        parts.append(f"NOT EMPTY: left alone, not the bot's (--all takes them too): {names}")
    else:
        parts.append(f"NOT CLEAN: {report.problem}")
    return "\n\n".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
