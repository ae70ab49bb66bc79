"""Section absorb: market streams of 200 symbols at many times their real rate (floor 8).

A child process fills the exchange's combined streams over real loopback sockets; this process is
the daemon's market stream, and evaluates all symbols twice a second beside, as after a common
candle close. The lag is the age of a mark price when it arrives; it must not grow. Beside it: what
the candles of 200 symbols cost in memory.
"""

import json
import tracemalloc
from dataclasses import dataclass, field

from core.domain.market import Candle, MarkPrice
from core.exchange.candle_series import CandleSeries
from core.exchange.endpoints import Endpoints, StreamRoute
from core.exchange.market_stream import MarketStream
from core.exchange.symbols import SymbolMap
from core.kernel.chance import Chance
from core.kernel.clock import LiveClock, stopwatch
from core.kernel.loops import live_loop_factory, run
from core.kernel.supervisor import Supervisor
from core.strategy_manager import StrategyManager, load_strategy
from tools.benchmarks.child import Child
from tools.benchmarks.figures import MILLISECONDS, Effort, Row, Section, SectionFailed, row
from tools.benchmarks.flood import REAL_RATE

NAME = "absorb"
TITLE = "market streams of 200 symbols at ten times their real rate, over loopback"
_SYMBOLS, _TIMES = 200, 10
_CANDLES, _STEP_MS = 500, 900_000
_LIMIT_S = 15.0
_PASS_S = 0.5


@dataclass(slots=True)
class _Ear:
    """The sink of the stream: ages of mark prices in milliseconds, in the order of arrival."""

    clock: LiveClock
    lags: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    down: str = ""

    def on_stream_candle(self, symbol: str, candle: Candle) -> None:
        raise AssertionError("no candle closes here")

    def on_stream_mark(self, mark: MarkPrice) -> None:
        self.lags.append((self.clock.now_us() - mark.event_ms) / MILLISECONDS)

    def on_stream_up(self, route: StreamRoute, symbols: tuple[str, ...]) -> None:
        pass

    def on_stream_down(self, route: StreamRoute, reason: str) -> None:
        self.down = f"{route.value}: {reason}"


class _Counting(MarketStream):
    """The daemon's market stream, which also counts its frames."""

    frames = 0

    def _on_frame(self, frame: bytes) -> None:
        self.frames += 1
        super()._on_frame(frame)


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when a connection broke or nothing came."""
    seconds = effort.pick(30, 1)
    rate = REAL_RATE * _SYMBOLS * _TIMES
    with Child(
        ["-m", "tools.benchmarks.flood", "--rate", str(rate), "--symbols", str(_SYMBOLS)], '"ws"'
    ) as child:
        _, line = child.ready(_LIMIT_S)
        ear, absorbed = run(
            _absorb(json.loads(line)["ws"], seconds), loop_factory=live_loop_factory()
        )
    third = len(ear.lags) // 3
    first, last = ear.lags[:third], ear.lags[-third:]
    begin = row("age of a mark price on arrival, first third", "ms", [first])
    rows = (
        row("messages absorbed", "1/s", [[absorbed]]),
        begin,
        row("age of a mark price on arrival, last third", "ms", [last]).against(
            begin, "first third"
        ),
        row(f"evaluation of {_SYMBOLS} symbols meanwhile", "ms", [ear.passes]),
        _memory(),
    )
    return Section(NAME, TITLE, rows, (f"offered: {rate:,.0f} messages a second for {seconds} s",))


async def _absorb(ws: str, seconds: float) -> tuple[_Ear, float]:
    clock = LiveClock()
    failures: list[str] = []
    supervisor = Supervisor(clock, lambda name, error, _: failures.append(f"{name}: {error!r}"))
    names = tuple(f"X{n:03d}/USDC:USDC" for n in range(_SYMBOLS))
    ear = _Ear(clock)
    manager = StrategyManager([load_strategy("scalping_v1")], "15m")
    stores = [_series(300) for _ in range(_SYMBOLS)]
    stream = _Counting(
        Endpoints("http://127.0.0.1:1", ws),
        SymbolMap(),
        "15m",
        ear,
        clock=clock,
        supervisor=supervisor,
        chance=Chance(1),
    )
    stream.set_symbols(names)
    try:
        await _flowing(stream, clock)
        supervisor.spawn("evaluate", lambda: _evaluate(manager, stores, ear, clock))
        ear.lags.clear()
        stream.frames, began = 0, stopwatch()
        await clock.sleep(seconds)
        absorbed = stream.frames / (stopwatch() - began)
    finally:
        await stream.close()
        await supervisor.close(_LIMIT_S)
    if failures or ear.down:
        raise SectionFailed(failures[0] if failures else ear.down)
    return ear, absorbed


async def _flowing(stream: _Counting, clock: LiveClock) -> None:
    deadline = clock.monotonic() + _LIMIT_S
    while not stream.is_up:
        if clock.monotonic() > deadline:
            raise SectionFailed(f"no message within {_LIMIT_S:g} s")
        await clock.sleep(0.05)
    await clock.sleep(1.0)


async def _evaluate(
    manager: StrategyManager, stores: list[CandleSeries], ear: _Ear, clock: LiveClock
) -> None:
    """What the engine does after a common candle close, pauses between symbols included."""
    while True:
        began = stopwatch()
        for number, series in enumerate(stores):
            manager.evaluate(f"X{number:03d}/USDC:USDC", series.arrays())
            await clock.sleep(0)
        ear.passes.append((stopwatch() - began) * MILLISECONDS)
        await clock.sleep(_PASS_S)


def _series(count: int) -> CandleSeries:
    series = CandleSeries(_STEP_MS, count)
    for n in range(count):
        price = 2.0 + n % 17 / 100
        series.offer(Candle(n * _STEP_MS, price, price + 0.02, price - 0.02, price + 0.01, 100.0))
    return series


def _memory() -> Row:
    """What 200 symbols with 500 candles each hold, by the allocator's own count."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    stores = [_series(_CANDLES) for _ in range(_SYMBOLS)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    mebibytes = (after - before) / 1_048_576
    return row(f"candles of {len(stores)} symbols, {_CANDLES} each", "MiB", [[mebibytes]])
