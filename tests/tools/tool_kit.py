"""A paper exchange as a process of its own, and the tools pointed at it."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from core.domain.account import ExchangePosition
from core.domain.enums import Purpose
from core.domain.position import OrderSnapshot
from core.exchange.endpoints import Endpoints
from core.exchange.library import Credentials
from core.exchange_client import OptimizedExchangeClient
from core.ids import order_client_id
from core.kernel.clock import LiveClock

ROOT = Path(__file__).resolve().parents[2]
XRP = "XRP/USDC:USDC"
DOGE = "DOGE/USDC:USDC"
Main = Callable[[Sequence[str] | None], int]


@dataclass
class Exchange:
    """The running server and what a client needs to reach it."""

    rest: str
    ws: str
    api_key: str
    api_secret: str

    def env(self, folder: Path, **more: str) -> Path:
        """Settings file of a bot whose demo network is this server."""
        settings = {
            "TESTNET": "true",
            "BINANCE_API_KEY": self.api_key,
            "BINANCE_API_SECRET": self.api_secret,
            "BINANCE_REST_URL": self.rest,
            "BINANCE_WS_URL": self.ws,
            "QUOTE_COIN": "USDC",
            "DATA_DIR": str(folder / "data"),
            "LOGS_DIR": str(folder / "logs"),
            **more,
        }
        path = folder / "bot.env"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        path.chmod(0o600)
        return path

    async def client(self) -> OptimizedExchangeClient:
        keys = Credentials(SecretStr(self.api_key), SecretStr(self.api_secret))
        made = OptimizedExchangeClient(Endpoints(self.rest, self.ws), keys, LiveClock())
        await made.initialize()
        return made

    def buy(self, symbol: str, quantity: str) -> None:
        """A position without an order of ours."""

        async def work() -> None:
            client = await self.client()
            try:
                await client.create_order(symbol, "MARKET", "BUY", Decimal(quantity))
            finally:
                await client.close()

        asyncio.run(work())

    def place_stop(self, symbol: str, quantity: str, instance: str = "bot1") -> str:
        """A stop of the bot's, 5 % under the market, whether there is a position or not."""
        client_id = order_client_id(instance, "scv1", Purpose.STOP, 0, f"{symbol}{quantity}", 0)

        async def work() -> None:
            client = await self.client()
            try:
                instrument = client.instrument(symbol)
                assert instrument is not None
                mark = (await client.get_mark_prices())[symbol].price
                trigger = (mark * Decimal("0.95")).quantize(instrument.tick)
                params = {"stopPrice": trigger, "reduceOnly": True, "newClientOrderId": client_id}
                await client.create_order(
                    symbol, "STOP_MARKET", "SELL", Decimal(quantity), None, params
                )
            finally:
                await client.close()

        asyncio.run(work())
        return client_id

    def state(self) -> tuple[tuple[ExchangePosition, ...], tuple[OrderSnapshot, ...]]:
        async def work() -> tuple[tuple[ExchangePosition, ...], tuple[OrderSnapshot, ...]]:
            client = await self.client()
            try:
                return await client.get_positions(), await client.get_open_orders()
            finally:
                await client.close()

        return asyncio.run(work())


@contextmanager
def paper_process(*options: str) -> Iterator[Exchange]:
    """`python -m tools.paper_exchange` until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.paper_exchange", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Exchange(**json.loads(process.stdout.readline()))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
