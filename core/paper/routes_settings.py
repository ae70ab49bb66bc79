"""Settings of the account, its income, margin and money moves, its listen key (floor 2c)."""

from core.paper import wire
from core.paper.errors import ApiError, refuse
from core.paper.ledger import MAKER_RATE, TAKER_RATE
from core.paper.limits import Security
from core.paper.params import Params
from core.paper.records import PositionSide
from core.paper.routes_account import listed, max_notional
from core.paper.routes_public import order_limits
from core.paper.routes_trade import HISTORY_MS, WEEK_MS, window
from core.paper.routing import Body, Desk, RestRoute, by_symbol, flat
from core.paper.wire import Row, plain

_SUCCESS: Row = {"code": 200, "msg": "success"}
_ADD, _REDUCE = 1, 2
_MOVES = (_ADD, _REDUCE)
"""`type` of a margin transfer."""
_MONTH_MS = 30 * 86_400_000
_INTO, _OUT_OF = "MAIN_UMFUTURE", "UMFUTURE_MAIN"


# --- settings ------------------------------------------------------------------------------------


def _account_config(desk: Desk, _params: Params) -> Body:
    flags = desk.exchange.flags
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": flags.hedge_mode,
        "updateTime": 0,
        "multiAssetsMargin": flags.multi_assets,
        "tradeGroupId": -1,
    }


def _symbol_config(desk: Desk, params: Params) -> Body:
    symbol = params.optional_symbol(desk.exchange.markets)
    rows = []
    for name in desk.exchange.markets:
        if symbol not in (None, name):
            continue
        position = desk.exchange.ledger.positions[name]
        rows.append(
            {
                "symbol": name,
                "marginType": "ISOLATED" if position.isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": position.leverage,
                "maxNotionalValue": str(max_notional(desk, position)),
            }
        )
    return rows


def _leverage_bracket(desk: Desk, params: Params) -> Body:
    symbol = params.optional_symbol(desk.exchange.markets)
    return [
        {
            "symbol": name,
            "notionalCoef": 1.0,
            "brackets": [
                {
                    "bracket": row.number,
                    "initialLeverage": row.initial_leverage,
                    "notionalCap": row.notional_cap,
                    "notionalFloor": row.notional_floor,
                    "maintMarginRatio": float(row.maint_margin_ratio),
                    "cum": float(row.cum),
                }
                for row in contract.brackets
            ],
        }
        for name, contract in desk.exchange.contracts.items()
        if symbol in (None, name)
    ]


def _commission_rate(desk: Desk, params: Params) -> Body:
    return {
        "symbol": params.symbol(desk.exchange.markets),
        "makerCommissionRate": plain(MAKER_RATE),
        "takerCommissionRate": plain(TAKER_RATE),
        "rpiCommissionRate": "0.00005",
    }


def _income_window(desk: Desk, params: Params) -> tuple[int, int]:
    """Any span of the last three months; without times the last seven days. ApiError -1023."""
    now = desk.now_ms()
    end = params.integer("endTime", now)
    start = params.integer("startTime", end - WEEK_MS)
    if start > end:
        raise refuse(-1023)
    return max(start, now - HISTORY_MS), end


def _income(desk: Desk, params: Params) -> Body:
    """Oldest first, of three months; without `startTime` the newest rows of the last seven days."""
    symbol = params.optional_symbol(desk.exchange.markets)
    kind = params.optional("incomeType")
    limit = params.limit(100, 1000)
    start, end = _income_window(desk, params)
    rows = [
        wire.income_row(row)
        for row in desk.exchange.ledger.income
        if start <= row.time_ms <= end and symbol in (None, row.symbol) and kind in (None, row.kind)
    ]
    return rows[:limit] if params.optional("startTime") else rows[-limit:]


def _set_leverage(desk: Desk, params: Params) -> Body:
    symbol = params.symbol(desk.exchange.markets)
    leverage = params.integer("leverage")
    desk.exchange.set_leverage(symbol, leverage)
    position = desk.exchange.ledger.positions[symbol]
    return {
        "leverage": leverage,
        "maxNotionalValue": str(max_notional(desk, position)),
        "symbol": symbol,
    }


def _set_margin_type(desk: Desk, params: Params) -> Body:
    symbol = params.symbol(desk.exchange.markets)
    kind = params.text("marginType").upper()
    if kind not in ("ISOLATED", "CROSSED"):
        raise ApiError(-1130, "Data sent for parameter 'marginType' is not valid.")
    desk.exchange.set_isolated(symbol, isolated=kind == "ISOLATED")
    return _SUCCESS


def _get_position_mode(desk: Desk, _params: Params) -> Body:
    return {"dualSidePosition": desk.exchange.flags.hedge_mode}


def _set_position_mode(desk: Desk, params: Params) -> Body:
    params.text("dualSidePosition")
    desk.exchange.set_hedge_mode(enabled=params.flag("dualSidePosition"))
    return _SUCCESS


def _get_multi_assets(desk: Desk, _params: Params) -> Body:
    return {"multiAssetsMargin": desk.exchange.flags.multi_assets}


def _set_multi_assets(desk: Desk, params: Params) -> Body:
    params.text("multiAssetsMargin")
    desk.exchange.set_multi_assets(enabled=params.flag("multiAssetsMargin"))
    return _SUCCESS


def _rate_limit_order(_desk: Desk, _params: Params) -> Body:
    return order_limits()


