"""Copies of a process that play on; and a life of which no code runs any more."""

import asyncio
import json
import os
import signal
from contextvars import copy_context

import pytest

from core.kernel.loops import run
from core.simulation.crash import LIFE, Lives, SteppedLoop
from core.simulation.forks import CAN_SPLIT, Ending, Forks


@pytest.mark.skipif(not CAN_SPLIT, reason="needs fork")
class TestForks:
    def test_every_copy_goes_on_from_its_point(self) -> None:
        endings: list[Ending] = []
        forks = Forks(2, endings.append)
        total = 0

        async def count() -> None:
            nonlocal total
            for number in range(5):
                total += number
                if forks.split(f"copy {number}"):
                    await asyncio.sleep(10.0)  # on virtual time
                    forks.finish(json.dumps([number, total]).encode())

        run(count(), loop_factory=SteppedLoop)
        assert not forks.is_copy
        forks.drain()
        told = sorted(json.loads(ending.result or b"[]") for ending in endings)
        assert told == [[0, 0], [1, 1], [2, 3], [3, 6], [4, 10]]
        assert {ending.label for ending in endings} == {f"copy {number}" for number in range(5)}

    def test_a_long_answer_arrives_whole(self) -> None:
        endings: list[Ending] = []
        forks = Forks(1, endings.append)
        if forks.split("long"):
            forks.finish(b"x" * 1_000_000)
        forks.drain()
        assert endings[0].result == b"x" * 1_000_000

    def test_a_copy_that_dies_is_told_from_one_that_answers(self) -> None:
        endings: list[Ending] = []
        forks = Forks(1, endings.append)
        if forks.split("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        forks.drain()
        assert endings[0].result is None
        assert endings[0].status == signal.SIGKILL


def test_no_code_of_a_frozen_life_runs_and_a_thaw_lets_it_end() -> None:
    told: list[str] = []

    async def live(name: str) -> None:
        try:
            while True:
                told.append(name)
                await asyncio.sleep(1.0)
        finally:
            told.append(f"{name} mends")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        lives = Lives(loop)
        for name in ("first", "second"):
            context = copy_context()
            context.run(LIFE.set, name)
            context.run(asyncio.create_task, live(name))
        await asyncio.sleep(2.5)
        frozen = loop.create_future()

        def freeze(_: int) -> None:
            loop.freeze("first")
            loop.on_step = None
            loop.call_soon(frozen.set_result, None)

        loop.on_step = freeze
        await frozen
        before = told.count("first")
        await asyncio.sleep(5.0)
        assert told.count("first") == before
        assert told.count("second") > before + 3
        assert "first mends" not in told
        loop.thaw()
        await lives.kill("first")
        await lives.kill("second")
        assert "first mends" in told

    run(main(), loop_factory=SteppedLoop)
