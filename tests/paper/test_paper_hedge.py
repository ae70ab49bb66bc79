"""Hedged accounts, isolated margin transfers, margin calls, deleveraging."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import BTC, Bench, D, Venue, api
from test_paper_streams import WAIT_S, open_user, socket

from core.domain.enums import Side
from core.paper.errors import ApiError
from core.paper.records import PositionSide

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


async def order(venue: Venue, side: str, position: str, quantity: str, **more: object) -> Any:
    return await venue.call(
        "POST",
        "/fapi/v1/order",
        symbol=BTC,
        side=side,
        positionSide=position,
        type="MARKET",
        quantity=quantity,
        **more,
    )


@pytest.fixture
async def hedged(venue: Venue) -> Venue:
    status, _ = await venue.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert status == 200
    return venue


async def test_both_sides_are_held_apart(hedged: Venue) -> None:
    key = await open_user(hedged)
    async with socket(hedged, f"/private/ws?listenKey={key}&events=ACCOUNT_UPDATE") as ws:
        await order(hedged, "BUY", "LONG", "0.010")
        await order(hedged, "SELL", "SHORT", "0.004")
        events = [await ws.receive_json(timeout=WAIT_S) for _ in range(2)]
    told = [(row["ps"], row["pa"]) for event in events for row in event["a"]["P"]]
    assert told == [("LONG", "0.01"), ("SHORT", "-0.004")]
    _, rows = await hedged.call("GET", "/fapi/v3/positionRisk", symbol=BTC)
    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [
        ("LONG", "0.01"),
        ("SHORT", "-0.004"),
    ]
    _, body = await hedged.call("GET", "/fapi/v2/positionRisk", symbol=BTC)
    assert [row["positionSide"] for row in body] == ["LONG", "SHORT"]
    _, rows = await hedged.call("GET", "/fapi/v1/adlQuantile", symbol=BTC)
    assert rows == [{"symbol": BTC, "adlQuantile": {"LONG": 1, "SHORT": 1, "HEDGE": 0}}]


@pytest.mark.parametrize(
    ("side", "position", "more", "code"),
    [
        ("BUY", "BOTH", {}, -4061),
        ("BUY", "LONG", {"reduceOnly": "true"}, -1106),
        ("SELL", "LONG", {}, -2022),
        ("BUY", "MIDDLE", {}, -4060),
    ],
)
async def test_orders_a_hedged_account_does_not_take(
    hedged: Venue, side: str, position: str, more: dict[str, object], code: int
) -> None:
    assert (await order(hedged, side, position, "0.01", **more))[1]["code"] == code


async def test_closing_one_side_leaves_the_other(hedged: Venue) -> None:
    await order(hedged, "BUY", "LONG", "0.010")
    await order(hedged, "SELL", "SHORT", "0.010")
    _, body = await order(hedged, "SELL", "LONG", "0.020", newOrderRespType="RESULT")
    assert (body["executedQty"], body["reduceOnly"]) == ("0.01", True)
    assert [(row.side, row.quantity) for row in hedged.server.positions()] == [(SHORT, D("-0.010"))]
    _, stop = await hedged.call(
        "POST",
        "/fapi/v1/algoOrder",
        algoType="CONDITIONAL",
        symbol=BTC,
        side="BUY",
        positionSide="SHORT",
        type="STOP_MARKET",
        triggerPrice="61000",
        closePosition="true",
    )
    assert stop["positionSide"] == "SHORT"
    hedged.tick("61100")
    assert hedged.server.positions() == []


async def test_mode_cannot_change_under_a_position(hedged: Venue) -> None:
    await order(hedged, "BUY", "LONG", "0.010")
    _, body = await hedged.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")
    assert body["code"] == -4068


FLOW = st.lists(
    st.tuples(
        st.sampled_from(
            [(Side.BUY, LONG), (Side.SELL, LONG), (Side.SELL, SHORT), (Side.BUY, SHORT)]
        ),
        st.integers(1, 30),
        st.integers(58_000, 62_000),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(FLOW, st.booleans())
def test_money_is_conserved_over_hedged_order_flow(
    flow: list[tuple[tuple[Side, PositionSide], int, int, bool]], isolated: bool
) -> None:
    bench = Bench(balance="5000", isolated=isolated)
    bench.exchange.set_hedge_mode(enabled=True)
    wallet = bench.exchange.ledger.wallets["USDC"]
    for (side, position_side), lots, price, limit in flow:
        spec = bench.spec(side, str(D(lots) / 1000), str(price) if limit else "0")
        spec.position_side = position_side
        spec.reduce_only = (position_side is LONG) == (side is Side.SELL)
        if spec.reduce_only and not bench.exchange.ledger.position(BTC, position_side).quantity:
            continue
        try:
            bench.exchange.risk.check_margin(spec)
        except ApiError:
            continue
        bench.exchange.matcher.submit(spec)
        bench.tick(str(price))
        assert wallet.balance == 5000 + wallet.realized - wallet.fees + wallet.funding
        long, short = (bench.exchange.ledger.position(BTC, s).quantity for s in (LONG, SHORT))
        assert long >= 0 >= short


def test_margin_moves_into_and_out_of_an_isolated_position() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    risk, position = bench.exchange.risk, bench.exchange.ledger.positions[BTC]
    before, free = position.isolated_wallet, risk.available("USDC")
    edge = risk.liquidation_price(position)
    risk.move_margin(position, D(50), add=True)
    assert position.isolated_wallet == before + 50
    assert risk.available("USDC") == free - 50
    assert risk.liquidation_price(position) < edge
    risk.move_margin(position, D(40), add=False)
    assert bench.wallet() == 1000 - bench.exchange.ledger.wallets["USDC"].fees
    for amount, add, code in ((D(0), True, -4055), (D(5000), True, -4050), (D(500), False, -4051)):
        with pytest.raises(ApiError) as error:
            risk.move_margin(position, amount, add=add)
        assert error.value.code == code


async def test_margin_transfer_over_the_wire(venue: Venue) -> None:
    await venue.call("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    path = "/fapi/v1/positionMargin"
    _, body = await venue.call("POST", path, symbol=BTC, amount=5, type=1)
    assert body["code"] == -4054
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    key = await open_user(venue)
    async with socket(venue, f"/private/ws?listenKey={key}") as ws:
        status, body = await venue.call("POST", path, symbol=BTC, amount=5, type=1)
        event = await ws.receive_json(timeout=WAIT_S)
    assert (status, body["amount"], body["type"]) == (200, 5.0, 1)
    assert (event["e"], event["a"]["m"]) == ("ACCOUNT_UPDATE", "MARGIN_TRANSFER")


def test_margin_is_called_once_before_a_cross_liquidation() -> None:
    bench = Bench(balance="100", isolated=False)
    bench.market(Side.BUY, "0.030")
    edge = bench.exchange.risk.liquidation_price(bench.exchange.ledger.positions[BTC])
    bench.path([str(int(edge) + gap) for gap in (300, 45, 40, 35)])
    calls = [row for row in bench.events.log if row[0] == "margin-call"]
    assert calls == [("margin-call", BTC, "BOTH")]
    assert bench.position() != 0
    bench.tick(str(int(edge) - 1))
    assert bench.position() == 0
    assert bench.wallet() >= 0


async def test_deleveraging_has_its_own_id_and_no_penalty(venue: Venue) -> None:
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    venue.tick("61000")
    key = await open_user(venue)
    async with socket(venue, f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE") as ws:
        await api(venue, "POST", "/paper/action", {"action": "adl", "symbol": BTC})
        events = [await ws.receive_json(timeout=WAIT_S) for _ in range(2)]
    told = events[-1]["o"]
    assert (told["c"], told["x"], told["o"]) == ("adl_autoclose", "CALCULATED", "LIQUIDATION")
    _, rows = await venue.call("GET", "/fapi/v1/forceOrders", autoCloseType="ADL")
    assert [row["clientOrderId"] for row in rows] == ["adl_autoclose"]
    _, rows = await venue.call("GET", "/fapi/v1/forceOrders", autoCloseType="LIQUIDATION")
    assert rows == []
    _, rows = await venue.call("GET", "/fapi/v1/income", incomeType="INSURANCE_CLEAR")
    assert rows == []


async def test_fee_burn_is_remembered(venue: Venue) -> None:
    assert (await venue.call("GET", "/fapi/v1/feeBurn"))[1] == {"feeBurn": False}
    await venue.call("POST", "/fapi/v1/feeBurn", feeBurn="true")
    assert (await venue.call("GET", "/fapi/v1/feeBurn"))[1] == {"feeBurn": True}


async def test_settings_changed_by_the_phone(venue: Venue) -> None:
    wish = {"op": "leverage", "params": {"symbol": BTC, "leverage": "7"}}
    status, _ = await api(venue, "POST", "/paper/manual", wish)
    assert status == 200
    wish = {"op": "position_mode", "params": {"dualSidePosition": "true"}}
    await api(venue, "POST", "/paper/manual", wish)
    _, body = await venue.call("GET", "/fapi/v1/symbolConfig", symbol=BTC)
    assert body[0]["leverage"] == 7
    _, body = await venue.call("GET", "/fapi/v1/positionSide/dual")
    assert body == {"dualSidePosition": True}
