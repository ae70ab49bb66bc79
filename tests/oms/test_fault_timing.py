"""Answers and events that come early, late, too often, in another order, or from nowhere.

Whatever the order of arrival, one position, one stop and one record of it (INV-01, 02, 05, 09).
"""

import asyncio
from pathlib import Path
from random import Random

import pytest
from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.domain.enums import ExitReason, Severity
from core.domain.facts import (
    Alert,
    FillBooked,
    PositionOpened,
    ReconcileDone,
    StopConfirmed,
    TradeClosed,
)
from core.paper.faults import EventFault, FaultPlan, RestFault
from core.paper.orders_in import order_spec
from core.paper.params import Params
from core.paper.streams import Route
from core.simulation.virtual_loop import VirtualLoop

ORDER = "POST /fapi/v1/order"
ALGO = "POST /fapi/v1/algoOrder"
POSITIONS = "GET /fapi/v3/positionRisk"
DEADLINE_MS = 2_000


async def opened(world: World) -> Daemon:
    daemon = await world.daemon()
    await daemon.orders.place_order(approved())
    await world.wait(lambda: daemon.of(PositionOpened), timeout=60)
    return daemon


async def closed_by_stop(world: World, daemon: Daemon) -> TradeClosed:
    """Let the price fall through the stop; returns the one record of the trade."""
    world.feed.push(WIRE, "1.9700")
    await world.wait(lambda: daemon.of(TradeClosed), timeout=60)
    assert len(daemon.of(TradeClosed)) == 1
    fact = daemon.of(TradeClosed)[0]
    assert isinstance(fact, TradeClosed)
    assert fact.reason is ExitReason.STOP_LOSS
    assert fact.net == world.wallet_change()
    assert fact.quantity == 100
    await world.wait(lambda: not world.paper.open_algo_orders())
    await daemon.stop()
    return fact


def cut(plan: FaultPlan, link: RestFault | EventFault) -> None:
    if isinstance(link, RestFault):
        plan.rest.append(link)
    else:
        plan.events.append(link)


def mend(plan: FaultPlan, link: RestFault | EventFault) -> None:
    if isinstance(link, RestFault):
        plan.rest.remove(link)
    else:
        plan.events.remove(link)


@pytest.mark.parametrize(
    "fault",
    [
        RestFault(ORDER, phase="after", delay_ms=900),
        RestFault(ALGO, phase="after", delay_ms=900, times=0),
        EventFault("ORDER_TRADE_UPDATE", delay_ms=900, times=0),
        EventFault("ALGO_UPDATE", delay_ms=900, times=0),
        EventFault("ACCOUNT_UPDATE", delay_ms=900, times=0),
        EventFault("ORDER_TRADE_UPDATE", delay_ms=900),
        EventFault("ORDER_TRADE_UPDATE", delay_ms=900, nth=2),
    ],
    ids=[
        "entry event before its answer",
        "stop event before its answer",
        "answers before order events",
        "answers before algo events",
        "account after orders",
        "fill before NEW",
        "fill long after the answer",
    ],
)
def test_any_order_of_arrival_is_the_same_trade(
    tmp_path: Path, fault: RestFault | EventFault
) -> None:
    async def story(world: World) -> None:
        cut(world.paper.faults, fault)
        daemon = await opened(world)
        assert world.paper.requests[ORDER] == 1
        confirmed = daemon.of(StopConfirmed)[0]
        assert isinstance(confirmed, StopConfirmed)
        assert confirmed.elapsed_ms < DEADLINE_MS
        await world.clock.sleep(2)
        assert world.stops() == 100
        assert world.position() == 100
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


