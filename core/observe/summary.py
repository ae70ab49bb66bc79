"""What a run saw and did, for the screen at its end (floor 5)."""

import json
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from core.domain.enums import ExitReason
from core.domain.facts import (
    Alert,
    CandleEvaluated,
    EntryApproved,
    EntryRefused,
    FillBooked,
    ReconcileDone,
    StopConfirmed,
    TradeClosed,
)
from core.domain.money import ZERO, to_wire
from core.kernel.dispatcher import Dispatcher
from core.observe.narrator import amount, duration

_COLUMNS = 100


@dataclass(slots=True)
class RunTotals:
    """Counters of one run. Amounts in the quote coin."""

    candles: int = 0
    signals: int = 0
    gates: Counter[str] = field(default_factory=Counter)
    """What kept candles from becoming entries: conditions of the strategy and refusals."""
    refusals: Counter[str] = field(default_factory=Counter)
    """What refused signals, the part of `gates` after the strategy."""
    approved: int = 0
    refused: int = 0
    fills: int = 0
    stops_confirmed: int = 0
    worst_stop_ms: float = 0.0
    worst_unprotected_ms: float = 0.0
    trades: int = 0
    wins: int = 0
    gross: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    net: Decimal = ZERO
    reasons: Counter[ExitReason] = field(default_factory=Counter)
    by_symbol: dict[str, Decimal] = field(default_factory=dict)
    alerts: int = 0
    repairs: int = 0
    fill_result: Decimal = ZERO
    """Realised PnL minus commission, fill by fill: what the wallet must show besides funding."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What the exchange says at the end. Amounts in the quote coin."""

    wallet_start: Decimal
    wallet_end: Decimal
    settled: Decimal
    """Funding and clearance fees the exchange booked since the start wallet was read."""
    open_positions: int
    open_orders: int
    simulated_ms: int
    real_seconds: float
    reason: str

    @property
    def wallet_change(self) -> Decimal:
        return self.wallet_end - self.wallet_start


@dataclass(frozen=True, slots=True)
class AuditState:
    """The audit log as an independent reader finds it."""

    records: int
    head: str
    verdict: str


