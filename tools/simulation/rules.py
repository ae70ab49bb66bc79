"""Faults that the paper exchange carries out itself (floor 8): its rules, from a strike."""

from collections.abc import Callable
from decimal import Decimal

from core.paper.faults import EventFault, FillFault, Phase, RestFault, TriggerFault
from core.simulation.schedule import FaultKind, Strike

Rule = RestFault | EventFault | TriggerFault | FillFault

ORDER = "POST /fapi/v1/order"
ALGO = "POST /fapi/v1/algoOrder"
ALGO_CANCEL = "DELETE /fapi/v1/algoOrder"
_MUTATING = (ORDER, ALGO, ALGO, ALGO_CANCEL)
_ANY = (ORDER, ALGO, ALGO_CANCEL, "GET /fapi/v3/positionRisk", "GET /fapi/v1/openAlgoOrders", "*")
_QUERIES = ("GET /fapi/v1/order", "GET /fapi/v1/algoOrder")
_EVENTS = ("ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE")
_STOP_CODES = (-2021, -4014, -4045, -4120)
_UNKNOWN = "Unknown error, please check your request or try again later."


def rule_of(strike: Strike) -> Rule | None:
    """The rule of a strike, None for those that are done by hand."""
    make = _RULES.get(strike.kind)
    return None if make is None else make(strike.draw)


def _of(choices: tuple[str, ...], draw: float) -> str:
    return choices[int(draw * len(choices))]


def _late(draw: float) -> int:
    return round(draw * 12_000) if draw > 0.7 else 0


def _answer_lost(draw: float) -> Rule:
    return RestFault(_of(_MUTATING, draw), phase="after", drop=True, delay_ms=_late(draw))


def _request_lost(draw: float) -> Rule:
    return RestFault(_of(_MUTATING, draw), phase="before", drop=True, delay_ms=_late(draw))


def _unknown(draw: float) -> Rule:
    phase: Phase = "after" if draw % 0.1 < 0.07 else "before"
    return RestFault(_of(_MUTATING, draw), phase=phase, status=503, body=_UNKNOWN)


def _overloaded(draw: float) -> Rule:
    text = "Request throttled by system-level protection."
    times = 1 + int(draw * 100) % 2
    return RestFault(_of(_ANY, draw), status=503, code=-1008, msg=text, times=times)


def _too_many(draw: float) -> Rule:
    return RestFault(_of(_ANY, draw), status=429, code=-1003, msg="Too many requests.")


def _timestamp(draw: float) -> Rule:
    text = "Timestamp for this request is outside of the recvWindow."
    return RestFault(_of(_ANY, draw), status=400, code=-1021, msg=text)


def _garbled(draw: float) -> Rule:
    body = "<html>gateway</html>" if draw % 0.1 < 0.05 else '{"orderId": 12'
    return RestFault(_of(_ANY, draw), phase="after", status=200, body=body)


def _query_lag(draw: float) -> Rule:
    text = "Order does not exist."
    return RestFault(_of(_QUERIES, draw), status=400, code=-2013, msg=text, times=2)


def _stop_refused(draw: float) -> Rule:
    code = _STOP_CODES[int(draw * len(_STOP_CODES))]
    times = 1 + int(draw * 100) % 2
    return RestFault(ALGO, status=400, code=code, msg="refused", times=times)


def _no_margin(draw: float) -> Rule:
    times = 1 + int(draw * 2)
    return RestFault(ORDER, status=400, code=-2019, msg="Margin is insufficient.", times=times)


def _reduce_refused(draw: float) -> Rule:
    return RestFault(
        ORDER,
        status=400,
        code=-2022,
        msg="ReduceOnly Order is rejected.",
        params={"reduceOnly": "true"},
        times=1 + int(draw * 2),
    )


def _partial_fill(draw: float) -> Rule:
    return FillFault("*", share=Decimal(str(round(0.05 + 0.9 * draw, 2))))


def _duplicates(draw: float) -> Rule:
    return EventFault("*", copies=2, times=1 + int(draw * 40))


def _out_of_order(draw: float) -> Rule:
    return EventFault(_of(_EVENTS, draw), delay_ms=round(50 + 1_500 * draw), times=3)


def _gap(draw: float) -> Rule:
    return EventFault("*", copies=0, times=1 + int(draw * 6))


def _trigger_rejected(_draw: float) -> Rule:
    return TriggerFault("*")


_RULES: dict[FaultKind, Callable[[float], Rule]] = {
    FaultKind.ANSWER_LOST: _answer_lost,
    FaultKind.REQUEST_LOST: _request_lost,
    FaultKind.UNKNOWN_503: _unknown,
    FaultKind.OVERLOADED: _overloaded,
    FaultKind.TOO_MANY: _too_many,
    FaultKind.TIMESTAMP: _timestamp,
    FaultKind.GARBLED: _garbled,
    FaultKind.QUERY_LAG: _query_lag,
    FaultKind.STOP_REFUSED: _stop_refused,
    FaultKind.NO_MARGIN: _no_margin,
    FaultKind.REDUCE_REFUSED: _reduce_refused,
    FaultKind.PARTIAL_FILL: _partial_fill,
    FaultKind.DUPLICATES: _duplicates,
    FaultKind.OUT_OF_ORDER: _out_of_order,
    FaultKind.GAP: _gap,
    FaultKind.TRIGGER_REJECTED: _trigger_rejected,
}
