"""An order manager in the middle of its work (floor 8): entries sent, events about to come.

Everything between the frame and the order state is real: stream manager, codec, order manager with
its workers, journal on SQLite, audit log. Only the exchange behind them stands still. Many symbols
carry one open entry each; they are restored from the journal as after a restart.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from core.audit_logger import AuditLogger
from core.domain.enums import (
    ContractStatus,
    Direction,
    ForeignPolicy,
    OrderKind,
    OrderStatus,
    Purpose,
    TakeProfitStyle,
    WorkingType,
)
from core.domain.facts import UserStreamUp
from core.domain.instrument import Instrument
from core.domain.intent import OrderIntent, ProtectionPlan, TakeProfitRatio
from core.domain.order import OrderRecord
from core.domain.ports import Clock
from core.domain.position import Trade
from core.exchange.endpoints import Endpoints
from core.exchange.symbols import SymbolMap
from core.ids import entry_intent_id, order_client_id
from core.kernel.chance import Chance
from core.kernel.clock import LiveClock
from core.kernel.dispatcher import Dispatcher
from core.kernel.redaction import Redactor
from core.kernel.supervisor import Supervisor
from core.observe.audit_trail import AuditTrail
from core.oms.parts import OmsPorts
from core.oms.rules import OmsRules
from core.order_manager import OrderManager
from core.storage.database import open_database
from core.storage.journal import Journal, LoadedState
from core.storage.write_queue import WriteQueue
from core.ws_client import UserDataStreamManager
from tools.benchmarks.figures import SectionFailed
from tools.benchmarks.still_venue import Place, StandingPrices, StillRisk, StillVenue

QUANTITY = Decimal("100.0")
PRICE = Decimal("2.0000")
NOWHERE = Endpoints("http://127.0.0.1:9", "ws://127.0.0.1:9")
_INSTANCE = "bench"
_HOUR_S = 3_600.0
_PATIENCE_S = 60.0
_PLAN = ProtectionPlan(
    stop_ratio=Decimal("0.008"),
    legs=(
        TakeProfitRatio(Decimal("0.006"), Decimal("0.5")),
        TakeProfitRatio(Decimal("0.012"), Decimal("0.5")),
    ),
)
_RULES = OmsRules(
    instance=_INSTANCE,
    quote="USDC",
    verify_timeout_s=_HOUR_S,
    max_hold_ms=0,
    reconcile_interval_s=_HOUR_S,
    working_type=WorkingType.MARK_PRICE,
    take_profit=TakeProfitStyle.LIMIT,
    foreign=ForeignPolicy.IGNORE,
    default_plan=_PLAN,
    leverage=5,
)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a measurement varies. `durable` waits for the disk as the daemon does; `audited` puts
    the facts into the audit log; `place` receives what the order manager sends."""

    count: int
    durable: bool
    audited: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One open entry: its record inside the order manager and its order id on the exchange."""

    wire: str
    order_id: int
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class Episodes:
    """`receive` takes the bytes of one frame, as the socket hands them over."""

    receive: Callable[[bytes], None]
    entries: tuple[Entry, ...]
    orders: OrderManager
    clock: Clock

    def say_sent(self) -> None:
        """As if all entries had left just now and nothing had been heard of them."""
        for entry in self.entries:
            entry.record.status = OrderStatus.SENT

    async def settle(self) -> None:
        """Let every worker that was woken look at its state and wait again."""
        for _ in range(3):
            await self.clock.sleep(0.02)

    def check(self, quantity: Decimal) -> None:
        """Raise SectionFailed unless every entry has become a position of `quantity`."""
        held = [view.quantity for view in self.orders.get_active_positions()]
        if held != [quantity] * len(self.entries):
            right, count = held.count(quantity), len(self.entries)
            raise SectionFailed(f"{right} of {count} entries became a position of {quantity}")


class _Records(Journal):
    """Remembers the records it gave to the order manager."""

    loaded: LoadedState

    async def load(self) -> LoadedState:
        self.loaded = await super().load()
        return self.loaded


class _Keys:
    """What the stream manager needs of a client."""

    def __init__(self, symbols: SymbolMap) -> None:
        self.symbols = symbols

    async def create_listen_key(self) -> str:
        return "key"

    async def keep_listen_key(self) -> None:
        return None


@asynccontextmanager
async def open_episodes(folder: Path, wiring: Wiring) -> AsyncIterator[Episodes]:
    """A running order manager with `wiring.count` open entries. Raises SectionFailed."""
    clock = LiveClock()
    failures: list[str] = []
    supervisor = Supervisor(clock, lambda name, error, _: failures.append(f"{name}: {error!r}"))
    dispatcher = Dispatcher(lambda name, error: failures.append(f"{name}: {error!r}"))
    instruments = [_instrument(number) for number in range(wiring.count)]
    audit = _audit(folder, wiring)
    database = await open_database(
        folder / "bench.db", inline=not wiring.durable, durable=wiring.durable
    )
    journal = _Records(database, WriteQueue(database, clock, failures.append))
    venue = StillVenue(clock, instruments, wiring.place)
    if wiring.audited:
        AuditTrail(audit, {"risk": "0.0075"}).listen(dispatcher)
    ports = OmsPorts(
        exchange=venue,
        journal=journal,
        audit=audit,
        risk=StillRisk(),
        facts=dispatcher,
        instruments=venue,
        prices=StandingPrices(PRICE, clock),
        clock=clock,
        supervisor=supervisor,
        expect_echo=lambda _: None,
    )
    try:
        await _record(journal, venue, instruments, clock.now_ms())
        supervisor.spawn("journal", journal.run)
        orders = await _begin(ports)
        stream = _stream(orders, instruments, ports)
        # The frame's own entrance: a socket before it would add the network.
        episodes = Episodes(stream._on_frame, _entries(journal), orders, clock)
        await episodes.settle()
        yield episodes
    finally:
        await supervisor.close(30.0)
        await database.close()
        audit.close()
    if failures:
        raise SectionFailed(failures[0])


async def _begin(ports: OmsPorts) -> OrderManager:
    """The order manager, reconciled and trusting its stream."""
    orders = OrderManager(_RULES, ports)
    await orders.start()
    orders.on_venue_fact(UserStreamUp(at_ms=ports.clock.now_ms(), reconnects=0))
    if not await orders.wait_reconciled(_PATIENCE_S):
        raise SectionFailed(f"the order manager was not ready within {_PATIENCE_S:g} s")
    return orders


def _stream(
    orders: OrderManager, instruments: list[Instrument], ports: OmsPorts
) -> UserDataStreamManager:
    symbols = SymbolMap()
    symbols.learn(instruments)
    return UserDataStreamManager(
        _Keys(symbols),
        NOWHERE,
        orders,
        clock=ports.clock,
        supervisor=ports.supervisor,
        chance=Chance(1),
        publish=ports.facts.publish,
    )


def _audit(folder: Path, wiring: Wiring) -> AuditLogger:
    return AuditLogger(
        folder / "audit.jsonl",
        clock=LiveClock(),
        venue="paper",
        redactor=Redactor([SecretStr("bench-key-0123456789"), SecretStr("bench-secret-987654321")]),
        offload=None if wiring.durable else _no_flush,
    )


def _no_flush(_job: Callable[[], None]) -> "asyncio.Future[None]":
    """A flush that takes no time, to see what the disk is not to blame for."""
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done


async def _record(
    journal: Journal, venue: StillVenue, instruments: list[Instrument], now_ms: int
) -> None:
    """Write the past of which the order manager will read: one accepted entry per symbol."""
    for number, instrument in enumerate(instruments, start=1):
        trade, record = _entry(instrument, now_ms)
        await journal.record_trade(trade, record.intent)
        journal.note_order(record)
        venue.list_open(record, number)
    await journal.flush()


def _entry(instrument: Instrument, now_ms: int) -> tuple[Trade, OrderRecord]:
    intent_id = entry_intent_id(_INSTANCE, "scalping_v1", instrument.symbol, "15m", 0, "LONG")
    trade = Trade(
        trade_id=intent_id,
        symbol=instrument.symbol,
        strategy="scalping_v1",
        direction=Direction.LONG,
        plan=_PLAN,
        leverage=5,
        planned_quantity=QUANTITY,
        reference_price=PRICE,
        why="measurement",
        created_ms=now_ms,
    )
    intent = OrderIntent(
        intent_id=intent_id,
        trade_id=intent_id,
        symbol=instrument.symbol,
        side=Direction.LONG.entry_side,
        kind=OrderKind.MARKET,
        quantity=QUANTITY,
        purpose=Purpose.ENTRY,
        created_ms=now_ms,
        strategy="scalping_v1",
    )
    client_id = order_client_id(_INSTANCE, "scv1", Purpose.ENTRY, 0, intent_id, 0)
    record = OrderRecord(
        intent=intent,
        client_id=client_id,
        attempt=0,
        status=OrderStatus.LIVE,
        sent_ms=now_ms,
        accepted_ms=now_ms,
    )
    return trade, record


def _entries(journal: _Records) -> tuple[Entry, ...]:
    """The order manager's own records, in the order in which their positions are listed."""
    by_symbol = {record.intent.symbol: record for record in journal.loaded.orders}
    return tuple(
        Entry(trade.symbol.partition("/")[0] + "USDC", number, by_symbol[trade.symbol])
        for number, trade in enumerate(journal.loaded.trades, start=1)
    )


def _instrument(number: int) -> Instrument:
    base = f"X{number:05d}"
    return Instrument(
        symbol=f"{base}/USDC:USDC",
        wire=f"{base}USDC",
        base=base,
        quote="USDC",
        settle="USDC",
        status=ContractStatus.TRADING,
        tick=Decimal("0.0001"),
        min_price=Decimal("0.0001"),
        max_price=Decimal(100_000),
        step=Decimal("0.1"),
        min_qty=Decimal("0.1"),
        max_qty=Decimal(8_000_000),
        market_step=Decimal("0.1"),
        market_min_qty=Decimal("0.1"),
        market_max_qty=Decimal(1_600_000),
        min_notional=Decimal(5),
    )