def _fee_burn(desk: Desk, _params: Params) -> Body:
    return {"feeBurn": desk.exchange.flags.fee_burn}


def _set_fee_burn(desk: Desk, params: Params) -> Body:
    """Remembered only: there is no BNB here to pay fees with."""
    params.text("feeBurn")
    desk.exchange.flags.fee_burn = params.flag("feeBurn")
    return _SUCCESS


def _move_margin(desk: Desk, params: Params) -> Body:
    symbol = params.symbol(desk.exchange.markets)
    amount, kind = params.decimal("amount"), params.integer("type")
    if kind not in _MOVES:
        raise ApiError(-1130, "Data sent for parameter 'type' is not valid.")
    side = params.optional("positionSide") or PositionSide.BOTH.value
    if side not in {row.side.value for row in listed(desk, symbol)}:
        raise refuse(-4061)
    position = desk.exchange.ledger.position(symbol, PositionSide(side))
    desk.exchange.risk.move_margin(position, amount, add=kind == _ADD)
    return {
        "amount": float(amount),
        "code": 200,
        "msg": "Successfully modify position margin.",
        "type": kind,
    }


def _margin_history(desk: Desk, params: Params) -> Body:
    """Margin moved by the owner, oldest first."""
    symbol = params.symbol(desk.exchange.markets)
    kind = params.optional_integer("type")
    if kind not in (None, *_MOVES):
        raise ApiError(-1130, "Data sent for parameter 'type' is not valid.")
    limit = params.limit(500, 500)
    start, end = window(desk, params, _MONTH_MS)
    rows = [
        wire.margin_row(row)
        for row in desk.exchange.ledger.margin_moves
        if row.symbol == symbol
        and start <= row.time_ms <= end
        and (kind is None or row.added == (kind == _ADD))
    ]
    return rows[-limit:]


def _trading_status(desk: Desk, _params: Params) -> Body:
    return {"indicators": {}, "updateTime": desk.now_ms()}


def _restrictions(_desk: Desk, _params: Params) -> Body:
    return {
        "ipRestrict": True,
        "createTime": 1,
        "enableReading": True,
        "enableWithdrawals": False,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": True,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }


def _transfer(desk: Desk, params: Params) -> Body:
    """From or to the owner's spot wallet, which has whatever is asked of it."""
    kind, amount = params.text("type"), params.decimal("amount")
    if kind not in (_INTO, _OUT_OF):
        raise ApiError(-1130, "Data sent for parameter 'type' is not valid.")
    if amount <= 0:
        raise refuse(-4055)
    signed = amount if kind == _INTO else -amount
    return {"tranId": desk.exchange.transfer(params.text("asset"), signed)}


def _no_rows(_desk: Desk, _params: Params) -> Body:
    return []


# --- listen key ----------------------------------------------------------------------------------


def _open_key(desk: Desk, _params: Params) -> Body:
    return {"listenKey": desk.users.open_key()}


def _keep_key(desk: Desk, _params: Params) -> Body:
    return {"listenKey": desk.users.keep_alive()}


def _close_key(desk: Desk, _params: Params) -> Body:
    desk.users.close_key()
    return {}


_S = Security.SIGNED
_K = Security.KEY

ROUTES = (
    RestRoute("GET", "/fapi/v1/accountConfig", _account_config, _S, flat(5)),
    RestRoute("GET", "/fapi/v1/symbolConfig", _symbol_config, _S, flat(5)),
    RestRoute("GET", "/fapi/v1/leverageBracket", _leverage_bracket, _S),
    RestRoute("GET", "/fapi/v1/commissionRate", _commission_rate, _S, flat(20)),
    RestRoute("GET", "/fapi/v1/income", _income, _S, flat(30)),
    RestRoute("POST", "/fapi/v1/leverage", _set_leverage, _S),
    RestRoute("POST", "/fapi/v1/marginType", _set_margin_type, _S),
    RestRoute("POST", "/fapi/v1/positionMargin", _move_margin, _S),
    RestRoute("GET", "/fapi/v1/positionMargin/history", _margin_history, _S),
    RestRoute("GET", "/fapi/v1/positionSide/dual", _get_position_mode, _S, flat(30)),
    RestRoute("POST", "/fapi/v1/positionSide/dual", _set_position_mode, _S),
    RestRoute("GET", "/fapi/v1/multiAssetsMargin", _get_multi_assets, _S, flat(30)),
    RestRoute("POST", "/fapi/v1/multiAssetsMargin", _set_multi_assets, _S),
    RestRoute("GET", "/fapi/v1/rateLimit/order", _rate_limit_order, _S),
    RestRoute("GET", "/fapi/v1/feeBurn", _fee_burn, _S, flat(30)),
    RestRoute("POST", "/fapi/v1/feeBurn", _set_fee_burn, _S),
    RestRoute("GET", "/fapi/v1/apiTradingStatus", _trading_status, _S, by_symbol(1, 10)),
    RestRoute("GET", "/sapi/v1/account/apiRestrictions", _restrictions, _S),
    RestRoute("POST", "/sapi/v1/asset/transfer", _transfer, _S),
    RestRoute("GET", "/sapi/v1/capital/config/getall", _no_rows, _S),
    RestRoute("POST", "/fapi/v1/listenKey", _open_key, _K),
    RestRoute("PUT", "/fapi/v1/listenKey", _keep_key, _K),
    RestRoute("DELETE", "/fapi/v1/listenKey", _close_key, _K),
)
