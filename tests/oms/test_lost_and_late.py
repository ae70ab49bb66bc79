"""What a pause or a silence must not cost: the second attempt's fill, and funding (INV-01, 10)."""

from pathlib import Path

import aiohttp
from support.world import WIRE, World, approved, in_world

from core.domain.enums import ExitReason, OrderStatus
from core.domain.facts import OrderChanged, PositionOpened, ReconcileDone, TradeClosed
from core.paper.faults import EventFault, RestFault

ORDER = "POST /fapi/v1/order"
OVERLOADED = RestFault(
    ORDER, status=503, code=-1008, msg="Request throttled by system-level protection."
)


def test_an_entry_accepted_at_its_second_attempt_belongs_to_its_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(OVERLOADED)
        await daemon.orders.place_order(approved())
        await world.wait(lambda: world.stops() == 100, timeout=2.0)
        await world.wait(lambda: daemon.of(PositionOpened), timeout=2.0)
        assert world.position() == 100
        assert daemon.orders.foreign_positions() == ()
        await daemon.stop()

    in_world(tmp_path, story)


def test_an_entry_that_is_given_up_between_attempts_is_not_sent_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(OVERLOADED)
        state = daemon.orders.reserve(approved())
        assert state is not None
        daemon.supervisor.spawn("entry", lambda: daemon.orders.send_entry(state, approved()))
        await world.wait(lambda: world.paper.requests[ORDER] == 1 and len(state.orders) == 2)
        report = await daemon.orders.close_position(state.symbol)
        assert report.closed
        assert world.paper.requests[ORDER] == 1
        assert world.position() == 0
        denied = [fact for fact in daemon.of(OrderChanged) if isinstance(fact, OrderChanged)]
        assert denied[-1].status is OrderStatus.DENIED
        await daemon.stop()

    in_world(tmp_path, story)


def test_funding_whose_event_was_lost_is_counted(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        world.paper.faults.events.append(EventFault("ACCOUNT_UPDATE", copies=0, times=0))
        await world.clock.sleep(3_300)
        world.feed.push(WIRE, "2.0001")
        assert world.paper.funding_total("USDC") != 0
        world.paper.faults.clear()
        world.feed.push(WIRE, "1.9700")
        await world.wait(lambda: daemon.of(TradeClosed), timeout=60)
        fact = daemon.of(TradeClosed)[0]
        assert isinstance(fact, TradeClosed)
        assert fact.funding == world.paper.funding_total("USDC")
        assert fact.net == world.wallet_change()
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_liquidation_that_only_the_trade_list_tells_is_one(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        world.paper.faults.events.append(EventFault("*", copies=0, times=0))
        liquidate = {"action": "liquidate", "symbol": WIRE}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{world.endpoints.rest}/paper/action", json=liquidate) as answer,
        ):
            assert answer.status == 200
        await world.wait(lambda: daemon.of(TradeClosed), timeout=90)
        fact = daemon.of(TradeClosed)[0]
        assert isinstance(fact, TradeClosed)
        assert fact.reason is ExitReason.LIQUIDATION
        assert fact.net == world.wallet_change()
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_reading_older_than_the_close_adopts_nothing(tmp_path: Path) -> None:
    """Positions are read slowly; meanwhile the stop fills and the trade is closed."""

    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        late = RestFault("GET /fapi/v1/openAlgoOrders", phase="after", delay_ms=4_000)
        world.paper.faults.rest.append(late)
        daemon.orders.request_reconcile("test")
        await world.clock.sleep(1.0)
        world.feed.push(WIRE, "1.9700")
        await world.wait(lambda: daemon.of(TradeClosed), timeout=3.0)
        await world.clock.sleep(30.0)
        assert len(daemon.of(TradeClosed)) == 1
        assert not daemon.orders.busy(approved().symbol)
        repairs = [fact for fact in daemon.of(ReconcileDone) if isinstance(fact, ReconcileDone)]
        assert not any("adopted" in line for fact in repairs for line in fact.repairs)
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_fill_is_not_a_strangers_once_its_order_is_known(tmp_path: Path) -> None:
    """While the exchange denies the order that filled, its fill is nobody's; then it is ours, and
    must not count a second time."""

    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        denied = {"status": 400, "code": -2013, "msg": "Order does not exist."}
        world.paper.faults.events.append(EventFault("*", delay_ms=34_000, times=0))
        world.paper.faults.rest.append(RestFault("GET /fapi/v1/algoOrder", times=0, **denied))
        world.feed.push(WIRE, "2.0130")
        left = world.position()
        assert 0 < left < 100
        await world.clock.sleep(35)
        assert [view.quantity for view in daemon.orders.get_active_positions()] == [left]
        assert world.stops() == left
        world.paper.faults.clear()
        await world.clock.sleep(35)
        assert [view.quantity for view in daemon.orders.get_active_positions()] == [left]
        assert world.stops() == left
        await daemon.orders.close_position(approved().symbol)
        await world.wait(lambda: daemon.of(TradeClosed))
        closed = daemon.of(TradeClosed)[-1]
        assert isinstance(closed, TradeClosed)
        assert closed.net == world.paper.wallet("USDC") - world.paper.start_balance
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_start_in_a_minute_that_is_almost_used_up_protects_first(tmp_path: Path) -> None:
    """Of 2,400 units of weight 2,000 are spent: only the lane of protection has room."""

    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        await world.clock.sleep(40)  # the next minute is not far, for what may wait for it
        with daemon.client.protecting():
            while daemon.client.budget.weight_used < 2_000:
                await daemon.client.get_open_orders()
        await daemon.stop()
        for algo in world.paper.open_algo_orders():
            world.paper.exchange.algos.cancel(algo)
        began = world.clock.monotonic()
        covered: list[float] = []

        async def watch() -> None:
            await world.wait(lambda: world.stops() == 100)
            covered.append(world.clock.monotonic() - began)

        world._outside.spawn("watch", watch)
        again = await world.daemon()
        assert covered[0] < 5
        assert world.clock.monotonic() - began > 5  # the stream's key had to wait
        await again.stop()

    in_world(tmp_path, story)


def test_a_panic_reads_in_the_lane_of_protection(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        with daemon.client.protecting():
            while daemon.client.budget.weight_used < 2_000:
                await daemon.client.get_open_orders()
        began = world.clock.monotonic()
        report = await daemon.orders.panic("USDC")
        assert report.clean
        assert world.clock.monotonic() - began < 5
        await daemon.stop()

    in_world(tmp_path, story)
