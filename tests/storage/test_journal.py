"""The journal: durable, ordered, idempotent, exact."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_builders import fill, intent, order, trade

from core.domain.enums import ExitReason, OrderStatus, Purpose
from core.domain.errors import StorageError
from core.kernel.clock import LiveClock
from core.storage.database import Database, open_database
from core.storage.journal import Journal
from core.storage.write_queue import WriteQueue

COUNT = "SELECT COUNT(*) FROM {}"


async def on_disk(database: Database) -> Journal:
    """A second journal on the same file: sees only what is durable."""
    return Journal(database, WriteQueue(database, LiveClock(), lambda _: None))


async def test_what_was_recorded_comes_back_equal(journal: Journal, database: Database) -> None:
    book, entry, stop = trade(), intent(), intent("sl1", "e1", Purpose.STOP)
    entered, stopped = order(entry), order(stop)
    await journal.record_trade(book, entry)
    await journal.record_attempt(entered)
    await journal.record_attempt(stopped)
    book.book(fill(7))
    book.unprotected_ms = 312.5
    entered.status, entered.executed, entered.order_id = OrderStatus.FILLED, Decimal("40.0"), 99
    stopped.algo_id, stopped.reject_code, stopped.reject_text = 5, -2021, "would \ud800 trigger"
    journal.note_fill(fill(7), "e1")
    journal.note_trade(book)
    journal.note_order(entered)
    journal.note_order(stopped)
    await journal.flush()
    state = await (await on_disk(database)).load()
    assert state.trades == [book]
    assert str(state.trades[0].reference_price) == "0.51230"
    assert state.orders == [entered, replace(stopped, reject_text="would ? trigger")]
    assert state.fills == [fill(7)]


async def test_a_record_is_durable_before_it_returns_and_carries_earlier_notes(
    journal: Journal, database: Database
) -> None:
    await journal.record_trade(trade(), intent())
    journal.note_fill(fill(7), "e1")
    await journal.record_attempt(order(intent()))
    state = await (await on_disk(database)).load()
    assert len(state.orders) == 1
    assert state.fills == [fill(7)]


async def test_recording_twice_changes_nothing(journal: Journal, database: Database) -> None:
    book = trade()
    await journal.record_trade(book, intent())
    book.book(fill(7))
    journal.note_trade(book)
    await journal.record_trade(trade(), intent())  # a repetition knows nothing of the fill
    assert (await journal.load()).trades == [book]
    for table in ("trades", "intents"):
        assert await database.query(COUNT.format(table)) == [(1,)]


async def test_a_fill_is_unique_by_symbol_and_trade_id(journal: Journal) -> None:
    await journal.record_trade(trade(), intent())
    journal.note_fill(fill(7), "e1")
    await journal.flush()
    journal.note_fill(fill(7), "e1")
    journal.note_fill(fill(8), "e1")
    journal.note_fill(msgspec.structs.replace(fill(7), symbol="ADA/USDC:USDC"), "e1")
    assert len((await journal.load()).fills) == 3


async def test_close_is_true_once(journal: Journal) -> None:
    book = trade()
    await journal.record_trade(book, intent())
    await journal.record_attempt(order(intent()))
    journal.note_fill(fill(7), "e1")
    book.closed_ms, book.realized = 1_700_000_009_000, Decimal("1.5")
    results = await asyncio.gather(
        *(journal.record_close(book, ExitReason.TAKE_PROFIT) for _ in range(3))
    )
    assert sorted(results) == [False, False, True]
    journal.note_trade(book)  # a late funding correction must not reopen it
    state = await journal.load()
    assert (state.trades, state.orders, state.fills) == ([], [], [])
    assert await journal.intent_exists("e1")


async def test_closing_an_episode_never_recorded_still_counts_once(journal: Journal) -> None:
    assert await journal.record_close(trade("adopted"), ExitReason.FOREIGN)
    assert not await journal.record_close(trade("adopted"), ExitReason.FOREIGN)


async def test_intent_exists_before_and_after_it_is_written(journal: Journal) -> None:
    assert not await journal.intent_exists("e1")
    journal.note_order(order(intent()))
    assert await journal.intent_exists("e1")
    await journal.flush()
    assert await journal.intent_exists("e1")


async def test_a_state_is_what_it_was_when_it_was_said(
    journal: Journal, database: Database
) -> None:
    await journal.record_trade(trade(), intent())
    record = order(intent())
    recording = asyncio.ensure_future(journal.record_attempt(record))
    await LiveClock().sleep(0)
    record.status = OrderStatus.LIVE
    journal.note_order(record)  # said after the attempt, while that is on its way to the disk
    await recording
    await journal.flush()
    assert (await journal.load()).orders[0].status is OrderStatus.LIVE


async def test_a_failing_disk_loses_and_reorders_nothing(
    journal: Journal, queue: WriteQueue, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.record_trade(trade(), intent())
    record = order(intent())
    write, failing = database.write, True

    async def flaky(statements: object) -> int:
        if failing:
            raise StorageError("disk full")
        return await write(statements)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(database, "write", flaky)
    journal.note_fill(fill(7), "e1")
    journal.note_order(record)
    with pytest.raises(StorageError, match="disk full"):
        await journal.record_attempt(record)
    record.status = OrderStatus.LIVE
    journal.note_order(record)
    with pytest.raises(StorageError, match="disk full"):
        await journal.flush()
    failing = False
    state = await journal.load()
    assert [r.status for r in state.orders] == [OrderStatus.LIVE]
    assert state.fills == [fill(7)]
    assert queue.backlog == 0


async def test_run_reports_trouble_once_and_recovers(
    journal: Journal, database: Database, troubles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures, tries = database.write, 5, 0
    recovered = asyncio.Event()

    async def flaky(statements: object) -> int:
        nonlocal tries
        tries += 1
        if tries <= failures:
            raise StorageError("disk full")
        recovered.set()
        return await write(statements)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(database, "write", flaky)
    runner = asyncio.ensure_future(journal.run())
    journal.note_fill(fill(7), "e1")
    await asyncio.wait_for(recovered.wait(), 10)
    await journal.flush()
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    assert troubles == ["disk full; 1 rows wait", "writing to the database works again"]
    assert await database.query(COUNT.format("fills")) == [(1,)]


async def test_many_attempts_share_transactions(
    journal: Journal, database: Database, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = database.write, 0

    async def counting(statements: object) -> int:
        nonlocal calls
        calls += 1
        return await write(statements)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(database, "write", counting)
    await asyncio.gather(
        *(journal.record_attempt(order(intent(f"i{n}", "e1"))) for n in range(100))
    )
    assert await database.query(COUNT.format("orders")) == [(100,)]
    assert calls <= (100 if inline else 3)  # inline nobody ever waits for another


async def test_an_unstorable_observation_does_not_stop_an_order(
    journal: Journal, queue: WriteQueue, database: Database, troubles: list[str]
) -> None:
    sql = "INSERT INTO events (at_ms, kind, symbol, detail) VALUES (?, 'k', '', '')"
    queue.observe((sql, ("not a time",)))
    await journal.record_attempt(order(intent()))
    assert await database.query(COUNT.format("orders")) == [(1,)]
    assert (queue.dropped, queue.backlog, len(troubles)) == (1, 0, 1)


async def test_observations_are_bounded_and_state_is_not_dropped(
    journal: Journal, queue: WriteQueue, database: Database
) -> None:
    sql = "INSERT INTO events (at_ms, kind, symbol, detail) VALUES (?, 'k', '', '')"
    for n in range(80):
        queue.observe((sql, (n,)))
        journal.note_fill(fill(n), "e1")
    assert (queue.backlog, queue.dropped) == (50 + 80, 30)
    await journal.flush()
    assert await database.query(COUNT.format("fills")) == [(80,)]
    queue.observe((sql, (1,)))
    await journal.flush()
    assert await database.query(COUNT.format("events")) == [(51,)]


STEPS = st.lists(
    st.tuples(st.sampled_from(["attempt", "order", "flush", "yield"]), st.integers(0, 2)),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_the_last_thing_said_about_an_order_is_what_remains(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the interleaving of durable and quick writes, order by order."""

    async def scenario(path: Path) -> None:
        database = await open_database(path, inline=False, durable=False)
        journal = Journal(database, WriteQueue(database, LiveClock(), lambda _: None))
        await journal.record_trade(trade(), intent())
        records = [order(intent(f"i{n}", "e1")) for n in range(3)]
        said: dict[str, int] = {}
        waiting = []
        for clock, (step, which) in enumerate(steps, 1):
            record = records[which]
            if step in ("attempt", "order"):
                record.updated_ms = clock
                said[record.client_id] = clock
            if step == "attempt":
                waiting.append(asyncio.ensure_future(journal.record_attempt(record)))
                await LiveClock().sleep(0)
            elif step == "order":
                journal.note_order(record)
            elif step == "flush":
                await journal.flush()
            else:
                await LiveClock().sleep(0)
        await asyncio.gather(*waiting)
        found = {r.client_id: r.updated_ms for r in (await journal.load()).orders}
        await database.close()
        assert found == said

    asyncio.run(scenario(tmp_path_factory.mktemp("order") / "bot.db"))
