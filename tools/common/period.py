"""Periods on the command line (floor 8): `--since 24h`, or `--from` and `--to`; all UTC."""

import argparse
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from core.domain.ports import Clock

_FORM = re.compile(r"(\d{1,5})([mhdw])")
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_FOREVER_MS = 1 << 53


@dataclass(frozen=True, slots=True)
class Period:
    """UTC ms; the end is not included."""

    start_ms: int
    end_ms: int

    @property
    def words(self) -> str:
        end = "now" if self.end_ms >= _FOREVER_MS else utc_text(self.end_ms)
        return f"{utc_text(self.start_ms)} to {end} UTC" if self.start_ms else "everything recorded"


def add_period(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--since",
        type=_span,
        default=_span(default),
        metavar="SPAN",
        help=f"as 30m, 24h, 7d, 2w or all (default: {default})",
    )
    parser.add_argument("--from", dest="start", type=instant, metavar="DATE", help="as 2026-09-30")
    parser.add_argument("--to", dest="end", type=instant, metavar="DATE", help="not included")


def period_of(args: argparse.Namespace, clock: Clock) -> Period:
    """What the arguments say; recorded markets may lie in the past, so `all` has no bounds."""
    end_ms = args.end if args.end is not None else _FOREVER_MS
    if args.start is not None:
        return Period(args.start, end_ms)
    if args.since is None:
        return Period(0, end_ms)
    latest = args.end if args.end is not None else clock.now_ms()
    return Period(max(latest - args.since, 0), end_ms)


def utc_text(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M}"


def _span(text: str) -> int | None:
    """Milliseconds; None for all."""
    if text == "all":
        return None
    found = _FORM.fullmatch(text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a span as 30m, 24h, 7d, 2w or all")
    return int(found[1]) * _UNITS_MS[found[2]]


def instant(text: str) -> int:
    """UTC ms of a date or time as `2026-09-30`; for argparse."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date as 2026-09-30") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)
