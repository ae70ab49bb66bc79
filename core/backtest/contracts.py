"""The contract a recording belongs to, with its filters and leverage brackets (floor 6).

The table is the paper exchange's, so that a backtest and a rehearsal round the same way.
"""

from decimal import Decimal

import numpy as np

from core.domain.enums import ContractStatus
from core.domain.errors import DataError
from core.domain.instrument import Bracket, Instrument
from core.paper.archive_series import Series
from core.paper.contracts import build_contracts
from core.paper.model import Contract, PaperCandle


def recorded_instrument(series: Series) -> Instrument:
    """Contract of a recorded symbol; one outside the table takes tick and step from its data.

    Raises DataError for a quote coin without contracts.
    """
    quote = series.symbol.removeprefix(series.base)
    samples = {series.symbol: _finest(series)}
    try:
        contracts = build_contracts(quote, [series.symbol], samples)
    except ValueError as error:
        raise DataError(f"{series.symbol}: {error}") from None
    return _instrument(contracts[series.symbol])


def _finest(series: Series) -> tuple[PaperCandle, ...]:
    """A few candles that show the finest price and volume of the recording."""
    columns = (series.open, series.high, series.low, series.close, series.volume)
    rows = {len(series) - 1, *(int(np.argmax(column % 10 != 0)) for column in columns)}
    return tuple(_candle(series, row) for row in sorted(rows))


def _candle(series: Series, row: int) -> PaperCandle:
    def price(value: int) -> Decimal:
        return Decimal(value).scaleb(-series.price_decimals)

    return PaperCandle(
        symbol=series.symbol,
        open_ms=int(series.time[row]),
        open=price(int(series.open[row])),
        high=price(int(series.high[row])),
        low=price(int(series.low[row])),
        close=price(int(series.close[row])),
        volume=Decimal(int(series.volume[row])).scaleb(-series.volume_decimals),
        quote_volume=Decimal(int(series.quote[row])).scaleb(-series.quote_decimals),
        trades=int(series.trades[row]),
    )


def _instrument(contract: Contract) -> Instrument:
    """The paper exchange's contract as the daemon would read it from exchangeInfo."""
    return Instrument(
        symbol=f"{contract.base}/{contract.quote}:{contract.quote}",
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
        max_orders=contract.max_orders,
        brackets=tuple(
            Bracket(
                notional_floor=Decimal(row.notional_floor),
                notional_cap=Decimal(row.notional_cap),
                max_leverage=row.initial_leverage,
                maint_margin_ratio=row.maint_margin_ratio,
                cum=row.cum,
            )
            for row in contract.brackets
        ),
        onboard_ms=contract.onboard_ms,
    )
