"""Rehearsed misfortune (floor 2c): what to do to the next requests, events and triggers.

A plan holds rules; each is consulted in order, applies to what it names and is used up after
`times` (0 = for ever). `chance` below 1 makes it random, from a seeded stream. Names of faults and
what a client must do with them: docs/invariants.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
    and may stand alone.
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


class EventFault(msgspec.Struct, forbid_unknown_fields=True):
    """One rule for user events. `event` is the event's name or `*`; `copies` 0 drops it."""

    event: str
    copies: int = 1
    delay_ms: int = 0
    times: int = 1
    chance: float = 1.0


class TriggerFault(msgspec.Struct, forbid_unknown_fields=True):
    """A conditional order that is REJECTED when its trigger is hit; `symbol` may be `*`."""

    symbol: str
    reason: str = "Margin is insufficient."
    times: int = 1
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How to deliver one event."""

    copies: int = 1
    delay_ms: int = 0


_Fault = TypeVar("_Fault", RestFault, EventFault, TriggerFault)
_AS_IS = Delivery()


class FaultPlan:
    """Rules in force. Empty at the start; not consulted further when empty."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.rest: list[RestFault] = []
        self.events: list[EventFault] = []
        self.triggers: list[TriggerFault] = []
        self.fired = 0

    def clear(self) -> None:
        self.rest.clear()
        self.events.clear()
        self.triggers.clear()

    def for_request(self, route: str, phase: Phase) -> RestFault | None:
        return self._next(
            self.rest, lambda rule: rule.route in (route, ANY) and rule.phase == phase
        )

    def for_event(self, event: str) -> Delivery:
        rule = self._next(self.events, lambda rule: rule.event in (event, ANY))
        return Delivery(rule.copies, rule.delay_ms) if rule else _AS_IS

    def for_trigger(self, symbol: str) -> str:
        """Reason for which the trigger is refused, empty when it is not."""
        rule = self._next(self.triggers, lambda rule: rule.symbol in (symbol, ANY))
        return rule.reason if rule else ""

    def _next(self, rules: list[_Fault], applies: Callable[[_Fault], bool]) -> _Fault | None:
        for rule in rules:
            if not applies(rule):
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
