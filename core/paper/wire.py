"""Encoders of the paper exchange's answers and user events (floor 2c).

Field names, the choice between strings and numbers, and what is absent follow Binance USDⓈ-M as of
November 2026: answers to POST and DELETE of an order carry neither avgPrice nor cumQuote, GET does.
"""

from collections.abc import Sequence
from decimal import Decimal

from core.domain.enums import ExecutionType, OrderKind
from core.domain.money import ZERO, to_wire
from core.paper.events import AccountChange, MarginCall
from core.paper.model import Contract
from core.paper.records import (
    AlgoOrder,
    Amendment,
    Income,
    MarginMove,
    Order,
    OrderState,
    Position,
    Trade,
)

Row = dict[str, object]
plain = to_wire
_ENTRY_PLACES = Decimal("0.0000000001")


def fixed(value: Decimal) -> str:
    """An amount of money: eight decimals."""
    return f"{value:.8f}"


def number(value: Decimal) -> int | float:
    """As a JSON number: whole where it is whole."""
    return int(value) if value == value.to_integral_value() else float(value)


def places(unit: Decimal) -> int:
    """Decimals of a tick or step as it is written (`0.10` has two)."""
    exponent = unit.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def entry(value: Decimal) -> str:
    """A computed average price without noise digits."""
    return plain(value.quantize(_ENTRY_PLACES))


def break_even(position: Position) -> Decimal:
    """Price at which closing pays the fees paid so far back."""
    if not position.quantity:
        return ZERO
    return (position.cost + position.fees) / position.quantity


# --- orders --------------------------------------------------------------------------------------


def order_reply(order: Order, *, ack: bool = False) -> Row:
    """Answer to POST and DELETE. `ack` shows the order as it was accepted."""
    spec = order.spec
    executed = ZERO if ack else order.executed
    return {
        "orderId": order.order_id,
        "symbol": spec.symbol,
        "status": OrderState.NEW.value if ack else order.state.value,
        "clientOrderId": spec.client_id,
        "price": plain(spec.price),
        "origQty": plain(spec.quantity),
        "executedQty": plain(executed),
        "cumQty": plain(executed),
        "timeInForce": spec.tif.value,
        "type": spec.kind.value,
        "reduceOnly": spec.reduce_only,
        "closePosition": spec.close_position,
        "side": spec.side.value,
        "positionSide": spec.position_side.value,
        "stopPrice": "0",
        "workingType": spec.working_type.value,
        "priceProtect": spec.price_protect,
        "origType": spec.kind.value,
        "priceMatch": spec.price_match,
        "selfTradePreventionMode": spec.stp_mode.value,
        "goodTillDate": spec.good_till_ms,
        "updateTime": order.created_ms if ack else order.updated_ms,
    }


def amend_reply(order: Order) -> Row:
    """Answer to PUT; the client's own number comes back only when it gave one."""
    row = order_reply(order)
    row["pair"] = order.spec.symbol
    if order.modify_id:
        row["modifyId"] = order.modify_id
    return row


def order_row(order: Order) -> Row:
    """Row of GET order and openOrders."""
    row = order_reply(order)
    del row["cumQty"]
    row["avgPrice"] = entry(order.average)
    row["cumQuote"] = plain(order.notional)
    row["time"] = order.created_ms
    return row


def history_row(order: Order) -> Row:
    """Row of GET allOrders. `cumBase` counts for coin-margined contracts only."""
    return order_row(order) | {"pair": order.spec.symbol, "cumBase": "0"}


def force_row(order: Order) -> Row:
    """Row of GET forceOrders: shown as the limit order it is traded by."""
    row = history_row(order)
    row |= {"type": "LIMIT", "origType": "LIMIT", "price": row["avgPrice"]}
    for name in ("priceMatch", "selfTradePreventionMode", "goodTillDate", "priceProtect"):
        del row[name]
    return row


def trade_row(trade: Trade) -> Row:
    """Row of GET userTrades; the commission is positive when paid.

    `baseQty` counts for coin-margined contracts only.
    """
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": trade.side.value,
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "realizedPnl": fixed(trade.realized),
        "quoteQty": plain(trade.price * trade.quantity),
        "baseQty": "0",
        "commission": fixed(trade.commission),
        "commissionAsset": trade.asset,
        "time": trade.time_ms,
        "positionSide": trade.position_side.value,
        "buyer": trade.side.sign > 0,
        "maker": trade.maker,
        "marginAsset": trade.asset,
        "pair": trade.symbol,
    }


def margin_row(row: MarginMove) -> Row:
    """Row of GET positionMargin/history."""
    return {
        "symbol": row.symbol,
        "type": 1 if row.added else 2,
        "deltaType": "USER_ADJUST",
        "amount": plain(row.amount),
        "asset": row.asset,
        "time": row.time_ms,
        "positionSide": row.side.value,
    }


def income_row(row: Income) -> Row:
    return {
        "symbol": row.symbol,
        "incomeType": row.kind,
        "income": fixed(row.amount),
        "asset": row.asset,
        "info": row.kind,
        "time": row.time_ms,
        "tranId": row.tran_id,
        "tradeId": row.trade_id,
    }


