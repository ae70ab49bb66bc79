"""Ordinary orders against the modelled book and along the price path."""

import pytest
from paper_kit import BTC, Bench, D

from core.domain.enums import OrderKind, Side, TimeInForce
from core.paper.errors import ApiError
from core.paper.records import Expiry, OrderState


def code_of(error: pytest.ExceptionInfo[ApiError]) -> int:
    return error.value.code


def test_market_order_takes_the_far_side_and_pays_the_taker_fee() -> None:
    bench = Bench()
    order = bench.market(Side.BUY, "0.010")
    assert order.state is OrderState.FILLED
    assert order.average == D(60000)  # the start price counts as an up move: it is the ask
    assert bench.events.trades[0].commission == D("0.24")
    sold = bench.market(Side.SELL, "0.010", reduce_only=True)
    assert sold.average < order.average
    assert bench.position() == 0


def test_slippage_grows_with_size() -> None:
    averages = []
    for size in ("0.01", "2", "20"):
        bench = Bench(balance="100000000")
        averages.append(bench.market(Side.BUY, size).average)
    assert averages[0] < averages[1] < averages[2]


def test_what_was_taken_stays_taken_until_the_next_tick() -> None:
    bench = Bench(balance="100000000")
    first = bench.market(Side.BUY, "2")
    second = bench.market(Side.BUY, "2")
    assert second.average > first.average
    bench.tick("60000")
    assert bench.market(Side.BUY, "2").average == pytest.approx(first.average, rel=D("0.0001"))


def test_a_large_market_order_fills_in_parts_and_expires_what_the_book_lacks() -> None:
    bench = Bench(balance="100000000000")
    order = bench.market(Side.BUY, "100000")
    assert order.state is OrderState.EXPIRED
    assert order.expiry is Expiry.MARKET_REMAINDER
    assert 0 < order.executed < D(100000)
    states = [row[2] for row in bench.events.log if row[0] == "order"]
    assert states[0] == "NEW"
    assert set(states[1:-1]) == {"PARTIALLY_FILLED"}
    assert states[-1] == "EXPIRED"


def test_events_of_a_market_fill_come_in_the_venues_order() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    assert bench.events.log == [
        ("order", "NEW", "NEW"),
        ("order", "TRADE", "FILLED"),
        ("account", "ORDER"),
    ]


def test_limit_order_rests_and_fills_as_maker_when_the_price_goes_through() -> None:
    bench = Bench()
    order = bench.limit(Side.BUY, "0.010", "59900")
    assert order.state is OrderState.NEW
    bench.tick("59950")
    assert order.state is OrderState.NEW
    bench.tick("59899.9")
    assert order.state is OrderState.FILLED
    trade = bench.events.trades[0]
    assert (trade.price, trade.maker) == (D(59900), True)
    assert trade.commission == D("0.1198")


def test_a_touch_fills_only_in_part() -> None:
    bench = Bench(balance="1000000")
    order = bench.limit(Side.BUY, "5.000", "59900")
    for _ in range(8):
        bench.tick("59900", volume="0.1")
        bench.tick("59950")
    assert order.state is OrderState.PARTIALLY_FILLED
    assert 0 < order.executed <= D("0.4")


def test_crossing_limit_takes_up_to_its_price_and_rests_with_the_remainder() -> None:
    bench = Bench(balance="100000000")
    order = bench.limit(Side.BUY, "10", "60000")
    assert order.state is OrderState.PARTIALLY_FILLED
    assert all(not trade.maker for trade in bench.events.trades)
    assert order.average <= D(60000)
    assert bench.exchange.matcher.open_orders(BTC) == [order]


def test_immediate_or_cancel_expires_its_remainder() -> None:
    bench = Bench(balance="100000000")
    order = bench.limit(Side.BUY, "10", "60000", tif=TimeInForce.IOC)
    assert (order.state, order.expiry) == (OrderState.EXPIRED, Expiry.IOC_REMAINDER)
    assert order.executed > 0


