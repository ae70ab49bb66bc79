"""Waiting for a moment of the market on an injected clock (floor 2c)."""

from core.domain.ports import Clock


async def wait_until(clock: Clock, due_ms: int) -> None:
    """Return once the wall time is `due_ms` or later; yields to the loop at least once.

    A feed that is behind thus catches up without skipping and without blocking the loop.
    """
    await clock.sleep((due_ms - clock.now_ms()) / 1000)
    while (early := due_ms - clock.now_ms()) > 0:
        await clock.sleep(early / 1000)
