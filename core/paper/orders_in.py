"""From request parameters to checked order wishes (floor 2c). Raises the documented ApiErrors."""

from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from core.domain.enums import OrderKind, Side, TimeInForce, WorkingType
from core.domain.money import ZERO
from core.paper.amend import Change
from core.paper.errors import ApiError, not_required, refuse
from core.paper.exchange import PaperExchange
from core.paper.filters import check_client_id, check_conditional, check_order
from core.paper.params import Params
from core.paper.records import AlgoSpec, OrderSpec, PositionSide, StpMode

_RESTING = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX, TimeInForce.GTD)
_ALGO_TIF = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX)
_CLOSING = (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET)
_PRICED = (OrderKind.STOP, OrderKind.TAKE_PROFIT)
_GTD_LEAD_MS = 600_000
_GTD_END_MS = 253_402_300_799_000
ALGO_TYPE = "CONDITIONAL"
"""The only `algoType` there is."""
_CALLBACK_RANGE = (Decimal("0.1"), Decimal(20))

_E = TypeVar("_E", bound=StrEnum)


def _member(kind: type[_E], text: str, code: int) -> _E:
    try:
        return kind(text)
    except ValueError:
        raise refuse(code) from None


def _position_side(exchange: PaperExchange, params: Params) -> PositionSide:
    """One-way accounts take BOTH only, hedged ones LONG and SHORT."""
    text = params.optional("positionSide") or "BOTH"
    if text not in {side.value for side in PositionSide}:
        raise ApiError(-4060, "Invalid position side.")
    position_side = PositionSide(text)
    if exchange.flags.hedge_mode == (position_side is PositionSide.BOTH):
        raise refuse(-4061)
    return position_side


def _reduces(params: Params, side: Side, position_side: PositionSide) -> bool:
    """The flag of a one-way account; in a hedged one the two sides say it."""
    if position_side is PositionSide.BOTH:
        return params.flag("reduceOnly")
    if params.optional("reduceOnly"):
        raise not_required("reduceOnly")
    return (position_side is PositionSide.LONG) == (side is Side.SELL)


def price_match(params: Params) -> str:
    """`priceMatch`, NONE when absent. Raises ApiError -5037, or -1106 beside a price."""
    mode = params.optional("priceMatch") or "NONE"
    if mode == "NONE":
        return mode
    name, _, level = mode.partition("_")
    if name not in ("OPPONENT", "QUEUE") or level not in ("", "5", "10", "20"):
        raise refuse(-5037)
    if params.optional("price"):
        raise not_required("price")
    return mode


def _common(exchange: PaperExchange, params: Params) -> tuple[str, Side, OrderKind]:
    symbol = params.symbol(exchange.markets)
    if not exchange.markets[symbol].is_trading:
        raise refuse(-1122)
    side = _member(Side, params.text("side"), -1117)
    kind = _member(OrderKind, params.text("type"), -1116)
    if kind is OrderKind.LIQUIDATION:
        raise refuse(-1116)
    return symbol, side, kind


def _client_id(exchange: PaperExchange, params: Params, name: str) -> str:
    given = params.optional(name)
    if given is None:
        return exchange.new_client_id()
    check_client_id(name, given)
    return given


def _wants_result(params: Params) -> bool:
    kind = params.optional("newOrderRespType") or "ACK"
    if kind not in ("ACK", "RESULT"):
        raise refuse(-1136)
    return kind == "RESULT"


def _stp_mode(params: Params) -> StpMode:
    text = params.optional("selfTradePreventionMode") or StpMode.EXPIRE_MAKER.value
    mode = _member(StpMode, text, -5039)
    if mode is StpMode.NONE:
        raise refuse(-5039)
    return mode


def _working_type(params: Params) -> WorkingType:
    text = params.optional("workingType") or WorkingType.CONTRACT_PRICE.value
    return _member(WorkingType, text, -4031)


def order_spec(exchange: PaperExchange, params: Params) -> OrderSpec:
    """POST order: limit and market only; filters, reduce-only, duplicates, margin checked."""
    symbol, side, kind = _common(exchange, params)
    if kind.is_conditional:
        raise refuse(-4120)
    if params.flag("closePosition"):
        raise _cannot_close(kind)
    if params.optional("stopPrice"):
        raise not_required("stopPrice")
    position_side = _position_side(exchange, params)
    limit = kind is OrderKind.LIMIT
    matched = price_match(params)
    if not limit and matched != "NONE":
        raise refuse(-5038)
    if not limit and params.optional("price"):
        raise not_required("price")
    spec = OrderSpec(
        symbol=symbol,
        side=side,
        kind=kind,
        tif=_limit_tif(params) if limit else TimeInForce.GTC,
        quantity=params.decimal("quantity"),
        price=_price(exchange, params, side, matched) if limit else ZERO,
        reduce_only=_reduces(params, side, position_side),
        client_id=_client_id(exchange, params, "newClientOrderId"),
        stp_mode=_stp_mode(params),
        good_till_ms=_good_till(exchange, params),
        result=_wants_result(params),
        position_side=position_side,
        price_match=matched,
    )
    if exchange.markets[symbol].close_only and not spec.reduce_only:
        raise refuse(-4140)
    check_order(exchange.markets[symbol], spec)
    if exchange.matcher.is_duplicate(spec):
        raise refuse(-4116)
    if spec.reduce_only:
        held = exchange.ledger.position(symbol, position_side).quantity
        if held * side.sign >= 0:
            raise refuse(-2022)
    exchange.risk.check_margin(spec)
    return spec


