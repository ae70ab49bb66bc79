"""Measured numbers as values (floor 8): samples to rows, rows to sections.

Durations are taken with `core.kernel.clock.stopwatch` and nothing else. A row is the median of all
samples of all rounds; the medians of single rounds beside it show how far a repetition may differ.
"""

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from core.kernel.clock import stopwatch

T = TypeVar("T")
MICROSECONDS = 1e6
MILLISECONDS = 1e3


class SectionFailed(Exception):
    """A section cannot give numbers, or would give wrong ones; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: `quick` shows that everything runs, without it numbers are steady."""

    quick: bool = False

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing. `goal` is the most it should be, in the row's unit.

    `rounds` are the least and the greatest median of a round; `ratios` compare with other rows of
    the same run.
    """

    name: str
    unit: str
    median: float
    p90: float | None = None
    p99: float | None = None
    samples: int = 1
    rounds: tuple[float, float] | None = None
    goal: float | None = None
    ratios: tuple[tuple[str, float], ...] = ()

    def against(self, other: "Row", name: str) -> "Row":
        """This row with its ratio to `other`."""
        ratio = self.median / other.median if other.median else float("nan")
        return replace(self, ratios=(*self.ratios, (name, ratio)))


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one section; `failure` is set instead of rows when it could not be measured."""

    name: str
    title: str
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    failure: str = ""


def quantile(values: Sequence[float], share: float) -> float:
    """Smallest value that at least `share` (0…1) of the values do not exceed."""
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[max(rank, 1) - 1]


def row(name: str, unit: str, rounds: Iterable[Sequence[float]], goal: float | None = None) -> Row:
    """Row of the samples of one or more rounds. Raises SectionFailed when there are none."""
    kept = [samples for samples in rounds if samples]
    if not kept:
        raise SectionFailed(f"{name}: nothing was measured")
    values = [value for samples in kept for value in samples]
    medians = [quantile(samples, 0.5) for samples in kept]
    return Row(
        name=name,
        unit=unit,
        median=quantile(values, 0.5),
        p90=quantile(values, 0.9) if len(values) >= 10 else None,
        p99=quantile(values, 0.99) if len(values) >= 100 else None,
        samples=len(values),
        rounds=(min(medians), max(medians)) if len(medians) > 1 else None,
        goal=goal,
    )


def rate(name: str, rounds: Iterable[Sequence[float]]) -> Row:
    """How many of the samples (microseconds each) fit into a second, mean over each round."""
    kept = [len(samples) / sum(samples) * MICROSECONDS for samples in rounds if samples]
    return row(name, "1/s", [[value] for value in kept])


def each_us(call: Callable[[T], object], arguments: Iterable[T]) -> list[float]:
    """Microseconds of one call per argument."""
    samples = []
    for argument in arguments:
        began = stopwatch()
        call(argument)
        samples.append((stopwatch() - began) * MICROSECONDS)
    return samples


def timer_us() -> float:
    """What taking one sample costs by itself, contained in every sample."""
    return quantile(each_us(lambda _: None, range(2_000)), 0.5)


class Collections:
    """Runs of the garbage collector since this object was made."""

    def __init__(self) -> None:
        self._before = self._counts()

    @staticmethod
    def _counts() -> tuple[int, ...]:
        return tuple(generation["collections"] for generation in gc.get_stats())

    def text(self) -> str:
        now = self._counts()
        return "/".join(
            str(after - before) for before, after in zip(self._before, now, strict=True)
        )
