"""How long were positions without a stop? `python -m tools.unprotected [PATH…]` (floor 8; INV-01).

Reads the audit log alone: the time from each known fill to its accepted stop, and the sum of such
times over the life of each closed position, as a histogram. Exit codes: 0 nothing above the limit,
1 something above it, 2 wrong usage or nothing to read.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Run as a file (python tools/unprotected.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.storage.audit_verify import find_segments

WITHIN, ABOVE, USAGE = 0, 1, 2
EDGES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
_BAR = 40


@dataclass(slots=True)
class Times:
    """Durations of one kind (microseconds) in the order they were recorded.

    `worst_id` is the trade of the longest one.
    """

    samples_us: list[int] = field(default_factory=list)
    worst_id: str = ""

    def add(self, elapsed_us: int, trade_id: str) -> None:
        if not self.samples_us or elapsed_us > max(self.samples_us):
            self.worst_id = trade_id
        self.samples_us.append(elapsed_us)

    def quantile_us(self, share: float) -> int:
        """Smallest sample that at least `share` (0…1) do not exceed; 0 without samples."""
        ordered = sorted(self.samples_us)
        rank = -int(-share * len(ordered) // 1)
        return ordered[max(rank, 1) - 1] if ordered else 0

    def buckets(self) -> list[tuple[str, int]]:
        """Label and count of each bucket; its upper edge does not belong to it."""
        counts = [0] * (len(EDGES_MS) + 1)
        for sample in self.samples_us:
            counts[sum(sample >= edge * 1_000 for edge in EDGES_MS)] += 1
        labels = [f"< {edge:,} ms" for edge in EDGES_MS] + [f">= {EDGES_MS[-1]:,} ms"]
        return list(zip(labels, counts, strict=True))


@dataclass(slots=True)
class Findings:
    """`stops`: fill to accepted stop. `trades`: all time without one, per closed position."""

    stops: Times = field(default_factory=Times)
    trades: Times = field(default_factory=Times)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="unprotected", description="Time without an accepted stop, from the audit log."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="audit log or the folder it is in (its older segments belong to it), or single "
        "segments (default: logs/audit.jsonl)",
    )
    parser.add_argument(
        "--limit-ms", type=int, default=2_000, metavar="MS", help="longest allowed (default: 2000)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args(argv)


def _records(files: Sequence[Path]) -> Iterator[dict[str, object]]:
    """Records of the log; a line that is none is `tools.verify_audit`'s business."""
    for path in files:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record


def collect(files: Sequence[Path]) -> Findings:
    """Read the times of `files`, given in order. Raises OSError when one cannot be read."""
    found = Findings()
    for record in _records(files):
        trade_id = str(record.get("trade_id", ""))
        elapsed, total = record.get("elapsed_us"), record.get("unprotected_us")
        if record.get("action") == "stop.confirmed" and isinstance(elapsed, int):
            found.stops.add(elapsed, trade_id)
        elif record.get("action") == "position.closed" and isinstance(total, int):
            found.trades.add(total, trade_id)
    return found


def _say(title: str, times: Times) -> None:
    print(f"{title}: {len(times.samples_us)}")
    if not times.samples_us:
        return
    highest = max(count for _, count in times.buckets())
    for label, count in times.buckets():
        bar = "#" * -(-count * _BAR // highest)
        print(f"  {label:>11} {count:>6}  {bar}".rstrip())
    spots = (("median", 0.5), ("p99", 0.99), ("longest", 1.0))
    words = ", ".join(f"{name} {times.quantile_us(at) / 1_000:.1f} ms" for name, at in spots)
    print(f"  {words} ({times.worst_id})")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    arguments = _arguments(argv)
    try:
        files, _ = find_segments(arguments.paths or [Path("logs/audit.jsonl")])
        found = collect(files)
    except FileNotFoundError as error:
        print(f"unprotected: {error.filename or error}: no such file", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"unprotected: {error}", file=sys.stderr)
        return USAGE
    above = sum(sample > arguments.limit_ms * 1_000 for sample in found.stops.samples_us)
    if arguments.json:
        print(json.dumps({"limit_ms": arguments.limit_ms, "above": above, **asdict(found)}))
    else:
        _say("fill to accepted stop", found.stops)
        _say("without a stop in a position's whole life", found.trades)
        print(f"above {arguments.limit_ms:,} ms: {above}")
    return ABOVE if above else WITHIN


if __name__ == "__main__":
    sys.exit(main())
