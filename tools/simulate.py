"""`python -m tools.simulate`: weeks of the whole daemon in minutes, with faults (floor 8).

Every seed is one world: the real daemon against the paper exchange on virtual time, with the faults
the seed draws. The same seed gives the same run. `--week` plays days on end with the real strategy
instead, `--crash` lets one misfortune happen at every point of a position's life. Exit code 1 when
an invariant was violated or when a kind of fault that was planned never took effect in the whole
campaign; Ctrl-C and SIGTERM end the campaign after telling what is known.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Run as a file (python tools/simulate.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.kernel.signals import interruptible
from core.simulation.schedule import FaultKind
from tools.simulation import crash_command, tables
from tools.simulation.campaign import SeedResult, run_seed
from tools.simulation.measure import TimeShares
from tools.simulation.week import Week

_STOPPED = 130
_OFTEN = 20.0
"""Times the rates of a swarm, where a kind of fault is alone."""
_NEEDS = {
    FaultKind.QUERY_LAG: (FaultKind.ANSWER_LOST,),
    FaultKind.REDUCE_REFUSED: (FaultKind.TRIGGER_REJECTED, FaultKind.PRICE_GAP),
}
"""Without these there is nothing for a kind to strike."""


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
    made.add_argument(
        "--each",
        action="store_true",
        help="every kind of fault alone and often: does it take effect, what does it cost at worst",
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
            if args.each:
                return survey(args, seeds, folder)
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
    print(tables.week_json(result) if args.json else tables.week_table(result))
    return 1 if result.violations else 0


def survey(args: argparse.Namespace, seeds: range, folder: Path) -> int:
    """Every kind of fault alone; 1 when one was violated by it or never took effect."""
    everything: list[SeedResult] = []
    print(tables.SURVEY_HEAD, flush=True)
    for kind in (None, *FaultKind):
        kinds = () if kind is None else (kind, *_NEEDS.get(kind, ()))
        results = [
            run_seed(seed, args.hours, folder / f"seed-{seed}", kinds, intensity=_OFTEN)
            for seed in seeds
        ]
        print(tables.survey_row(kind, results), flush=True)
        for result in results:
            for violation in result.violations:
                print(f"    seed {result.seed}: {violation}", flush=True)
        everything += results
    print(tables.summary(everything))
    missing = tables.never_fired(everything)
    for kind in missing:
        print(f"NEVER FIRED: {kind}")
    return 1 if missing or any(result.violations for result in everything) else 0


def campaign(args: argparse.Namespace, seeds: range, folder: Path) -> int:
    """Seed after seed; 1 when one was violated, or a kind of fault never took effect."""
    results: list[SeedResult] = []
    shares = TimeShares()
    try:
        with shares.counting():
            play(args, seeds, folder, results)
    except KeyboardInterrupt:
        if results and not args.json:
            print(tables.table(results, shares.of_all()))
        raise
    print((tables.as_json if args.json else tables.table)(results, shares.of_all()))
    broken = any(result.violations for result in results)
    return 1 if broken or (len(results) > 1 and tables.never_fired(results)) else 0


def play(args: argparse.Namespace, seeds: range, folder: Path, results: list[SeedResult]) -> None:
    """Run the seeds into `results`, a line for each."""
    for seed in seeds:
        result = run_seed(
            seed, args.hours, folder / f"seed-{seed}", keep_timeline=args.replay is not None
        )
        results.append(result)
        if not args.json:
            print(tables.row(result), flush=True)
            if result.timeline is not None:
                print(tables.report(result, args.hours), flush=True)


if __name__ == "__main__":
    sys.exit(main())
