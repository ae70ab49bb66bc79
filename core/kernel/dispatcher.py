"""Synchronous, ordered fan-out of daemon facts (floor 1).

A fact goes to those who asked for its type, then to those who asked for everything, each in the
order of subscription. A fact published by an observer waits until the current one has reached
everybody, so all observers see the same order. One that raises is reported and skipped: nothing
that observes can break what trades.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from core.domain.facts import DaemonFact

F = TypeVar("F")
CHAIN_LIMIT = 1_000
"""Facts that one published fact may draw after it (INV-16): observers must not feed each other."""
ObserverFailed = Callable[[str, BaseException], None]


class Dispatcher:
    """`subscribe(FactType, handler)`, then `publish(fact)`; handlers are quick and synchronous."""

    def __init__(self, on_failure: ObserverFailed) -> None:
        self._on_failure = on_failure
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        self._everything: list[Callable[[DaemonFact], None]] = []
        self._waiting: deque[DaemonFact] = deque()
        self._delivering = False

    def subscribe(self, fact_type: type[F], handler: Callable[[F], None]) -> None:
        self._handlers.setdefault(fact_type, []).append(handler)

    def subscribe_all(self, handler: Callable[[DaemonFact], None]) -> None:
        self._everything.append(handler)

    def publish(self, fact: DaemonFact) -> None:
        self._waiting.append(fact)
        if self._delivering:
            return
        self._delivering = True
        try:
            for _ in range(CHAIN_LIMIT):
                if not self._waiting:
                    return
                self._deliver(self._waiting.popleft())
            self._waiting.clear()
            self._on_failure("dispatcher", RuntimeError("observers answer facts with facts"))
        finally:
            self._delivering = False

    def _deliver(self, fact: DaemonFact) -> None:
        for handler in self._handlers.get(type(fact), ()):
            self._call(handler, fact)
        for handler in self._everything:
            self._call(handler, fact)

    def _call(self, handler: Callable[[Any], None], fact: DaemonFact) -> None:
        try:
            handler(fact)
        except Exception as error:  # noqa: BLE001 - an observer's bug must not reach the caller
            self._on_failure(getattr(handler, "__qualname__", repr(handler)), error)
