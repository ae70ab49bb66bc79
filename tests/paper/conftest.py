"""A running paper exchange on loopback, and clients for it."""

from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from ccxt.async_support import binanceusdm
from paper_kit import API_KEY, API_SECRET, CONTRACTS, StillFeed, Venue

from core.kernel.clock import LiveClock
from core.kernel.supervisor import Supervisor
from core.paper.server import PaperServer


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    clock = LiveClock()
    failures: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(clock, lambda name, error, again: failures.append((name, error)))
    feed = StillFeed(clock.now_ms())
    server = PaperServer(
        feed,
        CONTRACTS,
        clock,
        supervisor,
        seed=7,
        balance=Decimal(1000),
        quote="USDC",
        api_key=API_KEY,
        api_secret=API_SECRET,
        faults_enabled=True,
    )
    endpoints = await server.start()
    async with aiohttp.ClientSession() as http:
        yield Venue(server, endpoints, feed, clock, http)
    await server.stop()
    late = await supervisor.close(5.0)
    assert late == ()
    assert failures == []


@pytest.fixture
async def client(venue: Venue) -> AsyncIterator[binanceusdm]:
    exchange = binanceusdm(
        {
            "apiKey": API_KEY,
            "secret": API_SECRET,
            "enableRateLimit": False,
            "options": {"fetchCurrencies": False},
        }
    )
    for name, value in list(exchange.urls["api"].items()):
        if isinstance(value, str):
            exchange.urls["api"][name] = value.replace(
                "https://fapi.binance.com", venue.endpoints.rest
            ).replace("https://api.binance.com", venue.endpoints.rest)
    yield exchange
    await exchange.close()
