"""Precision gate: nothing reaches the exchange that its filters would refuse (floor 0).

Two faces of one rule set: `check_order` over an `Instrument` is what the daemon uses, `normalize`
over a market structure of the exchange library is kept for operators' scripts. Filter rules are
those of exchangeInfo: PRICE_FILTER, LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL (reduce-only exempt)
and PERCENT_PRICE (one-sided: a buy is bounded above, a sell below). Keeps INV-06 at the order's
own scale.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from core.domain.enums import ContractStatus, OrderKind, Side
from core.domain.instrument import Instrument
from core.domain.money import ZERO, nearest_to_step, to_wire, truncate_to_step

Number = Decimal | int | str | float


class PrecisionError(ValueError):
    """An order breaks a filter. `filter_name`, `value` and `limit` say which and by what."""

    def __init__(
        self,
        message: str,
        *,
        filter_name: str = "",
        value: Decimal | None = None,
        limit: Decimal | None = None,
    ) -> None:
        super().__init__(message)
        self.filter_name = filter_name
        self.value = value
        self.limit = limit


def _violation(
    symbol: str, filter_name: str, what: str, value: Decimal, words: str, limit: Decimal
) -> PrecisionError:
    text = f"{symbol} {filter_name}: {what} {to_wire(value)} {words} {to_wire(limit)}"
    return PrecisionError(text, filter_name=filter_name, value=value, limit=limit)


def _number(value: Number, what: str) -> Decimal:
    """Exact number of a script's argument; a float counts as its shortest text."""
    try:
        number = Decimal(str(value))
    except ArithmeticError as error:
        raise PrecisionError(f"{what} is not a number: {value!r}") from error
    if not number.is_finite():
        raise PrecisionError(f"{what} is not a finite number: {value!r}")
    return number


def round_to_step(x: Number, step: Number) -> Decimal:
    """Multiple of `step` nearest to `x` toward zero: never more than asked.

    Raises PrecisionError when `step` is not above zero or either is not a finite number.
    """
    exact_step = _number(step, "step")
    if exact_step <= 0:
        raise PrecisionError(f"step must be positive, got {step}", limit=ZERO, value=exact_step)
    return truncate_to_step(_number(x, "value"), exact_step)


# --- the daemon's gate ---------------------------------------------------------------------------


def check_order(
    instrument: Instrument,
    kind: OrderKind,
    side: Side,
    qty: Decimal,
    price: Decimal | None,
    mark: Decimal | None,
    reduce_only: bool,  # noqa: FBT001 - the flag travels under its exchange name everywhere
    *,
    trigger: Decimal | None = None,
) -> None:
    """Return when every filter accepts the order, raise PrecisionError naming the first that fails.

    `price` is the limit price (None for market kinds), `trigger` the trigger price of a conditional
    order, `mark` the mark price in the quote coin; without a mark the checks that need it are made
    against `price` or `trigger`. Only a TRADING contract may be opened; reduce-only orders are
    exempt from that and from MIN_NOTIONAL, because an exit must stay possible (INV-08).
    """
    if not reduce_only and instrument.status is not ContractStatus.TRADING:
        raise PrecisionError(
            f"{instrument.symbol} STATUS: contract is not trading", filter_name="STATUS"
        )
    if kind in _PRICED and price is None:
        raise PrecisionError(f"{instrument.symbol} PRICE_FILTER: {kind} needs a price")
    if kind.is_conditional and kind is not OrderKind.TRAILING_STOP_MARKET and trigger is None:
        raise PrecisionError(f"{instrument.symbol} PRICE_FILTER: {kind} needs a trigger price")
    _check_quantity(instrument, kind, qty)
    if price is not None:
        _check_price(instrument, "price", price)
        _check_percent_price(instrument, side, price, trigger if trigger is not None else mark)
    if trigger is not None:
        _check_price(instrument, "trigger price", trigger)
    if not reduce_only:
        _check_notional(instrument, qty, price, trigger, mark)


_PRICED = frozenset({OrderKind.LIMIT, OrderKind.STOP, OrderKind.TAKE_PROFIT})


def _check_quantity(instrument: Instrument, kind: OrderKind, qty: Decimal) -> None:
    bounds = [("LOT_SIZE", instrument.min_qty, instrument.max_qty, instrument.step)]
    if kind.is_market:
        bounds.append(
            (
                "MARKET_LOT_SIZE",
                instrument.market_min_qty,
                instrument.market_max_qty,
                instrument.market_step,
            )
        )
    for name, low, high, step in bounds:
        _check_range(instrument.symbol, name, "quantity", qty, low, high)
        if step > 0 and qty % step:
            raise _violation(instrument.symbol, name, "quantity", qty, "is not a multiple of", step)
    if qty <= 0:
        raise _violation(instrument.symbol, "LOT_SIZE", "quantity", qty, "is not above", ZERO)


def _check_range(
    symbol: str, name: str, what: str, value: Decimal, low: Decimal, high: Decimal
) -> None:
    if value < low:
        raise _violation(symbol, name, what, value, "is below the minimum", low)
    if 0 < high < value:  # zero disables the bound
        raise _violation(symbol, name, what, value, "is above the maximum", high)


