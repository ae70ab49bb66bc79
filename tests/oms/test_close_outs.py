"""Every way out of a position ends in one trade record and no leftovers (INV-05, INV-09)."""

from decimal import Decimal
from pathlib import Path

from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.domain.enums import ExitReason, ForeignPolicy, Lane
from core.domain.facts import Alert, PositionOpened, ReconcileDone, StopConfirmed, TradeClosed
from core.paper.faults import RestFault, TriggerFault


async def opened(world: World, foreign: ForeignPolicy = ForeignPolicy.IGNORE) -> Daemon:
    daemon = await world.daemon(foreign)
    await daemon.orders.place_order(approved())
    await world.wait(lambda: daemon.of(PositionOpened))
    return daemon


def lose_database(folder: Path) -> None:
    for file in folder.glob("bot.paper.db*"):
        file.unlink()


async def closed(world: World, daemon: Daemon, timeout: float = 60.0) -> TradeClosed:
    await world.wait(lambda: daemon.of(TradeClosed), timeout)
    fact = daemon.of(TradeClosed)[0]
    assert isinstance(fact, TradeClosed)
    assert fact.net == world.wallet_change()
    assert world.position() == 0
    assert world.paper.open_algo_orders() == []
    assert world.paper.open_orders() == []
    assert len(daemon.risk.closed) == 1
    await daemon.stop()
    return fact


