"""The size follows from the risk and never passes a cap."""

from dataclasses import replace
from decimal import Decimal

import pytest
from decide_builders import btc, instrument
from hypothesis import given
from hypothesis import strategies as st

from core.config import TradingConfig
from core.domain.enums import Direction
from core.domain.instrument import Instrument
from core.domain.intent import SizingResult
from core.sizing import AccountView, Sized, SizingLimits, SizingRefused, size_entry

D = Decimal
PLAIN = SizingLimits(
    risk_pct=D("0.0075"),
    stop_ratio=D("0.008"),
    leverage=5,
    taker_fee=D(0),
    stop_slippage=D(0),
)
COSTLY = replace(PLAIN, taker_fee=D("0.0005"), stop_slippage=D("0.0005"))
ACCOUNT = AccountView(equity=D(400), available=D(400))
XRP = instrument()


def sized(result: Sized) -> SizingResult:
    assert isinstance(result, SizingResult), result
    return result


def refused(result: Sized) -> SizingRefused:
    assert isinstance(result, SizingRefused), result
    return result


def test_worked_example_without_costs_is_exact() -> None:
    result = sized(size_entry(XRP, PLAIN, ACCOUNT, price=D("0.5")))
    assert (result.risk, result.notional, result.margin) == (D(3), D(375), D(75))
    assert (result.budget, result.risk_pct) == (D(3), D("0.75"))
    assert (result.quantity, result.leverage, result.limited_by) == (D(750), 5, "risk")


def test_costs_are_inside_the_risk() -> None:
    result = sized(size_entry(XRP, COSTLY, ACCOUNT, price=D("0.5")))
    # stop 0.008 + slip 0.0005 + fee 0.0005 * (2 + 0.0085)
    assert result.cost_ratio == D("0.00150425")
    assert result.notional == D("315.60")  # 3 / 0.00950425 is 315.648, the step 0.1 is worth 0.05
    assert D("2.99") < result.risk <= D(3)


@pytest.mark.parametrize("direction", list(Direction))
def test_the_loss_at_the_stop_stays_within_the_risk_for_both_directions(
    direction: Direction,
) -> None:
    result = sized(size_entry(XRP, COSTLY, ACCOUNT, price=D("0.5")))
    move = COSTLY.stop_ratio + COSTLY.stop_slippage
    exit_price = result.price * (1 - direction.sign * move)
    fees = COSTLY.taker_fee * result.quantity * (result.price + exit_price)
    loss = result.quantity * abs(exit_price - result.price) + fees
    assert loss <= result.risk <= result.budget


def test_two_positions_fill_the_default_margin_share() -> None:
    first = sized(size_entry(XRP, PLAIN, ACCOUNT, price=D("0.5")))
    after_first = replace(
        ACCOUNT,
        available=D(400) - first.margin,
        managed_margin=first.margin,
        used_margin=first.margin,
    )
    second = sized(size_entry(XRP, PLAIN, after_first, price=D("0.5")))
    assert first.margin + second.margin == D(150) == D("0.375") * 400
    full = replace(after_first, managed_margin=D(150), used_margin=D(150))
    assert refused(size_entry(XRP, PLAIN, full, price=D("0.5"))).gate == "margin_share"


def test_foreign_margin_counts_against_the_hard_limit_only() -> None:
    foreign = replace(ACCOUNT, used_margin=D(180), available=D(220))
    result = sized(size_entry(XRP, PLAIN, foreign, price=D("0.5")))
    assert (result.margin, result.limited_by) == (D(20), "max_margin_usage")


def test_margin_usage_below_the_share_bounds_the_share() -> None:
    limits = replace(PLAIN, max_margin_usage=D("0.1"))
    assert sized(size_entry(XRP, limits, ACCOUNT, price=D("0.5"))).margin == D(40)


def test_base_is_equity_and_free_balance_only_a_cap() -> None:
    account = AccountView(equity=D(400), available=D(30))
    result = sized(size_entry(XRP, PLAIN, account, price=D("0.5")))
    assert (result.budget, result.limited_by, result.notional) == (D(3), "available", D(150))


