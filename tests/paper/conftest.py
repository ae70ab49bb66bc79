"""A running paper exchange on loopback, and clients for it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest
from ccxt.async_support import binanceusdm
from paper_kit import (
    ALL_CONTRACTS,
    API_KEY,
    API_SECRET,
    BTC,
    PRICES,
    TETHER,
    StillFeed,
    Venue,
)

from core.kernel.clock import LiveClock
from core.kernel.supervisor import Supervisor
from core.paper.server import PaperServer


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with opened(PRICES, {}) as found:
        yield found


@pytest.fixture
async def both() -> AsyncIterator[Venue]:
    """An exchange with contracts and wallets in USDC and USDT."""
    prices = PRICES | {TETHER: PRICES[BTC]}
    async with opened(prices, {"USDT": Decimal(500)}) as found:
        yield found


@asynccontextmanager
async def opened(
    prices: Mapping[str, Decimal], also: Mapping[str, Decimal]
) -> AsyncIterator[Venue]:
    clock = LiveClock()
    failures: list[tuple[str, BaseException]] = []
    supervisor = Supervisor(clock, lambda name, error, again: failures.append((name, error)))
    feed = StillFeed(clock.now_ms(), prices=prices)
    server = PaperServer(
        feed,
        ALL_CONTRACTS,
        clock,
        supervisor,
        seed=7,
        balance=Decimal(1000),
        quote="USDC",
        api_key=API_KEY,
        api_secret=API_SECRET,
        faults_enabled=True,
        also=also,
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
    async with pointed_at(venue) as exchange:
        yield exchange


@pytest.fixture
async def tether(both: Venue) -> AsyncIterator[binanceusdm]:
    async with pointed_at(both) as exchange:
        yield exchange


@asynccontextmanager
async def pointed_at(venue: Venue) -> AsyncIterator[binanceusdm]:
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
