"""USDC and USDT contracts side by side: every amount belongs to one coin, and adds up there."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import ADA, ALL_CONTRACTS, BTC, TETHER, Bench, D

from core.domain.enums import OrderKind, Side, TimeInForce
from core.paper.contracts import listed_contracts
from core.paper.errors import ApiError
from core.paper.records import StpMode

COINS = ("USDC", "USDT")
SYMBOLS = (BTC, TETHER, ADA)
HOUR_MS = 3_600_000


def two_coins(balance: str = "1000", other: str = "500", *, isolated: bool = False) -> Bench:
    return Bench(balance=balance, isolated=isolated, also={"USDT": other})


def assert_books_add_up(bench: Bench, starts: dict[str, Decimal]) -> None:
    """INV-10 per coin, by its running sums and again by the income history."""
    ledger = bench.exchange.ledger
    for coin, start in starts.items():
        wallet = ledger.wallets[coin]
        sums = wallet.realized - wallet.fees + wallet.funding + wallet.transfers
        assert wallet.balance == start + sums
        told = [row for row in ledger.income if row.asset == coin]
        assert wallet.balance == start + sum((row.amount for row in told), D(0))
        kinds = {
            "REALIZED_PNL": wallet.realized,
            "FUNDING_FEE": wallet.funding,
        }
        for kind, total in kinds.items():
            assert sum((row.amount for row in told if row.kind == kind), D(0)) == total
        assert all(not row.symbol or row.symbol.endswith(coin) for row in told)
        assert {t.symbol[-4:] for t in ledger.trades if t.asset == coin} <= {coin}


def test_a_fill_moves_the_wallet_of_its_own_coin() -> None:
    bench = two_coins()
    bench.market(Side.BUY, "0.010", symbol=TETHER)
    assert bench.wallet() == 1000
    assert bench.wallet("USDT") == D("499.76")
    assert bench.events.trades[-1].asset == "USDT"
    row = bench.exchange.ledger.income[-1]
    assert (row.kind, row.asset, row.symbol) == ("COMMISSION", "USDT", TETHER)
    assert bench.events.accounts[-1].wallet.asset == "USDT"
    assert bench.exchange.risk.available("USDC") == 1000
    assert bench.exchange.risk.available("USDT") < D("470")


def test_one_coin_does_not_carry_the_other_in_single_asset_mode() -> None:
    bench = two_coins(other="20")
    with pytest.raises(ApiError) as error:
        bench.exchange.risk.check_margin(bench.spec(Side.BUY, "0.010", symbol=TETHER))
    assert error.value.code == -2019
    bench.exchange.risk.check_margin(bench.spec(Side.BUY, "0.010", symbol=BTC))


def test_a_liquidation_takes_the_cross_positions_of_its_coin_only() -> None:
    bench = two_coins(balance="40")
    bench.market(Side.BUY, "0.010")
    bench.market(Side.BUY, "0.001", symbol=TETHER)
    bench.tick("55000")
    assert bench.position() == 0
    assert bench.position(TETHER) == D("0.001")


def test_the_insurance_fund_pays_what_a_cross_wallet_is_below_zero() -> None:
    bench = two_coins(balance="40")
    bench.market(Side.BUY, "0.010")
    bench.tick("30000", gap=True)
    assert bench.wallet() == 0
    row = bench.exchange.ledger.income[-1]
    assert (row.kind, row.asset, row.amount > 0) == ("INSURANCE_CLEAR", "USDC", True)
    assert bench.events.accounts[-1].reason == "INSURANCE_CLEAR"
    assert_books_add_up(bench, {"USDC": D(40), "USDT": D(500)})


def test_transfers_are_booked_and_told() -> None:
    bench = two_coins()
    assert bench.exchange.transfer("USDT", D("12.5")) == 1
    assert bench.exchange.transfer("USDC", D("-1000")) == 2
    assert (bench.wallet("USDT"), bench.wallet()) == (D("512.5"), 0)
    told = [(row.reason, row.wallet.asset, row.change) for row in bench.events.accounts]
    assert told == [("DEPOSIT", "USDT", D("12.5")), ("WITHDRAW", "USDC", D(-1000))]
    rows = [(row.kind, row.symbol, row.amount) for row in bench.exchange.ledger.income]
    assert rows == [("TRANSFER", "", D("12.5")), ("TRANSFER", "", D(-1000))]


@pytest.mark.parametrize(
    ("asset", "amount", "code"),
    [
        ("BNB", "1", -1108),
        ("USDC", "0", -4055),
        ("USDC", "0.000000001", -1111),
        ("USDC", "-1000.01", -2018),
    ],
)
def test_transfers_that_are_refused(asset: str, amount: str, code: int) -> None:
    bench = two_coins()
    with pytest.raises(ApiError) as error:
        bench.exchange.transfer(asset, D(amount))
    assert error.value.code == code
    assert bench.events.accounts == []


def test_a_gain_that_is_not_realised_cannot_leave() -> None:
    bench = two_coins()
    bench.market(Side.BUY, "0.010")
    bench.tick("66000")
    risk = bench.exchange.risk
    assert risk.available("USDC") > risk.withdrawable("USDC")
    assert risk.withdrawable("USDC") == bench.wallet() - D("33")  # 660 / 20
    bench.tick("54500")
    assert risk.withdrawable("USDC") == risk.available("USDC")


# --- multi-assets mode ---------------------------------------------------------------------------


def joint(balance: str = "1000", other: str = "500") -> Bench:
    bench = two_coins(balance, other)
    bench.exchange.set_multi_assets(enabled=True)
    bench.events.log.clear()
    return bench


def test_in_multi_assets_mode_the_coins_carry_each_other() -> None:
    bench = joint(other="0")
    assert bench.exchange.risk.available("USDT") == 1000
    bench.exchange.risk.check_margin(bench.spec(Side.BUY, "0.010", symbol=TETHER))
    bench.market(Side.BUY, "0.010", symbol=TETHER)
    risk = bench.exchange.risk
    assert risk.available("USDC") == risk.available("USDT")
    assert risk.withdrawable("USDT") == 0  # there is nothing of it
    assert 0 < risk.withdrawable("USDC") < 1000


def test_a_debt_is_paid_from_the_other_coin() -> None:
    bench = joint(other="0")
    bench.market(Side.BUY, "0.010", symbol=TETHER)  # its fee is below the threshold of -0.1
    assert (bench.wallet("USDT"), bench.wallet()) == (0, D("999.76"))
    rows = [(r.kind, r.asset, r.amount) for r in list(bench.exchange.ledger.income)[-2:]]
    assert rows == [("AUTO_EXCHANGE", "USDC", D("-0.24")), ("AUTO_EXCHANGE", "USDT", D("0.24"))]
    assert [row[1] for row in bench.events.log if row[0] == "account"] == [
        "ORDER",
        "AUTO_EXCHANGE",
        "AUTO_EXCHANGE",
    ]
    assert_books_add_up(bench, {"USDC": D(1000), "USDT": D(0)})


def test_a_small_debt_stays_and_keeps_the_mode() -> None:
    bench = joint(other="0")
    bench.market(Side.BUY, "0.001", symbol=TETHER)
    bench.market(Side.SELL, "0.001", symbol=TETHER, reduce_only=True)
    assert D("-0.1") < bench.wallet("USDT") < 0
    with pytest.raises(ApiError) as error:
        bench.exchange.set_multi_assets(enabled=False)
    assert error.value.code == -4172
    bench.exchange.transfer("USDT", D(1))
    bench.exchange.set_multi_assets(enabled=False)


def test_the_pool_is_liquidated_as_one() -> None:
    bench = joint(balance="30", other="30")
    bench.market(Side.BUY, "0.010")
    bench.market(Side.BUY, "0.005", symbol=TETHER)
    bench.tick("57000")  # 30 lost of 60: the other coin carries it
    assert bench.position() == D("0.010")
    bench.tick("53500")
    assert (bench.position(), bench.position(TETHER)) == (0, 0)
    assert all(bench.wallet(coin) >= 0 for coin in COINS)
    assert_books_add_up(bench, {"USDC": D(30), "USDT": D(30)})


def test_switching_the_mode_is_refused_as_the_venue_does() -> None:
    bench = two_coins()
    exchange = bench.exchange
    codes = []

    def refused(*, enabled: bool) -> None:
        before = exchange.flags.multi_assets
        with pytest.raises(ApiError) as error:
            exchange.set_multi_assets(enabled=enabled)
        codes.append(error.value.code)
        assert exchange.flags.multi_assets is before

    refused(enabled=False)
    exchange.set_isolated(ADA, isolated=True)
    refused(enabled=True)
    exchange.set_isolated(ADA, isolated=False)
    order = bench.limit(Side.BUY, "0.010", "59000")
    refused(enabled=True)
    exchange.matcher.cancel(order)
    exchange.set_multi_assets(enabled=True)
    with pytest.raises(ApiError) as error:
        exchange.set_isolated(BTC, isolated=True)
    codes.append(error.value.code)
    exchange.set_leverage(TETHER, 1)
    bench.market(Side.BUY, "0.015", symbol=TETHER)  # 900 of 500: the other coin carries it
    refused(enabled=False)
    assert codes == [-4171, -4167, -4170, -4168, -4169]


def test_lower_leverage_needs_the_margin_for_it() -> None:
    bench = two_coins(balance="100")
    bench.market(Side.BUY, "0.010")
    with pytest.raises(ApiError) as error:
        bench.exchange.set_leverage(BTC, 5)
    assert error.value.code == -2028
    assert bench.exchange.ledger.positions[BTC].leverage == 20
    bench.exchange.set_leverage(BTC, 10)


# --- any order flow ------------------------------------------------------------------------------

KINDS = (
    *("market", "limit", "stop", "close", "cancel", "tick", "gap", "funding"),
    *("in", "out", "margin", "leverage", "liquidate", "mode"),
)
STEP = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(SYMBOLS),
    st.sampled_from([Side.BUY, Side.SELL]),
    st.integers(1, 40),
    st.integers(-40, 40),
    st.sampled_from(list(StpMode)),
)


def play(bench: Bench, step: tuple[str, str, Side, int, int, StpMode]) -> None:
    """One thing an account may do or meet; refusals are part of the game."""
    kind, symbol, side, size, drift, mode = step
    exchange = bench.exchange
    start = D("0.5") if symbol == ADA else D(60_000)
    price = start * (1 + D(drift) / 1000)
    price -= price % ALL_CONTRACTS[symbol].tick
    quantity = str(D(size * 10) if symbol == ADA else D(size) / 1000)
    coin = symbol[-4:]
    if kind in ("market", "limit", "close"):
        at = str(price) if kind == "limit" else "0"
        spec = bench.spec(side, quantity, at, symbol=symbol, stp_mode=mode)
        spec.reduce_only = kind == "close"
        exchange.risk.check_margin(spec)
        exchange.matcher.submit(spec)
    elif kind == "stop":
        bench.algo(OrderKind.STOP_MARKET, side, quantity, str(price), symbol=symbol)
    elif kind == "cancel":
        for order in exchange.matcher.open_orders(symbol)[:1]:
            exchange.matcher.cancel(order)
    elif kind in ("tick", "gap", "funding"):
        wait = 8 * HOUR_MS if kind == "funding" else 1000
        bench.tick(str(price), symbol, gap=kind == "gap", ms=wait)
    elif kind in ("in", "out"):
        exchange.transfer(coin, D(size) if kind == "in" else -D(size))
    elif kind == "margin":
        position = exchange.ledger.positions[symbol]
        exchange.risk.move_margin(position, D(size) / 8, add=side is Side.BUY)
    elif kind == "leverage":
        exchange.set_leverage(symbol, size)
    elif kind == "liquidate":
        exchange.risk.force(symbol, "liquidate")
    else:
        exchange.set_multi_assets(enabled=not exchange.flags.multi_assets)


@settings(max_examples=80, deadline=None)
@given(st.lists(STEP, max_size=40), st.booleans())
def test_every_coin_adds_up_over_any_order_flow(
    steps: list[tuple[str, str, Side, int, int, StpMode]], isolated: bool
) -> None:
    bench = two_coins("2000", "900", isolated=isolated)
    for step in steps:
        before = {name: bench.position(name) for name in SYMBOLS}
        with suppress(ApiError):
            play(bench, step)
        assert_books_add_up(bench, {"USDC": D(2000), "USDT": D(900)})
        if step[0] in ("close", "stop", "liquidate"):
            for name, held in before.items():
                assert bench.position(name) * held >= 0  # never over to the other side
        for order in bench.exchange.matcher.open_orders():
            assert order.spec.tif is TimeInForce.GTC
            assert 0 <= order.executed < order.spec.quantity


def test_contracts_of_several_coins_are_listed_side_by_side() -> None:
    listed = listed_contracts(COINS, ["XYZUSDT"])
    assert {contract.quote for contract in listed.values()} == set(COINS)
    assert sum(contract.quote == "USDC" for contract in listed.values()) >= 25
    assert "XYZUSDT" in listed
    with pytest.raises(ValueError, match=r"XYZEUR.*USDC or USDT"):
        listed_contracts(COINS, ["XYZEUR"])
