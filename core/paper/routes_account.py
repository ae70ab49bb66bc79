"""Account routes of the paper exchange (floor 2c): balances, positions, settings, listen key."""

from collections.abc import Iterable
from decimal import Decimal

from core.domain.enums import Side
from core.domain.money import ZERO
from core.paper import margin, wire
from core.paper.errors import ApiError, refuse
from core.paper.ledger import MAKER_RATE, TAKER_RATE
from core.paper.limits import Security
from core.paper.params import Params
from core.paper.records import Position, PositionSide
from core.paper.routes_public import order_limits
from core.paper.routes_trade import HISTORY_MS, WEEK_MS, window
from core.paper.routing import Body, Desk, RestRoute, by_symbol, flat
from core.paper.wire import Row, entry, fixed, plain

_SUCCESS: Row = {"code": 200, "msg": "success"}
_ADL_QUANTILE = 1
"""Nobody else is in the queue."""
_ADD, _REDUCE = 1, 2
_MOVES = (_ADD, _REDUCE)
"""`type` of a margin transfer."""
_MONTH_MS = 30 * 86_400_000
_INTO, _OUT_OF = "MAIN_UMFUTURE", "UMFUTURE_MAIN"
_ONE_WAY = (PositionSide.BOTH,)
_HEDGED = (PositionSide.LONG, PositionSide.SHORT)
_TOTALLED = "USDT"
"""In single-asset mode the account's totals count this asset only."""


# --- money ---------------------------------------------------------------------------------------


def _asset(desk: Desk, asset: str) -> dict[str, Decimal]:
    """Money columns of one asset, shared by account and balance."""
    exchange = desk.exchange
    wallet = exchange.ledger.wallets[asset]
    rows = exchange.ledger.open_positions(asset)
    unrealized = sum((row.unrealized(_mark(desk, row)) for row in rows), ZERO)
    position_margin = sum((exchange.risk.position_margin(row) for row in rows), ZERO)
    orders_margin = sum(
        (
            exchange.risk.order_margin(symbol)
            for symbol, market in exchange.markets.items()
            if market.orders and market.contract.quote == asset
        ),
        ZERO,
    )
    return {
        "walletBalance": wallet.balance,
        "unrealizedProfit": unrealized,
        "marginBalance": wallet.balance + unrealized,
        "maintMargin": sum((_maintenance(desk, row) for row in rows), ZERO),
        "initialMargin": position_margin + orders_margin,
        "positionInitialMargin": position_margin,
        "openOrderInitialMargin": orders_margin,
        "crossWalletBalance": exchange.ledger.cross_wallet(asset),
        "crossUnPnl": exchange.risk.cross_unrealized(asset),
        "availableBalance": exchange.risk.available(asset),
        "maxWithdrawAmount": exchange.risk.withdrawable(asset),
    }


def _mark(desk: Desk, position: Position) -> Decimal:
    return desk.exchange.markets[position.symbol].mark


def _maintenance(desk: Desk, position: Position) -> Decimal:
    return desk.exchange.risk.maintenance(position)


def _updated(desk: Desk, asset: str) -> int:
    """Never 0: clients drop assets without an update time."""
    return desk.exchange.ledger.wallets[asset].updated_ms or desk.now_ms()


def _totals(desk: Desk) -> Row:
    """In single-asset mode the totals count one asset, in multi-assets mode the dollars of all."""
    wallets = desk.exchange.ledger.wallets
    joint = desk.exchange.flags.multi_assets
    counted = [_asset(desk, name) for name in wallets if joint or name == _TOTALLED]

    def total(name: str) -> str:
        if joint and name == "availableBalance":
            return fixed(counted[0][name])  # every asset shows what all of them leave
        return fixed(sum((money[name] for money in counted), ZERO))

    return {
        "totalInitialMargin": total("initialMargin"),
        "totalMaintMargin": total("maintMargin"),
        "totalWalletBalance": total("walletBalance"),
        "totalUnrealizedProfit": total("unrealizedProfit"),
        "totalMarginBalance": total("marginBalance"),
        "totalPositionInitialMargin": total("positionInitialMargin"),
        "totalOpenOrderInitialMargin": total("openOrderInitialMargin"),
        "totalCrossWalletBalance": total("crossWalletBalance"),
        "totalCrossUnPnl": total("crossUnPnl"),
        "availableBalance": total("availableBalance"),
        "maxWithdrawAmount": total("maxWithdrawAmount"),
    }


def _assets(desk: Desk) -> list[Row]:
    return [
        {
            "asset": asset,
            **{name: fixed(value) for name, value in _asset(desk, asset).items()},
            "updateTime": _updated(desk, asset),
        }
        for asset in desk.exchange.ledger.wallets
    ]


