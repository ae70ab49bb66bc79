"""Facts of the daemon as rows (floor 2b; INV-16).

What answers "why no trade?" and what happened around the orders: decisions, equity, events. All of
it is observation: it waits in the journal's own queue, in order with orders and fills, and is the
first to go when the disk cannot keep up.
"""

import json
from decimal import Decimal
from functools import partial

import msgspec

from core.domain.facts import (
    Alert,
    CandleEvaluated,
    EntryApproved,
    EntryFilled,
    EntryRefused,
    OperatorCommand,
    OrderChanged,
    PositionOpened,
    ReconcileDone,
    RiskChanged,
    StopConfirmed,
    StreamChanged,
    TradeClosed,
)
from core.domain.intent import ApprovedEntry, Refusal
from core.kernel.dispatcher import Dispatcher
from core.kernel.redaction import Redactor
from core.storage.database import Statement
from core.storage.rows import clean, text
from core.storage.write_queue import WriteQueue

DECISION_ROW = (
    "INSERT INTO decisions (at_ms, verdict, symbol, strategy, timeframe, candle_open_ms, direction,"
    " gate, why, detail, looks) VALUES (?, ?, ?, ?, '', ?, ?, ?, ?, ?, 1)"
)
_PASSED = (
    "INSERT INTO decisions (at_ms, verdict, symbol, strategy, timeframe, candle_open_ms, direction,"
    " gate, why, detail, looks) VALUES (?, 'passed', ?, ?, ?, ?, NULL, ?, ?, ?, 1)"
    " ON CONFLICT (symbol, strategy, timeframe, candle_open_ms, gate) WHERE verdict = 'passed'"
    " DO UPDATE SET at_ms = excluded.at_ms, why = excluded.why, detail = excluded.detail,"
    " looks = looks + 1"
)
EQUITY_ROW = (
    "INSERT OR REPLACE INTO equity (at_ms, coin, wallet, unrealized, available, positions)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
CHECKPOINT = "AuditCheckpoint"
"""Kind of the events that remember the audit log's head."""
EVENT_ROW = "INSERT INTO events (at_ms, kind, symbol, detail) VALUES (?, ?, ?, ?)"

_Event = (
    Alert
    | EntryFilled
    | OperatorCommand
    | OrderChanged
    | PositionOpened
    | ReconcileDone
    | RiskChanged
    | StopConfirmed
    | StreamChanged
)


def checkpoint_row(at_ms: int, records: int, head: str) -> Statement:
    """Number and hash of an audit record as an event."""
    detail = json.dumps({"records": records, "head": head})
    return EVENT_ROW, (at_ms, CHECKPOINT, "", detail)


class FactRecorder:
    """Observer that turns facts into rows of `decisions`, `equity` and `events`."""

    def __init__(self, queue: WriteQueue, redactor: Redactor | None = None) -> None:
        self._queue = queue
        self._redactor = redactor or Redactor()

    def attach(self, dispatcher: Dispatcher) -> None:
        """Subscribe to everything this records. Orders and fills are the journal's."""
        dispatcher.subscribe(CandleEvaluated, self.on_candle)
        dispatcher.subscribe(EntryApproved, self.on_approved)
        dispatcher.subscribe(EntryRefused, self.on_refused)
        dispatcher.subscribe(TradeClosed, self.on_closed)
        dispatcher.subscribe(ReconcileDone, self.on_reconciled)
        dispatcher.subscribe(Alert, self.on_event)
        dispatcher.subscribe(EntryFilled, self.on_event)
        dispatcher.subscribe(OperatorCommand, self.on_event)
        dispatcher.subscribe(OrderChanged, self.on_event)
        dispatcher.subscribe(PositionOpened, self.on_event)
        dispatcher.subscribe(RiskChanged, self.on_event)
        dispatcher.subscribe(StopConfirmed, self.on_event)
        dispatcher.subscribe(StreamChanged, self.on_event)

    def on_candle(self, fact: CandleEvaluated) -> None:
        """One row per candle, symbol and gate; looking again counts it up."""
        if not fact.gate:  # an entry: it comes as a decision of its own
            return
        row = (
            fact.at_ms,
            fact.symbol,
            fact.strategy,
            fact.timeframe,
            fact.candle_open_ms,
            fact.gate,
            clean(fact.verdict),
            self._safe(fact.detail),
        )
        self._queue.observe((_PASSED, row))

    def on_approved(self, fact: EntryApproved) -> None:
        self._decision("approved", "", fact.approved)

    def on_refused(self, fact: EntryRefused) -> None:
        self._decision("refused", fact.refusal.gate, fact.refusal)

    def on_closed(self, fact: TradeClosed) -> None:
        self._event(fact, fact.symbol, fact.closed_ms)

    def on_reconciled(self, fact: ReconcileDone) -> None:
        """Only a reconcile that found something is an event."""
        if fact.repairs:
            self.on_event(fact)

    def on_event(self, fact: _Event) -> None:
        self._event(fact, str(getattr(fact, "symbol", "")), fact.at_ms)

    def note_equity(
        self,
        at_ms: int,
        coin: str,
        wallet: Decimal,
        unrealized: Decimal,
        available: Decimal,
        positions: int,
    ) -> None:
        """A snapshot of the account, amounts in `coin`; one row per moment."""
        row = (at_ms, coin, text(wallet), text(unrealized), text(available), positions)
        self._queue.observe((EQUITY_ROW, row))

    def note_checkpoint(self, at_ms: int, records: int, head: str) -> None:
        """Length and head of the audit log, kept where its writer cannot change them unseen."""
        self._queue.observe(checkpoint_row(at_ms, records, head))

    def _decision(self, verdict: str, gate: str, made: ApprovedEntry | Refusal) -> None:
        row = (
            made.decided_ms,
            verdict,
            made.symbol,
            made.strategy,
            made.candle_open_ms,
            made.direction,
            gate,
            self._safe(made.why),
            self._json(made),
        )
        self._queue.observe((DECISION_ROW, row))

    def _event(self, fact: msgspec.Struct, symbol: str, at_ms: int) -> None:
        self._queue.observe(partial(self._event_row, fact, symbol, at_ms))

    def _event_row(self, fact: msgspec.Struct, symbol: str, at_ms: int) -> Statement:
        return EVENT_ROW, (at_ms, type(fact).__name__, symbol, self._json(fact))

    def _json(self, fact: object) -> str:
        return self._safe(json.dumps(msgspec.to_builtins(fact), ensure_ascii=False))

    def _safe(self, words: str) -> str:
        return clean(self._redactor.redact_text(words))
