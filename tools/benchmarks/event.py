"""Section event: bytes of a user-stream frame to applied order state (floor 8).

Timed is one synchronous call: decode, stream bookkeeping, order and position state, rows for the
journal, facts to the observers, their audit lines, and the wake-up of the two workers of the
symbol. Not in it: the socket before, and what the workers do afterwards.
"""

import json
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from core.exchange.codec import UserStreamCodec
from core.exchange.symbols import SymbolMap
from core.kernel.loops import live_loop_factory, run
from tools.benchmarks.episodes import PRICE, QUANTITY, Episodes, Wiring, open_episodes
from tools.benchmarks.figures import (
    Collections,
    Effort,
    Row,
    Section,
    each_us,
    rate,
    row,
    timer_us,
)
from tools.benchmarks.frames import order_filled, order_new, order_part_filled
from tools.benchmarks.still_venue import never_answers

NAME = "event"
TITLE = "user-stream frame to applied order state, no network"
_GOAL_US = 12.0
_PART = Decimal("0.1")
_BURST = 500


@dataclass(slots=True)
class _Samples:
    """Microseconds per frame, one list per round."""

    news: list[list[float]] = field(default_factory=list)
    fills: list[list[float]] = field(default_factory=list)
    silent: list[list[float]] = field(default_factory=list)
    decoded: list[list[float]] = field(default_factory=list)
    parsed: list[list[float]] = field(default_factory=list)


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when the events did not have the effect they should."""
    return run(_measure(effort), loop_factory=live_loop_factory())


async def _measure(effort: Effort) -> Section:
    count, rounds = effort.pick(2_000, 200), effort.pick(3, 1)
    samples = _Samples()
    await _round(_Samples(), effort.pick(500, 50))
    collections = Collections()
    for _ in range(rounds):
        await _round(samples, count)
    collected = collections.text()
    first, last = await _long_run(effort.pick(100_000, 4_000))
    parsed = row("json.loads of a fill, nothing else", "us", samples.parsed)
    decoded = row("decode of a fill to a fact", "us", samples.decoded)
    fill = row("fill, whole path", "us", samples.fills, _GOAL_US)
    rows = (
        parsed,
        decoded.against(parsed, "json.loads"),
        row("order accepted (NEW), whole path", "us", samples.news),
        fill.against(parsed, "json.loads").against(decoded, "decode"),
        row("fill without the audit lines", "us", samples.silent).against(fill, "whole path"),
        rate("fills, whole path", samples.fills),
        first,
        last.against(first, "first tenth"),
    )
    notes = (
        f"each sample contains {timer_us():.2f} us of the stopwatch",
        f"garbage collector on, as in the daemon: {collected} runs (young/middle/full)",
    )
    return Section(NAME, TITLE, rows, notes)


async def _round(samples: _Samples, count: int) -> None:
    """`count` symbols: all accepted, then all filled, with and without audit lines."""
    for audited in (True, False):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            wiring = Wiring(count, durable=False, audited=audited, place=never_answers)
            async with open_episodes(Path(folder), wiring) as episodes:
                news, fills = _frames(episodes)
                episodes.say_sent()
                accepted = each_us(episodes.receive, news)
                await episodes.settle()
                filled = each_us(episodes.receive, fills)
                episodes.check(QUANTITY)
        if not audited:
            samples.silent.append(filled)
            continue
        samples.news.append(accepted)
        samples.fills.append(filled)
        samples.parsed.append(each_us(json.loads, fills))
        codec = UserStreamCodec(SymbolMap())
        each_us(codec.decode, fills)  # learns the symbols
        samples.decoded.append(each_us(codec.decode, fills))


def _frames(episodes: Episodes) -> tuple[list[bytes], list[bytes]]:
    news, fills = [], []
    for number, entry in enumerate(episodes.entries, start=1):
        client_id = entry.record.client_id
        news.append(order_new(entry.wire, client_id, entry.order_id, QUANTITY, number))
        fills.append(order_filled(entry.wire, client_id, entry.order_id, QUANTITY, PRICE, number))
    return news, fills


async def _long_run(count: int) -> tuple[Row, Row]:
    """First and last tenth of `count` partial fills on few orders: does it slow down?"""
    symbols = 20
    samples: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        wiring = Wiring(symbols, durable=False, audited=True, place=never_answers)
        async with open_episodes(Path(folder), wiring) as episodes:
            for begin in range(0, count, _BURST):
                numbers = range(begin, min(begin + _BURST, count))
                frames = [_part(episodes, number) for number in numbers]
                samples += each_us(episodes.receive, frames)
                await episodes.clock.sleep(0)  # the journal writes what has gathered
            episodes.check(_PART * (count // symbols))
    tenth = len(samples) // 10
    name = f"tenth of {count:,} partial fills"
    first = row(f"first {name}", "us", [samples[:tenth]])
    last = row(f"last {name}", "us", [samples[-tenth:]])
    return first, last


def _part(episodes: Episodes, number: int) -> bytes:
    entry = episodes.entries[number % len(episodes.entries)]
    total = _PART * (number // len(episodes.entries) + 1)
    return order_part_filled(
        entry.wire,
        entry.record.client_id,
        entry.order_id,
        QUANTITY * 1_000,
        (_PART, total),
        PRICE,
        number + 1,
    )
