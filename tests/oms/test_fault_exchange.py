"""Refusals, limits and interventions of the exchange, and a disk that fills up.

Protection and exits go on, entries do not, nothing is asked in a storm (INV-01, 05, 08, 16).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path

import pytest
from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.domain.enums import ExitReason
from core.domain.facts import FillBooked, PositionOpened, StopConfirmed, TradeClosed
from core.paper.errors import ApiError
from core.paper.faults import EventFault, FillFault, RestFault
from core.paper.limits import WEIGHT_PER_MINUTE
from core.paper.orders_in import order_spec
from core.paper.params import Params

ORDER = "POST /fapi/v1/order"
ALGO = "POST /fapi/v1/algoOrder"
POSITIONS = "GET /fapi/v3/positionRisk"


async def opened(world: World) -> Daemon:
    daemon = await world.daemon()
    await daemon.orders.place_order(approved())
    await world.wait(lambda: daemon.of(PositionOpened), timeout=60)
    return daemon


async def closed(world: World, daemon: Daemon) -> TradeClosed:
    await world.wait(lambda: daemon.of(TradeClosed), timeout=90)
    assert len(daemon.risk.closed) == 1
    fact = daemon.of(TradeClosed)[0]
    assert isinstance(fact, TradeClosed)
    assert fact.net == world.wallet_change()
    assert world.position() == 0
    await world.wait(lambda: not world.paper.open_algo_orders())
    await daemon.stop()
    return fact


def by_hand(world: World, **params: str) -> None:
    """An order of somebody else: the owner's phone, or the exchange itself."""
    fields = {"symbol": WIRE, **params}
    world.paper.exchange.matcher.submit(order_spec(world.paper.exchange, Params(fields)))


def seen(world: World) -> dict[str, int]:
    return dict(world.paper.requests)


def since(world: World, before: dict[str, int]) -> dict[str, int]:
    """Requests the exchange has seen since `before`, by method and path."""
    return {
        route: count - before.get(route, 0)
        for route, count in world.paper.requests.items()
        if count > before.get(route, 0)
    }


# --- entries refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-2019, "Margin is insufficient."),
        (-1111, "Precision is over the maximum defined for this asset."),
        (-4164, "Order's notional must be no smaller than 5."),
    ],
)
def test_a_refused_entry_is_told_and_not_repeated(tmp_path: Path, code: int, text: str) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(RestFault(ORDER, status=400, code=code, msg=text, times=0))
        await daemon.orders.place_order(approved())
        await world.wait(lambda: not daemon.orders.busy(SYMBOL))
        await world.clock.sleep(60)
        assert world.paper.requests[ORDER] == 1
        assert world.position() == 0
        assert any(text in line for line in daemon.alerts())
        assert daemon.of(TradeClosed) == []
        await daemon.stop()

    in_world(tmp_path, story)


def test_an_overloaded_exchange_gets_the_entry_once_more_and_fills_it_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.paper.faults.rest.append(
            RestFault(ORDER, status=503, body="Service Unavailable.", times=1)
        )
        daemon = await opened(world)
        assert world.paper.requests[ORDER] == 2
        assert world.position() == world.stops() == 100
        await daemon.orders.close_position(SYMBOL)
        await closed(world, daemon)

    in_world(tmp_path, story)


def test_a_contract_that_leaves_trading_takes_exits_only(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.exchange.markets[WIRE].close_only = True
        report = await daemon.orders.close_position(SYMBOL)
        assert report.closed
        before = world.paper.requests[ORDER]
        await daemon.orders.place_order(approved(number=2))
        await world.wait(lambda: not daemon.orders.busy(SYMBOL))
        assert world.paper.requests[ORDER] == before + 1
        assert world.position() == 0
        await daemon.stop()

    in_world(tmp_path, story)


# --- the exchange and the owner act ----------------------------------------------------------


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [
        ("settlement_autoclose-1", ExitReason.FOREIGN),
        ("delivery_autoclose-1", ExitReason.FOREIGN),
        ("web_1", ExitReason.FOREIGN),
    ],
)
def test_a_position_ended_by_the_exchange_is_accounted_once(
    tmp_path: Path, client_id: str, reason: ExitReason
) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        by_hand(
            world,
            side="SELL",
            type="MARKET",
            quantity="100",
            reduceOnly="true",
            newClientOrderId=client_id,
        )
        fact = await closed(world, daemon)
        assert fact.reason is reason

    in_world(tmp_path, story)