@pytest.mark.parametrize(
    ("limits", "contract", "name", "notional"),
    [
        (replace(PLAIN, max_notional=D(100)), XRP, "max_notional", D(100)),
        (PLAIN, instrument(market_max_qty="300"), "market_lot_max", D(150)),
        (PLAIN, instrument(max_qty="200"), "lot_max", D(100)),
    ],
)
def test_the_cap_that_decides_is_named(
    limits: SizingLimits, contract: Instrument, name: str, notional: Decimal
) -> None:
    result = sized(size_entry(contract, limits, ACCOUNT, price=D("0.5")))
    assert (result.limited_by, result.notional) == (name, notional)
    assert dict(result.caps)[name] == notional
    assert dict(result.caps)["risk"] == D(375)


def test_an_account_too_small_for_the_contract_is_told_the_numbers() -> None:
    small = AccountView(equity=D(100), available=D(100))
    refusal = refused(size_entry(btc(), PLAIN, small, price=D(100_000)))
    assert refusal.gate == "min_qty"
    assert refusal.numbers["minimum"] == "0.001"
    assert refusal.numbers["limit"] == "93.75"
    tight = refused(size_entry(btc(), PLAIN, small, price=D(90_000)))
    assert (tight.gate, tight.numbers["value"]) == ("min_notional", "90")


def test_minimum_position_size_is_above_the_exchange_minimum() -> None:
    tiny = AccountView(equity=D("5.9"), available=D("5.9"))
    refusal = refused(size_entry(XRP, PLAIN, tiny, price=D("0.5")))
    assert (refusal.gate, refusal.numbers["minimum"]) == ("min_position_size", "6")


def test_minimum_notional_is_valued_at_the_lower_of_price_and_mark() -> None:
    limits = replace(PLAIN, max_notional=D("5.2"), min_position_size=D(1))
    sized(size_entry(XRP, limits, ACCOUNT, price=D("0.5"), mark=D("0.6")))
    refusal = refused(size_entry(XRP, limits, ACCOUNT, price=D("0.5"), mark=D("0.48")))
    assert (refusal.gate, refusal.numbers["value"]) == ("min_notional", "4.992")


def test_no_equity_is_a_refusal_not_a_crash() -> None:
    assert refused(size_entry(XRP, PLAIN, AccountView(D(0), D(0)), price=D(1))).gate == "equity"


