"""`python -m tools.simulate`: weeks of the whole daemon in minutes, with faults (floor 8).

Every seed is one world: the real daemon against the paper exchange on virtual time, with the faults
the seed draws. The same seed gives the same run. `--week` plays days on end with the real strategy
instead, `--crash` lets one misfortune happen at every point of a position's life. Exit code 1 when
an invariant was violated or when a kind of fault that was planned never took effect in the whole
campaign; Ctrl-C and SIGTERM end the campaign after telling what is known.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

# Run as a file (python tools/simulate.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.kernel.signals import interruptible
from core.simulation.schedule import FaultKind
from tools.simulation import crash_command
from tools.simulation.campaign import SeedResult, run_seed
from tools.simulation.week import Week, WeekResult

_STOPPED = 130


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tools.simulate", description=__doc__)
    made.add_argument("--seeds", default="1-10", metavar="A-B", help="first and last seed")
    made.add_argument("--hours", type=float, default=1.0, metavar="H", help="of every seed")
    made.add_argument("--replay", type=int, metavar="SEED", help="one seed again, with a timeline")
    made.add_argument(
        "--week",
        type=float,
        nargs="?",
        const=7.0,
        metavar="DAYS",
        help="days (7) of the real strategy with what a real week has",
    )
    made.add_argument(
        "--symbols", type=int, default=35, metavar="N", help="contracts of a --week (35)"
    )
    crash_command.add_arguments(made)
    made.add_argument("--folder", type=Path, metavar="DIR", help="files of the runs are kept there")
    made.add_argument("--json", action="store_true", help="print the results as JSON")
    return made


def seeds_of(text: str) -> range:
    """`3-7` or `3`. Raises ValueError."""
    first, _, last = text.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not found:
        raise ValueError(f"{text}: the last seed is before the first")
    return found


def row(result: SeedResult) -> str:
    verdict = "ok" if not result.violations else f"{len(result.violations)} VIOLATIONS"
    speed = result.hours * 60 / result.real_s if result.real_s else 0.0
    return (
        f"seed {result.seed:>5}  {result.hours:g} h  {len(result.symbols)} symbols  "
        f"{result.lives} lives  {result.trades:>5} fills  {result.orders:>5} orders  "
        f"{sum(result.fired.values()):>4} faults  {speed:>6.1f} h/min  "
        f"{result.digest[:12]}  {verdict}"
    )


def report(result: SeedResult, hours: float) -> str:
    """What is wrong with one seed and how to see it again."""
    lines = [f"    {violation}" for violation in result.violations]
    lines.append(f"    timeline {result.timeline}")
    lines.append(f"    again: python -m tools.simulate --replay {result.seed} --hours {hours:g}")
    return "\n".join(lines)


def never_fired(results: Sequence[SeedResult]) -> list[FaultKind]:
    """Kinds that some seed planned and that took effect in none."""
    planned = dict.fromkeys(kind for result in results for kind in result.planned)
    fired = sum((result.fired for result in results), Counter[FaultKind]())
    return [kind for kind in planned if not fired[kind]]


def table(results: Sequence[SeedResult]) -> str:
    fired = sum((result.fired for result in results), Counter[FaultKind]())
    lines = [f"  {kind:<32} {fired[kind]:>6}" for kind in FaultKind if fired[kind]]
    days = sum(result.hours for result in results) / 24
    bad = sum(bool(result.violations) for result in results)
    lines.append(
        f"{len(results)} seeds, {days:.2f} simulated days, {sum(fired.values())} faults, "
        f"{bad} seeds with violations"
    )
    lines += [f"NEVER FIRED: {kind}" for kind in never_fired(results)]
    return "\n".join(lines)


def as_json(results: Sequence[SeedResult]) -> str:
    rows = [
        {
            "seed": result.seed,
            "hours": result.hours,
            "symbols": result.symbols,
            "lives": result.lives,
            "fills": result.trades,
            "orders": result.orders,
            "faults": dict(sorted(result.fired.items())),
            "violations": [str(violation) for violation in result.violations],
            "longest_naked_s": round(result.longest_naked_s, 3),
            "real_s": round(result.real_s, 2),
            "digest": result.digest,
        }
        for result in results
    ]
    return json.dumps({"seeds": rows, "never_fired": never_fired(results)}, indent=2)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        seeds = range(args.replay, args.replay + 1) if args.replay else seeds_of(args.seeds)
    except ValueError as error:
        print(f"--seeds: {error}", file=sys.stderr)
        return 2
    folder = args.folder or Path(tempfile.mkdtemp(prefix="simulation-"))
    with interruptible():
        try:
            if args.crash or args.point:
                return crash_command.crash(args, seeds)
            if args.week is not None:
                return week(args, seeds[0], folder)
            return campaign(args, seeds, folder)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return _STOPPED


def week(args: argparse.Namespace, seed: int, folder: Path) -> int:
    """Days on end; 1 when something was violated."""

    def tell(line: str) -> None:
        if not args.json:
            print(line, file=out, flush=True)

    out = sys.stdout  # what the daemon says goes elsewhere while it runs
    try:
        result = Week(seed, args.week, args.symbols, tell).run(folder / "week")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(week_json(result) if args.json else week_table(result))
    return 1 if result.violations else 0


def week_table(result: WeekResult) -> str:
    growth = "not measured" if result.growth is None else f"{result.growth:+.2%}"
    shares = ", ".join(f"{share} {part:.0%}" for share, part in result.shares.items())
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(result.faults.items()))
    lines = [
        f"{result.days:g} days, {result.symbols} symbols: {result.trades} trades, {result.fills} "
        f"fills, {result.lives} lives, {result.real_s:.0f} s",
        f"  faults       {faults}",
        f"  reconciles   {result.reconciles}, of which {result.repairs} found something to mend",
        f"  comparisons  {result.comparisons} of the database with the exchange",
        f"  memory       {growth} after the first day of the last life",
        f"  time         {shares}",
        *(f"  {violation}" for violation in result.violations),
        f"  timeline {result.timeline}",
    ]
    return "\n".join(lines)


def week_json(result: WeekResult) -> str:
    row = asdict(result)
    row["violations"] = [str(violation) for violation in result.violations]
    row["timeline"] = str(result.timeline)
    row["growth"] = result.growth
    return json.dumps(row, indent=2)


def campaign(args: argparse.Namespace, seeds: range, folder: Path) -> int:
    """Seed after seed; 1 when one was violated, or a kind of fault never took effect."""
    results: list[SeedResult] = []
    try:
        play(args, seeds, folder, results)
    except KeyboardInterrupt:
        if results and not args.json:
            print(table(results))
        raise
    print(as_json(results) if args.json else table(results))
    broken = any(result.violations for result in results)
    return 1 if broken or (len(results) > 1 and never_fired(results)) else 0


def play(args: argparse.Namespace, seeds: range, folder: Path, results: list[SeedResult]) -> None:
    """Run the seeds into `results`, a line for each."""
    for seed in seeds:
        result = run_seed(
            seed, args.hours, folder / f"seed-{seed}", keep_timeline=args.replay is not None
        )
        results.append(result)
        if not args.json:
            print(row(result), flush=True)
            if result.timeline is not None:
                print(report(result, args.hours), flush=True)


if __name__ == "__main__":
    sys.exit(main())
