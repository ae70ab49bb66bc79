"""Account routes of the paper exchange (floor 2c): balances, positions, places in the ADL queue."""

from collections.abc import Iterable
from decimal import Decimal

from core.domain.enums import Side
from core.domain.money import ZERO
from core.paper import margin, wire
from core.paper.limits import Security
from core.paper.params import Params
from core.paper.records import Position, PositionSide
from core.paper.routing import Body, Desk, RestRoute, flat
from core.paper.wire import Row, entry, fixed, plain

_ADL_QUANTILE = 1
"""Nobody else is in the queue."""
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
            for row in listed(desk, name)
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
        "maxNotional": str(max_notional(desk, position)),
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
        for position in listed(desk, name):
            if position.quantity or position.side in sides:
                yield position


def listed(desk: Desk, symbol: str) -> list[Position]:
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
        for position in listed(desk, name)
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
        "maxNotionalValue": str(max_notional(desk, position)),
        "marginType": "isolated" if position.isolated else "cross",
        "isolatedMargin": fixed(_isolated_margin(desk, position)),
        "isAutoAddMargin": "false",
        "positionSide": position.side.value,
        "notional": plain(position.quantity * mark),
        "isolatedWallet": plain(position.isolated_wallet),
        "updateTime": position.updated_ms,
    }


def max_notional(desk: Desk, position: Position) -> int:
    contract = desk.exchange.contracts[position.symbol]
    return margin.max_notional(contract, position.leverage)


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


_S = Security.SIGNED

ROUTES = (
    RestRoute("GET", "/fapi/v3/account", _account_v3, _S, flat(5)),
    RestRoute("GET", "/fapi/v2/account", _account_v2, _S, flat(5)),
    RestRoute("GET", "/fapi/v3/balance", _balance, _S, flat(5)),
    RestRoute("GET", "/fapi/v2/balance", _balance, _S, flat(5)),
    RestRoute("GET", "/fapi/v3/positionRisk", _risk_v3, _S, flat(5)),
    RestRoute("GET", "/fapi/v2/positionRisk", _risk_v2, _S, flat(5)),
    RestRoute("GET", "/fapi/v1/adlQuantile", _adl_quantile, _S, flat(5)),
)
