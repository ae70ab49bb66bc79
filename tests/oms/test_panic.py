"""Panic leaves everything, proves it, and may be called twice (INV-08)."""

from decimal import Decimal
from pathlib import Path

from support.world import World, approved, in_world

from core.domain.enums import ExitReason
from core.domain.facts import PositionOpened, TradeClosed
from core.paper.faults import EventFault, RestFault


def test_panic_flattens_cancels_and_proves(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        report = await daemon.orders.panic("USDC")
        assert report.clean
        assert [(row.what, row.count) for row in report.proof] == [
            ("positions", 0),
            ("orders", 0),
            ("conditional orders", 0),
        ]
        assert world.position() == 0
        assert world.paper.open_algo_orders() == []
        closed = daemon.of(TradeClosed)[0]
        assert isinstance(closed, TradeClosed)
        assert closed.reason is ExitReason.PANIC
        assert report.realized is not None
        assert report.realized < 0
        again = await daemon.orders.panic("USDC")
        assert again.clean
        assert again.realized == Decimal(0)
        await daemon.stop()

    in_world(tmp_path, story)


def test_panic_works_without_user_stream_and_through_refusals(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        world.paper.faults.events.append(EventFault("*", copies=0, times=0))
        world.paper.faults.rest.append(
            RestFault("POST /fapi/v1/order", status=503, body="Service Unavailable.", times=2)
        )
        report = await daemon.orders.panic("USDC")
        assert report.clean, report
        assert world.position() == 0
        await daemon.stop()

    in_world(tmp_path, story)


def test_panic_says_when_it_cannot_read_the_exchange(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(RestFault("*", drop=True, times=0))
        report = await daemon.orders.panic("USDC", timeout=5.0)
        assert not report.clean
        assert "could not be read" in report.problem
        world.paper.faults.clear()
        await daemon.stop()

    in_world(tmp_path, story)