def test_fill_or_kill_and_post_only_are_refused_before_anything_happens() -> None:
    bench = Bench(balance="100000000")
    with pytest.raises(ApiError) as fok:
        bench.limit(Side.BUY, "10", "60000", tif=TimeInForce.FOK)
    with pytest.raises(ApiError) as gtx:
        bench.limit(Side.BUY, "1", "60000", tif=TimeInForce.GTX)
    assert (code_of(fok), code_of(gtx)) == (-5021, -5022)
    assert bench.events.log == []
    assert bench.limit(Side.BUY, "1", "59990", tif=TimeInForce.GTX).state is OrderState.NEW


def test_reduce_only_never_reverses() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    order = bench.market(Side.SELL, "0.030", reduce_only=True)
    assert (order.state, order.expiry) == (OrderState.EXPIRED, Expiry.REDUCE_ONLY)
    assert order.executed == D("0.010")
    assert bench.position() == 0


def test_resting_reduce_only_order_ends_with_its_position() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    target = bench.limit(Side.SELL, "0.010", "61000", reduce_only=True)
    bench.market(Side.SELL, "0.010", reduce_only=True)
    assert (target.state, target.expiry) == (OrderState.EXPIRED, Expiry.REDUCE_ONLY)


def test_an_order_larger_than_the_position_reverses_it() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    bench.market(Side.SELL, "0.030")
    assert bench.position() == D("-0.020")
    assert bench.exchange.ledger.positions[BTC].entry_price == bench.events.trades[1].price


def test_a_gap_jumps_over_resting_orders_and_fills_them_at_their_price() -> None:
    bench = Bench()
    order = bench.limit(Side.BUY, "0.010", "59900")
    bench.tick("59000", gap=True)
    assert order.state is OrderState.FILLED
    assert order.average == D(59900)


def test_orders_on_the_way_meet_in_the_order_of_the_way() -> None:
    bench = Bench()
    far = bench.limit(Side.BUY, "0.001", "59800")
    near = bench.limit(Side.BUY, "0.001", "59900")
    bench.tick("59700")
    assert [trade.order_id for trade in bench.events.trades] == [near.order_id, far.order_id]


def test_good_till_date_order_expires_on_its_date() -> None:
    bench = Bench()
    spec = bench.spec(Side.BUY, "0.001", "59000", tif=TimeInForce.GTD)
    spec.good_till_ms = bench.now + 700_000
    order = bench.exchange.matcher.submit(spec)
    bench.tick("60001", ms=600_000)
    assert order.state is OrderState.NEW
    bench.tick("60000", ms=100_000)
    assert order.state is OrderState.EXPIRED


def test_cancel_twice_is_unknown() -> None:
    bench = Bench()
    order = bench.limit(Side.BUY, "0.010", "59900")
    bench.exchange.matcher.cancel(order)
    with pytest.raises(ApiError) as error:
        bench.exchange.matcher.cancel(order)
    assert code_of(error) == -2011


def test_client_ids_are_unique_among_open_orders_only() -> None:
    bench = Bench()
    spec = bench.spec(Side.BUY, "0.001", "59000")
    order = bench.exchange.matcher.submit(spec)
    assert bench.exchange.matcher.is_duplicate(spec)
    bench.exchange.matcher.cancel(order)
    assert not bench.exchange.matcher.is_duplicate(spec)
    newest = bench.exchange.matcher.submit(spec)
    assert bench.exchange.matcher.find(BTC, None, spec.client_id) is newest
    assert bench.exchange.matcher.find(BTC, order.order_id, None) is order


def test_same_seed_and_requests_give_the_same_results() -> None:
    def run(seed: int) -> list[object]:
        bench = Bench(balance="1000000", seed=seed)
        bench.limit(Side.BUY, "5", "59900")
        for price in ("59900", "60010", "59900", "59910", "59900"):
            bench.tick(price, volume="2")
            bench.market(Side.SELL, "1")
        ids = [bench.exchange.new_client_id() for _ in range(3)]
        return [*bench.events.trades, bench.wallet(), *ids]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_kind_of_liquidation_order_is_told_apart() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    bench.exchange.risk.force(BTC, "liquidate")
    order = list(bench.exchange.matcher.orders.values())[-1]
    assert order.spec.kind is OrderKind.LIQUIDATION
    assert order.spec.client_id.startswith("autoclose-")
    assert ("order", "CALCULATED", "FILLED") in bench.events.log
