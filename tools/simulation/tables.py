"""What a campaign tells (floor 8): lines and tables for people, JSON for machines."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from core.simulation.schedule import FaultKind
from tools.simulation.campaign import Kind, SeedResult
from tools.simulation.chat import ChatKind
from tools.simulation.measure import Share
from tools.simulation.week import WeekResult

Shares = Mapping[Share, float]
KINDS: tuple[Kind, ...] = (*FaultKind, *ChatKind)


def row(result: SeedResult) -> str:
    """One seed."""
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


def never_fired(results: Sequence[SeedResult]) -> list[Kind]:
    """Kinds that some seed planned and that took effect in none."""
    planned = _sum(result.planned for result in results)
    fired = _sum(result.fired for result in results)
    return [kind for kind in KINDS if planned[kind] and not fired[kind]]


def table(results: Sequence[SeedResult], shares: Shares) -> str:
    """Faults by kind: planned, taken effect, and in how many seeds; then the sums."""
    planned = _sum(result.planned for result in results)
    fired = _sum(result.fired for result in results)
    seeds = Counter(kind for result in results for kind in result.fired if result.fired[kind])
    lines = [f"  {'fault':<32} {'planned':>7} {'fired':>7} {'seeds':>6}"]
    lines += [
        f"  {kind:<32} {planned[kind]:>7} {fired[kind]:>7} {seeds[kind]:>6}"
        for kind in KINDS
        if planned[kind] or fired[kind]
    ]
    lines.append(summary(results))
    lines.append(f"time: {_shares(shares)}")
    for kind in never_fired(results):
        where = ", ".join(str(result.seed) for result in results if result.planned[kind])
        lines.append(f"NEVER FIRED: {kind}, planned {planned[kind]} times in seed {where}")
    return "\n".join(lines)


def summary(results: Sequence[SeedResult]) -> str:
    days = sum(result.hours for result in results) / 24
    bad = sum(bool(result.violations) for result in results)
    fills = sum(result.trades for result in results)
    faults = sum(sum(result.fired.values()) for result in results)
    naked = max((result.longest_naked_s for result in results), default=0.0)
    real = sum(result.real_s for result in results)
    speed = days * 24 * 60 / real if real else 0.0
    return (
        f"{len(results)} seeds, {days:.2f} simulated days, {fills} fills, {faults} faults, "
        f"{bad} seeds with violations; longest calm time without a stop {naked:.2f} s; "
        f"{speed:.1f} simulated hours per minute"
    )


def as_json(results: Sequence[SeedResult], shares: Shares) -> str:
    rows = [
        {
            "seed": result.seed,
            "hours": result.hours,
            "symbols": result.symbols,
            "lives": result.lives,
            "fills": result.trades,
            "orders": result.orders,
            "planned": dict(sorted(result.planned.items())),
            "faults": dict(sorted(result.fired.items())),
            "violations": [str(violation) for violation in result.violations],
            "longest_naked_s": round(result.longest_naked_s, 3),
            "longest_naked_with_excuses_s": round(result.longest_raw_s, 3),
            "real_s": round(result.real_s, 2),
            "digest": result.digest,
        }
        for result in results
    ]
    told = {"seeds": rows, "never_fired": never_fired(results), "time": _rounded(shares)}
    return json.dumps(told, indent=2)


def survey_row(kind: FaultKind | None, results: Sequence[SeedResult]) -> str:
    """Seeds in which only one kind of fault exists: how often, and what it cost at worst."""
    fired = sum(result.fired[kind] for result in results) if kind is not None else 0
    calm = max(result.longest_naked_s for result in results)
    raw = max(result.longest_raw_s for result in results)
    fills = sum(result.trades for result in results)
    bad = sum(len(result.violations) for result in results)
    return (
        f"  {kind or 'no fault':<32} {fired:>6} {fills:>6} {raw:>9.2f} {calm:>9.2f}  "
        f"{'ok' if not bad else f'{bad} VIOLATIONS'}"
    )


SURVEY_HEAD = f"  {'only':<32} {'fired':>6} {'fills':>6} {'naked s':>9} {'calm s':>9}"


def week_table(result: WeekResult) -> str:
    growth = "not measured" if result.growth is None else f"{result.growth:+.2%}"
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(result.faults.items()))
    used = result.processor_s
    speed = result.days * 24 * 60 / used if used else 0.0
    lines = [
        f"{result.days:g} days, {result.symbols} symbols: {result.trades} trades, {result.fills} "
        f"fills, {result.lives} lives",
        f"  took         {result.real_s:.0f} s, {used:.0f} s of them processor time: {speed:.1f} "
        "simulated hours per minute of it",
        f"  faults       {faults}",
        f"  reconciles   {result.reconciles}, of which {result.repairs} found something to mend",
        f"  comparisons  {result.comparisons} of the database with the exchange",
        f"  memory       {growth} after the first day of the last life",
        f"  time         {_shares(result.shares)}",
        *(f"  {violation}" for violation in result.violations),
        f"  timeline {result.timeline}",
    ]
    return "\n".join(lines)


def week_json(result: WeekResult) -> str:
    told = asdict(result)
    told["violations"] = [str(violation) for violation in result.violations]
    told["timeline"] = str(result.timeline)
    told["growth"] = result.growth
    told["shares"] = _rounded(result.shares)
    return json.dumps(told, indent=2)


def _shares(shares: Shares) -> str:
    return ", ".join(f"{share} {part:.0%}" for share, part in shares.items())


def _rounded(shares: Shares) -> dict[str, float]:
    return {share.value: round(part, 4) for share, part in shares.items()}


def _sum(counts: Iterable[Counter[Kind]]) -> Counter[Kind]:
    return sum(counts, Counter[Kind]())