def test_a_part_closed_from_the_phone_shrinks_the_stop(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        await daemon.client.create_order(
            SYMBOL,
            "market",
            "sell",
            Decimal(40),
            params={"reduceOnly": True, "newClientOrderId": "web_part"},
        )
        await world.wait(lambda: world.stops() == 60)
        assert world.position() == 60
        world.feed.push(WIRE, "1.9700")
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS

    in_world(tmp_path, story)


def test_a_liquidation_is_accounted_as_such(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.exchange.risk.force(WIRE, "liquidate")
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.LIQUIDATION

    in_world(tmp_path, story)


def test_a_deleveraging_shrinks_or_ends_the_position_and_is_accounted(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.exchange.risk.force(WIRE, "adl")
        await world.wait(lambda: world.stops() == world.position())
        if world.position():
            await daemon.orders.close_position(SYMBOL)
        fact = await closed(world, daemon)
        assert fact.reason in (ExitReason.ADL, ExitReason.MANUAL)

    in_world(tmp_path, story)


def test_funding_is_part_of_the_result(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        await world.clock.sleep(9 * 3600)
        world.feed.push(WIRE, "2.0010")
        await world.clock.sleep(5)
        funding = world.paper.funding_total("USDC")
        assert funding != 0
        await daemon.orders.close_position(SYMBOL)
        fact = await closed(world, daemon)
        assert fact.funding == funding

    in_world(tmp_path, story)


def test_a_stop_rejected_at_its_trigger_ends_in_a_flatten(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.faults.triggers.append(TriggerFault(WIRE))
        world.feed.push(WIRE, "1.9700")
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS

    in_world(tmp_path, story)


def test_a_lost_database_is_no_lost_position(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        before = await opened(world)
        await before.stop()
        lose_database(tmp_path)
        after = await world.daemon()
        await world.wait(after.orders.get_active_positions)
        assert [view.quantity for view in after.orders.get_active_positions()] == [100]
        await world.wait(lambda: world.stops() == 100)
        world.feed.push(WIRE, "1.9700")
        await world.wait(lambda: world.position() == 0)
        await world.wait(lambda: not world.paper.open_algo_orders(), timeout=60)
        await world.wait(lambda: not after.orders.busy(SYMBOL), timeout=60)
        await after.stop()

    in_world(tmp_path, story)


def test_a_foreign_position_is_left_alone_or_adopted_as_configured(tmp_path: Path) -> None:
    async def foreign_long(world: World, policy: ForeignPolicy) -> Daemon:
        daemon = await world.daemon(policy)
        await daemon.client.create_order(
            SYMBOL, "market", "buy", Decimal(50), params={"newClientOrderId": "web_mine"}
        )
        await daemon.orders.reconcile("test")
        await world.clock.sleep(3)
        return daemon

    async def ignored(world: World) -> None:
        daemon = await foreign_long(world, ForeignPolicy.IGNORE)
        assert world.stops() == 0
        assert [row.quantity for row in daemon.orders.foreign_positions()] == [50]
        assert any("not ours" in text for text in daemon.alerts())
        await daemon.stop()

    async def adopted(world: World) -> None:
        daemon = await foreign_long(world, ForeignPolicy.ADOPT)
        await world.wait(lambda: world.stops() == 50)
        assert [view.strategy for view in daemon.orders.get_active_positions()] == ["adopted"]
        report = await daemon.orders.close_position(SYMBOL)
        assert report.closed
        assert world.position() == 0
        await daemon.stop()

    for name, story in (("ignored", ignored), ("adopted", adopted)):
        (tmp_path / name).mkdir()
        in_world(tmp_path / name, story)


def test_an_order_of_ours_without_a_position_is_an_orphan(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        stop = next(
            algo for algo in world.paper.open_algo_orders() if algo.spec.order.kind == "STOP_MARKET"
        )
        client_id = stop.spec.order.client_id
        await daemon.orders.close_position(SYMBOL)
        await daemon.client.create_order(
            SYMBOL,
            "limit",
            "buy",
            Decimal(50),
            Decimal("1.95"),
            params={"newClientOrderId": client_id.replace("-sl0-", "-en0-")},
        )
        assert len(world.paper.open_orders()) == 1
        assert await daemon.orders.cleanup_orphaned_orders() == 1
        assert world.paper.open_orders() == []
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_mode_changed_by_hand_stops_entries_until_it_is_changed_back(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        assert daemon.orders.entries_blocked() == ""
        world.paper.exchange.set_multi_assets(enabled=True)
        await daemon.orders.reconcile("test")
        assert "multi-assets" in daemon.orders.entries_blocked()
        assert await daemon.orders.place_order(approved()) == ""
        assert world.position() == 0
        world.paper.exchange.set_multi_assets(enabled=False)
        await daemon.orders.reconcile("test")
        assert daemon.orders.entries_blocked() == ""
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_leverage_changed_by_hand_is_told_and_set_again_before_the_next_entry(
    tmp_path: Path,
) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.prepare_symbol(SYMBOL, 5)
        world.paper.exchange.set_leverage(WIRE, 9)
        await daemon.orders.reconcile("test")
        await world.wait(lambda: any("leverage" in text for text in daemon.alerts()))
        await daemon.orders.place_order(approved())
        settings = {row.symbol: row.leverage for row in await daemon.client.get_symbol_configs()}
        assert settings[SYMBOL] == 5
        await daemon.orders.close_position(SYMBOL)
        await daemon.stop()

    in_world(tmp_path, story)


def test_wall_clock_jumps_of_an_hour_harm_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        for jump in (3_600.0, -7_200.0, 3_600.0):
            world.machine.shift(jump)
            await world.clock.sleep(40)
            assert world.position() == 100
            assert world.stops() == 100
        assert all(
            not fact.repairs for fact in daemon.of(ReconcileDone) if isinstance(fact, ReconcileDone)
        )
        world.feed.push(WIRE, "1.9700")
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS

    in_world(tmp_path, story)


def test_the_longest_hold_is_counted_in_real_time_not_in_clock_jumps(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.max_hold_ms = 2 * 3_600_000
        daemon = await opened(world)
        world.machine.shift(3 * 3_600.0)
        await world.clock.sleep(3_600)
        assert world.position() == 100
        await world.clock.sleep(3_700)
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.MAX_HOLD
        assert 7_200_000 <= fact.closed_ms - fact.opened_ms < 7_210_000

    in_world(tmp_path, story)


def test_a_ban_silences_us_and_protection_is_there_before_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.limits.ban(120_000)
        await daemon.orders.reconcile("test")
        asked = sum(world.paper.requests.values())
        await world.clock.sleep(100)
        assert sum(world.paper.requests.values()) == asked
        assert world.stops() == 100
        await world.clock.sleep(60)
        assert await daemon.orders.reconcile("test")
        await daemon.orders.close_position(SYMBOL)
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_dead_database_does_not_keep_us_from_protecting_and_leaving(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(StopConfirmed))
        await daemon.database.close()
        report = await daemon.orders.panic("USDC")
        assert report.clean
        assert world.position() == 0
        assert any("could not be written" in text for text in daemon.alerts())
        assert isinstance(daemon.of(Alert)[0], Alert)
        world.failures.seen.clear()  # the journal's own complaints about the closed file
        await daemon.stream.close()
        await daemon.supervisor.close(5.0)
        await daemon.client.close()
        daemon.audit.close()

    in_world(tmp_path, story)


def test_a_take_profit_passed_already_is_taken_at_market(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(
            RestFault("POST /fapi/v1/algoOrder", phase="before", delay_ms=400)
        )
        await daemon.orders.place_order(approved())
        world.feed.push(WIRE, "2.0150")
        await world.wait(lambda: daemon.of(PositionOpened))
        await world.wait(lambda: world.position() == 50)
        await world.wait(lambda: world.stops() == 50)
        await daemon.client.cancel(
            SYMBOL,
            next(
                a.spec.order.client_id
                for a in world.paper.open_algo_orders()
                if a.spec.order.kind == "STOP_MARKET"
            ),
            conditional=True,
            lane=Lane.MANAGE,
        )
        await world.wait(lambda: world.stops() == 50)
        await daemon.orders.close_position(SYMBOL)
        await daemon.stop()

    in_world(tmp_path, story)
