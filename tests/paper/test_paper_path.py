"""What happens inside a candle agrees with the candle: nothing fires outside it, nothing is missed.

A candle is walked as a replay walks it: open, one extreme, the other, close.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import Bench, D

from core.domain.enums import AlgoStatus, OrderKind, Side
from core.paper.feed_replay import Minute
from core.paper.records import OrderState

PRICE = st.integers(59_000, 61_000)
CANDLE = st.tuples(PRICE, PRICE, st.integers(0, 500), st.integers(0, 500))
LEVEL = st.integers(58_500, 61_500)
SPREAD = D("0.7")
"""No less than the book's at any of these prices."""
STOP, TAKE = OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET


def minute(shape: tuple[int, int, int, int]) -> Minute:
    """From open, close and how far the extremes reach beyond them."""
    opened, closed, above, below = shape
    high, low = max(opened, closed) + above, min(opened, closed) - below
    return Minute(0, opened, high, low, closed, 100, 100, 4)


def walk(bench: Bench, candle: Minute) -> None:
    for n, price in enumerate(candle.path):
        bench.tick(str(price), gap=n == 0, volume="0")


@settings(max_examples=150, deadline=None)
@given(st.lists(CANDLE, min_size=1, max_size=4), LEVEL)
def test_a_resting_order_fills_exactly_when_a_candle_goes_through_it(
    shapes: list[tuple[int, int, int, int]], level: int
) -> None:
    bench = Bench(balance="1000000")
    side = Side.BUY if level < 60_000 else Side.SELL
    if level == 60_000:
        return
    order = bench.limit(side, "0.010", str(level))
    candles = [minute(shape) for shape in shapes]
    for candle in candles:
        walk(bench, candle)
    lows, highs = min(c.low for c in candles), max(c.high for c in candles)
    through = lows < level if side is Side.BUY else highs > level
    assert (order.state is OrderState.FILLED) == through
    assert all(trade.price == level and trade.maker for trade in bench.events.trades)


@settings(max_examples=150, deadline=None)
@given(st.lists(CANDLE, min_size=1, max_size=4), LEVEL, st.sampled_from([STOP, TAKE]))
def test_a_trigger_fires_exactly_when_a_candle_reaches_it_and_trades_inside(
    shapes: list[tuple[int, int, int, int]], level: int, kind: OrderKind
) -> None:
    bench = Bench(balance="1000000")
    if level == 60_000:
        return
    below = level < 60_000
    side = Side.SELL if below == (kind is STOP) else Side.BUY
    algo = bench.algo(kind, side, "0.001", str(level), reduce_only=False)
    for candle in (minute(shape) for shape in shapes):
        walk(bench, candle)
        reached = candle.low <= level if below else candle.high >= level
        assert (algo.status is AlgoStatus.FINISHED) == reached
        if reached:
            price = bench.events.trades[-1].price
            assert candle.low - SPREAD <= price <= candle.high + SPREAD
            jumped = candle.open <= level if below else candle.open >= level
            if not jumped:
                assert abs(price - level) <= SPREAD  # inside the candle: its own price
            else:
                assert abs(price - candle.open) <= SPREAD  # the candle opened beyond it
            return


@settings(max_examples=100, deadline=None)
@given(CANDLE, st.integers(1, 900), st.integers(1, 900))
def test_of_two_closing_orders_the_one_on_the_way_first_wins(
    shape: tuple[int, int, int, int], down: int, up: int
) -> None:
    bench = Bench(balance="1000000")
    bench.market(Side.BUY, "0.010")
    stop = bench.algo(STOP, Side.SELL, "0", str(60_000 - down), close_position=True)
    take = bench.algo(TAKE, Side.SELL, "0", str(60_000 + up), close_position=True)
    path = minute(shape).path
    walk(bench, minute(shape))
    hit = next((p for p in path if p <= 60_000 - down or p >= 60_000 + up), None)
    ended = {algo.status for algo in (stop, take)}
    if hit is None:
        assert ended == {AlgoStatus.NEW}
        assert bench.position() == D("0.010")
    else:
        winner = stop if hit <= 60_000 - down else take
        assert winner.status is AlgoStatus.FINISHED
        assert ended == {AlgoStatus.FINISHED, AlgoStatus.EXPIRED}
        assert bench.position() == 0
