"""Routes about the state of the markets around their prices (floor 2c).

ADL risk, collateral rates of the coins, sessions of the stock and commodity markets. None of it
moves here: nobody else trades, a coin is a dollar, and no contract on a stock is listed.
"""

from core.paper.errors import refuse
from core.paper.limits import Security
from core.paper.params import Params
from core.paper.routing import Body, Desk, RestRoute, by_symbol, flat
from core.paper.sessions import DAY_MS, MARKETS, Session, sessions_of
from core.paper.wire import Row, collateral_row

_HALF_HOUR_MS = 1_800_000
_WEEK_DAYS = 7
_RPI_DEPTH = 1000


def _adl_risk(desk: Desk, params: Params) -> Body:
    """Rating per symbol, renewed every half hour; never above low, as nobody is in the queue."""
    symbol = params.optional_symbol(desk.exchange.markets)
    renewed = desk.now_ms() // _HALF_HOUR_MS * _HALF_HOUR_MS

    def row(name: str) -> Row:
        return {"symbol": name, "adlRisk": "low", "updateTime": renewed}

    return row(symbol) if symbol else [row(name) for name in desk.exchange.markets]


def _asset_index(desk: Desk, params: Params) -> Body:
    """An object for one coin (`USDCUSD`), an array for all."""
    now = desk.now_ms()
    rows = {f"{asset}USD": collateral_row(asset, now) for asset in desk.exchange.ledger.wallets}
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


def _trading_schedule(desk: Desk, _params: Params) -> Body:
    """One week from the day before on."""
    now = desk.now_ms()
    first = now - now % DAY_MS - DAY_MS
    week = range(first, first + _WEEK_DAYS * DAY_MS, DAY_MS)

    def row(session: Session) -> Row:
        return {"startTime": session.start_ms, "endTime": session.end_ms, "type": session.kind}

    return {
        "updateTime": now,
        "marketSchedules": {
            name: {"sessions": [row(part) for day in week for part in sessions_of(name, day)]}
            for name in MARKETS
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
