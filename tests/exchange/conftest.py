"""A running stub and a client connected to it."""

from collections.abc import AsyncIterator

import pytest
from client_kit import client_of
from exchange_stub import Stub, running_stub

from core.exchange_client import OptimizedExchangeClient


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with running_stub() as running:
        yield running


@pytest.fixture
async def client(stub: Stub) -> AsyncIterator[OptimizedExchangeClient]:
    running = client_of(stub.endpoints)
    await running.initialize()
    yield running
    await running.close()
