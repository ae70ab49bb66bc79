"""Durable memory of the OMS (floor 2b; INV-03, INV-09).

`record_*` return when the disk has it, `note_*` return at once; both go through one queue, so
nothing overtakes what was said before it. A state is written as it is when it is written: never
older than what was said, and together with all that was said until then. Writing the same thing
twice is harmless.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from core.domain.enums import ExitReason, OrderStatus, Purpose, Side
from core.domain.errors import StorageError
from core.domain.intent import OrderIntent
from core.domain.order import OrderRecord, SentEntry
from core.domain.position import Fill, Trade
from core.storage import rows
from core.storage.database import Database, RowRefused
from core.storage.write_queue import WriteQueue

_REMEMBERED = 10_000
_OPEN = "SELECT trade_id FROM trades WHERE closed_ms = 0"


@dataclass(frozen=True, slots=True)
class LoadedState:
    """Episodes not yet closed, with their orders and booked fills (`JournalState`)."""

    trades: Sequence[Trade]
    orders: Sequence[OrderRecord]
    fills: Sequence[Fill]


class Journal:
    """`core.domain.ports.JournalPort` on a database.

    Whatever waits for the disk raises StorageError when the disk does not have it.
    """

    def __init__(self, database: Database, queue: WriteQueue) -> None:
        self._database = database
        self._queue = queue
        self._told: dict[str, None] = {}
        """Intents queued by this process: an intent never changes, so once is enough."""

    async def record_trade(self, trade: Trade, entry: OrderIntent | None) -> None:
        """A new episode and its entry intent, in one transaction. Idempotent by trade_id.

        `entry` is None for a position found on the exchange and adopted.
        """
        mark = self._queue.put(("new trade", trade.trade_id), rows.add_trade(trade))
        if entry is not None:
            mark = self._put_intent(entry)
        await self._queue.settle(mark)

    async def record_attempt(self, record: OrderRecord) -> None:
        """Intent (if new) and this attempt with its client id, before the request leaves."""
        await self._queue.settle(self._put_order(record))

    def note_order(self, record: OrderRecord) -> None:
        """State of an attempt, as it is now; written soon."""
        self._put_order(record)

    def note_fill(self, fill: Fill, trade_id: str) -> None:
        """One execution that was booked on the episode `trade_id`; never dropped."""
        self._queue.put(
            ("fill", fill.symbol, fill.trade_id), partial(rows.add_fill, fill, trade_id)
        )

    def note_trade(self, trade: Trade) -> None:
        """The book of an episode, as it is now; written soon. Does not close or reopen it."""
        self._queue.put(("trade", trade.trade_id), partial(rows.put_trade, trade))

    async def record_close(self, trade: Trade, reason: ExitReason) -> bool:
        """Mark the episode closed with its result. False when it was closed already.

        When the disk does not take it (StorageError) it is written as soon as it does.
        When the process dies between this and what the caller does next, the closed trade is in
        the database: whoever counts closed trades rebuilds its count from there.
        """
        closing = rows.close_trade(trade, reason)
        try:
            return bool(await self._queue.settle_with(closing))
        except RowRefused:
            raise  # no later attempt could help
        except StorageError:
            self._queue.put(("close", trade.trade_id), closing)
            raise

    async def load(self) -> LoadedState:
        """What a restart finds; everything noted so far included."""
        await self._queue.settle()
        trades = await self._database.query(
            f"SELECT {', '.join(rows.TRADE)} FROM trades WHERE closed_ms = 0"  # noqa: S608 - constants
            " ORDER BY created_ms, trade_id"
        )
        intents = await self._database.query(
            f"SELECT {', '.join(rows.INTENT)} FROM intents WHERE trade_id IN ({_OPEN})"  # noqa: S608 - constants
        )
        orders = await self._database.query(
            f"SELECT {', '.join('orders.' + name for name in rows.ORDER)}"  # noqa: S608 - constants
            " FROM orders JOIN intents USING (intent_id)"
            f" WHERE intents.trade_id IN ({_OPEN})"
            " ORDER BY intents.created_ms, orders.intent_id, orders.attempt"
        )
        fills = await self._database.query(
            f"SELECT {', '.join(rows.FILL)} FROM fills WHERE trade_id IN ({_OPEN})"  # noqa: S608 - constants
            " ORDER BY time_ms, symbol, exchange_trade_id"
        )
        by_id = {intent.intent_id: intent for intent in map(rows.read_intent, intents)}
        return LoadedState(
            trades=[rows.read_trade(row) for row in trades],
            orders=[rows.read_order(row, by_id) for row in orders],
            fills=[rows.read_fill(row) for row in fills],
        )

    async def entries_since(self, since_ms: int) -> list[SentEntry]:
        """Entry requests that left from `since_ms` (UTC ms) on, oldest first; closed episodes too.

        One that was refused before it left does not count.
        """
        await self._queue.settle()
        found = await self._database.query(
            "SELECT intents.intent_id, intents.symbol, intents.side, orders.sent_ms"
            " FROM orders JOIN intents USING (intent_id)"
            " WHERE orders.sent_ms >= ? AND intents.purpose = ? AND orders.status <> ?"
            " ORDER BY orders.sent_ms, orders.client_id",
            (since_ms, Purpose.ENTRY, OrderStatus.DENIED),
        )
        return [
            SentEntry(str(intent_id), str(symbol), Side(str(side)), int(sent_ms or 0))
            for intent_id, symbol, side, sent_ms in found
        ]

    async def intent_exists(self, intent_id: str) -> bool:
        """True when the intent was ever recorded, closed episodes included."""
        if self._queue.is_pending(("intent", intent_id)):
            return True
        sql = "SELECT 1 FROM intents WHERE intent_id = ?"
        return bool(await self._database.query(sql, (intent_id,)))

    async def flush(self) -> None:
        """Wait until everything noted so far is written."""
        await self._queue.settle()

    async def run(self) -> None:
        """Write what is noted until cancelled; spawned once by the application."""
        await self._queue.run()

    def _put_intent(self, intent: OrderIntent) -> int:
        self._told[intent.intent_id] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return self._queue.put(("intent", intent.intent_id), rows.add_intent(intent))

    def _put_order(self, record: OrderRecord) -> int:
        if record.intent.intent_id not in self._told:
            self._put_intent(record.intent)
        return self._queue.put(("order", record.client_id), partial(rows.put_order, record))
