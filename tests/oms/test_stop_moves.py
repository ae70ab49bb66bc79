"""Break-even and trailing: nearer to the price only, and never without a stop (INV-01, INV-02)."""

from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oms.builders import PLAN, add, opened
from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.domain.enums import Direction, ExitReason, OrderStatus, Purpose
from core.domain.facts import Alert, PositionOpened, TradeClosed
from core.domain.intent import ProtectionPlan, TakeProfitRatio
from core.domain.order import OrderRecord
from core.oms.decisions import (
    BeginFlatten,
    Cancel,
    Idle,
    PlaceLadder,
    PlaceStop,
    decide_manage,
    decide_protect,
)
from core.oms.state import SymbolState
from core.oms.stop_level import (
    FOUND,
    MoveRules,
    StopBasis,
    StopLevel,
    stop_level,
    stop_price,
    tighter,
)
from core.paper.faults import RestFault

TIMEOUT = 1.5
S = OrderStatus
EVEN = MoveRules(break_even=True)
TRAIL = MoveRules(
    trailing=True,
    trailing_start=Decimal("0.006"),
    trailing_distance=Decimal("0.004"),
    interval_s=5.0,
)


def stop(
    state: SymbolState,
    price: str,
    quantity: str = "100",
    basis: str = "",
    status: OrderStatus = S.LIVE,
) -> OrderRecord:
    record = add(state, Purpose.STOP, status, quantity, trigger=price)
    record.intent = replace(record.intent, note=basis)
    return record


def held(direction: Direction = Direction.LONG) -> SymbolState:
    """A position of 100 at 2.0000 under its planned stop, its ladder placed."""
    made = opened(direction)
    stop(made, str(stop_price(made.trade, made.instrument)))
    made.ladder_done = True
    return made


def after_tp1(direction: Direction = Direction.LONG) -> SymbolState:
    """As `held`, half of it taken at the first target and the stop following the rest."""
    made = opened(direction)
    add(made, Purpose.TAKE_PROFIT, S.FILLED, "50", executed="50", level=1)
    add(made, Purpose.TAKE_PROFIT, S.LIVE, "30", level=2)
    stop(made, str(stop_price(made.trade, made.instrument)), "50")
    made.ladder_done = True
    return made


# --- the level ---


@pytest.mark.parametrize("rules", [MoveRules(), EVEN, TRAIL], ids=["off", "break-even", "trail"])
def test_at_first_the_plan_says_where_the_stop_is(rules: MoveRules) -> None:
    assert stop_level(held(), rules) == StopLevel(Decimal("1.9840"), StopBasis.PLAN)
    assert stop_level(held(Direction.SHORT), rules) == StopLevel(Decimal("2.0160"), StopBasis.PLAN)


@pytest.mark.parametrize(
    ("direction", "price"), [(Direction.LONG, "2.0020"), (Direction.SHORT, "1.9980")]
)
def test_after_the_first_target_the_stop_pays_for_the_fees(
    direction: Direction, price: str
) -> None:
    level = stop_level(after_tp1(direction), EVEN)
    assert level == StopLevel(Decimal(price), StopBasis.BREAK_EVEN)


def test_a_part_of_the_first_target_is_not_the_target() -> None:
    made = held()
    add(made, Purpose.TAKE_PROFIT, S.PARTIALLY_FILLED, "50", executed="10", level=1)
    assert stop_level(made, EVEN).basis is StopBasis.PLAN


def test_a_first_target_taken_at_market_is_the_target() -> None:
    made = held()
    add(made, Purpose.TAKE_PROFIT, S.REJECTED, "50", level=1)
    add(made, Purpose.TAKE_PROFIT, S.FILLED, "50", executed="50", level=1)
    assert stop_level(made, EVEN).basis is StopBasis.BREAK_EVEN


def test_break_even_never_lies_where_the_first_target_was() -> None:
    made = after_tp1()
    made.trade.plan = ProtectionPlan(
        PLAN.stop_ratio, (TakeProfitRatio(Decimal("0.001"), Decimal(1)),)
    )
    assert stop_level(made, EVEN).price == Decimal("2.0010")