def _account_v3(desk: Desk, _params: Params) -> Body:
    positions = [_account_position(desk, row) for row in _active(desk, None)]
    return {**_totals(desk), "assets": _assets(desk), "positions": positions}


def _account_v2(desk: Desk, _params: Params) -> Body:
    flags = desk.exchange.flags
    assets = [{**row, "marginAvailable": True} for row in _assets(desk)]
    return {
        "feeTier": 0,
        "feeBurn": flags.fee_burn,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": flags.multi_assets,
        "tradeGroupId": -1,
        **_totals(desk),
        "assets": assets,
        "positions": [
            _account_position_v2(desk, row)
            for name in desk.exchange.markets
            for row in _listed(desk, name)
        ],
    }


def _account_position_v2(desk: Desk, position: Position) -> Row:
    held, working = _margins(desk, position)
    return {
        **_account_position(desk, position),
        "positionInitialMargin": plain(held),
        "openOrderInitialMargin": plain(working),
        "leverage": str(position.leverage),
        "isolated": position.isolated,
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(wire.break_even(position)),
        "maxNotional": str(_max_notional(desk, position)),
        **_resting(desk, position),
    }


def _balance(desk: Desk, _params: Params) -> Body:
    rows = []
    for asset in desk.exchange.ledger.wallets:
        money = _asset(desk, asset)
        rows.append(
            {
                "accountAlias": "paper",
                "asset": asset,
                "balance": fixed(money["walletBalance"]),
                "crossWalletBalance": fixed(money["crossWalletBalance"]),
                "crossUnPnl": fixed(money["crossUnPnl"]),
                "availableBalance": fixed(money["availableBalance"]),
                "maxWithdrawAmount": fixed(money["maxWithdrawAmount"]),
                "marginAvailable": True,
                "updateTime": _updated(desk, asset),
            }
        )
    return rows


# --- positions -----------------------------------------------------------------------------------


def _active(desk: Desk, symbol: str | None) -> Iterable[Position]:
    """Positions v3 lists: open ones and flat ones with working orders."""
    for name, market in desk.exchange.markets.items():
        if symbol not in (None, name):
            continue
        sides = {order.spec.position_side for order in market.orders.values()}
        for position in _listed(desk, name):
            if position.quantity or position.side in sides:
                yield position


def _listed(desk: Desk, symbol: str) -> list[Position]:
    """The positions a symbol has in the account's mode."""
    sides = _HEDGED if desk.exchange.flags.hedge_mode else _ONE_WAY
    return [desk.exchange.ledger.position(symbol, side) for side in sides]


def _margins(desk: Desk, position: Position) -> tuple[Decimal, Decimal]:
    """Initial margin of the position and of its working orders."""
    held = desk.exchange.risk.position_margin(position)
    has_orders = desk.exchange.markets[position.symbol].orders
    return held, desk.exchange.risk.order_margin(position.symbol) if has_orders else ZERO


def _resting(desk: Desk, position: Position) -> Row:
    """Notional of the working orders that could enlarge the position, either side."""
    market = desk.exchange.markets[position.symbol]
    return {
        "bidNotional": plain(market.resting_notional(Side.BUY, position.side)),
        "askNotional": plain(market.resting_notional(Side.SELL, position.side)),
    }


def _isolated_margin(desk: Desk, position: Position) -> Decimal:
    """Isolated wallet with its unrealised PnL; 0 for cross."""
    if not position.isolated or not position.quantity:
        return ZERO
    return position.isolated_wallet + position.unrealized(_mark(desk, position))


def _account_position(desk: Desk, position: Position) -> Row:
    mark = _mark(desk, position)
    held, working = _margins(desk, position)
    return {
        "symbol": position.symbol,
        "positionSide": position.side.value,
        "positionAmt": plain(position.quantity),
        "unrealizedProfit": fixed(position.unrealized(mark)),
        "isolatedMargin": fixed(_isolated_margin(desk, position)),
        "notional": plain(position.quantity * mark),
        "isolatedWallet": plain(position.isolated_wallet),
        "initialMargin": plain(held + working),
        "maintMargin": plain(_maintenance(desk, position)) if position.quantity else "0",
        "updateTime": position.updated_ms,
    }


def _risk_v3(desk: Desk, params: Params) -> Body:
    symbol = params.optional_symbol(desk.exchange.markets)
    return [_risk_row(desk, position) for position in _active(desk, symbol)]


