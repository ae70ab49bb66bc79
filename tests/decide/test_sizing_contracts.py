"""Every contract the paper exchange lists, both sides, from dust prices to the highest ones."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import TradingConfig
from core.domain.enums import ContractStatus, Direction, OrderKind
from core.domain.instrument import Bracket, Instrument
from core.domain.money import ONE
from core.oms.plan import PlanSettings, build_plan
from core.paper.contracts import QUOTES, build_contracts
from core.paper.model import Contract
from core.precision import check_order
from core.sizing import AccountView, SizingLimits, SizingRefused, size_entry

D = Decimal


def as_instrument(contract: Contract) -> Instrument:
    symbol = f"{contract.base}/{contract.quote}:{contract.quote}"
    return Instrument(
        symbol=symbol,
        wire=contract.symbol,
        base=contract.base,
        quote=contract.quote,
        settle=contract.quote,
        status=ContractStatus.TRADING,
        tick=contract.tick,
        min_price=contract.min_price,
        max_price=contract.max_price,
        step=contract.step,
        min_qty=contract.min_qty,
        max_qty=contract.max_qty,
        market_step=contract.step,
        market_min_qty=contract.min_qty,
        market_max_qty=contract.market_max_qty,
        min_notional=contract.min_notional,
        percent_up=contract.percent_up,
        percent_down=contract.percent_down,
        brackets=tuple(
            Bracket(
                D(row.notional_floor),
                D(row.notional_cap),
                row.initial_leverage,
                row.maint_margin_ratio,
                row.cum,
            )
            for row in contract.brackets
        ),
    )


CONTRACTS = [
    as_instrument(contract) for quote in QUOTES for contract in build_contracts(quote).values()
]


@st.composite
def market(draw: st.DrawFn) -> tuple[Instrument, Decimal]:
    """A contract and a price on its grid, anywhere between its lowest and highest."""
    contract = draw(st.sampled_from(CONTRACTS))
    most = int(contract.max_price / contract.tick)
    least = max(int(contract.min_price / contract.tick), 1)
    # As many draws among the small prices as among the large ones.
    magnitude = draw(st.integers(0, len(str(most))))
    ticks = draw(st.integers(least, max(min(most, 10**magnitude), least)))
    return contract, ticks * contract.tick


money = st.sampled_from([D(10), D(400), D(10_000), D(5_000_000)])


@settings(max_examples=400)
@given(market(), money, st.sampled_from(list(Direction)), st.integers(1, 20))
def test_a_size_is_an_order_the_exchange_takes_and_loses_no_more_than_the_risk(
    found: tuple[Instrument, Decimal], equity: Decimal, side: Direction, leverage: int
) -> None:
    contract, price = found
    limits = replace(SizingLimits.from_config(TradingConfig()), leverage=leverage)
    result = size_entry(contract, limits, AccountView(equity, equity), price=price, mark=price)
    if isinstance(result, SizingRefused):
        assert result.numbers
        return
    kind = OrderKind.MARKET
    check_order(contract, kind, side.entry_side, result.quantity, None, price, reduce_only=False)
    assert all(result.notional <= cap for _, cap in result.caps)
    assert dict(result.caps)["max_order_value"] <= TradingConfig().max_order_value
    assert 1 <= result.leverage <= contract.max_leverage_for(result.notional)
    # What is really lost when the stop is hit, with the slip and the fees of both ways.
    worst = price * (ONE - side.sign * (limits.stop_ratio + limits.stop_slippage))
    lost = abs(price - worst) * result.quantity
    fees = (price + worst) * result.quantity * limits.taker_fee
    assert lost + fees <= result.budget
    plan = build_plan(
        PlanSettings.from_config(TradingConfig()), contract, price=price, quantity=result.quantity
    )
    assert sum(leg.share for leg in plan.legs) == 1


@given(market(), money, st.decimals("0.0005", "0.01", places=4))
def test_more_risk_never_makes_a_contract_s_position_smaller(
    found: tuple[Instrument, Decimal], equity: Decimal, more: Decimal
) -> None:
    contract, price = found
    limits = SizingLimits.from_config(TradingConfig())
    account = AccountView(equity, equity)
    sizes = [
        size_entry(contract, replace(limits, risk_pct=risk), account, price=price)
        for risk in (limits.risk_pct, limits.risk_pct + more)
    ]
    low, high = (D(0) if isinstance(each, SizingRefused) else each.quantity for each in sizes)
    assert low <= high


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.wire)
def test_every_contract_can_be_traded_by_a_large_enough_account(contract: Instrument) -> None:
    price = contract.tick * 10_000
    limits = replace(SizingLimits.from_config(TradingConfig()), max_order_value=None)
    account = AccountView(D(10_000_000), D(10_000_000))
    assert not isinstance(size_entry(contract, limits, account, price=price), SizingRefused)
