"""The SQL seam: both engines behave alike, and no file is lost or trusted blindly."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core.kernel.clock import LiveClock
from core.storage.database import (
    Database,
    RowRefused,
    SchemaTooNew,
    StorageError,
    open_database,
    open_reader,
)
from core.storage.schema import MIGRATIONS

ROOT = Path(__file__).resolve().parents[2]
ADD = "INSERT INTO events (at_ms, kind, symbol, detail) VALUES (?, 'k', '', ?)"
ALL = "SELECT at_ms, detail FROM events ORDER BY id"


async def test_write_is_all_or_nothing(database: Database) -> None:
    assert await database.write([(ADD, (1, "a")), (ADD, (2, "b"))]) == 2
    with pytest.raises(RowRefused):
        await database.write([(ADD, (3, "c")), (ADD, ("not a time", "d"))])
    assert await database.query(ALL) == [(1, "a"), (2, "b")]


async def test_execute_counts_the_rows_it_changed(database: Database) -> None:
    await database.write([(ADD, (1, "a")), (ADD, (2, "b"))])
    assert await database.execute("UPDATE events SET detail = 'z' WHERE at_ms > ?", (1,)) == 1
    assert await database.execute("UPDATE events SET detail = 'z' WHERE at_ms > ?", (9,)) == 0


async def test_survives_reopening_with_full_synchronisation(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "new folder" / "bot.paper.db"
    database = await open_database(path, inline=inline)
    assert await database.query("PRAGMA journal_mode") == [("wal",)]
    assert await database.query("PRAGMA synchronous") == [(2,)]
    await database.execute(ADD, (1, "kept"))
    await database.close()
    await database.close()
    again = await open_database(path, inline=not inline)
    assert await again.query(ALL) == [(1, "kept")]
    assert again.set_aside is None
    await again.close()


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
async def test_only_the_owner_may_read_any_of_its_files(database: Database) -> None:
    await database.execute(ADD, (1, "x"))
    await database.backup(database.path.with_name("copy.db"))
    modes = {f.name: f.stat().st_mode & 0o777 for f in database.path.parent.iterdir()}
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("content", [b"not a database at all" * 500, None], ids=["foreign", "torn"])
async def test_a_damaged_file_is_set_aside_and_replaced(
    tmp_path: Path, inline: bool, content: bytes | None
) -> None:
    path = tmp_path / "bot.paper.db"
    if content is None:
        first = await open_database(path, inline=True)
        await first.write([(ADD, (n, "x" * 3000)) for n in range(200)])
        await first.close()
        raw = bytearray(path.read_bytes())
        raw[4096 * 20 : 4096 * 60] = b"\xaa" * (4096 * 40)
        content = bytes(raw)
    path.write_bytes(content)
    database = await open_database(path, inline=inline)
    assert database.set_aside == tmp_path / "bot.paper.db.damaged-001"
    assert database.set_aside.read_bytes() == content
    assert await database.query(ALL) == []
    await database.close()


async def test_a_locked_file_is_not_mistaken_for_a_damaged_one(
    database: Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    await database.query("PRAGMA busy_timeout = 1")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"):
        await database.execute(ADD, (1, "x"))
    other.execute("ROLLBACK")
    other.close()
    await database.execute(ADD, (2, "y"))
    assert await database.query(ALL) == [(2, "y")]


async def test_a_newer_schema_is_refused_in_one_line(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "bot.paper.db"
    newer = await open_database(path, inline=inline, migrations=(*MIGRATIONS, ("SELECT 1",)))
    await newer.close()
    with pytest.raises(SchemaTooNew) as caught:
        await open_database(path, inline=inline)
    assert "\n" not in str(caught.value)
    assert f"has schema {len(MIGRATIONS) + 1}" in str(caught.value)


async def test_migrating_keeps_the_data_and_a_copy_of_before(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "bot.paper.db"
    old = await open_database(path, inline=inline)
    await old.execute(ADD, (1, "kept"))
    await old.close()
    step = ("ALTER TABLE events ADD COLUMN extra TEXT",)
    new = await open_database(path, inline=inline, migrations=(*MIGRATIONS, step))
    assert await new.query("SELECT detail, extra FROM events") == [("kept", None)]
    await new.close()
    copy = await open_database(tmp_path / f"bot.paper.db.v{len(MIGRATIONS)}.bak", inline=inline)
    assert await copy.query(ALL) == [(1, "kept")]
    await copy.close()


async def test_a_failing_migration_leaves_the_old_schema(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "bot.paper.db"
    await (await open_database(path, inline=inline)).close()
    step = ("CREATE TABLE half (x)", "NONSENSE")
    with pytest.raises(StorageError):
        await open_database(path, inline=inline, migrations=(*MIGRATIONS, step))
    again = await open_database(path, inline=inline)
    assert await again.query("SELECT name FROM sqlite_master WHERE name = 'half'") == []
    await again.close()


async def test_backup_is_complete_and_replaces_an_older_one(database: Database) -> None:
    target = database.path.with_name("copy.db")
    await database.execute(ADD, (1, "a"))
    await database.backup(target)
    await database.execute(ADD, (2, "b"))
    await database.backup(target)
    copy = sqlite3.connect(target)
    assert copy.execute(ALL).fetchall() == [(1, "a"), (2, "b")]
    copy.close()
    with pytest.raises(StorageError):
        await database.backup(database.path.with_name("missing") / "copy.db")


async def test_a_cancelled_write_leaves_no_open_transaction(database: Database) -> None:
    for yields in range(12):
        write = asyncio.ensure_future(database.write([(ADD, (yields, "a")), (ADD, (yields, "b"))]))
        for _ in range(yields):
            await LiveClock().sleep(0)
        write.cancel()
        await asyncio.gather(write, return_exceptions=True)
        await database.execute(ADD, (100 + yields, "after"))
    rows = await database.query("SELECT at_ms, COUNT(*) FROM events GROUP BY at_ms")
    counts = {int(str(at)): count for at, count in rows}
    assert all(counts.get(yields, 0) in (0, 2) for yields in range(12))
    assert all(counts[100 + yields] == 1 for yields in range(12))


async def test_concurrent_writes_do_not_share_a_transaction(database: Database) -> None:
    bad = database.write([(ADD, (1, "a")), (ADD, ("no time", "b"))])
    good = [database.write([(ADD, (n, "c"))]) for n in range(2, 22)]
    results = await asyncio.gather(bad, *good, return_exceptions=True)
    assert isinstance(results[0], RowRefused)
    assert [row[0] for row in await database.query(ALL)] == list(range(2, 22))


async def test_closed_means_closed(tmp_path: Path, inline: bool) -> None:
    database = await open_database(tmp_path / "bot.paper.db", inline=inline)
    await database.close()
    with pytest.raises(StorageError, match="is closed"):
        await database.query(ALL)


async def test_an_unusable_folder_is_one_line(tmp_path: Path, inline: bool) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Not a directory|File exists|No such"):
        await open_database(tmp_path / "file" / "bot.db", inline=inline)


@pytest.mark.parametrize("ending", ["await database.close()", "raise RuntimeError('boom')"])
def test_the_process_ends_when_the_database_is_closed(tmp_path: Path, ending: str) -> None:
    script = f"""
import asyncio
from pathlib import Path
from core.storage.database import open_database
async def main():
    database = await open_database(Path({str(tmp_path / "bot.db")!r}), inline=False)
    try:
        await database.query("SELECT 1")
        {ending}
    finally:
        await database.close()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, timeout=30, capture_output=True, check=False
    )
    assert done.returncode == (0 if "close" in ending else 1)


async def test_reader_sees_rows_and_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bot.paper.db"
    with pytest.raises(StorageError, match="none to read"):
        await open_reader(path)
    assert not path.exists()
    writer = await open_database(path, inline=True)
    await writer.execute("INSERT INTO events (at_ms, kind, symbol, detail) VALUES (1, 'a', '', '')")
    reader = await open_reader(path)
    assert await reader.query("SELECT kind FROM events") == [("a",)]
    with pytest.raises(StorageError, match="readonly"):
        await reader.execute("DELETE FROM events")
    await reader.close()
    await writer.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="schema 99"):
        await open_reader(path)
    await writer.close()
