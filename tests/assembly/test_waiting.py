"""Start-up waits for what it needs, and gives up in time when it was told to."""

import asyncio

import pytest

from core.assembly.waiting import GaveUp, wait_for
from core.domain.errors import AccountError, CredentialsDead, RetryLater
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.retry import Backoff
from core.simulation.virtual_loop import virtual_loop_factory

Lines = list[str]


async def waited(calls: list[object], give_up_s: float | None, lines: Lines) -> tuple[str, float]:
    """Result and seconds of a wait for something that does the `calls` one after the other."""
    clock = SimulatedClock(1_750_000_000_000, asyncio.get_running_loop())

    async def call() -> str:
        step = calls.pop(0) if len(calls) > 1 else calls[0]
        if isinstance(step, Exception):
            raise step
        if step is None:
            await clock.sleep(3_600.0)
        return str(step)

    result = ""
    try:
        result = await wait_for(
            "the exchange",
            call,
            clock=clock,
            backoff=Backoff(Chance(1).stream("test"), base=0.5, cap=30.0),
            log=lambda component, level, message: lines.append(message),
            give_up_s=give_up_s,
        )
    except GaveUp as error:
        result = str(error)
    return result, clock.monotonic()


def wait(calls: list[object], give_up_s: float | None) -> tuple[str, float, Lines]:
    lines: Lines = []
    result, seconds = run(waited(calls, give_up_s, lines), loop_factory=virtual_loop_factory())
    return result, seconds, lines


DOWN = RetryLater("connection refused")


@pytest.mark.parametrize("last", [DOWN, None], ids=["refused", "silent"])
def test_it_gives_up_when_the_time_is_over_and_not_a_pause_later(last: object) -> None:
    result, seconds, lines = wait([DOWN, last], 30.0)
    assert result == "the exchange: no success within 30 s: connection refused"
    assert seconds == pytest.approx(30.0)
    assert lines[0] == "waiting for the exchange: connection refused"
    assert all("no answer yet" in line for line in lines[1:])


def test_silence_from_the_first_moment() -> None:
    result, seconds, lines = wait([None], 30.0)
    assert result == "the exchange: no success within 30 s: no answer"
    assert seconds == pytest.approx(30.0)
    assert len(lines) == 1
    assert lines[0].startswith("waiting for the exchange: no answer yet; ")


def test_without_a_limit_it_waits_until_it_works_and_tells_each_reason_once() -> None:
    other = RetryLater("maintenance")
    result, seconds, lines = wait([*[DOWN] * 12, other, other, "ready"], None)
    assert result == "ready"
    assert seconds > 60
    assert [line.rsplit(": ", 1)[1] for line in lines] == ["connection refused", "maintenance"]


def test_dead_credentials_are_not_waited_for() -> None:
    with pytest.raises(AccountError, match="refuses this API key"):
        wait([CredentialsDead("Invalid API-key")], None)
