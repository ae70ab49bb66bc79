"""Compares our books with the exchange and mends the difference, protection first (floor 3).

Keeps INV-05. A failed query is "don't know", never "flat": nothing is concluded from it. Fills are
joined by trade id, so what the stream lost is found here and counted once.
"""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.account import AccountConfig, Balance, ExchangePosition, SymbolConfig
from core.domain.enums import (
    ForeignPolicy,
    Lane,
    OrderStatus,
    Purpose,
    Severity,
)
from core.domain.errors import StorageError, VenueError
from core.domain.facts import ReconcileDone
from core.domain.money import ZERO, to_wire
from core.domain.order import OrderRecord
from core.domain.ports import (
    AuditPort,
    Clock,
    ExchangePort,
    FactPublisher,
    InstrumentSource,
)
from core.domain.position import OrderSnapshot
from core.ids import instance_tag, parse_client_id
from core.oms.account import AccountBook
from core.oms.adoption import adopt_order, adopt_position, made_of_ours
from core.oms.alarm import Alarm
from core.oms.evidence import Evidence, with_client_id
from core.oms.modes import ModeWatch
from core.oms.outcomes import OutcomeResolver
from core.oms.rules import OmsRules
from core.oms.state import SymbolState, Tracker, unclaimed_id

_TRADES_MARGIN_MS = 1_000
_BELIEVE_AFTER_S = 1.0


@dataclass(slots=True)
class Snapshot:
    """One reading of the exchange, with what moved meanwhile."""

    positions: dict[str, ExchangePosition]
    orders: dict[str, list[OrderSnapshot]]
    balances: tuple[Balance, ...]
    account: AccountConfig
    settings: tuple[SymbolConfig, ...]
    settled: dict[str, int]
    """Leverage per symbol that was in force here when the reading began."""
    closings: dict[str, int]
    """Episodes of each symbol that had ended before the reading began."""
    moved: frozenset[str]
    """Symbols whose position or orders changed here while the exchange was being read."""
    repairs: list[str] = field(default_factory=list)


