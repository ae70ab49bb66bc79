"""What happened, in order, for people (floor 8): faults, lives, orders, the daemon's own log."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from core.simulation.observer import Violation
from tools.simulation.world import EPOCH_MS, World


def write_timeline(folder: Path, world: World, violations: Sequence[Violation]) -> Path:
    """Write `timeline.txt` in `folder`: what was violated, then every line with its virtual
    second and who it is from."""
    rows = list(world.timeline)
    rows += [(row.at, "VIOLATION", f"{row.invariant} {row.text}") for row in violations]
    rows += _log_rows(world.audit_path.parent, world.clock_steps)
    rows.sort(key=lambda row: row[0])
    path = folder / "timeline.txt"
    with path.open("w", encoding="utf-8") as file:
        file.write(_head(world, violations))
        file.writelines(f"{at:12.3f} {who:<10} {text}\n" for at, who, text in rows)
    return path


def _head(world: World, violations: Sequence[Violation]) -> str:
    plan = world.plan
    lines = [
        f"seed {plan.seed}: {', '.join(plan.symbols)}; {len(world.past)} lives; prices every "
        f"{plan.tick_ms / 1_000:g} s",
        *(f"violated at {violation}" for violation in violations),
        "seconds from the start; a fault reads: its id, where it took effect",
    ]
    return "".join(f"# {line}\n" for line in lines)


def _log_rows(folder: Path, steps: Sequence[tuple[float, float]]) -> list[tuple[float, str, str]]:
    """The daemon's log; a life's folder holds the lines of the lives before it.

    Its stamps are of a wall clock that `steps` has moved: they are taken back.
    """
    rows: list[tuple[float, str, str]] = []
    left, offset = list(steps), 0.0
    for path in sorted(folder.glob("bot_*.log")):
        for line in path.read_text(encoding="utf-8").splitlines():
            stamp, _, text = line.partition(" ")
            try:
                at_ms = datetime.fromisoformat(stamp).timestamp() * 1_000
            except ValueError:
                at, text = (rows[-1][0] if rows else 0.0), line  # the rest of a longer record
            else:
                at = (at_ms - EPOCH_MS) / 1_000 - offset
                while left and (at >= left[0][0] or (left[0][1] < 0 and rows and at < rows[-1][0])):
                    at -= left[0][1]
                    offset += left.pop(0)[1]
            rows.append((at, "daemon", text))
    return rows
