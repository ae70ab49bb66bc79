"""Whose position is it? The ids of the orders that made it tell (INV-01, INV-15)."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from support.world import SYMBOL, WIRE, World, approved, in_world

from core.domain.account import ExchangePosition
from core.domain.enums import OrderStatus, Side
from core.domain.facts import PositionOpened, TradeClosed
from core.domain.position import OrderSnapshot
from core.oms.adoption import made_of_ours
from core.paper.faults import RestFault
from core.paper.orders_in import order_spec
from core.paper.params import Params

D = Decimal
HISTORY = "GET /fapi/v1/allOrders"


def position(quantity: str) -> ExchangePosition:
    zero = D(0)
    return ExchangePosition(SYMBOL, D(quantity), D(2), D(2), zero, zero, isolated=True, update_ms=1)


def order(client_id: str, side: Side, executed: str) -> OrderSnapshot:
    return OrderSnapshot(
        symbol=SYMBOL,
        client_id=client_id,
        order_id=1,
        algo_id=0,
        side=side,
        kind="MARKET",
        conditional=False,
        status=OrderStatus.FILLED,
        quantity=D(100),
        price=D(0),
        trigger_price=D(0),
        executed=D(executed),
        average_price=D(2),
        reduce_only=False,
        update_ms=1,
    )


BUY, SELL = Side.BUY, Side.SELL


@pytest.mark.parametrize(
    ("quantity", "history", "ours"),
    [
        ("100", [("me", BUY, "100")], True),
        ("-100", [("me", SELL, "100")], True),
        ("100", [("phone", BUY, "100")], False),
        ("100", [("phone", BUY, "50"), ("phone", SELL, "50"), ("me", BUY, "100")], True),
        ("50", [("me", BUY, "100"), ("me", SELL, "50")], True),
        ("50", [("me", BUY, "100"), ("phone", SELL, "50")], True),
        ("150", [("me", BUY, "100"), ("phone", BUY, "50")], False),
        ("150", [("phone", BUY, "50"), ("me", BUY, "100")], False),
        ("100", [("me", BUY, "0"), ("me", BUY, "60")], False),
        ("100", [], False),
    ],
)
def test_every_order_that_built_it_must_be_ours(
    quantity: str, history: Sequence[tuple[str, Side, str]], ours: bool
) -> None:
    orders = [order(*row) for row in history]
    assert made_of_ours(position(quantity), orders, lambda name: name == "me") is ours


def lose_everything(world: World) -> None:
    """The database is gone, and somebody has cancelled all orders."""
    for path in world.folder.glob("bot.paper.db*"):
        path.unlink()
    for algo in list(world.paper.open_algo_orders()):
        world.paper.exchange.algos.cancel(algo)


def test_a_position_of_ours_without_records_and_orders_is_protected(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        await daemon.stop()
        lose_everything(world)
        assert world.stops() == 0
        assert world.position() == 100
        again = await world.daemon()
        await world.wait(lambda: world.stops() == 100, timeout=5)
        assert again.orders.foreign_positions() == ()
        await again.orders.close_position(SYMBOL)
        assert len(again.of(TradeClosed)) == 1
        await again.stop()

    in_world(tmp_path, story)


def test_a_position_of_the_phone_is_asked_about_once_and_left_alone(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        fields = {"symbol": WIRE, "side": "BUY", "type": "MARKET", "quantity": "40"}
        await world.clock.sleep(1)
        world.paper.exchange.matcher.submit(order_spec(world.paper.exchange, Params(fields)))
        world.paper.faults.rest.append(RestFault(HISTORY, drop=True))
        daemon = await world.daemon()
        await world.clock.sleep(120)
        assert world.paper.requests[HISTORY] == 2  # not readable at first, then once
        assert world.stops() == 0
        assert [row.quantity for row in daemon.orders.foreign_positions()] == [40]
        await daemon.stop()

    in_world(tmp_path, story)
