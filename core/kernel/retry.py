"""Repeating what may be repeated (floor 1; INV-16): bounded in attempts and in total time.

Only for calls without side effects, or whose side effects are the same when repeated. A mutating
call on the exchange is never repeated here: its outcome is proven instead (INV-04).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from core.domain.ports import Clock

T = TypeVar("T")


class Backoff:
    """Pauses that grow: `base`, times `factor` each time, at most `cap`, in seconds.

    `jitter` is the largest share of a pause that chance takes away (0 none, 1 all of it), so that
    many callers that failed together do not come back together.
    """

    def __init__(
        self,
        dice: random.Random,
        *,
        base: float = 0.5,
        factor: float = 2.0,
        cap: float = 30.0,
        jitter: float = 0.5,
    ) -> None:
        if not (0 < base <= cap and factor >= 1 and 0 <= jitter <= 1):
            raise ValueError(
                "backoff needs 0 < base <= cap, factor >= 1 and 0 <= jitter <= 1, not"
                f" base={base} cap={cap} factor={factor} jitter={jitter}"
            )
        self._dice = dice
        self._base = base
        self._factor = factor
        self._cap = cap
        self._jitter = jitter
        self._next = base

    def next(self) -> float:
        """The pause before the next attempt, in seconds; each call makes the following longer."""
        pause = self._next
        self._next = min(pause * self._factor, self._cap)
        return pause * (1.0 - self._jitter * self._dice.random())

    def reset(self) -> None:
        """Begin again with `base`: the last attempt succeeded."""
        self._next = self._base


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt that will be followed by another, for the log."""

    number: int
    error: BaseException
    pause_s: float


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    errors: type[Exception] | tuple[type[Exception], ...],
    attempts: int,
    total_s: float,
    backoff: Backoff,
    clock: Clock,
    on_retry: Callable[[Attempt], None] | None = None,
) -> T:
    """Await `call()` until it succeeds, at most `attempts` times and `total_s` seconds in all.

    Only `errors` are repeated; everything else passes at once. When the attempts are used up, or
    the pause before the next one would end after the total, the last error is raised as it came.
    An attempt still running when the total ends is cancelled and TimeoutError raised, with the
    last error, if any, as its cause.
    """
    if attempts < 1 or total_s <= 0:
        raise ValueError(f"retry needs attempts >= 1 and total_s > 0, not {attempts}, {total_s}")
    deadline = clock.monotonic() + total_s
    last: Exception | None = None
    for number in range(1, attempts + 1):
        whole = asyncio.timeout(deadline - clock.monotonic())
        try:
            async with whole:
                return await call()
        except errors as error:
            if whole.expired():
                raise TimeoutError(f"no answer within {total_s:g} s in all") from last
            last = error
            pause = backoff.next()
            if number == attempts or clock.monotonic() + pause >= deadline:
                raise
            if on_retry is not None:
                on_retry(Attempt(number, error, pause))
        except TimeoutError:
            if not whole.expired():
                raise
            raise TimeoutError(f"no answer within {total_s:g} s in all") from last
        await clock.sleep(pause)
    raise AssertionError("unreachable: the last attempt returns or raises")
