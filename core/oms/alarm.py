"""Tells the operator (floor 3): one way for every part of the OMS."""

from core.domain.enums import Severity
from core.domain.facts import Alert
from core.domain.ports import Clock, FactPublisher


class Alarm:
    """`alarm(severity, key, text)` publishes an Alert; `key` groups repetitions of one state."""

    def __init__(self, facts: FactPublisher, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock

    def __call__(self, severity: Severity, key: str, text: str) -> None:
        self._facts.publish(
            Alert(severity=severity, key=key, text=text, at_ms=self._clock.now_ms())
        )
