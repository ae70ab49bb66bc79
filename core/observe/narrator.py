"""Tells the operator what happens, one readable line per fact (floor 5)."""

from decimal import Decimal
from typing import Protocol

from core.domain.enums import OrderStatus, Severity, StreamState
from core.domain.facts import (
    Alert,
    CandleEvaluated,
    EntryFilled,
    OrderChanged,
    PositionOpened,
    ReconcileDone,
    RiskChanged,
    StopConfirmed,
    StreamChanged,
    TradeClosed,
)
from core.domain.money import to_wire
from core.kernel.dispatcher import Dispatcher


class LogEvent(Protocol):
    """Call form of the logger."""

    def __call__(self, component: str, level: str, message: str) -> None: ...


_LEVELS = {
    Severity.INFO: "INFO",
    Severity.WARNING: "WARNING",
    Severity.CRITICAL: "CRITICAL",
}
_STREAM_LEVELS = {
    StreamState.CONNECTING: "DEBUG",
    StreamState.LIVE: "INFO",
    StreamState.DEGRADED: "WARNING",
    StreamState.CLOSED: "INFO",
}
_NOTEWORTHY = (OrderStatus.REJECTED, OrderStatus.UNKNOWN, OrderStatus.ABSENT, OrderStatus.DENIED)


def amount(value: Decimal, places: int = 4) -> str:
    """A money amount for reading, rounded half-even to `places` decimals."""
    return format(value.quantize(Decimal(1).scaleb(-places)), "f")


def price(value: Decimal, reference: Decimal) -> str:
    """A computed price with as many decimals as help, judged by the size of `reference`."""
    digits = max(0, 5 - reference.adjusted())
    return to_wire(round(value, digits))


def duration(milliseconds: int) -> str:
    """`1h 04m`, `12m 30s` or `8s`."""
    seconds = max(milliseconds, 0) // 1_000
    if seconds >= 3_600:
        return f"{seconds // 3_600}h {seconds % 3_600 // 60:02d}m"
    if seconds >= 60:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    return f"{seconds}s"


class Narrator:
    """Subscribes to daemon facts and writes lines. `quote` is the coin amounts are in."""

    def __init__(self, log: LogEvent, quote: str) -> None:
        self._log = log
        self._quote = quote

    def listen(self, dispatcher: Dispatcher) -> None:
        dispatcher.subscribe(CandleEvaluated, self._on_candle)
        dispatcher.subscribe(EntryFilled, self._on_entry)
        dispatcher.subscribe(StopConfirmed, self._on_stop)
        dispatcher.subscribe(PositionOpened, self._on_opened)
        dispatcher.subscribe(TradeClosed, self._on_closed)
        dispatcher.subscribe(OrderChanged, self._on_order)
        dispatcher.subscribe(RiskChanged, self._on_risk)
        dispatcher.subscribe(StreamChanged, self._on_stream)
        dispatcher.subscribe(ReconcileDone, self._on_reconcile)
        dispatcher.subscribe(Alert, self._on_alert)

    def _on_candle(self, fact: CandleEvaluated) -> None:
        gate = f" ({fact.gate})" if fact.gate else ""
        detail = fact.detail.removeprefix(f"{fact.gate}: ")
        if fact.gate:  # what the refused signal was stands in its decision record
            detail = detail.partition(" | ")[0]
        self._log(
            "engine",
            "INFO",
            f"{fact.symbol} {fact.timeframe} close {fact.close:g} {fact.verdict}{gate}: "
            f"{detail}".rstrip(": "),
        )

    def _on_entry(self, fact: EntryFilled) -> None:
        self._log(
            "oms",
            "INFO",
            f"{fact.symbol} {fact.direction} filled {to_wire(fact.quantity)} "
            f"@ {to_wire(fact.price)}",
        )

    def _on_stop(self, fact: StopConfirmed) -> None:
        if fact.first:
            return  # told with the position
        self._log(
            "oms",
            "INFO",
            f"{fact.symbol} protected again: stop {to_wire(fact.quantity)} @ "
            f"{to_wire(fact.trigger_price)} confirmed in {fact.elapsed_ms:.0f} ms",
        )

    def _on_opened(self, fact: PositionOpened) -> None:
        ladder = " ".join(f"{to_wire(size)}@{to_wire(at)}" for at, size in fact.ladder)
        self._log(
            "trade",
            "INFO",
            f"OPEN {fact.symbol} {fact.direction} {to_wire(fact.quantity)} x{fact.leverage} "
            f"entry {price(fact.entry_price, fact.entry_price)} "
            f"stop {to_wire(fact.stop_price)} (confirmed in {fact.stop_elapsed_ms:.0f} ms) "
            f"ladder {ladder or '-'} "
            f"risk {amount(fact.risk, 2)} {self._quote} ({amount(fact.risk_pct, 2)} %)",
        )

    def _on_closed(self, fact: TradeClosed) -> None:
        self._log(
            "trade",
            "INFO",
            f"CLOSE {fact.symbol} {fact.direction} {to_wire(fact.quantity)} by {fact.reason} "
            f"entry {price(fact.entry_price, fact.entry_price)} "
            f"exit {price(fact.exit_price, fact.entry_price)} "
            f"net {amount(fact.net)} {self._quote} "
            f"(gross {amount(fact.gross)} fees {amount(fact.fees)} funding {amount(fact.funding)}) "
            f"held {duration(fact.closed_ms - fact.opened_ms)}",
        )

    def _on_order(self, fact: OrderChanged) -> None:
        self._log(
            "oms",
            "WARNING" if fact.status in _NOTEWORTHY else "DEBUG",
            f"{fact.symbol} {fact.purpose.name.lower()} {fact.client_id} {fact.status} "
            f"({fact.evidence}) {fact.detail}".rstrip(),
        )

    def _on_risk(self, fact: RiskChanged) -> None:
        state = "entries stopped, exits active" if fact.blocked else "entries allowed"
        level = "WARNING" if fact.blocked else "INFO"
        self._log("risk", level, f"{fact.detail or fact.reason} | {state}")

    def _on_stream(self, fact: StreamChanged) -> None:
        detail = "" if fact.detail == fact.state else f": {fact.detail}"
        self._log("stream", _STREAM_LEVELS[fact.state], f"{fact.stream} {fact.state}{detail}")

    def _on_reconcile(self, fact: ReconcileDone) -> None:
        level = "WARNING" if fact.repairs else "DEBUG"
        text = (
            f"reconciled ({fact.trigger}): {fact.positions} positions, {fact.orders} orders, "
            f"{fact.elapsed_ms:.0f} ms"
        )
        self._log("oms", level, text + "".join(f"; repaired: {line}" for line in fact.repairs))

    def _on_alert(self, fact: Alert) -> None:
        self._log("alert", _LEVELS[fact.severity], fact.text)
