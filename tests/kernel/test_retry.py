"""Backoff and the retry contract, on virtual time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.errors import Refused, RetryLater
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.retry import Attempt, Backoff, retry
from core.simulation.virtual_loop import virtual_loop_factory

T = TypeVar("T")


def steady() -> Backoff:
    """1, 2, 4, 8, 8 … without chance."""
    return Backoff(random.Random(1), base=1, factor=2, cap=8, jitter=0)


class Flaky:
    """Fails with the given errors in turn, then answers with the number of calls."""

    def __init__(self, *errors: Exception, takes_s: float = 0.0) -> None:
        self.errors = list(errors)
        self.takes_s = takes_s
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.takes_s:
            clock = SimulatedClock(0, asyncio.get_running_loop())
            await clock.sleep(self.takes_s)
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def play(
    call: Callable[[], Awaitable[T]],
    *,
    errors: type[Exception] | tuple[type[Exception], ...] = RetryLater,
    attempts: int = 5,
    total_s: float = 100.0,
    heard: list[Attempt] | None = None,
) -> tuple[T | Exception, float]:
    """Result or error of the retried call, and the virtual seconds it took."""

    async def main() -> tuple[T | Exception, float]:
        loop = asyncio.get_running_loop()
        result: T | Exception
        try:
            result = await retry(
                call,
                errors=errors,
                attempts=attempts,
                total_s=total_s,
                backoff=steady(),
                clock=SimulatedClock(0, loop),
                on_retry=(heard if heard is not None else []).append,
            )
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            result = error
        return result, loop.time()

    return run(main(), loop_factory=virtual_loop_factory())


def test_it_repeats_with_growing_pauses_until_success() -> None:
    heard: list[Attempt] = []
    failures = [RetryLater("busy"), RetryLater("still busy")]
    assert play(Flaky(*failures), heard=heard) == (3, 3.0)
    assert [(each.number, each.error, each.pause_s) for each in heard] == [
        (1, failures[0], 1.0),
        (2, failures[1], 2.0),
    ]


def test_other_errors_pass_at_once() -> None:
    call = Flaky(Refused("no"))
    result, took = play(call)
    assert isinstance(result, Refused)
    assert (call.calls, took) == (1, 0.0)


def test_the_last_error_is_raised_when_attempts_are_used_up() -> None:
    errors = [RetryLater(str(number)) for number in range(5)]
    call = Flaky(*errors)
    assert play(call, attempts=3) == (errors[2], 3.0)
    assert call.calls == 3


def test_no_pause_is_begun_that_would_end_after_the_total() -> None:
    errors = [RetryLater(str(number)) for number in range(5)]
    call = Flaky(*errors)
    assert play(call, total_s=6.0) == (errors[2], 3.0)  # 1 + 2, the next pause would be 4


def test_an_attempt_is_cut_off_by_the_total() -> None:
    first = RetryLater("busy")
    result, took = play(Flaky(first, takes_s=40.0), total_s=60.0)
    assert isinstance(result, TimeoutError)
    assert str(result) == "no answer within 60 s in all"
    assert result.__cause__ is first
    assert took == 60.0


def test_the_total_ends_it_even_when_timeouts_are_repeated() -> None:
    call = Flaky(takes_s=1_000.0)
    result, took = play(call, errors=TimeoutError, total_s=60.0)
    assert isinstance(result, TimeoutError)
    assert (call.calls, took) == (1, 60.0)


def test_a_timeout_of_the_call_itself_is_repeated_only_when_asked_for() -> None:
    error = TimeoutError("of the call")
    assert play(Flaky(error)) == (error, 0.0)
    assert play(Flaky(error), errors=TimeoutError) == (2, 1.0)


@pytest.mark.parametrize(("attempts", "total_s"), [(0, 1.0), (1, 0.0)])
def test_unbounded_calls_are_refused(attempts: int, total_s: float) -> None:
    result, _ = play(Flaky(), attempts=attempts, total_s=total_s)
    assert isinstance(result, ValueError)


@given(
    seed=st.integers(),
    base=st.floats(0.01, 10),
    factor=st.floats(1, 5),
    jitter=st.floats(0, 1),
)
def test_backoff_stays_within_its_bounds(
    seed: int, base: float, factor: float, jitter: float
) -> None:
    backoff = Backoff(random.Random(seed), base=base, factor=factor, cap=60, jitter=jitter)
    full = base
    for _ in range(20):
        pause = backoff.next()
        assert full * (1 - jitter) - 1e-9 <= pause <= full <= 60
        full = min(full * factor, 60)
    backoff.reset()
    assert backoff.next() <= base


def test_backoff_is_reproducible_and_chance_matters() -> None:
    def pauses(seed: int) -> list[float]:
        backoff = Backoff(random.Random(seed))
        return [backoff.next() for _ in range(5)]

    assert pauses(1) == pauses(1) != pauses(2)


@pytest.mark.parametrize(
    "wrong", [{"base": 0}, {"base": 40}, {"factor": 0.5}, {"jitter": 1.5}, {"jitter": -0.1}]
)
def test_backoff_refuses_nonsense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff needs"):
        Backoff(random.Random(1), **wrong)
