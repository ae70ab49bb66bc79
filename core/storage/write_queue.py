"""The one ordered way into the database (floor 2b; INV-03, INV-09, INV-16).

Everything to be stored is queued at the moment it is said, so rows reach the disk in that order;
whoever needs durability waits for its own mark, and one transaction serves everyone who waits.
Rows of the same key (one order, one trade) replace each other while they wait, and are made when
they are written: who says something on the way of a fill does not wait for its text.

Bounds. State of orders, trades and fills is never dropped: it is at most one row per order and
trade plus the fills since the last successful write, and no new order can leave while writing
fails, because its own intent has to be written first. Observations (decisions, events, equity) are
dropped, and counted, when more than `limit` of them wait.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from core.domain.errors import StorageError
from core.domain.ports import Clock
from core.storage.database import Database, RowRefused, Statement

_LINGER_S = 0.005
Made = Statement | Callable[[], Statement]
"""A row, or what makes it when it is written: state that moves on is written as it is by then."""
Trouble = Callable[[str], None]
"""Told in one line that storing fails, or works again."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Key of an observation: never the same twice, so nothing is coalesced."""

    number: int


class WriteQueue:
    """Ordered, coalescing queue in front of one database. `run` empties it in the background."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        on_trouble: Trouble,
        *,
        limit: int = 10_000,
        retry_s: float = 1.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_trouble = on_trouble
        self._limit = limit
        self._retry_s = retry_s
        self._pending: dict[Hashable, Made] = {}
        self._observations = 0
        self._mark = 0
        self._written = 0
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Rows that wait to be written."""
        return len(self._pending)

    def is_pending(self, key: Hashable) -> bool:
        return key in self._pending

    def put(self, key: Hashable, made: Made) -> int:
        """Queue the newest state of `key`; returns the mark to wait for."""
        self._mark += 1
        self._pending[key] = made
        if not self._wake.is_set():
            self._wake.set()
        return self._mark

    def observe(self, made: Made) -> None:
        """Queue a row the daemon can live without; dropped and counted when too many wait."""
        if self._observations >= self._limit:
            self.dropped += 1
            return
        self._observations += 1
        self.put(_Seen(self._mark), made)

    async def settle(self, mark: int | None = None) -> None:
        """Return once everything up to `mark` (default: so far) is durable. Raises StorageError."""
        target = self._mark if mark is None else mark
        while self._written < target:
            async with self._turn:
                if self._written < target:
                    await self._drain()

    async def settle_with(self, statement: Statement) -> int:
        """Everything so far, then `statement` in a transaction of its own: rows it changed."""
        async with self._turn:
            await self._drain()
            return await self._database.write([statement])

    async def run(self) -> None:
        """Write what is queued until cancelled. A failing disk is reported once and retried."""
        failing = False
        while True:
            await self._wake.wait()
            # Whoever waits for the disk goes first: its transaction takes these rows along.
            await self._clock.sleep(_LINGER_S)
            self._wake.clear()
            try:
                await self.settle()
            except StorageError as error:
                if not failing:
                    self._on_trouble(f"{error}; {self.backlog} rows wait")
                failing = True
                self._wake.set()
                await self._clock.sleep(self._retry_s)
                continue
            if failing:
                self._on_trouble("writing to the database works again")
            failing = False

    async def _drain(self) -> None:
        batch, self._pending = self._pending, {}
        observations, self._observations = self._observations, 0
        covers = self._mark
        try:
            try:
                await self._database.write([_statement(made) for made in batch.values()])
            except RowRefused as error:
                # An observation must not stand in the way of an order.
                state = {key: row for key, row in batch.items() if not isinstance(key, _Seen)}
                if len(state) == len(batch):
                    raise
                self.dropped += len(batch) - len(state)
                self._on_trouble(f"{error}; {len(batch) - len(state)} observations dropped")
                batch, observations = state, 0
                await self._database.write([_statement(made) for made in batch.values()])
        except BaseException:
            # Kept in their order; what was said meanwhile about the same key is newer and wins.
            self._pending = {**batch, **self._pending}
            self._observations += observations
            raise
        self._written = covers


def _statement(made: Made) -> Statement:
    return made() if callable(made) else made
