"""The contracts the paper exchange lists (floor 2c).

The usual USDC and USDT perpetuals come from `contract_table`; a symbol outside it, or one whose
recorded prices are finer than the table, takes tick and step from the decimals of its data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from core.domain.money import to_wire
from core.paper.contract_table import UNLISTED, USDC_ROWS, USDT_ROWS, Row
from core.paper.model import Contract, PaperBracket, PaperCandle

MAX_ORDERS = 200
QUOTES = ("USDC", "USDT")
_UNITS = {"k": 1_000, "M": 1_000_000, "B": 1_000_000_000}
_TABLES: dict[str, tuple[Row, ...]] = {"USDC": USDC_ROWS, "USDT": USDT_ROWS}


def default_bases(quote: str) -> tuple[str, ...]:
    """Base coins listed for `quote`, most traded first. Raises ValueError for another quote."""
    return tuple(row.base for row in _table(quote))


def build_contracts(
    quote: str,
    extra: Iterable[str] = (),
    samples: Mapping[str, Sequence[PaperCandle]] | None = None,
) -> dict[str, Contract]:
    """Contracts by symbol (`BTCUSDC`): the table of `quote` and then `extra`, in that order.

    `samples` are candles by symbol from which the tick and step of an extra symbol are derived; a
    listed symbol whose samples are off its tick takes the finer tick of the samples, so that every
    recorded price is a price the exchange can quote. Raises ValueError for a quote coin
    that is not listed and for an extra symbol that does not end in it.
    """
    contracts = {f"{row.base}{quote}": _contract(row, quote) for row in _table(quote)}
    known = samples or {}
    for symbol in extra:
        if symbol in contracts:
            continue
        base = symbol.removesuffix(quote)
        if base == symbol or not base.isalnum():
            raise ValueError(f"symbol {symbol!r} is not a contract quoted in {quote}")
        contracts[symbol] = _contract(_derived_row(base, known.get(symbol, ())), quote)
    for symbol, candles in known.items():
        if symbol in contracts and candles:
            contracts[symbol] = _on_grid(contracts[symbol], candles)
    return contracts


def listed_contracts(
    quotes: Sequence[str],
    extra: Iterable[str] = (),
    samples: Mapping[str, Sequence[PaperCandle]] | None = None,
) -> dict[str, Contract]:
    """Contracts of several quote coins side by side, as `build_contracts` makes those of one.

    Raises ValueError as it does; an extra symbol has to end in one of the coins.
    """
    wanted, known = list(extra), samples or {}
    strange = [s for s in wanted if not s.endswith(tuple(quotes))]
    if strange:
        raise ValueError(f"symbol {strange[0]!r} is not a contract quoted in {' or '.join(quotes)}")
    found: dict[str, Contract] = {}
    for quote in quotes:
        own = {symbol: rows for symbol, rows in known.items() if symbol.endswith(quote)}
        found |= build_contracts(quote, (s for s in wanted if s.endswith(quote)), own)
    return found


def brackets(text: str) -> tuple[PaperBracket, ...]:
    """Leverage table from `cap:leverage:ratio` rows; caps may end in k, M or B.

    `cum` keeps the maintenance margin continuous where one row ends and the next begins: each adds
    its floor x (its ratio - the ratio before).
    """
    rows: list[PaperBracket] = []
    floor, cum, last_ratio = 0, Decimal(0), Decimal(0)
    for number, part in enumerate(text.split(), start=1):
        cap_text, leverage, ratio_text = part.split(":")
        ratio = Decimal(f"0{ratio_text}")
        cum += floor * (ratio - last_ratio)
        cap = _amount(cap_text)
        rows.append(PaperBracket(number, int(leverage), floor, cap, ratio, plain(cum)))
        floor, last_ratio = cap, ratio
    return tuple(rows)


def plain(value: Decimal) -> Decimal:
    """Same value without superfluous zeros and without an exponent."""
    return Decimal(to_wire(value))


def grid_of(values: Iterable[Decimal]) -> Decimal:
    """Coarsest power of ten of which all values are multiples, at most 1."""
    exponent = 0
    for value in values:
        digits = value.normalize().as_tuple().exponent
        if isinstance(digits, int):
            exponent = min(exponent, digits)
    return Decimal(1).scaleb(exponent)


def _table(quote: str) -> tuple[Row, ...]:
    try:
        return _TABLES[quote]
    except KeyError:
        raise ValueError(f"quote coin {quote!r} is not one of {', '.join(QUOTES)}") from None


def _amount(text: str) -> int:
    unit = _UNITS.get(text[-1])
    return int(Decimal(text[:-1]) * unit) if unit else int(text)


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _contract(row: Row, quote: str) -> Contract:
    tick, step = Decimal(row.tick), Decimal(row.step)
    return Contract(
        symbol=f"{row.base}{quote}",
        base=row.base,
        quote=quote,
        price_precision=_decimals(tick),
        quantity_precision=_decimals(step),
        tick=tick,
        min_price=Decimal(row.min_price or row.tick),
        max_price=Decimal(row.max_price),
        step=step,
        min_qty=step,
        max_qty=Decimal(row.lot_max),
        market_max_qty=Decimal(row.market_max),
        min_notional=Decimal(row.notional),
        percent_up=Decimal(row.percent[0]),
        percent_down=Decimal(row.percent[1]),
        max_orders=MAX_ORDERS,
        trigger_protect=Decimal(row.protect),
        market_take_bound=Decimal(row.take_bound),
        liquidation_fee=Decimal(row.fee),
        onboard_ms=row.onboard_ms,
        brackets=brackets(row.brackets),
    )


def _derived_row(base: str, candles: Sequence[PaperCandle]) -> Row:
    """Row of a symbol outside the table; limits scale with its price so that they never bind."""
    if not candles:
        return Row(base, "0.0001", "0.1", "1000000", "100000", UNLISTED)
    tick = grid_of(price for candle in candles for price in _prices(candle))
    step = grid_of(candle.volume for candle in candles)
    price = candles[-1].close
    lot = (Decimal(10_000_000) / price // step + 1) * step
    return Row(
        base,
        format(tick, "f"),
        format(step, "f"),
        format(lot, "f"),
        format((lot / 10 // step + 1) * step, "f"),
        UNLISTED,
        max_price=format(max(Decimal(200), (price * 100).to_integral_value()), "f"),
    )


def _on_grid(contract: Contract, candles: Sequence[PaperCandle]) -> Contract:
    if not any(price % contract.tick for candle in candles for price in _prices(candle)):
        return contract
    tick = grid_of(price for candle in candles for price in _prices(candle))
    tick = min(tick, contract.tick)
    return replace(
        contract,
        tick=tick,
        min_price=tick if contract.min_price == contract.tick else contract.min_price,
        price_precision=max(contract.price_precision, _decimals(tick)),
    )


def _prices(candle: PaperCandle) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return candle.open, candle.high, candle.low, candle.close
