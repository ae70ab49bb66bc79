"""Contracts: real filters, bracket arithmetic, symbols outside the table."""

import pytest
from feed_kit import START, D, minute

from core.paper.contract_table import USDC_ROWS, USDT_ROWS
from core.paper.contracts import brackets, build_contracts, default_bases


@pytest.mark.parametrize("quote", ["USDC", "USDT"])
def test_at_least_25_contracts_that_are_coherent(quote: str) -> None:
    contracts = build_contracts(quote)
    assert len(contracts) >= 25
    for symbol, contract in contracts.items():
        assert symbol == contract.symbol == contract.base + quote
        assert contract.max_price % contract.tick == 0
        assert (contract.min_price - contract.tick) % contract.tick == 0
        assert contract.max_qty % contract.step == contract.market_max_qty % contract.step == 0
        assert contract.min_qty <= contract.market_max_qty <= contract.max_qty
        assert contract.max_orders == 200
        caps = [row.notional_cap for row in contract.brackets]
        assert caps == sorted(set(caps))
        assert [row.notional_floor for row in contract.brackets] == [0, *caps[:-1]]
        levers = [row.initial_leverage for row in contract.brackets]
        assert levers == sorted(levers, reverse=True)
        assert all(row.maint_margin_ratio * row.initial_leverage <= 1 for row in contract.brackets)


def test_usdc_and_usdt_list_the_same_coins_most_traded_first() -> None:
    assert default_bases("USDC") == default_bases("USDT")
    assert default_bases("USDC")[:4] == ("BTC", "ETH", "BNB", "SOL")
    assert len({row.base for row in USDC_ROWS}) == len(USDC_ROWS) == len(USDT_ROWS)


def test_usdc_rows_share_percent_price() -> None:
    for contract in build_contracts("USDC").values():
        assert (contract.percent_up, contract.percent_down) == (D("1.05"), D("0.95"))


@pytest.mark.parametrize(
    ("symbol", "tick", "step", "price_precision", "quantity_precision", "notional", "market_max"),
    [
        ("BTCUSDC", "0.1", "0.001", 1, 3, "100", "100"),
        ("ETHUSDC", "0.01", "0.001", 2, 3, "20", "700"),
        ("XRPUSDC", "0.0001", "0.1", 4, 1, "5", "1600000"),
        ("DOGEUSDC", "0.000010", "1", 6, 0, "5", "3000000"),
        ("1000SHIBUSDC", "0.0000010", "1", 7, 0, "5", "30000000"),
        ("ADAUSDC", "0.000100", "0.1", 6, 1, "5", "100000"),
        ("SOLUSDC", "0.0100", "0.01", 4, 2, "5", "4000"),
        ("BNBUSDC", "0.010", "0.01", 3, 2, "5", "1600"),
        ("BTCUSDT", "0.10", "0.001", 2, 3, "50", "120"),
    ],
)
def test_recorded_filters(
    symbol: str,
    tick: str,
    step: str,
    price_precision: int,
    quantity_precision: int,
    notional: str,
    market_max: str,
) -> None:
    contract = build_contracts(symbol[-4:])[symbol]
    assert str(contract.tick) == tick
    assert str(contract.step) == step
    assert contract.price_precision == price_precision
    assert contract.quantity_precision == quantity_precision
    assert contract.min_notional == D(notional)
    assert contract.market_max_qty == D(market_max)


@pytest.mark.parametrize(
    ("symbol", "cums"),
    [
        ("BTCUSDC", "0 50 2550 152550 2152550 9652550 17152550 28402550 88402550 288402550"),
        ("BTCUSDT", "0 300 1500 12000 132000 482000 2982000"),
        ("ETHUSDC", "0 50 800 4300 54300 1554300 6554300"),
        ("XRPUSDC", "0 50 300 800 4550 29550"),
        ("1000SHIBUSDC", "0 5 67.5 2317.5 17317.5"),
        ("ADAUSDC", "0 50 150 450 3450"),
        ("SOLUSDC", "0 15 190 590 4590 9590 59590"),
    ],
)
def test_cum_equals_the_exchange_own(symbol: str, cums: str) -> None:
    rows = build_contracts(symbol[-4:])[symbol].brackets
    expected = [D(text) for text in cums.split()]
    assert [row.cum for row in rows[: len(expected)]] == expected
    assert all("E" not in str(row.cum) for row in rows)


def test_maintenance_margin_is_continuous_at_every_border() -> None:
    for contract in build_contracts("USDC").values():
        for lower, upper in zip(contract.brackets, contract.brackets[1:], strict=False):
            border = upper.notional_floor
            assert (
                border * lower.maint_margin_ratio - lower.cum
                == border * upper.maint_margin_ratio - upper.cum
            )


def test_amounts_with_units() -> None:
    assert [row.notional_cap for row in brackets("5k:10:.05 1.5M:5:.1 1B:1:.5")] == [
        5_000,
        1_500_000,
        1_000_000_000,
    ]


def test_an_unknown_symbol_takes_tick_and_step_from_its_data() -> None:
    sample = [minute(START, ("0.00872", "0.00875", "0.0086", "0.00874"), volume="60020.5")]
    contract = build_contracts("USDC", ["DGBUSDC"], {"DGBUSDC": sample})["DGBUSDC"]
    assert contract.tick == D("0.00001")
    assert contract.step == D("0.1")
    assert contract.price_precision == 5
    assert contract.max_qty * D("0.00874") >= 1_000_000
    assert contract.max_qty % contract.step == 0
    assert contract.brackets[0].initial_leverage >= 10


def test_an_unknown_symbol_without_data_still_has_a_contract() -> None:
    assert build_contracts("USDT", ["XYZUSDT"])["XYZUSDT"].tick == D("0.0001")


def test_a_recording_finer_than_the_table_refines_the_tick() -> None:
    prices = ("146.781", "146.9", "146.7", "146.8")
    refined = build_contracts("USDC", samples={"SOLUSDC": [minute(START, prices)]})["SOLUSDC"]
    assert refined.tick == D("0.001")
    assert refined.step == D("0.01")
    assert refined.min_price % refined.tick == 0
    coarse = ("146.8", "146.9", "146.7", "146.8")
    same = build_contracts("USDC", samples={"SOLUSDC": [minute(START, coarse)]})["SOLUSDC"]
    assert same == build_contracts("USDC")["SOLUSDC"]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "USDC", "BTC/USDC"])
def test_a_symbol_of_another_coin_is_refused_by_name(symbol: str) -> None:
    with pytest.raises(ValueError, match=f"{symbol}.*USDC"):
        build_contracts("USDC", [symbol])


def test_an_unlisted_quote_coin_is_refused() -> None:
    with pytest.raises(ValueError, match=r"EUR.*USDC, USDT"):
        build_contracts("EUR")
