"""Pictures as SVG text (floor 5): made here, so that a page needs no script and no network.

Colours come from the page's CSS variables (`--up`, `--down`, `--line`, `--grid`, `--ink`), so that
one picture fits light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from math import ceil, floor, log10

WIDE, HALF = 1_100, 520
"""Widths in pixels of a picture over the page and over half of it, so that letters stay alike."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 26
_DAY_MS = 86_400_000
_TIME_STEPS = tuple(
    minutes * 60_000
    for minutes in (1, 5, 15, 30, 60, 120, 180, 240, 360, 720, 1_440, 2_880, 10_080)
)
_POINTS = 700
"""More points than a screen has columns are reduced to the extremes of each column."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One point in time (UTC ms)."""

    at_ms: int
    value: float


def line_chart(
    dots: Sequence[Dot],
    *,
    title: str,
    unit: str,
    width: int = WIDE,
    height: int = 260,
    falling: bool = False,
) -> str:
    """Area under steps over time: a value holds until the next. `falling` draws values of 0 and
    less in the colour of loss."""
    if len(dots) < 2:
        return _nothing(title, width, height)
    shown = _reduced(dots)
    low, high = min(dot.value for dot in shown), max(dot.value for dot in shown)
    ticks = _ticks(low, 0.0 if falling else high)
    bottom, top = min(ticks[0], low), max(ticks[-1], 0.0 if falling else high)
    first, last = shown[0].at_ms, shown[-1].at_ms
    scale = _Scale(first, max(last - first, 1), bottom, max(top - bottom, 1e-12), width, height)
    path = _steps(scale, shown)
    base = scale.y(top if falling else bottom)
    area = f"M{_LEFT},{base:.1f}L{path}L{width - _RIGHT},{base:.1f}Z"
    kind = "down" if falling else "line"
    rows = [_grid(scale, tick, _number(tick) + unit) for tick in ticks]
    rows += _time_axis(scale, first, last)
    rows.append(f'<path class="area {kind}" d="{area}"/><path class="stroke {kind}" d="M{path}"/>')
    return _svg(title, width, height, rows)


def histogram(
    values: Sequence[float], *, title: str, unit: str, width: int = HALF, height: int = 230
) -> str:
    """How often values fall into steps of equal width; the step around 0 splits at 0."""
    if not values:
        return _nothing(title, width, height)
    step = _nice((max(values) - min(values)) / 24 or abs(values[0]) / 4 or 1.0)
    counts: dict[int, int] = {}
    for value in values:
        place = floor(value / step)
        counts[place] = counts.get(place, 0) + 1
    first, last = min(*counts, -1), max(*counts, 0)
    every = max(ceil((last - first + 1) / 8), 1)
    made = [
        Column(
            label=_number(place * step) + unit if place % every == 0 else "",
            value=counts.get(place, 0),
            tip=f"{_number(place * step)} to {_number((place + 1) * step)}{unit}",
            good=place >= 0,
        )
        for place in range(first, last + 1)
    ]
    return columns(made, title=title, width=width, height=height, at_edge=True, counts=True)


@dataclass(frozen=True, slots=True)
class Column:
    """A vertical bar; an empty label writes nothing under it."""

    label: str
    value: float
    tip: str
    good: bool


def columns(
    bars_up: Sequence[Column],
    *,
    title: str,
    width: int = HALF,
    height: int = 230,
    at_edge: bool = False,
    counts: bool = False,
) -> str:
    """Vertical bars from a common zero; `at_edge` puts labels at the left edge of their bar,
    `counts` keeps the scale to whole numbers."""
    if not bars_up:
        return _nothing(title, width, height)
    low, high = min(0.0, *(c.value for c in bars_up)), max(0.0, *(c.value for c in bars_up))
    ticks = _ticks(low, high, least=1.0 if counts else 0.0)
    bottom, top = ticks[0], ticks[-1]
    scale = _Scale(0, 1, bottom, max(top - bottom, 1e-12), width, height)
    each = (width - _LEFT - _RIGHT) / len(bars_up)
    rows = [_grid(scale, tick, _number(tick)) for tick in ticks]
    for number, column in enumerate(bars_up):
        x, y = _LEFT + number * each, scale.y(max(column.value, 0.0))
        tall = abs(scale.y(column.value) - scale.y(0.0))
        if tall:
            rows.append(
                f'<rect class="bar {"up" if column.good else "down"}" x="{x + 1:.1f}" y="{y:.1f}" '
                f'rx="2" width="{max(each - 2, 0.5):.1f}" height="{tall:.1f}">'
                f"<title>{escape(column.tip)}: {_number(column.value)}</title></rect>"
            )
        if column.label:
            place = x if at_edge else x + each / 2
            words = escape(column.label)
            rows.append(f'<text class="tick mid" x="{place:.1f}" y="{height - 8}">{words}</text>')
    return _svg(title, width, height, rows)