def test_deleveraging_ends_the_trade_with_its_reason(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.feed.push(WIRE, "2.0100")
        world.paper.exchange.risk.force(WIRE, "adl")
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.ADL

    in_world(tmp_path, story)


def test_a_part_deleveraged_shrinks_the_stop(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        by_hand(
            world,
            side="SELL",
            type="MARKET",
            quantity="30",
            reduceOnly="true",
            newClientOrderId="adl_autoclose",
        )
        await world.wait(lambda: world.stops() == 70)
        world.feed.push(WIRE, "1.9700")
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS

    in_world(tmp_path, story)


def test_a_foreign_order_is_told_once_and_left_alone(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        by_hand(
            world,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity="10",
            price="1.9500",
            newClientOrderId="web_mine",
        )
        for _ in range(3):
            await daemon.orders.reconcile("test")
        assert sum("web_mine" in line for line in daemon.alerts()) == 1
        assert len(world.paper.open_orders()) == 1
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_gap_through_the_stop_is_a_larger_loss_and_nothing_worse(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.feed.push(WIRE, "1.9000", gap=True)
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.STOP_LOSS
        assert fact.exit_price <= Decimal("1.9000")

    in_world(tmp_path, story)


# --- partial fills, exits refused ------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["in order", "fill told after the end"])
def test_an_entry_filled_in_part_is_protected_for_its_part(tmp_path: Path, late: bool) -> None:
    async def story(world: World) -> None:
        world.paper.faults.fills.append(FillFault(WIRE, Decimal("0.4")))
        if late:
            world.paper.faults.events.append(
                EventFault("ORDER_TRADE_UPDATE", nth=2, delay_ms=1_500)
            )
        daemon = await opened(world)
        assert world.position() == world.stops() == 40
        assert len(daemon.of(FillBooked)) == 1
        await world.clock.sleep(3)
        assert len(daemon.of(FillBooked)) == 1
        world.feed.push(WIRE, "1.9700")
        fact = await closed(world, daemon)
        assert fact.quantity == 40

    in_world(tmp_path, story)


def test_a_flatten_refused_is_alarmed_and_tried_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.faults.rest.append(
            RestFault(ORDER, status=400, code=-2019, msg="Margin is insufficient.", times=2)
        )
        report = await daemon.orders.close_position(SYMBOL)
        assert report.closed
        assert sum("refused" in line for line in daemon.alerts()) == 2
        await closed(world, daemon)

    in_world(tmp_path, story)


def test_leaving_a_position_that_is_gone_already_ends_in_the_truth(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        world.paper.faults.events.append(EventFault("*", copies=0, times=0))
        by_hand(world, side="SELL", type="MARKET", quantity="100", reduceOnly="true")
        report = await daemon.orders.close_position(SYMBOL)
        assert report.closed
        fact = await closed(world, daemon)
        assert fact.reason is ExitReason.FOREIGN
        assert world.paper.requests[ORDER] <= 3

    in_world(tmp_path, story)


# --- request limits --------------------------------------------------------------------------


def test_after_429_the_exchange_hears_nothing_until_the_minute_is_over(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        await world.clock.sleep(61 - world.clock.now_ms() % 60_000 / 1_000)
        with suppress(ApiError):
            world.paper.limits.spend(WEIGHT_PER_MINUTE)
        before = seen(world)
        daemon.orders.request_reconcile("test")
        await world.clock.sleep(55)
        assert sum(since(world, before).values()) <= 5  # what was asked at once
        assert "could not be read" in daemon.orders.entries_blocked()
        assert world.stops() == 100
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=30)
        await daemon.orders.close_position(SYMBOL)
        await closed(world, daemon)

    in_world(tmp_path, story)


def test_after_429_only_protection_is_sent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        await world.clock.sleep(1)
        world.paper.faults.rest.append(
            RestFault(POSITIONS, status=429, code=-1003, msg="Too many requests.")
        )
        await daemon.orders.reconcile("test")
        before = seen(world)
        stop = next(
            algo for algo in world.paper.open_algo_orders() if algo.spec.order.kind == "STOP_MARKET"
        )
        world.paper.exchange.algos.cancel(stop)
        await world.wait(lambda: len(daemon.of(StopConfirmed)) == 2, timeout=2.0)
        assert world.stops() == 100
        assert since(world, before) == {ALGO: 1}
        await world.wait(lambda: not daemon.orders.entries_blocked(), timeout=120)
        world.feed.push(WIRE, "1.9700")
        await closed(world, daemon)

    in_world(tmp_path, story)


# --- disk ------------------------------------------------------------------------------------


_FRAME = 4_096 + 24
"""A page in SQLite's write-ahead log."""


@contextmanager
def disk_full_after(folder: Path, frames: int) -> Iterator[None]:
    """No file of this process may grow beyond the database's log and `frames` pages more."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = folder / "bot.paper.db-wal"
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + frames * _FRAME, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("frames", [0, 4, 8, 12, 16, 24, 32, 48])
def test_a_disk_that_fills_up_at_any_write_stops_entries_not_protection(
    tmp_path: Path, frames: int
) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        with disk_full_after(tmp_path, frames):
            await daemon.orders.place_order(approved())
            await world.clock.sleep(5)
            assert world.stops() == world.position()
            world.feed.push(WIRE, "2.0130")
            await world.clock.sleep(5)
            assert world.stops() == world.position()
            world.feed.push(WIRE, "2.0000")
            report = await daemon.orders.panic("USDC")
            assert report.clean
            before = world.paper.requests[ORDER]
            await daemon.orders.place_order(approved(number=2))
            assert world.paper.requests[ORDER] == before
        assert any("bot.paper.db" in line for line in daemon.alerts())
        assert world.position() == 0
        world.failures.seen.clear()  # the journal's own complaints about the full disk
        await daemon.stop()

    in_world(tmp_path, story)


def test_without_an_audit_log_nothing_is_opened_and_everything_can_be_left(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await opened(world)
        daemon.audit.close()
        world.feed.push(WIRE, "2.0130")
        await world.wait(lambda: world.stops() == world.position() == 50)
        assert any("could not be written" in line for line in daemon.alerts())
        assert (await daemon.orders.close_position(SYMBOL)).closed
        before = world.paper.requests[ORDER]
        await daemon.orders.place_order(approved(number=2))
        assert world.paper.requests[ORDER] == before
        assert world.position() == 0
        await daemon.stop()

    in_world(tmp_path, story)
