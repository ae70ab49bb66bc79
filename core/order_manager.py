"""OrderManager: the only module that opens, protects and closes positions (floor 3).

The face of `core.oms`. Takes approved entries, receives venue facts in order, keeps every position
protected and the books equal to the exchange's.

Keeps INV-01 (protected), INV-02 (one intent, one order), INV-03 (journal first), INV-05
(reconciled before new risk), INV-08 (exits stay possible), INV-09 (fills exactly once).
"""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from decimal import Decimal

from core.domain.account import ExchangePosition, SymbolConfig
from core.domain.commands import CloseReport, PanicReport
from core.domain.enums import (
    ExitReason,
    Lane,
    OrderKind,
    OrderStatus,
    Purpose,
    Severity,
)
from core.domain.errors import CredentialsDead, StorageError, VenueError
from core.domain.facts import (
    AccountConfigUpdate,
    EntryApproved,
    VenueFact,
)
from core.domain.intent import ApprovedEntry, OrderIntent, PendingEntry
from core.domain.money import ZERO, to_wire
from core.domain.order import OrderRecord
from core.domain.position import PositionView, Trade
from core.kernel.supervisor import Restart
from core.oms.alarm import Alarm
from core.oms.inbox import Inbox
from core.oms.panic import Panic
from core.oms.parts import OmsPorts, build_parts
from core.oms.rules import OmsRules
from core.oms.state import SymbolState, Wake
from core.oms.throttle import Denial, ThrottleView

_DEGRADED_INTERVAL_S = 2.0
_RETRY_RECONCILE_S = 1.0
_DEAD_KEY_S = 60.0  # a key the exchange refuses does not get better by asking
_SPACING_S = 0.5


