"""Mirrors the public prices of a Binance-compatible server (floor 2c).

History comes by REST, then the 1m kline stream. The last price of each push is a tick; an extreme
reached between two pushes is played before it. Minutes that were missed (a lost connection, a
closing push that never came) are fetched by REST and played along their path before newer prices,
so no minute is skipped and a stop inside them is still hit. Order is kept per symbol.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from random import Random

import aiohttp

from core.domain.errors import RetryLater
from core.domain.ports import Clock
from core.kernel.supervisor import Supervisor
from core.paper.candles import CandleBook
from core.paper.model import FeedSink, PaperCandle, Tick
from core.paper.public_data import KlineEvent, Limited, PublicData, StreamRow, minute_of

MINUTE_MS = 60_000
OFFSETS_MS = (0, 20_000, 40_000, 59_900)
"""Where in a minute that was missed its four ticks stand."""
REST_URL = "https://fapi.binance.com"
WS_URL = "wss://fstream.binance.com"
HISTORY_MINUTES = 4_600
_WORKERS = 4
_TRIES = 3
"""How often a minute is asked for that the server has begun and does not list yet."""
_SAMPLE_MINUTES = 240
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0

Sessions = Callable[[], aiohttp.ClientSession]
Report = Callable[[str], None]


async def why_unreachable(
    rest_url: str, timeout: float, sessions: Sessions = aiohttp.ClientSession
) -> str:
    """Empty when the server answers a ping within `timeout` seconds, else what it does instead."""
    async with sessions() as session:
        try:
            await PublicData(session, rest_url, "").ping(timeout)
        except RetryLater as error:
            return str(error)
        return ""


@dataclass(slots=True)
class _Progress:
    """What of one symbol was delivered; `due` is the minute to come or in progress."""

    due: int
    tries: int = 0
    time: int = 0
    started: bool = False
    gap: bool = True
    price: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    low: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)


class _Outage:
    """Tells of interruptions and how long to wait before the next try."""

    def __init__(self, clock: Clock, chance: Random, report: Report) -> None:
        self._clock = clock
        self._chance = chance
        self._report = report
        self._pause = _FIRST_PAUSE_S
        self._since: float | None = None

    def goes_on(self, error: RetryLater) -> float:
        """Seconds to wait after a failure."""
        wait = self._pause * self._chance.uniform(0.5, 1.5)
        if isinstance(error, Limited):
            wait += error.wait_s
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)
        if self._since is None:
            self._since = self._clock.monotonic()
        self._report(f"live prices interrupted, next try in {wait:.1f} s: {error}")
        return wait

    def over(self) -> None:
        """Prices arrive."""
        self._pause = _FIRST_PAUSE_S
        if self._since is not None:
            away, self._since = self._clock.monotonic() - self._since, None
            self._report(f"live prices are back after {away:.0f} s")


class LiveFeed:
    """Made by `open`. Prices are real, the market they trade in is the paper exchange's model."""

    def __init__(
        self,
        past: CandleBook,
        due: dict[str, int],
        start_ms: int,
        rest_url: str,
        ws_url: str,
        sessions: Sessions,
        chance: Random,
        report: Report,
    ) -> None:
        self._past = past
        self._progress = {symbol: _Progress(at) for symbol, at in due.items()}
        self._start = start_ms
        self._rest_url = rest_url
        self._ws_url = ws_url
        self._sessions = sessions
        self._chance = chance
        self._report = report

    @classmethod
    async def open(
        cls,
        symbols: Sequence[str],
        *,
        clock: Clock,
        supervisor: Supervisor,
        chance: Random,
        report: Report,
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
        history_minutes: int = HISTORY_MINUTES,
        sessions: Sessions = aiohttp.ClientSession,
    ) -> "LiveFeed":
        """Read the history of those `symbols` that trade there now.

        Raises RetryLater when the server cannot be read or trades none of them.
        """
        async with sessions() as session:
            data = PublicData(session, rest_url, ws_url)
            now = min(clock.now_ms(), await data.time_ms())  # a minute open there is not history
            start = now - now % MINUTE_MS
            trading = await data.trading()
            chosen = [symbol for symbol in symbols if symbol in trading]
            if not chosen:
                raise RetryLater(f"{rest_url}: trades none of {', '.join(symbols)}")
            since = start - history_minutes * MINUTE_MS
            past = await _history(data, chosen, since, start, supervisor)
        due = {}
        for symbol in chosen:
            last = past.klines(symbol, "1m", limit=1, now_ms=start)
            due[symbol] = last[-1].open_ms + MINUTE_MS if last else start
        return cls(past, due, start, rest_url, ws_url, sessions, chance, report)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._progress)

    @property
    def start_ms(self) -> int:
        return self._start

    @property
    def end_ms(self) -> int | None:
        return None

    @property
    def simulated(self) -> bool:
        return False

    def describe(self) -> str:
        return f"live public prices of {len(self._progress)} symbols from {self._rest_url}"

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        """Raises KeyError for an unknown symbol."""
        return self._recent(symbol, self._start // MINUTE_MS)

    def samples(self) -> dict[str, tuple[PaperCandle, ...]]:
        """The last minutes of each symbol, enough to see its tick."""
        return {symbol: self._recent(symbol, _SAMPLE_MINUTES) for symbol in self._progress}

    def _recent(self, symbol: str, count: int) -> tuple[PaperCandle, ...]:
        rows = self._past.klines(symbol, "1m", limit=count, now_ms=self._start)
        return tuple(minute_of(symbol, row) for row in rows)

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        """Deliver until cancelled, reconnecting with growing, jittered pauses.

        A server that limits or bans this address is left alone for as long as it asks. Each
        interruption is reported with its reason, and so is its end.
        """
        outage = _Outage(clock, self._chance, self._report)
        async with self._sessions() as session:
            data = PublicData(session, self._rest_url, self._ws_url)
            while True:
                for progress in self._progress.values():
                    progress.gap = True
                try:
                    async with data.klines(self.symbols) as stream:
                        while True:
                            await self._take(await stream.next(), data, sink)
                            outage.over()
                except RetryLater as error:
                    wait = outage.goes_on(error)
                await clock.sleep(wait)

    async def _take(self, event: KlineEvent, data: PublicData, sink: FeedSink) -> None:
        progress = self._progress.get(event.symbol)
        row = event.row
        if progress is None or row.open_ms < progress.due:
            return  # a late repetition of a minute that is closed here
        if row.open_ms > progress.due:
            await self._play_missed(event.symbol, row.open_ms, data, sink)
            progress = self._progress[event.symbol]
        for tick in _ticks(event, progress):
            sink.on_tick(tick)
        if row.closed:
            sink.on_minute(minute_of(event.symbol, row))
            self._progress[event.symbol] = _Progress(row.open_ms + MINUTE_MS)

    async def _play_missed(
        self, symbol: str, until_ms: int, data: PublicData, sink: FeedSink
    ) -> None:
        """Bring `symbol` to the minute that opens at `until_ms`, which the server has begun.

        Its REST side may be a moment behind its streams: the newest minutes are asked for again.
        After some tries the server does not have them, and they stay out. Raises RetryLater.
        """
        progress = self._progress[symbol]
        missed = await data.minutes(symbol, progress.due, until_ms)
        newest = missed[-1].open_ms if missed else progress.due - MINUTE_MS
        if newest < until_ms - MINUTE_MS and progress.tries < _TRIES:
            progress.tries += 1
            raise RetryLater(f"{symbol}: a minute that is over is not listed yet")
        for candle in missed:
            for tick in path_ticks(candle):
                sink.on_tick(tick)
            sink.on_minute(candle)
        self._progress[symbol] = _Progress(until_ms)


def path_ticks(candle: PaperCandle) -> Iterator[Tick]:
    """Four ticks along the path of a closed minute, a quarter of the volume at each."""
    c = candle
    first, second = (c.low, c.high) if c.close >= c.open else (c.high, c.low)
    share = (c.volume / 4).quantize(c.volume, ROUND_DOWN)
    volumes = (share, share, share, c.volume - 3 * share)
    prices = (c.open, first, second, c.close)
    for offset, price, volume in zip(OFFSETS_MS, prices, volumes, strict=True):
        yield Tick(c.symbol, c.open_ms + offset, price, volume, offset == 0)


def _ticks(event: KlineEvent, progress: _Progress) -> Iterator[Tick]:
    """What a push adds to what was delivered of its minute."""
    row = event.row
    last_ms = row.open_ms + MINUTE_MS - 1
    progress.time = min(max(event.event_ms, progress.time, row.open_ms), last_ms)
    prices = _new_prices(row, progress)
    traded = row.volume - progress.volume
    if not prices and traded:
        prices = [row.close]
    progress.price, progress.volume, progress.started = row.close, row.volume, True
    progress.high, progress.low = row.high, row.low
    for n, price in enumerate(prices, start=1):
        volume = traded if n == len(prices) else Decimal(0)
        yield Tick(event.symbol, progress.time, price, volume, progress.gap)
        progress.gap = False


def _new_prices(row: StreamRow, progress: _Progress) -> list[Decimal]:
    """Prices since the last push, each different from the one before it."""
    found: list[Decimal] = []
    high, low, last = progress.high, progress.low, progress.price
    if not progress.started:
        found.append(row.open)
        high = low = last = row.open
    extremes = []
    if row.low < low:
        extremes.append(row.low)
    if row.high > high:
        extremes.append(row.high)
    if row.close < last:
        extremes.reverse()
    for price in (*extremes, row.close):
        if price != (found[-1] if found else last):
            found.append(price)
    return found


async def _history(
    data: PublicData, symbols: Sequence[str], since: int, before: int, supervisor: Supervisor
) -> CandleBook:
    """Closed minutes of all symbols, a few requests at a time."""
    past = CandleBook(symbols)
    waiting = list(reversed(symbols))
    loaded: list[str] = []
    failures: list[str] = []

    async def work() -> None:
        while waiting and not failures:
            symbol = waiting.pop()
            try:
                past.load(symbol, await data.minutes(symbol, since, before))
            except (RetryLater, ValueError) as error:
                failures.append(str(error))
                return
            loaded.append(symbol)

    workers = [supervisor.spawn(f"paper.history.{n}", work) for n in range(_WORKERS)]
    try:
        for worker in workers:
            await worker
    finally:
        for worker in workers:
            worker.cancel()
    if len(loaded) < len(symbols):
        reason = failures[0] if failures else "a worker failed"
        raise RetryLater(f"history of live prices is incomplete: {reason}")
    return past
