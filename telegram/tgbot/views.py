"""Live state as messages (floor 5): pure, one function per command that shows something."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from core.domain.commands import CloseReport, DayView, PanicReport, StatusView, WhyLine
from core.domain.facts import CandleEvaluated
from core.domain.position import PositionView
from core.oms.throttle import ThrottleView
from core.risk_guard import RiskView
from tgbot.notices import profit_factor, streak_text
from tgbot.render import (
    Block,
    away,
    base,
    clock_text,
    columns,
    money,
    percent,
    price,
    signed,
    span,
    table,
    text,
)

_SIGNALS_SHOWN = 6


def status(
    view: StatusView, risk: RiskView, signals: Mapping[str, CandleEvaluated], now_ms: int
) -> tuple[Block, ...]:
    rows = [
        ("up", span(view.uptime_s * 1_000)),
        ("balance", f"{money(view.balance)} {view.quote_coin}"),
        ("equity", f"{money(view.equity)} {view.quote_coin}"),
        ("today", f"{signed(risk.realized_today)} {view.quote_coin}"),
        ("positions", f"{len(view.positions)} of {risk.max_positions}"),
        ("streams", f"user {view.user_stream.value}"),
        ("", f"market {view.market_stream.value}"),
        ("entries", "allowed" if not view.entries_blocked else "stopped"),
    ]
    blocks = [text(f"prices: {view.feed}"), table(rows)]
    if view.entries_blocked:
        blocks.append(text(f"⛔ {view.entries_blocked}"))
    blocks += [text(f"⛔ strategy switched off until restart: {line}") for line in view.fenced]
    if view.positions:
        marks = dict(view.marks)
        blocks.append(columns([_short(each, marks.get(each.symbol)) for each in view.positions]))
    newest = sorted(signals.values(), key=lambda fact: (-fact.at_ms, fact.symbol))[:_SIGNALS_SHOWN]
    if newest:
        blocks.append(text("last looks:"))
        blocks.append(
            table(
                (base(fact.symbol), f"{clock_text(fact.at_ms)} {fact.gate or fact.verdict}")
                for fact in newest
            )
        )
    return tuple(blocks)


def _short(view: PositionView, mark: Decimal | None) -> tuple[str, ...]:
    """One line of a position: what, how much, and what it is worth now."""
    return (
        f"{view.direction.value} {base(view.symbol)}",
        f"{abs(view.quantity):f}",
        f"×{view.leverage}",
        "?" if mark is None else signed(_open_result(view, mark)),
    )


def _open_result(view: PositionView, mark: Decimal) -> Decimal:
    return view.direction.sign * (mark - view.entry_price) * abs(view.quantity)


def positions(
    held: Sequence[PositionView], marks: Mapping[str, Decimal], now_ms: int
) -> tuple[Block, ...]:
    """Every position with its stop and its result; `marks` are mark prices by symbol."""
    if not held:
        return (text("no open positions"),)
    return tuple(table(_rows(view, marks.get(view.symbol), now_ms)) for view in held)


def _rows(view: PositionView, mark: Decimal | None, now_ms: int) -> list[tuple[str, str]]:
    name, size = base(view.symbol), abs(view.quantity)
    rows = [
        (view.direction.value, f"{name} {size:f} ×{view.leverage}"),
        ("entry", price(view.entry_price)),
    ]
    if mark is not None:
        rows.append(("mark", f"{price(mark)} ({away(view.entry_price, mark)})"))
        rows.append(("open", signed(_open_result(view, mark))))
    stop = "NONE" if view.stop_price is None else price(view.stop_price)
    if view.stop_price is not None and view.stop_quantity >= size:
        stop += f" ({away(view.entry_price, view.stop_price)})"
    else:
        stop += f" covers {view.stop_quantity:f} ⚠️"
    rows.append(("stop", stop))
    rows.append(("booked", f"{signed(view.realized - view.fees)} after fees"))
    rows.append(("held", span(now_ms - view.opened_ms)))
    return rows


def risk(view: RiskView, quote: str, now_ms: int) -> tuple[Block, ...]:
    limit = "none" if view.daily_limit is None else f"{money(view.daily_limit)} {quote}"
    equity = "-" if view.equity is None else money(view.equity)
    peak = "-" if view.peak_equity is None else money(view.peak_equity)
    rows = [
        ("entries", "allowed" if view.allowed else "stopped"),
        ("today", f"{signed(view.realized_today)} {quote}"),
        ("open loss", money(view.open_loss)),
        ("day limit", limit),
        ("trades", f"{view.trades_today}, profit factor {profit_factor(view.profit_factor_today)}"),
        ("SL streak", f"{view.sl_streak} of {view.max_sl_streak}"),
        ("positions", f"{view.positions} of {view.max_positions}"),
        ("equity", f"{equity}, peak {peak}"),
        ("drawdown", percent(view.drawdown)),
    ]
    if view.wire is not None:
        rows += _wire(view.wire, quote)
    if view.cooldown_until_ms > now_ms:
        rows.append(("cooldown", f"{span(view.cooldown_until_ms - now_ms)} more"))
    blocks = [table(rows)]
    if not view.allowed:
        blocks.append(text(f"⛔ {view.reason}"))
    if view.halt is not None:
        blocks.append(text(f"halted by {view.halt.who}: {view.halt.reason}; /resume clears it"))
    return tuple(blocks)


def _wire(used: ThrottleView, quote: str) -> list[tuple[str, str]]:
    """Limits at the wire: how much is used, and what was kept back."""
    rows = [
        ("per minute", f"{used.entries_last_minute} of {used.entries_per_minute} entries"),
        ("same entry", f"{used.most_repeated} of {used.same_entries}"),
        ("one order", f"{money(used.order_value)} {quote} at most"),
    ]
    if used.denied:
        kept = ", ".join(f"{word} {count}" for word, count in sorted(used.denied.items()))
        rows.append(("kept back", kept))
    return rows


def summary(view: DayView, quote: str, streak: int) -> tuple[Block, ...]:
    rate = f"{100 * view.wins / view.trades:.0f} %" if view.trades else "-"
    rows = [
        ("trades", f"{view.trades}, won {view.wins} ({rate})"),
        ("gross", signed(view.gross)),
        ("fees", signed(-view.fees)),
        ("funding", signed(view.funding)),
        ("net", f"{signed(view.net)} {quote}"),
        ("factor", profit_factor(view.profit_factor)),
        ("streak", streak_text(streak)),
    ]
    return (table(rows), *_standouts(view))


def _standouts(view: DayView) -> tuple[Block, ...]:
    rows = [("best", _named(row)) for row in view.best]
    rows += [("worst", _named(row)) for row in view.worst]
    return (table(rows),) if rows else ()


def _named(row: tuple[str, Decimal]) -> str:
    return f"{base(row[0])} {signed(row[1])}"


def performance(periods: Sequence[tuple[str, DayView]], quote: str) -> tuple[Block, ...]:
    rows = [("", "trades", "won", f"net {quote}", "factor")]
    rows += [
        (
            name,
            str(view.trades),
            f"{100 * view.wins / view.trades:.0f}%" if view.trades else "-",
            signed(view.net),
            profit_factor(view.profit_factor),
        )
        for name, view in periods
    ]
    return (columns(rows), *_standouts(periods[-1][1]))


def why(lines: Sequence[WhyLine]) -> tuple[Block, ...]:
    if not lines:
        return (text("no decisions recorded yet"),)
    return tuple(
        text(f"{clock_text(line.at_ms)} {base(line.symbol)}: {_verdict(line)}", f"   {line.text}")
        for line in lines
    )


def _verdict(line: WhyLine) -> str:
    """The verdict with the gate that gave it, unless both say the same."""
    same = line.gate.replace("_", " ") == line.verdict
    return line.verdict if same or not line.gate else f"{line.verdict} ({line.gate})"


def closed(report: CloseReport) -> str:
    mark = "✅" if report.closed else "❌"
    return f"{mark} {base(report.symbol)} {report.detail}".rstrip()


def panic(report: PanicReport, quote: str) -> tuple[Block, ...]:
    blocks = [text(*(closed(one) for one in report.closed))] if report.closed else []
    if report.proof:
        blocks.append(table((row.what, str(row.count)) for row in report.proof))
    if report.realized is not None:
        blocks.append(text(f"realised {signed(report.realized)} {quote}"))
    if report.problem:
        blocks.append(text(f"❌ {report.problem}"))
    blocks.append(
        text(
            "the exchange shows nothing of ours any more"
            if report.clean and not report.left_alone
            else f"nothing of ours is left; still open, not ours: {', '.join(report.left_alone)}"
            if report.clean
            else "NOT CLEAN: look at the exchange yourself, then send /panic again"
        )
    )
    return tuple(blocks)
