"""Orders and their events over the paper exchange: answers, queries, stream and faults together."""

from decimal import Decimal

import pytest
from paper_world import START_MS, XRP, World, paper_world, virtually

from core.domain.enums import (
    AlgoStatus,
    Lane,
    OrderKind,
    OrderStatus,
    Side,
    StreamState,
    WorkingType,
)
from core.domain.errors import OutcomeUnknown, RateLimited, Refused, RetryLater, VenueError
from core.domain.facts import AccountUpdate, AlgoUpdate, OrderUpdate, UnknownEvent
from core.domain.intent import OrderRequest
from core.domain.money import nearest_to_step
from core.paper.faults import RestFault

QUANTITY = Decimal(20)
TICK = Decimal("0.0001")
PLACE = "POST /fapi/v1/order"


def entry(client_id: str = "ucb-e") -> OrderRequest:
    return OrderRequest(client_id, XRP, Side.BUY, OrderKind.MARKET, QUANTITY)


def stop(world: World, ratio: str = "0.99", client_id: str = "ucb-s") -> OrderRequest:
    mark = world.market.mark(XRP)
    assert mark is not None
    return OrderRequest(
        client_id,
        XRP,
        Side.SELL,
        OrderKind.STOP_MARKET,
        QUANTITY,
        trigger_price=nearest_to_step(mark.price * Decimal(ratio), TICK),
        working_type=WorkingType.MARK_PRICE,
        reduce_only=True,
    )


async def ready(world: World) -> None:
    world.users.start()
    world.market.start((XRP,))
    await world.until(lambda: world.users.state is world.market.state is StreamState.LIVE)
    await world.client.set_isolated(XRP)
    await world.client.set_leverage(XRP, 5)


def orders(world: World, client_id: str) -> list[OrderUpdate]:
    facts = [fact for fact in world.ear.facts if isinstance(fact, OrderUpdate)]
    return [fact for fact in facts if fact.client_id == client_id]


def algos(world: World, client_id: str) -> list[AlgoUpdate]:
    facts = [fact for fact in world.ear.facts if isinstance(fact, AlgoUpdate)]
    return [fact for fact in facts if fact.client_id == client_id]


def test_entry_stop_and_their_end() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await ready(world)
            bought = await world.client.submit(entry(), Lane.MANAGE)
            placed = await world.client.submit(stop(world), Lane.PROTECT)
            world.users.expect_echo("ucb-e")
            world.users.expect_echo("ucb-s")
            assert (bought.status, bought.executed) == (OrderStatus.FILLED, QUANTITY)
            assert placed.status is OrderStatus.LIVE
            (position,) = await world.client.get_positions()
            assert (position.symbol, position.quantity, position.isolated) == (XRP, QUANTITY, True)
            (fill,) = await world.client.get_trades(XRP, order_id=bought.order_id)
            (traded,) = [fact for fact in orders(world, "ucb-e") if fact.trade_id]
            assert (fill.trade_id, fill.price) == (traded.trade_id, traded.last_price)
            assert fill.commission == traded.commission > 0
            await world.until(lambda: len(algos(world, "ucb-s")) == 1)
            assert await world.client.cancel(XRP, "ucb-s", conditional=True, lane=Lane.PROTECT)
            assert (
                await world.client.cancel(XRP, "ucb-s", conditional=True, lane=Lane.PROTECT)
            ) is None
            gone = await world.client.query(XRP, "ucb-s", conditional=True, lane=Lane.MANAGE)
            assert gone is not None
            assert gone.status is OrderStatus.CANCELED
            await world.clock.sleep(5)
            assert world.users.view().reconnects == 0
            assert not any(isinstance(fact, UnknownEvent) for fact in world.ear.facts)
            assert any(isinstance(fact, AccountUpdate) for fact in world.ear.facts)

    virtually(main)


