"""kill -9 at every step of a position's life, then a restart on the same folder.

Real processes, real SIGKILL, real files; the exchange lives on outside. After the restart there is
no naked position, no duplicate, no orphan, and each trade is accounted once (INV-01, 02, 03, 05,
09, 11). The suite takes a seeded slice; `CRASH_POINTS=all python -m pytest tests/crash` takes all.
"""

import asyncio
import os
import random
import sqlite3
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from support.market import HandFeed
from support.world import WIRE, Failures

from core.kernel.clock import LiveClock
from core.kernel.supervisor import Supervisor
from core.paper.contracts import build_contracts
from core.paper.server import PaperServer
from core.simulation.planted import API_KEY, API_SECRET
from core.storage.audit_verify import find_segments, verify

ROOT = Path(__file__).resolve().parents[2]
SLICE = 6


@dataclass
class Exchange:
    """The paper exchange in this process; it survives the daemon."""

    server: PaperServer
    feed: HandFeed
    rest: str = ""
    ws: str = ""

    def position(self) -> Decimal:
        return sum((p.quantity for p in self.server.positions()), Decimal(0))

    def stops(self) -> Decimal:
        return sum(
            (
                algo.spec.order.quantity
                for algo in self.server.open_algo_orders()
                if algo.spec.order.kind == "STOP_MARKET"
            ),
            Decimal(0),
        )

    def entries(self) -> int:
        """Executed buys: what an order sent twice would show as two."""
        return sum(
            1
            for order in self.server.exchange.matcher.orders.values()
            if order.spec.side == "BUY" and order.executed > 0
        )


@dataclass
class Outcome:
    """What one life and its restart looked like from outside."""

    point: int
    steps: int = 0
    violations: list[str] = field(default_factory=list)


async def child(
    folder: Path, exchange: Exchange, die_at: int, mode: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests" / "crash" / "child.py"),
        str(folder),
        exchange.rest,
        exchange.ws,
        str(die_at),
        mode,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )


async def words(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(40):
        return (await process.stdout.readline()).decode().strip()


async def live(folder: Path, die_at: int) -> Outcome:
    """One exchange, one life that ends at `die_at`, one restart."""
    clock, failures = LiveClock(), Failures()
    outside = Supervisor(clock, failures.task)
    feed = HandFeed({WIRE: "2.0000"}, clock.now_ms(), minutes=10)
    server = PaperServer(
        feed,
        build_contracts("USDC"),
        clock,
        outside,
        seed=7,
        balance=Decimal(400),
        quote="USDC",
        api_key=API_KEY,
        api_secret=API_SECRET,
    )
    at = await server.start()
    exchange = Exchange(server, feed, at.rest, at.ws)
    outcome = Outcome(die_at)
    try:
        first = await child(folder, exchange, die_at, "trade")
        await play(first, exchange, outcome)
        if die_at:
            await restart(folder, exchange, outcome)
        check_end(folder, exchange, outcome)
    finally:
        await server.stop()
        await outside.close(5.0)
    outcome.violations += failures.seen
    return outcome


async def play(process: asyncio.subprocess.Process, exchange: Exchange, outcome: Outcome) -> None:
    """Move prices as the life goes on; returns when the process has ended."""
    while word := await words(process):
        if word == "OPENED":
            exchange.feed.push(WIRE, "2.0130")
        elif word == "RESIZED":
            exchange.feed.push(WIRE, "1.9700")
        elif word.startswith("STEPS"):
            outcome.steps = int(word.split()[1])
    _, errors = await process.communicate()
    if process.returncode not in (0, -9):
        outcome.violations.append(f"first life: {errors.decode()[-2000:]}")


async def restart(folder: Path, exchange: Exchange, outcome: Outcome) -> None:
    process = await child(folder, exchange, 0, "recover")
    word = await words(process)
    held = exchange.position()
    if held and exchange.stops() < abs(held):
        outcome.violations.append(f"naked: position {held}, stops {exchange.stops()}")
    if word == "FLAT" and held:
        outcome.violations.append(f"says flat with {held}")
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    if process.returncode != 0:
        outcome.violations.append(f"restart: {errors.decode()[-3000:]}")


def check_end(folder: Path, exchange: Exchange, outcome: Outcome) -> None:
    """Everything is over: the ledger, the database and the audit log must agree."""
    bad = outcome.violations
    if exchange.position():
        bad.append(f"position {exchange.position()} left")
    if exchange.server.open_algo_orders() or exchange.server.open_orders():
        bad.append("orders left")
    if exchange.entries() > 1:
        bad.append(f"{exchange.entries()} entries were executed")
    files, whole = find_segments([folder / "audit.jsonl"])
    verdict = verify(files, whole=whole)
    if verdict.bad is not None:
        bad.append(f"audit: {verdict.bad}")
    with sqlite3.connect(folder / "bot.paper.db") as database:
        rows = database.execute(
            "SELECT realized, fees, funding, closed_ms FROM trades WHERE entry_quantity != '0'"
        ).fetchall()
    if any(row[3] == 0 for row in rows):
        bad.append("a trade is still open in the database")
    if len(rows) != exchange.entries():
        bad.append(f"{len(rows)} trades recorded, {exchange.entries()} entries executed")
    booked = sum((Decimal(r) - Decimal(f) + Decimal(n) for r, f, n, _ in rows), Decimal(0))
    change = exchange.server.wallet("USDC") - exchange.server.start_balance
    if booked != change:
        bad.append(f"booked {booked}, wallet moved {change}")


def test_a_restart_after_kill_at_any_step_leaves_no_harm(tmp_path: Path) -> None:
    whole = asyncio.run(live(_folder(tmp_path, 0), 0))
    assert whole.violations == []
    assert whole.steps > 50
    points = range(1, whole.steps + 1)
    if os.environ.get("CRASH_POINTS") != "all":
        points = sorted(random.Random(7).sample(points, SLICE))
    broken = []
    for point in points:
        outcome = asyncio.run(live(_folder(tmp_path, point), point))
        sys.stderr.write(f"point {point}/{whole.steps}: {outcome.violations or 'ok'}\n")
        if outcome.violations:
            broken.append((point, outcome.violations))
    assert broken == []


def _folder(base: Path, point: int) -> Path:
    folder = base / str(point)
    folder.mkdir()
    return folder
