"""Questions of people are answered from an index, however many decisions there are."""

from pathlib import Path

import pytest

from core.storage import queries
from core.storage.database import Database, Param, Row, open_database

WINDOW = (1_000, 2_000)
SYMBOL = "XRP/USDC:USDC"


class Asked:
    """The queries a question makes, and how SQLite would find the answer."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._database = database
        self._query = database.query
        self.asked: list[tuple[str, tuple[Param, ...]]] = []
        monkeypatch.setattr(database, "query", self._note)

    async def _note(self, sql: str, params: tuple[Param, ...] = ()) -> list[Row]:
        self.asked.append((sql, params))
        return await self._query(sql, params)

    async def plan(self) -> list[str]:
        (asked,) = self.asked  # one question is one query
        self.asked = []
        rows = await self._query(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1])
        return [str(row[3]) for row in rows]


async def test_every_question_has_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await open_database(tmp_path / "bot.paper.db", inline=True)
    asked = Asked(database, monkeypatch)
    await queries.decisions(database, *WINDOW, symbol=SYMBOL)
    assert await asked.plan() == [
        "SEARCH decisions USING INDEX decisions_symbol (symbol=? AND at_ms>? AND at_ms<?)"
    ]
    await queries.decisions(database, *WINDOW)
    assert await asked.plan() == [
        "SEARCH decisions USING INDEX decisions_time (at_ms>? AND at_ms<?)"
    ]
    await queries.closed_trades(database, *WINDOW)
    assert (await asked.plan())[0] == (
        "SEARCH trades USING INDEX trades_closed (closed_ms>? AND closed_ms<?)"
    )
    await queries.last_checkpoint(database)
    assert await asked.plan() == ["SEARCH events USING INDEX events_kind (kind=?)"]
    await queries.critical_alerts(database, *WINDOW)
    assert await asked.plan() == [
        "SEARCH events USING INDEX events_kind (kind=? AND at_ms>? AND at_ms<?)"
    ]
    await queries.events(database, *WINDOW)
    assert await asked.plan() == ["SEARCH events USING INDEX events_time (at_ms>? AND at_ms<?)"]
    await queries.equity_curve(database, *WINDOW)
    assert (await asked.plan())[0].startswith("SEARCH equity USING INDEX sqlite_autoindex_equity_1")
    monkeypatch.undo()
    await database.close()