@pytest.mark.parametrize(
    ("direction", "best", "price"),
    [
        (Direction.LONG, "2.0119", None),
        (Direction.LONG, "2.0120", "2.0039"),
        (Direction.LONG, "2.1000", "2.0916"),
        (Direction.SHORT, "1.9880", "1.9960"),
        (Direction.SHORT, "1.9000", "1.9076"),
    ],
)
def test_the_trail_begins_at_its_gain_and_keeps_its_distance(
    direction: Direction, best: str, price: str | None
) -> None:
    made = held(direction)
    made.best_price = Decimal(best)
    level = stop_level(made, TRAIL)
    if price is None:
        assert level.basis is StopBasis.PLAN
    else:
        assert level == StopLevel(Decimal(price), StopBasis.TRAILING)


@given(
    direction=st.sampled_from(list(Direction)),
    best=st.decimals("0.5", "8", places=4),
    accepted=st.lists(st.decimals("1", "4", places=4), max_size=4),
    rules=st.builds(
        MoveRules,
        break_even=st.booleans(),
        trailing=st.booleans(),
        trailing_start=st.decimals("0", "0.2", places=3),
        trailing_distance=st.decimals("0.001", "0.1", places=3),
    ),
)
def test_no_level_is_looser_than_the_plan_or_than_what_was_accepted(
    direction: Direction, best: Decimal, accepted: list[Decimal], rules: MoveRules
) -> None:
    made = after_tp1(direction)
    made.best_price = best
    for price in accepted:
        stop(made, str(price), "50", StopBasis.TRAILING)
    found = stop_level(made, rules).price
    for price in (*accepted, stop_price(made.trade, made.instrument)):
        assert not tighter(direction, price, found)
    assert found % made.instrument.tick == 0


def test_a_stop_found_on_the_exchange_is_not_loosened() -> None:
    made = held()
    stop(made, "1.9950", "100", FOUND)
    assert stop_level(made, MoveRules()).price == Decimal("1.9950")


def test_a_refused_move_is_no_level() -> None:
    made = held()
    stop(made, "2.0100", "100", StopBasis.TRAILING, S.REJECTED)
    assert stop_level(made, TRAIL).basis is StopBasis.PLAN


# --- the steps ---


def test_the_new_stop_comes_before_the_old_one_goes() -> None:
    made = after_tp1()
    old = made.live_stops()[0]
    step = decide_protect(made, 0.0, TIMEOUT, EVEN)
    assert step == PlaceStop(
        Decimal(50), Decimal("2.0020"), urgent=False, basis=StopBasis.BREAK_EVEN
    )
    new = stop(made, "2.0020", "50", StopBasis.BREAK_EVEN, S.SENT)
    assert decide_protect(made, 0.0, TIMEOUT, EVEN) == Idle()
    assert not isinstance(decide_manage(made, 0.0, 0, EVEN), Cancel)
    new.status = S.LIVE
    assert decide_manage(made, 0.0, 0, EVEN) == Cancel(old)
    assert decide_protect(made, 0.0, TIMEOUT, EVEN) == Idle()


def test_moves_keep_their_interval_and_new_sizes_do_not_wait_for_it() -> None:
    made = held()
    made.best_price = Decimal("2.0200")
    made.move_not_before = 5.0
    assert decide_protect(made, 1.0, TIMEOUT, TRAIL) == Idle(until=5.0)
    assert isinstance(decide_protect(made, 5.0, TIMEOUT, TRAIL), PlaceStop)
    add(made, Purpose.TAKE_PROFIT, S.FILLED, "50", executed="50", level=1)
    assert isinstance(decide_protect(made, 1.0, TIMEOUT, TRAIL), PlaceStop)


def test_a_small_step_is_not_worth_an_order() -> None:
    made = held()
    made.best_price = Decimal("2.0200")
    first = stop_level(made, TRAIL).price
    made.orders.clear()
    made = opened()
    made.ladder_done = True
    stop(made, str(first), "100", StopBasis.TRAILING)
    made.best_price = Decimal("2.0210")
    assert decide_protect(made, 0.0, TIMEOUT, TRAIL) == Idle()
    made.best_price = Decimal("2.0240")
    assert isinstance(decide_protect(made, 0.0, TIMEOUT, TRAIL), PlaceStop)


