"""The gate refuses what the exchange would refuse, and names the filter with both numbers."""

from dataclasses import replace
from decimal import Decimal

import pytest
from decide_builders import btc, instrument
from hypothesis import given
from hypothesis import strategies as st

from core.domain.enums import ContractStatus, OrderKind, Side
from core.domain.money import to_wire
from core.precision import PrecisionError, check_order, normalize, round_to_step

D = Decimal
XRP = instrument()
MARKET = {
    "symbol": "XRP/USDC:USDC",
    "info": {
        "filters": [
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {"filterType": "LOT_SIZE", "minQty": "0.1", "maxQty": "8000000", "stepSize": "0.1"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.1", "maxQty": "90", "stepSize": "0.1"},
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.0001",
                "maxPrice": "100000",
                "tickSize": "0.0001",
            },
        ]
    },
}


def test_a_step_is_not_lost_to_binary_rounding() -> None:
    assert 0.3 // 0.1 == 2.0, "the trap this guards against"
    assert round_to_step(0.3, 0.1) == D("0.3")
    assert round_to_step("0.3", "0.1") == D("0.3")


@pytest.mark.parametrize("step", [0, -1, "-0.1", D(0), float("nan")])
def test_a_step_that_is_no_step_is_refused(step: float | str | Decimal) -> None:
    with pytest.raises(PrecisionError):
        round_to_step("1", step)


@given(
    units=st.integers(0, 10**12),
    step=st.sampled_from([D("0.001"), D("0.1"), D(1), D("0.0000010"), D("2.5")]),
    extra=st.decimals(0, D("0.99"), places=2),
)
def test_rounding_is_exact_and_never_up(units: int, step: Decimal, extra: Decimal) -> None:
    assert round_to_step(units * step + extra * step, step) == units * step


def market(qty: str, *, reduce_only: bool = False, mark: str = "0.5") -> None:
    check_order(XRP, OrderKind.MARKET, Side.BUY, D(qty), None, D(mark), reduce_only)


def limit(price: str, *, side: Side = Side.BUY, qty: str = "100") -> None:
    check_order(XRP, OrderKind.LIMIT, side, D(qty), D(price), D("0.5"), reduce_only=False)


def stop(trigger: str, *, qty: str = "100") -> None:
    check_order(
        XRP,
        OrderKind.STOP_MARKET,
        Side.SELL,
        D(qty),
        None,
        D("0.5"),
        reduce_only=True,
        trigger=D(trigger),
    )


def test_good_orders_pass() -> None:
    market("100")
    limit("0.5001")
    stop("0.4960")


@pytest.mark.parametrize(
    ("order", "filter_name", "value", "bound"),
    [
        (lambda: market("0.05"), "LOT_SIZE", "0.05", "0.1"),
        (lambda: market("100.05"), "LOT_SIZE", "100.05", "0.1"),
        (lambda: market("0"), "LOT_SIZE", "0", "0.1"),
        (lambda: limit("0.5", qty="8000000.1"), "LOT_SIZE", "8000000.1", "8000000"),
        (lambda: market("1600000.1"), "MARKET_LOT_SIZE", "1600000.1", "1600000"),
        (lambda: stop("0.4", qty="1600000.1"), "MARKET_LOT_SIZE", "1600000.1", "1600000"),
        (lambda: market("9.9"), "MIN_NOTIONAL", "4.95", "5"),
        (lambda: limit("0.50005"), "PRICE_FILTER", "0.50005", "0.0001"),
        (lambda: stop("0.00005"), "PRICE_FILTER", "0.00005", "0.0001"),
        (lambda: limit("-1"), "PRICE_FILTER", "-1", "0"),
        (lambda: limit("0.5251"), "PERCENT_PRICE", "0.5251", "0.525"),
        (lambda: limit("0.4749", side=Side.SELL), "PERCENT_PRICE", "0.4749", "0.475"),
    ],
)
def test_a_violation_names_filter_and_both_numbers(
    order: object, filter_name: str, value: str, bound: str
) -> None:
    with pytest.raises(PrecisionError) as caught:
        order()  # type: ignore[operator]  # a lambda of the table above
    assert caught.value.filter_name == filter_name
    assert (caught.value.value, caught.value.limit) == (D(value), D(bound))
    for word in ("XRP/USDC:USDC", filter_name, value, bound):
        assert word in str(caught.value)


