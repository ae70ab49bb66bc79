"""Section decide: a common candle close to verdicts and to the entry request (floor 8).

The whole daemon with its embedded paper exchange over real loopback, disk included: invented
prices, thirty symbols whose candles close together, a strategy that wants something on most of
them. Paper time runs faster than the clock on the wall; what is measured is real time, from the
closed candle's arrival out of the stream to the moment when the HTTP library asks for a connection
for the entry's signed request.
"""

import asyncio
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

import strategies
from core.app import Application, RunOptions
from core.assembly.exit_codes import ExitCode
from core.assembly.operator import OperatorDesk
from core.assembly.prices import choose_prices
from core.assembly.surroundings import Surroundings
from core.config import TradingConfig
from core.domain.facts import CandleEvaluated
from core.domain.market import Candle
from core.kernel.clock import SimulatedClock, stopwatch
from core.kernel.loops import run
from core.kernel.supervisor import Supervisor
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory
from tools.benchmarks.figures import MILLISECONDS, Effort, Section, SectionFailed, row

NAME = "decide"
TITLE = "a common candle close to verdicts and entries, whole daemon over loopback"
_SPEED = 20.0
_MINUTES = 4
"""Of paper time; after ten losing trades a day is over for the risk guard."""
_ORDER_PATHS = ("/fapi/v1/order", "/fapi/v1/batchOrders")
_CHURN = Path(__file__).resolve().parents[1] / "simulation" / "strategies"


@dataclass(slots=True)
class _Ear:
    """When candles arrived, and what came of them; real seconds."""

    arrived: dict[tuple[str, int], float] = field(default_factory=dict)
    verdicts: dict[int, list[float]] = field(default_factory=dict)
    approved: list[float] = field(default_factory=list)
    closes: dict[int, float] = field(default_factory=dict)
    decided: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)

    def listen(self, app: Application, operator: OperatorDesk) -> None:
        """Stand between market data and engine, and hear the verdicts."""
        engine = operator._trading.engine  # from outside there is no way in, and should be none
        take = engine.on_candle

        def noted(symbol: str, candle: Candle) -> None:
            self.candle(symbol, candle)
            take(symbol, candle)

        setattr(engine, "on_candle", noted)  # noqa: B010 - a measurement, not a design
        app._dispatcher.subscribe(CandleEvaluated, self.verdict)

    def candle(self, symbol: str, candle: Candle) -> None:
        now = stopwatch()
        self.arrived[symbol, candle.open_ms] = now
        self.closes.setdefault(candle.open_ms, now)

    def verdict(self, fact: CandleEvaluated) -> None:
        began = self.arrived.get((fact.symbol, fact.candle_open_ms))
        if began is None:
            return  # from history, before the stream
        self.verdicts.setdefault(fact.candle_open_ms, []).append(stopwatch())
        if fact.verdict.endswith("approved"):
            self.approved.append(began)
            self.decided.append(stopwatch() - began)

    def request(self) -> None:
        if self.approved:
            self.requests.append(stopwatch() - self.approved.pop(0))


class _Noting(aiohttp.TCPConnector):
    """TCP that notes when an entry asks for its connection."""

    def __init__(self, ear: _Ear) -> None:
        super().__init__(limit=0)
        self._ear = ear

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        if req.method == "POST" and req.url.path in _ORDER_PATHS:
            query = f"{req.url.query_string}{getattr(req.body, '_value', b'')!r}"
            if "-en0-" in query:
                self._ear.request()
        return await super().connect(req, traces, timeout)


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when no entry left."""
    verdicts: list[list[float]] = []
    approvals: list[list[float]] = []
    entries: list[list[float]] = []
    most = 0
    strategies.__path__.append(str(_CHURN))
    try:
        for seed in range(1, effort.pick(7, 2)):
            ear = _heard(seed)
            if not ear.requests:
                raise SectionFailed(f"no entry left within {_MINUTES} minutes of paper time")
            most = max(len(times) for times in ear.verdicts.values())
            verdicts.append(
                [
                    (max(times) - ear.closes[at]) * MILLISECONDS
                    for at, times in ear.verdicts.items()
                    if len(times) == most
                ]
            )
            approvals.append([seconds * MILLISECONDS for seconds in ear.decided])
            entries.append([seconds * MILLISECONDS for seconds in ear.requests])
    finally:
        strategies.__path__.remove(str(_CHURN))
    rows = (
        row(f"first candle of a close to the last of {most} verdicts", "ms", verdicts),
        row("closed candle to the approved entry", "ms", approvals),
        row("closed candle to the entry's request at the HTTP library", "ms", entries),
    )
    notes = (
        "the exchange works in the same process; intent and audit record are on disk first",
        f"paper time at {_SPEED:g} times the wall's",
    )
    return Section(NAME, TITLE, rows, notes)


def _heard(seed: int) -> _Ear:
    """One daemon from start to end. Raises SectionFailed when it did not end well."""
    ear, said = _Ear(), StringIO()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        redirect_stdout(said),
        redirect_stderr(said),
    ):
        code = _daemon(Path(folder), seed, ear)
    if code is not ExitCode.OK:
        raise SectionFailed(f"the daemon ended with {code}: {said.getvalue().splitlines()[-1:]}")
    return ear


def _daemon(folder: Path, seed: int, ear: _Ear) -> ExitCode:
    config = TradingConfig(
        DRY_RUN="true",
        PAPER_FEED="synthetic",
        PAPER_SPEED=str(_SPEED),
        PAPER_SEED=str(seed),
        PAPER_BALANCE="10000",
        DATA_DIR=folder / "data",
        LOGS_DIR=folder / "logs",
        STRATEGY="churn",
        TIMEFRAME="1m",
        TIER="aggressive",
        MAX_HOLD_MINUTES="1",
        MAX_CONCURRENT_POSITIONS="5",
        MAX_SL_STREAK="20",
        SL_VERIFY_TIMEOUT="30",
    )
    source = choose_prices(config)
    if source.epoch_ms is None:
        raise SectionFailed("the prices have no beginning")
    epoch_ms = source.epoch_ms

    async def main() -> ExitCode:
        loop = asyncio.get_running_loop()
        with aiohttp_on_virtual_time(loop):
            clock = SimulatedClock(epoch_ms, loop)
            surroundings = Surroundings(connector=lambda: _Noting(ear), seed=7, signals=False)
            app = Application(config, RunOptions(), source, clock, surroundings)
            supervisor = Supervisor(
                clock, lambda name, error, _: app.request_stop(f"{name}: {error!r}")
            )
            supervisor.spawn("watch", lambda: _watch(app, clock, ear))
            try:
                return await app.run()
            finally:
                await supervisor.close(1.0)

    return run(main(), loop_factory=virtual_loop_factory(_SPEED, outside=True))


async def _watch(app: Application, clock: SimulatedClock, ear: _Ear) -> None:
    """Listen in as soon as the parts are there; end the run when enough was heard."""
    while (operator := app.operator) is None:
        await clock.sleep(0.01)
    ear.listen(app, operator)
    while not app.ready:
        await clock.sleep(0.1)
    await clock.sleep(_MINUTES * 60.0)
    app.request_stop("enough was measured")
