"""Puts daemon facts into the audit log (floor 5). INV-12: what was done stands with its reasons.

Order intents are audited by the sender itself, durably and before the request; everything else
passes here.
"""

from core.domain.facts import (
    Alert,
    EntryApproved,
    EntryRefused,
    FillBooked,
    OperatorCommand,
    OrderChanged,
    PositionOpened,
    ReconcileDone,
    RiskChanged,
    StopConfirmed,
    StreamChanged,
    TradeClosed,
)
from core.domain.intent import CheckVerdict, ProtectionPlan, SizingResult
from core.domain.money import to_wire
from core.domain.ports import AuditPort, JsonValue
from core.kernel.dispatcher import Dispatcher


def sizing_record(sizing: SizingResult | None) -> JsonValue:
    """Every intermediate value of a size, as text."""
    if sizing is None:
        return None
    return {
        "equity": str(sizing.equity),
        "risk": str(sizing.risk),
        "stop_ratio": str(sizing.stop_ratio),
        "cost_ratio": str(sizing.cost_ratio),
        "notional": str(sizing.notional),
        "margin": str(sizing.margin),
        "leverage": sizing.leverage,
        "quantity": to_wire(sizing.quantity),
        "price": to_wire(sizing.price),
        "limited_by": sizing.limited_by,
    }


def checks_record(checks: tuple[CheckVerdict, ...]) -> JsonValue:
    return [
        {"name": check.name, "passed": check.passed, "numbers": check.numbers} for check in checks
    ]


def plan_record(plan: ProtectionPlan) -> JsonValue:
    """Stop and take-profit ladder, as fractions of the entry price and of the quantity."""
    legs = [[to_wire(leg.ratio), to_wire(leg.share)] for leg in plan.legs]
    return {"stop_ratio": to_wire(plan.stop_ratio), "legs": legs}


