"""Watches a few figures and says once when one is out of bounds, once when it is well (floor 5).

Each rule has two levels: it is raised at the first and cleared below the second, so that a value
that swings around a limit is one message and not twenty. Reads database and log only, so it works
beside a running daemon, after its end, and in its own last breath.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from core.domain.enums import ExitReason
from core.domain.money import ZERO
from core.domain.position import Trade
from core.observe.log_lines import LoggedLine, newest_lines
from core.observe.narrator import LogEvent
from core.storage.database import Database
from core.storage.queries import closed_trades, equity_curve, open_trades

DAY_MS = 86_400_000
LOG_LINES = 200
_RECENT_MS = 30 * DAY_MS
_STOPS = frozenset({ExitReason.STOP_LOSS, ExitReason.EMERGENCY, ExitReason.LIQUIDATION})


@dataclass(frozen=True, slots=True)
class Rule:
    """`raise_at` raises, at or below `clear_at` it is well again."""

    key: str
    name: str
    unit: str
    raise_at: float
    clear_at: float


RULES = (
    Rule("daily_loss", "loss of the day", "% of equity", 1.5, 1.0),
    Rule("stop_streak", "stop-losses in a row", "", 2, 0),
    Rule("position_age", "oldest position", "min", 60, 55),
    Rule("log_errors", f"errors in the last {LOG_LINES} log lines", "", 6, 2),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure now. `raised` is the state after it, `changed` whether it was another before."""

    rule: Rule
    value: float
    raised: bool
    changed: bool

    @property
    def line(self) -> str:
        state = "ALARM" if self.raised else "ok"
        value = f"{self.value:.4g} {self.rule.unit}".rstrip()
        return f"{state:<5}  {self.rule.name}: {value} (alarm from {self.rule.raise_at:g})"


class Monitor:
    """Remembers which rules are raised; `raised` may be carried over a restart."""

    def __init__(self, raised: Sequence[str] = ()) -> None:
        self._raised = {rule.key for rule in RULES if rule.key in raised}

    @property
    def raised(self) -> tuple[str, ...]:
        return tuple(sorted(self._raised))

    def judge(self, figures: dict[str, float]) -> tuple[Reading, ...]:
        """Every rule's state after `figures`; a missing figure changes nothing and is not told."""
        readings = []
        for rule in RULES:
            if rule.key not in figures:
                continue
            value, before = figures[rule.key], rule.key in self._raised
            after = value > rule.clear_at if before else value >= rule.raise_at
            if after:
                self._raised.add(rule.key)
            else:
                self._raised.discard(rule.key)
            readings.append(Reading(rule, value, after, after is not before))
        return tuple(readings)


async def read_figures(
    database: Database, logs_dir: Path, now_ms: int, coin: str
) -> dict[str, float]:
    """Figures of all rules at `now_ms`. Raises StorageError and OSError."""
    day_ms = now_ms - now_ms % DAY_MS
    recent = await closed_trades(database, now_ms - _RECENT_MS, now_ms + 1)
    points = await equity_curve(database, now_ms - _RECENT_MS, now_ms + 1)
    equities = [(p.at_ms, p.wallet + p.unrealized) for p in points if p.coin == coin]
    opened = [trade.opened_ms for trade in await open_trades(database)]
    figures = {
        "stop_streak": float(stop_streak(recent)),
        "position_age": max(((now_ms - at) / 60_000 for at in opened), default=0.0),
        "log_errors": float(_errors(newest_lines(logs_dir, LOG_LINES))),
    }
    start = start_of_day(equities, day_ms)
    if start is not None:
        today = sum((trade.net for trade in recent if trade.closed_ms >= day_ms), ZERO)
        figures["daily_loss"] = max(float(-today / start * 100), 0.0)
    return figures


def stop_streak(trades: Sequence[Trade]) -> int:
    """Stops in a row at the end of `trades` (oldest first)."""
    count = 0
    for trade in reversed(trades):
        if trade.exit_reason not in _STOPS:
            break
        count += 1
    return count


def start_of_day(equities: Sequence[tuple[int, Decimal]], day_ms: int) -> Decimal | None:
    """Last equity before the day, else its first; None when none is known."""
    before = [equity for at_ms, equity in equities if at_ms < day_ms]
    known = before[-1:] or [equity for _, equity in equities[:1]]
    return known[0] if known and known[0] > ZERO else None


def _errors(lines: Sequence[LoggedLine]) -> int:
    return sum(line.is_error for line in lines)


async def last_look(
    database: Database, logs_dir: Path, now_ms: int, coin: str, say: LogEvent
) -> None:
    """One look at the end of a run: its lines in the log. Raises StorageError and OSError."""
    for reading in Monitor().judge(await read_figures(database, logs_dir, now_ms, coin)):
        say("monitor", "WARNING" if reading.raised else "INFO", reading.line)


def report_text(readings: Sequence[Reading], at: str) -> str:
    """Lines of `logs/monitor_report.txt`."""
    alarms = sum(reading.raised for reading in readings)
    head = f"monitor {at} UTC: {alarms} alarms" if alarms else f"monitor {at} UTC: all well"
    return "\n".join([head, *(reading.line for reading in readings)]) + "\n"
