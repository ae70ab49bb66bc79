"""Stop signals, proven on a real child process and every kind of loop."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.kernel.loops import run
from core.kernel.signals import STOP_SIGNALS, StopSignals, interruptible

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")


@contextmanager
def child(loop: str, mode: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("signal_child.py")), loop, mode],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@posix
@pytest.mark.parametrize("loop", ["live", "standard", "paced"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_in_order(loop: str, number: signal.Signals) -> None:
    with child(loop, "orderly") as process:
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert out == f"stopping after {number.name}\nstopped\n"
    assert process.returncode == 0


@posix
@pytest.mark.parametrize("loop", ["live", "standard", "paced"])
def test_the_second_signal_forces(loop: str) -> None:
    with child(loop, "hang") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping after SIGTERM\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert out == "forced by SIGINT\n"
    assert process.returncode == 7


async def test_uninstall_puts_the_handlers_back() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    signals = StopSignals(asyncio.get_running_loop(), lambda name: None)
    signals.install()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] != before
    signals.uninstall()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


@posix
def test_a_signal_while_the_loop_is_made_waits_for_it() -> None:
    made: list[asyncio.AbstractEventLoop] = []
    begun: list[str] = []

    def slow_factory() -> asyncio.AbstractEventLoop:
        signal.raise_signal(signal.SIGTERM)
        made.append(asyncio.new_event_loop())
        return made[0]

    async def work() -> None:
        begun.append("work")

    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(work(), loop_factory=slow_factory)
    assert made[0].is_closed(), "the whole loop was there to be closed"
    assert begun == []


def test_a_loop_may_be_made_in_a_thread() -> None:
    async def work() -> str:
        return threading.current_thread().name

    with ThreadPoolExecutor(1, "other") as pool:
        ended = pool.submit(lambda: run(work(), loop_factory=asyncio.new_event_loop))
    assert ended.result().startswith("other")
