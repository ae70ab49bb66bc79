"""One playing of a story, and what is asked of it at the end (floor 8).

The verdict comes from outside, as for every run, with more asked because the story is known: at
most one entry ever fills, what is open is covered by one stop of its size, the database says what
the exchange says, and all of it is so within `SETTLE_S` of the last disturbance.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from core.domain.enums import ExecutionType, Purpose
from core.ids import parse_client_id
from core.kernel.chance import Chance
from core.paper.model import Contract
from core.paper.records import AlgoOrder, Order, Trade
from core.simulation.schedule import Script
from core.storage.database import open_reader
from tools.simulation.campaign import SeedRun, drive
from tools.simulation.stories import STORIES, SYMBOL, Director, StagedPrices
from tools.simulation.world import CHURN, Life, WorldPlan

SETTLE_S = 25.0
"""An order in doubt is proven absent within 15 s of its discovery."""
_AFTER_S = 2.0
_DOWN_S = 1.0
_READY_S = 60.0
_PROTECTED_WITHIN_S = 5.0
_QUIET_S = 0.5
_LOOK_S = 0.25
_NEXT = "life-2"
_DOUBTS = (
    "SELECT 1 FROM orders JOIN intents USING (intent_id) JOIN trades USING (trade_id)"
    " WHERE trades.closed_ms = 0 AND orders.status IN ('CREATED', 'SENT', 'UNKNOWN')"
)


class Death(StrEnum):
    """How a life ends. A power cut also takes what the disk was not made to keep."""

    KILL = "kill"
    POWER = "power"


class Play:
    """A story on its way."""

    def __init__(self, story: str, run: SeedRun, prices: StagedPrices) -> None:
        self.run = run
        self.world = run.world
        self.entered_at = 0
        """Step of the loop at which the entry was at the exchange; 0 before."""
        self.over = asyncio.Event()
        self._changed_at = 0.0
        self._absence = -1
        random = self.world.chance.stream(f"director/{story}")
        self.director = Director(STORIES[story], self.world, prices, random)
        self._listen()

    def _listen(self) -> None:
        events = self.world.paper.users
        order_changed, algo_changed = events.order_changed, events.algo_changed

        def on_order(order: Order, kind: ExecutionType, trade: Trade | None, now_ms: int) -> None:
            order_changed(order, kind, trade, now_ms)
            if _is_entry(order.spec.client_id) and not self.entered_at:
                self.entered_at = self.world.loop.steps
            self.world.loop.call_soon(self._look)

        def on_algo(algo: AlgoOrder, now_ms: int) -> None:
            algo_changed(algo, now_ms)
            self.world.loop.call_soon(self._look)

        for name, value in (("order_changed", on_order), ("algo_changed", on_algo)):
            setattr(events, name, value)

    def _look(self) -> None:
        self._changed_at = self.world.loop.time()
        self.director.look()
        if self.director.over:
            self.over.set()

    async def whole(self, give_up_s: float | None = None) -> None:
        """From the start to a while after the end of the position. Raises TimeoutError."""
        await self.run.begin()
        async with asyncio.timeout(give_up_s):
            await self.over.wait()
        await self.world.clock.sleep(_AFTER_S)

    # --- after a death ---------------------------------------------------------------------------

    def leave(self, step: int, death: Death, folder: Path) -> None:
        """Put what the daemon would leave, died it now, below `folder`."""
        if self.world.life is None:
            raise RuntimeError("nobody is alive")
        cut = self.world.chance.stream(f"cut/{step}") if death is Death.POWER else None
        self.world.life.disk.image(folder / _NEXT, cut)

    def die(self, folder: Path) -> None:
        """The end of the living daemon, here and now; `leave` was first, `aftermath` follows."""
        self._absence = self.run.observer.disturb(1e9)
        self.world.folder = folder
        life = self.world.strike_dead(folder / _NEXT)
        self.world.loop.freeze(life.name)

    async def aftermath(self) -> None:
        """A new life on the files that are left, until nothing moves any more; then the verdict."""
        world, observer = self.world, self.run.observer
        await world.clock.sleep(_DOWN_S)
        life = world.birth()
        observer.calm.end(self._absence, world.loop.time() + _PROTECTED_WITHIN_S)
        await self.wait(self.is_ready, _READY_S)
        if _is_ready(life):
            await self.settle()
        else:
            observer.blame("INV-16", f"not ready: exit {life.exit_code!r}, {life.error!r}")
        await self.run.end()
        self._judge_files(life.folder)

    # --- the verdict -----------------------------------------------------------------------------

    async def settle(self, *, recorded: bool = True) -> None:
        """INV-02, INV-05: until all is in order; blames what is not. `recorded` demands that every
        order's outcome stands in the audit log."""
        blame = self.run.observer.blame
        if not await self.wait(lambda: self._is_settled(recorded=recorded), SETTLE_S):
            scene, missing = self.director.scene(), ", ".join(self._in_doubt()) or "none"
            blame("INV-05", f"not in order after {SETTLE_S:.0f} s: {scene}, in doubt {missing}")
        filled = [
            order.spec.client_id
            for order in self.world.paper.exchange.matcher.orders.values()
            if order.executed and _is_entry(order.spec.client_id)
        ]
        if len(filled) > 1:
            blame("INV-02", f"several entries filled: {', '.join(filled)}")

    def _judge_files(self, folder: Path) -> None:
        """INV-03, INV-12, INV-13: what a death has left, read anew: intent and outcome of every
        order that reached the exchange, and no state file that had to be set aside."""
        blame, exchange = self.run.observer.blame, self.world.paper.exchange
        left = type(self.run.observer.audit)()
        left.refresh(folder / "logs")
        sent = [order.spec.client_id for order in exchange.matcher.orders.values()]
        sent += [algo.spec.order.client_id for algo in exchange.algos.algos.values()]
        for client_id in dict.fromkeys(sent):
            if parse_client_id(client_id) is None:
                continue
            if client_id not in left.intents:
                blame("INV-03", f"the intent of order {client_id} is lost")
            if client_id not in left.outcomes:
                blame("INV-12", f"the outcome of order {client_id} is lost")
        for path in sorted(folder.glob("data/**/*.corrupt-*")):
            blame("INV-13", f"a death damaged a state file: {path.name}")

    async def wait(self, until: Callable[[], Awaitable[bool]], timeout: float) -> bool:
        """As `World.wait`, but looking seldom: every look is a step to be paid for."""
        for _ in range(round(timeout / _LOOK_S)):
            if await until():
                return True
            await self.world.clock.sleep(_LOOK_S)
        return await until()

    async def is_over(self) -> bool:
        """The story has come to its end, or the daemon to its own."""
        life = self.world.life
        return self.over.is_set() or (life is not None and life.ended.is_set())

    async def is_ready(self) -> bool:
        """The daemon trades, or has ended."""
        life = self.world.life
        return life is not None and (life.ended.is_set() or _is_ready(life))

    async def _is_settled(self, *, recorded: bool) -> bool:
        """Nothing has changed for a while, and what there is is in order."""
        life, scene = self.world.life, self.director.scene()
        if life is None or self.world.loop.time() - self._changed_at < _QUIET_S:
            return False
        in_order = scene.covered if scene.held else not (scene.stops or scene.targets)
        if not in_order or not self.director.idle or (recorded and self._in_doubt()):
            return False
        held, waiting = await booked(life)
        return held == ([scene.held] if scene.held else []) and not waiting

    def _in_doubt(self) -> list[str]:
        """Orders of ours without an outcome in the audit log."""
        audit = self.run.observer.audit
        audit.refresh(self.world.audit_path.parent)
        return [client_id for client_id in audit.intents if client_id not in audit.outcomes]