def test_a_stop_that_fires_is_seen_the_same_by_stream_and_query() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await ready(world)
            await world.client.submit(entry(), Lane.MANAGE)
            await world.client.submit(stop(world, "0.9995"), Lane.PROTECT)
            await world.until(
                lambda: algos(world, "ucb-s")[-1:] and algos(world, "ucb-s")[-1].executed_quantity,
                limit_s=6 * 3_600,
            )
            last = algos(world, "ucb-s")[-1]
            assert last.status is AlgoStatus.FINISHED
            born = [fact for fact in orders(world, "ucb-s") if fact.trade_id]
            assert sum(fact.last_quantity for fact in born) == QUANTITY
            assert {fact.order_id for fact in born} == {last.order_id}
            found = await world.client.query(XRP, "ucb-s", conditional=True, lane=Lane.MANAGE)
            assert found is not None
            assert (found.status, found.executed, found.order_id) == (
                OrderStatus.FILLED,
                QUANTITY,
                last.order_id,
            )
            assert await world.client.get_positions() == ()
            kinds = {row.kind for row in await world.client.get_income(start_ms=START_MS)}
            assert {"COMMISSION", "REALIZED_PNL"} <= kinds

    virtually(main)


@pytest.mark.parametrize(
    ("fault", "family", "exists"),
    [
        (RestFault(route=PLACE, phase="after", drop=True), OutcomeUnknown, True),
        (RestFault(route=PLACE, phase="before", drop=True), OutcomeUnknown, False),
        (RestFault(route=PLACE, phase="after", delay_ms=30_000), OutcomeUnknown, True),
        (
            RestFault(
                route=PLACE,
                phase="after",
                status=503,
                body="Unknown error, please check your request or try again later.",
            ),
            OutcomeUnknown,
            True,
        ),
        (RestFault(route=PLACE, status=408, code=-1007, msg="Timeout"), OutcomeUnknown, False),
        (RestFault(route=PLACE, phase="after", status=200, body="<html>"), OutcomeUnknown, True),
        (RestFault(route=PLACE, status=503, body="Service Unavailable."), RetryLater, False),
        (RestFault(route=PLACE, status=503, code=-1008, msg="throttled"), RetryLater, False),
        (RestFault(route=PLACE, status=400, code=-2019, msg="Margin"), Refused, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_family_never_lies_about_what_happened(
    fault: RestFault, family: type[VenueError], exists: bool
) -> None:
    """A definite no means nothing is there; where something may be there, asking tells."""

    async def main() -> None:
        async with paper_world() as world:
            await ready(world)
            world.server.faults.rest.append(fault)
            with pytest.raises(VenueError) as caught:
                await world.client.submit(entry(), Lane.MANAGE)
            assert type(caught.value) is family
            found = await world.client.query(XRP, "ucb-e", conditional=False, lane=Lane.MANAGE)
            assert (found is not None) is exists
            if found is not None:
                assert found.status is OrderStatus.FILLED

    virtually(main)


def test_a_level_already_passed_is_refused_by_its_code() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await ready(world)
            await world.client.submit(entry(), Lane.MANAGE)
            with pytest.raises(Refused) as caught:
                await world.client.submit(stop(world, "1.02"), Lane.PROTECT)
            assert caught.value.code == -2021

    virtually(main)


def test_the_same_id_twice_points_to_the_first_order() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await ready(world)
            await world.client.submit(entry(), Lane.MANAGE)
            await world.client.submit(stop(world), Lane.PROTECT)
            with pytest.raises(OutcomeUnknown) as caught:
                await world.client.submit(stop(world), Lane.PROTECT)
            assert caught.value.code == -4116
            found = await world.client.query(XRP, "ucb-s", conditional=True, lane=Lane.MANAGE)
            assert found is not None
            assert found.status is OrderStatus.LIVE

    virtually(main)


def test_a_ban_is_waited_out_and_then_it_works() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await ready(world)
            world.server.faults.rest.append(
                RestFault(
                    route="GET /fapi/v3/positionRisk",
                    status=418,
                    code=-1003,
                    msg=f"Way too many requests; IP banned until {START_MS + 600_000}.",
                )
            )
            with pytest.raises(RateLimited):
                await world.client.get_positions()
            before = world.server.requests.total()
            await world.clock.sleep(500)
            with pytest.raises(RateLimited):
                await world.client.submit(entry(), Lane.PROTECT)
            assert world.server.requests.total() == before
            await world.clock.sleep(110)
            await world.client.submit(entry(), Lane.PROTECT)

    virtually(main)
