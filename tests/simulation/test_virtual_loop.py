"""The virtual loop: exact jumps, pace, inline executor, deadlocks, and a day of real aiohttp."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.simulation import virtual_loop as module
from core.simulation.virtual_loop import (
    SimulationStalled,
    VirtualLoop,
    aiohttp_on_virtual_time,
    virtual_loop_factory,
)

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
YEAR_S = 365 * 86_400


def virtually(main: Coroutine[Any, Any, T]) -> T:
    return run(main, loop_factory=virtual_loop_factory())


class Pace:
    """A paced loop on a fake stopwatch: real waiting advances the stopwatch instead."""

    def __init__(self, speed: float) -> None:
        self.real = 100.0
        self.loop = VirtualLoop(speed, stopwatch=lambda: self.real)
        self._poll = self.loop._poller.poll
        self.loop._poller.poll = self._wait  # type: ignore[method-assign]  # fake

    def _wait(self, timeout: float) -> list[tuple[Any, int]]:
        ready = self._poll(0)
        if not ready:
            self.real += timeout
        return ready

    @property
    def elapsed(self) -> float:
        return self.real - 100.0

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return run(main, loop_factory=lambda: self.loop)


@given(delays=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_every_timer_fires_exactly_when_due_and_in_order(delays: list[float]) -> None:
    async def main() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        fired: list[tuple[float, float]] = []
        done = asyncio.Event()

        def fire(due: float) -> None:
            fired.append((due, loop.time()))
            if len(fired) == len(delays):
                done.set()

        for delay in delays:
            loop.call_at(delay, fire, delay)
        await done.wait()
        return fired

    fired = virtually(main())
    assert [due for due, _ in fired] == sorted(delays)
    assert all(abs(due - at) <= module.RESOLUTION_S for due, at in fired)
    # a jump lands on the due time itself; only a timer within the resolution shares another's
    assert fired[0][1] == min(delays)


def test_time_starts_at_zero_and_a_decade_of_days_keeps_its_precision() -> None:
    async def main() -> tuple[float, int, int]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        clock = SimulatedClock(1_700_000_000_000, loop)
        for _ in range(10):
            await clock.sleep(YEAR_S)
        before = clock.now_us()
        await clock.sleep(0.001)
        return begin, before, clock.now_us() - before

    begin, before, millisecond = virtually(main())
    assert begin == 0.0
    assert before == (1_700_000_000 + 10 * YEAR_S) * 1_000_000
    assert millisecond == 1_000


def test_ready_callbacks_and_readable_sockets_come_before_time() -> None:
    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        heard: asyncio.Future[str] = loop.create_future()

        def hear(what: str) -> None:
            if not heard.done():
                heard.set_result(what)

        loop.call_later(1e-6, hear, "timer")
        loop.add_reader(ours, hear, "socket")
        theirs.send(b"x")
        for _ in range(1_000):  # work that is always ready must not let time pass either
            await asyncio.sleep(0)
        answer = await heard
        loop.remove_reader(ours)
        ours.close()
        theirs.close()
        return answer, loop.time()

    assert virtually(main()) == ("socket", 0.0)


def test_a_blocked_write_is_given_real_time_to_drain() -> None:
    """Small reads through a small window make the kernel hold back window updates for a while."""
    size = 2_000_000

    async def main() -> float:
        loop = asyncio.get_running_loop()
        ticker = asyncio.create_task(_tick_for_ever())
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await loop.sock_accept(listener)
        sending = asyncio.create_task(loop.sock_sendall(client, bytes(size)))
        received = 0
        while received < size:
            received += len(await loop.sock_recv(server, 100))
        await sending
        ticker.cancel()
        for each in (listener, client, server):
            each.close()
        return loop.time()

    assert virtually(main()) == 0.0


async def _tick_for_ever() -> None:
    """Keeps a timer due soon: time would move the moment the loop believed it may."""
    while True:  # noqa: ASYNC110 - there is no condition to wait for
        await asyncio.sleep(0.001)


def test_a_peer_that_never_reads_is_waited_for_once() -> None:
    async def main() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        waits: list[float] = []
        poll = loop._poller.poll

        def counting(timeout: float) -> list[tuple[Any, int]]:
            waits.append(timeout)
            return poll(timeout)

        loop._poller.poll = counting  # type: ignore[method-assign]  # counts
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        sending = asyncio.create_task(loop.sock_sendall(ours, bytes(10_000_000)))
        for _ in range(20):
            await asyncio.sleep(1)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        ours.close()
        theirs.close()
        return loop.time(), waits.count(module.BLOCKED_WRITE_S)

    assert virtually(main()) == (20.0, 1)


def test_executor_work_runs_inline_in_the_order_it_was_asked_for() -> None:
    async def main() -> tuple[list[str], set[int], float]:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        threads: set[int] = set()

        def work(name: str) -> str:
            order.append(name)
            threads.add(threading.get_ident())
            return name

        first = loop.run_in_executor(None, work, "first")
        assert first.done()
        assert await asyncio.to_thread(work, "second") == "second"
        assert await first == "first"
        addresses = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert addresses[0][4] == ("127.0.0.1", 80)
        return order, threads, loop.time()

    assert virtually(main()) == (["first", "second"], {threading.get_ident()}, 0.0)


def test_an_error_in_executor_work_reaches_whoever_awaits() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().run_in_executor(None, int, "not a number")
        with pytest.raises(ValueError, match="not a number"):
            await future

    virtually(main())


def test_a_deadlock_names_every_task_and_where_it_waits() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        waiting = asyncio.create_task(never(), name="the-one-that-waits")
        await waiting

    with pytest.raises(SimulationStalled) as stalled:
        virtually(main())
    text = str(stalled.value)
    assert "the-one-that-waits" in text
    assert "never" in text
    assert "Event.wait" in text  # the innermost await, not only the task's first frame
    assert text.count("task ") == 2


def test_with_an_outside_an_empty_schedule_waits_for_it() -> None:
    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        program = "import os, sys; os.write(int(sys.argv[1]), b'hello')"
        child = subprocess.Popen(  # noqa: ASYNC220 - starts only; its answer comes by the socket
            [sys.executable, "-c", program, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        heard = await loop.sock_recv(ours, 100)
        child.wait()
        ours.close()
        theirs.close()
        return heard, loop.time()

    assert run(main(), loop_factory=virtual_loop_factory(outside=True)) == (b"hello", 0.0)


def test_pace_lets_one_virtual_minute_take_one_real_second() -> None:
    pace = Pace(60)

    async def main() -> None:
        for _ in range(10):
            await asyncio.sleep(60)
            assert pace.elapsed >= asyncio.get_running_loop().time() / 60

    pace.run(main())
    assert pace.elapsed == pytest.approx(10.0, abs=0.01)


def test_a_real_stall_is_not_made_good_by_a_rush() -> None:
    pace = Pace(60)

    async def main() -> float:
        await asyncio.sleep(60)
        pace.real += 30.0  # the machine was busy or asleep
        before = pace.elapsed
        await asyncio.sleep(600)
        return pace.elapsed - before

    assert pace.run(main()) == pytest.approx(10.0, abs=2 * module.MAX_LAG_S)


def test_small_overshoots_of_the_real_wait_do_not_add_up() -> None:
    pace = Pace(60)

    async def main() -> None:
        for _ in range(600):
            await asyncio.sleep(1)
            pace.real += 0.004  # what a timer of the machine oversleeps

    pace.run(main())
    assert pace.elapsed == pytest.approx(10.0, abs=0.1)


def test_an_event_between_two_timers_sees_the_paced_time() -> None:
    pace = Pace(60)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        original = pace.loop._poller.poll

        def poll(timeout: float) -> list[tuple[Any, int]]:
            if timeout and pace.elapsed >= 5:  # a stranger knocks after five real seconds
                loop.call_soon_threadsafe(heard.set)
            return original(timeout)

        pace.loop._poller.poll = poll  # type: ignore[method-assign]  # fake
        sleeper = asyncio.create_task(asyncio.sleep(3_600))
        await heard.wait()
        sleeper.cancel()
        return loop.time()

    assert pace.run(main()) == pytest.approx(300, abs=60)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
def test_a_signal_handler_wakes_a_paced_loop_at_once() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        previous = signal.signal(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(heard.set))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            async with asyncio.timeout(3_600):  # would take a real hour
                await heard.wait()
        finally:
            signal.signal(signal.SIGALRM, previous)
        return loop.time()

    assert run(main(), loop_factory=virtual_loop_factory(1.0)) < 3_600


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        VirtualLoop(speed)


def test_aiohttp_drops_idle_connections_by_virtual_time() -> None:
    ports: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response()

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        with aiohttp_on_virtual_time(asyncio.get_running_loop()):
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = "http://{}:{}/".format(*runner.addresses[0])
            connector = aiohttp.TCPConnector(keepalive_timeout=15)
            async with aiohttp.ClientSession(connector=connector) as session:
                for pause in (0, 14, 16):
                    await asyncio.sleep(pause)
                    await (await session.get(url)).read()
            await runner.cleanup()

    virtually(main())
    assert ports[0] == ports[1] != ports[2]


def test_a_day_of_websockets_has_the_same_trace_in_every_process() -> None:
    def day(seed: int, hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        script = str(Path(__file__).with_name("websocket_day.py"))
        return subprocess.run(
            [sys.executable, script, str(seed)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout

    first = day(7, "0")
    digest, whole_day, *counts = first.split()
    events = {name: int(count) for name, count in (each.split("=") for each in counts)}
    assert whole_day == "True"
    assert events["tick"] > 8_000
    assert events["disconnected"] > 10
    assert day(7, "12345") == first
    assert day(8, "0").split()[0] != digest


@given(
    plan=st.lists(st.sampled_from(["ours", "sooner", "later", "cancelled"]), max_size=250),
)
@settings(max_examples=60, deadline=None)
def test_timers_of_one_instant_keep_their_order_whoever_else_is_scheduled(plan: list[str]) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        fired: list[int] = []
        at = {"sooner": 1.0, "ours": 2.0, "later": 3.0, "cancelled": 2.0}
        strangers = []
        for number, kind in enumerate(plan):
            if kind == "ours":
                loop.call_at(at[kind], fired.append, number)
            else:
                strangers.append((kind, loop.call_at(at[kind], lambda: None)))
        for kind, timer in strangers:
            if kind == "cancelled":
                timer.cancel()
        await asyncio.sleep(4)
        return fired

    assert virtually(main()) == [number for number, kind in enumerate(plan) if kind == "ours"]
