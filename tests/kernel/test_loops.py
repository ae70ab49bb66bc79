"""Choosing and running the loop."""

import asyncio
import importlib.util
import sys

import pytest

from core.kernel.loops import live_loop_factory, run


def test_live_loop_is_the_fast_one_where_it_is_installed() -> None:
    loop = live_loop_factory()()
    loop.close()
    fast = importlib.util.find_spec("uvloop") is not None and sys.platform != "win32"
    assert type(loop).__module__.startswith("uvloop") == fast


def test_run_cancels_what_is_left_and_closes_the_loop() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.append("cancelled")

    async def main() -> asyncio.AbstractEventLoop:
        keep.append(asyncio.create_task(background()))
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    keep: list[asyncio.Task[None]] = []
    loop = run(main(), loop_factory=live_loop_factory())
    assert ended == ["cancelled"]
    assert loop.is_closed()


def test_run_passes_the_error_of_main_on() -> None:
    async def main() -> None:
        raise LookupError("from main")

    with pytest.raises(LookupError, match="from main"):
        run(main(), loop_factory=asyncio.new_event_loop)