class AuditTrail:
    """`config` is the part of the configuration that stands in every decision record."""

    def __init__(self, audit: AuditPort, config: dict[str, JsonValue]) -> None:
        self._audit = audit
        self._config = config

    def listen(self, dispatcher: Dispatcher) -> None:
        dispatcher.subscribe(EntryApproved, self._on_approved)
        dispatcher.subscribe(EntryRefused, self._on_refused)
        dispatcher.subscribe(OrderChanged, self._on_order)
        dispatcher.subscribe(FillBooked, self._on_fill)
        dispatcher.subscribe(StopConfirmed, self._on_stop)
        dispatcher.subscribe(PositionOpened, self._on_opened)
        dispatcher.subscribe(TradeClosed, self._on_closed)
        dispatcher.subscribe(RiskChanged, self._on_risk)
        dispatcher.subscribe(StreamChanged, self._on_stream)
        dispatcher.subscribe(ReconcileDone, self._on_reconcile)
        dispatcher.subscribe(OperatorCommand, self._on_command)
        dispatcher.subscribe(Alert, self._on_alert)

    def _on_approved(self, fact: EntryApproved) -> None:
        approved = fact.approved
        self._audit.write(
            {
                "action": "decision.enter",
                "lens": approved.strategy,
                "symbol": approved.symbol,
                "side": approved.direction.value,
                "size": to_wire(approved.quantity),
                "why": approved.why,
                "checks": checks_record(approved.checks),
                "sizing": sizing_record(approved.sizing),
                "reference_price": to_wire(approved.reference_price),
                "plan": plan_record(approved.plan),
                "config": self._config,
                "intent_id": approved.intent_id,
                "candle_open_ms": approved.candle_open_ms,
            }
        )

    def _on_refused(self, fact: EntryRefused) -> None:
        refusal = fact.refusal
        self._audit.write(
            {
                "action": "decision.skip",
                "lens": refusal.strategy,
                "symbol": refusal.symbol,
                "side": refusal.direction.value,
                "size": to_wire(refusal.sizing.quantity) if refusal.sizing else None,
                "why": refusal.why,
                "gate": refusal.gate,
                "checks": checks_record(refusal.checks),
                "sizing": sizing_record(refusal.sizing),
                "config": self._config,
                "candle_open_ms": refusal.candle_open_ms,
            }
        )

    def _on_order(self, fact: OrderChanged) -> None:
        self._audit.write(
            {
                "action": f"order.{fact.status.value.lower()}",
                "client_id": fact.client_id,
                "symbol": fact.symbol,
                "purpose": fact.purpose.name.lower(),
                "executed": to_wire(fact.executed),
                "evidence": fact.evidence,
                "detail": fact.detail,
            }
        )

    def _on_fill(self, fact: FillBooked) -> None:
        self._audit.write(
            {
                "action": "order.fill",
                "trade_id": fact.trade_id,
                "client_id": fact.client_id,
                "symbol": fact.symbol,
                "purpose": fact.purpose.name.lower(),
                "side": fact.side.value,
                "exchange_trade_id": fact.exchange_trade_id,
                "quantity": to_wire(fact.quantity),
                "price": to_wire(fact.price),
                "commission": to_wire(fact.commission),
                "commission_asset": fact.commission_asset,
                "realized_pnl": to_wire(fact.realized_pnl),
                "maker": fact.maker,
                "time_ms": fact.at_ms,
            }
        )

    def _on_stop(self, fact: StopConfirmed) -> None:
        self._audit.write(
            {
                "action": "stop.confirmed",
                "trade_id": fact.trade_id,
                "client_id": fact.client_id,
                "symbol": fact.symbol,
                "trigger_price": to_wire(fact.trigger_price),
                "quantity": to_wire(fact.quantity),
                "elapsed_us": round(fact.elapsed_ms * 1_000),
                "first": fact.first,
            }
        )

    def _on_opened(self, fact: PositionOpened) -> None:
        self._audit.write(
            {
                "action": "position.opened",
                "trade_id": fact.trade_id,
                "symbol": fact.symbol,
                "side": fact.direction.value,
                "quantity": to_wire(fact.quantity),
                "entry_price": str(fact.entry_price),
                "stop_price": to_wire(fact.stop_price),
                "ladder": [[to_wire(at), to_wire(size)] for at, size in fact.ladder],
                "risk": str(fact.risk),
            }
        )

    def _on_closed(self, fact: TradeClosed) -> None:
        self._audit.write(
            {
                "action": "position.closed",
                "trade_id": fact.trade_id,
                "symbol": fact.symbol,
                "strategy": fact.strategy,
                "side": fact.direction.value,
                "reason": fact.reason.value,
                "quantity": to_wire(fact.quantity),
                "entry_price": str(fact.entry_price),
                "exit_price": str(fact.exit_price),
                "gross": to_wire(fact.gross),
                "fees": to_wire(fact.fees),
                "funding": to_wire(fact.funding),
                "net": to_wire(fact.net),
                "opened_ms": fact.opened_ms,
                "closed_ms": fact.closed_ms,
                "unprotected_us": round(fact.unprotected_ms * 1_000),
            }
        )

    def _on_risk(self, fact: RiskChanged) -> None:
        self._audit.write(
            {
                "action": "risk.changed",
                "blocked": fact.blocked,
                "reason": fact.reason,
                "detail": fact.detail,
            }
        )

    def _on_stream(self, fact: StreamChanged) -> None:
        self._audit.write(
            {
                "action": "stream.changed",
                "stream": fact.stream,
                "state": fact.state.value,
                "detail": fact.detail,
            }
        )

    def _on_reconcile(self, fact: ReconcileDone) -> None:
        if fact.repairs:
            self._audit.write(
                {
                    "action": "reconcile.end",
                    "trigger": fact.trigger,
                    "repairs": list(fact.repairs),
                }
            )

    def _on_command(self, fact: OperatorCommand) -> None:
        self._audit.write({"action": "operator.command", "who": fact.who, "command": fact.command})

    def _on_alert(self, fact: Alert) -> None:
        self._audit.write(
            {
                "action": "alert",
                "severity": fact.severity.value,
                "key": fact.key,
                "text": fact.text,
            }
        )
