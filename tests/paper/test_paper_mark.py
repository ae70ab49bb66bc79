"""Mark price apart from the last: what watches which, and what waits until they meet again."""

import pytest
from paper_kit import BTC, Bench, D, Venue, api

from core.domain.enums import AlgoStatus, OrderKind, Side, WorkingType
from core.paper.errors import ApiError
from core.paper.filters import check_order

STOP = OrderKind.STOP_MARKET
MARK = WorkingType.MARK_PRICE


def long_bench(basis: str = "0") -> Bench:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    bench.exchange.markets[BTC].basis = D(basis)
    return bench


def test_without_a_basis_mark_and_last_are_one() -> None:
    market = long_bench().exchange.markets[BTC]
    assert market.mark == market.index == market.price == 60_000
    assert not market.is_torn


def test_a_stop_watches_the_price_it_was_told_to_watch() -> None:
    bench = long_bench("0.01")  # the mark price is 60600
    by_last = bench.algo(STOP, Side.SELL, "0.005", "59500")
    by_mark = bench.algo(STOP, Side.SELL, "0.005", "59500", working_type=MARK)
    bench.tick("59400")
    assert by_last.status is AlgoStatus.FINISHED
    assert by_mark.status is AlgoStatus.NEW  # its mark price is 59994
    bench.tick("58900")
    assert by_mark.status is AlgoStatus.FINISHED
    sold = bench.events.trades[-1].price
    assert D("58910") < sold < D("58911")  # 59500 / 1.01, within the candle


def test_a_stop_that_the_mark_price_has_passed_is_refused() -> None:
    bench = long_bench("-0.01")
    with pytest.raises(ApiError) as error:
        bench.algo(STOP, Side.SELL, "0.005", "59500", working_type=MARK)
    assert error.value.code == -2021
    bench.algo(STOP, Side.SELL, "0.005", "59500")


def test_a_trailing_order_follows_the_mark_price() -> None:
    bench = long_bench("0.01")
    algo = bench.algo(
        OrderKind.TRAILING_STOP_MARKET,
        Side.SELL,
        "0.010",
        "0",
        callback="1",
        working_type=MARK,
    )
    assert algo.spec.activate == 60_600  # no price given: the one it watches
    bench.path(["60500", "60000"])
    assert algo.extreme == D("61105")
    bench.tick("59800")
    assert algo.status is AlgoStatus.FINISHED


def test_protection_holds_a_trigger_back_while_the_prices_are_apart() -> None:
    bench = long_bench("0.16")  # more than the contract's 0.15
    market = bench.exchange.markets[BTC]
    plain = bench.algo(STOP, Side.SELL, "0.002", "59500")
    guarded = bench.algo(STOP, Side.SELL, "0.005", "59500", price_protect=True)
    assert market.is_torn
    bench.tick("59400")
    assert (plain.status, guarded.status) == (AlgoStatus.FINISHED, AlgoStatus.NEW)
    market.basis = D("0.15")
    bench.tick("59400")
    assert guarded.status is AlgoStatus.FINISHED
    assert bench.events.trades[-1].price == D("59400")  # the price of then, not the trigger's


def test_a_protected_trigger_that_the_price_has_left_again_does_not_fire() -> None:
    bench = long_bench("0.16")
    guarded = bench.algo(STOP, Side.SELL, "0.005", "59500", price_protect=True)
    bench.path(["59400", "59600"])
    bench.exchange.markets[BTC].basis = D(0)
    bench.tick("59700")
    assert guarded.status is AlgoStatus.NEW


def test_liquidation_is_by_the_mark_price() -> None:
    plain, apart = long_bench(), long_bench("0.02")
    position = apart.exchange.ledger.positions[BTC]
    edge = apart.exchange.risk.isolated_liquidation_price(position)
    below = str(int(edge) - 100)
    for bench in (plain, apart):
        bench.tick(below)
    assert plain.position() == 0
    assert apart.position() != 0


def test_a_market_order_needs_a_counterparty_within_percent_price() -> None:
    bench = long_bench("-0.06")  # the mark price is 56400, its cap 59220
    spec = bench.spec(Side.BUY, "0.010")
    with pytest.raises(ApiError) as error:
        check_order(bench.exchange.markets[BTC], spec)
    assert error.value.code == -4131
    check_order(bench.exchange.markets[BTC], bench.spec(Side.SELL, "0.010"))


async def test_a_basis_by_rehearsal(venue: Venue) -> None:
    stop = {
        "algoType": "CONDITIONAL",
        "symbol": BTC,
        "side": "SELL",
        "type": "STOP_MARKET",
        "triggerPrice": "59000",
        "workingType": "MARK_PRICE",
        "closePosition": "true",
    }
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    assert (await venue.call("POST", "/fapi/v1/algoOrder", **stop))[0] == 200
    wish = {"action": "basis", "symbol": BTC, "ratio": "-0.02"}
    assert (await api(venue, "POST", "/paper/action", wish))[0] == 200
    assert venue.server.positions() == []
    _, row = await venue.call("GET", "/fapi/v1/premiumIndex", signed=False, symbol=BTC)
    assert (row["markPrice"], row["indexPrice"]) == ("58800.00000000", "60000.00000000")
    status, body = await api(venue, "POST", "/paper/action", {**wish, "ratio": "1"})
    assert (status, body["code"]) == (400, -1130)