# --- collateral ----------------------------------------------------------------------------------

_DOLLAR, _NO_BUFFER = "1.00000000", "0.00000000"


def collateral_row(asset: str, now_ms: int) -> Row:
    """What a coin counts for in multi-assets mode: a dollar, without haircut (assetIndex)."""
    return {
        "symbol": f"{asset}USD",
        "time": now_ms,
        "index": _DOLLAR,
        "bidBuffer": _NO_BUFFER,
        "askBuffer": _NO_BUFFER,
        "bidRate": _DOLLAR,
        "askRate": _DOLLAR,
        "autoExchangeBidBuffer": _NO_BUFFER,
        "autoExchangeAskBuffer": _NO_BUFFER,
        "autoExchangeBidRate": _DOLLAR,
        "autoExchangeAskRate": _DOLLAR,
    }


def collateral_event(asset: str, now_ms: int) -> Row:
    """The same as a push."""
    return {
        "e": "assetIndexUpdate",
        "E": now_ms,
        "s": f"{asset}USD",
        "i": _DOLLAR,
        "b": _NO_BUFFER,
        "a": _NO_BUFFER,
        "B": _DOLLAR,
        "A": _DOLLAR,
        "q": _NO_BUFFER,
        "g": _NO_BUFFER,
        "Q": _DOLLAR,
        "G": _DOLLAR,
    }


# --- conditional orders --------------------------------------------------------------------------


def algo_reply(algo: AlgoOrder) -> Row:
    """Answer to POST algoOrder."""
    order = algo.spec.order
    trailing = order.kind is OrderKind.TRAILING_STOP_MARKET
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": order.client_id,
        "algoType": "CONDITIONAL",
        "orderType": order.kind.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "positionSide": order.position_side.value,
        "timeInForce": order.tif.value,
        "quantity": plain(order.quantity),
        "algoStatus": algo.status.value,
        "triggerPrice": plain(algo.spec.trigger),
        "price": plain(order.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": order.stp_mode.value,
        "workingType": order.working_type.value,
        "priceMatch": order.price_match,
        "closePosition": order.close_position,
        "priceProtect": order.price_protect,
        "reduceOnly": order.reduce_only,
        "activatePrice": plain(algo.spec.activate) if trailing else "",
        "callbackRate": plain(algo.spec.callback) if trailing else "",
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": order.good_till_ms,
    }


def algo_row(algo: AlgoOrder) -> Row:
    """Answer to GET algoOrder."""
    row = algo_reply(algo)
    if algo.spec.order.kind is not OrderKind.TRAILING_STOP_MARKET:
        del row["activatePrice"], row["callbackRate"]
    order = algo.order
    row["actualOrderId"] = str(order.order_id) if order else ""
    row["actualPrice"] = entry(order.average) if order else "0"
    row["actualQty"] = plain(order.executed) if order else "0"
    row["actualType"] = order.spec.kind.value if order else ""
    row["tpOrderType"] = ""
    return row


def algo_list_row(algo: AlgoOrder) -> Row:
    """Row of GET openAlgoOrders and allAlgoOrders; orders of a strategy do not exist here."""
    own = ("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice")
    return algo_row(algo) | dict.fromkeys(own, "0.000")


