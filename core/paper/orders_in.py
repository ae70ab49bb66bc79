"""From request parameters to checked order wishes (floor 2c). Raises the documented ApiErrors."""

from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from core.domain.enums import OrderKind, Side, TimeInForce, WorkingType
from core.domain.money import ZERO
from core.paper.errors import ApiError, not_required, refuse
from core.paper.exchange import PaperExchange
from core.paper.filters import check_client_id, check_conditional, check_order
from core.paper.params import Params
from core.paper.records import AlgoSpec, OrderSpec

_RESTING = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX, TimeInForce.GTD)
_ALGO_TIF = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX)
_CLOSING = (OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET)
_PRICED = (OrderKind.STOP, OrderKind.TAKE_PROFIT)
_STP_MODES = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "NONE")
_GTD_LEAD_MS = 600_000
_CALLBACK_RANGE = (Decimal("0.1"), Decimal(20))

_E = TypeVar("_E", bound=StrEnum)


def _member(kind: type[_E], text: str, code: int) -> _E:
    try:
        return kind(text)
    except ValueError:
        raise refuse(code) from None


def _position_side(exchange: PaperExchange, params: Params) -> None:
    """One-way accounts take BOTH only; a hedged account is refused (it is there to be noticed)."""
    side = params.optional("positionSide") or "BOTH"
    if side not in ("BOTH", "LONG", "SHORT"):
        raise ApiError(-4060, "Invalid position side.")
    if exchange.flags.hedge_mode or side != "BOTH":
        raise refuse(-4061)


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


def _stp_mode(params: Params) -> str:
    mode = params.optional("selfTradePreventionMode") or "EXPIRE_MAKER"
    if mode not in _STP_MODES:
        raise ApiError(-5039, "Invalid self trade prevention mode.")
    return mode


def _working_type(params: Params) -> WorkingType:
    text = params.optional("workingType") or WorkingType.CONTRACT_PRICE.value
    return _member(WorkingType, text, -4031)


def order_spec(exchange: PaperExchange, params: Params) -> OrderSpec:
    """POST order: limit and market only; filters, reduce-only, duplicates, margin checked."""
    symbol, side, kind = _common(exchange, params)
    if kind.is_conditional or params.optional("stopPrice") or params.flag("closePosition"):
        raise refuse(-4120)
    _position_side(exchange, params)
    if params.optional("priceMatch") not in (None, "NONE"):
        raise refuse(-5037)
    limit = kind is OrderKind.LIMIT
    if not limit and params.optional("price"):
        raise not_required("price")
    spec = OrderSpec(
        symbol=symbol,
        side=side,
        kind=kind,
        tif=_limit_tif(params) if limit else TimeInForce.GTC,
        quantity=params.decimal("quantity"),
        price=params.decimal("price") if limit else ZERO,
        reduce_only=params.flag("reduceOnly"),
        client_id=_client_id(exchange, params, "newClientOrderId"),
        stp_mode=_stp_mode(params),
        good_till_ms=_good_till(exchange, params),
        result=_wants_result(params),
    )
    if exchange.markets[symbol].close_only and not spec.reduce_only:
        raise refuse(-4140)
    check_order(exchange.markets[symbol], spec)
    if exchange.matcher.is_duplicate(spec):
        raise refuse(-4116)
    if spec.reduce_only:
        held = exchange.ledger.positions[symbol].quantity
        if held * side.sign >= 0:
            raise refuse(-2022)
    exchange.check_margin(spec)
    return spec


def _limit_tif(params: Params) -> TimeInForce:
    tif = _member(TimeInForce, params.text("timeInForce"), -1115)
    if tif not in _RESTING:
        raise refuse(-1115)
    return tif


def _good_till(exchange: PaperExchange, params: Params) -> int:
    if params.optional("timeInForce") != TimeInForce.GTD.value:
        return 0
    until = params.integer("goodTillDate")
    if until <= exchange.now_ms() + _GTD_LEAD_MS:
        raise refuse(-5040)
    return until // 1000 * 1000


def algo_spec(exchange: PaperExchange, params: Params) -> AlgoSpec:
    """POST algoOrder with its filters; position rules are checked when it is placed."""
    if params.text("algoType") != "CONDITIONAL":
        raise ApiError(-1130, "Data sent for parameter 'algoType' is not valid.")
    symbol, side, kind = _common(exchange, params)
    if not kind.is_conditional:
        raise refuse(-1116)
    _position_side(exchange, params)
    close_position = params.flag("closePosition")
    _check_close_position(params, kind, close_position=close_position)
    trailing = kind is OrderKind.TRAILING_STOP_MARKET
    order = OrderSpec(
        symbol=symbol,
        side=side,
        kind=kind,
        tif=TimeInForce.GTE_GTC if close_position else _algo_tif(params),
        quantity=ZERO if close_position else params.decimal("quantity"),
        price=params.decimal("price") if kind in _PRICED else ZERO,
        reduce_only=close_position or params.flag("reduceOnly"),
        client_id=_client_id(exchange, params, "clientAlgoId"),
        close_position=close_position,
        working_type=_working_type(params),
        price_protect=params.flag("priceProtect"),
        stp_mode=_stp_mode(params),
        result=_wants_result(params),
    )
    trigger = ZERO if trailing else params.decimal("triggerPrice")
    if not trailing and trigger <= 0:
        raise refuse(-4006)
    activate, callback = _trailing(params) if trailing else (ZERO, ZERO)
    check_conditional(exchange.markets[symbol], order, trigger)
    return AlgoSpec(order, trigger, activate, callback)


def _check_close_position(params: Params, kind: OrderKind, *, close_position: bool) -> None:
    if not close_position:
        return
    if kind not in _CLOSING:
        raise ApiError(
            -4136, f"Target strategy invalid for orderType '{kind}',closePosition 'true'"
        )
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
