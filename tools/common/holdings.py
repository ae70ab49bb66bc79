"""What is on the account and whose it is (floor 8). Read from the exchange; the database only adds
to what is recognised as ours."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from core.audit_logger import AuditLogger
from core.config import TradingConfig
from core.domain.account import ExchangePosition
from core.domain.errors import StorageError
from core.domain.ports import Clock
from core.domain.position import OrderSnapshot
from core.exchange_client import OptimizedExchangeClient
from core.oms.by_hand import coverage, made_by
from core.storage.database import open_reader
from core.storage.queries import open_symbols
from tools.common.cli import Output


@dataclass(frozen=True, slots=True)
class Holding:
    """One position with the stops that cover it. `ours`: an order or a trade of this instance."""

    position: ExchangePosition
    ours: bool
    covered: Decimal

    @property
    def protected(self) -> bool:
        return self.covered >= abs(self.position.quantity)


@dataclass(frozen=True, slots=True)
class Holdings:
    positions: tuple[Holding, ...]
    orders: tuple[OrderSnapshot, ...]
    instance: str

    def is_ours(self, order: OrderSnapshot) -> bool:
        return made_by(order.client_id, self.instance)

    @property
    def orphans(self) -> tuple[OrderSnapshot, ...]:
        """Orders of ours that close a position which is not there."""
        held = {row.position.symbol for row in self.positions}
        return tuple(
            order
            for order in self.orders
            if self.is_ours(order)
            and order.symbol not in held
            and (order.reduce_only or order.close_position)
        )


async def read_holdings(client: OptimizedExchangeClient, config: TradingConfig) -> Holdings:
    """Raises VenueError when the exchange cannot be read."""
    positions = await client.get_positions()
    orders = await client.get_open_orders()
    remembered = await _remembered(database_path(config))
    marked = {row.symbol for row in orders if made_by(row.client_id, config.instance_id)}
    return Holdings(
        positions=tuple(
            Holding(row, row.symbol in marked or row.symbol in remembered, coverage(row, orders))
            for row in sorted(positions, key=lambda row: row.symbol)
        ),
        orders=tuple(sorted(orders, key=lambda row: (row.symbol, row.client_id))),
        instance=config.instance_id,
    )


def database_path(config: TradingConfig) -> Path:
    return config.data_dir / f"bot.{config.venue.value}.db"


async def _remembered(path: Path) -> frozenset[str]:
    """Symbols of open trades; none where the database is missing or cannot be read."""
    try:
        database = await open_reader(path)
    except StorageError:
        return frozenset()
    try:
        return frozenset(await open_symbols(database))
    except StorageError:
        return frozenset()
    finally:
        await database.close()


def open_audit(config: TradingConfig, clock: Clock, output: Output) -> AuditLogger | None:
    """The daemon's audit log, which takes turns with it; None, said aloud, when it cannot be used.

    An exit must not wait for a disk.
    """
    try:
        config.logs_dir.mkdir(parents=True, exist_ok=True)
        return AuditLogger(
            config.logs_dir / "audit.jsonl",
            clock=clock,
            venue=config.venue.value,
            redactor=output.redactor,
            hmac_key=config.audit_hmac_key,
        )
    except (OSError, StorageError) as error:
        output.note(f"warning: nothing is written to the audit log: {error}")
        return None
