"""Closed trades as rows for other programs (floor 8): CSV always, Parquet where pyarrow is."""

import csv
from collections.abc import Sequence
from pathlib import Path

from core.domain.errors import DataError
from core.domain.money import to_wire
from core.domain.position import Trade
from tools.common.period import utc_text

try:
    from pyarrow import parquet, table  # type: ignore[import-not-found, unused-ignore] # optional
except ImportError:  # optional: heavy, and only this one format needs it
    parquet = table = None

COLUMNS = (
    "trade_id",
    "symbol",
    "strategy",
    "direction",
    "opened_utc",
    "closed_utc",
    "opened_ms",
    "closed_ms",
    "quantity",
    "entry_price",
    "exit_price",
    "gross",
    "fees",
    "funding",
    "net",
    "risk",
    "exit_reason",
    "unprotected_ms",
)


def row(trade: Trade) -> tuple[str, ...]:
    """One trade; amounts are exact text."""
    return (
        trade.trade_id,
        trade.symbol,
        trade.strategy,
        trade.direction.value,
        utc_text(trade.opened_ms),
        utc_text(trade.closed_ms),
        str(trade.opened_ms),
        str(trade.closed_ms),
        to_wire(trade.entry_quantity),
        to_wire(trade.entry_price),
        to_wire(trade.exit_price),
        to_wire(trade.realized),
        to_wire(trade.fees),
        to_wire(trade.funding),
        to_wire(trade.net),
        to_wire(trade.risk),
        trade.exit_reason or "",
        f"{trade.unprotected_ms:.3f}",
    )


def write_csv(path: Path, trades: Sequence[Trade]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row(trade) for trade in trades)


def write_parquet(path: Path, trades: Sequence[Trade]) -> None:
    """Columns as text, exact as in the CSV. Raises DataError without pyarrow."""
    if parquet is None or table is None:
        raise DataError("--parquet needs the package pyarrow: pip install pyarrow, or use --csv")
    rows = [row(trade) for trade in trades]
    columns = {name: [each[i] for each in rows] for i, name in enumerate(COLUMNS)}
    parquet.write_table(table(columns), path)
