"""The exchange's quantitative rules: our own ratios, its count, and what follows (INV-06)."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from oms.builders import SYMBOL, add, state
from support.world import SYMBOL as XRP
from support.world import World, approved, in_world

from core.domain.account import RuleIndicator
from core.domain.enums import DenyReason, OrderStatus, Purpose, TimeInForce
from core.domain.facts import Alert, EntryRefused
from core.domain.order import OrderRecord
from core.exchange.rest_bodies import TradingStatusBody
from core.exchange.rest_codec import rule_indicators
from core.exchange.symbols import SymbolMap
from core.oms.quantitative_rules import LEAST_ORDERS, WINDOW_MS, OrderRatios
from core.paper.faults import RestFault

ORDER = "POST /fapi/v1/order"
STATUS = "GET /fapi/v1/apiTradingStatus"
NOW = 10_000_000


def sent(
    status: OrderStatus = OrderStatus.FILLED,
    quantity: str = "100",
    executed: str = "100",
    *,
    force: TimeInForce | None = None,
    lived_ms: int = 60_000,
    purpose: Purpose = Purpose.ENTRY,
) -> OrderRecord:
    record = add(state(), purpose, status, quantity, executed=executed)
    record.intent = replace(record.intent, time_in_force=force)
    record.sent_ms, record.updated_ms = NOW, NOW + lived_ms
    return record


def counted(*records: OrderRecord, price: str = "2", now: int = NOW) -> dict[str, Decimal]:
    ratios = OrderRatios()
    for record in records:
        ratios.note_sent(record, Decimal(price))
    return ratios.of(SYMBOL, now)


def test_a_few_orders_are_never_counted() -> None:
    assert counted(*[sent(executed="0") for _ in range(LEAST_ORDERS - 1)]) == {}


def test_ratios_by_the_exchange_s_definitions() -> None:
    gtc = TimeInForce.GTC
    records = [sent() for _ in range(10)]
    records += [sent(OrderStatus.CANCELED, executed="50", force=gtc, lived_ms=4_999)] * 4
    records += [sent(OrderStatus.CANCELED, executed="0", force=gtc, lived_ms=5_000)] * 4
    records += [sent(OrderStatus.EXPIRED, executed="0", force=TimeInForce.IOC)] * 1
    records += [sent(force=TimeInForce.FOK)] * 1
    found = counted(*records)
    assert found == {
        "UFR": 1 - Decimal(1_000 + 200 + 100) / 2_000,
        "GCR": Decimal("0.5"),
        "IFER": Decimal("0.5"),
        "DR": Decimal(0),
    }


def test_orders_under_fifty_are_dust() -> None:
    assert counted(*[sent() for _ in range(LEAST_ORDERS)], price="0.4999")["DR"] == 1
    assert counted(*[sent() for _ in range(LEAST_ORDERS)], price="0.5")["DR"] == 0


def test_what_happened_later_counts_by_itself_and_old_orders_are_forgotten() -> None:
    ratios = OrderRatios()
    records = [sent(OrderStatus.LIVE, executed="0") for _ in range(LEAST_ORDERS)]
    for record in records:
        ratios.note_sent(record, Decimal(2))
    assert ratios.of(SYMBOL, NOW)["UFR"] == 1
    for record in records:
        record.executed = Decimal(100)
    assert ratios.of(SYMBOL, NOW)["UFR"] == 0
    assert ratios.of(SYMBOL, NOW + WINDOW_MS) == {}


def test_a_waiting_stop_is_no_unfilled_order() -> None:
    waiting = [sent(executed="0", purpose=Purpose.STOP) for _ in range(50)]
    assert counted(*waiting) == {}


BODY = (
    '{"indicators":{"XRPUSDC":[{"isLocked":%s,"plannedRecoverTime":%s,"indicator":"UFR",'
    '"value":%s,"triggerValue":0.99}]},"updateTime":1}'
)


def test_the_answer_is_read() -> None:
    account = b'{"indicators":{"ACCOUNT":[{"indicator":"TMV","value":10,"triggerValue":1,'
    account += b'"plannedRecoverTime":1644919865000,"isLocked":true}]},"updateTime":1}'
    body = msgspec.json.decode(account, type=TradingStatusBody)
    assert rule_indicators(body, SymbolMap()) == (
        RuleIndicator("", "TMV", Decimal(10), Decimal(1), locked=True, recover_ms=1644919865000),
    )
    assert rule_indicators(TradingStatusBody(), SymbolMap()) == ()


@pytest.mark.parametrize(
    ("locked", "recover", "value", "denied"),
    [
        ("true", "null", "0.05", True),
        ("true", "4000000000000", "0.05", True),
        ("true", "1000", "0.05", False),
        ("false", "null", "0.80", True),
        ("false", "null", "0.78", False),
    ],
    ids=["locked", "locked until", "lock is over", "near the limit", "far from it"],
)
def test_entries_pause_by_the_exchange_s_own_count(
    tmp_path: Path, locked: str, recover: str, value: str, denied: bool
) -> None:
    async def story(world: World) -> None:
        body = BODY % (locked, recover, value)
        world.paper.faults.rest.append(RestFault(STATUS, status=200, body=body, times=0))
        daemon = await world.daemon()
        await world.wait(lambda: world.paper.requests[STATUS] == 1)
        await world.clock.sleep(1)
        await daemon.orders.place_order(approved())
        if denied:
            await world.wait(lambda: not daemon.orders.busy(XRP))
            refusals = [f.refusal.gate for f in daemon.facts if isinstance(f, EntryRefused)]
            assert refusals == [DenyReason.ORDER_RATIO]
        else:
            await world.wait(lambda: world.stops() == 100)
        keys = [f.key for f in daemon.facts if isinstance(f, Alert)]
        assert (f"order-ratio:{XRP}" in keys) is (locked == "true")
        await daemon.stop()

    in_world(tmp_path, story)


def test_an_entry_refused_by_the_rules_pauses_the_symbol(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        await world.wait(lambda: world.paper.requests[STATUS] == 1)
        locked = RestFault(ORDER, status=400, code=-4400, msg="Quantitative rules.")
        world.paper.faults.rest.append(locked)
        for number in (1, 2):
            await daemon.orders.place_order(approved(number=number))
            await world.wait(lambda: not daemon.orders.busy(XRP))
        assert world.paper.requests[ORDER] == 1
        assert world.paper.requests[STATUS] == 2  # asked at once
        await world.clock.sleep(600)
        await daemon.orders.place_order(approved(number=3))
        await world.wait(lambda: world.stops() == 100)
        await daemon.stop()

    in_world(tmp_path, story)


def test_a_venue_that_does_not_tell_is_asked_rarely(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        missing = RestFault(STATUS, status=404, body="<html>404</html>", times=0)
        world.paper.faults.rest.append(missing)
        daemon = await world.daemon()
        await world.clock.sleep(7_200)
        assert world.paper.requests[STATUS] == 1
        await daemon.orders.place_order(approved())
        await world.wait(lambda: world.stops() == 100)
        await daemon.stop()

    in_world(tmp_path, story)


def test_the_paper_exchange_answers_as_the_exchange_does(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        assert await daemon.client.get_rule_indicators() == ()
        await daemon.stop()

    in_world(tmp_path, story)
