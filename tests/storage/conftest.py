"""Databases of both engines for the storage tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.kernel.clock import LiveClock
from core.storage.database import Database, open_database
from core.storage.journal import Journal
from core.storage.write_queue import WriteQueue


@pytest.fixture(params=[True, False], ids=["inline", "aiosqlite"])
def inline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def database(tmp_path: Path, inline: bool) -> AsyncIterator[Database]:
    opened = await open_database(tmp_path / "bot.paper.db", inline=inline)
    yield opened
    await opened.close()


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def queue(database: Database, troubles: list[str]) -> WriteQueue:
    return WriteQueue(database, LiveClock(), troubles.append, limit=50, retry_s=0.001)


@pytest.fixture
def journal(database: Database, queue: WriteQueue) -> Journal:
    return Journal(database, queue)
