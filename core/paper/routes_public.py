"""Market data routes of the paper exchange (floor 2c)."""

from collections.abc import Callable, Iterable

from core.domain.market import TIMEFRAMES_MS
from core.paper.candles import Kline
from core.paper.errors import ApiError, refuse
from core.paper.exchange import FUNDING_PERIOD_MS
from core.paper.limits import ORDERS_PER_10S, ORDERS_PER_MINUTE, WEIGHT_PER_MINUTE, Pool, Security
from core.paper.market import PERPETUAL_END_MS, Market
from core.paper.model import Contract
from core.paper.params import Params
from core.paper.routing import Body, Desk, RestRoute, by_symbol, flat
from core.paper.tape import KEPT, Print
from core.paper.wire import Row, fixed

_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
_MAX_KLINES = 1500
_HOUR_MS = 3_600_000
_ORDER_TYPES = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)


def _ping(_desk: Desk, _params: Params) -> Body:
    return {}


def _time(desk: Desk, _params: Params) -> Body:
    return {"serverTime": desk.now_ms()}


def order_limits() -> list[Row]:
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": "SECOND",
            "intervalNum": 10,
            "limit": ORDERS_PER_10S,
        },
        {
            "rateLimitType": "ORDERS",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": ORDERS_PER_MINUTE,
        },
    ]


def _exchange_info(desk: Desk, _params: Params) -> Body:
    weight: Row = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": WEIGHT_PER_MINUTE,
    }
    assets = [
        {"asset": asset, "marginAvailable": True, "autoAssetExchange": "-0.10000000"}
        for asset in desk.exchange.ledger.wallets
    ]
    return {
        "timezone": "UTC",
        "serverTime": desk.now_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": [weight, *order_limits()],
        "exchangeFilters": [],
        "assets": assets,
        "symbols": [_symbol(market) for market in desk.exchange.markets.values()],
    }


def _symbol(market: Market) -> Row:
    contract = market.contract
    return {
        "symbol": contract.symbol,
        "pair": contract.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_END_MS,
        "onboardDate": contract.onboard_ms,
        "status": market.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": contract.base,
        "quoteAsset": contract.quote,
        "marginAsset": contract.quote,
        "pricePrecision": contract.price_precision,
        "quantityPrecision": contract.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": f"{contract.trigger_protect:.4f}",
        "liquidationFee": f"{contract.liquidation_fee:.6f}",
        "marketTakeBound": str(contract.market_take_bound),
        "maxMoveOrderLimit": 10000,
        "filters": _filters(contract),
        "orderTypes": _ORDER_TYPES,
        "timeInForce": ("GTC", "IOC", "FOK", "GTX", "GTD"),
        "permissionSets": ("GRID", "COPY", "DCA"),
    }


