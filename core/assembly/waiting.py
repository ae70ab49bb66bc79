"""Start-up waits for what it needs instead of dying (floor 7)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.domain.errors import AccountError, BotError, CredentialsDead, VenueError
from core.domain.ports import Clock
from core.kernel.retry import Backoff
from core.observe.narrator import LogEvent

T = TypeVar("T")


SLOW_S = 5.0
"""After this long without an answer the operator is told, once per attempt."""


class GaveUp(BotError):
    """A start that may not wait for ever did not get what it needs in time. Exit code 1."""


async def wait_for(
    what: str,
    call: Callable[[], Awaitable[T]],
    *,
    clock: Clock,
    backoff: Backoff,
    log: LogEvent,
    give_up_s: float | None,
) -> T:
    """Result of `call()`, asked again with growing pauses while the exchange cannot answer.

    One line when it begins to wait and one when the reason changes. `give_up_s` bounds the wait;
    None waits until it works. Raises GaveUp, and AccountError for credentials that cannot work.
    """
    deadline = None if give_up_s is None else clock.monotonic() + give_up_s
    told = ""
    while True:
        slow = asyncio.get_running_loop().call_later(
            SLOW_S,
            log,
            "start",
            "WARNING",
            f"waiting for {what}: no answer yet; the network is slow, or requests are held back "
            "because this minute's are used up",
        )
        try:
            async with asyncio.timeout(_left(deadline, clock)):
                return await call()
        except CredentialsDead as error:
            raise AccountError(
                f"the exchange refuses this API key: {error.text}; check key, secret, IP "
                "restriction and that futures trading is enabled for it"
            ) from None
        except VenueError as error:
            reason = str(error)
        except TimeoutError:
            reason = told or "no answer"
        finally:
            slow.cancel()
        left = _left(deadline, clock)
        if left == 0.0:
            raise GaveUp(f"{what}: no success within {give_up_s:g} s: {reason}")
        if reason != told:
            told = reason
            log("start", "WARNING", f"waiting for {what}: {reason}")
        pause = backoff.next()
        await clock.sleep(pause if left is None else min(pause, left))


def _left(deadline: float | None, clock: Clock) -> float | None:
    """Seconds until `deadline`, not below 0; None without one."""
    return None if deadline is None else max(deadline - clock.monotonic(), 0.0)
