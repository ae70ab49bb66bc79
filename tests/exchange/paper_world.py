"""A paper exchange, the client and its streams in one world on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import SecretStr

from core.domain.facts import DaemonFact, VenueFact
from core.domain.market import Candle
from core.exchange.endpoints import Endpoints
from core.exchange.market_data import MarketData
from core.exchange_client import Credentials, OptimizedExchangeClient
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.kernel.supervisor import Supervisor
from core.paper.contracts import build_contracts
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.server import PaperServer
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory
from core.ws_client import UserDataStreamManager

T = TypeVar("T")
START_MS = 1_750_000_020_000
XRP = "XRP/USDC:USDC"
DOGE = "DOGE/USDC:USDC"


@dataclass
class Ear:
    """Everything the streams told, in order."""

    facts: list[VenueFact] = field(default_factory=list)
    daemon: list[DaemonFact] = field(default_factory=list)
    candles: list[tuple[str, Candle]] = field(default_factory=list)

    def on_venue_fact(self, fact: VenueFact) -> None:
        self.facts.append(fact)

    def on_candle(self, symbol: str, candle: Candle) -> None:
        self.candles.append((symbol, candle))

    def opens(self, symbol: str) -> list[int]:
        return [candle.open_ms for name, candle in self.candles if name == symbol]


@dataclass
class World:
    clock: SimulatedClock
    supervisor: Supervisor
    server: PaperServer
    client: OptimizedExchangeClient
    users: UserDataStreamManager
    market: MarketData
    ear: Ear

    async def until(self, condition: Callable[[], Any], limit_s: float = 60.0) -> None:
        """Wait in virtual time."""
        end = self.clock.monotonic() + limit_s
        while not condition():
            assert self.clock.monotonic() < end, "did not happen in time"
            await self.clock.sleep(0.05)


@asynccontextmanager
async def paper_world(use_streams: bool = True) -> AsyncIterator[World]:
    loop = asyncio.get_running_loop()
    clock = SimulatedClock(START_MS, loop)
    failures: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(clock, lambda name, error, _: failures.append((name, error)))
    contracts = build_contracts("USDC")
    chosen = [contracts["XRPUSDC"], contracts["DOGEUSDC"]]
    feed = SyntheticFeed(chosen, 7, START_MS, history_minutes=600)
    server = PaperServer(
        feed,
        contracts,
        clock,
        supervisor,
        seed=7,
        balance=Decimal(400),
        quote="USDC",
        api_key="paper-key",
        api_secret="paper-secret",
        faults_enabled=True,
    )
    listening = await server.start()
    endpoints = Endpoints(listening.rest, listening.ws)
    keys = Credentials(SecretStr("paper-key"), SecretStr("paper-secret"))
    client = OptimizedExchangeClient(endpoints, keys, clock)
    chance = Chance(7)
    ear = Ear()
    users = UserDataStreamManager(
        client,
        endpoints,
        ear,
        clock=clock,
        supervisor=supervisor,
        chance=chance,
        publish=ear.daemon.append,
    )
    market = MarketData(
        client,
        endpoints,
        ear,
        timeframe="1m",
        history=120,
        clock=clock,
        supervisor=supervisor,
        chance=chance,
        publish=ear.daemon.append,
        use_streams=use_streams,
    )
    world = World(clock, supervisor, server, client, users, market, ear)
    try:
        await client.initialize()
        yield world
    finally:
        await market.close()
        await users.close()
        await client.close()
        await server.stop()
        assert await supervisor.close(5.0) == ()
    assert failures == []


def virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def on_virtual_time() -> T:
        with aiohttp_on_virtual_time(asyncio.get_running_loop()):
            return await main()

    return run(on_virtual_time(), loop_factory=virtual_loop_factory())
