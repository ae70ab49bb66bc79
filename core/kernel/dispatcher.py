"""Synchronous, ordered fan-out of daemon facts (floor 1).

Observers run in the order they subscribed. One that raises is reported and skipped: nothing that
observes can break what trades.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from core.domain.facts import DaemonFact

F = TypeVar("F")
ObserverFailed = Callable[[str, BaseException], None]


class Dispatcher:
    """`subscribe(FactType, handler)`, then `publish(fact)`; handlers are quick and synchronous."""

    def __init__(self, on_failure: ObserverFailed) -> None:
        self._on_failure = on_failure
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        self._everything: list[Callable[[DaemonFact], None]] = []

    def subscribe(self, fact_type: type[F], handler: Callable[[F], None]) -> None:
        self._handlers.setdefault(fact_type, []).append(handler)

    def subscribe_all(self, handler: Callable[[DaemonFact], None]) -> None:
        self._everything.append(handler)

    def publish(self, fact: DaemonFact) -> None:
        for handler in self._handlers.get(type(fact), ()):
            self._call(handler, fact)
        for handler in self._everything:
            self._call(handler, fact)

    def _call(self, handler: Callable[[Any], None], fact: DaemonFact) -> None:
        try:
            handler(fact)
        except Exception as error:  # noqa: BLE001 - an observer's bug must not reach the caller
            self._on_failure(getattr(handler, "__qualname__", repr(handler)), error)
