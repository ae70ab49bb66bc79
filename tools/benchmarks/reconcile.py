"""Section reconcile: comparing many positions and their orders with the exchange (floor 8; INV-05).

Every symbol has a position, a stop and two targets. Counted are the requests the exchange saw and
the weight they cost. The exchange is in this process and over loopback.
"""

import tempfile
from pathlib import Path

from core.domain.facts import ReconcileDone
from core.kernel.clock import stopwatch
from core.kernel.loops import live_loop_factory, run
from tools.benchmarks.desk import Desk, open_desk
from tools.benchmarks.figures import MILLISECONDS, Effort, Section, SectionFailed, row

NAME = "reconcile"
TITLE = "one reconcile of many positions, each with a stop and two targets, over loopback"
_SYMBOLS = 50
_TIMES = 12
"""What fits into a minute's weight."""


def measure(effort: Effort) -> Section:
    """Raises SectionFailed when a reconcile failed or found something to repair."""
    return run(_measure(effort), loop_factory=live_loop_factory())


async def _measure(effort: Effort) -> Section:
    count = effort.pick(_SYMBOLS, 5)
    times: list[float] = []
    requests: list[float] = []
    weights: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with open_desk(Path(folder), count) as desk:
            for symbol in desk.symbols:
                desk.fill(symbol)
            await desk.opened(count)
            await _once(desk, count)
            for _ in range(effort.pick(_TIMES, 2)):
                seen, used = desk.server.requests.total(), desk.client.budget.weight_used
                began = stopwatch()
                await _once(desk, count)
                times.append((stopwatch() - began) * MILLISECONDS)
                requests.append(desk.server.requests.total() - seen)
                weight = desk.client.budget.weight_used - used
                if weight > 0:  # not across the end of a minute, where the count begins anew
                    weights.append(weight)
    rows = (
        row(f"reconcile of {count} symbols", "ms", [times]),
        row("requests of one reconcile", "1", [requests]),
        row("weight of one reconcile (2,400 a minute)", "1", [weights]),
    )
    return Section(NAME, TITLE, rows, ("the exchange works in the same process",))


async def _once(desk: Desk, count: int) -> None:
    """Raises SectionFailed unless everything was read and nothing was to be repaired."""
    if not await desk.orders.reconcile("measurement"):
        raise SectionFailed("the exchange could not be read")
    done = next(fact for fact in reversed(desk.facts) if isinstance(fact, ReconcileDone))
    if done.positions != count or done.orders != 3 * count or done.repairs:
        raise SectionFailed(
            f"{done.positions} positions, {done.orders} orders, repairs {done.repairs[:1]}"
        )
