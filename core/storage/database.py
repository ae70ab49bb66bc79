"""The only seam to SQL (floor 2b; INV-03, INV-16).

One class, two engines with the same methods: aiosqlite live (its own thread, so the loop never
waits for the disk) and plain sqlite3 inline under simulation (so that the order of events is
decided by the virtual loop alone). SQL and everything above is the same for both.

WAL with full synchronisation: what `write` has returned from survives a power cut.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import aiosqlite

from core.domain.errors import StorageError
from core.kernel.disk import disk
from core.storage.schema import MIGRATIONS

Param = None | int | float | str
Row = tuple[Param, ...]
Statement = tuple[str, Sequence[Param]]

_BUSY_MS = 5_000
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
_ROLLBACK_S = 2.0
_FAILURES = {
    "SQLITE_FULL": "database or disk is full",
    "SQLITE_READONLY": "attempt to write a readonly database",
    "SQLITE_IOERR": "disk I/O error",
    "SQLITE_BUSY": "database is locked",
}


class RowRefused(StorageError):
    """SQLite cannot store this value in this place; trying again cannot help."""


class SchemaTooNew(StorageError):
    """The file was written by a newer version of the program."""


class _Damaged(Exception):
    """The file is not a sound database."""


class Engine(Protocol):
    """One connection in autocommit mode."""

    async def run(self, sql: str, params: Sequence[Param]) -> int: ...

    async def run_many(self, sql: str, rows: Sequence[Sequence[Param]]) -> int: ...

    async def fetch(self, sql: str, params: Sequence[Param]) -> list[Row]: ...

    async def close(self) -> None: ...


class InlineEngine:
    """sqlite3 in the caller's thread."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        address = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._path = path
        self._disk = disk()
        self._connection = sqlite3.connect(address, isolation_level=None, uri=True)

    async def run(self, sql: str, params: Sequence[Param]) -> int:
        self._ask_disk(sql)
        return self._connection.execute(sql, params).rowcount

    async def run_many(self, sql: str, rows: Sequence[Sequence[Param]]) -> int:
        self._ask_disk(sql)
        return self._connection.executemany(sql, rows).rowcount

    async def fetch(self, sql: str, params: Sequence[Param]) -> list[Row]:
        self._ask_disk(sql)
        return self._connection.execute(sql, params).fetchall()

    async def close(self) -> None:
        self._connection.close()

    def _ask_disk(self, sql: str) -> None:
        refusal = self._disk.statement(self._path, sql)
        if refusal:
            error = sqlite3.OperationalError(_FAILURES[refusal])
            error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, refusal), refusal
            raise error


