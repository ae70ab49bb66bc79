"""Conditional orders: acceptance rules, triggers along the price path, order of events."""

import pytest
from paper_kit import ADA, BTC, Bench, D

from core.domain.enums import AlgoStatus, OrderKind, Side
from core.paper.errors import ApiError
from core.paper.records import OrderState

STOP = OrderKind.STOP_MARKET
TAKE = OrderKind.TAKE_PROFIT_MARKET


def long_bench(quantity: str = "0.010") -> Bench:
    bench = Bench()
    bench.market(Side.BUY, quantity)
    bench.events.log.clear()
    bench.events.trades.clear()
    return bench


def test_stop_fires_at_its_own_price_inside_a_candle() -> None:
    bench = long_bench()
    algo = bench.algo(STOP, Side.SELL, "0.010", "59500")
    bench.tick("59000")
    assert algo.status is AlgoStatus.FINISHED
    assert algo.order is not None
    assert algo.order.spec.client_id == algo.spec.order.client_id
    assert algo.order.average == D(59500)
    assert bench.position() == 0


def test_stop_fires_at_the_new_price_over_a_gap() -> None:
    bench = long_bench()
    bench.algo(STOP, Side.SELL, "0.010", "59500")
    bench.tick("59000", gap=True)
    assert bench.events.trades[-1].price == D(59000)


def test_order_of_events_of_a_stop() -> None:
    bench = long_bench()
    bench.algo(STOP, Side.SELL, "0.010", "59500")
    bench.tick("59000")
    assert bench.events.log == [
        ("algo", "NEW"),
        ("algo", "TRIGGERING"),
        ("algo", "TRIGGERED"),
        ("order", "NEW", "NEW"),
        ("order", "TRADE", "FILLED"),
        ("account", "ORDER"),
        ("algo", "FINISHED"),
    ]


def test_the_nearer_of_two_triggers_wins() -> None:
    bench = long_bench()
    take = bench.algo(TAKE, Side.SELL, "0.010", "60500", close_position=True)
    stop = bench.algo(STOP, Side.SELL, "0.010", "59500", close_position=True)
    bench.path(["60400", "59400"])
    assert stop.status is AlgoStatus.FINISHED
    assert take.status is AlgoStatus.EXPIRED


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "price", "fires"),
    [
        (STOP, Side.BUY, "60500", "60500", True),
        (STOP, Side.BUY, "60500", "60499.9", False),
        (STOP, Side.SELL, "59500", "59500", True),
        (TAKE, Side.BUY, "59500", "59500", True),
        (TAKE, Side.BUY, "59500", "59500.1", False),
        (TAKE, Side.SELL, "60500", "60500", True),
    ],
)
def test_trigger_direction(
    kind: OrderKind, side: Side, trigger: str, price: str, fires: bool
) -> None:
    bench = Bench()
    algo = bench.algo(kind, side, "0.001", trigger, reduce_only=False)
    bench.tick(price)
    assert (algo.status is AlgoStatus.FINISHED) == fires


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [
        (STOP, Side.BUY, "59999"),
        (STOP, Side.SELL, "60001"),
        (TAKE, Side.BUY, "60001"),
        (TAKE, Side.SELL, "59999"),
    ],
)
def test_wrong_side_would_trigger_at_once(kind: OrderKind, side: Side, trigger: str) -> None:
    bench = Bench()
    with pytest.raises(ApiError) as error:
        bench.algo(kind, side, "0.001", trigger, reduce_only=False)
    assert error.value.code == -2021


def test_reduce_only_stop_without_position_is_accepted_and_rejected_at_its_trigger() -> None:
    bench = Bench()
    algo = bench.algo(STOP, Side.SELL, "0.010", "59500")
    assert algo.status is AlgoStatus.NEW
    bench.tick("59400")
    assert (algo.status, algo.reason) == (AlgoStatus.REJECTED, "Reduce Only reject")
    assert algo.order is None


def test_margin_is_checked_at_the_trigger_only() -> None:
    bench = Bench(balance="10")
    algo = bench.algo(STOP, Side.BUY, "1.000", "60500", reduce_only=False)
    bench.tick("60600")
    assert algo.status is AlgoStatus.REJECTED
    assert algo.reason == "Margin is insufficient."


