"""Facts in the operator's words (floor 5): pure, one function per kind of fact."""

from dataclasses import dataclass, replace
from decimal import Decimal

from core.domain.enums import DenyReason, Severity, StreamState
from core.domain.facts import (
    Alert,
    DaemonFact,
    PositionOpened,
    ReconcileDone,
    RiskChanged,
    StopConfirmed,
    StreamChanged,
    TradeClosed,
)
from core.domain.money import to_wire
from tgbot.render import Block, Card, away, base, money, price, signed, span, table, text

_BY_TEXT = (
    ("code -2014", "key-revoked"),
    ("code -2015", "key-revoked"),
    ("http 401", "key-revoked"),
    ("http 418", "rate-limit-ban"),
    ("http 429", "rate-limit-ban"),
    ("code -1003", "rate-limit-ban"),
    ("code -1021", "clock-skew"),
    ("code -1016", "exchange-maintenance"),
    ("http 503", "exchange-maintenance"),
)
"""What the exchange said decides; errors carry its code and status in these words."""
_BY_KEY = (
    ("storage:rebuilt", "database-rebuilt"),
    ("storage", "disk-full"),
    ("stop:", "naked-position"),
    ("stop-move:", "naked-position"),
    ("flatten:", "naked-position"),
    ("position:", "naked-position"),
    ("user-stream", "stream-down"),
    ("market-stream", "stream-down"),
    ("canary:", "silent-start"),
    ("strategy:", "strategy-fenced"),
    ("order-ratio", "order-ratios"),
    ("contract", "contract-changed"),
    ("instrument:", "contract-changed"),
    ("foreign", "foreign-trading"),
    ("mode", "account-mode"),
    ("margin", "margin-call"),
    ("task:", "task-failed"),
)
_REPEATED = DenyReason.REPEATED_ENTRY.value
_DAY_WORDS = frozenset({"day_stop", "sl_streak", "halted"})
_QUIET_RISK = frozenset({"transfer", "rebuilt", "new_day"})


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell. `key` groups repetitions; `short` is its line in a digest."""

    severity: Severity
    key: str
    title: str
    blocks: tuple[Block, ...]
    short: str
    at_ms: int
    playbook: str = ""
    count: int = 1

    def card(self, badge: str) -> Card:
        times = f" (×{self.count})" if self.count > 1 else ""
        return Card(f"{badge} · {self.title}{times}", self.blocks)

    def again(self, newer: "Notice") -> "Notice":
        """The newer one, counting both."""
        return replace(newer, count=self.count + newer.count)


def notice_of(fact: DaemonFact, quote: str, streak: int) -> Notice | None:
    """What the operator is told about `fact`; None when he need not know.

    `streak` counts the last trades of one kind, this one included: wins up, losses down.
    """
    match fact:
        case PositionOpened():
            return _opened(fact, quote)
        case TradeClosed():
            return _closed(fact, quote, streak)
        case StopConfirmed() if not fact.first:
            line = (
                f"{base(fact.symbol)} stop {to_wire(fact.quantity)} @ "
                f"{price(fact.trigger_price)} confirmed in {fact.elapsed_ms:.0f} ms"
            )
            key = f"protected:{fact.symbol}"
            return _line(Severity.INFO, key, "🛡 protected again", line, fact.at_ms)
        case RiskChanged() if fact.reason not in _QUIET_RISK:
            return _risk(fact)
        case StreamChanged():
            return _stream(fact)
        case ReconcileDone() if fact.repairs:
            return _repairs(fact)
        case Alert():
            return _alert(fact)
        case _:
            return None


def _line(
    severity: Severity, key: str, title: str, line: str, at_ms: int, playbook: str = ""
) -> Notice:
    return Notice(severity, key, title, (text(line),), f"{title}: {line}", at_ms, playbook)


def _opened(fact: PositionOpened, quote: str) -> Notice:
    name = base(fact.symbol)
    title = f"📈 {fact.direction} {name}" if fact.direction.sign > 0 else f"📉 SHORT {name}"
    rows = [
        ("size", f"{to_wire(fact.quantity)} {name} ×{fact.leverage}"),
        ("worth", f"{money(fact.quantity * fact.entry_price)} {quote}"),
        ("entry", price(fact.entry_price)),
        ("stop", f"{price(fact.stop_price)} ({away(fact.entry_price, fact.stop_price)})"),
        ("", f"confirmed in {fact.stop_elapsed_ms:.0f} ms"),
        *(
            (f"tp {level}", f"{price(at)} for {to_wire(size)}")
            for level, (at, size) in enumerate(fact.ladder, 1)
        ),
        ("risk", f"{money(fact.risk)} {quote} ({money(fact.risk_pct)} %)"),
    ]
    short = (
        f"{title} {to_wire(fact.quantity)} @ {price(fact.entry_price)}, "
        f"stop {price(fact.stop_price)}"
    )
    return Notice(
        Severity.INFO,
        f"opened:{fact.trade_id}",
        title,
        (table(rows), text(f"why: {fact.why}")),
        short,
        fact.at_ms,
    )


def _closed(fact: TradeClosed, quote: str, streak: int) -> Notice:
    mark = "✅" if fact.net > 0 else "🔻"
    title = f"{mark} {base(fact.symbol)} {signed(fact.net)} {quote}"
    reason = fact.reason.value.replace("_", " ")
    held = span(fact.closed_ms - fact.opened_ms)
    rows = [
        ("exit", f"{reason} @ {price(fact.exit_price)}"),
        ("entry", f"{fact.direction} {to_wire(fact.quantity)} @ {price(fact.entry_price)}"),
        ("gross", signed(fact.gross, 4)),
        ("fees", signed(-fact.fees, 4)),
        ("funding", signed(fact.funding, 4)),
        ("net", f"{signed(fact.net, 4)} {quote}"),
        ("held", held),
        ("streak", streak_text(streak)),
    ]
    return Notice(
        Severity.INFO,
        f"closed:{fact.trade_id}",
        title,
        (table(rows),),
        f"{title}, {reason} after {held}",
        fact.closed_ms,
    )


def streak_text(streak: int) -> str:
    """`3 wins`, `1 loss` or `none`."""
    if not streak:
        return "none"
    word = ("win", "wins") if streak > 0 else ("loss", "losses")
    return f"{abs(streak)} {word[abs(streak) > 1]}"


def _risk(fact: RiskChanged) -> Notice:
    severity = Severity.WARNING if fact.blocked else Severity.INFO
    title = "⛔ entries stopped, exits active" if fact.blocked else "🟢 entries allowed"
    playbook = "daily-stop" if fact.blocked and fact.reason in _DAY_WORDS else ""
    if playbook and _REPEATED in fact.detail:
        playbook = "repeated-entry"
    if fact.reason == "storage":
        playbook = "disk-full"
    return _line(severity, f"risk:{fact.reason}", title, fact.detail, fact.at_ms, playbook)


def _stream(fact: StreamChanged) -> Notice:
    down = fact.state is StreamState.DEGRADED
    severity = Severity.WARNING if down else Severity.INFO
    title = f"📡 {fact.stream} {'degraded' if down else 'live'}"
    playbook = "stream-down" if down else ""
    key = f"stream:{fact.stream}"
    return _line(severity, key, title, fact.detail or fact.state, fact.at_ms, playbook)


def _repairs(fact: ReconcileDone) -> Notice:
    title = f"🔧 {len(fact.repairs)} repaired by reconcile"
    return Notice(
        Severity.WARNING,
        "reconcile:repairs",
        title,
        (text(*fact.repairs),),
        f"{title}: {fact.repairs[0]}",
        fact.at_ms,
    )


_TITLES = {
    Severity.INFO: "ℹ️ note",
    Severity.WARNING: "⚠️ warning",
    Severity.CRITICAL: "🚨 CRITICAL",
}


def _alert(fact: Alert) -> Notice:
    playbook = next((name for words, name in _BY_TEXT if words in fact.text), "") or next(
        (name for start, name in _BY_KEY if fact.key.startswith(start)), ""
    )
    key = f"alert:{fact.severity.value}:{fact.key}"
    return _line(fact.severity, key, _TITLES[fact.severity], fact.text, fact.at_ms, playbook)


def profit_factor(value: Decimal | None) -> str:
    """`1.42`, or `-` while there is no loss to divide by."""
    return "-" if value is None else money(value)