def bars(rows: Sequence[tuple[str, float, str]], *, title: str, width: int = HALF) -> str:
    """Horizontal bars from a common zero: name, value, and the words beside the bar."""
    if not rows:
        return _nothing(title, width, 120)
    line, label, words = 24, 86, 150
    height = line * len(rows) + 12
    low, high = min(0.0, *(row[1] for row in rows)), max(0.0, *(row[1] for row in rows))
    unit = (width - label - words - 20) / max(high - low, 1e-12)
    zero = label + 10 - low * unit
    parts = [f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="4" y2="{height - 6}"/>']
    for number, (name, value, text) in enumerate(rows):
        y = 6 + number * line
        x = zero if value >= 0 else zero + value * unit
        parts.append(
            f'<text class="name" x="{label}" y="{y + 15}">{escape(name)}</text>'
            f'<rect class="bar {"up" if value >= 0 else "down"}" x="{x:.1f}" y="{y + 3}" rx="3" '
            f'width="{max(abs(value) * unit, 1):.1f}" height="{line - 8}"/>'
            f'<text class="value" x="{width - words + 4}" y="{y + 15}">{escape(text)}</text>'
        )
    return _svg(title, width, height, parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    first: float
    span: float
    bottom: float
    range: float
    width: int
    height: int

    def x(self, at: float) -> float:
        return _LEFT + (at - self.first) / self.span * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        inner = self.height - _TOP - _BOTTOM
        return _TOP + (1 - (value - self.bottom) / self.range) * inner


def _reduced(dots: Sequence[Dot]) -> list[Dot]:
    """At most about `_POINTS` dots: of each group the lowest and the highest, in time order."""
    size = ceil(len(dots) / (_POINTS / 2))
    if size < 2:
        return list(dots)
    kept = [dots[0]]
    for start in range(0, len(dots), size):
        group = dots[start : start + size]
        ends = {min(group, key=_value), max(group, key=_value)}
        kept += sorted(ends, key=lambda dot: dot.at_ms)
    return [*kept, dots[-1]]


def _value(dot: Dot) -> float:
    return dot.value


def _nice(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """Four to six round numbers within `low` and `high`, the outer ones at most a step away; steps
    of `least` or more."""
    step = max(_nice((high - low) / 4 or abs(high) / 4 or 1.0), least)
    return [number * step for number in range(floor(low / step), ceil(high / step) + 1)]


def _number(value: float) -> str:
    text = f"{value:,.6g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return "0" if text in ("-0", "0") else text


def _grid(scale: _Scale, value: float, words: str) -> str:
    y, end = scale.y(value), scale.width - _RIGHT
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}">{escape(words)}</text>'
    )


def _steps(scale: _Scale, dots: Sequence[Dot]) -> str:
    """Points of a path that goes along before it goes up or down."""
    before = scale.y(dots[0].value)
    points = [f"{scale.x(dots[0].at_ms):.1f},{before:.1f}"]
    for dot in dots[1:]:
        x, y = scale.x(dot.at_ms), scale.y(dot.value)
        points += [f"{x:.1f},{before:.1f}", f"{x:.1f},{y:.1f}"]
        before = y
    return "L".join(points)


def _time_axis(scale: _Scale, first: int, last: int) -> list[str]:
    """At most eight round moments: minutes, hours, midnights."""
    span = last - first
    step = next((each for each in _TIME_STEPS if span // each <= 7), _TIME_STEPS[-1])
    step *= max(ceil(span / step / 7), 1)
    parts = []
    for at in range(first + -first % step, last + 1, step):
        midnight = not at % _DAY_MS
        words = f"{datetime.fromtimestamp(at / 1_000, UTC):{'%d %b' if midnight else '%H:%M'}}"
        place = f'x="{scale.x(at):.1f}" y="{scale.height - 8}"'
        parts.append(f'<text class="tick mid" {place}>{words}</text>')
    return parts


def _nothing(title: str, width: int, height: int) -> str:
    place = f'x="{width / 2}" y="{height / 2}"'
    return _svg(title, width, height, [f'<text class="tick mid" {place}>no trades to draw</text>'])


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
