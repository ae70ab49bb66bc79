"""Journal first, then the wire (floor 3).

Keeps INV-03: the intent and its client id are durable before the request leaves. A definite "not
now" is tried again with the next attempt; a lost answer is never re-sent, it becomes UNKNOWN and
`core.oms.outcomes` resolves it (INV-04).
"""

import asyncio
from collections.abc import Callable, Mapping

from core.domain.enums import DenyReason, Lane, OrderStatus, Purpose, Severity
from core.domain.errors import (
    CredentialsDead,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RetryLater,
    StorageError,
    VenueError,
)
from core.domain.facts import EntryRefused, OrderIntended
from core.domain.intent import CheckVerdict, OrderIntent, OrderRequest, Refusal
from core.domain.money import to_wire
from core.domain.order import OrderRecord
from core.domain.ports import (
    AuditPort,
    Clock,
    ExchangePort,
    FactPublisher,
    JournalPort,
    JsonValue,
)
from core.ids import order_client_id
from core.oms.alarm import Alarm
from core.oms.evidence import Evidence
from core.oms.quantitative_rules import OrderRatios
from core.oms.rules import OmsRules
from core.oms.state import SymbolState, Tracker
from core.oms.throttle import Denial, Throttle

_ATTEMPTS = {Lane.PROTECT: 3, Lane.MANAGE: 2, Lane.DATA: 1}
_PAUSE = 0.2
OnAnswer = Callable[[SymbolState, OrderRecord, int], None]
"""Told of each answer before anybody acts on it: the code of a refusal, 0 when accepted."""
ExpectEcho = Callable[[str], None]
"""Told of each accepted order: its own event must follow, or the user stream is deaf."""


