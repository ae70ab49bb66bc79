"""Market data over the paper exchange, on virtual time: every closed candle once, in order."""

import math
from itertools import pairwise

import msgspec
import pytest
from paper_world import DOGE, START_MS, XRP, World, paper_world, virtually

from core.domain.enums import StreamState
from core.domain.facts import Alert, StreamChanged
from core.domain.market import Candle
from core.paper.faults import RestFault
from core.paper.streams import Route

MINUTE = 60_000
LOADED_UNTIL = START_MS - MINUTE
"""Open time of the newest closed candle at the start."""


def states(world: World) -> list[StreamState]:
    return [
        fact.state
        for fact in world.ear.daemon
        if isinstance(fact, StreamChanged) and fact.stream == "market-stream"
    ]


def assert_complete(world: World, symbol: str, first_ms: int = LOADED_UNTIL) -> None:
    """Nothing lost, nothing twice, nothing out of order, up to the newest closed candle."""
    opens = world.ear.opens(symbol)
    now_ms = world.client.exchange_now_ms()
    newest = now_ms // MINUTE * MINUTE - MINUTE
    assert opens == list(range(first_ms, newest + 1, MINUTE))
    stored = world.market.candles(symbol).open_ms.tolist()
    assert stored[-1] == newest
    assert all(after - before == MINUTE for before, after in pairwise(stored))


async def live(world: World) -> None:
    world.market.start((XRP, DOGE))
    await world.until(lambda: world.market.state is StreamState.LIVE)


def test_history_at_once_then_every_candle_as_it_closes() -> None:
    async def main() -> None:
        async with paper_world() as world:
            world.market.start((XRP, DOGE))
            await world.market.wait_loaded()
            assert world.ear.opens(XRP) == [LOADED_UNTIL]
            assert len(world.market.candles(XRP)) == 120
            await world.clock.sleep(1_210)
            assert states(world) == [StreamState.CONNECTING, StreamState.LIVE]
            assert_complete(world, XRP)
            assert_complete(world, DOGE)
            view = world.market.view()
            assert (view.repairs, view.skipped) == (0, {})

    virtually(main)


def test_a_symbol_that_falls_silent_while_others_flow_is_told_once() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            hub = world.server.hub
            publish = hub.publish

            def without_doge(name: str, payload: object) -> None:
                if not name.startswith("doge"):
                    publish(name, payload)

            hub.publish = without_doge  # type: ignore[method-assign]  # a halted contract
            await world.clock.sleep(300)
            assert world.market.state is StreamState.LIVE
            hub.publish = publish  # type: ignore[method-assign]  # and back
            await world.clock.sleep(60)
            told = [fact.text for fact in world.ear.daemon if isinstance(fact, Alert)]
            assert told == [
                f"{DOGE}: no price for 60 s while others flow",
                f"{DOGE}: prices flow again",
            ]
            assert_complete(world, DOGE)

    virtually(main)


def test_statistics_come_by_rest_where_streams_do_not() -> None:
    async def main() -> None:
        async with paper_world(use_streams=False) as world:
            world.market.start((XRP,))
            await world.clock.sleep(150)
            ticker = world.market.ticker(XRP)
            assert ticker is not None
            age_ms = world.client.exchange_now_ms() - ticker.event_ms
            assert 0 < age_ms <= 61_000

    virtually(main)


def test_prices_books_and_volumes_are_there() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            await world.clock.sleep(30)
            mark, book = world.market.mark(XRP), world.market.book(XRP)
            ticker = world.market.ticker(XRP)
            assert mark is not None
            assert book is not None
            assert ticker is not None
            assert book.bid < book.ask
            assert abs(mark.price / book.mid - 1) < 0.01
            assert ticker.quote_volume > 0
            assert world.client.exchange_now_ms() - ticker.event_ms <= 10_000, "streamed"
            assert ticker.low < ticker.last <= ticker.high
            assert ticker.range_ratio == float((ticker.high - ticker.low) / ticker.last)
            fresh = world.market.freshness(XRP)
            assert fresh.streaming
            assert fresh.mark_age_ms <= 2_000
            assert fresh.book_age_ms <= 10_000
            assert 0 <= fresh.candle_age_ms < MINUTE + 1_000
            assert world.market.mark("NONE/USDC:USDC") is None
            assert world.market.age_ms("NONE/USDC:USDC") > 10 * 365 * 86_400_000

    virtually(main)


def test_cut_streams_cost_no_candle() -> None:
    """Cut right before a candle closes, so that its closing push is missed."""

    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            for _ in range(10):
                to_close_ms = MINUTE - world.client.exchange_now_ms() % MINUTE
                await world.clock.sleep(to_close_ms / 1_000 - 0.1)
                world.server.hub.close_route(Route.MARKET)
                await world.clock.sleep(61)
            assert StreamState.DEGRADED in states(world)
            assert world.market.state is StreamState.LIVE
            assert world.market.view().repairs >= 10
            await world.clock.sleep(10)
            assert_complete(world, XRP)
            assert_complete(world, DOGE)

    virtually(main)


def test_without_streams_candles_are_polled() -> None:
    async def main() -> None:
        async with paper_world(use_streams=False) as world:
            world.market.start((XRP, DOGE))
            await world.clock.sleep(1_205)
            assert states(world) == [StreamState.DEGRADED]
            assert_complete(world, XRP)
            assert world.market.freshness(XRP).mark_age_ms <= 7_000
            assert world.market.book(XRP) is not None
            # Each candle is asked for once and only when it is due: about twenty per symbol.
            assert world.server.requests["GET /fapi/v1/klines"] <= 2 * 25

    virtually(main)


