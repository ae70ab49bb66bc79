"""Start-up canary (floor 7): do the routes that answer also tell? (INV-05, INV-14)

A changed exchange shows itself as silence: a stream that connects, acknowledges and delivers
nothing. The order route and the key are proved by the preflight's test order, plain and conditional
order lists by the first reconcile. What is left are the streams. The user stream is asked for an
echo that costs nothing: the leverage of one idle symbol is moved by one and back, which the
exchange must tell as ACCOUNT_CONFIG_UPDATE; until it has, the start waits. The market streams prove
themselves by flowing; where they have not after a while, entries are held until they do. Later on
REST takes over from a stream that falls silent.
"""

import asyncio
from collections.abc import Callable, Iterable

from core.domain.enums import DenyReason, Severity, StreamState
from core.domain.errors import RetryLater
from core.domain.facts import Alert
from core.domain.ports import Clock
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.oms.throttle import Denial
from core.order_manager import OrderManager
from core.ws_client import UserDataStreamManager

ECHO_S = 5.0
"""How long the exchange has to tell what was just changed, seconds."""
FLOW_S = 20.0
"""How long the market streams have to deliver, seconds; mark prices come every three."""
_LOOK_S = 0.5
_NAME = "canary"


class Canary:
    """`sing` asks the user stream for an echo, `listen` waits for the market streams to flow.

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
        self._told: dict[str, None] = {}

    async def sing(self, symbols: tuple[str, ...], leverage: int) -> None:
        """Return when the user stream has told a change. RetryLater names its silence; other
        VenueErrors are the exchange's."""
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
            text = f"user stream connected but silent: no echo of {symbol}'s leverage {other}x"
            self._tell("user stream", f"{text} within {ECHO_S:g} s")
            raise RetryLater(text) from None
        finally:
            await self._orders.prepare_symbol(symbol, leverage)

    async def listen(self) -> None:
        """Return when the market streams flow; entries are held while they should and do not."""
        began = self._clock.monotonic()
        while self._streamed and self._market.state is not StreamState.LIVE:
            silent = self._clock.monotonic() - began
            if silent >= FLOW_S:
                numbers = {"seconds": f"{silent:.0f}"}
                self._orders.hold_entries(_NAME, Denial(DenyReason.STREAM_SILENT, numbers))
                self._tell("market streams", f"market streams delivered nothing in {FLOW_S:g} s")
            await self._clock.sleep(_LOOK_S)
        self._orders.hold_entries(_NAME, None)

    async def _idle(self, symbols: Iterable[str]) -> str | None:
        """A symbol whose leverage nobody's position depends on."""
        held = {row.symbol for row in await self._client.get_positions()}
        busy = self._orders.busy_symbols()
        return next((name for name in symbols if name not in held and name not in busy), None)

    def _tell(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told[what] = None
            text = f"start-up canary: {text}; no entries until it speaks"
            self._publish(Alert(Severity.CRITICAL, f"canary:{what}", text, self._clock.now_ms()))
