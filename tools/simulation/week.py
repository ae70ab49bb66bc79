"""Days on end with the strategy an operator would run (floor 8).

Nothing violent: what a real week has. Every socket is cut each 24 hours and the listen key expires
once a day; once in the run the exchange is away for maintenance, bans the address for minutes, and
the daemon is stopped in order and killed. Judged as any seed is, and besides: after the first day
memory and tasks stay what they are.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from core.kernel.clock import stopwatch
from core.paper.contracts import default_bases
from core.simulation.observer import Violation
from core.simulation.schedule import HEAL_S, FaultKind, Script, Strike
from tools.simulation.campaign import SeedRun, drive
from tools.simulation.measure import (
    Share,
    TimeShares,
    process_bytes,
    processor_s,
    reachable_bytes,
)
from tools.simulation.timeline import write_timeline
from tools.simulation.world import WorldPlan

DAY_S = 86_400.0
_HOUR_S = 3_600.0
_QUOTE = "USDT"
_MORE = ("DOT", "TRX", "APT", "OP", "INJ", "ATOM", "ETC", "XLM", "ALGO", "SEI")
"""Coins after those that the exchange lists by itself."""
_TICK_MS = 5_000
_LATENCY_MS, _JITTER_MS = 40, 20
_BALANCE = Decimal(50_000)
_STRATEGY = {
    "STRATEGY": "scalping_v1",
    "TIER": "aggressive",
    "MAX_SL_STREAK": "20",
    "MIN_24H_VOLUME": "0",
    "MAX_SPREAD_PCT": "0.002",
}
"""The strategy as it is; gates are wide where they would keep it from trading all week."""
MOST_GROWTH = 0.02
_READING = "GET /fapi/v3/positionRisk"
"""Asked once by every reconcile."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory in bytes and tasks of the daemon at a virtual hour; `process` is all of it."""

    hour: int
    life: str
    daemon: int
    process: int
    tasks: int


@dataclass(slots=True)
class WeekResult:
    """What became of it. `repairs` is what reconciles had to mend, mostly after a trouble."""

    days: float
    symbols: int
    fills: int = 0
    trades: int = 0
    reconciles: int = 0
    comparisons: int = 0
    repairs: int = 0
    lives: int = 0
    faults: dict[FaultKind, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    shares: dict[Share, float] = field(default_factory=dict)
    real_s: float = 0.0
    processor_s: float = 0.0
    timeline: Path | None = None

    @property
    def growth(self) -> float | None:
        """Of the daemon's memory from the first whole day of its last life to the end, as a part.

        Least of the day's samples against least: what is held at rest. None below two days.
        """
        last = self.samples[-1].life if self.samples else ""
        mine = [row for row in self.samples if row.life == last]
        if not mine or mine[-1].hour - mine[0].hour < 48:
            return None
        start, end = mine[0].hour + 12, mine[-1].hour - 12
        early = min(row.daemon for row in mine if start <= row.hour < start + 12)
        late = min(row.daemon for row in mine if row.hour >= end)
        return late / early - 1


def week_symbols(count: int) -> tuple[str, ...]:
    """So many contracts, most traded first. Raises ValueError when there are not enough."""
    known = (*default_bases(_QUOTE), *_MORE)
    names = tuple(f"{base}{_QUOTE}" for base in dict.fromkeys(known))
    if not 1 <= count <= len(names):
        raise ValueError(f"--symbols must be 1 to {len(names)}, not {count}")
    return names[:count]


def week_script(seed: int, days: float, symbols: tuple[str, ...]) -> Script:
    """What happens when. Times in parts of the run, but daily events daily."""
    end = days * DAY_S
    strikes = [
        Strike(0.22 * end, FaultKind.STOP, 0.5),
        Strike(0.34 * end, FaultKind.KILL, 0.5),
        Strike(0.37 * end, FaultKind.BANNED, 0.0, seconds=300.0),
        Strike(0.40 * end, FaultKind.MAINTENANCE, 0.0, seconds=900.0),
    ]
    for day in range(int(days) + 1):
        strikes.append(Strike((day + 0.55) * DAY_S, FaultKind.KEY_EXPIRED, 0.5))
        strikes.append(Strike((day + 0.999) * DAY_S, FaultKind.STREAMS_CUT, 0.5))
    return Script(
        seed=seed,
        hours=days * 24,
        symbols=symbols,
        tick_ms=_TICK_MS,
        latency_ms=_LATENCY_MS,
        jitter_ms=_JITTER_MS,
        guarded=False,
        strikes=tuple(
            sorted(
                (strike for strike in strikes if strike.at < end - HEAL_S),
                key=lambda strike: strike.at,
            )
        ),
        quote=_QUOTE,
    )


class Week:
    """One long run; `tell` gets a line per simulated day."""

    def __init__(self, seed: int, days: float, symbols: int, tell: Callable[[str], None]) -> None:
        self._script = week_script(seed, days, week_symbols(symbols))
        self.result = WeekResult(days, symbols)
        self._tell = tell
        self._began = stopwatch()
        self._used = processor_s()

    def run(self, folder: Path) -> WeekResult:
        """Play it in `folder`, which is replaced; its files stay."""
        script, result = self._script, self.result
        plan = WorldPlan(
            script.seed, script.symbols, script.quote, script.tick_ms, _BALANCE, _STRATEGY
        )
        shares = TimeShares()
        with shares.counting():
            played = drive(script, folder, self._play, plan)
        result.real_s = stopwatch() - self._began
        result.processor_s = processor_s() - self._used
        result.shares = shares.of_all()
        result.violations = played.observer.violations
        result.faults = dict(played.hands.fired)
        result.fills = len(played.world.paper.ledger.trades)
        result.lives = len(played.world.past)
        result.repairs = len(played.observer.audit.repairs)
        result.trades = played.observer.audit.closed
        result.comparisons = played.comparisons
        result.reconciles = played.world.paper.requests[_READING]
        result.timeline = write_timeline(folder, played.world, result.violations)
        return result

    async def _play(self, run: SeedRun) -> None:
        run.world.supervisor.spawn("samples", lambda: self._sample(run))
        await run.play()

    async def _sample(self, run: SeedRun) -> None:
        world = run.world
        hour = 0
        while True:
            await world.clock.sleep(_HOUR_S)
            hour += 1
            life = world.life
            if life is None or life.app is None:
                continue
            daemon = reachable_bytes(life.app, (world.loop, world.machine, sys.modules))
            tasks = len(world.lives.tasks(life.name))
            row = Sample(hour, life.name, daemon, process_bytes(), tasks)
            self.result.samples.append(row)
            if hour % 24 == 0:
                self._tell(self._line(run, row))

    def _line(self, run: SeedRun, row: Sample) -> str:
        return (
            f"day {row.hour // 24:>3}  {row.life}  {len(run.world.paper.ledger.trades):>6} fills  "
            f"daemon {row.daemon / 1e6:.2f} MB  process {row.process / 1e6:.0f} MB  "
            f"{row.tasks} tasks  {len(run.observer.violations)} violations  "
            f"{stopwatch() - self._began:.0f} s"
        )
