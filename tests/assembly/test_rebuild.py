"""A damaged database comes back from the audit log, and what is open goes on being looked after."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from support.application import config_in, with_application
from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.app import Application
from core.audit_logger import AuditLogger
from core.domain.enums import Direction, ExitReason, Severity
from core.domain.facts import Alert, PositionOpened, TradeClosed
from core.domain.position import Trade
from core.kernel.clock import SimulatedClock
from core.observe.analytics import Performance, analyse
from core.observe.audit_trail import AuditTrail
from core.storage import queries
from core.storage.audit_verify import verify
from core.storage.database import open_database
from core.storage.rebuild import Rebuilt, rebuild

ALL = (0, 1 << 62)


def damage(path: Path) -> None:
    """Every page but the first is noise: the name still says database, nothing else does."""
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + bytes(byte ^ 0x5A for byte in raw[4096:]))


async def performance(path: Path) -> tuple[Performance, list[Trade]]:
    database = await open_database(path, inline=True)
    assert database.set_aside is None
    trades = await queries.closed_trades(database, *ALL)
    await database.close()
    return analyse(trades, Decimal(400)), trades


async def mend(path: Path, audit: Path, venue: str = "paper") -> Rebuilt:
    database = await open_database(path, inline=True)
    assert database.set_aside is not None
    found = await rebuild(database, audit, venue)
    await database.close()
    return found


async def heard(world: World) -> Daemon:
    """A daemon whose decisions and episodes are audited as the application does it."""
    daemon = await world.daemon()
    AuditTrail(daemon.audit, {}).listen(daemon.dispatcher)
    return daemon


async def trade_once(world: World, daemon: Daemon, number: int, direction: Direction) -> None:
    entry = approved(direction, number=number)
    before = len(daemon.of(PositionOpened))
    assert await daemon.orders.place_order(entry)
    await world.wait(lambda: len(daemon.of(PositionOpened)) > before)


async def end_once(world: World, daemon: Daemon, price: str) -> None:
    before = len(daemon.of(TradeClosed))
    world.feed.push(WIRE, price)
    await world.wait(lambda: len(daemon.of(TradeClosed)) > before)
    world.feed.push(WIRE, "2.0000")
    await world.clock.sleep(1)


def test_history_is_the_same_and_the_open_position_is_managed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        path, audit = tmp_path / "bot.paper.db", tmp_path / "audit.jsonl"
        daemon = await heard(world)
        for number, (direction, ends_at) in enumerate(
            [(Direction.LONG, "1.9750"), (Direction.SHORT, "1.9600"), (Direction.LONG, "2.0400")]
        ):
            await trade_once(world, daemon, number, direction)
            await end_once(world, daemon, ends_at)
        await trade_once(world, daemon, 9, Direction.LONG)
        await daemon.stop()
        before, rows = await performance(path)
        assert (before.trades, before.stops) == (3, 1)
        damage(path)
        found = await mend(path, audit)
        assert (found.trades, found.open_trades, found.decisions, found.broken) == (4, 1, 4, "")
        after, back = await performance(path)
        assert after == before
        for old, new in zip(rows, back, strict=True):
            assert replace(new, created_ms=old.created_ms) == old

        again = await heard(world)  # on the database that was made anew
        (held,) = again.orders.get_active_positions()
        assert (held.symbol, held.strategy, held.quantity) == (SYMBOL, "scalping_v1", 100)
        assert world.stops() == 100
        assert len(world.paper.open_algo_orders()) == 4
        assert [a for a in again.alerts() if "CRITICAL" in a] == []
        report = await again.orders.close_position(SYMBOL, ExitReason.MANUAL)
        assert report.closed, report.detail
        assert world.paper.open_algo_orders() == []
        await again.stop()
        total, _ = await performance(path)
        assert total.trades == 4
        assert total.net == world.wallet_change()

    in_world(tmp_path, story)


def test_no_open_order_of_the_lost_database_is_sent_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await heard(world)
        await trade_once(world, daemon, 1, Direction.LONG)
        await end_once(world, daemon, "1.9750")
        await daemon.stop()
        damage(tmp_path / "bot.paper.db")
        await mend(tmp_path / "bot.paper.db", tmp_path / "audit.jsonl")
        again = await heard(world)
        assert await again.orders.place_order(approved(number=1)) == ""  # decided and sent before
        await again.stop()
        assert world.position() == 0

    in_world(tmp_path, story)


def test_what_another_venue_did_stays_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await heard(world)
        await trade_once(world, daemon, 1, Direction.LONG)
        await end_once(world, daemon, "1.9750")
        await daemon.stop()
        damage(tmp_path / "bot.paper.db")
        found = await mend(tmp_path / "bot.paper.db", tmp_path / "audit.jsonl", "prod")
        assert (found.trades, found.orders, found.records) == (0, 0, 0)

    in_world(tmp_path, story)


def test_a_broken_audit_log_is_used_as_far_as_it_holds(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await heard(world)
        for number in (1, 2):
            await trade_once(world, daemon, number, Direction.LONG)
            await end_once(world, daemon, "1.9750")
        await daemon.stop()
        audit = tmp_path / "audit.jsonl"
        lines = audit.read_bytes().splitlines(keepends=True)
        closed = [n for n, line in enumerate(lines) if b'"position.closed"' in line]
        lines[closed[0] + 1] = lines[closed[0] + 1].replace(b'"seq":', b'"seq": ')
        audit.write_bytes(b"".join(lines))
        damage(tmp_path / "bot.paper.db")
        found = await mend(tmp_path / "bot.paper.db", audit)
        assert found.trades == 1
        assert f"audit.jsonl line {closed[0] + 2} edited" in found.text

    in_world(tmp_path, story)


async def test_records_of_tools_and_of_older_releases_do_no_harm(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl", venue="paper")
    for action in ("order.intent", "order.filled", "order.fill", "decision.enter", "alert"):
        log.write({"action": action, "client_id": "by hand", "symbol": SYMBOL})
    log.write({"action": "position.closed", "trade_id": "x", "side": "LONG", "quantity": "many"})
    log.close()
    (tmp_path / "bot.paper.db").write_bytes(b"nothing of the kind" * 300)
    found = await mend(tmp_path / "bot.paper.db", tmp_path / "audit.jsonl")
    assert (found.records, found.orders, found.fills) == (6, 0, 0)


async def test_without_an_audit_log_it_is_empty_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bot.paper.db"
    path.write_bytes(b"nothing of the kind" * 300)
    found = await mend(path, tmp_path / "audit.jsonl")
    assert found == Rebuilt(0, 0, 0, 0, 0, 0)


def test_the_application_mends_reports_and_goes_on(tmp_path: Path) -> None:
    """Hours of real trading, pages of noise, the next start: same figures, told aloud."""
    config = config_in(
        tmp_path, PAPER_SEED=5, TIMEFRAME="1m", MAX_HOLD_MINUTES=10, SYMBOLS="XRPUSDC"
    )
    path = tmp_path / "data" / "bot.paper.db"

    async def hours(app: Application, clock: SimulatedClock) -> None:
        await clock.sleep(2 * 3_600)

    assert with_application(config, hours) == 0
    before, _ = asyncio.run(performance(path))
    assert before.trades >= 2, "a run without trades proves nothing"
    equity = asyncio.run(rows_of(path, "SELECT COUNT(*) FROM equity"))
    damage(path)

    async def look(app: Application, clock: SimulatedClock) -> None:
        await clock.sleep(60)

    assert with_application(config, look) == 0
    trades = asyncio.run(performance(path))[0]
    assert trades == before
    assert path.with_name("bot.paper.db.damaged-001").exists()
    assert 2 <= asyncio.run(rows_of(path, "SELECT COUNT(*) FROM equity")) < equity
    alerts = asyncio.run(alerts_of(path))
    assert [a["severity"] for a in alerts if a["key"] == "storage:rebuilt"] == [Severity.CRITICAL]
    log = "".join(p.read_text() for p in (tmp_path / "logs").glob("bot_*.log"))
    assert f"{before.trades} trades" in log
    assert verify([tmp_path / "logs" / "audit.jsonl"], whole=False).bad is None


async def rows_of(path: Path, sql: str) -> int:
    database = await open_database(path, inline=True)
    found = (await database.query(sql))[0][0]
    await database.close()
    return int(found or 0)


async def alerts_of(path: Path) -> list[dict[str, str]]:
    database = await open_database(path, inline=True)
    found = await queries.events(database, *ALL, kind=Alert.__name__)
    await database.close()
    return [json.loads(event.detail) for event in found]
