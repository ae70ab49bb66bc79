"""One seed from birth to verdict (floor 8), and many of them."""

import asyncio
import gc
import os
import shutil
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count
from pathlib import Path

from core.config import TradingConfig
from core.domain.errors import AccountError
from core.domain.money import ZERO
from core.ids import parse_client_id
from core.kernel.chance import Chance
from core.kernel.clock import stopwatch
from core.kernel.loops import run
from core.paper.records import Trade
from core.risk_guard import RiskLimits
from core.simulation.calm import BIRTH_S
from core.simulation.crash import SteppedLoop
from core.simulation.memory_network import STREAMS
from core.simulation.observer import Observer, Violation
from core.simulation.planted import API_KEY, API_SECRET, HMAC_KEY, leaks, needles
from core.simulation.schedule import FaultKind, Script, write_script
from core.simulation.telegram_server import TOKEN
from core.simulation.virtual_loop import aiohttp_on_virtual_time
from core.simulation.wire_judge import WireJudge
from core.storage.audit_verify import find_segments, verify
from core.storage.database import open_database
from core.storage.queries import closed_trades, open_symbols
from core.symbol_utils import to_binance_symbol
from tools.simulation import act_exchange, act_links, act_owner
from tools.simulation.acts import Hands
from tools.simulation.chat import Chat, ChatKind, write_calls
from tools.simulation.timeline import write_timeline
from tools.simulation.watching import (
    LedgerBooks,
    booked_positions,
    limits_of,
    watch_account,
    watch_wire,
)
from tools.simulation.world import World, WorldPlan

_LOOK_EVERY_S = 1.0
_LIVENESS_S = 60.0
_PHONE_CHANCE = 0.4
_MOST_TASKS = 400
_MOST_LIVES = 200
_COMPARE_EVERY = 120
"""Looks between two comparisons of the database with the exchange's positions."""
_QUIET_S = 10.0
"""Without a change of the account for so long, everything is in the database."""
ACTS = {**act_links.ACTS, **act_exchange.ACTS, **act_owner.ACTS}
_LEFT_OPEN = ("Unclosed client session", "Unclosed connector", "Unclosed connection")
"""What a killed process leaves behind."""


Kind = FaultKind | ChatKind


@dataclass(slots=True)
class SeedResult:
    """What became of one seed. Times in seconds; `digest` is the run's fingerprint.

    `longest_naked_s` is the longest calm time without a stop, `longest_raw_s` with excused time.
    """

    seed: int
    hours: float
    symbols: tuple[str, ...]
    violations: list[Violation] = field(default_factory=list)
    fired: Counter[Kind] = field(default_factory=Counter)
    planned: Counter[Kind] = field(default_factory=Counter)
    lives: int = 0
    trades: int = 0
    orders: int = 0
    longest_naked_s: float = 0.0
    longest_raw_s: float = 0.0
    real_s: float = 0.0
    digest: str = ""
    timeline: Path | None = None


def busy(seed: int) -> float:
    """How busy the phone of a seed is; four seeds in ten have one. A stream of its own draws it,
    so that the script stays what it was."""
    return float(Chance(seed).stream("phone").random() < _PHONE_CHANCE)


def plan_of(script: Script) -> WorldPlan:
    """The world of a script, with the strategy that trades most."""
    return WorldPlan(
        script.seed, script.symbols, script.quote, script.tick_ms, elsewhere=script.elsewhere
    )


