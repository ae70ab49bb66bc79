"""Routes about the state of the markets around their prices (floor 2c).

ADL risk, collateral rates of the coins, sessions of the stock and commodity markets. None of it
moves here: nobody else trades, a coin is a dollar, and no contract on a stock is listed.
"""

from datetime import UTC, datetime

from core.paper.errors import refuse
from core.paper.limits import Security
from core.paper.params import Params
from core.paper.routing import Body, Desk, RestRoute, by_symbol, flat
from core.paper.wire import Row

_HALF_HOUR_MS = 1_800_000
_DAY_MS = 86_400_000
_WEEK_DAYS = 7
_SATURDAY = 5
_INDEX = "1.00000000"
_BUFFER = "0.00000000"
_RPI_DEPTH = 1000


def _adl_risk(desk: Desk, params: Params) -> Body:
    """Rating per symbol, renewed every half hour; never above low, as nobody is in the queue."""
    symbol = params.optional_symbol(desk.exchange.markets)
    renewed = desk.now_ms() // _HALF_HOUR_MS * _HALF_HOUR_MS

    def row(name: str) -> Row:
        return {"symbol": name, "adlRisk": "low", "updateTime": renewed}

    return row(symbol) if symbol else [row(name) for name in desk.exchange.markets]


def _collateral(asset: str, now: int) -> Row:
    """What a coin counts for as collateral in multi-assets mode: a dollar, without haircut."""
    return {
        "symbol": f"{asset}USD",
        "time": now,
        "index": _INDEX,
        "bidBuffer": _BUFFER,
        "askBuffer": _BUFFER,
        "bidRate": _INDEX,
        "askRate": _INDEX,
        "autoExchangeBidBuffer": _BUFFER,
        "autoExchangeAskBuffer": _BUFFER,
        "autoExchangeBidRate": _INDEX,
        "autoExchangeAskRate": _INDEX,
    }


def _asset_index(desk: Desk, params: Params) -> Body:
    """An object for one coin (`USDCUSD`), an array for all."""
    now = desk.now_ms()
    rows = {f"{asset}USD": _collateral(asset, now) for asset in desk.exchange.ledger.wallets}
    wanted = params.optional("symbol")
    if wanted is None:
        return list(rows.values())
    if wanted not in rows:
        raise refuse(-1121)
    return rows[wanted]


def _rpi_depth(desk: Desk, params: Params) -> Body:
    """The book with the retail orders that others do not see; there are none."""
    market = desk.exchange.markets[params.symbol(desk.exchange.markets)]
    limit = params.integer("limit", _RPI_DEPTH)
    if limit != _RPI_DEPTH:
        raise refuse(-4021, f"{limit} is not valid depth limit.")
    if not market.is_trading:
        raise refuse(-1122)
    return desk.market.depth.snapshot(market, limit, desk.now_ms())


# --- sessions of stocks and commodities ----------------------------------------------------------

_HOUR_MS = 3_600_000
_Part = tuple[int, int, str]
"""(start, end, kind) in ms of the day"""
_EQUITY: tuple[_Part, ...] = (
    (0, 8 * _HOUR_MS, "OVERNIGHT"),
    (8 * _HOUR_MS, 27 * _HALF_HOUR_MS, "PRE_MARKET"),
    (27 * _HALF_HOUR_MS, 20 * _HOUR_MS, "REGULAR"),
    (20 * _HOUR_MS, _DAY_MS, "AFTER_MARKET"),
)
_COMMODITY: tuple[_Part, ...] = (
    (0, 27 * _HALF_HOUR_MS, "NO_TRADING"),
    (27 * _HALF_HOUR_MS, 20 * _HOUR_MS, "REGULAR"),
    (20 * _HOUR_MS, _DAY_MS, "NO_TRADING"),
)
_CLOSED: tuple[_Part, ...] = ((0, _DAY_MS, "NO_TRADING"),)


def _sessions(first_ms: int, days: int, week: tuple[_Part, ...]) -> list[Row]:
    rows: list[Row] = []
    for day in range(days):
        start = first_ms + day * _DAY_MS
        weekend = datetime.fromtimestamp(start / 1000, UTC).weekday() >= _SATURDAY
        rows += [
            {"startTime": start + low, "endTime": start + high, "type": kind}
            for low, high, kind in (_CLOSED if weekend else week)
        ]
    return rows


def _trading_schedule(desk: Desk, _params: Params) -> Body:
    """One week from the day before on, in the hours of winter; holidays are not known."""
    now = desk.now_ms()
    first = now // _DAY_MS * _DAY_MS - _DAY_MS
    return {
        "updateTime": now,
        "marketSchedules": {
            "EQUITY": {"sessions": _sessions(first, _WEEK_DAYS, _EQUITY)},
            "COMMODITY": {"sessions": _sessions(first, _WEEK_DAYS, _COMMODITY)},
        },
    }


def _sign_agreement(_desk: Desk, _params: Params) -> Body:
    """The agreement for contracts on stocks: accepted, though none is listed."""
    return {"code": 200, "msg": "success"}


ROUTES = (
    RestRoute("GET", "/fapi/v1/symbolAdlRisk", _adl_risk),
    RestRoute("GET", "/fapi/v1/assetIndex", _asset_index, weight=by_symbol(1, 10)),
    RestRoute("GET", "/fapi/v1/rpiDepth", _rpi_depth, weight=flat(20)),
    RestRoute("GET", "/fapi/v1/tradingSchedule", _trading_schedule, weight=flat(5)),
    RestRoute("POST", "/fapi/v1/stock/contract", _sign_agreement, Security.SIGNED, flat(50)),
)
