"""A real aiohttp server and client over TCP loopback for a virtual day; prints the trace's hash.

Run as a child process by `test_virtual_loop`, each time with another hash seed. The client
reconnects whenever the server drops it or falls silent, asks a REST question after each reconnect
and works a little through the executor.
"""

import asyncio
import hashlib
import random
import sys

import aiohttp
from aiohttp import web

from core.kernel.loops import run
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory

DAY_S = 86_400.0
TICK_S = 10.0
HEARTBEAT_S = 30.0


class Trace:
    """Everything that happened, with its virtual time."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.events: dict[str, int] = {}

    def note(self, kind: str, detail: object = "") -> None:
        now = asyncio.get_running_loop().time()
        self.digest.update(f"{now!r} {kind} {detail}\n".encode())
        self.events[kind] = self.events.get(kind, 0) + 1


async def serve(request: web.Request) -> web.WebSocketResponse:
    """Ticks until the dice say drop the connection, or go silent and answer no ping."""
    dice: random.Random = request.app["dice"]
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
    await socket.prepare(request)
    reader = asyncio.create_task(_drain(socket))
    try:
        while not socket.closed:
            await asyncio.sleep(TICK_S)
            fate = dice.random()
            if fate < 0.002:
                assert request.transport is not None
                request.transport.abort()
                break
            if fate < 0.003:
                reader.cancel()  # nobody reads: pings are not answered any more
                await asyncio.sleep(HEARTBEAT_S * 4)
                break
            await socket.send_json({"tick": fate})
    except ConnectionError:
        pass
    finally:
        reader.cancel()
    return socket


async def _drain(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def answer(request: web.Request) -> web.Response:
    await asyncio.sleep(request.app["dice"].random())
    return web.json_response({"ok": True})


async def listen(session: aiohttp.ClientSession, base: str, trace: Trace) -> None:
    while True:
        async with session.get(f"{base}/answer") as response:
            trace.note("rest", await response.json())
        async with session.ws_connect(f"{base}/stream", heartbeat=HEARTBEAT_S) as socket:
            trace.note("connected")
            async for message in socket:
                trace.note("tick", message.data)
                await asyncio.to_thread(trace.note, "stored")
        trace.note("disconnected", socket.close_code)
        await asyncio.sleep(1)


async def main(seed: int) -> None:
    trace = Trace()
    app = web.Application()
    app["dice"] = random.Random(seed)
    app.router.add_get("/stream", serve)
    app.router.add_get("/answer", answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    with aiohttp_on_virtual_time(asyncio.get_running_loop()):
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = "http://{}:{}".format(*runner.addresses[0])
        async with aiohttp.ClientSession() as session:
            listener = asyncio.create_task(listen(session, base, trace))
            await asyncio.sleep(DAY_S)
            listener.cancel()
            await asyncio.wait([listener])
        await runner.cleanup()
    counts = " ".join(f"{kind}={count}" for kind, count in sorted(trace.events.items()))
    print(trace.digest.hexdigest(), asyncio.get_running_loop().time() >= DAY_S, counts)


if __name__ == "__main__":
    run(main(int(sys.argv[1])), loop_factory=virtual_loop_factory())