class ThreadEngine:
    """aiosqlite: the same calls in a thread of their own."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @staticmethod
    async def connect(path: Path) -> "ThreadEngine":
        return ThreadEngine(await aiosqlite.connect(path, isolation_level=None))

    async def run(self, sql: str, params: Sequence[Param]) -> int:
        return (await self._connection.execute(sql, params)).rowcount

    async def run_many(self, sql: str, rows: Sequence[Sequence[Param]]) -> int:
        return (await self._connection.executemany(sql, rows)).rowcount

    async def fetch(self, sql: str, params: Sequence[Param]) -> list[Row]:
        return [tuple(row) for row in await self._connection.execute_fetchall(sql, params)]

    async def close(self) -> None:
        # Ends the thread too, also when cancelled: left open, it would keep the process alive.
        await self._connection.close()


class Database:
    """Transactions, queries and backup over one connection.

    `set_aside` names the damaged file that was moved away when the database was opened. Every call
    raises StorageError when SQLite refuses or does not answer within `timeout` seconds.
    """

    def __init__(
        self, path: Path, engine: Engine, *, set_aside: Path | None = None, timeout: float = 30.0
    ) -> None:
        self.path = path
        self.set_aside = set_aside
        self._engine = engine
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._closed = False

    async def execute(self, sql: str, params: Sequence[Param] = ()) -> int:
        """One statement, durable when it returns; the number of rows it changed."""
        async with self._exclusive():
            return await self._engine.run(sql, params)

    async def write(self, statements: Iterable[Statement]) -> int:
        """All of `statements` or none, durable when it returns; the number of rows changed.

        Statements of equal text are run together, in the order of their first; they must not
        depend on others in between.
        """
        groups: dict[str, list[Sequence[Param]]] = {}
        for sql, params in statements:
            groups.setdefault(sql, []).append(params)
        if not groups:
            return 0
        async with self._exclusive(), self._transaction():
            changed = 0
            for sql, rows in groups.items():
                if len(rows) == 1:
                    changed += await self._engine.run(sql, rows[0])
                else:
                    changed += await self._engine.run_many(sql, rows)
        return changed

    async def query(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        """All rows of a SELECT."""
        async with self._exclusive():
            return await self._engine.fetch(sql, params)

    async def backup(self, path: Path) -> None:
        """A consistent copy at `path`, complete or not there at all; replaces an older one."""
        draft = path.with_name(f"{path.name}.part")
        try:
            draft.unlink(missing_ok=True)
            async with self._exclusive():
                await self._engine.run("VACUUM INTO ?", (str(draft),))
            draft.chmod(0o600)
            draft.replace(path)
        except OSError as error:
            raise StorageError(f"backup {path}: {error.strerror}") from error

    async def close(self) -> None:
        """Close the connection and end its thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(self._timeout):
                await self._engine.close()
        except TimeoutError as error:
            raise StorageError(f"database {self.path}: did not close in time") from error
        except sqlite3.Error as error:
            raise StorageError(f"database {self.path}: {error}") from error

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Turn on the connection, with its errors translated."""
        try:
            async with asyncio.timeout(self._timeout), self._turn:
                if self._closed:
                    raise StorageError(f"database {self.path}: is closed")
                yield
        except TimeoutError as error:
            raise StorageError(
                f"database {self.path}: no answer within {self._timeout:g} s"
            ) from error
        except _REFUSALS as error:
            raise RowRefused(f"database {self.path}: {error}") from error
        except sqlite3.Error as error:
            raise StorageError(f"database {self.path}: {error}") from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:
            await self._engine.run("BEGIN IMMEDIATE", ())
            yield
            await self._engine.run("COMMIT", ())
        except BaseException:
            # Cancellation included: the thread may have begun what we no longer wait for. Where
            # nothing was begun, or all was committed, SQLite answers that there is no transaction.
            with suppress(sqlite3.OperationalError, TimeoutError):
                async with asyncio.timeout(_ROLLBACK_S):
                    await self._engine.run("ROLLBACK", ())
            raise


async def open_database(
    path: Path,
    inline: bool,  # noqa: FBT001 - the one choice of a caller, read at the call as inline=
    *,
    durable: bool = True,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
    timeout: float = 30.0,
) -> Database:
    """Open, check and migrate the database at `path`, creating it when missing.

    A damaged file is moved to `<name>.damaged-NNN` and an empty database takes its place; the
    caller reports `set_aside`. `durable=False` leaves flushing to the system, for simulations.
    Raises SchemaTooNew, and StorageError when the file cannot be opened.
    """
    set_aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            engine = await _open_sound(path, inline=inline, durable=durable)
        except _Damaged:
            set_aside = _move_away(path)
            engine = await _open_sound(path, inline=inline, durable=durable)
    except OSError as error:
        raise StorageError(f"database {path}: {error.strerror}") from error
    except (sqlite3.Error, _Damaged) as error:
        raise StorageError(f"database {path}: {error}") from error
    database = Database(path, engine, set_aside=set_aside, timeout=timeout)
    try:
        await _migrate(database, migrations)
    except BaseException:
        await database.close()
        raise
    return database


async def open_reader(path: Path, *, timeout: float = 30.0) -> Database:
    """The database of a daemon that may be running, to read only: nothing is created, checked,
    migrated or moved. Raises StorageError when there is none of this version."""
    try:
        engine = InlineEngine(path, read_only=True)
    except sqlite3.Error:
        raise StorageError(f"database {path}: there is none to read") from None
    database = Database(path, engine, timeout=timeout)
    try:
        await _check_version(database)
    except BaseException:
        await database.close()
        raise
    return database


async def _check_version(database: Database) -> None:
    version = (await database.query("PRAGMA user_version"))[0][0]
    if version != len(MIGRATIONS):
        raise StorageError(
            f"database {database.path}: has schema {version}, this version reads "
            f"{len(MIGRATIONS)}; start the daemon once to bring it up to date"
        )


async def _open_sound(path: Path, *, inline: bool, durable: bool) -> Engine:
    # SQLite would create it readable by everyone, and gives its side files the same mode.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    engine: Engine = InlineEngine(path) if inline else await ThreadEngine.connect(path)
    try:
        await engine.fetch(f"PRAGMA busy_timeout = {_BUSY_MS}", ())
        await engine.fetch("PRAGMA journal_mode = WAL", ())
        await engine.run(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}", ())
        await _check(engine)
    except sqlite3.DatabaseError as error:
        await engine.close()
        if (error.sqlite_errorcode & 0xFF) in _CORRUPT:
            raise _Damaged(str(error)) from error
        raise
    except BaseException:
        await engine.close()
        raise
    return engine


async def _check(engine: Engine) -> None:
    verdict = await engine.fetch("PRAGMA integrity_check(1)", ())
    if verdict != [("ok",)]:
        raise _Damaged(f"integrity check: {verdict[0][0]}")


def _move_away(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number:03d}")).exists():
        number += 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(target.with_name(target.name + suffix))
    return target


async def _migrate(database: Database, migrations: Sequence[Sequence[str]]) -> None:
    version = (await database.query("PRAGMA user_version"))[0][0]
    if not isinstance(version, int) or version > len(migrations):
        raise SchemaTooNew(
            f"database {database.path}: has schema {version}, this version knows up to "
            f"{len(migrations)}; run the newer version or choose another data folder"
        )
    if 0 < version < len(migrations):
        await database.backup(database.path.with_name(f"{database.path.name}.v{version}.bak"))
    for number, statements in enumerate(migrations[version:], version + 1):
        steps: list[Statement] = [(sql, ()) for sql in statements]
        await database.write([*steps, (f"PRAGMA user_version = {number}", ())])
