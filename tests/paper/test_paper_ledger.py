"""The exchange's books: INV-10 as a property, margin, liquidation, funding."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import ADA, BTC, CONTRACTS, Bench, D

from core.domain.enums import Side, TimeInForce
from core.paper import margin
from core.paper.errors import ApiError
from core.paper.ledger import Execution, Ledger, commission, money

HOUR_MS = 3_600_000

FILLS = st.lists(
    st.tuples(
        st.sampled_from([BTC, ADA]),
        st.sampled_from([Side.BUY, Side.SELL]),
        st.integers(1, 2_000_000).map(lambda n: D(n) / 10),
        st.integers(1, 5_000).map(lambda n: D(n) / 1000),
        st.booleans(),
        st.none() | st.integers(-300, 300).map(lambda n: D(n) / 1_000_000),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(FILLS, st.booleans())
def test_wallet_is_start_plus_realised_less_fees_plus_funding(
    fills: list[tuple[str, Side, D, D, bool, D | None]], isolated: bool
) -> None:
    listed = {symbol: CONTRACTS[symbol] for symbol in (BTC, ADA)}
    ledger = Ledger(listed, {"USDC": D("400.5")})
    cash = {BTC: D(0), ADA: D(0)}
    for position in ledger.positions.values():
        position.isolated = isolated
    for symbol, side, price, quantity, maker, rate in fills:
        fee = commission(price, quantity, maker=maker)
        ledger.book(Execution(symbol, 1, side, price, quantity, fee, maker, 0))
        cash[symbol] -= side.sign * price * quantity
        if rate is not None:
            ledger.fund(symbol, rate, price, 0)
        wallet = ledger.wallets["USDC"]
        assert wallet.balance == D("400.5") + wallet.realized - wallet.fees + wallet.funding
        booked = sum((row.amount for row in ledger.income), D(0))
        assert wallet.balance == D("400.5") + booked
        for name, position in ledger.positions.items():
            earned = sum((t.realized for t in ledger.trades if t.symbol == name), D(0))
            assert earned == cash[name] + position.cost  # what is not realised is still at cost
            assert (position.quantity == 0) == (position.cost == 0)
            held = sum((t.quantity * t.side.sign for t in ledger.trades if t.symbol == name), D(0))
            assert position.quantity == held


def test_a_partial_close_keeps_the_entry_price_and_releases_margin() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    position = bench.exchange.ledger.positions[BTC]
    entry, reserved = position.entry_price, position.isolated_wallet
    assert reserved == D("0.010") * entry / 20
    bench.tick("60600")
    bench.market(Side.SELL, "0.004", reduce_only=True)
    assert position.entry_price == entry
    assert position.isolated_wallet == money(reserved * D("0.6"))


def test_order_without_margin_is_refused() -> None:
    bench = Bench(balance="100")
    with pytest.raises(ApiError) as error:
        bench.exchange.risk.check_margin(bench.spec(Side.BUY, "0.040"))
    assert error.value.code == -2019
    bench.exchange.risk.check_margin(bench.spec(Side.BUY, "0.030"))


def test_working_orders_hold_margin_on_the_worse_side_only() -> None:
    bench = Bench()
    free = bench.exchange.risk.available("USDC")
    bench.limit(Side.BUY, "0.010", "59000")
    after_bid = bench.exchange.risk.available("USDC")
    assert free - after_bid == D("29.5")
    bench.limit(Side.SELL, "0.009", "61000")
    assert bench.exchange.risk.available("USDC") == after_bid
    bench.limit(Side.SELL, "0.010", "61000", reduce_only=True)
    assert bench.exchange.risk.available("USDC") == after_bid


def test_closing_needs_no_margin() -> None:
    bench = Bench(balance="31")
    bench.market(Side.BUY, "0.010")
    bench.exchange.risk.check_margin(bench.spec(Side.SELL, "0.010"))


def test_position_larger_than_the_bracket_allows_is_refused() -> None:
    bench = Bench(balance="100000000")
    bench.exchange.set_leverage(BTC, 125)
    with pytest.raises(ApiError) as error:
        bench.exchange.risk.check_margin(bench.spec(Side.BUY, "1.000"))
    assert error.value.code == -2027


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_isolated_liquidation_loses_no_more_than_its_margin(side: Side) -> None:
    bench = Bench()
    bench.market(side, "0.010")
    position = bench.exchange.ledger.positions[BTC]
    reserved = position.isolated_wallet
    before = bench.wallet()
    price = bench.exchange.risk.liquidation_price(bench.exchange.ledger.positions[BTC])
    assert (price < position.entry_price) == (side is Side.BUY)
    bench.tick(str(int(price) + (200 if side is Side.BUY else -200)))
    assert bench.position() != 0
    bench.tick(str(int(price) - 5000 * side.sign))
    assert bench.position() == 0
    assert 0 < before - bench.wallet() <= reserved + D("0.30")
    wallet = bench.exchange.ledger.wallets["USDC"]
    assert wallet.balance == 1000 + wallet.realized - wallet.fees + wallet.funding
    assert ("order", "CALCULATED", "FILLED") in bench.events.log


def test_liquidation_over_a_gap_stops_at_bankruptcy() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    reserved = bench.exchange.ledger.positions[BTC].isolated_wallet
    before = bench.wallet()
    bench.tick("30000", gap=True)
    assert before - bench.wallet() <= reserved + D("0.30")
    assert not any(row.kind == "INSURANCE_CLEAR" for row in bench.exchange.ledger.income)


def test_cross_positions_share_the_wallet() -> None:
    bench = Bench(balance="40", isolated=False)
    bench.market(Side.BUY, "0.010")
    bench.tick("58000")
    assert bench.position() == D("0.010")
    bench.tick("55000")
    assert bench.position() == 0
    assert ("order", "CALCULATED", "FILLED") in bench.events.log


def test_liquidation_price_meets_its_own_definition() -> None:
    contract = CONTRACTS[BTC]
    for quantity, entry in ((D("0.5"), D(60000)), (D("-3"), D(50000))):
        cost = quantity * entry
        held = abs(cost) / 20
        price = margin.liquidation_price(contract, quantity, cost, entry, held)
        bracket = margin.bracket_for(contract, quantity * entry)
        kept = abs(quantity * price) * bracket.maint_margin_ratio - bracket.cum
        assert held + quantity * price - cost == pytest.approx(kept)


def test_funding_is_settled_every_eight_hours() -> None:
    bench = Bench()
    bench.market(Side.BUY, "0.010")
    start = bench.wallet()
    due = bench.exchange.next_funding_ms(bench.now)
    bench.tick("60100", ms=due - bench.now - 1)
    assert bench.wallet() == start
    bench.events.accounts.clear()
    bench.tick("60100", ms=2)
    rate = bench.exchange.funding_rate(BTC, due)
    assert bench.wallet() - start == money(-D("0.010") * D(60100) * rate)
    change = bench.events.accounts[0]
    assert (change.reason, change.symbol) == ("FUNDING_FEE", BTC)
    assert change.position is not None  # isolated: the position's margin changed too
    position = bench.exchange.ledger.positions[BTC]
    assert position.isolated_wallet == 30 + bench.wallet() - start
    kinds = [row.kind for row in bench.exchange.ledger.income]
    assert kinds[-1] == "FUNDING_FEE"
    bench.tick("60100", ms=8 * HOUR_MS)
    assert kinds.count("FUNDING_FEE") == 1
    assert sum(row.kind == "FUNDING_FEE" for row in bench.exchange.ledger.income) == 2


def test_settings_refuse_what_the_venue_refuses() -> None:
    bench = Bench(isolated=False)
    exchange = bench.exchange
    codes = []

    def refused(act: object, *args: object, **named: object) -> None:
        with pytest.raises(ApiError) as error:
            act(*args, **named)  # type: ignore[operator] # any of the setters
        codes.append(error.value.code)

    refused(exchange.set_isolated, BTC, isolated=False)
    exchange.set_isolated(BTC, isolated=True)
    order = bench.limit(Side.BUY, "0.010", "59000", tif=TimeInForce.GTC)
    refused(exchange.set_isolated, BTC, isolated=False)
    refused(exchange.set_hedge_mode, enabled=True)
    exchange.matcher.cancel(order)
    bench.market(Side.BUY, "0.010")
    refused(exchange.set_isolated, BTC, isolated=False)
    refused(exchange.set_leverage, BTC, 10)
    refused(exchange.set_leverage, BTC, 126)
    refused(exchange.set_hedge_mode, enabled=True)
    refused(exchange.set_multi_assets, enabled=False)
    assert codes == [-4046, -4047, -4067, -4048, -4161, -4028, -4068, -4171]
