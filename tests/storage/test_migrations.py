"""From every earlier schema to the present one: rows kept, a copy of before, one line for newer."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from core.domain.enums import ExitReason
from core.kernel.clock import LiveClock
from core.storage import queries
from core.storage.database import SchemaTooNew, open_database, open_reader
from core.storage.journal import Journal
from core.storage.schema import MIGRATIONS
from core.storage.write_queue import WriteQueue

FIXTURES = Path(__file__).parent / "fixtures"
EARLIER = range(1, len(MIGRATIONS))
ALL = (0, 1 << 62)


def of_version(number: int, path: Path) -> Path:
    """A database as that release left it."""
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / f"v{number}.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


def shape(path: Path) -> list[tuple[str, ...]]:
    """Tables with their columns, indexes and views, by name."""
    connection = sqlite3.connect(path)
    found = []
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2"):
        columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
        found.append((kind, name, *(f"{row[1]} {row[2]} {row[3]} {row[5]}" for row in columns)))
    connection.close()
    return found


@pytest.mark.parametrize("number", EARLIER)
async def test_every_row_survives(number: int, tmp_path: Path, inline: bool) -> None:
    path = of_version(number, tmp_path / "bot.paper.db")
    database = await open_database(path, inline=inline)
    assert await database.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
    (closed,) = await queries.closed_trades(database, *ALL)
    assert (closed.trade_id, closed.net, closed.risk) == ("e1", Decimal("0.72"), Decimal("3.000"))
    assert closed.exit_reason is ExitReason.TAKE_PROFIT
    assert closed.why == "EMA über 50 ✓"
    state = await Journal(database, WriteQueue(database, LiveClock(), print)).load()
    assert [trade.trade_id for trade in state.trades] == ["e2"]
    assert sorted(order.client_id for order in state.orders) == [
        "ucb-bot1-scv1-en0-e2-0",
        "ucb-bot1-scv1-sl0-e2s-0",
    ]
    assert [fill.trade_id for fill in state.fills] == [8]
    assert len(await queries.decisions(database, *ALL)) == 1
    assert len(await queries.equity_curve(database, *ALL)) == 1
    assert await queries.last_checkpoint(database) == (1_700_000_000_500, 12, "ab" * 32)
    assert await queries.critical_alerts(database, *ALL) == 1
    await database.close()


@pytest.mark.parametrize("number", EARLIER)
async def test_it_becomes_what_a_new_one_is(number: int, tmp_path: Path, inline: bool) -> None:
    path = of_version(number, tmp_path / "old.db")
    await (await open_database(path, inline=inline)).close()
    await (await open_database(tmp_path / "new.db", inline=inline)).close()
    assert shape(path) == shape(tmp_path / "new.db")


@pytest.mark.parametrize("number", EARLIER)
async def test_the_copy_of_before_is_the_database_of_before(
    number: int, tmp_path: Path, inline: bool
) -> None:
    path = of_version(number, tmp_path / "bot.paper.db")
    before = sorted(sqlite3.connect(path).iterdump())
    await (await open_database(path, inline=inline)).close()
    copy = tmp_path / f"bot.paper.db.v{number}.bak"
    assert sorted(sqlite3.connect(copy).iterdump()) == before
    assert sqlite3.connect(copy).execute("PRAGMA user_version").fetchone() == (number,)


@pytest.mark.parametrize("number", EARLIER)
async def test_a_tool_does_not_migrate(number: int, tmp_path: Path) -> None:
    path = of_version(number, tmp_path / "bot.paper.db")
    with pytest.raises(Exception, match="start the daemon once") as caught:
        await open_reader(path)
    assert "\n" not in str(caught.value)
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (number,)


async def test_a_newer_one_is_refused_in_one_line(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "bot.paper.db"
    await (await open_database(path, inline=inline)).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew) as caught:
        await open_database(path, inline=inline)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert not (tmp_path / f"{path.name}.v{len(MIGRATIONS) + 1}.bak").exists()


def test_every_earlier_version_has_a_database_here() -> None:
    assert sorted(path.name for path in FIXTURES.glob("v*.sql")) == [f"v{n}.sql" for n in EARLIER]
