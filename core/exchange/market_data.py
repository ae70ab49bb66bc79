"""Market data for the deciding floors (floor 2a): candles, marks, book tops, 24 h statistics.

Streams deliver; REST fills the start, every gap and every silence. A closed candle reaches the
sink once and in order: the newest one at the start, every one after that, those found by repair
included. A watch looks each second for candles that are overdue, so a missed closing push, a dead
stream and a stream that is connected but silent all end in the same repair. Without streams
(switched off, or down) the same watch is the polling mode.

Keeps INV-14 (age of data is known) and INV-16 (bounded store, bounded retries per time).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.domain.enums import Severity, StreamState
from core.domain.errors import VenueError
from core.domain.facts import Alert, DaemonFact, StreamChanged
from core.domain.market import (
    NO_CANDLES,
    BookTop,
    Candle,
    CandleArrays,
    MarkPrice,
    Ticker24h,
    timeframe_ms,
)
from core.domain.ports import CandleSink, Clock
from core.exchange.candle_series import CandleSeries, Verdict, defect
from core.exchange.endpoints import Endpoints, StreamRoute
from core.exchange.gateway import ConnectorFactory
from core.exchange.market_stream import MarketStream
from core.exchange.symbols import SymbolMap
from core.kernel.chance import Chance
from core.kernel.supervisor import Restart, Supervisor, Work

NAME = "market-stream"
TICKERS_EVERY_S = 60.0
PRICES_EVERY_S = 5.0
WATCH_EVERY_S = 1.0
SILENCE_LIMITS_S = {StreamRoute.MARKET: 15.0, StreamRoute.PUBLIC: 60.0}
"""Mark prices come every three seconds; book tops only when something moves."""
SYMBOL_SILENCE_S = 60.0
STREAM_GRACE_MS = 4_000
"""The closing push may come two seconds after the boundary."""
POLL_GRACE_MS = 1_000
RETRY_CAP_S = 30.0
WORKERS = 4
_FOREVER = Restart(limit=1_000, window=3_600.0, pause=1.0)
_NEVER_MS = 2**53


class MarketApi(Protocol):
    """What market data needs of the exchange client."""

    @property
    def symbols(self) -> SymbolMap: ...

    def exchange_now_ms(self) -> int: ...

    async def get_candles(
        self, symbol: str, timeframe: str, limit: int = ..., start_ms: int | None = ...
    ) -> list[Candle]: ...

    async def get_tickers(self) -> dict[str, Ticker24h]: ...

    async def get_book_tops(self) -> dict[str, BookTop]: ...

    async def get_mark_prices(self) -> dict[str, MarkPrice]: ...


@dataclass(frozen=True, slots=True)
class Freshness:
    """Ages in ms: of the last closed candle's close, the mark price, the book top."""

    candle_age_ms: int
    mark_age_ms: int
    book_age_ms: int
    candles: int
    streaming: bool


@dataclass(frozen=True, slots=True)
class MarketDataView:
    """State for metrics and status."""

    state: StreamState
    symbols: int
    reconnects: int
    repairs: int
    skipped: dict[str, int]


@dataclass(slots=True)
class _Track:
    """What is known and wanted of one symbol. Times in monotonic seconds."""

    series: CandleSeries
    loaded: bool = False
    failures: int = 0
    not_before: float = 0.0
    mark_at: float = 0.0
    silent: bool = False


