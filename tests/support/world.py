"""A whole small world on one virtual loop: paper exchange, real ccxt client, real sockets, real
SQLite and audit files, and the OMS under test."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr
from support.market import HandFeed

from core.audit_logger import AuditLogger
from core.domain.enums import (
    Direction,
    ExitReason,
    ForeignPolicy,
    TakeProfitStyle,
    WorkingType,
)
from core.domain.facts import Alert, DaemonFact
from core.domain.intent import (
    ApprovedEntry,
    ProtectionPlan,
    SizingResult,
    TakeProfitRatio,
)
from core.domain.market import BookTop, MarkPrice
from core.domain.ports import Clock
from core.exchange.endpoints import Endpoints
from core.exchange.library import Credentials
from core.exchange_client import OptimizedExchangeClient
from core.kernel.chance import Chance
from core.kernel.clock import SimulatedClock
from core.kernel.dispatcher import Dispatcher
from core.kernel.loops import run
from core.kernel.supervisor import Restart, Supervisor
from core.oms.parts import OmsPorts
from core.oms.rules import OmsRules
from core.order_manager import OrderManager
from core.paper.contracts import build_contracts
from core.paper.server import PaperServer
from core.simulation.planted import API_KEY, API_SECRET, HMAC_KEY
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory
from core.storage.database import open_database
from core.storage.journal import Journal
from core.storage.write_queue import WriteQueue
from core.symbol_utils import to_binance_symbol
from core.ws_client import UserDataStreamManager

EPOCH_MS = 1_750_000_020_000
SYMBOL = "XRP/USDC:USDC"
WIRE = "XRPUSDC"
PLAN = ProtectionPlan(
    stop_ratio=Decimal("0.008"),
    legs=(
        TakeProfitRatio(Decimal("0.006"), Decimal("0.5")),
        TakeProfitRatio(Decimal("0.012"), Decimal("0.3")),
        TakeProfitRatio(Decimal("0.018"), Decimal("0.2")),
    ),
)


class RiskEar:
    """Stands where RiskGuard stands and remembers what it was told."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, str, Decimal, ExitReason]] = []
        self.transfers: list[Decimal] = []
        self.halts: list[str] = []
        self.cleared_ms = 0

    def halt(self, reason: str, who: str) -> None:
        self.halts.append(f"{who}: {reason}")

    def note_transfer(self, amount: Decimal) -> None:
        self.transfers.append(amount)

    def trade_closed(
        self, trade_id: str, symbol: str, net: Decimal, reason: ExitReason, at_ms: int
    ) -> None:
        assert at_ms > 0
        self.closed.append((trade_id, symbol, net, reason))


@dataclass
class Failures:
    """Exceptions that reached the border of a task or an observer."""

    seen: list[str] = field(default_factory=list)

    def task(self, name: str, error: BaseException, again: bool) -> None:
        self.seen.append(f"{name}: {error!r} (again: {again})")

    def observer(self, name: str, error: BaseException) -> None:
        self.seen.append(f"{name}: {error!r}")


@dataclass(frozen=True)
class Ground:
    """What a daemon stands on. `inline` runs SQL on the loop, for virtual time."""

    folder: Path
    clock: Clock
    failures: Failures
    rest: str
    ws: str
    inline: bool = True
    max_hold_ms: int = 0
    price: Callable[[str], Decimal] = lambda _: Decimal("2.0000")
    """Mark price by symbol, as the daemon's market data would have it."""
    rules: Callable[[OmsRules], OmsRules] = lambda rules: rules
    """What a story changes in the rules of the OMS."""


class NewestPrices:
    """Market data without delay: the exchange's price at this instant."""

    def __init__(self, price: Callable[[str], Decimal], clock: Clock) -> None:
        self._price = price
        self._clock = clock

    def mark(self, symbol: str) -> MarkPrice:
        return MarkPrice(symbol, self._price(symbol), Decimal(0), 0, self._clock.now_ms())

    def book(self, symbol: str) -> BookTop:
        now, price = self._clock.now_ms(), self._price(symbol)
        return BookTop(symbol, price, Decimal(1), price, Decimal(1), now)


