"""Section protect: bytes of the entry's fill to the stop request leaving (floor 8; INV-01).

From the frame's bytes through the real order manager, journal, audit log and REST client (budget,
signature, HTTP request built) to the moment when the HTTP library asks for a connection. Twice:
as the daemon does it, waiting until intent and audit record are on disk, and with a disk that
takes no time. The network is not in it.
"""

import asyncio
import tempfile
from pathlib import Path

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import BaseConnector, Connection
from aiohttp.tracing import Trace
from pydantic import SecretStr

from core.exchange.library import Credentials
from core.exchange_client import OptimizedExchangeClient
from core.kernel.clock import LiveClock, stopwatch
from core.kernel.loops import live_loop_factory, run
from tools.benchmarks.episodes import NOWHERE, PRICE, QUANTITY, Wiring, open_episodes
from tools.benchmarks.figures import MICROSECONDS, Effort, Section, SectionFailed, row
from tools.benchmarks.frames import order_filled

NAME = "protect"
TITLE = "bytes of the entry's fill to the stop request at the HTTP library"
_LIMIT_S = 5.0
_MOST = 200
"""Stops per round: the client's own order budget (300 in 10 s) must not be what is measured."""


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when a fill was not followed by a stop."""
    return run(_measure(effort), loop_factory=live_loop_factory())


async def _measure(effort: Effort) -> Section:
    count, rounds = effort.pick(_MOST, 20), effort.pick(3, 1)
    await _round(10, durable=False)
    durable = [await _round(count, durable=True) for _ in range(rounds)]
    inside = [await _round(count, durable=False) for _ in range(rounds)]
    own = row("fill to stop request, disk apart", "us", inside)
    whole = row("fill to stop request, durable first", "us", durable)
    return Section(NAME, TITLE, (own, whole.against(own, "disk apart")))


class _Gate(BaseConnector):
    """Notes when a request asks for its connection, and never gives it one."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0
        self.asked = asyncio.Event()

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        self.at = stopwatch()
        self.asked.set()
        await asyncio.Event().wait()
        raise SectionFailed(f"{req.method} {req.url.path} was let through")


async def _round(count: int, *, durable: bool) -> list[float]:
    """Microseconds of each of `count` fills, one after another."""
    gate = _Gate()
    keys = Credentials(SecretStr("bench-key-0123456789"), SecretStr("bench-secret-987654321"))
    client = OptimizedExchangeClient(NOWHERE, keys, LiveClock(), connector=lambda: gate)
    samples = []
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            wiring = Wiring(count, durable=durable, audited=True, place=client.submit)
            async with open_episodes(Path(folder), wiring) as episodes:
                for number, entry in enumerate(episodes.entries, start=1):
                    frame = order_filled(
                        entry.wire,
                        entry.record.client_id,
                        entry.order_id,
                        QUANTITY,
                        PRICE,
                        number,
                    )
                    gate.asked.clear()
                    began = stopwatch()
                    episodes.receive(frame)
                    await _within(gate.asked)
                    samples.append((gate.at - began) * MICROSECONDS)
                episodes.check(QUANTITY)
    finally:
        await client.close()
    return samples


async def _within(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LIMIT_S):
            await event.wait()
    except TimeoutError:
        raise SectionFailed(f"no stop within {_LIMIT_S:g} s of a fill") from None