def _risk_row(desk: Desk, position: Position) -> Row:
    mark = _mark(desk, position)
    held, working = _margins(desk, position)
    return {
        "symbol": position.symbol,
        "positionSide": position.side.value,
        "positionAmt": plain(position.quantity),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(wire.break_even(position)),
        "markPrice": fixed(mark),
        "unRealizedProfit": fixed(position.unrealized(mark)),
        "liquidationPrice": entry(desk.exchange.risk.liquidation_price(position)),
        "isolatedMargin": plain(_isolated_margin(desk, position)),
        "notional": plain(position.quantity * mark),
        "marginAsset": position.asset,
        "isolatedWallet": plain(position.isolated_wallet),
        "initialMargin": plain(held + working),
        "maintMargin": plain(_maintenance(desk, position)) if position.quantity else "0",
        "positionInitialMargin": plain(held),
        "openOrderInitialMargin": plain(working),
        "adl": _ADL_QUANTILE if position.quantity else 0,
        **_resting(desk, position),
        "updateTime": position.updated_ms,
    }


def _risk_v2(desk: Desk, params: Params) -> Body:
    """Every symbol, with leverage and margin type."""
    symbol = params.optional_symbol(desk.exchange.markets)
    return [
        _risk_v2_row(desk, position)
        for name in desk.exchange.markets
        if symbol in (None, name)
        for position in _listed(desk, name)
    ]


def _risk_v2_row(desk: Desk, position: Position) -> Row:
    mark = _mark(desk, position)
    return {
        "symbol": position.symbol,
        "positionAmt": plain(position.quantity),
        "entryPrice": entry(position.entry_price),
        "breakEvenPrice": entry(wire.break_even(position)),
        "markPrice": fixed(mark),
        "unRealizedProfit": fixed(position.unrealized(mark)),
        "liquidationPrice": entry(desk.exchange.risk.liquidation_price(position)),
        "leverage": str(position.leverage),
        "maxNotionalValue": str(_max_notional(desk, position)),
        "marginType": "isolated" if position.isolated else "cross",
        "isolatedMargin": fixed(_isolated_margin(desk, position)),
        "isAutoAddMargin": "false",
        "positionSide": position.side.value,
        "notional": plain(position.quantity * mark),
        "isolatedWallet": plain(position.isolated_wallet),
        "updateTime": position.updated_ms,
    }


def _max_notional(desk: Desk, position: Position) -> int:
    contract = desk.exchange.contracts[position.symbol]
    return margin.max_notional(contract, position.leverage)


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
                "maxNotionalValue": str(_max_notional(desk, position)),
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
        "maxNotionalValue": str(_max_notional(desk, position)),
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
    if side not in {row.side.value for row in _listed(desk, symbol)}:
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


def _adl_quantile(desk: Desk, params: Params) -> Body:
    """Every side's place in the queue; HEDGE is a mere sign of a hedged cross account."""
    symbol = params.optional_symbol(desk.exchange.markets)
    hedged = desk.exchange.flags.hedge_mode
    found: dict[str, dict[str, int]] = {}
    for row in _active(desk, symbol):
        third = "HEDGE" if hedged and not row.isolated else PositionSide.BOTH.value
        sides = found.setdefault(row.symbol, {"LONG": 0, "SHORT": 0, third: 0})
        sides[row.side.value] = _ADL_QUANTILE if row.quantity else 0
    return [{"symbol": name, "adlQuantile": sides} for name, sides in found.items()]


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
    RestRoute("GET", "/fapi/v3/account", _account_v3, _S, flat(5)),
    RestRoute("GET", "/fapi/v2/account", _account_v2, _S, flat(5)),
    RestRoute("GET", "/fapi/v3/balance", _balance, _S, flat(5)),
    RestRoute("GET", "/fapi/v2/balance", _balance, _S, flat(5)),
    RestRoute("GET", "/fapi/v3/positionRisk", _risk_v3, _S, flat(5)),
    RestRoute("GET", "/fapi/v2/positionRisk", _risk_v2, _S, flat(5)),
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
    RestRoute("GET", "/fapi/v1/adlQuantile", _adl_quantile, _S, flat(5)),
    RestRoute("GET", "/fapi/v1/apiTradingStatus", _trading_status, _S, by_symbol(1, 10)),
    RestRoute("GET", "/sapi/v1/account/apiRestrictions", _restrictions, _S),
    RestRoute("POST", "/sapi/v1/asset/transfer", _transfer, _S),
    RestRoute("GET", "/sapi/v1/capital/config/getall", _no_rows, _S),
    RestRoute("POST", "/fapi/v1/listenKey", _open_key, _K),
    RestRoute("PUT", "/fapi/v1/listenKey", _keep_key, _K),
    RestRoute("DELETE", "/fapi/v1/listenKey", _close_key, _K),
)