def _filters(contract: Contract) -> list[Row]:
    lot = {"minQty": str(contract.min_qty), "stepSize": str(contract.step)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": str(contract.min_price),
            "maxPrice": str(contract.max_price),
            "tickSize": str(contract.tick),
        },
        {"filterType": "LOT_SIZE", "maxQty": str(contract.max_qty), **lot},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": str(contract.market_max_qty), **lot},
        {"filterType": "MAX_NUM_ORDERS", "limit": contract.max_orders},
        {"filterType": "MIN_NOTIONAL", "notional": str(contract.min_notional)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{contract.percent_up:.4f}",
            "multiplierDown": f"{contract.percent_down:.4f}",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def _depth_weight(params: Params) -> int:
    limit = params.integer("limit", 500)
    return next((w for most, w in ((50, 2), (100, 5), (500, 10)) if limit <= most), 20)


def _depth(desk: Desk, params: Params) -> Body:
    market = _trading(desk, params.symbol(desk.exchange.markets))
    limit = params.integer("limit", 500)
    if limit not in _DEPTHS:
        raise refuse(-4021, f"{limit} is not valid depth limit.")
    return desk.market.depth.snapshot(market, limit, desk.now_ms())


def _trades(desk: Desk, params: Params) -> Body:
    """The newest public trades; with `fromId` (historicalTrades) from there on."""
    symbol = params.symbol(desk.exchange.markets)
    first, limit = params.optional_integer("fromId"), params.limit(500, KEPT)
    tape, quotes = desk.tape, desk.quotes[symbol]
    rows = tape.newest(symbol, limit) if first is None else tape.since(symbol, first, limit)
    return [
        {
            "id": row.number,
            "price": quotes.price(row.price),
            "qty": quotes.size(row.quantity),
            "quoteQty": fixed(row.price * row.quantity),
            "time": row.time_ms,
            "isBuyerMaker": row.buyer_maker,
            "isRPITrade": False,
        }
        for row in rows
    ]


def _agg_trades(desk: Desk, params: Params) -> Body:
    """`fromId` is inclusive; a time window may span less than an hour."""
    symbol = params.symbol(desk.exchange.markets)
    quotes = desk.quotes[symbol]
    return [
        {
            "a": row.number,
            "p": quotes.price(row.price),
            "q": quotes.size(row.quantity),
            "nq": quotes.size(row.quantity),
            "f": row.number,
            "l": row.number,
            "T": row.time_ms,
            "m": row.buyer_maker,
        }
        for row in _pick_prints(desk, params, symbol)
    ]


def _pick_prints(desk: Desk, params: Params, symbol: str) -> list[Print]:
    limit = params.limit(500, KEPT)
    first = params.optional_integer("fromId")
    start, end = params.optional_integer("startTime"), params.optional_integer("endTime")
    if first is not None:
        if start is not None or end is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        return desk.tape.since(symbol, first, limit)
    if start is None and end is None:
        return desk.tape.newest(symbol, limit)
    if start is None:
        start = (end or 0) - _HOUR_MS + 1
    if end is None:
        end = start + _HOUR_MS - 1
    if end - start >= _HOUR_MS:
        raise ApiError(-1127, "More than 1 hours between startTime and endTime.")
    return desk.tape.between(symbol, start, end, limit)


def _kline_weight(params: Params) -> int:
    limit = params.integer("limit", 500)
    return next((w for most, w in ((99, 1), (499, 2), (1000, 5)) if limit <= most), 10)


def _klines(desk: Desk, params: Params) -> Body:
    return [_kline_row(desk, kline) for kline in _read_klines(desk, params, "symbol")]


def _mark_klines(desk: Desk, params: Params) -> Body:
    """Mark equals last, so the prices are the same; volumes are 0 as on the venue."""
    return [_without_volume(_kline_row(desk, k)) for k in _read_klines(desk, params, "symbol")]


def _index_klines(desk: Desk, params: Params) -> Body:
    """The index equals last too; asked for by pair."""
    return [_without_volume(_kline_row(desk, k)) for k in _read_klines(desk, params, "pair")]


def _premium_klines(desk: Desk, params: Params) -> Body:
    """Mark and index agree, so the premium is 0 throughout."""
    rows = []
    for kline in _read_klines(desk, params, "symbol"):
        row = _without_volume(_kline_row(desk, kline))
        row[1:5] = ["0.00000000"] * 4
        rows.append(row)
    return rows


def _without_volume(row: list[object]) -> list[object]:
    row[5] = row[7] = row[9] = row[10] = "0"
    return row


def _continuous_klines(desk: Desk, params: Params) -> Body:
    if params.text("contractType") != "PERPETUAL":
        raise ApiError(-1130, "Data sent for parameter 'contractType' is not valid.")
    return [_kline_row(desk, kline) for kline in _read_klines(desk, params, "pair")]


def _read_klines(desk: Desk, params: Params, name: str) -> list[Kline]:
    symbol = params.text(name)
    if symbol not in desk.exchange.markets:
        raise refuse(-1121)
    interval = params.text("interval")
    if interval not in TIMEFRAMES_MS:
        raise refuse(-1120)
    return desk.candles.klines(
        symbol,
        interval,
        params.optional_integer("startTime"),
        params.optional_integer("endTime"),
        params.limit(500, _MAX_KLINES),
        now_ms=desk.now_ms(),
    )


def _kline_row(desk: Desk, kline: Kline) -> list[object]:
    quotes = desk.quotes[kline.symbol]
    return [
        kline.open_ms,
        quotes.price(kline.open),
        quotes.price(kline.high),
        quotes.price(kline.low),
        quotes.price(kline.close),
        quotes.size(kline.volume),
        kline.close_ms,
        fixed(kline.quote_volume),
        kline.trades,
        quotes.size(kline.volume / 2),
        fixed(kline.quote_volume / 2),
        "0",
    ]


def _one_or_all(desk: Desk, params: Params, row: Callable[[Market], Row]) -> Body:
    """An object for one symbol, an array for all of them."""
    symbol = params.optional_symbol(desk.exchange.markets)
    if symbol is not None:
        return row(_trading(desk, symbol))
    return [row(market) for market in desk.exchange.markets.values() if market.is_trading]


def _trading(desk: Desk, symbol: str) -> Market:
    """The market of a symbol. Raises ApiError -1122 before its first price."""
    market = desk.exchange.markets[symbol]
    if not market.is_trading:
        raise refuse(-1122)
    return market


def _premium_index(desk: Desk, params: Params) -> Body:
    now = desk.now_ms()

    def row(market: Market) -> Row:
        due = desk.exchange.next_funding_ms(now)
        index = fixed(market.index)
        return {
            "symbol": market.symbol,
            "markPrice": fixed(market.mark),
            "indexPrice": index,
            "estimatedSettlePrice": index,
            "lastFundingRate": fixed(desk.exchange.funding_rate(market.symbol, due)),
            "interestRate": "0.00010000",
            "nextFundingTime": due,
            "time": now,
        }

    return _one_or_all(desk, params, row)


def _funding_rate(desk: Desk, params: Params) -> Body:
    now = desk.now_ms()
    limit = params.limit(100, 1000)
    start = params.optional_integer("startTime")
    end = min(params.integer("endTime", now), now)
    last = end // FUNDING_PERIOD_MS * FUNDING_PERIOD_MS
    first = last - (limit - 1) * FUNDING_PERIOD_MS
    if start is not None:
        first = -(-start // FUNDING_PERIOD_MS) * FUNDING_PERIOD_MS
        last = min(last, first + (limit - 1) * FUNDING_PERIOD_MS)
    symbol = params.optional_symbol(desk.exchange.markets)
    symbols: Iterable[str] = desk.exchange.markets if symbol is None else (symbol,)
    rows = [
        {
            "symbol": name,
            "fundingTime": due,
            "fundingRate": fixed(desk.exchange.funding_rate(name, due)),
            "markPrice": _price_at(desk, name, due),
            "rateType": "Regular",
        }
        for due in range(first, last + 1, FUNDING_PERIOD_MS)
        for name in symbols
    ]
    return rows[:limit] if start is not None else rows[-limit:]


def _price_at(desk: Desk, symbol: str, time_ms: int) -> str:
    """Price of the minute at a time, empty when the history does not reach back."""
    rows = desk.candles.klines(symbol, "1m", time_ms, time_ms, 1, now_ms=desk.now_ms())
    return fixed(rows[0].open) if rows else ""


def _ticker_24h(desk: Desk, params: Params) -> Body:
    now = desk.now_ms()

    def row(market: Market) -> Row:
        quotes = desk.quotes[market.symbol]
        stats = desk.candles.stats_24h(market.symbol, now)
        return {
            "symbol": market.symbol,
            "priceChange": quotes.price(stats.change),
            "priceChangePercent": f"{stats.change_percent:.3f}",
            "weightedAvgPrice": quotes.price(stats.weighted_average),
            "lastPrice": quotes.price(stats.last),
            "lastQty": quotes.size(market.last_quantity),
            "openPrice": quotes.price(stats.open),
            "highPrice": quotes.price(stats.high),
            "lowPrice": quotes.price(stats.low),
            "volume": quotes.size(stats.volume),
            "quoteVolume": fixed(stats.quote_volume),
            "openTime": stats.open_ms,
            "closeTime": stats.close_ms,
            "firstId": 0,
            "lastId": stats.trades,
            "count": stats.trades,
        }

    return _one_or_all(desk, params, row)


def _ticker_price(desk: Desk, params: Params) -> Body:
    def row(market: Market) -> Row:
        return {
            "symbol": market.symbol,
            "price": desk.quotes[market.symbol].price(market.price),
            "time": market.last_time_ms,
        }

    return _one_or_all(desk, params, row)


def _book_ticker(desk: Desk, params: Params) -> Body:
    def row(market: Market) -> Row:
        bid, ask = desk.quotes[market.symbol].best()
        return {
            "symbol": market.symbol,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
            "time": market.last_time_ms,
            "lastUpdateId": market.view,
        }

    return _one_or_all(desk, params, row)


def _open_interest(desk: Desk, params: Params) -> Body:
    """Nobody else trades here: a round figure scaled by the first bracket."""
    market = _trading(desk, params.symbol(desk.exchange.markets))
    value = market.contract.brackets[0].notional_cap * 1000 / market.price
    return {
        "openInterest": desk.quotes[market.symbol].size(value),
        "symbol": market.symbol,
        "time": desk.now_ms(),
    }


def _nothing(_desk: Desk, _params: Params) -> Body:
    return []


def _system_status(_desk: Desk, _params: Params) -> Body:
    return {"status": 0, "msg": "normal"}


ROUTES = (
    RestRoute("GET", "/fapi/v1/ping", _ping),
    RestRoute("GET", "/fapi/v1/time", _time),
    RestRoute("GET", "/fapi/v1/exchangeInfo", _exchange_info),
    RestRoute("GET", "/fapi/v1/depth", _depth, weight=_depth_weight),
    RestRoute("GET", "/fapi/v1/klines", _klines, weight=_kline_weight),
    RestRoute("GET", "/fapi/v1/markPriceKlines", _mark_klines, weight=_kline_weight),
    RestRoute("GET", "/fapi/v1/indexPriceKlines", _index_klines, weight=_kline_weight),
    RestRoute("GET", "/fapi/v1/premiumIndexKlines", _premium_klines, weight=_kline_weight),
    RestRoute("GET", "/fapi/v1/trades", _trades, weight=flat(5)),
    RestRoute("GET", "/fapi/v1/historicalTrades", _trades, Security.KEY, flat(20)),
    RestRoute("GET", "/fapi/v1/aggTrades", _agg_trades, weight=flat(20)),
    RestRoute("GET", "/fapi/v1/continuousKlines", _continuous_klines, weight=_kline_weight),
    RestRoute("GET", "/fapi/v1/premiumIndex", _premium_index, weight=by_symbol(1, 10)),
    RestRoute("GET", "/fapi/v1/fundingRate", _funding_rate, weight=flat(0), pool=Pool.FUNDING),
    RestRoute("GET", "/fapi/v1/fundingInfo", _nothing, weight=flat(0), pool=Pool.FUNDING),
    RestRoute("GET", "/fapi/v1/ticker/24hr", _ticker_24h, weight=by_symbol(1, 40)),
    RestRoute("GET", "/fapi/v1/ticker/price", _ticker_price, weight=by_symbol(1, 2)),
    RestRoute("GET", "/fapi/v2/ticker/price", _ticker_price, weight=by_symbol(1, 2)),
    RestRoute("GET", "/fapi/v1/ticker/bookTicker", _book_ticker, weight=by_symbol(2, 5)),
    RestRoute("GET", "/fapi/v1/openInterest", _open_interest),
    RestRoute("GET", "/sapi/v1/system/status", _system_status),
)