class Summary:
    """Listens and counts."""

    def __init__(self, quote: str) -> None:
        self.totals = RunTotals()
        self._quote = quote
        self._wallet_at_ms = 0

    def listen(self, dispatcher: Dispatcher) -> None:
        dispatcher.subscribe(CandleEvaluated, self._on_candle)
        dispatcher.subscribe(EntryApproved, self._on_approved)
        dispatcher.subscribe(EntryRefused, self._on_refused)
        dispatcher.subscribe(FillBooked, self._on_fill)
        dispatcher.subscribe(StopConfirmed, self._on_stop)
        dispatcher.subscribe(TradeClosed, self._on_closed)
        dispatcher.subscribe(ReconcileDone, self._on_reconcile)
        dispatcher.subscribe(Alert, self._on_alert)

    def wallet_read(self, at_ms: int) -> None:
        """The start wallet is known as of `at_ms` (UTC ms, exchange time).

        Fills from before are in it already, even those that are booked later, such as the ones an
        earlier process died over.
        """
        self._wallet_at_ms = at_ms

    @property
    def wallet_at_ms(self) -> int:
        """When the start wallet was read (UTC ms, exchange time)."""
        return self._wallet_at_ms

    def _on_candle(self, fact: CandleEvaluated) -> None:
        totals = self.totals
        totals.candles += 1
        wanted = fact.verdict != "no entry"
        totals.signals += wanted
        if fact.gate:
            totals.gates[fact.gate] += 1
            if wanted:
                totals.refusals[fact.gate] += 1

    def _on_approved(self, _fact: EntryApproved) -> None:
        self.totals.approved += 1

    def _on_refused(self, _fact: EntryRefused) -> None:
        self.totals.refused += 1

    def _on_fill(self, fact: FillBooked) -> None:
        self.totals.fills += 1
        if fact.at_ms >= self._wallet_at_ms:
            self.totals.fill_result += fact.realized_pnl - fact.commission

    def _on_stop(self, fact: StopConfirmed) -> None:
        self.totals.stops_confirmed += 1
        self.totals.worst_stop_ms = max(self.totals.worst_stop_ms, fact.elapsed_ms)

    def _on_closed(self, fact: TradeClosed) -> None:
        totals = self.totals
        totals.trades += 1
        totals.wins += fact.net > ZERO
        totals.gross += fact.gross
        totals.fees += fact.fees
        totals.funding += fact.funding
        totals.net += fact.net
        totals.reasons[fact.reason] += 1
        totals.by_symbol[fact.symbol] = totals.by_symbol.get(fact.symbol, ZERO) + fact.net
        totals.worst_unprotected_ms = max(totals.worst_unprotected_ms, fact.unprotected_ms)

    def _on_reconcile(self, fact: ReconcileDone) -> None:
        self.totals.repairs += len(fact.repairs)

    def _on_alert(self, _fact: Alert) -> None:
        self.totals.alerts += 1

    def ledger_difference(self, closing: Closing) -> Decimal:
        """Wallet change by the exchange minus what our fills and its settlements explain.

        The trades' own funding would not do: it covers all of a trade's life, also what was paid
        before this run began, and lacks what positions paid that are still open.
        """
        return closing.wallet_change - (self.totals.fill_result + closing.settled)

    def write_json(self, path: Path, closing: Closing, audit: AuditState, header: str) -> None:
        """The same figures for programs."""
        t = self.totals
        record = {
            "run": header,
            "ended": closing.reason,
            "market_ms": closing.simulated_ms,
            "candles": t.candles,
            "signals": t.signals,
            "gates": dict(sorted(t.gates.items())),
            "refusals": dict(sorted(t.refusals.items())),
            "approved": t.approved,
            "refused": t.refused,
            "fills": t.fills,
            "stops_confirmed": t.stops_confirmed,
            "slowest_stop_ms": round(t.worst_stop_ms, 3),
            "worst_unprotected_ms": round(t.worst_unprotected_ms, 3),
            "trades": t.trades,
            "wins": t.wins,
            "gross": to_wire(t.gross),
            "fees": to_wire(t.fees),
            "funding": to_wire(t.funding),
            "net": to_wire(t.net),
            "reasons": {str(reason): count for reason, count in sorted(t.reasons.items())},
            "by_symbol": {symbol: to_wire(net) for symbol, net in sorted(t.by_symbol.items())},
            "wallet_start": to_wire(closing.wallet_start),
            "wallet_end": to_wire(closing.wallet_end),
            "ledger_difference": to_wire(self.ledger_difference(closing)),
            "open_positions": closing.open_positions,
            "open_orders": closing.open_orders,
            "repairs": t.repairs,
            "alerts": t.alerts,
            "audit_records": audit.records,
            "audit_head": audit.head,
            "audit_verdict": audit.verdict,
        }
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def render(self, closing: Closing, audit: AuditState, header: str) -> str:
        """One screen, wrapped for a terminal of 100 columns."""
        t = self.totals
        q = self._quote
        difference = self.ledger_difference(closing)
        rate = f"{100 * t.wins / t.trades:.0f} %" if t.trades else "-"
        rows = [
            ("run", header),
            ("ended", closing.reason),
            (
                "time",
                f"{duration(closing.simulated_ms)} of market time in {closing.real_seconds:.1f} s",
            ),
            ("candles", f"{t.candles} evaluated"),
            ("no signal", _ranking(t.gates - t.refusals)),
            ("signals", f"{t.signals}: {t.approved} approved, {t.refused} refused"),
            ("refused", _ranking(t.refusals)),
            ("trades", f"{t.trades} closed, {t.wins} won ({rate}); {_ranking(t.reasons)}"),
            (
                "result",
                f"net {amount(t.net)} {q} (gross {amount(t.gross)}, fees {amount(t.fees)}, "
                f"funding {amount(t.funding)})",
            ),
            ("by symbol", _by_symbol(t.by_symbol)),
            (
                "protection",
                f"{t.stops_confirmed} stops confirmed, slowest {t.worst_stop_ms:.0f} ms; "
                f"worst time without a stop {t.worst_unprotected_ms:.0f} ms",
            ),
            (
                "ledger",
                f"wallet {amount(closing.wallet_start)} -> {amount(closing.wallet_end)} {q}, "
                f"{t.fills} fills; difference {to_wire(difference)}",
            ),
            (
                "left open",
                f"{closing.open_positions} positions, {closing.open_orders} orders",
            ),
            ("repairs", f"{t.repairs} by reconcile, {t.alerts} alerts"),
            (
                "audit",
                f"{audit.records} records, {audit.verdict}, head {audit.head[:16]}…",
            ),
        ]
        indent = max(len(name) for name, _ in rows) + 2
        lines = [
            textwrap.fill(
                f"{name:<{indent}}{text}",
                _COLUMNS,
                subsequent_indent=" " * indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for name, text in rows
        ]
        rule = "─" * _COLUMNS
        return "\n".join([rule, *lines, rule])


def _ranking(counter: Counter[str] | Counter[ExitReason]) -> str:
    if not counter:
        return "-"
    ranked = sorted(counter.items(), key=lambda item: (-item[1], str(item[0])))
    return ", ".join(f"{name} {count}" for name, count in ranked[:6])


def _by_symbol(results: dict[str, Decimal]) -> str:
    if not results:
        return "-"
    return ", ".join(
        f"{symbol.split('/')[0]} {amount(net, 2)}" for symbol, net in sorted(results.items())
    )
