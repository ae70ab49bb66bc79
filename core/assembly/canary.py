"""Start-up canary (floor 7): do the routes that answer also tell? (INV-05, INV-14)

A changed exchange shows itself as silence: a stream that connects, acknowledges and delivers
nothing. The order route and the key are proved by the preflight's test order, plain and conditional
order lists by the first reconcile. What is left are the streams. The user stream is asked for an
echo that costs nothing: the leverage of one idle symbol is moved by one and back, which the
exchange must tell as ACCOUNT_CONFIG_UPDATE; a market stream that flows counts as proved when it is
the source of prices. Until both have spoken the start waits, and nothing is entered.
"""

import asyncio
from collections.abc import Callable, Iterable

from core.domain.enums import Severity, StreamState
from core.domain.errors import RetryLater, VenueError
from core.domain.facts import Alert
from core.domain.ports import Clock
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.order_manager import OrderManager
from core.ws_client import UserDataStreamManager

ECHO_S = 5.0
"""How long the exchange has to tell what was just changed, seconds."""
FLOW_S = 20.0
"""How long the market streams have to deliver, seconds; mark prices come every three."""
_LOOK_S = 0.1


class Canary:
    """`sing` returns when every stream has proved that it delivers.

    `streamed` is False where prices come by REST polling on purpose.
    """

    def __init__(
        self,
        *,
        client: OptimizedExchangeClient,
        orders: OrderManager,
        stream: UserDataStreamManager,
        market: MarketData,
        streamed: bool,
        clock: Clock,
        publish: Callable[[Alert], None],
    ) -> None:
        self._client = client
        self._orders = orders
        self._stream = stream
        self._market = market
        self._streamed = streamed
        self._clock = clock
        self._publish = publish
        self._echoed = False
        self._told: dict[str, None] = {}

    async def sing(self, symbols: tuple[str, ...], leverage: int) -> None:
        """Raises RetryLater naming the silent stream; other VenueErrors are the exchange's."""
        if not self._echoed:
            await self._hear_user_stream(symbols, leverage)
            self._echoed = True
        if self._streamed:
            await self._hear_market_stream()

    async def _hear_user_stream(self, symbols: tuple[str, ...], leverage: int) -> None:
        symbol = await self._idle(symbols)
        if symbol is None:
            return  # every symbol holds a position: orders of ours will show the echo
        other = leverage - 1 if leverage > 1 else leverage + 1
        try:
            with self._stream.hear_leverage(symbol, other) as told:
                await self._orders.prepare_symbol(symbol, other)
                async with asyncio.timeout(ECHO_S):
                    await told.wait()
        except TimeoutError:
            await self._stream.reconnect("no echo of a change of leverage")
            raise self._silent(
                "user stream", f"no echo within {ECHO_S:g} s of {symbol}'s leverage {other}x"
            ) from None
        finally:
            await self._orders.prepare_symbol(symbol, leverage)

    async def _idle(self, symbols: Iterable[str]) -> str | None:
        """A symbol whose leverage nobody's position depends on."""
        held = {row.symbol for row in await self._client.get_positions()}
        busy = self._orders.busy_symbols()
        return next((name for name in symbols if name not in held and name not in busy), None)

    async def _hear_market_stream(self) -> None:
        deadline = self._clock.monotonic() + FLOW_S
        while self._market.state is not StreamState.LIVE:
            if self._clock.monotonic() >= deadline:
                raise self._silent("market streams", f"nothing delivered in {FLOW_S:g} s")
            await self._clock.sleep(_LOOK_S)

    def _silent(self, what: str, detail: str) -> VenueError:
        text = f"start-up canary: {what} connected but silent: {detail}; no entries until it speaks"
        if text not in self._told:
            self._told[text] = None
            self._publish(Alert(Severity.CRITICAL, f"canary:{what}", text, self._clock.now_ms()))
        return RetryLater(text)
