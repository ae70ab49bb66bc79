"""Contract rules that change while we trade (INV-01, INV-06): deny, do not loop."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from support.world import SYMBOL, WIRE, Daemon, World, approved, in_world

from core.domain.enums import DenyReason, ExitReason
from core.domain.facts import Alert, EntryRefused, PositionOpened, TradeClosed
from core.paper.faults import RestFault

ORDER = "POST /fapi/v1/order"
ALGO = "POST /fapi/v1/algoOrder"
INFO = "GET /fapi/v1/exchangeInfo"


def off_tick(route: str, times: int = 1) -> RestFault:
    text = "Price not increased by tick size."
    return RestFault(route, status=400, code=-4014, msg=text, times=times)


def change(world: World, **rules: Decimal) -> None:
    """The exchange has other rules from now on."""
    market = world.paper.exchange.markets[WIRE]
    market.contract = replace(market.contract, **rules)


def texts(daemon: Daemon, key: str) -> list[str]:
    return [fact.text for fact in daemon.facts if isinstance(fact, Alert) and fact.key == key]


async def try_entry(world: World, daemon: Daemon, number: int) -> None:
    await daemon.orders.place_order(approved(number=number))
    await world.wait(lambda: not daemon.orders.busy(SYMBOL))


def test_a_stop_refused_under_new_rules_is_placed_under_them(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        change(world, tick=Decimal("0.01"), min_price=Decimal("0.01"))
        world.paper.faults.rest.append(off_tick(ALGO))
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        assert world.stops() == 100
        assert world.paper.requests[ALGO] == 5  # refused, corrected, three legs
        prices = sorted(algo.spec.trigger for algo in world.paper.open_algo_orders())
        assert prices == [Decimal(text) for text in ("1.98", "2.01", "2.02", "2.04")]
        assert "tick 0.0001 -> 0.01" in texts(daemon, f"contract:{SYMBOL}")[0]
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_ladder_refused_under_new_rules_is_placed_under_them(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        change(world, tick=Decimal("0.01"), min_price=Decimal("0.01"))
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        legs = [a for a in world.paper.open_algo_orders() if a.spec.order.kind != "STOP_MARKET"]
        assert [algo.spec.trigger for algo in legs] == [
            Decimal("2.01"),
            Decimal("2.02"),
            Decimal("2.04"),
        ]
        assert not texts(daemon, f"ladder:{SYMBOL}")
        await daemon.stop()

    in_world(tmp_path, story)


def test_when_the_rules_cannot_be_read_the_second_try_is_not_late(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(RestFault(INFO, delay_ms=20_000, drop=True, times=0))
        world.paper.faults.rest.append(RestFault(ALGO, status=400, code=-1111, msg="Precision."))
        began = world.clock.monotonic()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: world.stops() == 100)
        assert world.clock.monotonic() - began < 1.5
        assert world.position() == 100
        await daemon.stop()

    in_world(tmp_path, story)


def test_entries_refused_by_unchanged_rules_rest_instead_of_looping(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.client.get_instruments()  # brackets are known before a symbol is traded
        world.paper.faults.rest.append(off_tick(ORDER, times=0))
        for number in range(10):
            await try_entry(world, daemon, number)
            await world.clock.sleep(30)
        assert world.paper.requests[ORDER] == 2
        gates = [f.refusal.gate for f in daemon.facts if isinstance(f, EntryRefused)]
        assert gates == [DenyReason.CONTRACT_RULES] * 8
        world.paper.faults.clear()
        change(
            world, tick=Decimal("0.001"), min_price=Decimal("0.001")
        )  # read within the hour: another contract, another try
        await world.clock.sleep(3_700)
        await daemon.orders.place_order(approved(number=99))
        await world.wait(lambda: world.stops() == 100)
        await daemon.stop()

    in_world(tmp_path, story)


def test_until_the_rules_are_read_the_symbol_waits(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        world.paper.faults.rest.append(off_tick(ORDER))
        world.paper.faults.rest.append(RestFault(INFO, drop=True, times=2))
        await try_entry(world, daemon, 1)
        await try_entry(world, daemon, 2)
        refusals = [f.refusal for f in daemon.facts if isinstance(f, EntryRefused)]
        assert refusals[0].checks[-1].numbers == {"rules": "being read again"}
        await world.clock.sleep(15)
        await daemon.orders.place_order(approved(number=3))
        await world.wait(lambda: world.stops() == 100)
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_delisting_contract_is_told_of_and_close_only(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await daemon.orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        world.paper.exchange.markets[WIRE].close_only = True
        await world.clock.sleep(3_700)
        assert "close-only from now on" in texts(daemon, f"contract:{SYMBOL}")[0]
        report = await daemon.orders.close_position(SYMBOL, ExitReason.MANUAL)
        assert report.closed
        assert len(daemon.of(TradeClosed)) == 1
        before = world.paper.requests[ORDER]
        await try_entry(world, daemon, 2)
        refusals = [f.refusal.gate for f in daemon.facts if isinstance(f, EntryRefused)]
        assert refusals == [DenyReason.CLOSE_ONLY]
        assert world.paper.requests[ORDER] == before
        await daemon.stop()

    in_world(tmp_path, story)
