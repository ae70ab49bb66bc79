"""Filters against their own definition: an order passes exactly when every rule of it holds."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import ALL_CONTRACTS, START_MS, Bench, D

from core.domain.enums import OrderKind, Side, TimeInForce
from core.paper.book import BookModel
from core.paper.errors import ApiError
from core.paper.filters import check_order, decimals
from core.paper.market import Market
from core.paper.market_model import profile_for
from core.paper.model import Contract
from core.paper.records import OrderSpec

SYMBOLS = st.sampled_from(sorted(ALL_CONTRACTS))
SIDES = st.sampled_from([Side.BUY, Side.SELL])
ON_GRID_SHARE = 4


def market_of(contract: Contract) -> Market:
    """A market at the coin's usual price, rounded to its tick."""
    chance = Bench().exchange._chance.stream("filters")
    market = Market(contract, BookModel(contract, chance))
    price = Decimal(str(profile_for(contract).price))
    market.book.move(max(price - price % contract.tick, contract.tick))
    market.last_time_ms = START_MS
    return market


def code_of(market: Market, spec: OrderSpec) -> int:
    """0 when the order passes."""
    try:
        check_order(market, spec)
    except ApiError as error:
        return error.code
    return 0


def spec_of(
    symbol: str, side: Side, price: Decimal, quantity: Decimal, *, reduce_only: bool
) -> OrderSpec:
    return OrderSpec(
        symbol=symbol,
        side=side,
        kind=OrderKind.LIMIT if price else OrderKind.MARKET,
        tif=TimeInForce.GTC,
        quantity=quantity,
        price=price,
        reduce_only=reduce_only,
        client_id="x",
    )


def quantity_codes(contract: Contract, quantity: Decimal, most: Decimal) -> set[int]:
    """Codes of the lot rules the quantity breaks."""
    codes = set()
    if decimals(quantity) > contract.quantity_precision:
        codes.add(-1111)
    if quantity < contract.min_qty:
        codes.add(-4004)
    if quantity > most:
        codes.add(-4005)
    if (quantity - contract.min_qty) % contract.step:
        codes.add(-4023)
    return codes


@settings(max_examples=300, deadline=None)
@given(
    SYMBOLS,
    SIDES,
    st.integers(1, 4_000_000),
    st.integers(800, 1200),
    st.integers(0, 3 * ON_GRID_SHARE),
    st.booleans(),
)
def test_a_limit_order_passes_exactly_when_every_rule_holds(
    symbol: str, side: Side, lots: int, permille: int, off: int, reduce_only: bool
) -> None:
    contract = ALL_CONTRACTS[symbol]
    market = market_of(contract)
    price = market.price * permille / 1000
    price -= (price - contract.min_price) % contract.tick
    price += contract.tick * D(off % ON_GRID_SHARE) / ON_GRID_SHARE if off > ON_GRID_SHARE else 0
    quantity = contract.step * lots
    broken = quantity_codes(contract, quantity, contract.max_qty)
    if decimals(price) > contract.price_precision:
        broken.add(-1111)
    if price < contract.min_price:
        broken.add(-4013)
    if price > contract.max_price:
        broken.add(-4002)
    if (price - contract.min_price) % contract.tick:
        broken.add(-4014)
    if not reduce_only and price * quantity < contract.min_notional:
        broken.add(-4164)
    if side is Side.BUY and price > market.mark * contract.percent_up:
        broken.add(-4016)
    if side is Side.SELL and price < market.mark * contract.percent_down:
        broken.add(-4024)
    code = code_of(market, spec_of(symbol, side, price, quantity, reduce_only=reduce_only))
    assert code in broken if broken else code == 0


@settings(max_examples=200, deadline=None)
@given(SYMBOLS, SIDES, st.decimals("0.0001", "1000000", places=4), st.booleans())
def test_a_market_order_passes_exactly_when_every_rule_holds(
    symbol: str, side: Side, quantity: Decimal, reduce_only: bool
) -> None:
    contract = ALL_CONTRACTS[symbol]
    market = market_of(contract)
    broken = quantity_codes(contract, quantity, min(contract.max_qty, contract.market_max_qty))
    if not reduce_only and market.mark * quantity < contract.min_notional:
        broken.add(-4164)
    code = code_of(market, spec_of(symbol, side, D(0), quantity, reduce_only=reduce_only))
    assert code in broken if broken else code == 0
