"""Self-trade prevention: an incoming order meets one of our own on its way through the book."""

import pytest
from paper_kit import BTC, Bench, D, Venue
from test_paper_streams import WAIT_S, open_user, socket

from core.domain.enums import Side, TimeInForce
from core.paper.errors import ApiError
from core.paper.records import Expiry, Order, OrderState, StpMode

GONE = OrderState.EXPIRED_IN_MATCH


def with_own_offer(price: str = "59999.8", quantity: str = "0.010") -> tuple[Bench, Order]:
    """The book is 59999.4 to 60000.0; our own offer stands inside its spread."""
    bench = Bench(balance="100000000", isolated=False)
    own = bench.limit(Side.SELL, quantity, price)
    assert own.state is OrderState.NEW
    bench.events.log.clear()
    return bench, own


@pytest.mark.parametrize(
    ("mode", "own_ends", "taker_ends"),
    [
        (StpMode.EXPIRE_MAKER, GONE, OrderState.FILLED),
        (StpMode.EXPIRE_TAKER, OrderState.NEW, GONE),
        (StpMode.EXPIRE_BOTH, GONE, GONE),
    ],
)
def test_the_incoming_order_decides_who_expires(
    mode: StpMode, own_ends: OrderState, taker_ends: OrderState
) -> None:
    bench, own = with_own_offer()
    taker = bench.market(Side.BUY, "0.020", stp_mode=mode)
    assert (own.state, taker.state) == (own_ends, taker_ends)
    assert own.executed == 0
    ended = [row for row in (own, taker) if row.state is GONE]
    assert all(row.expiry is Expiry.SELF_TRADE for row in ended)
    assert bench.events.log.count(("order", "EXPIRED", "EXPIRED_IN_MATCH")) == len(ended)
    assert bench.position() == (D("0.020") if taker_ends is OrderState.FILLED else 0)


def test_levels_before_our_own_order_are_taken_first() -> None:
    bench, own = with_own_offer(price="60000.0")
    level = bench.exchange.markets[BTC].book.size(0)
    quantity = str(level + D("0.001"))
    taker = bench.limit(Side.BUY, quantity, "60010", stp_mode=StpMode.EXPIRE_TAKER)
    assert (taker.state, taker.executed) == (GONE, level)
    assert own.state is OrderState.NEW
    small = bench.limit(Side.BUY, "0.001", "60000", stp_mode=StpMode.EXPIRE_TAKER)
    assert small.state is GONE  # the level is used up, our own order is next


def test_an_order_out_of_reach_is_not_met() -> None:
    bench, own = with_own_offer(price="60100")
    taker = bench.limit(Side.BUY, "0.010", "60050")
    assert taker.state is OrderState.FILLED
    assert own.state is OrderState.NEW


def test_what_immediate_or_cancel_leaves_behind_names_both_reasons() -> None:
    bench, _ = with_own_offer()
    taker = bench.limit(
        Side.BUY, "0.010", "59999.9", tif=TimeInForce.IOC, stp_mode=StpMode.EXPIRE_TAKER
    )
    assert (taker.state, taker.expiry) == (GONE, Expiry.IOC_SELF_TRADE)


def test_a_limit_order_rests_after_its_own_counterpart_is_gone() -> None:
    bench, own = with_own_offer()
    taker = bench.limit(Side.BUY, "0.010", "59999.9")
    assert (own.state, taker.state) == (GONE, OrderState.NEW)


def test_post_only_is_refused_when_only_our_own_order_is_in_the_way() -> None:
    bench, own = with_own_offer()
    with pytest.raises(ApiError) as error:
        bench.limit(Side.BUY, "0.010", "59999.9", tif=TimeInForce.GTX)
    assert error.value.code == -5022
    assert own.state is OrderState.NEW


def test_fill_or_kill_trades_with_our_own_order() -> None:
    bench, own = with_own_offer()
    taker = bench.limit(Side.BUY, "0.010", "59999.9", tif=TimeInForce.FOK)
    assert (own.state, taker.state) == (OrderState.FILLED, OrderState.FILLED)
    assert [(t.price, t.maker) for t in bench.events.trades] == [
        (D("59999.8"), False),
        (D("59999.8"), True),
    ]
    assert bench.position() == 0
    with pytest.raises(ApiError) as error:
        bench.limit(Side.BUY, "0.010", "59999.9", tif=TimeInForce.FOK)
    assert error.value.code == -5021


def test_an_order_that_trades_with_our_own_takes_only_the_rest_from_the_book() -> None:
    bench, own = with_own_offer()
    taker = bench.limit(Side.BUY, "0.025", "60000", tif=TimeInForce.FOK)
    assert (own.state, taker.state) == (OrderState.FILLED, OrderState.FILLED)
    assert taker.executed == D("0.025")
    assert bench.position() == D("0.015")


async def test_an_amended_order_carries_no_prevention(venue: Venue) -> None:
    order = {"symbol": BTC, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    await venue.call("POST", "/fapi/v1/order", **order, side="SELL", price="59999.8")
    _, bid = await venue.call("POST", "/fapi/v1/order", **order, side="BUY", price="59000")
    _, moved = await venue.call(
        "PUT",
        "/fapi/v1/order",
        symbol=BTC,
        side="BUY",
        orderId=bid["orderId"],
        quantity="0.01",
        price="59999.9",
    )
    assert moved["selfTradePreventionMode"] == "NONE"
    assert moved["status"] == "FILLED"
    assert venue.server.positions() == []


async def test_it_is_told_on_the_wire(venue: Venue) -> None:
    order = {"symbol": BTC, "quantity": "0.01"}
    limit = {**order, "type": "LIMIT", "timeInForce": "GTC", "side": "SELL", "price": "59999.8"}
    key = await open_user(venue)
    _, own = await venue.call("POST", "/fapi/v1/order", **limit)
    async with socket(venue, f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE") as ws:
        _, reply = await venue.call(
            "POST",
            "/fapi/v1/order",
            **order,
            side="BUY",
            type="MARKET",
            newOrderRespType="RESULT",
            selfTradePreventionMode="EXPIRE_BOTH",
        )
        told = [(await ws.receive_json(timeout=WAIT_S))["o"] for _ in range(3)]
    assert reply["status"] == "EXPIRED_IN_MATCH"
    assert [(o["x"], o["X"], o["er"]) for o in told] == [
        ("NEW", "NEW", "0"),
        ("EXPIRED", "EXPIRED_IN_MATCH", "1"),
        ("EXPIRED", "EXPIRED_IN_MATCH", "1"),
    ]
    assert [o["i"] for o in told] == [reply["orderId"], own["orderId"], reply["orderId"]]
    _, row = await venue.call("GET", "/fapi/v1/order", symbol=BTC, orderId=own["orderId"])
    assert row["status"] == "EXPIRED_IN_MATCH"


@pytest.mark.parametrize("mode", ["NONE", "DECREMENT"])
async def test_a_mode_nobody_can_ask_for(venue: Venue, mode: str) -> None:
    status, body = await venue.call(
        "POST",
        "/fapi/v1/order",
        symbol=BTC,
        side="BUY",
        type="MARKET",
        quantity="0.01",
        selfTradePreventionMode=mode,
    )
    assert (status, body["code"]) == (400, -5039)
