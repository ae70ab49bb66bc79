"""`python -m tools.simulate --crash`: one misfortune at every point of a position's life (floor 8).

Five stories (entry, stop, targets, exit) are played in the whole daemon, and at every step of the
loop the process dies, loses its power, stands still, or its clock jumps; at every operation of the
disk that operation fails, or all from there on. What follows is judged from outside. Each point
that was not survived prints the command that plays it again.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from core.simulation.forks import CAN_SPLIT
from tools.simulation.crashes import PERILS, Point, Report, explore, named, replay
from tools.simulation.stories import STORIES
from tools.simulation.timeline import write_timeline

_DOT_EVERY = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The part of the command line that is about crash points."""
    made = parser.add_argument_group("crash points")
    made.add_argument(
        "--crash",
        nargs="?",
        const="death",
        metavar="PERILS",
        help="let one misfortune happen at every point of a position's life: groups (all, death, "
        f"time, disk) and single ones of {', '.join(PERILS)} (death)",
    )
    made.add_argument("--stories", default=",".join(STORIES), help="some of %(default)s")
    made.add_argument(
        "--every", type=int, default=1, metavar="N", help="every N-th point only (1 is all)"
    )
    made.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="copies at once"
    )
    made.add_argument("--point", metavar="POINT", help="one crash point again, with a timeline")


def crash(args: argparse.Namespace, seeds: Sequence[int]) -> int:
    """`--crash` and `--point`; 1 when a point was not survived, 2 for an unknown word."""
    try:
        if args.point:
            point = Point.read(args.point)
            return again(point, args.folder or Path(tempfile.mkdtemp(prefix="point-")))
        stories = [_story(name) for name in args.stories.split(",")]
        perils = tuple(dict.fromkeys(named(args.crash)))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = args.folder or _scratch()
    try:
        reports = [_explore(args, name, seed, perils, folder) for seed in seeds for name in stories]
    finally:
        if args.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(as_json(reports) if args.json else table(reports))
    return 1 if any(report.broken for report in reports) else 0


def _scratch() -> Path:
    """In memory where the system offers that: the files of a thousand lives are of no value."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made there is new and private
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="crashes-", dir=parent))


def _story(name: str) -> str:
    if name not in STORIES:
        raise ValueError(f"--stories: {name} is none of {', '.join(STORIES)}")
    return name


def _explore(
    args: argparse.Namespace, story: str, seed: int, perils: tuple[str, ...], folder: Path
) -> Report:
    done: Counter[bool] = Counter()
    out, err = sys.stdout, sys.stderr  # what the daemon says goes elsewhere while it runs

    def told(point: Point, found: Sequence[str]) -> None:
        done[bool(found)] += 1
        if found and not args.json:
            lines = (f"    {line}" for line in (*found, _again(point)))
            print("\r" + "\n".join(lines), file=out, flush=True)
        elif done.total() % _DOT_EVERY == 0 and not args.json:
            print(f"\r{story} {seed}: {done.total()} points", end="", file=err, flush=True)

    report = explore(
        story,
        seed,
        folder / f"{story}-{seed}",
        perils=perils,
        every=args.every,
        at_once=args.jobs,
        told=told,
    )
    if not args.json:
        print(f"\r{row(report)}", flush=True)
    return report


def _again(point: Point) -> str:
    return f"again: python -m tools.simulate --point {point}"


def row(report: Report) -> str:
    verdict = f"{len(report.broken)} NOT SURVIVED" if report.broken else "ok"
    return (
        f"{report.story:<7} seed {report.seed:>3}  {report.total:>5} points  "
        f"{report.rate:>5.1f}/s  {1_000 * report.cpu_s / max(report.total, 1):>4.0f} ms each  "
        f"{verdict}"
    )


def table(reports: Sequence[Report]) -> str:
    points = sum((Counter(report.points) for report in reports), Counter[str]())
    broken = Counter(point.peril for report in reports for point in report.broken)
    seconds = sum(report.real_s for report in reports)
    lines = [
        f"  {peril:<13} {count:>6} points  {broken[peril]:>4} not survived"
        for peril, count in points.items()
    ]
    lines.append(
        f"{points.total()} points in {seconds:.0f} s, {points.total() / seconds:.1f}/s, "
        f"{broken.total()} not survived"
    )
    if not CAN_SPLIT:
        lines.append("this system cannot copy a process: every point was played from the start")
    return "\n".join(lines)


def as_json(reports: Sequence[Report]) -> str:
    rows = [
        {
            "story": report.story,
            "seed": report.seed,
            "points": report.points,
            "real_s": round(report.real_s, 2),
            "cpu_s": round(report.cpu_s, 2),
            "per_s": round(report.rate, 1),
            "not_survived": {str(point): found for point, found in report.broken.items()},
        }
        for report in reports
    ]
    return json.dumps({"reports": rows}, indent=2)


def again(point: Point, folder: Path) -> int:
    """One point from the start, told in full."""
    play = replay(point, folder / "again")
    found = play.run.observer.violations
    for violation in found:
        print(f"    {violation}")
    print(f"{point}  {'NOT SURVIVED' if found else 'ok'}")
    print(f"    timeline {write_timeline(play.world.folder, play.world, found)}")
    return 1 if found else 0