class SeedRun:
    """One seed: warm-up, faults, healing, liveness, an orderly stop, judgement."""

    def __init__(
        self, script: Script, folder: Path, loop: SteppedLoop, plan: WorldPlan | None = None
    ) -> None:
        self.script = script
        self.world = World(plan or plan_of(script), folder, loop)
        books = LedgerBooks(self.world)
        files = self._audit_folder
        self.observer = Observer(books, loop.time, files)
        self.wire = WireJudge(
            books,
            self.observer.audit,
            files,
            limits_of(self.world.config_in(folder)),
            loop.time,
            self.world.clock.now_ms,
            self.observer.blame,
        )
        books.strangers = self.wire.strangers
        self.observer.tried, self.observer.asked = self.wire.tried, self.wire.asked
        watch_wire(self.world, self.wire)
        self.hands = Hands(self.world, self.observer, self.wire, script, ACTS)
        calls = write_calls(script, self.world.plan.phone)
        self.chat = Chat(self.world, self.observer, calls, script.heal_at) if calls else None
        self.comparisons = 0
        """How often the database was held against the exchange's positions."""
        self._changed_at = 0.0
        watch_account(self.world, self.observer, self._touch)

    async def play(self) -> None:
        world = self.world
        await self.begin()
        await self.hands.play()
        await world.clock.sleep(_LIVENESS_S)
        self._judge_liveness()
        await world.clock.sleep(max(self.script.seconds - world.loop.time(), 0.0))
        await self.end()

    async def begin(self) -> None:
        """Open the exchange and start the first life."""
        await self.world.open()
        self.world.birth()
        self.observer.disturb(BIRTH_S, reach=False)
        self.world.supervisor.spawn("look", self._look)
        if self.chat is not None:
            self.world.supervisor.spawn("phone", self.chat.play)

    async def _look(self) -> None:
        """Time passes for a naked position also when nothing happens at the exchange."""
        for number in count(1):
            await self.world.clock.sleep(_LOOK_EVERY_S)
            self.observer.read_files()
            self.observer.look()
            self._look_at_stream()
            if number % _COMPARE_EVERY == 0:
                self._compare()
            life = self.world.life
            if life is not None and life.ended.is_set():
                refused = self.world.loop.time() < self.hands.key_dead_until
                if not (refused and isinstance(life.error, AccountError)):
                    self._died(life.name, life.exit_code, life.error)
                if len(self.world.past) >= _MOST_LIVES:
                    raise RuntimeError(f"{_MOST_LIVES} lives, the last ended by itself")
                self.observer.disturb(BIRTH_S, reach=False)
                self.world.replace()

    def _audit_folder(self) -> Path:
        return self.world.audit_path.parent

    def _look_at_stream(self) -> None:
        """INV-14: since when the life has had no living user stream."""
        life = self.world.life
        if life is None or self.world.network.count("private", life.name):
            self.wire.stream_gone_since = None
        elif self.wire.stream_gone_since is None:
            self.wire.stream_gone_since = self.world.loop.time()

    def _touch(self) -> None:
        self._changed_at = self.world.loop.time()

    def _compare(self) -> None:
        """INV-05 while the daemon runs: its database, read from outside, and the exchange."""
        life = self.world.life
        quiet = self.world.loop.time() - self._changed_at >= _QUIET_S
        if life is not None and quiet and self.observer.settled:
            self.comparisons += 1
            self.observer.compare(booked_positions(life))

    def _died(self, name: str, code: object, error: BaseException | None) -> None:
        self.observer.blame("INV-16", f"{name} ended by itself: exit {code!r}, {error!r}")

    def _judge_liveness(self) -> None:
        life = self.world.life
        if life is None:
            self.observer.blame("INV-16", "nobody is alive after the healing")
            return
        for link in STREAMS:
            if not self.world.network.count(link, life.name):
                self.observer.blame("INV-16", f"no {link} stream {_LIVENESS_S:.0f} s after healing")
        tasks = len(self.world.lives.tasks(life.name))
        if tasks > _MOST_TASKS:
            self.observer.blame("INV-16", f"{tasks} tasks")

    async def end(self) -> None:
        """The last life closes everything and stops; then its files are read."""
        world, observer = self.world, self.observer
        if world.life is None:
            await world.close()
            return
        observer.disturb(1e9, reach=False)
        life = await world.stop()
        if life.exit_code != 0 or life.error is not None:
            self._died(life.name, life.exit_code, life.error)
        paper = world.paper
        left = [order.spec.client_id for order in paper.open_orders()]
        left += [algo.spec.order.client_id for algo in paper.open_algo_orders()]
        observer.flat(left)
        observer.finish()
        await self._judge_books(life.folder, life.config.venue.value)
        for each in (*world.past, life):
            self._judge_audit(each.folder)
            self._judge_secrets(each.folder)
        if self.chat is not None:
            self.chat.judge(life.folder / "logs")
        for trouble in world.troubles:
            observer.blame("simulation", trouble)
        await world.close()

    async def _judge_books(self, folder: Path, venue: str) -> None:
        """INV-09, INV-10: every fill once, to the last decimal."""
        database = await open_database(folder / "data" / f"bot.{venue}.db", inline=True)
        try:
            trades = await closed_trades(database, 0, 2**53)
            for symbol in await open_symbols(database):
                self.observer.blame("INV-05", f"{symbol} is still open in the books")
            rows = await database.query("SELECT symbol, exchange_trade_id FROM fills")
        finally:
            await database.close()
        booked = {(to_binance_symbol(str(symbol)), number) for symbol, number in rows}
        for fill in self.world.paper.ledger.trades:
            if (fill.symbol, fill.trade_id) not in booked and self._ours(fill):
                text = f"{fill.symbol} fill {fill.trade_id} of order {fill.order_id} never booked"
                self.observer.blame("INV-09", text)
        told = sum((trade.net for trade in trades), ZERO)
        paper, quote = self.world.paper, self.script.quote
        elsewhere = self.world.plan.elsewhere
        others = (row.amount for row in paper.ledger.income if row.symbol == elsewhere)
        change = paper.wallet(quote) - paper.start_balance - sum(others, ZERO)
        self.observer.money(quote, change, told)

    def _ours(self, fill: Trade) -> bool:
        order = self.world.paper.exchange.matcher.find(fill.symbol, fill.order_id, None)
        return order is not None and parse_client_id(order.spec.client_id) is not None

    def _judge_secrets(self, folder: Path) -> None:
        """INV-12: this life's keys are in no byte of what it wrote."""
        searched = needles((API_KEY, API_SECRET, HMAC_KEY, TOKEN))
        for path in sorted(folder.rglob("*")):
            if path.is_file() and leaks(path.read_bytes(), searched):
                name = path.relative_to(folder).as_posix()
                self.observer.blame("INV-12", f"{folder.name}: a secret stands in {name}")

    def _judge_audit(self, folder: Path) -> None:
        files, whole = find_segments([folder / "logs" / "audit.jsonl"])
        bad = verify(files, whole=whole).bad
        if bad is not None:
            self.observer.blame("INV-11", f"{folder.name}: record {bad.seq}: {bad.why}")