@pytest.mark.parametrize("seed", range(4))
def test_events_shuffled_across_types_end_in_the_same_state(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)

    async def story(world: World) -> None:
        for event in ("ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE", "TRADE_LITE"):
            for nth in range(1, 6):
                fault = EventFault(event, nth=nth, delay_ms=chance.randrange(0, 1_200))
                world.paper.faults.events.append(fault)
        daemon = await opened(world)
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_a_slow_exchange_costs_neither_the_stop_nor_a_second_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        for route in (ORDER, ALGO, "GET /fapi/v1/order", POSITIONS):
            world.paper.faults.rest.append(
                RestFault(route, phase="after", delay_ms=4_000, times=0, chance=0.5)
            )
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened), timeout=120)
        assert world.paper.requests[ORDER] == 1
        confirmed = daemon.of(StopConfirmed)[0]
        assert isinstance(confirmed, StopConfirmed)
        assert confirmed.elapsed_ms < DEADLINE_MS
        world.paper.faults.clear()
        await world.wait(lambda: world.stops() == 100)
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_a_stop_accepted_but_not_visible_yet_is_not_sent_again_without_need(
    tmp_path: Path,
) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.exchange.algos.hidden_ms = 2_000
        world.paper.faults.rest.append(RestFault(ALGO, phase="after", drop=True))
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened), timeout=60)
        assert world.paper.requests[ALGO] == 4  # one stop and three targets
        assert world.stops() == 100
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_the_stream_drops_protection_goes_on_and_fills_in_the_gap_are_found(
    tmp_path: Path,
) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.faults.rest.append(
            RestFault("POST /fapi/v1/listenKey", status=503, body="Service Unavailable.", times=0)
        )
        world.paper.hub.close_route(Route.PRIVATE)
        await world.wait(lambda: not daemon.orders.stream_up, timeout=1.0)
        assert "user stream down" in daemon.orders.entries_blocked()
        world.feed.push(WIRE, "2.0130")  # the first target fills while nobody listens
        await world.wait(lambda: world.position() == 50)
        await world.wait(lambda: world.stops() == 50, timeout=10)
        assert "user stream down" in daemon.orders.entries_blocked()
        world.paper.faults.clear()
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=120)
        fills = [fact for fact in daemon.of(FillBooked) if isinstance(fact, FillBooked)]
        assert len({fact.exchange_trade_id for fact in fills}) == len(fills) == 2
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_a_frozen_stream_is_noticed_by_the_echo_of_our_own_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.hub.freeze_route(Route.PRIVATE)
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(StopConfirmed))
        await world.wait(lambda: any("no event for our order" in text for text in daemon.alerts()))
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=60)
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_thousands_of_events_at_once_are_applied_and_none_is_lost(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.events.append(EventFault("*", copies=1_200, times=0))
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened), timeout=60)
        world.paper.faults.clear()
        assert daemon.orders.stream_up
        assert daemon.stream.view().events >= 1_200 * 4
        assert len(daemon.of(FillBooked)) == 1
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_a_stranger_among_the_events_is_counted_and_the_exchange_is_asked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        before = len(daemon.of(ReconcileDone))
        key = world.paper.users.open_key()
        world.paper.hub.publish_private(key, "NEWS", {"e": "NEWS", "E": 1, "what": [None]})
        await world.wait(lambda: len(daemon.of(ReconcileDone)) > before)
        assert daemon.orders.unknown_events == 1
        last = daemon.of(ReconcileDone)[-1]
        assert isinstance(last, ReconcileDone)
        assert last.trigger == "unknown event NEWS"
        assert last.repairs == ()
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


@pytest.mark.parametrize("seed", range(3))
def test_all_links_cut_one_by_one_and_mended_in_any_order_converge(
    tmp_path: Path, seed: int
) -> None:
    chance = Random(seed)
    links: list[RestFault | EventFault] = [
        RestFault(ORDER, drop=True, times=0),
        RestFault(ALGO, drop=True, times=0),
        RestFault("DELETE /fapi/v1/algoOrder", drop=True, times=0),
        RestFault("GET /fapi/v1/order", drop=True, times=0),
        RestFault(POSITIONS, drop=True, times=0),
        RestFault("POST /fapi/v1/listenKey", drop=True, times=0),
        EventFault("*", copies=0, times=0),
    ]

    async def story(world: World) -> None:
        daemon = await opened(world)
        for link in chance.sample(links, len(links)):
            cut(world.paper.faults, link)
            await world.clock.sleep(chance.random())
        world.paper.hub.close_route(Route.PRIVATE)
        world.feed.push(WIRE, "2.0130")  # the first target fills in the dark
        await world.clock.sleep(5)
        for link in chance.sample(links, len(links)):
            mend(world.paper.faults, link)
            await world.clock.sleep(chance.random())
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=60)
        await world.wait(lambda: world.position() in (0, world.stops()), timeout=10)
        views = daemon.orders.get_active_positions()
        assert sum(view.quantity for view in views) == world.position() == 50
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


@pytest.mark.parametrize("status", [403, 451])
def test_an_exchange_that_locks_us_out_stops_entries_and_keeps_the_stream(
    tmp_path: Path, status: int
) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.faults.rest.append(RestFault("*", status=status, body="denied", times=0))
        daemon.orders.request_reconcile("test")
        await world.wait(lambda: "could not be read" in daemon.orders.entries_blocked())
        assert daemon.orders.stream_up
        world.paper.faults.clear()
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=60)
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_a_revoked_key_is_told_loudly_stops_entries_and_makes_no_storm(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.faults.rest.append(
            RestFault(
                "*",
                status=401,
                code=-2015,
                msg="Invalid API-key, IP, or permissions for action.",
                times=0,
            )
        )
        daemon.orders.request_reconcile("test")
        await world.wait(lambda: "refuses our key" in daemon.orders.entries_blocked())
        loud = [fact for fact in daemon.of(Alert) if isinstance(fact, Alert)]
        assert any(fact.severity is Severity.CRITICAL and "key" in fact.text for fact in loud)
        before = sum(world.paper.requests.values())
        await world.clock.sleep(300)
        assert sum(world.paper.requests.values()) - before <= 5 * 6
        assert world.stops() == 100
        assert await daemon.orders.place_order(approved(number=2)) == ""
        world.paper.faults.clear()
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=120)
        assert daemon.orders.busy(SYMBOL)
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


