"""Order of fan-out, observers that fail, observers that publish."""

from core.domain.enums import Severity
from core.domain.facts import Alert, DaemonFact, OperatorCommand
from core.kernel.dispatcher import CHAIN_LIMIT, Dispatcher


def alert(key: str) -> Alert:
    return Alert(severity=next(iter(Severity)), key=key, text="", at_ms=0)


COMMAND = OperatorCommand(who="operator", command="pause", at_ms=0)


class Bench:
    """A dispatcher whose failures and calls are noted."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self.dispatcher = Dispatcher(lambda name, error: self.failures.append((name, str(error))))

    def note_all(self, who: str) -> None:
        def note(fact: DaemonFact) -> None:
            self.calls.append(f"{who} {fact.key if isinstance(fact, Alert) else 'other'}")

        self.dispatcher.subscribe_all(note)


def test_a_fact_reaches_its_type_first_then_everything_in_order_of_subscription() -> None:
    bench = Bench()
    bench.note_all("all-1")
    bench.dispatcher.subscribe(Alert, lambda fact: bench.calls.append(f"alert-1 {fact.key}"))
    bench.dispatcher.subscribe(Alert, lambda fact: bench.calls.append(f"alert-2 {fact.key}"))
    bench.note_all("all-2")
    bench.dispatcher.publish(alert("x"))
    bench.dispatcher.publish(COMMAND)
    assert bench.calls == [
        "alert-1 x",
        "alert-2 x",
        "all-1 x",
        "all-2 x",
        "all-1 other",
        "all-2 other",
    ]


def test_a_failing_observer_is_reported_by_name_and_skipped() -> None:
    bench = Bench()

    def broken(_: Alert) -> None:
        raise OSError("disk full")

    bench.dispatcher.subscribe(Alert, broken)
    bench.note_all("next")
    bench.dispatcher.publish(alert("x"))
    assert bench.calls == ["next x"]
    [(name, text)] = bench.failures
    assert name.endswith("broken")
    assert text == "disk full"


def test_a_fact_published_by_an_observer_comes_after_the_current_one_for_everybody() -> None:
    bench = Bench()
    bench.dispatcher.subscribe(OperatorCommand, lambda _: bench.dispatcher.publish(alert("drawn")))
    bench.note_all("first")
    bench.note_all("second")
    bench.dispatcher.publish(COMMAND)
    assert bench.calls == ["first other", "second other", "first drawn", "second drawn"]


def test_observers_that_feed_each_other_are_stopped_and_the_next_fact_still_arrives() -> None:
    bench = Bench()
    bench.dispatcher.subscribe(Alert, bench.dispatcher.publish)
    bench.note_all("all")
    bench.dispatcher.publish(alert("again"))
    assert len(bench.calls) == CHAIN_LIMIT
    assert [name for name, _ in bench.failures] == ["dispatcher"]
    bench.calls.clear()
    bench.dispatcher.publish(COMMAND)
    assert bench.calls == ["all other"]