class Sender:
    """The only caller of `ExchangePort.submit` and `cancel`."""

    def __init__(
        self,
        *,
        rules: OmsRules,
        tracker: Tracker,
        exchange: ExchangePort,
        journal: JournalPort,
        audit: AuditPort,
        facts: FactPublisher,
        evidence: Evidence,
        throttle: Throttle,
        on_answer: OnAnswer,
        ratios: OrderRatios,
        clock: Clock,
        expect_echo: ExpectEcho,
    ) -> None:
        self._rules = rules
        self._tracker = tracker
        self._exchange = exchange
        self._journal = journal
        self._audit = audit
        self._facts = facts
        self._evidence = evidence
        self._throttle = throttle
        self._on_answer = on_answer
        self._ratios = ratios
        self._told: set[tuple[str, bool, DenyReason]] = set()
        self._clock = clock
        self._alert = Alarm(facts, clock)
        self._expect_echo = expect_echo

    def record(self, state: SymbolState, intent: OrderIntent, attempt: int = 0) -> OrderRecord:
        """A new record of `intent`, known to the state before anything is written or sent."""
        client_id = order_client_id(
            self._rules.instance,
            self._rules.tags.get(intent.strategy, intent.strategy),
            intent.purpose,
            intent.level,
            intent.intent_id,
            attempt,
        )
        record = OrderRecord(intent=intent, client_id=client_id, attempt=attempt)
        self._tracker.add_order(state, record)
        return record

    async def send(self, state: SymbolState, record: OrderRecord, lane: Lane) -> OrderRecord:
        """Make `record` durable and send it; returns the record of the last attempt."""
        for left in range(_ATTEMPTS[lane] - 1, -1, -1):
            if not await self._make_durable(record):
                self._evidence.settle(
                    state, record, OrderStatus.DENIED, "local", "journal not writable"
                )
                return record
            if await self._send_once(state, record, lane) or left == 0:
                return record
            # Known before the pause: an entry without a living attempt would count as finished,
            # its episode would be closed, and the fill of the next attempt belong to nobody.
            refused, record = record, self.record(state, record.intent, record.attempt + 1)
            await self._clock.sleep(_PAUSE)
            if not self._still_wanted(state, record):
                self._evidence.settle(
                    state, record, OrderStatus.DENIED, "local", "not wanted any more"
                )
                return refused
        return record

    def _still_wanted(self, state: SymbolState, record: OrderRecord) -> bool:
        """An entry is repeated only if nothing of it exists; exits only while a position does."""
        if record.purpose is Purpose.ENTRY:
            return state.position() == 0 and state.flatten_reason is None
        return state.position() != 0

    async def _make_durable(self, record: OrderRecord) -> bool:
        """Write intent and audit. A protective order goes out even when the disk fails (INV-08)."""
        intent = record.intent
        results = await asyncio.gather(
            self._journal.record_attempt(record),
            self._audit_intent(record),
            return_exceptions=True,
        )
        for failure in results:
            if failure is None or isinstance(failure, str):
                continue
            if not isinstance(failure, StorageError):
                raise failure
            self._storage_alert(f"intent could not be written: {failure}")
            if not intent.purpose.is_exit:
                return False
        self._facts.publish(
            OrderIntended(
                intent_id=intent.intent_id,
                trade_id=intent.trade_id,
                client_id=record.client_id,
                attempt=record.attempt,
                symbol=intent.symbol,
                side=intent.side,
                kind=intent.kind,
                purpose=intent.purpose,
                quantity=intent.quantity,
                price=intent.price,
                trigger_price=intent.trigger_price,
                reduce_only=intent.reduce_only,
                at_ms=self._clock.now_ms(),
            )
        )
        return True

    async def _audit_intent(self, record: OrderRecord) -> None:
        intent = record.intent
        await self._audit.write_durable(
            {
                "action": "order.intent",
                "intent_id": intent.intent_id,
                "trade_id": intent.trade_id,
                "client_id": record.client_id,
                "attempt": record.attempt,
                "symbol": intent.symbol,
                "side": intent.side.value,
                "kind": intent.kind.value,
                "purpose": intent.purpose.name.lower(),
                "level": intent.level,
                "quantity": to_wire(intent.quantity),
                "price": to_wire(intent.price) if intent.price is not None else None,
                "trigger_price": (
                    to_wire(intent.trigger_price) if intent.trigger_price is not None else None
                ),
                "working_type": intent.working_type.value if intent.working_type else None,
                "reduce_only": intent.reduce_only,
                "note": intent.note,
            }
        )

    async def _send_once(self, state: SymbolState, record: OrderRecord, lane: Lane) -> bool:
        """One request. True when its outcome is known or must be resolved; False = try again."""
        denial = self._throttle.admit(state, record)
        if denial is not None:
            self._deny(state, record, denial)
            return True
        self._told = {told for told in self._told if told[:2] != _whose(record)}
        record.sent_ms = self._exchange.exchange_now_ms()
        self._evidence.settle(state, record, OrderStatus.SENT, "request", "")
        try:
            seen = await self._exchange.submit(
                OrderRequest.of(record.intent, record.client_id), lane
            )
        except (Refused, CredentialsDead) as error:
            self._on_answer(state, record, error.code)
            record.reject_code, record.reject_text = error.code, error.text
            self._evidence.settle(state, record, OrderStatus.REJECTED, "answer", str(error))
            return True
        except RateLimited as error:
            record.reject_code, record.reject_text = error.code, error.text
            self._evidence.settle(state, record, OrderStatus.ABSENT, "answer", str(error))
            return True
        except RetryLater as error:
            record.reject_code, record.reject_text = error.code, error.text
            self._evidence.settle(state, record, OrderStatus.ABSENT, "answer", str(error))
            return False
        except OutcomeUnknown as error:
            self._evidence.settle(state, record, OrderStatus.UNKNOWN, "no answer", str(error))
            return True
        self._on_answer(state, record, 0)
        self._ratios.note_sent(record, state.trade.entry_price)
        self._evidence.snapshot(state, record, seen, "answer")
        self._expect_echo(record.client_id)
        return True

    def _deny(self, state: SymbolState, record: OrderRecord, denial: Denial) -> None:
        """It does not leave: told once until something leaves again, and recorded every time."""
        intent = record.intent
        record.reject_text = denial.text
        self._evidence.settle(state, record, OrderStatus.DENIED, "limit", denial.text)
        key = (*_whose(record), denial.reason)
        if key not in self._told:
            self._told.add(key)
            severity = Severity.CRITICAL if intent.purpose.is_exit else Severity.WARNING
            self._alert(
                severity,
                f"limit:{denial.reason}:{intent.symbol}",
                f"{intent.symbol} {intent.purpose.name.lower()} kept back at the wire: "
                f"{denial.text}",
            )
        approved = self._throttle.approval(intent.intent_id)
        if intent.purpose is Purpose.ENTRY and approved is not None:
            verdict = CheckVerdict(denial.reason.value, passed=False, numbers=dict(denial.numbers))
            self._facts.publish(
                EntryRefused(
                    Refusal(
                        symbol=approved.symbol,
                        direction=approved.direction,
                        strategy=approved.strategy,
                        why=approved.why,
                        gate=denial.reason.value,
                        candle_open_ms=approved.candle_open_ms,
                        decided_ms=self._exchange.exchange_now_ms(),
                        checks=(*approved.checks, verdict),
                        sizing=approved.sizing,
                    )
                )
            )

    def _note(self, payload: Mapping[str, JsonValue]) -> None:
        """Tell the audit log; a disk that fails does not keep an order alive (INV-08)."""
        try:
            self._audit.write(payload)
        except StorageError as error:
            self._storage_alert(f"cancel could not be written: {error}")

    def _storage_alert(self, text: str) -> None:
        self._alert(Severity.CRITICAL, "storage", text)

    async def cancel(self, state: SymbolState, record: OrderRecord, lane: Lane) -> None:
        """Cancel an accepted order. When it is gone already, a query tells what became of it."""
        record.cancel_requested = True
        self._note(
            {
                "action": "order.cancel",
                "client_id": record.client_id,
                "symbol": record.intent.symbol,
                "purpose": record.intent.purpose.name.lower(),
            }
        )
        try:
            seen = await self._exchange.cancel(
                record.intent.symbol,
                record.client_id,
                conditional=record.rests_as_conditional,
                lane=lane,
            )
            if seen is None:
                seen = await self._exchange.query(
                    record.intent.symbol,
                    record.client_id,
                    conditional=record.intent.kind.is_conditional,
                    lane=lane,
                )
        except VenueError as error:
            record.cancel_requested = False  # asked again after a pause: a cancel is idempotent
            self._note(
                {
                    "action": "order.cancel_failed",
                    "client_id": record.client_id,
                    "symbol": record.intent.symbol,
                    "reason": str(error),
                }
            )
            await self._clock.sleep(_PAUSE)
            return
        if seen is not None:
            self._evidence.snapshot(state, record, seen, "cancel answer")
        elif not record.status.is_terminal:
            # Neither open nor known: whatever it did is in the fills, which are counted apart.
            self._evidence.settle(state, record, OrderStatus.CANCELED, "query", "not found")


def _whose(record: OrderRecord) -> tuple[str, bool]:
    """Entries and exits of a symbol are told of apart."""
    return record.intent.symbol, record.purpose.is_exit
