"""The start-up canary: streams that connect and say nothing are found in time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from support.world import SYMBOL, Daemon, World, approved, in_world

from core.assembly.canary import ECHO_S, FLOW_S, Canary
from core.domain.errors import RetryLater, VenueError
from core.domain.facts import Alert
from core.domain.market import Candle
from core.exchange.endpoints import Endpoints
from core.exchange.market_data import MarketData
from core.kernel.chance import Chance
from core.paper.faults import EventFault, RestFault

LEVERAGE = 5


class NoSink:
    def on_candle(self, symbol: str, candle: Candle) -> None:
        """Candles are of no interest here."""


class Cage:
    """A canary in a running daemon, with the market streams it listens to."""

    def __init__(self, world: World, daemon: Daemon, *, use_streams: bool) -> None:
        self.world = world
        self.daemon = daemon
        self.alerts: list[Alert] = []
        self.market = MarketData(
            daemon.client,
            Endpoints(world.endpoints.rest, world.endpoints.ws),
            NoSink(),
            timeframe="1m",
            history=10,
            clock=world.clock,
            supervisor=daemon.supervisor,
            chance=Chance(3),
            publish=lambda fact: None,
            use_streams=use_streams,
        )
        self.canary = Canary(
            client=daemon.client,
            orders=daemon.orders,
            stream=daemon.stream,
            market=self.market,
            streamed=use_streams,
            clock=world.clock,
            publish=self.alerts.append,
        )

    async def sing(self) -> VenueError | None:
        try:
            await self.canary.sing((SYMBOL,), LEVERAGE)
        except VenueError as error:
            return error
        return None

    async def leverage(self) -> int:
        rows = await self.daemon.client.get_symbol_configs()
        return next(row.leverage for row in rows if row.symbol == SYMBOL)


Story = Callable[[Cage], Awaitable[None]]


def play(folder: Path, story: Story, *, use_streams: bool = False) -> None:
    async def scene(world: World) -> None:
        daemon = await world.daemon()
        cage = Cage(world, daemon, use_streams=use_streams)
        if use_streams:
            cage.market.start((SYMBOL,))
        await story(cage)
        await cage.market.close()
        await daemon.stop()

    in_world(folder, scene)


def test_an_echo_proves_the_user_stream_and_leaves_the_leverage(tmp_path: Path) -> None:
    async def story(cage: Cage) -> None:
        assert await cage.sing() is None
        assert await cage.leverage() == LEVERAGE
        assert cage.alerts == []

    play(tmp_path, story)


def test_a_user_stream_that_tells_nothing_is_named_once_and_connected_anew(tmp_path: Path) -> None:
    async def story(cage: Cage) -> None:
        faults = cage.world.paper.faults
        faults.events.append(EventFault(event="ACCOUNT_CONFIG_UPDATE", copies=0, times=4))
        began, connects = cage.world.clock.monotonic(), cage.daemon.stream.view().reconnects
        for _ in range(2):
            error = await cage.sing()
            assert isinstance(error, RetryLater)
            assert "user stream connected but silent" in str(error)
        assert cage.world.clock.monotonic() - began >= 2 * ECHO_S
        assert len(cage.alerts) == 1, "the same silence is told once"
        assert await cage.leverage() == LEVERAGE
        await cage.world.wait(lambda: cage.daemon.stream.view().reconnects >= connects + 1)
        await cage.world.wait(lambda: cage.daemon.orders.stream_up)
        assert await cage.sing() is None, "the fault is over"

    play(tmp_path, story)


def test_a_refused_change_is_the_exchanges_word(tmp_path: Path) -> None:
    async def story(cage: Cage) -> None:
        cage.world.paper.faults.rest.append(
            RestFault(route="POST /fapi/v1/leverage", status=400, code=-4028, times=2)
        )
        error = await cage.sing()
        assert error is not None
        assert "-4028" in str(error)

    play(tmp_path, story)


def test_silent_market_streams_hold_entries_until_they_flow(tmp_path: Path) -> None:
    async def story(cage: Cage) -> None:
        freezing = asyncio.ensure_future(keep_silent(cage.world))
        listening = asyncio.ensure_future(cage.canary.listen())
        await cage.world.clock.sleep(FLOW_S - 1)
        assert cage.daemon.orders.entries_blocked() == ""
        await cage.world.clock.sleep(3)
        assert cage.daemon.orders.entries_blocked().startswith("stream_silent: seconds=2")
        assert [alert.key for alert in cage.alerts] == ["canary:market streams"]
        freezing.cancel()
        await listening
        assert cage.daemon.orders.entries_blocked() == "", "dropped for silence, they flow again"

    play(tmp_path, story, use_streams=True)


def test_polled_prices_have_no_stream_to_prove(tmp_path: Path) -> None:
    async def story(cage: Cage) -> None:
        await cage.canary.listen()
        assert cage.daemon.orders.entries_blocked() == ""

    play(tmp_path, story)


async def keep_silent(world: World) -> None:
    """Every market socket is open and says nothing, however often it is connected anew."""
    async with aiohttp.ClientSession() as session:
        while True:
            wish = {"action": "freeze", "route": "market"}
            async with session.post(f"{world.endpoints.rest}/paper/action", json=wish) as answer:
                assert answer.status == 200
            await world.clock.sleep(0.01)


def test_nothing_is_moved_where_positions_are(tmp_path: Path) -> None:
    async def story(cage: Cage) -> None:
        await cage.daemon.orders.place_order(approved())
        await cage.world.wait(cage.world.stops)
        before = len(cage.world.paper.faults.rest)
        cage.world.paper.faults.rest.append(RestFault(route="POST /fapi/v1/leverage", status=500))
        assert await cage.sing() is None
        assert len(cage.world.paper.faults.rest) == before + 1, "no request changed leverage"

    play(tmp_path, story)
