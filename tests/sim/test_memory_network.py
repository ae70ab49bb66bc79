"""Real aiohttp on both ends of a network that is only timers."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import aiohttp
import pytest
from aiohttp import web

from core.kernel.loops import run
from core.simulation.memory_network import REST, MemoryNetwork
from core.simulation.trace import Trace
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory

BASE = "http://127.0.0.1:9"
Story = Callable[["Net"], Awaitable[None]]


class Net:
    """One server with an echo route and an echo socket, and a client."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.network = MemoryNetwork(self.loop, Random(3))
        self.trace = Trace(self.loop.time)
        self.network.on_chunk = self.trace.chunk
        self.server_ends: list[object] = []

    async def open(self) -> None:
        app = web.Application()
        app.router.add_route("POST", "/fapi/echo", self._echo)
        app.router.add_route("GET", "/market/ws", self._socket)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        assert self.runner.server is not None
        self.network.serve(self.runner.server)

    def client(self, owner: str = "daemon") -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=self.network.connector(owner))

    async def _echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        self.server_ends.append(socket.close_code)
        return socket


def played(story: Story) -> Net:
    async def main() -> Net:
        with aiohttp_on_virtual_time(asyncio.get_running_loop()):
            net = Net()
            await net.open()
            await story(net)
            await net.runner.cleanup()
            return net

    return run(main(), loop_factory=virtual_loop_factory())


async def echo(session: aiohttp.ClientSession, body: bytes) -> bytes:
    async with session.post(f"{BASE}/fapi/echo", data=body) as answer:
        return await answer.read()


def test_a_request_takes_its_way_there_and_back() -> None:
    async def story(net: Net) -> None:
        net.network.link(REST).latency_s = 0.25
        async with net.client() as session:
            assert await echo(session, b"first") == b"first"
            assert net.loop.time() == pytest.approx(1.0)  # handshake, then the request
            large = bytes(300_000)
            assert await echo(session, large) == large
            assert net.loop.time() == pytest.approx(1.5)

    played(story)


def test_frames_keep_their_order_whatever_the_jitter() -> None:
    async def story(net: Net) -> None:
        link = net.network.link("market")
        link.jitter_s, link.spike_chance, link.spike_s = 0.5, 0.3, 5.0
        async with net.client() as session, session.ws_connect(f"{BASE}/market/ws") as socket:
            for number in range(50):
                await socket.send_str(str(number))
            assert [await socket.receive_str() for _ in range(50)] == [str(n) for n in range(50)]

    played(story)


def test_a_reset_reaches_both_ends_and_the_next_connection_works() -> None:
    async def story(net: Net) -> None:
        async with net.client() as session:
            socket = await session.ws_connect(f"{BASE}/market/ws")
            assert net.network.reset("market") == 1
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            again = await session.ws_connect(f"{BASE}/market/ws")
            await again.send_str("x")
            assert await again.receive_str() == "x"
            await again.close()
        assert net.network.count("market", "daemon") == 0

    played(story)


def test_half_open_is_found_by_the_heartbeat_only() -> None:
    async def story(net: Net) -> None:
        async with net.client() as session:
            socket = await session.ws_connect(f"{BASE}/market/ws", heartbeat=10.0)
            began = net.loop.time()
            net.network.half_open("market")
            await socket.send_str("into the void")
            await socket.receive()
            assert 10.0 <= net.loop.time() - began <= 16.0

    played(story)


def test_refused_and_unanswered_connects() -> None:
    async def story(net: Net) -> None:
        async with net.client() as session:
            net.network.link(REST).refuse = True
            with pytest.raises(aiohttp.ClientConnectorError):
                await echo(session, b"x")
            net.network.link(REST).refuse = False
            net.network.link(REST).unanswered = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(7.0):
                    await echo(session, b"x")

    played(story)


def test_a_detached_owner_hears_nothing_and_its_peer_a_reset() -> None:
    async def story(net: Net) -> None:
        session = net.client("dead")
        socket = await session.ws_connect(f"{BASE}/market/ws")
        net.network.detach("dead")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600.0):
                await socket.receive()
        assert len(net.server_ends) == 1
        async with net.client("alive") as other:
            assert await echo(other, b"still here") == b"still here"
        await session.close()

    played(story)


def test_the_trace_tells_contents_and_times_apart_and_nothing_else() -> None:
    def traced(body: bytes, latency_s: float) -> str:
        async def story(net: Net) -> None:
            net.network.link(REST).latency_s = latency_s
            async with net.client() as session, session.ws_connect(f"{BASE}/market/ws") as socket:
                await echo(session, body)
                await socket.send_str("masked with chance")
                await socket.receive()

        return played(story).trace.digest

    assert traced(b"a", 0.01) == traced(b"a", 0.01)
    assert traced(b"a", 0.01) != traced(b"b", 0.01)
    assert traced(b"a", 0.01) != traced(b"a", 0.02)