def algo_cancel(algo: AlgoOrder) -> Row:
    """Answer to DELETE algoOrder: `code` is text here, and no order fields."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.spec.order.client_id,
        "code": "200",
        "msg": "success",
    }


# --- user events ---------------------------------------------------------------------------------


def order_event(order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int) -> Row:
    """ORDER_TRADE_UPDATE."""
    spec = order.spec
    content: Row = {
        "s": spec.symbol,
        "c": spec.client_id,
        "S": spec.side.value,
        "o": spec.kind.value,
        "f": spec.tif.value,
        "q": plain(spec.quantity),
        "p": plain(spec.price),
        "ap": entry(order.average),
        "sp": "0",
        "x": execution.value,
        "X": order.state.value,
        "i": order.order_id,
        "l": plain(trade.quantity) if trade else "0",
        "z": plain(order.executed),
        "L": plain(trade.price) if trade else "0",
        "n": plain(trade.commission) if trade else "0",
        "N": trade.asset if trade else None,
        "T": now_ms,
        "t": trade.trade_id if trade else 0,
        "b": "0",
        "a": "0",
        "m": trade.maker if trade else False,
        "R": spec.reduce_only,
        "wt": spec.working_type.value,
        "ot": spec.kind.value,
        "ps": spec.position_side.value,
        "cp": spec.close_position,
        "rp": plain(trade.realized) if trade else "0",
        "pP": spec.price_protect,
        "si": 0,
        "ss": 0,
        "V": spec.stp_mode.value,
        "pm": spec.price_match,
        "gtd": spec.good_till_ms,
        "er": order.expiry.value,
    }
    if execution is ExecutionType.AMENDMENT and order.modify_id:
        content["M"] = order.modify_id
    return {"e": "ORDER_TRADE_UPDATE", "T": now_ms, "E": now_ms, "o": content}


def lite_event(order: Order, trade: Trade, contract: Contract, now_ms: int) -> Row:
    """TRADE_LITE: flat, early, without status and commission."""
    digits = places(contract.tick)
    return {
        "e": "TRADE_LITE",
        "E": now_ms,
        "T": now_ms,
        "s": trade.symbol,
        "q": plain(order.spec.quantity),
        "p": f"{order.spec.price:.{digits}f}",
        "m": trade.maker,
        "c": order.spec.client_id,
        "S": trade.side.value,
        "L": f"{trade.price:.{digits}f}",
        "l": plain(trade.quantity),
        "t": trade.trade_id,
        "i": order.order_id,
    }


def account_event(change: AccountChange, now_ms: int) -> Row:
    """ACCOUNT_UPDATE: only what changed."""
    wallet = change.wallet
    content: Row = {
        "B": [
            {
                "a": wallet.asset,
                "wb": fixed(wallet.balance),
                "cw": fixed(change.cross_wallet),
                "bc": plain(change.change),
            }
        ],
        "P": [_position_change(change.position, change.mark)] if change.position else [],
        "m": change.reason,
    }
    if change.symbol:
        content["S"] = change.symbol
    return {"e": "ACCOUNT_UPDATE", "T": now_ms, "E": now_ms, "a": content}


def _position_change(position: Position, mark: Decimal) -> Row:
    return {
        "s": position.symbol,
        "pa": plain(position.quantity),
        "ep": entry(position.entry_price),
        "cr": fixed(position.accumulated),
        "up": fixed(position.unrealized(mark)),
        "mt": "isolated" if position.isolated else "cross",
        "iw": fixed(position.isolated_wallet),
        "ps": position.side.value,
        "ma": position.asset,
        "bep": entry(break_even(position)),
    }


def algo_event(algo: AlgoOrder, now_ms: int) -> Row:
    """ALGO_UPDATE; the actual price, quantity and type are absent before the trigger."""
    order = algo.spec.order
    result = algo.order
    content: Row = {
        "caid": order.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": order.kind.value,
        "s": order.symbol,
        "S": order.side.value,
        "ps": order.position_side.value,
        "f": order.tif.value,
        "q": plain(order.quantity),
        "X": algo.status.value,
        "ai": str(result.order_id) if result else "",
    }
    if result is not None:
        content["ap"] = entry(result.average)
        content["aq"] = plain(result.executed)
        content["act"] = result.spec.kind.value
    content |= {
        "tp": plain(algo.spec.trigger),
        "p": plain(order.price),
        "V": order.stp_mode.value,
        "wt": order.working_type.value,
        "pm": order.price_match,
        "cp": order.close_position,
        "pP": order.price_protect,
        "R": order.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": order.good_till_ms,
    }
    if order.kind is OrderKind.TRAILING_STOP_MARKET:
        content["ia"] = algo.activated
    if algo.reason:
        content["rm"] = algo.reason
    return {"e": "ALGO_UPDATE", "T": now_ms, "E": now_ms, "o": content}


def margin_call_event(calls: Sequence[MarginCall], cross_wallet: Decimal, now_ms: int) -> Row:
    """MARGIN_CALL; the margin type is spelt as in requests here."""
    return {
        "e": "MARGIN_CALL",
        "E": now_ms,
        "cw": fixed(cross_wallet),
        "p": [
            {
                "s": call.position.symbol,
                "ps": call.position.side.value,
                "pa": plain(call.position.quantity),
                "mt": "ISOLATED" if call.position.isolated else "CROSSED",
                "iw": fixed(call.position.isolated_wallet),
                "mp": fixed(call.mark),
                "up": fixed(call.position.unrealized(call.mark)),
                "mm": fixed(call.maintenance),
            }
            for call in calls
        ],
    }


def amendment_row(order: Order, row: Amendment) -> Row:
    """Row of GET orderAmendment."""

    def change(values: tuple[Decimal, Decimal]) -> Row:
        return {"before": plain(values[0]), "after": plain(values[1])}

    amendment: Row = {
        "price": change(row.price),
        "origQty": change(row.quantity),
        "count": row.count,
    }
    if row.modify_id:
        amendment["modifyId"] = row.modify_id
    return {
        "amendmentId": row.amendment_id,
        "symbol": order.spec.symbol,
        "pair": order.spec.symbol,
        "orderId": order.order_id,
        "clientOrderId": order.spec.client_id,
        "time": row.time_ms,
        "amendment": amendment,
        "priceMatch": row.price_match,
    }


def leverage_event(symbol: str, leverage: int, now_ms: int) -> Row:
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": now_ms,
        "T": now_ms,
        "ac": {"s": symbol, "l": leverage},
    }


def multi_assets_event(now_ms: int, *, enabled: bool) -> Row:
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ai": {"j": enabled}}


def listen_key_expired_event(listen_key: str, now_ms: int) -> Row:
    return {"e": "listenKeyExpired", "E": now_ms, "listenKey": listen_key}