@contextmanager
def _limits(*, guarded: bool) -> Iterator[None]:
    """Without guard the day's profit factor and drawdown do not end the trading: a strategy that
    only churns loses its fees, and would otherwise stop within the hour."""
    real = RiskLimits.from_config
    if guarded:
        yield
        return

    def endless(config: TradingConfig) -> RiskLimits:
        return replace(real(config), min_profit_factor=ZERO, drawdown_brake=Decimal(1))

    setattr(RiskLimits, "from_config", staticmethod(endless))  # noqa: B010 - replaces a method
    try:
        yield
    finally:
        setattr(RiskLimits, "from_config", real)  # noqa: B010 - as above


def _words(context: Mapping[str, object]) -> str:
    error = context.get("exception")
    return f"{context.get('message')} {error!r}" if error is not None else str(context["message"])


def drive(
    script: Script,
    folder: Path,
    play: Callable[["SeedRun"], Coroutine[None, None, None]],
    plan: WorldPlan | None = None,
) -> "SeedRun":
    """`play` a run of `script` in `folder`, which is replaced, on virtual time and in silence."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    runs: list[SeedRun] = []
    loose: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)  # noqa: S101 - the factory below
        loop.set_exception_handler(lambda _, context: loose.append(_words(context)))
        with aiohttp_on_virtual_time(loop):
            runs.append(SeedRun(script, folder, loop, plan))
            await play(runs[0])

    with (
        open(os.devnull, "w", encoding="utf-8") as console,
        redirect_stdout(console),
        redirect_stderr(console),
        _limits(guarded=script.guarded),
    ):
        run(main(), loop_factory=SteppedLoop)
        gc.collect()  # exceptions nobody asked for are told when their task is collected
    for text in loose:
        if not text.startswith(_LEFT_OPEN):
            runs[0].observer.blame("INV-16", f"unhandled: {text}")
    return runs[0]


def run_seed(
    seed: int,
    hours: float,
    folder: Path,
    kinds: tuple[FaultKind, ...] | None = None,
    *,
    intensity: float = 1.0,
    keep_timeline: bool = False,
) -> SeedResult:
    """Run one seed in `folder`, which is replaced. A failure leaves a timeline there; without one
    the folder is removed again."""
    script = write_script(seed, hours, kinds, intensity)
    result = SeedResult(seed, hours, script.symbols)
    result.planned.update(strike.kind for strike in script.strikes)
    began = stopwatch()
    plan = replace(plan_of(script), phone=busy(seed) if kinds is None else 0.0)
    played = drive(script, folder, SeedRun.play, plan)
    world = played.world
    world.trace.audit(world.audit_path)
    result.violations = played.observer.violations
    result.fired.update(played.hands.fired)
    if played.chat is not None:
        result.fired.update(played.chat.fired)
        result.planned.update(call.kind for call in played.chat.calls)
    result.lives = len(world.past)
    result.trades = len(world.paper.ledger.trades)
    result.orders = sum(
        count for name, count in world.paper.requests.items() if name.startswith("POST /fapi/v1/")
    )
    result.longest_naked_s = played.observer.longest_naked_s
    result.longest_raw_s = played.observer.longest_raw_s
    result.digest = world.trace.digest
    result.real_s = stopwatch() - began
    if result.violations or keep_timeline:
        result.timeline = write_timeline(folder, world, result.violations)
    else:
        shutil.rmtree(folder)
    return result