@pytest.mark.parametrize("change", [{"stop_ratio": D(0)}, {"risk_pct": D(0)}])
def test_a_caller_without_stop_or_risk_is_wrong(change: dict[str, Decimal]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        size_entry(XRP, replace(PLAIN, **change), ACCOUNT, price=D(1))
    with pytest.raises(ValueError, match="price"):
        size_entry(XRP, PLAIN, ACCOUNT, price=D(0))


def test_bracket_lowers_the_leverage_of_a_large_position() -> None:
    rich = AccountView(equity=D(4_000_000), available=D(4_000_000))
    limits = replace(PLAIN, leverage=20)
    unbounded = instrument(market_max_qty="0", max_qty="0")
    result = sized(size_entry(unbounded, limits, rich, price=D("0.5")))
    assert (result.notional, result.leverage, result.limited_by) == (D(3_750_000), 10, "risk")


def test_a_position_beyond_the_last_bracket_is_cut_to_it() -> None:
    rich = AccountView(equity=D(40_000_000), available=D(40_000_000))
    unbounded = instrument(market_max_qty="0", max_qty="0")
    result = sized(size_entry(unbounded, PLAIN, rich, price=D("0.5")))
    assert (result.notional, result.limited_by) == (D(5_000_000), "leverage_bracket")


def test_volatility_lowers_the_leverage() -> None:
    result = sized(size_entry(XRP, PLAIN, ACCOUNT, price=D("0.5"), atr_ratio=D("0.04")))
    # eight ATRs are 32 %, the maintenance ratio 0.5 %: 1 / 0.325 is 3
    assert result.leverage == 3


def test_without_brackets_leverage_is_one() -> None:
    result = sized(size_entry(instrument(brackets=()), PLAIN, ACCOUNT, price=D("0.5")))
    assert (result.leverage, result.notional, result.limited_by) == (1, D(150), "margin_share")


def test_limits_come_from_the_configuration() -> None:
    limits = SizingLimits.from_config(TradingConfig())
    assert (limits.risk_pct, limits.stop_ratio, limits.leverage) == (D("0.0075"), D("0.008"), 5)
    assert (limits.max_margin_usage, limits.margin_share) == (D("0.5"), D("0.375"))
    changed = TradingConfig(TAKER_FEE_PCT="0.001", STOP_SLIPPAGE_PCT="0.002", MAX_ORDER_VALUE=900)
    limits = SizingLimits.from_config(changed)
    assert (limits.taker_fee, limits.stop_slippage) == (D("0.001"), D("0.002"))
    assert limits.max_order_value == 900


def test_the_limit_at_the_wire_is_kept_with_room_for_the_price_to_move() -> None:
    rich = AccountView(equity=D(100_000), available=D(100_000))
    limits = replace(PLAIN, max_order_value=D(1_000))
    result = sized(size_entry(XRP, limits, rich, price=D(2)))
    assert result.limited_by == "max_order_value"
    assert result.notional == 990


# --- properties ----------------------------------------------------------------------------------

money = st.decimals(D("0.01"), D(5_000_000), places=2)
ratios = st.decimals(D("0.0005"), D("0.05"), places=4)
contracts = st.builds(
    instrument,
    tick=st.just("0.0001"),
    step=st.sampled_from(["0.001", "0.1", "1", "10"]),
    min_notional=st.sampled_from(["5", "20", "100"]),
    market_max_qty=st.sampled_from(["0", "500", "1600000"]),
)
limits_given = st.builds(
    SizingLimits,
    risk_pct=ratios,
    stop_ratio=ratios,
    leverage=st.integers(1, 20),
    max_margin_usage=st.decimals(D("0.05"), D("0.9"), places=2),
    max_notional=st.none() | money,
    taker_fee=st.decimals(0, D("0.001"), places=4),
    stop_slippage=st.decimals(0, D("0.005"), places=4),
)


@st.composite
def accounts(draw: st.DrawFn) -> AccountView:
    equity = draw(money)
    used = draw(st.decimals(0, equity, places=2))
    managed = draw(st.decimals(0, used, places=2))
    return AccountView(equity, equity - used, managed, used)


prices = st.decimals(D("0.0001"), D(120_000), places=4)


@given(contracts, limits_given, accounts(), prices, st.decimals(0, D("0.1"), places=4))
def test_no_cap_is_ever_passed(
    contract: Instrument,
    limits: SizingLimits,
    account: AccountView,
    price: Decimal,
    atr_ratio: Decimal,
) -> None:
    result = size_entry(contract, limits, account, price=price, atr_ratio=atr_ratio)
    if isinstance(result, SizingRefused):
        return
    notional, leverage = result.notional, result.leverage
    assert result.risk <= result.budget == account.equity * limits.risk_pct
    assert all(notional <= cap for _, cap in result.caps)
    room = account.equity * min(limits.margin_share, limits.max_margin_usage)
    assert notional <= (room - account.managed_margin) * leverage
    assert notional <= (account.equity * limits.max_margin_usage - account.used_margin) * leverage
    assert result.margin + notional * limits.taker_fee <= account.available
    assert limits.max_notional is None or notional <= limits.max_notional
    assert 1 <= leverage <= min(limits.leverage, contract.max_leverage_for(notional))
    assert result.quantity % contract.step == 0
    assert contract.min_qty <= result.quantity <= contract.max_qty
    assert not contract.market_max_qty or result.quantity <= contract.market_max_qty
    assert notional >= max(contract.min_notional, limits.min_position_size)
    assert notional == result.quantity * price


def _quantity(result: Sized) -> Decimal:
    return result.quantity if isinstance(result, SizingResult) else D(0)


@given(contracts, limits_given, accounts(), prices, ratios)
def test_more_risk_is_never_a_smaller_position(
    contract: Instrument,
    limits: SizingLimits,
    account: AccountView,
    price: Decimal,
    more: Decimal,
) -> None:
    low = size_entry(contract, limits, account, price=price)
    bolder = replace(limits, risk_pct=limits.risk_pct + more)
    high = size_entry(contract, bolder, account, price=price)
    assert _quantity(high) >= _quantity(low)


@given(contracts, limits_given, accounts(), prices, ratios)
def test_a_wider_stop_is_never_a_larger_position_at_equal_leverage(
    contract: Instrument,
    limits: SizingLimits,
    account: AccountView,
    price: Decimal,
    more: Decimal,
) -> None:
    near = size_entry(contract, limits, account, price=price)
    far = size_entry(
        contract, replace(limits, stop_ratio=limits.stop_ratio + more), account, price=price
    )
    assert _quantity(far) <= _quantity(near)