def test_close_position_needs_a_position_and_allows_one_of_a_kind() -> None:
    bench = Bench()
    with pytest.raises(ApiError) as flat:
        bench.algo(STOP, Side.SELL, "0", "59500", close_position=True)
    bench.market(Side.BUY, "0.010")
    with pytest.raises(ApiError) as wrong_side:
        bench.algo(STOP, Side.BUY, "0", "60500", close_position=True)
    bench.algo(STOP, Side.SELL, "0", "59500", close_position=True)
    with pytest.raises(ApiError) as twin:
        bench.algo(STOP, Side.SELL, "0", "59400", close_position=True)
    bench.algo(TAKE, Side.SELL, "0", "60500", close_position=True)
    codes = [error.value.code for error in (flat, wrong_side, twin)]
    assert codes == [-4509, -4509, -4130]


def test_close_position_closes_what_is_there_at_the_trigger() -> None:
    bench = long_bench("0.010")
    algo = bench.algo(STOP, Side.SELL, "0", "59500", close_position=True)
    bench.market(Side.BUY, "0.005")
    bench.tick("59400")
    assert bench.position() == 0
    assert algo.order is not None
    assert algo.order.executed == D("0.015")


def test_closing_orders_expire_with_the_position_and_plain_ones_stay() -> None:
    bench = long_bench()
    closing = bench.algo(STOP, Side.SELL, "0", "59500", close_position=True)
    plain = bench.algo(STOP, Side.SELL, "0.010", "59400")
    bench.market(Side.SELL, "0.010", reduce_only=True)
    assert closing.status is AlgoStatus.EXPIRED
    assert plain.status is AlgoStatus.NEW


def test_surplus_of_a_triggered_reduce_only_stop_expires() -> None:
    bench = long_bench("0.010")
    algo = bench.algo(STOP, Side.SELL, "0.030", "59500")
    bench.tick("59400")
    assert algo.order is not None
    assert algo.order.state is OrderState.EXPIRED
    assert algo.order.executed == D("0.010")
    assert algo.status is AlgoStatus.FINISHED
    assert bench.position() == 0


def test_stop_limit_rests_until_its_price_comes() -> None:
    bench = long_bench()
    algo = bench.algo(OrderKind.TAKE_PROFIT, Side.SELL, "0.010", "60500", price="60600")
    bench.tick("60550")
    assert algo.status is AlgoStatus.TRIGGERED
    assert bench.exchange.matcher.open_orders(BTC) == [algo.order]
    bench.tick("60601")
    assert algo.status is AlgoStatus.FINISHED
    assert bench.events.trades[-1].price == D(60600)


def test_cancelling_the_resulting_order_finishes_the_conditional_one() -> None:
    bench = long_bench()
    algo = bench.algo(OrderKind.TAKE_PROFIT, Side.SELL, "0.010", "60500", price="60600")
    bench.tick("60550")
    assert algo.order is not None
    bench.exchange.matcher.cancel(algo.order)
    assert algo.status is AlgoStatus.FINISHED
    assert algo.order.executed == 0


def test_cancel_and_cancel_again() -> None:
    bench = long_bench()
    algo = bench.algo(STOP, Side.SELL, "0.010", "59500")
    bench.exchange.algos.cancel(algo)
    assert algo.status is AlgoStatus.CANCELED
    with pytest.raises(ApiError) as error:
        bench.exchange.algos.cancel(algo)
    assert error.value.code == -2011
    bench.tick("59000")
    assert bench.position() == D("0.010")


def test_two_hundred_conditional_orders_across_symbols() -> None:
    bench = Bench()
    for number in range(200):
        symbol, trigger = (BTC, "59500") if number % 2 else (ADA, "0.4")
        bench.algo(STOP, Side.SELL, "20", trigger, symbol=symbol)
    with pytest.raises(ApiError) as error:
        bench.algo(STOP, Side.SELL, "0.010", "59500")
    assert error.value.code == -4045


def test_trailing_stop_follows_and_fires() -> None:
    bench = long_bench()
    algo = bench.algo(
        OrderKind.TRAILING_STOP_MARKET, Side.SELL, "0.010", "0", activate="60500", callback="1"
    )
    assert not algo.activated
    bench.tick("59800")
    assert algo.status is AlgoStatus.NEW
    bench.path(["60600", "61000", "60500"])
    assert algo.activated
    assert algo.status is AlgoStatus.NEW
    bench.tick("60000")
    assert algo.status is AlgoStatus.FINISHED
    assert bench.events.trades[-1].price == D("60390")  # one per cent below 61000


def test_a_stop_is_hit_before_the_liquidation_behind_it() -> None:
    bench = long_bench()
    algo = bench.algo(STOP, Side.SELL, "0.010", "59500")
    bench.tick("50000")
    assert algo.status is AlgoStatus.FINISHED
    assert not any(row[:2] == ("order", "CALCULATED") for row in bench.events.log)
