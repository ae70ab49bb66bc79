"""What goes wrong between an order and its answer (INV-01, INV-02, INV-04, INV-09)."""

from decimal import Decimal
from pathlib import Path

import pytest
from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.domain.enums import ExitReason, Lane
from core.domain.facts import PositionOpened, StopConfirmed, TradeClosed
from core.paper.faults import EventFault, RestFault

ORDER = "POST /fapi/v1/order"
ALGO = "POST /fapi/v1/algoOrder"
UNKNOWN_503 = "Unknown error, please check your request or try again later."


def orders_on_exchange(world: World) -> int:
    return world.paper.requests[ORDER]


async def opened(world: World) -> Daemon:
    daemon = await world.daemon()
    await daemon.orders.place_order(approved())
    await world.wait(lambda: daemon.of(PositionOpened), timeout=60)
    return daemon


async def closed(world: World, daemon: Daemon) -> TradeClosed:
    await world.wait(lambda: daemon.of(TradeClosed), timeout=60)
    fact = daemon.of(TradeClosed)[0]
    assert isinstance(fact, TradeClosed)
    assert fact.net == world.wallet_change()
    assert world.position() == 0
    await world.wait(lambda: not world.paper.open_algo_orders())
    await daemon.stop()
    return fact


LOST_ANSWERS = [
    RestFault(ORDER, phase="after", drop=True),
    RestFault(
        ORDER,
        phase="after",
        status=503,
        body=UNKNOWN_503,
    ),
    RestFault(
        ORDER,
        phase="after",
        status=408,
        code=-1007,
        msg="Timeout waiting for response from backend server. Execution unknown.",
    ),
    RestFault(ORDER, phase="after", status=200, body="<html>gateway</html>"),
    RestFault(ORDER, phase="after", delay_ms=15_000, drop=True),
]


@pytest.mark.parametrize("fault", LOST_ANSWERS, ids=["reset", "503", "-1007", "html", "late"])
def test_an_entry_whose_answer_is_lost_is_found_and_not_repeated(
    tmp_path: Path, fault: RestFault
) -> None:
    async def story(world: World) -> None:
        world.paper.faults.rest.append(fault)
        daemon = await opened(world)
        assert world.position() == 100
        assert orders_on_exchange(world) == 1
        assert world.stops() == 100
        await daemon.stop()

    in_world(tmp_path, story)


def test_an_entry_lost_on_its_way_is_proven_absent_and_leaves_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(RestFault(ORDER, phase="before", drop=True))
        await daemon.orders.place_order(approved())
        assert daemon.orders.busy(SYMBOL)  # in doubt: nothing else may happen on this symbol
        await world.wait(lambda: not daemon.orders.busy(SYMBOL), timeout=60)
        assert world.position() == 0
        assert daemon.of(TradeClosed) == []
        await daemon.stop()

    in_world(tmp_path, story)


@pytest.mark.parametrize(
    "fault",
    [
        RestFault(ALGO, phase="after", drop=True),
        RestFault(
            ALGO,
            phase="after",
            status=503,
            body=UNKNOWN_503,
        ),
        RestFault(ALGO, phase="before", drop=True),
        RestFault(
            ALGO,
            phase="before",
            status=503,
            code=-1008,
            msg="Request throttled by system-level protection.",
        ),
        RestFault(
            ALGO, phase="before", status=400, code=-4014, msg="Price not increased by tick size."
        ),
    ],
    ids=["answer reset", "503", "request reset", "-1008", "-4014"],
)
def test_one_bad_answer_to_the_stop_does_not_cost_protection(
    tmp_path: Path, fault: RestFault
) -> None:
    async def story(world: World) -> None:
        world.paper.faults.rest.append(fault)
        daemon = await opened(world)
        confirmed = daemon.of(StopConfirmed)[0]
        assert isinstance(confirmed, StopConfirmed)
        assert confirmed.elapsed_ms < 1_500
        await world.wait(lambda: world.stops() == 100)  # a twin is trimmed away again
        assert world.position() == 100
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_stop_that_is_refused_twice_flattens(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(
            RestFault(ALGO, status=400, code=-4045, msg="Reach max stop order limit.", times=2)
        )
        await daemon.orders.place_order(approved())
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.EMERGENCY
        assert fact.unprotected_ms < 2_000

    in_world(tmp_path, story)


def test_a_broken_stop_level_flattens_without_a_second_try(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(
            RestFault(ALGO, status=400, code=-2021, msg="Order would immediately trigger.")
        )
        await daemon.orders.place_order(approved())
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS
        assert world.paper.requests[ALGO] == 1

    in_world(tmp_path, story)


def test_an_exchange_that_never_answers_about_stops_costs_the_position_not_its_safety(
    tmp_path: Path,
) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(
            RestFault(ALGO, phase="before", delay_ms=9_000, drop=True, times=0)
        )
        await daemon.orders.place_order(approved())
        await world.wait(lambda: world.position() == 0)
        world.paper.faults.clear()
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.EMERGENCY
        assert fact.unprotected_ms < 2_000

    in_world(tmp_path, story)


@pytest.mark.parametrize("copies", [2, 3])
def test_duplicated_events_change_nothing(tmp_path: Path, copies: int) -> None:
    async def story(world: World) -> None:
        world.paper.faults.events.append(EventFault("*", copies=copies, times=0))
        daemon = await opened(world)
        assert [view.quantity for view in daemon.orders.get_active_positions()] == [100]
        world.feed.push(WIRE, "1.9700")
        fact = await closed(world, daemon)
        assert fact.quantity == 100

    in_world(tmp_path, story)


@pytest.mark.parametrize("event", ["ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE", "*"])
def test_events_that_never_come_are_found_by_asking(tmp_path: Path, event: str) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.events.append(EventFault(event, copies=0, times=0))
        await daemon.orders.place_order(approved())
        await world.wait(lambda: world.stops() >= 100, timeout=60)
        world.feed.push(WIRE, "1.9700")
        await world.wait(lambda: world.position() == 0)
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS

    in_world(tmp_path, story)


def test_a_stop_cancelled_by_hand_is_placed_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        stop = next(
            algo for algo in world.paper.open_algo_orders() if algo.spec.order.kind == "STOP_MARKET"
        )
        await daemon.client.cancel(
            SYMBOL, stop.spec.order.client_id, conditional=True, lane=Lane.MANAGE
        )
        await world.wait(lambda: len(daemon.of(StopConfirmed)) == 2)
        assert world.stops() == 100
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_position_closed_from_the_phone_is_accounted_and_its_orders_go(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        await daemon.client.create_order(
            SYMBOL,
            "market",
            "sell",
            Decimal(100),
            params={"reduceOnly": True, "newClientOrderId": "web_abc"},
        )
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.FOREIGN

    in_world(tmp_path, story)
