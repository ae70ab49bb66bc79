"""The life of a position against the real paper exchange, over real HTTP and WebSocket."""

from decimal import Context, Decimal, localcontext
from pathlib import Path

import pytest
from support.world import SYMBOL, WIRE, World, approved, in_world

from core.domain.enums import Direction, ExitReason
from core.domain.facts import PositionOpened, StopConfirmed, TradeClosed


def moved(price: str, ratio: str) -> str:
    """`price` moved by a fraction, on a tick of 0.0001."""
    return str((Decimal(price) * (1 + Decimal(ratio))).quantize(Decimal("0.0001")))


@pytest.mark.parametrize("direction", list(Direction))
def test_entry_stop_ladder_and_exit_by_stop(tmp_path: Path, direction: Direction) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        assert await daemon.orders.place_order(approved(direction))
        await world.wait(lambda: daemon.of(PositionOpened))
        assert world.position() == 100 * direction.sign
        assert world.stops() == 100
        assert len(world.paper.open_algo_orders()) == 4
        world.feed.push(WIRE, moved("2.0000", str(-direction.sign * Decimal("0.012"))))
        await world.wait(lambda: daemon.of(TradeClosed))
        closed = daemon.of(TradeClosed)[0]
        assert isinstance(closed, TradeClosed)
        assert closed.reason is ExitReason.STOP_LOSS
        assert closed.net == world.wallet_change()
        assert closed.net < 0
        assert world.position() == 0
        assert world.paper.open_algo_orders() == []
        assert daemon.risk.closed == [(closed.trade_id, SYMBOL, closed.net, closed.reason)]
        assert daemon.orders.get_active_positions() == ()
        await daemon.stop()

    in_world(tmp_path, story)


def test_take_profits_shrink_the_stop_without_a_gap_and_close_the_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        for ratio, left in (("0.0065", 50), ("0.0125", 20), ("0.0185", 0)):
            world.feed.push(WIRE, moved("2.0000", ratio))
            await world.wait(lambda left=left: world.position() == left)
            assert world.stops() >= left
            await world.wait(lambda left=left: world.stops() == left)
        await world.wait(lambda: daemon.of(TradeClosed))
        closed = daemon.of(TradeClosed)[0]
        assert isinstance(closed, TradeClosed)
        assert closed.reason is ExitReason.TAKE_PROFIT
        assert closed.net == world.wallet_change()
        assert closed.net > 0
        assert world.paper.open_algo_orders() == []
        assert world.paper.open_orders() == []
        await daemon.stop()

    in_world(tmp_path, story)


def test_the_same_approval_twice_is_one_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        first = await daemon.orders.place_order(approved())
        second = await daemon.orders.place_order(approved())
        assert first == second
        await world.wait(lambda: daemon.of(StopConfirmed))
        assert world.position() == 100
        await daemon.orders.close_position(SYMBOL)
        assert await daemon.orders.place_order(approved()) == ""  # decided and done already
        assert world.position() == 0
        await daemon.stop()

    in_world(tmp_path, story)


def test_close_position_by_hand(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        report = await daemon.orders.close_position(SYMBOL)
        assert report.closed
        closed = daemon.of(TradeClosed)[0]
        assert isinstance(closed, TradeClosed)
        assert closed.reason is ExitReason.MANUAL
        assert world.paper.open_algo_orders() == []
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_restart_takes_the_position_up_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        before = await world.daemon()
        await before.orders.place_order(approved())
        await world.wait(lambda: before.of(PositionOpened))
        await before.stop()
        after = await world.daemon()
        assert [view.quantity for view in after.orders.get_active_positions()] == [100]
        world.feed.push(WIRE, moved("2.0000", "0.0065"))
        await world.wait(lambda: world.stops() == 50)
        world.feed.push(WIRE, moved("2.0000", "-0.009"))
        await world.wait(lambda: after.of(TradeClosed))
        closed = after.of(TradeClosed)[0]
        assert isinstance(closed, TradeClosed)
        assert closed.net == world.wallet_change()
        await after.stop()

    in_world(tmp_path, story)


def test_a_whole_trade_leaves_the_rules_of_decimal_arithmetic_alone(tmp_path: Path) -> None:
    """Some calls of the exchange library change rounding for the whole process; ours are none."""

    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(world.stops)
        await daemon.orders.close_position(SYMBOL, ExitReason.MANUAL)
        await daemon.stop()

    with localcontext(Context()) as rules:
        before = rules.rounding, rules.prec, rules.traps.copy()
        in_world(tmp_path, story)
        assert (rules.rounding, rules.prec, rules.traps) == before