def _check_price(instrument: Instrument, what: str, price: Decimal) -> None:
    symbol, name = instrument.symbol, "PRICE_FILTER"
    if price <= 0:
        raise _violation(symbol, name, what, price, "is not above", ZERO)
    _check_range(symbol, name, what, price, instrument.min_price, instrument.max_price)
    if instrument.tick > 0 and price % instrument.tick:
        raise _violation(symbol, name, what, price, "is not a multiple of", instrument.tick)


def _check_percent_price(
    instrument: Instrument, side: Side, price: Decimal, reference: Decimal | None
) -> None:
    """A limit price against the mark, or against its own trigger when it rests as conditional."""
    if reference is None:
        return
    symbol, name = instrument.symbol, "PERCENT_PRICE"
    if side is Side.BUY and instrument.percent_up > 0:
        highest = reference * instrument.percent_up
        if price > highest:
            raise _violation(symbol, name, "buy price", price, "is above", highest)
    if side is Side.SELL and instrument.percent_down > 0:
        lowest = reference * instrument.percent_down
        if price < lowest:
            raise _violation(symbol, name, "sell price", price, "is below", lowest)


def _check_notional(
    instrument: Instrument,
    qty: Decimal,
    price: Decimal | None,
    trigger: Decimal | None,
    mark: Decimal | None,
) -> None:
    reference = next((p for p in (price, trigger, mark) if p is not None), None)
    if reference is None:
        raise PrecisionError(
            f"{instrument.symbol} MIN_NOTIONAL: no price and no mark to value the order with",
            filter_name="MIN_NOTIONAL",
        )
    notional = qty * reference
    if notional < instrument.min_notional:
        raise _violation(
            instrument.symbol,
            "MIN_NOTIONAL",
            "notional",
            notional,
            "is below the minimum",
            instrument.min_notional,
        )


# --- operators' scripts --------------------------------------------------------------------------


def normalize(
    price: Number | None,
    qty: Number,
    market: Mapping[str, object],
    current_price: Number | None = None,
    symbol: str | None = None,
    log: Callable[[str], object] | None = None,
) -> tuple[Decimal | None, Decimal, Decimal]:
    """Put price and quantity on the market's grid: `(price, qty, min_cost)` in Decimal.

    `market` is a market structure of the exchange library whose `info.filters` holds the exchange's
    own strings. The price goes to the nearest tick, the quantity down to the step; `min_cost` is
    the minimum notional in the quote coin. `price` None means a market order: MARKET_LOT_SIZE
    applies and `current_price` values it. `log` receives one line when a value was moved. Raises
    PrecisionError naming the filter and both numbers.
    """
    name = symbol or str(market.get("symbol") or "symbol")
    filters = _filters(market, name)
    quantity = _number(qty, "quantity")
    on_grid = _on_step(name, filters, quantity, market_order=price is None)
    exact_price = None if price is None else _number(price, "price")
    on_tick = None if exact_price is None else _on_tick(name, filters, exact_price)
    min_cost = _filter_value(filters, "MIN_NOTIONAL", "notional")
    reference = on_tick
    if reference is None and current_price is not None:
        reference = _number(current_price, "current price")
    if reference is not None and on_grid * reference < min_cost:
        cost = on_grid * reference
        raise _violation(name, "MIN_NOTIONAL", "notional", cost, "is below the minimum", min_cost)
    if log is not None and (on_grid != quantity or on_tick != exact_price):
        log(f"{name}: quantity {quantity} -> {on_grid}, price {exact_price} -> {on_tick}")
    return on_tick, on_grid, min_cost


Filters = Mapping[str, Mapping[str, object]]


def _filters(market: Mapping[str, object], name: str) -> Filters:
    info = market.get("info")
    rows = info.get("filters") if isinstance(info, Mapping) else None
    if not isinstance(rows, list | tuple):
        raise PrecisionError(f"{name}: market has no info.filters")
    return {str(row["filterType"]): row for row in rows if isinstance(row, Mapping)}


def _filter_value(filters: Filters, name: str, key: str) -> Decimal:
    """Value of a filter, 0 (no bound) when the market does not carry it."""
    value = filters.get(name, {}).get(key)
    return ZERO if value is None else _number(str(value), f"{name}.{key}")


def _on_step(name: str, filters: Filters, qty: Decimal, *, market_order: bool) -> Decimal:
    kinds = ("LOT_SIZE", "MARKET_LOT_SIZE") if market_order else ("LOT_SIZE",)
    for kind in kinds:
        step = _filter_value(filters, kind, "stepSize")
        if step > 0:
            qty = truncate_to_step(qty, step)
    for kind in kinds:
        low, high = (_filter_value(filters, kind, key) for key in ("minQty", "maxQty"))
        _check_range(name, kind, "quantity", qty, low, high)
    if qty <= 0:
        raise _violation(name, "LOT_SIZE", "quantity", qty, "is not above", ZERO)
    return qty


def _on_tick(name: str, filters: Filters, price: Decimal) -> Decimal:
    tick = _filter_value(filters, "PRICE_FILTER", "tickSize")
    if tick > 0:
        price = nearest_to_step(price, tick)
    low, high = (_filter_value(filters, "PRICE_FILTER", key) for key in ("minPrice", "maxPrice"))
    _check_range(name, "PRICE_FILTER", "price", price, low, high)
    if price <= 0:
        raise _violation(name, "PRICE_FILTER", "price", price, "is not above", ZERO)
    return price