def test_a_fill_while_two_connections_overlap_counts_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)

        def listening() -> int:
            connections = world.paper.hub.connections
            return sum(each.route is Route.PRIVATE for each in connections)

        daemon.stream._feed.replace()  # what happens before the 24 h are over
        await world.wait(lambda: listening() == 2)
        world.feed.push(WIRE, "2.0130")
        await world.wait(lambda: world.stops() == world.position() == 50)
        await world.wait(lambda: listening() == 1)
        fills = [fact for fact in daemon.of(FillBooked) if isinstance(fact, FillBooked)]
        assert len({fact.exchange_trade_id for fact in fills}) == len(fills) == 2
        assert daemon.orders.entries_blocked() == ""
        assert daemon.stream.view().reconnects == 0
        await closed_by_stop(world, daemon)

    in_world(tmp_path, story)


@pytest.mark.parametrize("after_ms", [0, 30, 60, 120, 300])
def test_a_loop_that_stalls_for_seconds_leaves_the_position_covered_or_flat(
    tmp_path: Path, after_ms: int
) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(RestFault(ALGO, delay_ms=100))
        asyncio.get_running_loop().call_later(0.001 + after_ms / 1_000, stall, 4.0)
        await daemon.orders.place_order(approved())
        await world.wait(lambda: not daemon.orders.pending_entries(), timeout=10)
        await world.clock.sleep(10)
        assert world.paper.requests[ORDER] <= 2  # the entry, and a flatten where time was up
        assert world.stops() == abs(world.position())
        await daemon.orders.close_position(SYMBOL)
        assert len(daemon.of(TradeClosed)) == 1
        assert world.position() == world.stops() == 0
        await daemon.stop()

    def stall(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop._virtual_now += seconds  # nothing runs meanwhile, and every timer is late

    in_world(tmp_path, story)


@pytest.mark.parametrize("after_ms", [20, 50, 90])
def test_an_answer_that_waited_out_a_stall_is_read_before_time_is_up(
    tmp_path: Path, after_ms: int
) -> None:
    """The stop is accepted while the loop stands still: nothing has to be left."""

    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(RestFault(ALGO, phase="after", delay_ms=200))
        world.paper.faults.events.append(EventFault("ALGO_UPDATE", copies=0))
        daemon.supervisor.spawn("entry", lambda: daemon.orders.place_order(approved()))
        await world.wait(lambda: world.paper.requests[ALGO] == 1)
        asyncio.get_running_loop().call_later(after_ms / 1_000, stall, 4.0)
        await world.wait(lambda: daemon.of(PositionOpened), timeout=10)
        assert world.position() == world.stops() == 100
        assert world.paper.requests[ORDER] == 1
        assert not any("at market" in text for text in daemon.alerts())
        await daemon.orders.close_position(SYMBOL)
        await daemon.stop()

    def stall(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop._virtual_now += seconds

    in_world(tmp_path, story)


def test_a_position_told_by_the_account_alone_is_found_at_once(tmp_path: Path) -> None:
    """The order event of a close by hand is lost; the account event that came with it is not."""

    async def story(world: World) -> None:
        daemon = await opened(world)
        began = world.clock.monotonic()
        world.paper.faults.events.append(EventFault("ORDER_TRADE_UPDATE", copies=0, times=0))
        by_hand(world, side="SELL", type="MARKET", quantity="40", reduceOnly="true")
        await world.wait(lambda: world.stops() == 60, timeout=20)
        assert world.clock.monotonic() - began < 5
        reasons = [f.trigger for f in daemon.of(ReconcileDone) if isinstance(f, ReconcileDone)]
        assert f"{SYMBOL} position 60 told, 100 booked" in reasons
        world.paper.faults.clear()
        await daemon.orders.close_position(SYMBOL)
        await daemon.stop()

    in_world(tmp_path, story)


def test_our_own_fills_are_no_disagreement(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        await closed_by_stop(world, daemon)
        reasons = [f.trigger for f in daemon.of(ReconcileDone) if isinstance(f, ReconcileDone)]
        assert not any("told" in reason for reason in reasons)

    in_world(tmp_path, story)


def test_a_position_nobody_manages_is_looked_at_when_it_is_told(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        by_hand(world, side="BUY", type="MARKET", quantity="40")
        await world.wait(daemon.orders.foreign_positions, timeout=5)
        assert any("is not ours" in text for text in daemon.alerts())
        await daemon.stop()

    in_world(tmp_path, story)


def by_hand(world: World, **params: str) -> None:
    """An order of somebody else: the owner's phone."""
    fields = {"symbol": WIRE, **params}
    world.paper.exchange.matcher.submit(order_spec(world.paper.exchange, Params(fields)))
