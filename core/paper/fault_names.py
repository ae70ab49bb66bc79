"""Misfortune by name (floor 2c): ready rules of which a rehearsal changes what it wants.

A named fault is a rule of `faults` with its fields filled in; every field may be given anew, so one
name serves any route, the n-th call only, or only requests with certain parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from core.paper.errors import ApiError
from core.paper.faults import EventFault, FillFault, RestFault, TriggerFault

Rule = RestFault | EventFault | TriggerFault | FillFault
ORDER = "POST /fapi/v1/order"
STOP = "POST /fapi/v1/algoOrder"
FOR_EVER = 0


@dataclass(frozen=True, slots=True)
class NamedFault:
    """The rule's class, its fields, and what a client sees."""

    rule: type[Rule]
    meaning: str
    fields: Mapping[str, object] = field(default_factory=dict)


def _rest(meaning: str, **fields: object) -> NamedFault:
    return NamedFault(RestFault, meaning, {"route": "*", **fields})


def _event(meaning: str, **fields: object) -> NamedFault:
    return NamedFault(EventFault, meaning, {"event": "*", **fields})


NAMED: Mapping[str, NamedFault] = {
    "latency": _rest("every answer takes `delay_ms`", delay_ms=2_000, times=FOR_EVER),
    "timeout_before": _rest(
        "408 -1007, the request had no effect",
        status=408,
        code=-1007,
        msg="Timeout waiting for response from backend server. Send status unknown; execution"
        " status unknown.",
    ),
    "timeout_after": _rest(
        "408 -1007, the request was executed",
        phase="after",
        status=408,
        code=-1007,
        msg="Timeout waiting for response from backend server. Send status unknown; execution"
        " status unknown.",
    ),
    "cut_before": _rest("the connection is cut, the request had no effect", drop=True),
    "cut_after": _rest("the connection is cut, the request was executed", phase="after", drop=True),
    "unknown_outcome": _rest(
        "503 as text, the request was executed",
        phase="after",
        status=503,
        body="Unknown error, please check your request or try again later.",
    ),
    "unavailable": _rest("503 as text, no effect", status=503, body="Service Unavailable."),
    "overloaded": _rest(
        "503 -1008, no effect",
        status=503,
        code=-1008,
        msg="Request throttled by system-level protection. Reduce-only/close-position orders are"
        " exempt. Please try again.",
    ),
    "internal_error": _rest(
        "500 -1001, no effect",
        status=500,
        code=-1001,
        msg="Internal error; unable to process your request. Please try again.",
    ),
    "http_status": _rest("any `status`, with `code` and `msg` or a `body`", status=500),
    "error_code": _rest("any `code` with its `msg`", status=400, code=-1000, msg="An error."),
    "firewall": _rest("403 with HTML", status=403, body="<html>Forbidden</html>"),
    "not_json": _rest("200 with HTML, executed", phase="after", status=200, body="<html>"),
    "too_many_requests": _rest(
        "429 -1003", status=429, code=-1003, msg="Too many requests; current limit is reached."
    ),
    "key_expired": _rest(
        "401 -2015 until the rules are cleared",
        status=401,
        code=-2015,
        msg="Invalid API-key, IP, or permissions for action.",
        times=FOR_EVER,
    ),
    "clock": _rest(
        "400 -1021",
        status=400,
        code=-1021,
        msg="Timestamp for this request is outside of the recvWindow.",
    ),
    "no_margin": _rest(
        "400 -2019", route=ORDER, status=400, code=-2019, msg="Margin is insufficient."
    ),
    "stop_refused": _rest(
        "400 -2021 when a conditional order is placed",
        route=STOP,
        status=400,
        code=-2021,
        msg="Order would immediately trigger.",
    ),
    "stop_rejected": NamedFault(
        TriggerFault, "a conditional order is REJECTED at its trigger", {"symbol": "*"}
    ),
    "partial_fill": NamedFault(
        FillFault, "an order finds liquidity for `share` of its quantity", {"symbol": "*"}
    ),
    "event_dropped": _event("a user event never comes", copies=0),
    "event_doubled": _event("a user event comes twice", copies=2),
    "event_delayed": _event("a user event comes `delay_ms` late", delay_ms=2_000),
    "event_reordered": _event("later events overtake a user event", delay_ms=50),
}


def named_rule(wish: Mapping[str, object]) -> Rule:
    """The rule of `wish["name"]` with the other fields of the wish in place of the ready ones.

    Raises ApiError -1130 for an unknown name and msgspec.ValidationError for a wrong field.
    """
    found = NAMED.get(str(wish.get("name")))
    if found is None:
        raise ApiError(-1130, f"name: {wish.get('name')!r} is none of {', '.join(NAMED)}")
    return msgspec.convert({**found.fields, **wish}, type=found.rule)