def _is_entry(client_id: str) -> bool:
    parts = parse_client_id(client_id)
    return parts is not None and parts.purpose is Purpose.ENTRY


def _is_ready(life: Life) -> bool:
    return life.app is not None and life.app.ready


async def booked(life: Life) -> tuple[list[Decimal], int]:
    """What the trades hold that are open in a life's database, and how many of their orders are
    in doubt there; read as by another process."""
    database = await open_reader(life.folder / "data" / f"bot.{life.config.venue.value}.db")
    try:
        rows = await database.query("SELECT quantity FROM trades WHERE closed_ms = 0")
        doubts = await database.query(_DOUBTS)
    finally:
        await database.close()
    return [Decimal(str(quantity)) for (quantity,) in rows], len(doubts)


def script_of(story: str, seed: int) -> Script:
    """The circumstances of a story: latencies drawn from the seed, no faults."""
    random = Chance(seed).stream(f"story/{story}")
    return Script(
        seed=seed,
        hours=1.0,
        symbols=(SYMBOL,),
        tick_ms=5_000,
        latency_ms=random.choice((1, 10, 40)),
        jitter_ms=random.choice((0, 5, 30)),
        guarded=True,
        strikes=(),
    )


def perform(
    story: str,
    seed: int,
    folder: Path,
    act: Callable[[Play], Coroutine[None, None, None]],
    log_level: str = "ERROR",
) -> Play:
    """Let `act` play a story of a seed in `folder`, which is replaced."""
    script = script_of(story, seed)
    made: list[StagedPrices] = []
    plays: list[Play] = []

    def prices(contracts: Sequence[Contract]) -> StagedPrices:
        made.append(StagedPrices(contracts))
        return made[-1]

    async def play(run: SeedRun) -> None:
        plays.append(Play(story, run, made[0]))
        await act(plays[0])

    settings = {**CHURN, "LOG_LEVEL": log_level}
    plan = WorldPlan(script.seed, script.symbols, settings=settings, prices=prices)
    drive(script, folder, play, plan)
    return plays[0]
