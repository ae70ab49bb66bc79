"""Rehearsed misfortune (floor 2c): what to do to the next requests, events and triggers.

A plan holds rules; each is consulted in order, applies to what it names and is used up after
`times` (0 = for ever). `chance` below 1 makes it random, from a seeded stream. Names of faults and
what a client must do with them: docs/invariants.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from random import Random
from typing import Literal, TypeVar

import msgspec

Phase = Literal["before", "after"]
ANY = "*"


class RestFault(msgspec.Struct, forbid_unknown_fields=True):
    """One rule for REST requests.

    `route` is `METHOD /path` or `*`. `before` means the request has no effect, `after` that it was
    executed and only its answer suffers. `drop` cuts the connection; otherwise `status` (with
    `code` and `msg`, or a raw `body`) replaces the answer; `delay_ms` comes first in both cases
    and may stand alone. With `nth` n the first n - 1 matching requests are spared; `params` must
    all be in the request, a value equal or of the pattern (`abc-*`). `name` is the name of a ready
    rule, or the operator's own word.
    """

    route: str
    phase: Phase = "before"
    delay_ms: int = 0
    drop: bool = False
    status: int = 0
    code: int = 0
    msg: str = ""
    body: str = ""
    times: int = 1
    chance: float = 1.0
    nth: int = 1
    params: dict[str, str] = {}
    name: str = ""


class EventFault(msgspec.Struct, forbid_unknown_fields=True):
    """One rule for user events. `event` is the event's name or `*`; `copies` 0 drops it.

    `fields` must all be in the event, by path (`o.X`), equal or of the pattern.
    """

    event: str
    copies: int = 1
    delay_ms: int = 0
    times: int = 1
    chance: float = 1.0
    nth: int = 1
    fields: dict[str, str] = {}
    name: str = ""


class TriggerFault(msgspec.Struct, forbid_unknown_fields=True):
    """A conditional order that is REJECTED when its trigger is hit; `symbol` may be `*`."""

    symbol: str
    reason: str = "Margin is insufficient."
    times: int = 1
    chance: float = 1.0
    nth: int = 1
    name: str = ""


class FillFault(msgspec.Struct, forbid_unknown_fields=True):
    """An order of `symbol` (or `*`) that finds liquidity for `share` of its quantity only.

    A market order's rest expires, a limit order's rest stays in the book.
    """

    symbol: str
    share: Decimal = Decimal("0.5")
    times: int = 1
    chance: float = 1.0
    nth: int = 1
    name: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How to deliver one event."""

    copies: int = 1
    delay_ms: int = 0


_Fault = TypeVar("_Fault", RestFault, EventFault, TriggerFault, FillFault)
_AS_IS = Delivery()


def _fits(value: str | None, wanted: str) -> bool:
    """Equal, or of the shell pattern `wanted`."""
    return value is not None and (value == wanted or fnmatchcase(value, wanted))


def _at(content: object, path: str) -> str | None:
    """The value at a path, as JSON writes it without quotes; None when there is none."""
    for name in path.split("."):
        if not isinstance(content, Mapping) or name not in content:
            return None
        content = content[name]
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


class FaultPlan:
    """Rules in force. Empty at the start; not consulted further when empty."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.rest: list[RestFault] = []
        self.events: list[EventFault] = []
        self.triggers: list[TriggerFault] = []
        self.fills: list[FillFault] = []
        self.fired = 0

    def add(self, rule: RestFault | EventFault | TriggerFault | FillFault) -> None:
        if isinstance(rule, RestFault):
            self.rest.append(rule)
        elif isinstance(rule, EventFault):
            self.events.append(rule)
        elif isinstance(rule, TriggerFault):
            self.triggers.append(rule)
        else:
            self.fills.append(rule)

    def clear(self) -> None:
        self.rest.clear()
        self.events.clear()
        self.triggers.clear()
        self.fills.clear()

    def for_request(
        self, route: str, phase: Phase, params: Mapping[str, str] | None = None
    ) -> RestFault | None:
        given = params or {}
        return self._next(
            self.rest,
            lambda rule: (
                rule.route in (route, ANY)
                and rule.phase == phase
                and all(_fits(given.get(name), text) for name, text in rule.params.items())
            ),
        )

    @property
    def looks_inside(self) -> bool:
        """True when a rule asks for more of an event than its name."""
        return any(rule.fields for rule in self.events)

    def for_event(self, event: str, content: Mapping[str, object] | None = None) -> Delivery:
        """`content` is the event itself, needed when a rule looks inside."""
        rule = self._next(
            self.events,
            lambda rule: (
                rule.event in (event, ANY)
                and all(_fits(_at(content, path), text) for path, text in rule.fields.items())
            ),
        )
        return Delivery(rule.copies, rule.delay_ms) if rule else _AS_IS

    def for_trigger(self, symbol: str) -> str:
        """Reason for which the trigger is refused, empty when it is not."""
        rule = self._next(self.triggers, lambda rule: rule.symbol in (symbol, ANY))
        return rule.reason if rule else ""

    def for_fill(self, symbol: str) -> Decimal:
        """Share of the next order's quantity that may fill at once."""
        rule = self._next(self.fills, lambda rule: rule.symbol in (symbol, ANY))
        return min(max(rule.share, Decimal(0)), Decimal(1)) if rule else Decimal(1)

    def _next(self, rules: list[_Fault], applies: Callable[[_Fault], bool]) -> _Fault | None:
        for rule in rules:
            if not applies(rule):
                continue
            if rule.nth > 1:
                rule.nth -= 1
                continue
            if rule.chance < 1 and self._chance.random() >= rule.chance:
                continue
            self.fired += 1
            if rule.times == 1:
                rules.remove(rule)
            elif rule.times > 1:
                rule.times -= 1
            return rule
        return None
