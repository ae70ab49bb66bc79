"""Live prices from a real server: history, ticks, missed minutes, lost connections."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from aiohttp import web
from feed_kit import MINUTE, D, Recorder, minute, numbers, virtually
from live_stub import NOW, SYMBOLS, Rig, rig

from core.domain.errors import RateLimited, RetryLater
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.supervisor import Supervisor
from core.paper.contracts import build_contracts
from core.paper.feed_live import LiveFeed, why_unreachable
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.server import PaperServer
from core.simulation.virtual_loop import aiohttp_on_virtual_time

BTC = "BTCUSDC"


def on_rig(scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        async with rig() as parts:
            await scenario(parts)

    virtually(main())


def prices(*texts: str) -> list[Decimal]:
    return [D(text) for text in texts]


def test_history_is_the_closed_minutes_before_the_start() -> None:
    async def scenario(parts: Rig) -> None:
        parts.stub.minutes[BTC].append(minute(NOW))  # the open one must not be history
        parts.clock.shift(5 * 60)  # nor when this machine's clock is ahead
        feed = await parts.open((*SYMBOLS, "XRPUSDC"))
        assert feed.symbols == SYMBOLS  # XRPUSDC does not trade there
        assert feed.start_ms == NOW
        assert not feed.simulated
        assert parts.stub.url in feed.describe()
        assert feed.history(BTC) == tuple(parts.stub.minutes[BTC][50:100])
        assert feed.samples()[BTC] == feed.history(BTC)
        with pytest.raises(KeyError):
            feed.history("XRPUSDC")

    on_rig(scenario)


def test_long_histories_are_read_in_pages() -> None:
    async def scenario(parts: Rig) -> None:
        parts.stub.minutes[BTC] = [minute(NOW + n * MINUTE) for n in range(-3200, 0)]
        feed = await LiveFeed.open(
            [BTC],
            clock=parts.clock,
            supervisor=parts.supervisor,
            chance=Chance(1).stream("live"),
            report=parts.said.append,
            rest_url=parts.stub.url,
            ws_url="",
            history_minutes=3100,
        )
        assert [c.open_ms for c in feed.history(BTC)] == [NOW + n * MINUTE for n in range(-3100, 0)]
        assert sum("klines" in request for request in parts.stub.requests) == 3

    on_rig(scenario)


def test_pushes_become_ticks_and_the_closing_one_the_exact_minute() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        assert parts.stub.streams == ["btcusdc@kline_1m/ethusdc@kline_1m"]
        push = parts.stub.push
        await push(minute(NOW, ("100", "100", "100", "100"), volume="1"), NOW + 250)
        await push(minute(NOW, ("100", "100", "100", "100"), volume="1"), NOW + 500)
        await push(minute(NOW, ("100", "103", "100", "101"), volume="3"), NOW + 750)
        await push(minute(NOW, ("100", "103", "95", "96"), volume="4"), NOW + 400)  # E went back
        done = minute(NOW, ("100", "103", "95", "97"), volume="4.5")
        await push(done, NOW + MINUTE + 20, closed=True)
        await ear.until(7)
        ticks = ear.ticks()
        assert [t.price for t in ticks] == prices("100", "103", "101", "95", "96", "97")
        assert [t.volume for t in ticks] == prices("1", "0", "2", "0", "1", "0.5")
        assert [t.time_ms - NOW for t in ticks] == [250, 750, 750, 750, 750, MINUTE - 1]
        assert [t.gap for t in ticks] == [True] + [False] * 5
        assert ear.minutes() == [done]

    on_rig(scenario)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("100", "105", "95", "104"), ("100", "95", "105", "104")),
        (("100", "105", "95", "96"), ("100", "105", "95", "96")),
        (("100", "105", "100", "105"), ("100", "105")),
    ],
)
def test_a_first_push_late_in_its_minute_plays_its_path(
    shape: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        await parts.stub.push(minute(NOW, shape), NOW + 30_000)
        await ear.until(len(expected))
        assert [t.price for t in ear.ticks()] == prices(*expected)
        assert sum(t.volume for t in ear.ticks()) == D("7.003")

    on_rig(scenario)


def test_a_quiet_minute_closes_too() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        quiet = minute(NOW, ("100", "100", "100", "100"), volume="0", quote="0", trades=0)
        await parts.stub.push(quiet, NOW + MINUTE, closed=True)
        await ear.until(2)
        assert ear.minutes() == [quiet]
        assert [(t.price, t.volume) for t in ear.ticks()] == [(D(100), D(0))]

    on_rig(scenario)


def test_minutes_whose_closing_push_was_missed_are_fetched_and_played() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        await parts.stub.push(minute(NOW, ("100", "100", "100", "100")), NOW + 250)
        missed = [minute(NOW + n * MINUTE, ("100", "102", "98", "101")) for n in range(2)]
        parts.stub.minutes[BTC] += missed
        later = NOW + 2 * MINUTE
        await parts.stub.push(minute(later, ("101", "101", "101", "101")), later + 250)
        await ear.until(1 + 2 * 5 + 1)
        assert ear.minutes() == missed
        assert [t.price for t in ear.ticks()] == prices(
            "100", *("100", "98", "102", "101") * 2, "101"
        )
        assert ear.ticks()[-1].gap
        times = [t.time_ms for t in ear.ticks()]
        assert times[1:] == sorted(times[1:])
        old = minute(NOW, ("1", "1", "1", "1"))
        await parts.stub.push(old, later + 300)  # a repetition of a closed minute says nothing
        await parts.stub.push(minute(later, ("101", "101", "101", "101.5")), later + 500)
        await ear.until(13)
        assert ear.ticks()[-1].price == D("101.5")

    on_rig(scenario)


def test_a_minute_that_is_not_listed_yet_is_asked_for_again() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        missed = [minute(NOW + n * MINUTE, ("100", "102", "98", "101")) for n in range(2)]
        parts.stub.minutes[BTC] += missed[:1]
        later = NOW + 2 * MINUTE
        await parts.stub.push(minute(later, ("101", "101", "101", "101")), later + 250)
        await parts.connection()
        assert "not listed yet" in parts.said[0]
        assert ear.events == []
        parts.stub.minutes[BTC] += missed[1:]
        await parts.stub.push(minute(later, ("101", "101", "101", "101")), later + 2_250)
        await ear.until(2 * 5 + 1)
        assert ear.minutes() == missed

    on_rig(scenario)


def test_a_minute_the_server_does_not_have_is_given_up() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        later = NOW + 2 * MINUTE
        for _ in range(3):
            await parts.stub.push(minute(later, ("101", "101", "101", "101")), later + 250)
            await parts.connection()
        await parts.stub.push(minute(later, ("101", "101", "101", "101")), later + 9_250)
        await ear.until(1)
        assert [t.price for t in ear.ticks()] == prices("101")
        assert len(parts.said) == 4
        assert "are back" in parts.said[-1]

    on_rig(scenario)


def test_a_lost_connection_is_reported_and_made_up_for() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        await parts.stub.push(minute(NOW, ("100", "100", "100", "100"), volume="1"), NOW + 250)
        await ear.until(1)
        assert parts.stub.socket is not None
        await parts.stub.socket.close()
        await parts.connection()
        assert len(parts.said) == 1
        assert "interrupted, next try in" in parts.said[0]
        same = minute(NOW, ("100", "104", "100", "103"), volume="6")
        await parts.stub.push(same, NOW + 30_000)
        await ear.until(3)
        assert [(t.price, t.volume, t.gap) for t in ear.ticks()[1:]] == [
            (D(104), D(0), True),
            (D(103), D(5), False),
        ]

    on_rig(scenario)


def test_silence_and_nonsense_end_a_connection_too() -> None:
    async def scenario(parts: Rig) -> None:
        await parts.listen()
        await parts.connection()  # after 30 s without a push
        assert "stream silent" in parts.said[-1]
        assert parts.clock.now_ms() >= NOW + 30_000
        assert parts.stub.socket is not None
        await parts.stub.socket.send_str('{"stream": "x", "data": {"e": "kline"}}')
        await parts.connection()
        assert "unexpected push" in parts.said[-1]

    on_rig(scenario)


def test_pauses_grow_while_nothing_works_and_stay_bounded() -> None:
    async def scenario(parts: Rig) -> None:
        ear = await parts.listen()
        parts.stub.override["klines"] = web.Response(status=503, text="Service Unavailable.")
        for _ in range(9):
            later = parts.clock.now_ms() + MINUTE
            await parts.stub.push(minute(later - later % MINUTE), later)
            await parts.connection()
        waits = [float(text.split("next try in ")[1].split(" s")[0]) for text in parts.said]
        for n, wait in enumerate(waits):
            base = min(2.0**n, 60.0)
            assert 0.5 * base <= wait + 0.05
            assert wait - 0.05 <= 1.5 * base
        assert "Service Unavailable" in parts.said[0]
        assert ear.events == []

    on_rig(scenario)


@pytest.mark.parametrize("path", ["time", "exchangeInfo", "klines"])
@pytest.mark.parametrize(
    ("status", "body"), [(500, "oops"), (403, "<html>"), (200, "<html>"), (200, '{"code":-1}')]
)
def test_a_server_that_cannot_be_read_fails_the_opening(path: str, status: int, body: str) -> None:
    async def scenario(parts: Rig) -> None:
        parts.stub.override[path] = web.Response(status=status, text=body)
        with pytest.raises(RetryLater, match=path):
            await parts.open()

    on_rig(scenario)


def test_a_slow_limited_or_empty_server_fails_the_opening() -> None:
    async def scenario(parts: Rig) -> None:
        parts.stub.override["klines"] = 11.0
        with pytest.raises(RetryLater, match=r"history of live prices is incomplete.*klines"):
            await parts.open()
        parts.stub.override = {"time": web.Response(status=429)}
        with pytest.raises(RateLimited):
            await parts.open()
        parts.stub.override = {}
        parts.stub.trading = dict.fromkeys(SYMBOLS, "SETTLING")
        with pytest.raises(RetryLater, match="trades none of BTCUSDC, ETHUSDC"):
            await parts.open()

    on_rig(scenario)


def test_an_answering_server_is_told_from_one_that_does_something_else() -> None:
    async def scenario(parts: Rig) -> None:
        assert await why_unreachable(parts.stub.url, 2.0) == ""
        parts.stub.override["ping"] = 5.0
        assert "no answer within 2 s" in await why_unreachable(parts.stub.url, 2.0)
        assert parts.clock.now_ms() == NOW + 2_000
        parts.stub.override["ping"] = web.Response(status=451, text="not in your country")
        assert "not in your country" in await why_unreachable(parts.stub.url, 2.0)
        parts.stub.override["ping"] = web.Response(status=418, headers={"Retry-After": "77"})
        assert "banned for 77 s" in await why_unreachable(parts.stub.url, 2.0)
        assert "127.0.0.1:1" in await why_unreachable("http://127.0.0.1:1", 2.0)

    on_rig(scenario)


def test_a_limited_stream_is_left_alone_for_as_long_as_asked() -> None:
    async def scenario(parts: Rig) -> None:
        await parts.listen()
        parts.stub.refuse = web.Response(status=429)
        assert parts.stub.socket is not None
        await parts.stub.socket.close()
        await parts.clock.sleep(50)
        assert "rate limited for 60 s" in parts.said[-1]
        tries = len(parts.stub.streams)
        await parts.clock.sleep(10)
        assert len(parts.stub.streams) == tries
        parts.stub.refuse = None
        await parts.connection()

    on_rig(scenario)


def test_a_paper_exchange_mirrors_another_one_candle_by_candle() -> None:
    contracts = {s: c for s, c in build_contracts("USDC").items() if s in SYMBOLS}
    said: list[str] = []

    async def main() -> tuple[LiveFeed, Recorder]:
        loop = asyncio.get_running_loop()
        clock = SimulatedClock(NOW, loop)
        supervisor = Supervisor(clock, lambda name, error, again: said.append(repr(error)))
        server = PaperServer(
            SyntheticFeed(list(contracts.values()), 7, NOW, 60),
            contracts,
            clock,
            supervisor,
            seed=7,
            balance=D(400),
            quote="USDC",
            api_key="key",
            api_secret="secret",
        )
        mirrors = Supervisor(clock, lambda name, error, again: said.append(repr(error)))
        with aiohttp_on_virtual_time(loop):
            endpoints = await server.start()
            await clock.sleep(90)
            feed = await LiveFeed.open(
                SYMBOLS,
                clock=clock,
                supervisor=mirrors,
                chance=Chance(1).stream("live"),
                report=said.append,
                rest_url=endpoints.rest,
                ws_url=endpoints.ws,
                history_minutes=30,
            )
            recorder = Recorder(clock)
            mirrors.spawn("mirror", lambda: feed.run(recorder, clock))
            await clock.sleep(10 * 60 + 5)
            await mirrors.close(5.0)
            await server.stop()
            await supervisor.close(5.0)
        return feed, recorder

    feed, recorder = virtually(main())
    assert said == []
    twin = SyntheticFeed(list(contracts.values()), 7, NOW + 60 * MINUTE, 120)
    for symbol in SYMBOLS:
        expected = {c.open_ms: c for c in twin.history(symbol)}
        mirrored = [*feed.history(symbol), *recorder.minutes(symbol)]
        assert [c.open_ms for c in mirrored] == [NOW + n * MINUTE for n in range(-29, 11)]
        assert len(recorder.minutes(symbol)) == 10
        for candle in mirrored:
            assert numbers(candle) == numbers(expected[candle.open_ms])
            assert candle.quote_volume == expected[candle.open_ms].quote_volume
        for candle in recorder.minutes(symbol)[1:]:
            ticks = [t for t in recorder.ticks(symbol) if 0 <= t.time_ms - candle.open_ms < MINUTE]
            assert max(t.price for t in ticks) == candle.high
            assert min(t.price for t in ticks) == candle.low
            assert ticks[-1].price == candle.close
            assert sum(t.volume for t in ticks) == candle.volume
