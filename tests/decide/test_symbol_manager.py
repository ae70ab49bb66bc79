"""The right contracts are traded, the others have a reason, and the list does not flutter."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from decide_builders import Watch, btc, instrument
from hypothesis import given
from hypothesis import strategies as st

from core.config import TradingConfig
from core.domain.enums import ContractStatus
from core.sizing import SizingLimits
from core.symbol_manager import (
    ROTATION_MS,
    Candidate,
    Selection,
    SymbolLimits,
    SymbolManager,
    filter_usdsm_contracts,
    rank,
)

D = Decimal
RICH = D(10_000)
SIZING = SizingLimits(risk_pct=D("0.0075"), stop_ratio=D("0.008"), leverage=5)
LIMITS = SymbolLimits("USDC", "USDC", max_symbols=5)


def symbol(base: str) -> str:
    return f"{base}/USDC:USDC"


def candidate(
    base: str, volume: int, *, price: str = "0.5", spread: str = "0.0002", range_: float = 0.04
) -> Candidate:
    return Candidate(instrument(base), D(price), D(volume), D(spread), range_)


def ladder(count: int) -> list[Candidate]:
    """C00 has the largest volume, then C01 …"""
    return [candidate(f"C{i:02d}", 1_000_000 - i * 1_000) for i in range(count)]


def names(count: int) -> tuple[str, ...]:
    return tuple(symbol(f"C{i:02d}") for i in range(count))


def manager(limits: SymbolLimits = LIMITS, watch: Watch | None = None) -> SymbolManager:
    return SymbolManager(limits, SIZING, watch or Watch(1_700_000_000_000))


def choose(
    candidates: Sequence[Candidate], limits: SymbolLimits = LIMITS, equity: Decimal = RICH
) -> Selection:
    return manager(limits).select(candidates, equity=equity)


def reasons(selection: Selection) -> dict[str, str]:
    return {row.symbol: row.reason for row in selection.skipped}


# --- contracts -----------------------------------------------------------------------------------


def market(name: str, settle: str, quote: str, **more: object) -> dict[str, object]:
    return {
        "symbol": name,
        "contract": True,
        "swap": True,
        "linear": True,
        "active": True,
        "settle": settle,
        "quote": quote,
        "expiry": None,
        **more,
    }


def test_settle_and_quote_must_both_match() -> None:
    rows = [
        market("BTC/USDC:USDC", "USDC", "USDC"),
        market("BTC/USDT:USDT", "USDT", "USDT"),
        market("ODD/USDC:USDT", "USDT", "USDC"),
        market("ODD/USDT:USDC", "USDC", "USDT"),
        market("BTC/USD:BTC", "BTC", "USD", linear=False),
        market("OLD/USDC:USDC", "USDC", "USDC", active=False),
        market("FUT/USDC:USDC-261225", "USDC", "USDC", swap=False, expiry=1_798_000_000_000),
        {"symbol": "BTC/USDC", "contract": False, "quote": "USDC", "settle": None},
        market("ADA/USDC:USDC", "USDC", "USDC"),
    ]
    expected = ["ADA/USDC:USDC", "BTC/USDC:USDC"]
    assert filter_usdsm_contracts(rows, "USDC", "USDC") == expected
    assert filter_usdsm_contracts({str(row["symbol"]): row for row in rows}, "USDC", "USDC") == (
        expected
    )
    assert filter_usdsm_contracts(rows, "USDT", "USDT") == ["BTC/USDT:USDT"]


def test_a_sparse_market_structure_is_enough() -> None:
    row = {"symbol": "BTC/USDC:USDC", "contract": True, "settle": "USDC", "quote": "USDC"}
    assert filter_usdsm_contracts([row], "USDC", "USDC") == ["BTC/USDC:USDC"]


# --- choice --------------------------------------------------------------------------------------


def test_the_best_are_chosen_and_the_rest_has_a_reason() -> None:
    selection = choose(ladder(8))
    assert selection.symbols == selection.added == names(5)
    assert reasons(selection) == {symbol(f"C{i:02d}"): "not among the best 5" for i in (5, 6, 7)}


def test_at_least_twenty_five_where_the_venue_lists_them() -> None:
    selection = choose(ladder(39), replace(LIMITS, max_symbols=35))
    assert len(selection.symbols) == 35


def test_unfit_contracts_are_named() -> None:
    wrong_coin = Candidate(instrument("USD", coin="USDT"), D(1), D(9_000_000))
    halted = Candidate(instrument("HALT", status=ContractStatus.OTHER), D(1), D(9_000_000))
    limits = replace(LIMITS, blacklist=(symbol("C00"),))
    selection = choose([wrong_coin, halted, *ladder(3)], limits)
    assert selection.symbols == names(3)[1:]
    assert reasons(selection) == {
        "USD/USDT:USDT": "settles in USDT, not in USDC",
        symbol("HALT"): "contract is not trading",
        symbol("C00"): "on the blacklist",
    }


def test_whitelist_narrows_the_choice() -> None:
    limits = replace(LIMITS, whitelist=(symbol("C02"), symbol("C07"), symbol("GONE")))
    assert choose(ladder(9), limits).symbols == (symbol("C02"), symbol("C07"))


def test_an_explicit_list_keeps_its_order_and_skips_ranking() -> None:
    wanted = (symbol("C06"), symbol("GONE"), symbol("C01"))
    selection = choose(ladder(9), replace(LIMITS, explicit=wanted))
    assert selection.symbols == (symbol("C06"), symbol("C01"))
    assert reasons(selection) == {symbol("GONE"): "not listed on this venue"}


def test_ranking_weighs_volume_spread_and_volatility() -> None:
    liquid = candidate("LIQ", 1_000, spread="0.0009", range_=0.001)
    lively = candidate("LIV", 999, spread="0.0001", range_=0.009)
    even = candidate("EVE", 998, spread="0.0005", range_=0.005)
    order = [c.instrument.base for c in rank([liquid, even, lively])]
    assert order == ["LIV", "LIQ", "EVE"]
    unknown = Candidate(instrument("UNK"), None, D(1_001))
    assert rank([unknown, liquid])[0].instrument.base == "LIQ"


# --- small accounts ------------------------------------------------------------------------------


def test_a_small_account_skips_what_it_cannot_open_and_says_why() -> None:
    bitcoin = Candidate(btc(), D(120_000), D(9_000_000))
    ether = Candidate(
        instrument("ETH", tick="0.01", step="0.001", min_notional="20"), D(4_000), D(8_000_000)
    )
    small = choose([bitcoin, ether, *ladder(2)], equity=D(100))
    assert set(small.symbols) == {symbol("ETH"), *names(2)}
    why = reasons(small)[symbol("BTC")]
    assert why.startswith("account too small: min_qty 0.001, the risk formula gives 0 (at most 7")
    assert why.endswith("USDC, limited by risk)")
    tiny = choose([bitcoin, ether, *ladder(2)], equity=D(20))
    assert symbol("ETH") in reasons(tiny)
    assert "min_notional 20" in reasons(tiny)[symbol("ETH")]
    assert tiny.symbols == names(2)


def test_a_larger_account_is_not_filtered() -> None:
    unpriced = Candidate(btc(), None, D(9_000_000))
    assert choose([unpriced], equity=D(500)).symbols == (symbol("BTC"),)
    refused = choose([unpriced], equity=D("499.99"))
    assert reasons(refused) == {symbol("BTC"): "no price known to size an order with"}


def test_the_explicit_list_is_filtered_too() -> None:
    limits = replace(LIMITS, explicit=(symbol("BTC"), symbol("C00")))
    selection = choose([Candidate(btc(), D(120_000), D(1)), *ladder(1)], limits, equity=D(100))
    assert selection.symbols == names(1)
    assert "account too small" in reasons(selection)[symbol("BTC")]


# --- rotation ------------------------------------------------------------------------------------


def test_rotation_is_due_every_quarter_of_an_hour() -> None:
    watch = Watch(1_700_000_000_000)
    crew = manager(watch=watch)
    assert crew.is_due
    crew.select(ladder(5), equity=RICH)
    assert not crew.is_due
    watch.at_ms += ROTATION_MS - 1
    assert not crew.is_due
    watch.at_ms += 1
    assert crew.is_due
    crew.select(ladder(5), equity=RICH)
    watch.at_ms -= 10 * ROTATION_MS
    assert crew.is_due, "a clock that stepped back does not freeze the list"


def moved(candidates: list[Candidate], base: str, volume: int) -> list[Candidate]:
    return [
        replace(c, quote_volume=D(volume)) if c.instrument.base == base else c for c in candidates
    ]


def test_neighbours_do_not_swap_places_for_ever() -> None:
    crew = manager()
    crew.select(ladder(8), equity=RICH)
    overtaken = moved(ladder(8), "C05", 996_500)
    selection = crew.select(overtaken, equity=RICH)
    assert set(selection.symbols) == set(names(5))
    assert (selection.added, selection.removed) == ((), ())


def test_a_clear_winner_comes_in_and_the_last_goes() -> None:
    crew = manager()
    crew.select(ladder(8), equity=RICH)
    selection = crew.select(moved(ladder(8), "C07", 5_000_000), equity=RICH)
    assert selection.added == (symbol("C07"),)
    assert selection.removed == (symbol("C04"),)


def test_a_symbol_with_an_open_position_is_never_dropped() -> None:
    crew = manager()
    crew.select(ladder(8), equity=RICH)
    collapsed = moved(ladder(8), "C02", 1)
    held = {symbol("C02"), symbol("DELISTED")}
    selection = crew.select(collapsed, equity=RICH, held=held)
    assert held <= set(selection.symbols)
    assert len(selection.symbols) == 5
    black = SymbolManager(
        replace(LIMITS, blacklist=(symbol("C02"),)), SIZING, Watch(1_700_000_000_000)
    )
    selection = black.select(ladder(8), equity=RICH, held={symbol("C02")})
    assert symbol("C02") in selection.symbols
    assert symbol("C02") not in reasons(selection)
    after = black.select(ladder(8), equity=RICH)
    assert symbol("C02") in after.removed


@given(
    volumes=st.lists(
        st.lists(st.integers(1, 10**9), min_size=12, max_size=12), min_size=1, max_size=6
    ),
    held=st.sets(st.integers(0, 13), max_size=8),
    most=st.integers(1, 10),
)
def test_whatever_happens_the_list_is_complete_and_bounded(
    volumes: list[list[int]], held: set[int], most: int
) -> None:
    crew = manager(replace(LIMITS, max_symbols=most))
    open_symbols = {symbol(f"C{i:02d}") for i in held}
    for row in volumes:
        candidates = [candidate(f"C{i:02d}", volume) for i, volume in enumerate(row)]
        before = set(crew.symbols)
        selection = crew.select(candidates, equity=RICH, held=open_symbols)
        chosen = set(selection.symbols)
        assert len(chosen) == len(selection.symbols)
        assert open_symbols <= chosen
        assert len(chosen) == max(min(most, len({*open_symbols, *names(12)})), len(open_symbols))
        assert set(selection.added) == chosen - before
        assert set(selection.removed) == before - chosen
        everything = {*names(12), *open_symbols}
        assert chosen | {skipped.symbol for skipped in selection.skipped} == everything


# --- configuration -------------------------------------------------------------------------------


def test_symbols_of_the_configuration_in_any_form() -> None:
    config = TradingConfig(
        DRY_RUN=True, SYMBOLS="xrpusdc, DOGE/USDC ,1000SHIB/USDC:USDC", MAX_SYMBOLS=7
    )
    limits = SymbolLimits.from_config(config)
    assert limits.explicit == (symbol("XRP"), symbol("DOGE"), symbol("1000SHIB"))
    assert (limits.quote_coin, limits.settle_coin, limits.max_symbols) == ("USDC", "USDC", 7)
    demo = SymbolLimits.from_config(TradingConfig(TESTNET=True))
    assert (demo.quote_coin, demo.settle_coin) == ("USDT", "USDT")