def test_candles_survive_an_exchange_that_answers_now_and_then() -> None:
    async def main() -> None:
        async with paper_world(use_streams=False) as world:
            world.market.start((XRP, DOGE))
            await world.market.wait_loaded()
            rule = RestFault(route="GET /fapi/v1/klines", chance=0.7, times=0, status=502)
            world.server.faults.rest.append(rule)
            await world.clock.sleep(1_200)
            world.server.faults.clear()
            await world.clock.sleep(65)
            assert world.server.faults.fired > 10
            assert_complete(world, XRP)
            assert_complete(world, DOGE)

    virtually(main)


def test_the_universe_changes_while_running() -> None:
    async def main() -> None:
        async with paper_world() as world:
            world.market.start((XRP,))
            await world.market.wait_loaded()
            await world.clock.sleep(125)
            world.market.set_symbols((XRP, DOGE))
            joined_ms = world.client.exchange_now_ms() // MINUTE * MINUTE
            await world.market.wait_loaded()
            await world.clock.sleep(305)
            assert_complete(world, XRP)
            assert_complete(world, DOGE, joined_ms - MINUTE)
            assert world.market.book(DOGE) is not None
            world.market.set_symbols((DOGE,))
            await world.clock.sleep(305)
            assert len(world.market.candles(XRP)) == 0
            assert world.market.mark(XRP) is None
            assert_complete(world, DOGE, joined_ms - MINUTE)
            assert states(world) == [StreamState.CONNECTING, StreamState.LIVE]

    virtually(main)


def newest(world: World, back: int = 1) -> Candle:
    """The candle `back` from the end of what is stored of XRP."""
    kept = world.market.candles(XRP)
    prices = (float(row[-back]) for row in (kept.open, kept.high, kept.low, kept.close))
    return Candle(int(kept.open_ms[-back]), *prices, volume=float(kept.volume[-back]))


def changed(candle: Candle, **changes: float) -> Candle:
    return msgspec.structs.replace(candle, **changes)


@pytest.mark.parametrize("close", [math.nan, 0.0, -1.0])
def test_a_bad_candle_is_dropped_and_asked_for_again(close: float) -> None:
    async def main() -> None:
        async with paper_world() as world:
            world.market.start((XRP,))
            await world.market.wait_loaded()
            last = newest(world)
            await world.clock.sleep(61.0)
            stored = world.market.candles(XRP)
            due_ms = int(stored.open_ms[-1]) + MINUTE
            world.market.on_stream_candle(XRP, changed(last, open_ms=due_ms, close=close))
            assert world.market.candles(XRP) is stored
            await world.clock.sleep(600)
            assert_complete(world, XRP)
            assert sum(world.market.view().skipped.values()) >= 1

    virtually(main)


def test_duplicates_and_late_candles_have_no_effect() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            await world.clock.sleep(130)
            before = list(world.ear.candles)
            for back in range(1, 4):
                candle = newest(world, back)
                world.market.on_stream_candle(XRP, changed(candle, close=candle.high))
            assert world.ear.candles == before
            assert world.market.view().skipped == {"duplicate or late": 3}

    virtually(main)


def test_a_candle_from_the_future_is_repaired_from_the_record() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            await world.clock.sleep(130)
            last = newest(world)
            world.market.on_stream_candle(XRP, changed(last, open_ms=last.open_ms + 5 * MINUTE))
            await world.clock.sleep(600)
            assert_complete(world, XRP)

    virtually(main)


def test_a_hole_nobody_can_fill_starts_a_new_run() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            real = world.client.get_candles
            begin = world.client.exchange_now_ms() // MINUTE * MINUTE

            async def with_hole(
                symbol: str, timeframe: str, limit: int = 300, start_ms: int | None = None
            ) -> list[Candle]:
                found = await real(symbol, timeframe, limit, start_ms)
                return [candle for candle in found if candle.open_ms != begin + 3 * MINUTE]

            world.client.get_candles = with_hole  # type: ignore[method-assign]  # a halted minute
            world.server.hub.close_route(None)
            world.market._stream.set_symbols(())
            await world.clock.sleep(8 * 60)
            stored = world.market.candles(XRP).open_ms.tolist()
            assert stored[0] == begin + 4 * MINUTE
            assert all(after - before == MINUTE for before, after in pairwise(stored))
            assert "hole in the exchange's history" in world.market.view().skipped

    virtually(main)


def test_connected_and_silent_is_not_alive() -> None:
    async def main() -> None:
        async with paper_world() as world:
            await live(world)
            hub = world.server.hub
            publish, hub.publish = hub.publish, lambda *_: None  # type: ignore[method-assign]  # mute
            await world.clock.sleep(200)
            assert world.market.state is StreamState.DEGRADED
            told = [fact.text for fact in world.ear.daemon if isinstance(fact, Alert)]
            assert any("connected but silent" in text for text in told)
            assert_complete(world, XRP)
            hub.publish = publish  # type: ignore[method-assign]  # unmute
            await world.clock.sleep(120)
            assert world.market.state is StreamState.LIVE
            assert_complete(world, XRP)

    virtually(main)