class Daemon:
    """Everything of one daemon process that survives nothing: rebuilt after a crash."""

    def __init__(self, ground: Ground, foreign: ForeignPolicy = ForeignPolicy.IGNORE) -> None:
        world = ground
        self.ground = ground
        self.facts: list[DaemonFact] = []
        self.risk = RiskEar()
        self.supervisor = Supervisor(world.clock, world.failures.task)
        self.dispatcher = Dispatcher(world.failures.observer)
        self.dispatcher.subscribe_all(self.facts.append)
        self._foreign = foreign

    async def start(self) -> None:
        world = self.ground
        endpoints = Endpoints(world.rest, world.ws)
        self.audit = AuditLogger(
            world.folder / "audit.jsonl",
            clock=world.clock,
            venue="paper",
            hmac_key=SecretStr(HMAC_KEY),
        )
        self.database = await open_database(world.folder / "bot.paper.db", inline=world.inline)
        queue = WriteQueue(self.database, world.clock, world.failures.seen.append)
        self.journal = Journal(self.database, queue)
        self.supervisor.spawn("journal", self.journal.run, Restart())
        self.client = OptimizedExchangeClient(
            endpoints, Credentials(SecretStr(API_KEY), SecretStr(API_SECRET)), world.clock
        )
        await self.client.initialize()
        self.orders = OrderManager(
            world.rules(
                OmsRules(
                    instance="bot1",
                    quote="USDC",
                    verify_timeout_s=1.5,
                    max_hold_ms=world.max_hold_ms,
                    reconcile_interval_s=30.0,
                    working_type=WorkingType.MARK_PRICE,
                    take_profit=TakeProfitStyle.LIMIT,
                    foreign=self._foreign,
                    default_plan=PLAN,
                    leverage=5,
                )
            ),
            OmsPorts(
                exchange=self.client,
                journal=self.journal,
                audit=self.audit,
                risk=self.risk,
                facts=self.dispatcher,
                instruments=self.client,
                prices=NewestPrices(world.price, world.clock),
                clock=world.clock,
                supervisor=self.supervisor,
                expect_echo=self._expect_echo,
            ),
        )
        self.stream = UserDataStreamManager(
            self.client,
            endpoints,
            self.orders,
            clock=world.clock,
            supervisor=self.supervisor,
            chance=Chance(1),
            publish=self.dispatcher.publish,
        )
        await self.orders.start()
        self.stream.start()
        assert await self.orders.wait_reconciled(30.0)

    def _expect_echo(self, client_id: str) -> None:
        self.stream.expect_echo(client_id)

    async def stop(self) -> None:
        await self.stream.close()
        await self.supervisor.close(5.0)
        await self.client.close()
        await self.journal.flush()
        await self.database.close()
        self.audit.close()

    def of(self, kind: type) -> list[DaemonFact]:
        return [fact for fact in self.facts if type(fact) is kind]

    def alerts(self) -> list[str]:
        return [fact.text for fact in self.facts if isinstance(fact, Alert)]


class World:
    """The exchange, its prices, time, and the daemon living in it."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, price: str) -> None:
        self.folder = folder
        self.clock = SimulatedClock(EPOCH_MS, loop)
        self.machine = SimulatedClock(EPOCH_MS, loop)
        """The daemon's own clock: what an NTP step on its machine moves."""
        self.failures = Failures()
        self.max_hold_ms = 0
        self.rules: Callable[[OmsRules], OmsRules] = lambda rules: rules
        self.feed = HandFeed({WIRE: price}, EPOCH_MS)
        self._outside = Supervisor(self.clock, self.failures.task)
        self.paper = PaperServer(
            self.feed,
            build_contracts("USDC"),
            self.clock,
            self._outside,
            seed=7,
            balance=Decimal(400),
            quote="USDC",
            api_key=API_KEY,
            api_secret=API_SECRET,
            faults_enabled=True,
        )

    async def open(self) -> None:
        self.endpoints = await self.paper.start()

    async def close(self) -> None:
        await self.paper.stop()
        await self._outside.close(5.0)

    async def daemon(self, foreign: ForeignPolicy = ForeignPolicy.IGNORE) -> Daemon:
        ground = Ground(
            self.folder,
            self.machine,
            self.failures,
            self.endpoints.rest,
            self.endpoints.ws,
            max_hold_ms=self.max_hold_ms,
            price=lambda symbol: self.paper.exchange.markets[to_binance_symbol(symbol)].mark,
            rules=self.rules,
        )
        made = Daemon(ground, foreign)
        await made.start()
        return made

    async def wait(self, until: Callable[[], object], timeout: float = 30.0) -> None:
        """Let virtual time pass until `until()` holds."""
        deadline = self.clock.monotonic() + timeout
        while not until():
            assert self.clock.monotonic() < deadline, "it did not happen in time"
            await self.clock.sleep(0.01)

    def position(self) -> Decimal:
        """Signed quantity by the exchange's own ledger."""
        return sum((p.quantity for p in self.paper.positions()), Decimal(0))

    def stops(self) -> Decimal:
        """Quantity of waiting stop orders by the exchange's own list."""
        return sum(
            (
                algo.spec.order.quantity
                for algo in self.paper.open_algo_orders()
                if algo.spec.order.kind == "STOP_MARKET"
            ),
            Decimal(0),
        )

    def wallet_change(self) -> Decimal:
        return self.paper.wallet("USDC") - self.paper.start_balance


def approved(
    direction: Direction = Direction.LONG,
    quantity: str = "100",
    price: str = "2.0000",
    number: int = 1,
) -> ApprovedEntry:
    """Permission as the pre-trade checks would give it."""
    size = Decimal(quantity)
    sizing = SizingResult(
        equity=Decimal(400),
        risk=Decimal(3),
        stop_ratio=Decimal("0.008"),
        cost_ratio=Decimal(0),
        notional=size * Decimal(price),
        margin=size * Decimal(price) / 5,
        leverage=5,
        quantity=size,
        price=Decimal(price),
        limited_by="risk",
    )
    return ApprovedEntry(
        intent_id=f"e-test-{number}",
        symbol=SYMBOL,
        direction=direction,
        quantity=size,
        reference_price=Decimal(price),
        leverage=5,
        plan=PLAN,
        sizing=sizing,
        strategy="scalping_v1",
        why="test",
        candle_open_ms=EPOCH_MS - 900_000,
        decided_ms=EPOCH_MS,
        checks=(),
    )


def in_world(
    folder: Path, story: Callable[[World], Awaitable[None]], price: str = "2.0000"
) -> World:
    """Run `story` in a fresh world on a virtual loop; no task may have failed at the end."""

    async def main() -> World:
        loop = asyncio.get_running_loop()
        with aiohttp_on_virtual_time(loop):
            world = World(folder, loop, price)
            await world.open()
            try:
                await story(world)
            finally:
                await world.close()
        assert world.failures.seen == []
        return world

    return run(main(), loop_factory=virtual_loop_factory())