class MarketData:
    """Implements `MarketView`. `history` closed candles are kept per symbol."""

    def __init__(
        self,
        client: MarketApi,
        endpoints: Endpoints,
        sink: CandleSink,
        *,
        timeframe: str,
        history: int,
        clock: Clock,
        supervisor: Supervisor,
        chance: Chance,
        publish: Callable[[DaemonFact], None],
        use_streams: bool = True,
        connector: ConnectorFactory | None = None,
    ) -> None:
        self._client = client
        self._sink = sink
        self._timeframe = timeframe
        self._step_ms = timeframe_ms(timeframe)
        self._history = history
        self._clock = clock
        self._supervisor = supervisor
        self._publish = publish
        self._use_streams = use_streams
        self._stream = MarketStream(
            endpoints,
            client.symbols,
            timeframe,
            self,
            clock=clock,
            supervisor=supervisor,
            chance=chance,
            connector=connector,
        )
        self._tracks: dict[str, _Track] = {}
        self._marks: dict[str, MarkPrice] = {}
        self._tickers: dict[str, Ticker24h] = {}
        self._wanted: dict[str, None] = {}
        self._busy: dict[str, None] = {}
        self._work = asyncio.Event()
        self._loaded = asyncio.Event()
        self._state = StreamState.CLOSED
        self._repairs = 0
        self._skipped: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    # --- life ------------------------------------------------------------------------------------

    def start(self, symbols: tuple[str, ...]) -> None:
        """Begin to load history and to stream, in the background."""
        if self._use_streams:
            self._change(StreamState.CONNECTING, "starting")
        else:
            self._change(StreamState.DEGRADED, "streams are switched off; polling REST")
        self.set_symbols(symbols)
        for number in range(WORKERS):
            self._spawn(f"market-repair-{number}", self._repair_loop)
        self._spawn("market-watch", self._watch_loop)
        self._spawn("market-tickers", self._ticker_loop)
        self._spawn("market-prices", self._price_loop)

    async def wait_loaded(self) -> None:
        """Return when history of every symbol was asked for once, successfully or not."""
        await self._loaded.wait()

    def set_symbols(self, symbols: tuple[str, ...]) -> None:
        """Change the universe; history of new symbols is loaded, that of dropped ones forgotten."""
        wanted = tuple(dict.fromkeys(symbols))
        for gone in [symbol for symbol in self._tracks if symbol not in wanted]:
            del self._tracks[gone]
            self._marks.pop(gone, None)
            self._wanted.pop(gone, None)
        now = self._clock.monotonic()
        self._loaded.clear()
        for symbol in wanted:
            if symbol not in self._tracks:
                series = CandleSeries(self._step_ms, self._history)
                self._tracks[symbol] = _Track(series, mark_at=now)
                self._want(symbol)
        if self._use_streams:
            self._stream.set_symbols(wanted)
        self._check_loaded()

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stream.close()
        if tasks:
            self._change(StreamState.CLOSED, "closed")

    # --- view ------------------------------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._tracks)

    @property
    def state(self) -> StreamState:
        return self._state

    def mark(self, symbol: str) -> MarkPrice | None:
        return self._marks.get(symbol)

    def book(self, symbol: str) -> BookTop | None:
        return self._stream.book(symbol)

    def ticker(self, symbol: str) -> Ticker24h | None:
        """The newer of what the stream and REST have told."""
        streamed, asked = self._stream.ticker(symbol), self._tickers.get(symbol)
        if streamed is None or (asked is not None and asked.event_ms > streamed.event_ms):
            return asked
        return streamed

    def candles(self, symbol: str) -> CandleArrays:
        """Closed candles, oldest first, without holes; read-only, nothing is copied."""
        track = self._tracks.get(symbol)
        return track.series.arrays() if track else NO_CANDLES

    def age_ms(self, symbol: str) -> int:
        """Milliseconds since the newest known candle closed: the age of what a strategy sees."""
        track = self._tracks.get(symbol)
        last = track.series.last_open_ms if track else None
        if last is None:
            return _NEVER_MS
        return self._client.exchange_now_ms() - last - self._step_ms

    def freshness(self, symbol: str) -> Freshness:
        now_ms = self._client.exchange_now_ms()
        mark, book = self.mark(symbol), self.book(symbol)
        return Freshness(
            candle_age_ms=self.age_ms(symbol),
            mark_age_ms=now_ms - mark.event_ms if mark else _NEVER_MS,
            book_age_ms=now_ms - book.event_ms if book else _NEVER_MS,
            candles=len(self.candles(symbol)),
            streaming=self._state is StreamState.LIVE,
        )

    def view(self) -> MarketDataView:
        return MarketDataView(
            state=self._state,
            symbols=len(self._tracks),
            reconnects=self._stream.reconnects,
            repairs=self._repairs,
            skipped=dict(self._skipped),
        )

    # --- from the streams ------------------------------------------------------------------------

    def on_stream_candle(self, symbol: str, candle: Candle) -> None:
        track = self._tracks.get(symbol)
        if track is None or not track.loaded:
            return  # history will contain it
        verdict = track.series.offer(candle)
        if verdict is Verdict.APPENDED:
            self._sink.on_candle(symbol, candle)
        elif verdict is Verdict.OLD:
            self._skipped["duplicate or late"] += 1
        else:
            reason = defect(candle, self._step_ms) or "a candle before it is missing"
            self._skipped[reason] += 1
            self._want(symbol)

    def on_stream_mark(self, mark: MarkPrice) -> None:
        track = self._tracks.get(mark.symbol)
        if track is None:
            return
        self._marks[mark.symbol] = mark
        track.mark_at = self._clock.monotonic()
        if track.silent:
            track.silent = False
            self._alert(Severity.INFO, f"{mark.symbol}: prices flow again")

    def on_stream_up(self, route: StreamRoute, symbols: tuple[str, ...]) -> None:
        if route is StreamRoute.MARKET:
            for symbol in symbols:
                self._want(symbol)

    def on_stream_down(self, route: StreamRoute, reason: str) -> None:
        self._change(StreamState.DEGRADED, f"{route.value}: {reason}; polling REST")

    # --- repair ----------------------------------------------------------------------------------

    def _want(self, symbol: str) -> None:
        if symbol in self._tracks:
            self._wanted[symbol] = None
            self._work.set()

    async def _repair_loop(self) -> None:
        while True:
            symbol = next((each for each in self._wanted if each not in self._busy), None)
            if symbol is None:
                self._work.clear()
                await self._work.wait()
                continue
            del self._wanted[symbol]
            self._busy[symbol] = None
            try:
                await self._repair(symbol)
            finally:
                del self._busy[symbol]
                if self._wanted:
                    self._work.set()

    async def _repair(self, symbol: str) -> None:
        """Ask REST for the closed candles that are missing and take them in."""
        track = self._tracks.get(symbol)
        if track is None:
            return
        start_ms, missing = self._missing(track)
        if missing <= 0 or self._clock.monotonic() < track.not_before:
            return
        try:
            found = await self._client.get_candles(symbol, self._timeframe, missing, start_ms)
        except VenueError as error:
            self._postpone(track)
            self._skipped[f"repair failed: {type(error).__name__}"] += 1
        else:
            self._take(symbol, track, found)
        self._check_loaded()

    def _missing(self, track: _Track) -> tuple[int, int]:
        """Open time of the first candle to ask for and how many have closed since."""
        end_ms = self._client.exchange_now_ms() // self._step_ms * self._step_ms
        oldest = end_ms - self._history * self._step_ms
        due = track.series.next_open_ms
        start_ms = oldest if due is None else max(due, oldest)
        return start_ms, (end_ms - start_ms) // self._step_ms

    def _take(self, symbol: str, track: _Track, found: list[Candle]) -> None:
        if self._tracks.get(symbol) is not track:
            return  # dropped from the universe meanwhile
        first, track.loaded = not track.loaded, True
        fresh = 0
        for candle in found:
            verdict = track.series.offer(candle)
            if verdict is Verdict.GAP:
                # REST does not have what is missing either: start again behind the hole.
                self._skipped["hole in the exchange's history"] += 1
                track.series.restart()
                verdict = track.series.offer(candle)
            if verdict is Verdict.BAD:
                self._skipped[defect(candle, self._step_ms)] += 1
            elif verdict is Verdict.APPENDED:
                fresh += 1
                if not first:
                    self._sink.on_candle(symbol, candle)
        last = track.series.last
        if first and last is not None:
            self._sink.on_candle(symbol, last)
        if not first:
            self._repairs += fresh
        if fresh:
            track.failures = 0
        else:
            self._postpone(track)

    def _postpone(self, track: _Track) -> None:
        delay = min(2.0**track.failures, RETRY_CAP_S)
        track.failures = min(track.failures + 1, 10)
        track.not_before = self._clock.monotonic() + delay

    def _check_loaded(self) -> None:
        if all(track.loaded or track.failures for track in self._tracks.values()):
            self._loaded.set()

    # --- watch and poll --------------------------------------------------------------------------

    async def _watch_loop(self) -> None:
        while True:
            await self._clock.sleep(WATCH_EVERY_S)
            if self._use_streams:
                await self._watch_streams()
            self._watch_candles()

    async def _watch_streams(self) -> None:
        for route, silent_s in await self._stream.silence(SILENCE_LIMITS_S):
            text = f"{route.value} stream connected but silent for {silent_s:.0f} s"
            self._alert(Severity.WARNING, text)
        if self._stream.is_up:
            self._change(StreamState.LIVE, "streaming")
            self._watch_symbols()

    def _watch_symbols(self) -> None:
        """A symbol that is silent while others flow is halted, delisted or misspelt."""
        now = self._clock.monotonic()
        for symbol, track in self._tracks.items():
            if not track.silent and now - track.mark_at > SYMBOL_SILENCE_S:
                track.silent = True
                text = f"{symbol}: no price for {SYMBOL_SILENCE_S:.0f} s while others flow"
                self._alert(Severity.WARNING, text)

    def _watch_candles(self) -> None:
        grace = STREAM_GRACE_MS if self._state is StreamState.LIVE else POLL_GRACE_MS
        limit = self._client.exchange_now_ms() - grace - self._step_ms
        for symbol, track in self._tracks.items():
            due = track.series.next_open_ms
            if due is None or due <= limit:
                self._want(symbol)

    async def _ticker_loop(self) -> None:
        """24 h statistics by REST at the start and while the streams are down."""
        while True:
            if self._state is not StreamState.LIVE:
                await self._poll_tickers()
            await self._clock.sleep(TICKERS_EVERY_S)

    async def _poll_tickers(self) -> None:
        try:
            self._tickers = await self._client.get_tickers()
        except VenueError as error:
            self._skipped[f"tickers failed: {type(error).__name__}"] += 1

    async def _price_loop(self) -> None:
        """Marks and book tops by REST at the start and while the streams are down."""
        while True:
            if self._state is not StreamState.LIVE:
                await self._poll_prices()
            await self._clock.sleep(PRICES_EVERY_S)

    async def _poll_prices(self) -> None:
        try:
            marks = await self._client.get_mark_prices()
            books = await self._client.get_book_tops()
        except VenueError as error:
            self._skipped[f"prices failed: {type(error).__name__}"] += 1
            return
        for symbol in self._tracks:
            mark, book = marks.get(symbol), books.get(symbol)
            if mark is not None:
                self.on_stream_mark(mark)
            if book is not None:
                self._stream.put_book(book)

    # --- telling ---------------------------------------------------------------------------------

    def _spawn(self, name: str, work: Work) -> None:
        self._tasks.append(self._supervisor.spawn(name, work, _FOREVER))

    def _change(self, state: StreamState, detail: str) -> None:
        if state is not self._state:
            self._state = state
            self._publish(StreamChanged(NAME, state, detail, self._clock.now_ms()))

    def _alert(self, severity: Severity, text: str) -> None:
        self._publish(Alert(severity, NAME, text, self._clock.now_ms()))