def test_while_the_trail_runs_ahead_the_tightest_stop_is_kept() -> None:
    made = held()
    loose = made.live_stops()[0]
    stop(made, "2.0039", "100", StopBasis.TRAILING)
    made.best_price = Decimal("2.1000")
    assert decide_manage(made, 0.0, 0, TRAIL) == Cancel(loose)


def test_without_the_options_nothing_moves() -> None:
    made = after_tp1()
    made.best_price = Decimal("3.0000")
    assert decide_protect(made, 0.0, TIMEOUT) == Idle()


def test_a_move_that_would_trigger_at_once_leaves_the_position() -> None:
    made = after_tp1()
    made.move_broken = True
    step = decide_protect(made, 0.0, TIMEOUT, EVEN)
    assert isinstance(step, BeginFlatten)
    assert step.reason is ExitReason.MOVED_STOP


def test_a_lost_moved_stop_is_placed_again_where_it_was() -> None:
    made = after_tp1()
    made.live_stops()[0].status = S.CANCELED
    moved = stop(made, "2.0020", "50", StopBasis.BREAK_EVEN)
    moved.accepted_ms, moved.status = 1, S.CANCELED
    step = decide_protect(made, 0.0, TIMEOUT, EVEN)
    assert step == PlaceStop(
        Decimal(50), Decimal("2.0020"), urgent=True, basis=StopBasis.BREAK_EVEN
    )


@given(
    direction=st.sampled_from(list(Direction)),
    prices=st.lists(st.decimals("1.99", "2.3", places=4), min_size=1, max_size=25),
)
def test_whatever_the_price_does_coverage_never_breaks_and_the_stop_only_tightens(
    direction: Direction, prices: list[Decimal]
) -> None:
    """An exchange that answers at once, walked along a path of best prices."""
    made, now = held(direction), 0.0
    tightest = stop_price(made.trade, made.instrument)
    for price in prices:
        made.best_price = price if direction is Direction.LONG else Decimal(4) - price
        for _ in range(4):
            step = decide_protect(made, now, TIMEOUT, TRAIL)
            if isinstance(step, PlaceStop):
                assert not tighter(direction, tightest, step.trigger)
                tightest = step.trigger
                stop(made, str(step.trigger), str(step.quantity), step.basis)
                made.move_not_before = now + 5.0
            manage = decide_manage(made, now, 0, TRAIL)
            if isinstance(manage, Cancel):
                manage.record.status = S.CANCELED
            assert not isinstance(manage, PlaceLadder)
            assert made.coverage() >= 100
        now += 2.0
    assert len(made.live_stops()) == 1


# --- in the whole daemon ---


def with_moves(world: World, moves: MoveRules) -> None:
    world.rules = lambda rules: replace(rules, moves=moves)


async def opened_at_2(world: World) -> Daemon:
    daemon = await world.daemon()
    await daemon.orders.place_order(approved())
    await world.wait(lambda: daemon.of(PositionOpened))
    return daemon


def triggers(world: World) -> list[Decimal]:
    """Trigger prices of the exchange's waiting stops."""
    return sorted(
        algo.spec.trigger
        for algo in world.paper.open_algo_orders()
        if algo.spec.order.kind == "STOP_MARKET"
    )


def keys(daemon: Daemon) -> list[str]:
    return [fact.key for fact in daemon.facts if isinstance(fact, Alert)]


def break_even(daemon: Daemon) -> Decimal:
    """A thousandth above the real entry price, on the grid of 0.0001."""
    entry = daemon.orders.active_positions[SYMBOL].entry_price
    return (entry * Decimal("1.001")).quantize(Decimal("0.0001"), ROUND_FLOOR)


async def watch_coverage(world: World, seen: list[Decimal]) -> None:
    """The exchange's own books at every hundredth of a second: what no stop covered."""
    while True:
        await world.clock.sleep(0.01)
        seen.append(abs(world.position()) - world.stops())


