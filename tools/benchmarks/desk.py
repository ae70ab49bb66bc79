"""A whole order manager against the paper exchange over loopback (floor 8).

Real HTTP and WebSocket, real SQLite and audit files. The exchange runs in this process: what it
costs is in every number. Each symbol has an entry that waits in its book; `Desk.fill` lets the
price come to it. Prices move by nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from core.audit_logger import AuditLogger
from core.domain.enums import (
    Direction,
    ForeignPolicy,
    OrderKind,
    OrderStatus,
    Purpose,
    TakeProfitStyle,
    TimeInForce,
    WorkingType,
)
from core.domain.facts import DaemonFact, PositionOpened
from core.domain.intent import OrderIntent, ProtectionPlan, TakeProfitRatio
from core.domain.order import OrderRecord
from core.domain.ports import Clock
from core.domain.position import Trade
from core.exchange.endpoints import Endpoints
from core.exchange.library import Credentials
from core.exchange_client import OptimizedExchangeClient
from core.ids import entry_intent_id, order_client_id
from core.kernel.chance import Chance
from core.kernel.clock import LiveClock
from core.kernel.dispatcher import Dispatcher
from core.kernel.supervisor import Supervisor
from core.observe.audit_trail import AuditTrail
from core.oms.parts import OmsPorts
from core.oms.rules import OmsRules
from core.order_manager import OrderManager
from core.paper.contracts import build_contracts
from core.paper.model import Contract, FeedSink, PaperCandle, Tick
from core.paper.server import PaperServer
from core.storage.database import open_database
from core.storage.journal import Journal
from core.storage.write_queue import WriteQueue
from core.ws_client import UserDataStreamManager
from tools.benchmarks.figures import SectionFailed
from tools.benchmarks.still_venue import StandingPrices, StillRisk

_INSTANCE, _STRATEGY, _QUOTE = "bench", "scalping_v1", "USDC"
_KEY, _SECRET = "bench-key-0123456789", "bench-secret-987654321"
_MARKET, _BID, _THROUGH = Decimal("2.0100"), Decimal("2.0000"), Decimal("1.9995")
_QUANTITY = Decimal(100)
_PATIENCE_S = 30.0
_PLAN = ProtectionPlan(
    stop_ratio=Decimal("0.02"),
    legs=(
        TakeProfitRatio(Decimal("0.02"), Decimal("0.5")),
        TakeProfitRatio(Decimal("0.03"), Decimal("0.5")),
    ),
)
_RULES = OmsRules(
    instance=_INSTANCE,
    quote=_QUOTE,
    verify_timeout_s=2.0,
    max_hold_ms=0,
    reconcile_interval_s=3_600.0,
    working_type=WorkingType.CONTRACT_PRICE,
    take_profit=TakeProfitStyle.LIMIT,
    foreign=ForeignPolicy.IGNORE,
    default_plan=_PLAN,
    leverage=5,
)


class _Still:
    """A price source whose prices stay where they are."""

    simulated, end_ms = True, None

    def __init__(self, symbols: tuple[str, ...], start_ms: int) -> None:
        self.symbols = symbols
        self.start_ms = start_ms - start_ms % 60_000

    def describe(self) -> str:
        return "prices that stand still"

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        begin, price, some = self.start_ms - 60_000, _MARKET, Decimal(1_000)
        return (PaperCandle(symbol, begin, price, price, price, price, some, some * price, 10),)

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        for symbol in self.symbols:
            sink.on_tick(Tick(symbol, clock.now_ms(), _MARKET, Decimal(0), gap=True))
        await asyncio.Event().wait()


@dataclass(slots=True)
class Desk:
    """`facts` is everything published so far, `symbols` in the normal form."""

    server: PaperServer
    client: OptimizedExchangeClient
    orders: OrderManager
    dispatcher: Dispatcher
    clock: Clock
    symbols: tuple[str, ...]
    facts: list[DaemonFact] = field(default_factory=list)

    def fill(self, symbol: str) -> None:
        """Let the price come to the waiting entry of `symbol`, and through it."""
        tick = Tick(_wire(symbol), self.clock.now_ms(), _THROUGH, Decimal(10_000), gap=False)
        self.server.on_tick(tick)

    async def opened(self, count: int) -> None:
        """Wait until `count` positions have stop and targets. Raises SectionFailed."""
        deadline = self.clock.monotonic() + _PATIENCE_S
        while sum(isinstance(fact, PositionOpened) for fact in self.facts) < count:
            if self.clock.monotonic() > deadline:
                raise SectionFailed(f"{count} positions were not complete in {_PATIENCE_S:g} s")
            await self.clock.sleep(0.002)


@asynccontextmanager
async def open_desk(folder: Path, count: int) -> AsyncIterator[Desk]:
    """An order manager, reconciled, with `count` entries in the book. Raises SectionFailed."""
    clock = LiveClock()
    failures: list[str] = []
    supervisor = Supervisor(clock, lambda name, error, _: failures.append(f"{name}: {error!r}"))
    dispatcher = Dispatcher(lambda name, error: failures.append(f"{name}: {error!r}"))
    server = _server(count, clock, supervisor)
    async with AsyncExitStack() as ends:
        audit = AuditLogger(folder / "audit.jsonl", clock=clock, venue="paper")
        ends.callback(audit.close)
        AuditTrail(audit, {"risk": "0.0075"}).listen(dispatcher)
        database = await open_database(folder / "bench.db", inline=False)
        ends.push_async_callback(database.close)
        journal = Journal(database, WriteQueue(database, clock, failures.append))
        listens = await server.start()
        ends.push_async_callback(server.stop)
        endpoints = Endpoints(listens.rest, listens.ws)
        keys = Credentials(SecretStr(_KEY), SecretStr(_SECRET))
        client = OptimizedExchangeClient(endpoints, keys, clock)
        ends.push_async_callback(client.close)
        ends.push_async_callback(supervisor.close, _PATIENCE_S)
        supervisor.spawn("journal", journal.run)
        await client.initialize()
        symbols = tuple(row.symbol for row in await client.get_instruments())
        for symbol in symbols:
            await _wait_in_book(symbol, journal, client)
        await journal.flush()
        ports = OmsPorts(
            exchange=client,
            journal=journal,
            audit=audit,
            risk=StillRisk(),
            facts=dispatcher,
            instruments=client,
            prices=StandingPrices(_MARKET, clock),
            clock=clock,
            supervisor=supervisor,
            expect_echo=lambda _: None,
        )
        orders = OrderManager(_RULES, ports)
        stream = _stream(orders, ports, client, endpoints)
        ends.push_async_callback(stream.close)
        await _begin(orders, stream)
        desk = Desk(server, client, orders, dispatcher, clock, symbols)
        dispatcher.subscribe_all(desk.facts.append)
        yield desk
    if failures:
        raise SectionFailed(failures[0])


def _wire(symbol: str) -> str:
    return symbol.partition(":")[0].replace("/", "")


def _server(count: int, clock: Clock, supervisor: Supervisor) -> PaperServer:
    contracts: dict[str, Contract] = {}
    model = build_contracts(_QUOTE)["XRPUSDC"]
    for number in range(count):
        base = f"X{number:03d}"
        contracts[base + _QUOTE] = replace(model, symbol=base + _QUOTE, base=base)
    return PaperServer(
        _Still(tuple(contracts), clock.now_ms()),
        contracts,
        clock,
        supervisor,
        seed=7,
        balance=Decimal(1_000_000),
        quote=_QUOTE,
        api_key=_KEY,
        api_secret=_SECRET,
    )


def _stream(
    orders: OrderManager, ports: OmsPorts, client: OptimizedExchangeClient, endpoints: Endpoints
) -> UserDataStreamManager:
    return UserDataStreamManager(
        client,
        endpoints,
        orders,
        clock=ports.clock,
        supervisor=ports.supervisor,
        chance=Chance(1),
        publish=ports.facts.publish,
    )


async def _begin(orders: OrderManager, stream: UserDataStreamManager) -> None:
    await orders.start()
    stream.start()
    if not await orders.wait_reconciled(_PATIENCE_S):
        raise SectionFailed(f"the order manager was not ready within {_PATIENCE_S:g} s")


async def _wait_in_book(symbol: str, journal: Journal, client: OptimizedExchangeClient) -> None:
    """Record an entry as before a restart, and put it into the exchange's book."""
    now_ms = client.exchange_now_ms()
    intent_id = entry_intent_id(_INSTANCE, _STRATEGY, symbol, "15m", 0, "LONG")
    trade = Trade(
        trade_id=intent_id,
        symbol=symbol,
        strategy=_STRATEGY,
        direction=Direction.LONG,
        plan=_PLAN,
        leverage=5,
        planned_quantity=_QUANTITY,
        reference_price=_BID,
        why="measurement",
        created_ms=now_ms,
    )
    intent = OrderIntent(
        intent_id=intent_id,
        trade_id=intent_id,
        symbol=symbol,
        side=Direction.LONG.entry_side,
        kind=OrderKind.LIMIT,
        quantity=_QUANTITY,
        purpose=Purpose.ENTRY,
        created_ms=now_ms,
        price=_BID,
        time_in_force=TimeInForce.GTC,
        strategy=_STRATEGY,
    )
    client_id = order_client_id(_INSTANCE, _STRATEGY, Purpose.ENTRY, 0, intent_id, 0)
    await journal.record_trade(trade, intent)
    record = OrderRecord(
        intent=intent, client_id=client_id, attempt=0, status=OrderStatus.LIVE, sent_ms=now_ms
    )
    journal.note_order(record)
    params = {"newClientOrderId": client_id, "timeInForce": "GTC"}
    await client.create_order(symbol, "limit", "buy", _QUANTITY, _BID, params)