class OrderManager:
    """Owner of orders and positions."""

    def __init__(self, rules: OmsRules, ports: OmsPorts) -> None:
        self._rules = rules
        self._exchange = ports.exchange
        self._journal = ports.journal
        self._audit = ports.audit
        self._risk = ports.risk
        self._facts = ports.facts
        self._instruments = ports.instruments
        self._clock = ports.clock
        self._alert = Alarm(ports.facts, ports.clock)
        self._supervisor = ports.supervisor
        parts = build_parts(rules, ports, self.request_reconcile)
        self._tracker = parts.tracker
        self._throttle = parts.guards.throttle
        self._sender = parts.sender
        self._keeper = parts.keeper
        self._reconciler = parts.reconciler
        self.account = parts.account
        self._modes = parts.modes
        self._guards = parts.guards
        self._inbox = Inbox(
            tracker=parts.tracker,
            evidence=parts.evidence,
            account=parts.account,
            is_ours=parts.reconciler.ours,
            ask_reconcile=self.request_reconcile,
            is_news=self._is_news,
            on_transfer=self._on_transfer,
            foreign_quantity=parts.reconciler.foreign_quantity,
            facts=ports.facts,
            clock=ports.clock,
        )
        self._reconciled_epoch = -1
        self._stopping = False
        self._panicking = False
        self._unread: VenueError | None = None
        self._resync = Wake()
        self._resync_reason = "start"

    # --- life ------------------------------------------------------------------------------------

    async def start(self, *, new_account: bool = False) -> None:
        """Load the journal, take up open episodes, start the reconcile loop.

        With a `new_account` what was sent before belongs to another one and does not count.
        """
        loaded = await self._journal.load()
        if not new_account:
            since = self._exchange.exchange_now_ms() - self._throttle.memory_ms
            self._throttle.restore(await self._journal.entries_since(since), loaded.orders)
        for trade in loaded.trades:
            instrument = self._instruments.instrument(trade.symbol)
            if instrument is None:
                self._alert(
                    Severity.CRITICAL,
                    f"instrument:{trade.symbol}",
                    f"{trade.symbol} has an open trade here but is not listed any more",
                )
                continue
            self._restore(
                SymbolState(trade=trade, instrument=instrument),
                [record for record in loaded.orders if record.intent.trade_id == trade.trade_id],
            )
        for fill in loaded.fills:
            state = self._tracker.symbols.get(fill.symbol)
            if state is not None:
                state.book(fill)
        again = Restart(limit=1_000, window=60.0, pause=1.0)
        self._supervisor.spawn("reconcile", self._reconcile_loop, again)
        self._supervisor.spawn("contracts", self._guards.contracts.run, again)
        self._supervisor.spawn("order ratios", self._guards.ratio_watch.run, again)

    def _restore(self, state: SymbolState, records: list[OrderRecord]) -> None:
        """An episode from the journal. Whatever was on its way when we stopped is in doubt.

        The books are made anew from the fills, which are the last thing a crash can falsify.
        """
        state.trade.clear_book()
        for record in records:
            if record.status in (OrderStatus.CREATED, OrderStatus.SENT):
                record.status = OrderStatus.UNKNOWN
                record.sent_ms = record.sent_ms or record.intent.created_ms
            elif record.status.is_terminal:
                self._tell_again(record)
            record.booked = ZERO
            state.orders[record.client_id] = record
        self._tracker.add(state)

    def _tell_again(self, record: OrderRecord) -> None:
        """Put an outcome that the journal knows into the audit log, which a power cut may have
        robbed of it: only intents are flushed one by one (INV-12)."""
        try:
            self._audit.write(
                {
                    "action": "order.restored",
                    "client_id": record.client_id,
                    "symbol": record.intent.symbol,
                    "purpose": record.purpose.name.lower(),
                    "status": record.status.value,
                    "executed": to_wire(record.executed),
                }
            )
        except StorageError as error:
            text = f"order {record.client_id} not in the audit log: {error}"
            self._alert(Severity.CRITICAL, "storage", text)

    def stop_entries(self) -> None:
        """No new entry from now on; exits stay active."""
        self._stopping = True

    def hold_entries(self, who: str, denial: Denial | None) -> None:
        """No entry for this reason until `who` tells None; exits stay active."""
        self._throttle.hold(who, denial)

    async def wait_reconciled(self, timeout: float) -> bool:
        """True when the first reconcile with a live stream has succeeded within `timeout` s."""
        return await self._until(lambda: self.reconciled, timeout, pause=0.02)

    @property
    def reconciled(self) -> bool:
        """True while the books equal a snapshot taken on the present stream connection."""
        return self.stream_up and self._reconciled_epoch == self._inbox.epoch

    def entries_blocked(self) -> str:
        """Why no entry may be sent now; empty when entries are allowed (INV-05)."""
        if self._stopping:
            return "stopping"
        if self._panicking:
            return "panic"
        if self._modes.problem:
            return self._modes.problem
        if not self.stream_up:
            return "user stream down: entries stopped, exits active"
        if not self.reconciled:
            return "not reconciled with the exchange yet"
        if isinstance(self._unread, CredentialsDead):
            return "the exchange refuses our key: entries stopped"
        if self._unread is not None:
            return "the exchange could not be read at the last reconcile"
        return self._throttle.blocked()

    # --- reconcile -------------------------------------------------------------------------------

    def request_reconcile(self, reason: str) -> None:
        """Ask for a comparison soon; repeated requests merge."""
        self._resync_reason = reason
        self._resync.ring()

    async def reconcile(self, trigger: str) -> bool:
        """One comparison now. False when the exchange could not be read."""
        # Until the first one has shown what is open, it may be all that protects.
        first = self._reconciled_epoch < 0
        try:
            with self._exchange.protecting() if first else nullcontext():
                adopted = await self._reconciler.run(trigger)
        except VenueError as error:
            self._unread = error
            dead = isinstance(error, CredentialsDead)
            severity = Severity.CRITICAL if dead else Severity.WARNING
            self._alert(severity, "reconcile", f"reconcile failed: {error}")
            return False
        self._unread = None
        for state in adopted:
            await self._journal.record_trade(state.trade, None)
            self._watch(state)
        return True

    async def _reconcile_loop(self) -> None:
        watched = False
        while True:
            reason, self._resync_reason = self._resync_reason, "interval"
            epoch = self._inbox.epoch
            done = await self.reconcile(reason)
            if done and epoch == self._inbox.epoch:
                self._inbox.release()
                self._reconciled_epoch = epoch
            if not watched and (done or self._tracker.symbols):
                watched = True
                for state in list(self._tracker.symbols.values()):
                    self._watch(state)
            await self._clock.sleep(_SPACING_S)  # a burst of reasons is one reason
            await self._resync.wait(self._pause(done=done))

    def _pause(self, *, done: bool) -> float:
        if not done:
            self._resync_reason = "retry"
            return _DEAD_KEY_S if isinstance(self._unread, CredentialsDead) else _RETRY_RECONCILE_S
        if any(state.mismatch_since is not None for state in self._tracker.symbols.values()):
            self._resync_reason = "mismatch"
            return _RETRY_RECONCILE_S
        return self._rules.reconcile_interval_s if self.stream_up else _DEGRADED_INTERVAL_S

    def _watch(self, state: SymbolState) -> None:
        if not state.watched:
            state.watched = True
            self._keeper.watch(state)

    # --- venue facts -----------------------------------------------------------------------------

    def on_venue_fact(self, fact: VenueFact) -> None:
        """Sink of the user stream: facts come in order and are applied in order."""
        self._inbox.receive(fact)

    def handle_ws_event(self, event: VenueFact) -> None:
        """Apply one decoded user-stream event at once."""
        self._inbox.apply(event)

    @property
    def stream_up(self) -> bool:
        return self._inbox.stream_up

    @property
    def unknown_events(self) -> int:
        """User-stream events of a type or shape the codec does not know."""
        return self._inbox.unknown_events

    # --- entries ---------------------------------------------------------------------------------

    async def prepare_symbol(self, symbol: str, leverage: int) -> None:
        """Isolated margin and leverage for a symbol before its first order. Raises VenueError."""
        if self._modes.leverage.get(symbol) == leverage:
            return
        await self._exchange.set_isolated(symbol)
        self._modes.begin(symbol, leverage)
        done = False
        try:
            await self._exchange.set_leverage(symbol, leverage)
            done = True
        finally:
            self._modes.end(symbol, done=done)

    def load_settings(self, configs: tuple[SymbolConfig, ...]) -> None:
        """Take over what the exchange has set already, so that it is not set again."""
        self._modes.take_over(configs)

    def _on_transfer(self, asset: str, amount: Decimal) -> None:
        if asset == self._rules.quote:
            self._risk.note_transfer(amount)

    def _is_news(self, event: AccountConfigUpdate) -> bool:
        """True when somebody else changed leverage or mode: set again before the next order."""
        known = self._modes.leverage.get(event.symbol)
        return not event.symbol or known is None or known != event.leverage

    def busy(self, symbol: str) -> bool:
        """True while an episode of `symbol` is open or being opened."""
        return symbol in self._tracker.symbols

    def reserve(self, approved: ApprovedEntry) -> SymbolState | None:
        """Take the symbol for an approved entry, at once and without waiting.

        From here on it counts as busy, so that the next decision sees it. None when the symbol is
        taken, unknown, or entries are blocked.
        """
        instrument = self._instruments.instrument(approved.symbol)
        if instrument is None or self.busy(approved.symbol) or self.entries_blocked():
            return None
        state = SymbolState(
            trade=_trade_of(approved, self._exchange.exchange_now_ms()), instrument=instrument
        )
        self._tracker.add(state)
        return state

    async def place_order(self, approved: ApprovedEntry) -> str:
        """Reserve and send an approved entry. Returns its client id, "" when it was not sent.

        The same approval asked twice is the same order (INV-02).
        """
        current = self._tracker.symbols.get(approved.symbol)
        if current is not None:
            entry = current.entry
            same = entry is not None and entry.intent.intent_id == approved.intent_id
            return entry.client_id if same and entry is not None else ""
        state = self.reserve(approved)
        if state is None:
            return ""
        await self.send_entry(state, approved)
        entry = state.entry
        return "" if entry is None else entry.client_id

    async def send_entry(self, state: SymbolState, approved: ApprovedEntry) -> None:
        """Journal and send the entry of a reserved symbol; facts tell what became of it."""
        intent = _entry_intent(approved, self._exchange.exchange_now_ms())
        try:
            if await self._journal.intent_exists(approved.intent_id):
                self._release(state, "decided and sent before this process started")
                return
            await self.prepare_symbol(approved.symbol, approved.leverage)
            await self._journal.record_trade(state.trade, intent)
        except (VenueError, StorageError) as error:
            self._release(state, f"entry not sent: {error}")
            if isinstance(error, StorageError):
                await self._close_unsent(state.trade)
            return
        self._facts.publish(EntryApproved(approved))
        self._throttle.approve(approved)
        record = self._sender.record(state, intent)
        self._watch(state)
        last = await self._sender.send(state, record, Lane.MANAGE)
        if last.status in (OrderStatus.REJECTED, OrderStatus.ABSENT):
            self._alert(
                Severity.WARNING,
                f"entry:{approved.symbol}",
                f"{approved.symbol} entry refused: {last.reject_text} (code {last.reject_code})",
            )

    async def _close_unsent(self, trade: Trade) -> None:
        """Rows of a trade that the disk has not taken yet must not become an open one later."""
        trade.closed_ms = self._exchange.exchange_now_ms()
        with suppress(StorageError):  # told already; the closing row waits with the others
            await self._journal.record_close(trade, ExitReason.MANUAL)

    def _release(self, state: SymbolState, why: str) -> None:
        """Give a reserved symbol back; nothing of it ever left."""
        state.closed = True
        self._tracker.remove(state)
        self._alert(Severity.WARNING, f"entry:{state.symbol}", f"{state.symbol} {why}")

    # --- exits -----------------------------------------------------------------------------------

    async def close_position(
        self, symbol: str, reason: ExitReason = ExitReason.MANUAL, timeout: float = 10.0
    ) -> CloseReport:
        """Flatten one position at market and wait until it is flat and accounted."""
        state = self._tracker.symbols.get(symbol)
        if state is None:
            return CloseReport(symbol, closed=True, quantity=ZERO, detail="no position")
        return (await self._close([state], reason, timeout))[0]

    async def close_all(self, reason: ExitReason, timeout: float) -> list[CloseReport]:
        """Flatten everything we manage, all symbols at once, within `timeout` seconds."""
        return await self._close(list(self._tracker.symbols.values()), reason, timeout)

    async def _close(
        self, states: list[SymbolState], reason: ExitReason, timeout: float
    ) -> list[CloseReport]:
        for state in states:
            await self._leave(state, reason)
        await self._until(lambda: all(state.closed for state in states), timeout)
        return [
            CloseReport(
                state.symbol,
                closed=state.closed,
                quantity=state.position(),
                detail="flat" if state.closed else "still open when the time was up",
            )
            for state in states
        ]

    async def panic(self, quote: str, timeout: float = 20.0) -> PanicReport:
        """Leave everything we manage and prove it by fresh reads. The caller latches entries off.

        Idempotent: a second call repeats only what is still open.
        """
        self._panicking = True
        try:
            with self._exchange.protecting():
                return await Panic(
                    exchange=self._exchange,
                    close_all=self.close_all,
                    is_ours=self._reconciler.ours,
                    managed=self.busy_symbols,
                    clock=self._clock,
                ).run(quote, timeout)
        finally:
            self._panicking = False

    async def _leave(self, state: SymbolState, reason: ExitReason) -> None:
        for record in state.of(Purpose.ENTRY):
            if record.status.is_resting:
                await self._sender.cancel(state, record, Lane.PROTECT)
        if state.flatten_reason is None:
            state.flatten_reason = reason
        state.touch()

    async def attach_brackets(self, symbol: str, timeout: float = 5.0) -> bool:
        """True when the position of `symbol` is covered by accepted stops within `timeout` s."""
        deadline = self._clock.monotonic() + timeout
        while True:
            state = self._tracker.symbols.get(symbol)
            if state is None or state.position() == ZERO:
                return False
            state.touch()
            if state.coverage() >= abs(state.position()):
                return True
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(0.02)

    async def settle(self, timeout: float) -> bool:
        """Wait until nothing of ours is in flight or in doubt; True when reached in time."""
        return await self._until(lambda: not self._in_flight(), timeout)

    async def _until(
        self, reached: Callable[[], bool], timeout: float, *, pause: float = 0.05
    ) -> bool:
        """True when `reached()` within `timeout` s; looks every `pause` s."""
        deadline = self._clock.monotonic() + timeout
        while not reached():
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(pause)
        return True

    def _in_flight(self) -> bool:
        doubtful = (OrderStatus.CREATED, OrderStatus.SENT, OrderStatus.UNKNOWN)
        return any(
            record.status in doubtful
            for state in self._tracker.symbols.values()
            for record in state.orders.values()
        )

    async def cleanup_orphaned_orders(self) -> int:
        """Cancel orders of ours that belong to no open position; returns how many.

        Raises VenueError when the exchange cannot be read: "don't know" is not "none".
        """
        cancelled = 0
        positions = {row.symbol for row in await self._exchange.get_positions()}
        for row in await self._exchange.get_open_orders():
            busy = row.symbol in positions or self.busy(row.symbol)
            if self._reconciler.ours(row.client_id) and not busy:
                await self._exchange.cancel(
                    row.symbol, row.client_id, conditional=row.conditional, lane=Lane.MANAGE
                )
                cancelled += 1
        return cancelled

    # --- views -----------------------------------------------------------------------------------

    @property
    def active_positions(self) -> dict[str, PositionView]:
        """Open positions by symbol."""
        return {view.symbol: view for view in self._tracker.views()}

    def get_active_positions(self) -> tuple[PositionView, ...]:
        return self._tracker.views()

    def busy_symbols(self) -> tuple[str, ...]:
        """Symbols with an open episode, positions or not yet."""
        return tuple(self._tracker.symbols)

    def pending_entries(self) -> tuple[PendingEntry, ...]:
        """Entries on their way: reserved, sent or in doubt, nothing of them known to be filled."""
        return tuple(
            PendingEntry(
                symbol=state.symbol,
                direction=state.trade.direction,
                strategy=state.trade.strategy,
                notional=state.trade.planned_quantity * state.trade.reference_price,
                leverage=state.trade.leverage,
            )
            for state in self._tracker.symbols.values()
            if state.position() == ZERO and not state.trade.entry_quantity
        )

    def limits_used(self) -> ThrottleView:
        """How much of the limits at the wire is used now."""
        return self._throttle.view()

    def foreign_positions(self) -> tuple[ExchangePosition, ...]:
        """Positions on the account that are not ours, as of the last reconcile."""
        return tuple(self._reconciler.foreign.values())


def _trade_of(approved: ApprovedEntry, now_ms: int) -> Trade:
    return Trade(
        trade_id=approved.intent_id,
        symbol=approved.symbol,
        strategy=approved.strategy,
        direction=approved.direction,
        plan=approved.plan,
        leverage=approved.leverage,
        planned_quantity=approved.quantity,
        reference_price=approved.reference_price,
        why=approved.why,
        created_ms=now_ms,
        risk=approved.sizing.risk,
        risk_pct=approved.sizing.risk_pct,
    )


def _entry_intent(approved: ApprovedEntry, now_ms: int) -> OrderIntent:
    return OrderIntent(
        intent_id=approved.intent_id,
        trade_id=approved.intent_id,
        symbol=approved.symbol,
        side=approved.direction.entry_side,
        kind=OrderKind.MARKET,
        quantity=approved.quantity,
        purpose=Purpose.ENTRY,
        created_ms=now_ms,
        strategy=approved.strategy,
        note=approved.why,
    )