def test_after_the_first_target_the_rest_cannot_lose(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with_moves(world, EVEN)
        daemon = await opened_at_2(world)
        uncovered: list[Decimal] = []
        daemon.supervisor.spawn("watch", lambda: watch_coverage(world, uncovered))
        world.feed.push(WIRE, "2.0150")
        await world.wait(lambda: triggers(world) == [break_even(daemon)])
        assert world.stops() == 50
        world.feed.push(WIRE, "2.0010")
        await world.wait(lambda: daemon.of(TradeClosed))
        fact = daemon.of(TradeClosed)[0]
        assert isinstance(fact, TradeClosed)
        assert fact.reason is ExitReason.MOVED_STOP
        assert fact.net > 0
        assert max(uncovered) <= 0
        await daemon.stop()

    in_world(tmp_path, story)


def test_the_stop_trails_the_price_and_is_taken_when_it_turns(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with_moves(world, TRAIL)
        daemon = await opened_at_2(world)
        uncovered: list[Decimal] = []
        daemon.supervisor.spawn("watch", lambda: watch_coverage(world, uncovered))
        highest = Decimal(0)
        for price in ("2.0080", "2.0125", "2.0200", "2.0180", "2.0230"):
            world.feed.push(WIRE, price)
            await world.clock.sleep(8)
            assert len(triggers(world)) == 1
            assert triggers(world)[0] >= highest
            highest = triggers(world)[0]
        assert highest > Decimal("2.0130")
        world.feed.push(WIRE, "2.0050")
        await world.wait(lambda: daemon.of(TradeClosed))
        fact = daemon.of(TradeClosed)[0]
        assert isinstance(fact, TradeClosed)
        assert fact.reason is ExitReason.MOVED_STOP
        assert max(uncovered) <= 0
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_gap_through_the_new_level_leaves_the_position_at_once(tmp_path: Path) -> None:
    """The price is through break-even when the moved stop arrives: the old one does not see it."""

    async def story(world: World) -> None:
        with_moves(world, EVEN)
        daemon = await opened_at_2(world)
        world.feed.push(WIRE, "2.0150")
        world.feed.push(WIRE, "1.9900", gap=True)
        await world.wait(lambda: daemon.of(TradeClosed))
        fact = daemon.of(TradeClosed)[0]
        assert isinstance(fact, TradeClosed)
        assert fact.reason is ExitReason.MOVED_STOP
        assert world.position() == 0
        assert any("already broken" in text for text in daemon.alerts())
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_restart_in_the_middle_of_a_move_ends_it_and_loosens_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with_moves(world, TRAIL)
        daemon = await opened_at_2(world)
        stuck = RestFault("DELETE /fapi/v1/algoOrder", drop=True, times=0)
        world.paper.faults.rest.append(stuck)
        world.feed.push(WIRE, "2.0110")
        world.feed.push(WIRE, "2.0119")
        await world.clock.sleep(3)
        world.feed.push(WIRE, "2.0125", gap=True)
        await world.wait(lambda: len(triggers(world)) == 2)
        moved = triggers(world)[-1]
        await daemon.stop()  # the new stop is accepted, the old one still works
        world.paper.faults.clear()
        world.feed.push(WIRE, "2.0060")  # the best price is forgotten with the process
        again = await world.daemon()
        await world.wait(lambda: len(triggers(world)) == 1)
        assert triggers(world) == [moved]
        await world.clock.sleep(20)
        assert triggers(world) == [moved]
        view = again.orders.active_positions[SYMBOL]
        assert view.stop_price == moved
        await again.stop()

    in_world(tmp_path, story)


def test_a_refused_move_leaves_the_old_stop_and_is_told_at_the_third_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with_moves(world, EVEN)
        daemon = await opened_at_2(world)
        full = RestFault(
            "POST /fapi/v1/algoOrder",
            status=400,
            code=-4045,
            msg="Reach max stop order limit.",
            times=0,
        )
        world.paper.faults.rest.append(full)
        world.feed.push(WIRE, "2.0150")
        told = f"stop-move:{SYMBOL}"
        await world.wait(lambda: told in keys(daemon), timeout=60)
        assert world.stops() == 100
        assert world.position() == 50
        world.paper.faults.clear()
        await world.wait(lambda: triggers(world) == [break_even(daemon)], timeout=30)
        assert keys(daemon).count(told) == 1
        await daemon.stop()

    in_world(tmp_path, story)
