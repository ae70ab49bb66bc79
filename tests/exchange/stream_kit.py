"""A stub exchange with hand-driven sockets and a user stream on virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from client_kit import credentials
from exchange_stub import Stub, running_stub
from paper_world import Ear

from core.domain.enums import StreamState
from core.domain.facts import Alert, StreamChanged, UserStreamDown, UserStreamUp
from core.exchange_client import OptimizedExchangeClient
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.supervisor import Supervisor
from core.ws_client import UserDataStreamManager

EPOCH_MS = 1_800_000_000_000


@dataclass
class UserWorld:
    stub: Stub
    clock: SimulatedClock
    client: OptimizedExchangeClient
    users: UserDataStreamManager
    ear: Ear
    failures: list[str] = field(default_factory=list)

    async def connected(self) -> web.WebSocketResponse:
        socket = await self.stub.next_socket()
        await self.clock.sleep(0.01)
        assert self.users.state is StreamState.LIVE
        return socket

    async def until(self, condition: object, limit_s: float = 60.0, step_s: float = 0.01) -> None:
        assert callable(condition)
        end = self.clock.monotonic() + limit_s
        while not condition():
            assert self.clock.monotonic() < end, "did not happen in time"
            await self.clock.sleep(step_s)

    @property
    def ups(self) -> list[UserStreamUp]:
        return [fact for fact in self.ear.facts if isinstance(fact, UserStreamUp)]

    @property
    def downs(self) -> list[UserStreamDown]:
        return [fact for fact in self.ear.facts if isinstance(fact, UserStreamDown)]

    @property
    def states(self) -> list[StreamState]:
        return [fact.state for fact in self.ear.daemon if isinstance(fact, StreamChanged)]

    @property
    def alerts(self) -> list[str]:
        return [fact.text for fact in self.ear.daemon if isinstance(fact, Alert)]


@asynccontextmanager
async def user_world() -> AsyncIterator[UserWorld]:
    clock = SimulatedClock(EPOCH_MS, asyncio.get_running_loop())
    failures: list[str] = []
    supervisor = Supervisor(clock, lambda name, error, _: failures.append(f"{name}: {error!r}"))
    async with running_stub() as stub:
        stub.now_ms = clock.now_ms
        client = OptimizedExchangeClient(stub.endpoints, credentials(), clock)
        ear = Ear()
        users = UserDataStreamManager(
            client,
            stub.endpoints,
            ear,
            clock=clock,
            supervisor=supervisor,
            chance=Chance(1),
            publish=ear.daemon.append,
        )
        try:
            await client.initialize()
            users.start()
            yield UserWorld(stub, clock, client, users, ear, failures)
        finally:
            await users.close()
            await client.close()
            assert await supervisor.close(5.0) == ()
        assert stub.calls("DELETE", "/fapi/v1/listenKey") == []
        assert failures == []