class Reconciler:
    """`run` reads, compares and repairs; raises VenueError when the exchange cannot be read."""

    def __init__(
        self,
        *,
        rules: OmsRules,
        tracker: Tracker,
        exchange: ExchangePort,
        evidence: Evidence,
        outcomes: OutcomeResolver,
        account: AccountBook,
        modes: ModeWatch,
        audit: AuditPort,
        facts: FactPublisher,
        instruments: InstrumentSource,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._tracker = tracker
        self._exchange = exchange
        self._evidence = evidence
        self._outcomes = outcomes
        self._account = account
        self._modes = modes
        self._audit = audit
        self._facts = facts
        self._instruments = instruments
        self._clock = clock
        self._alert = Alarm(facts, clock)
        self.foreign: dict[str, ExchangePosition] = {}
        self._foreign_orders: frozenset[str] = frozenset()
        self._judged: dict[str, tuple[Decimal, int]] = {}
        """Positions whose history was read, as they were then, by symbol."""

    async def run(self, trigger: str) -> list[SymbolState]:
        """Returns episodes found on the exchange that now need a keeper."""
        started = self._clock.monotonic()
        snapshot = await self._read()
        for state in list(self._tracker.symbols.values()):
            await self._orders_of(state, snapshot)
            await self._position_of(state, snapshot)
        adopted = await self._unknown_positions(snapshot)
        await self._orphans(snapshot)
        self._account.load(snapshot.balances)
        self._judge_modes(snapshot)
        self._report_foreign_orders(snapshot)
        self._record_repairs(snapshot.repairs, trigger)
        self._facts.publish(
            ReconcileDone(
                trigger=trigger,
                orders=sum(len(rows) for rows in snapshot.orders.values()),
                positions=len(snapshot.positions),
                repairs=tuple(snapshot.repairs),
                elapsed_ms=(self._clock.monotonic() - started) * 1_000,
                at_ms=self._clock.now_ms(),
            )
        )
        for state in self._tracker.symbols.values():
            state.touch()
        return adopted

    def _record_repairs(self, repairs: list[str], trigger: str) -> None:
        """What was mended stays mended when the disk fails: told, and not undone."""
        try:
            for line in repairs:
                self._audit.write(
                    {"action": "reconcile.repair", "detail": line, "trigger": trigger}
                )
        except StorageError as error:
            text = f"repairs could not be written: {error}"
            self._alert(Severity.CRITICAL, "storage", text)

    async def _read(self) -> Snapshot:
        before = {symbol: state.version for symbol, state in self._tracker.symbols.items()}
        closings = self._tracker.all_closings()
        settled = self._modes.settled()
        positions, orders, balances, account, settings = await asyncio.gather(
            self._exchange.get_positions(),
            self._exchange.get_open_orders(),
            self._exchange.get_balances(),
            self._exchange.get_account_config(),
            self._exchange.get_symbol_configs(),
        )
        by_symbol: dict[str, list[OrderSnapshot]] = {}
        for row in orders:
            by_symbol.setdefault(row.symbol, []).append(row)
        return Snapshot(
            positions={row.symbol: row for row in positions},
            orders=by_symbol,
            balances=balances,
            account=account,
            settings=settings,
            settled=settled,
            closings=closings,
            moved=frozenset(
                symbol
                for symbol, state in self._tracker.symbols.items()
                if before.get(symbol) != state.version
            ),
        )

    def ours(self, client_id: str) -> bool:
        """True for an id this instance made, whatever the database remembers."""
        parts = parse_client_id(client_id)
        return parts is not None and parts.instance == instance_tag(self._rules.instance)

    def foreign_quantity(self, symbol: str) -> Decimal:
        """Signed position of a symbol that is not ours, as of the last reading."""
        row = self.foreign.get(symbol)
        return ZERO if row is None else row.quantity

    # --- orders ----------------------------------------------------------------------------------

    async def _orders_of(self, state: SymbolState, snapshot: Snapshot) -> None:
        rows = {row.client_id: row for row in snapshot.orders.get(state.symbol, [])}
        moved = state.symbol in snapshot.moved
        for record in list(state.orders.values()):
            row = rows.pop(record.client_id, None)
            if row is not None:
                before = record.status
                self._evidence.snapshot(state, record, row, "reconcile")
                if before is not record.status:
                    snapshot.repairs.append(_moved(record, before))
            elif not record.status.is_terminal and not moved:
                await self._missing(state, record, snapshot)
        if not moved:
            self._take_orders(state, list(rows.values()), snapshot)

    def _take_orders(
        self, state: SymbolState, rows: list[OrderSnapshot], snapshot: Snapshot
    ) -> None:
        """Orders of ours on this symbol that no record here knows: used, not doubled."""
        for row in rows:
            if row.client_id in state.orders or not self.ours(row.client_id):
                continue
            record = adopt_order(row, state.trade)
            if record is not None:
                state.orders[record.client_id] = record
                self._tracker.index(record)
                snapshot.repairs.append(f"{state.symbol} order {row.client_id} found again")

    async def _missing(self, state: SymbolState, record: OrderRecord, snapshot: Snapshot) -> None:
        """An order we believe open is in no list: ask for it by name."""
        before = record.status
        if not before.is_resting:
            return  # its request is on the way, or its keeper is resolving the outcome
        seen = await self._exchange.query(
            state.symbol,
            record.client_id,
            conditional=record.intent.kind.is_conditional,
            lane=Lane.MANAGE,
        )
        if seen is not None:
            self._evidence.snapshot(state, record, seen, "reconcile query")
        elif self._outcomes.window_closed(record):
            self._evidence.settle(
                state, record, OrderStatus.EXPIRED, "reconcile", "in no list, not found"
            )
        if record.status is not before:
            snapshot.repairs.append(_moved(record, before))

    async def _orphans(self, snapshot: Snapshot) -> None:
        """Orders of ours that belong to no open episode are cancelled."""
        for symbol, rows in sorted(snapshot.orders.items()):
            if symbol in self._tracker.symbols or symbol in snapshot.positions:
                continue
            if self._outdated(symbol, snapshot):
                continue
            for row in rows:
                if not self.ours(row.client_id):
                    continue
                await self._exchange.cancel(
                    symbol,
                    row.client_id,
                    conditional=row.conditional,
                    lane=Lane.MANAGE,
                )
                snapshot.repairs.append(f"{symbol} orphan order {row.client_id} cancelled")

    def _judge_modes(self, snapshot: Snapshot) -> None:
        before = self._modes.problem
        problem = self._modes.account(snapshot.account)
        if problem and problem != before:
            text = f"{problem}: entries stopped, exits active"
            self._alert(Severity.CRITICAL, "mode", text)
        for line in self._modes.symbols(snapshot.settings, snapshot.settled):
            snapshot.repairs.append(line)
            self._alert(Severity.WARNING, "mode", line)

    def _report_foreign_orders(self, snapshot: Snapshot) -> None:
        """Orders of somebody else are told once and left alone."""
        seen: set[str] = set()
        for symbol, rows in sorted(snapshot.orders.items()):
            for row in rows:
                if self.ours(row.client_id):
                    continue
                seen.add(row.client_id)
                if row.client_id not in self._foreign_orders:
                    text = f"{symbol} open order {row.client_id} is not ours: left alone"
                    self._alert(Severity.WARNING, f"foreign-order:{symbol}", text)
        self._foreign_orders = frozenset(seen)

    # --- positions -------------------------------------------------------------------------------

    async def _position_of(self, state: SymbolState, snapshot: Snapshot) -> None:
        row = snapshot.positions.get(state.symbol)
        actual = row.quantity if row is not None else ZERO
        if state.symbol in snapshot.moved or _in_flight(state):
            return  # compared again next time, on quiet ground
        before = state.position()
        if actual == before and not any(r.lacks_fills for r in state.orders.values()):
            state.mismatch_since = None
            return
        await self._missed_fills(state)
        now = self._clock.monotonic()
        if state.position() == actual:
            state.mismatch_since = None
            if before != actual:
                snapshot.repairs.append(
                    f"{state.symbol} position {to_wire(before)} -> {to_wire(actual)} by fills"
                )
        elif state.mismatch_since is None:
            state.mismatch_since = now  # the reading itself may lag: believe it the second time
        elif now - state.mismatch_since >= _BELIEVE_AFTER_S:
            self._believe_exchange(state, actual, snapshot)

    async def _missed_fills(self, state: SymbolState) -> None:
        # What an adopted position was made of lies before it and is in the adjustment already.
        margin = 0 if state.adjustment else _TRADES_MARGIN_MS
        fills = await self._exchange.get_trades(
            state.symbol, start_ms=state.trade.created_ms - margin
        )
        recent = self._tracker.recent(state.symbol)
        for fill in fills:
            if recent is not None and fill.trade_id in recent.seen_trades:
                continue
            client_id = self._tracker.client_id_of(state.symbol, fill.order_id)
            if not client_id:
                client_id = await self._owner(state, fill.order_id)
            self._evidence.book(state, with_client_id(fill, client_id))

    async def _owner(self, state: SymbolState, order_id: int) -> str:
        """Client id behind an order id we never saw: one of ours without answer, or foreign."""
        for record in list(state.orders.values()):  # may grow while the exchange is asked
            if record.order_id or record.status is OrderStatus.DENIED:
                continue
            seen = await self._exchange.query(
                state.symbol,
                record.client_id,
                conditional=record.intent.kind.is_conditional,
                lane=Lane.MANAGE,
            )
            if seen is not None:
                self._evidence.snapshot(state, record, seen, "reconcile query")
                if record.order_id == order_id:
                    return record.client_id
        return unclaimed_id(order_id)

    def _believe_exchange(self, state: SymbolState, actual: Decimal, snapshot: Snapshot) -> None:
        """No fill explains the difference: the exchange's position is the truth for size."""
        before = state.position()
        state.adjustment += actual - before
        state.mismatch_since = None
        text = f"{state.symbol} position {to_wire(before)} -> {to_wire(actual)} by the exchange"
        snapshot.repairs.append(text)
        self._alert(Severity.WARNING, f"position:{state.symbol}", text)

    async def _opened_by_us(self, row: ExchangePosition) -> bool:
        """A position whose orders are all gone may still be ours, after the loss of the database:
        the ids of the orders that made it tell. Asked once per position."""
        state = (row.quantity, row.update_ms)
        if self._judged.get(row.symbol) == state:
            return False
        try:
            orders = await self._exchange.get_past_orders(row.symbol)
        except VenueError as error:
            text = f"{row.symbol} history cannot be read, its position counts as foreign: {error}"
            self._alert(Severity.WARNING, f"foreign:{row.symbol}", text)
            return False
        self._judged[row.symbol] = state
        return made_of_ours(row, orders, self.ours)

    def _outdated(self, symbol: str, snapshot: Snapshot) -> bool:
        """True when an episode ended since the reading began, which may still show its position."""
        return self._tracker.closings(symbol) != snapshot.closings.get(symbol, 0)

    async def _unknown_positions(self, snapshot: Snapshot) -> list[SymbolState]:
        """Positions without an episode: ours after a lost database, or somebody else's."""
        adopted: list[SymbolState] = []
        foreign: dict[str, ExchangePosition] = {}
        for symbol, row in sorted(snapshot.positions.items()):
            if symbol in self._tracker.symbols or self._outdated(symbol, snapshot):
                continue
            ours = any(self.ours(order.client_id) for order in snapshot.orders.get(symbol, []))
            adopts = ours or self._rules.foreign is ForeignPolicy.ADOPT
            if adopts or await self._opened_by_us(row):
                state = self._adopt(row, snapshot)
                if state is not None:
                    adopted.append(state)
                    continue
            foreign[symbol] = row
            if symbol not in self.foreign:
                self._alert(
                    Severity.WARNING,
                    f"foreign:{symbol}",
                    f"{symbol} position {to_wire(row.quantity)} is not ours: left alone",
                )
        self.foreign = foreign
        return adopted

    def _adopt(self, row: ExchangePosition, snapshot: Snapshot) -> SymbolState | None:
        instrument = self._instruments.instrument(row.symbol)
        if instrument is None:
            return None
        now_ms = self._exchange.exchange_now_ms()
        state = adopt_position(row, instrument, self._rules, now_ms)
        self._take_orders(state, snapshot.orders.get(row.symbol, []), snapshot)
        self._tracker.add(state)
        snapshot.repairs.append(f"{row.symbol} position {to_wire(row.quantity)} adopted")
        return state


def _moved(record: OrderRecord, before: OrderStatus) -> str:
    return f"{record.intent.symbol} order {record.client_id} {before} -> {record.status}"


def _in_flight(state: SymbolState) -> bool:
    """True while a request of ours may change the position at this moment."""
    return any(
        record.status in (OrderStatus.CREATED, OrderStatus.SENT, OrderStatus.UNKNOWN)
        and record.intent.purpose in (Purpose.ENTRY, Purpose.FLATTEN)
        for record in state.orders.values()
    )
