"""A call that does not come back is ended; one that does never notices."""

import threading

import pytest

from core.kernel.clock import stopwatch
from core.kernel.time_limit import LOOKS, TimeLimit, TimeLimitExceeded


def endless() -> None:
    while True:
        pass


def test_results_and_errors_come_through() -> None:
    limit = TimeLimit(5.0)
    assert limit.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        limit.run(lambda: 1 / 0)
    assert limit.run(lambda: "again") == "again"


def test_an_endless_loop_is_ended_again_and_again() -> None:
    limit = TimeLimit(0.05)
    for _ in range(3):
        with pytest.raises(TimeLimitExceeded):
            limit.run(endless)
        assert limit.run(lambda: 1) == 1


def test_what_swallows_exceptions_is_ended_too() -> None:
    swallowed: list[Exception] = []

    def stubborn() -> None:
        while True:
            try:
                threading.get_ident()
            except Exception as error:  # noqa: BLE001 - the point of the test
                swallowed.append(error)

    with pytest.raises(TimeLimitExceeded):
        TimeLimit(0.05).run(stubborn)
    assert swallowed == []


def test_nothing_arrives_after_the_call_is_over() -> None:
    """Calls that end about when the limit does: late or in time, never in the code behind."""
    limit = TimeLimit(0.02)
    late = 0
    for i in range(60):
        until = stopwatch() + 0.015 + i * 0.0002

        def busy(until: float = until) -> None:
            while stopwatch() < until:
                pass

        try:
            limit.run(busy)
        except TimeLimitExceeded:
            late += 1
        behind = sum(range(2_000))  # an interruption left over would arrive here
        assert behind == 1_999_000
    assert limit.run(lambda: late) == late


def test_it_serves_any_thread() -> None:
    seen: list[str] = []

    def work() -> None:
        try:
            TimeLimit(0.05).run(endless)
        except TimeLimitExceeded:
            seen.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert seen == ["ended"]


def test_the_watcher_ends_when_nothing_is_called() -> None:
    limit = TimeLimit(0.002 * LOOKS)
    limit.run(lambda: None)
    (watcher,) = [t for t in threading.enumerate() if t.name == "time-limit" and t.is_alive()][-1:]
    watcher.join(30)
    assert not watcher.is_alive()
    with pytest.raises(TimeLimitExceeded):
        limit.run(endless)
