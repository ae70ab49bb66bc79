"""Symbols keep one form whatever way they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.symbol_utils import (
    QUOTE_COINS,
    default_symbols,
    normalize_symbol,
    perp_symbol,
    to_binance_symbol,
)

bases = st.text(
    st.characters(
        exclude_characters="/:,_-", exclude_categories=("C", "Z", "Ll"), include_characters="abz"
    ),
    min_size=1,
    max_size=12,
).filter(lambda text: text.isprintable())
coins = st.sampled_from(QUOTE_COINS)


@pytest.mark.parametrize(
    "text",
    ["BTCUSDC", "btcusdc", "BTC/USDC", "btc/usdc", "BTC/USDC:USDC", " Btc/Usdc:usdc "],
)
def test_every_spelling_leads_to_the_normal_form(text: str) -> None:
    assert normalize_symbol(text) == "BTC/USDC:USDC"


@pytest.mark.parametrize(
    ("text", "normal", "wire"),
    [
        ("1000SHIBUSDC", "1000SHIB/USDC:USDC", "1000SHIBUSDC"),
        ("4usdt", "4/USDT:USDT", "4USDT"),
        ("币安人生USDT", "币安人生/USDT:USDT", "币安人生USDT"),
        ("straßeusdt", "STRAßE/USDT:USDT", "STRAßEUSDT"),
        ("USDCUSDT", "USDC/USDT:USDT", "USDCUSDT"),
        ("ETH/BTC:BTC", "ETH/BTC:BTC", "ETHBTC"),
    ],
)
def test_odd_bases_survive(text: str, normal: str, wire: str) -> None:
    assert normalize_symbol(text) == normal
    assert to_binance_symbol(text) == wire


@pytest.mark.parametrize(
    "text",
    [
        "",
        "USDC",
        "BTCUSD",
        "BTC/USD:BTC",
        "BTC/USDC:USDT",
        "BTCUSDT_261225",
        "BTC/USDT:USDT-261225",
        "BTC-USDC",
        "/USDC",
        "BTC/",
        "B TC/USDC",
        "BTCUSDC,ETHUSDC",
    ],
)
def test_what_is_no_linear_perpetual_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="symbol"):
        normalize_symbol(text)


@given(base=bases, coin=coins)
def test_round_trip_through_the_wire_form(base: str, coin: str) -> None:
    normal = perp_symbol(base, coin)
    assert normalize_symbol(normal) == normal
    assert normalize_symbol(to_binance_symbol(normal)) == normal


def test_perp_symbol_upper_cases() -> None:
    assert perp_symbol("btc", "usdc") == "BTC/USDC:USDC"


@pytest.mark.parametrize("coin", QUOTE_COINS)
def test_defaults_follow_the_coin(coin: str) -> None:
    symbols = default_symbols(coin)
    assert [symbol.partition("/")[0] for symbol in symbols] == ["BTC", "ETH", "BNB", "SOL", "ADA"]
    assert all(symbol.endswith(f"/{coin}:{coin}") for symbol in symbols)