def test_percent_price_is_one_sided() -> None:
    limit("0.3")
    limit("0.9", side=Side.SELL)


def test_limit_order_may_exceed_the_market_lot() -> None:
    limit("0.5", qty="1600000.1")


def test_reduce_only_is_exempt_from_the_minimum_notional() -> None:
    market("0.1", reduce_only=True)


def test_a_contract_that_does_not_trade_can_be_left_but_not_entered() -> None:
    halted = replace(XRP, status=ContractStatus.OTHER)
    check_order(halted, OrderKind.MARKET, Side.SELL, D(1), None, None, reduce_only=True)
    with pytest.raises(PrecisionError, match="STATUS"):
        check_order(halted, OrderKind.MARKET, Side.BUY, D(100), None, D(1), reduce_only=False)


def test_without_any_price_the_notional_cannot_be_proven() -> None:
    with pytest.raises(PrecisionError, match="MIN_NOTIONAL"):
        check_order(XRP, OrderKind.MARKET, Side.BUY, D(100), None, None, reduce_only=False)


@pytest.mark.parametrize("kind", [OrderKind.LIMIT, OrderKind.TAKE_PROFIT])
def test_a_priced_kind_without_price_is_refused(kind: OrderKind) -> None:
    with pytest.raises(PrecisionError, match="needs a price"):
        check_order(XRP, kind, Side.SELL, D(100), None, D(1), reduce_only=True, trigger=D("0.5"))


def test_a_conditional_order_without_trigger_is_refused() -> None:
    with pytest.raises(PrecisionError, match="needs a trigger"):
        check_order(XRP, OrderKind.STOP_MARKET, Side.SELL, D(1), None, D(1), reduce_only=True)


def test_normalize_puts_both_on_the_grid() -> None:
    lines: list[str] = []
    price, qty, min_cost = normalize(0.512345, 33.39, MARKET, log=lines.append)
    assert (price, qty, min_cost) == (D("0.5123"), D("33.3"), D(5))
    assert lines == ["XRP/USDC:USDC: quantity 33.39 -> 33.3, price 0.512345 -> 0.5123"]


def test_normalize_of_a_market_order_uses_the_market_lot_and_the_current_price() -> None:
    assert normalize(None, "50", MARKET, current_price="0.5")[:2] == (None, D(50))
    with pytest.raises(PrecisionError, match="MARKET_LOT_SIZE"):
        normalize(None, "91", MARKET, current_price="0.5")
    with pytest.raises(PrecisionError, match=r"MIN_NOTIONAL: notional 2\.5 .* 5"):
        normalize(None, "5", MARKET, current_price="0.5", symbol="XRPUSDC")


@pytest.mark.parametrize(
    ("price", "qty", "filter_name"),
    [("0.5", "0.05", "LOT_SIZE"), ("0.5", "9.9", "MIN_NOTIONAL"), ("0", "50", "PRICE_FILTER")],
)
def test_normalize_refuses_by_filter(price: str, qty: str, filter_name: str) -> None:
    with pytest.raises(PrecisionError) as caught:
        normalize(price, qty, MARKET)
    assert caught.value.filter_name == filter_name


def test_normalize_needs_the_filters() -> None:
    with pytest.raises(PrecisionError, match="filters"):
        normalize("1", "1", {"symbol": "X/USDC:USDC"})


@given(
    price=st.decimals("0.2", "3", places=6),
    qty=st.decimals("30", "80", places=4),
)
def test_what_normalize_returns_passes_the_gate(price: Decimal, qty: Decimal) -> None:
    on_tick, on_grid, _ = normalize(price, qty, MARKET)
    assert on_tick is not None
    check_order(XRP, OrderKind.LIMIT, Side.BUY, on_grid, on_tick, on_tick, reduce_only=False)
    assert on_grid <= qty
    assert abs(on_tick - price) <= D("0.00005")


def test_numbers_read_without_exponent() -> None:
    with pytest.raises(PrecisionError) as caught:
        check_order(btc(), OrderKind.MARKET, Side.BUY, D("0.0000001"), None, D(1), reduce_only=True)
    assert to_wire(D("1E-7")) in str(caught.value)