def _price(exchange: PaperExchange, params: Params, side: Side, matched: str) -> Decimal:
    if matched == "NONE":
        return params.decimal("price")
    return exchange.markets[params.text("symbol")].book.matched(side, matched)


def amendment(exchange: PaperExchange, params: Params) -> Change:
    """PUT order: side, quantity and price (or priceMatch) are all mandatory."""
    side = _member(Side, params.text("side"), -1117)
    matched = price_match(params)
    params.symbol(exchange.markets)
    return Change(
        side=side,
        quantity=params.decimal("quantity"),
        price=_price(exchange, params, side, matched),
        price_match=matched,
        modify_id=params.integer("modifyId", 0),
        reduce_only=params.flag("reduceOnly"),
    )


def _limit_tif(params: Params) -> TimeInForce:
    tif = _member(TimeInForce, params.text("timeInForce"), -1115)
    if tif not in _RESTING:
        raise refuse(-1115)
    return tif


def _good_till(exchange: PaperExchange, params: Params) -> int:
    if params.optional("timeInForce") != TimeInForce.GTD.value:
        return 0
    until = params.integer("goodTillDate")
    if not exchange.now_ms() + _GTD_LEAD_MS < until < _GTD_END_MS:
        raise refuse(-5040)
    return until // 1000 * 1000


def algo_spec(exchange: PaperExchange, params: Params) -> AlgoSpec:
    """POST algoOrder with its filters; position rules are checked when it is placed."""
    if params.text("algoType") != ALGO_TYPE:
        raise ApiError(-1130, "Data sent for parameter 'algoType' is not valid.")
    symbol, side, kind = _common(exchange, params)
    if not kind.is_conditional:
        raise refuse(-1116)
    position_side = _position_side(exchange, params)
    matched = price_match(params)
    close_position = params.flag("closePosition")
    _check_close_position(params, kind, close_position=close_position)
    trailing = kind is OrderKind.TRAILING_STOP_MARKET
    order = OrderSpec(
        symbol=symbol,
        side=side,
        kind=kind,
        tif=TimeInForce.GTE_GTC if close_position else _algo_tif(params),
        quantity=ZERO if close_position else params.decimal("quantity"),
        price=params.decimal("price") if kind in _PRICED and matched == "NONE" else ZERO,
        reduce_only=close_position or _reduces(params, side, position_side),
        client_id=_client_id(exchange, params, "clientAlgoId"),
        close_position=close_position,
        working_type=_working_type(params),
        price_protect=params.flag("priceProtect"),
        stp_mode=_stp_mode(params),
        result=_wants_result(params),
        position_side=position_side,
        price_match=matched if kind in _PRICED else "NONE",
    )
    trigger = ZERO if trailing else params.decimal("triggerPrice")
    if not trailing and trigger <= 0:
        raise refuse(-4006)
    activate, callback = _trailing(params) if trailing else (ZERO, ZERO)
    check_conditional(exchange.markets[symbol], order, trigger)
    return AlgoSpec(order, trigger, activate, callback)


def _cannot_close(kind: OrderKind) -> ApiError:
    text = f"Target strategy invalid for orderType '{kind.value}',closePosition 'true'"
    return ApiError(-4136, text)


def _check_close_position(params: Params, kind: OrderKind, *, close_position: bool) -> None:
    if not close_position:
        return
    if kind not in _CLOSING:
        raise _cannot_close(kind)
    if params.optional("quantity"):
        raise refuse(-4137)
    if params.optional("reduceOnly"):
        raise not_required("reduceOnly")


def _algo_tif(params: Params) -> TimeInForce:
    tif = _member(TimeInForce, params.optional("timeInForce") or "GTC", -1115)
    if tif not in _ALGO_TIF:
        raise refuse(-1115)
    return tif


def _trailing(params: Params) -> tuple[Decimal, Decimal]:
    callback = params.decimal("callbackRate")
    least, most = _CALLBACK_RANGE
    if not least <= callback <= most:
        raise ApiError(-1130, "Data sent for parameter 'callbackRate' is not valid.")
    activate = params.optional_decimal("activatePrice") or ZERO
    if activate < 0:
        raise refuse(-4135)
    return activate, callback
