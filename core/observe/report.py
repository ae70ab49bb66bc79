"""The report of a day or a period (floor 5): text for Telegram and log, JSON, and one HTML page.

The page is complete in itself: styles and pictures are inside, it loads nothing and runs nothing.
Everything that came from outside is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html import escape

from core.domain.money import to_wire
from core.domain.ports import JsonValue
from core.domain.position import Trade
from core.observe.analytics import Performance, Slice, r_multiples
from core.observe.charts import Column, Dot, bars, columns, histogram, line_chart
from core.observe.page_style import STYLE

_CENT = Decimal("0.01")
_TOP = 3
_LISTED = 60


@dataclass(frozen=True, slots=True)
class Report:
    """`venue` and `quote` in words; the period is UTC ms, end not included; `audit_head` is the
    remembered head as HASH/NUMBER, empty when unknown; `notes` are lines for the operator."""

    title: str
    venue: str
    quote: str
    start_ms: int
    end_ms: int
    performance: Performance
    trades: Sequence[Trade]
    build: str = ""
    audit_head: str = ""
    notes: tuple[str, ...] = ()

    # --- text ------------------------------------------------------------------------------------

    def text(self) -> str:
        """A dozen lines that fit a telephone."""
        p, q = self.performance, self.quote
        lines = [
            f"{self.title} · {self.venue} · {self.period}",
            f"net {money(p.net, sign=True)} {q} ({percent(p.return_ratio, sign=True)}) = gross "
            f"{money(p.gross)} - fees {money(p.fees)} + funding {money(p.funding)}",
            f"trades {p.trades}, won {p.wins} ({percent(p.win_rate)}); profit factor "
            f"{figure(p.profit_factor)}, average R {figure(p.average_r)}",
            f"drawdown {money(p.max_drawdown)} {q} ({percent(p.max_drawdown_ratio)}); Sharpe "
            f"{figure(p.sharpe)}, Sortino {figure(p.sortino)}",
            f"stops {p.stops}, take-profits {p.targets}; longest run {p.longest_streaks[0]} won, "
            f"{p.longest_streaks[1]} lost; held {duration(p.hold_median_ms)} (median)",
        ]
        best = [each for each in p.by_symbol[:_TOP] if each.net > 0]
        worst = [each for each in reversed(p.by_symbol[-_TOP:]) if each.net < 0]
        if best:
            lines.append(f"best {_named(best)}")
        if worst:
            lines.append(f"worst {_named(worst)}")
        lines += self.notes
        if self.audit_head:
            lines.append(f"audit head {self.audit_head}")
        return "\n".join(lines)

    @property
    def period(self) -> str:
        """The dates it covers, UTC."""
        first, last = _date(self.start_ms), _date(max(self.end_ms - 1, self.start_ms))
        return first if first == last else f"{first} to {last}"

    # --- JSON ------------------------------------------------------------------------------------

    def record(self) -> dict[str, JsonValue]:
        """The same figures for programs; amounts as exact text."""
        p = self.performance
        return {
            "title": self.title,
            "venue": self.venue,
            "quote": self.quote,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "trades": p.trades,
            "wins": p.wins,
            "win_rate": p.win_rate,
            "gross": to_wire(p.gross),
            "fees": to_wire(p.fees),
            "funding": to_wire(p.funding),
            "net": to_wire(p.net),
            "start_equity": to_wire(p.start_equity),
            "return": p.return_ratio,
            "profit_factor": p.profit_factor,
            "expectancy": p.expectancy,
            "average_win": p.average_win,
            "average_loss": p.average_loss,
            "average_r": p.average_r,
            "sharpe": p.sharpe,
            "sortino": p.sortino,
            "max_drawdown": to_wire(p.max_drawdown),
            "max_drawdown_ratio": p.max_drawdown_ratio,
            "hold_mean_ms": p.hold_mean_ms,
            "hold_median_ms": p.hold_median_ms,
            "longest_win_streak": p.longest_streaks[0],
            "longest_loss_streak": p.longest_streaks[1],
            "streak": p.streak,
            "stops": p.stops,
            "take_profits": p.targets,
            "by_symbol": _slice_records(p.by_symbol),
            "by_strategy": _slice_records(p.by_strategy),
            "by_hour": _slice_records(p.by_hour),
            "by_reason": _slice_records(p.by_reason),
            "notes": list(self.notes),
            "build": self.build,
            "audit_head": self.audit_head,
        }

    # --- HTML ------------------------------------------------------------------------------------

    def html(self) -> str:
        """One page for a browser, light or dark as the reader prefers."""
        body = [
            f"<header><p class=kicker>{escape(self.venue)}</p><h1>{escape(self.title)}</h1>"
            f"<p class=period>{self.period} (UTC)</p></header>",
            "".join(f"<p class=note>{escape(note)}</p>" for note in self.notes),
            f"<section class=cards>{''.join(self._cards())}</section>",
            *self._pictures(),
            self._table(),
            f"<footer>{self._footer()}</footer>",
        ]
        return (
            "<!doctype html><html lang=en><head><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)} · {self.period}</title><style>{STYLE}</style></head>"
            f"<body><main>{''.join(body)}</main></body></html>\n"
        )

    def _pictures(self) -> list[str]:
        if not self.trades:
            return ["<section class='panel quiet'>No trade was closed in this period.</section>"]
        p = self.performance
        equity = [Dot(self.start_ms, float(p.start_equity))]
        equity += [Dot(point.at_ms, float(point.equity)) for point in p.curve]
        fall = [Dot(self.start_ms, 0.0)]
        fall += [Dot(point.at_ms, -100 * point.drawdown_ratio) for point in p.curve]
        if p.curve:  # the last level holds until the end of the period, or for as long as it shows
            last = p.curve[-1].at_ms
            end = max(self.end_ms, last + (last - self.start_ms) // 25)
            equity.append(Dot(end, equity[-1].value))
            fall.append(Dot(end, fall[-1].value))
        multiples = r_multiples(self.trades)
        nets = [float(trade.net) for trade in self.trades]
        spread = (
            histogram(multiples, title="Results in R", unit=" R")
            if multiples
            else histogram(nets, title="Results", unit="")
        )
        panels = [
            ("Equity", f"{self.quote}, trade by trade", _equity(equity), "wide"),
            ("Drawdown", "below the highest equity so far", _falling(fall), "wide"),
            ("Distribution", "results in multiples of the risk taken", spread, ""),
            (
                "Symbols",
                f"net {self.quote}, trades, won",
                _slice_bars(p.by_symbol[:14], self.quote),
                "",
            ),
            ("Hour of entry", f"net {self.quote}, UTC", _hours(p.by_hour), ""),
            (
                "Why trades ended",
                f"net {self.quote}, trades, won",
                _slice_bars(p.by_reason, self.quote),
                "",
            ),
        ]
        return [f"<section class=panels>{''.join(_panel(*panel) for panel in panels)}</section>"]

    def _cards(self) -> list[str]:
        p, q = self.performance, self.quote
        tone = "up" if p.net > 0 else "down" if p.net < 0 else ""
        costs = f"fees {money(p.fees)}, funding {money(p.funding, sign=True)}"
        return [
            _card("Net result", f"{money(p.net, sign=True)} {q}", costs, tone),
            _card(
                "Return", percent(p.return_ratio, sign=True), f"from {money(p.start_equity)} {q}"
            ),
            _card("Trades", str(p.trades), f"{p.targets} take-profits, {p.stops} stops"),
            _card("Win rate", percent(p.win_rate) if p.trades else "–", f"{p.wins} of {p.trades}"),
            _card("Profit factor", figure(p.profit_factor), f"average R {figure(p.average_r)}"),
            _card(
                "Max drawdown",
                percent(p.max_drawdown_ratio),
                f"{money(p.max_drawdown)} {q}",
            ),
            _card("Sharpe", figure(p.sharpe), f"Sortino {figure(p.sortino)}"),
            _card(
                "Held",
                duration(p.hold_median_ms),
                f"runs: {p.longest_streaks[0]} won, {p.longest_streaks[1]} lost",
            ),
        ]

    def _table(self) -> str:
        newest = sorted(self.trades, key=lambda trade: -trade.closed_ms)[:_LISTED]
        if not newest:
            return ""
        rows = "".join(_trade_row(trade) for trade in newest)
        more = len(self.trades) - len(newest)
        ending = f"<p class=sub>and {more} earlier ones</p>" if more > 0 else ""
        heads = ("closed", "symbol", "side", "entry", "exit", "net", "R", "why it ended")
        head = "".join(f"<th>{name}</th>" for name in heads)
        return (
            "<section class=panel><h2>Trades</h2><div class=scroll><table>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{ending}</section>"
        )

    def _footer(self) -> str:
        parts = [escape(self.build)] if self.build else []
        if self.audit_head:
            parts.append(f"audit head <code>{escape(self.audit_head)}</code>")
        return " · ".join(parts)


def _equity(dots: list[Dot]) -> str:
    return line_chart(dots, title="Equity", unit="")


def _hours(groups: Sequence[Slice]) -> str:
    by_name = {each.name: each for each in groups}
    if not by_name:
        return columns([], title="Hour of entry")
    made = []
    for hour in range(24):
        name = f"{hour:02d}"
        found = by_name.get(name)
        net, count = (float(found.net), found.trades) if found else (0.0, 0)
        label = name if hour % 3 == 0 else ""
        made.append(Column(label, round(net, 2), f"{name} h, {count} trades", net >= 0))
    return columns(made, title="Hour of entry")


def _falling(dots: list[Dot]) -> str:
    return line_chart(dots, title="Drawdown", unit=" %", height=170, falling=True)


def _panel(name: str, sub: str, picture: str, kind: str) -> str:
    return f'<div class="panel {kind}"><h2>{name}<span>{escape(sub)}</span></h2>{picture}</div>'


def _card(name: str, value: str, sub: str, tone: str = "") -> str:
    return (
        f"<div class=card><p>{name}</p><strong class='{tone}'>{escape(value)}</strong>"
        f"<small>{escape(sub)}</small></div>"
    )


def _trade_row(trade: Trade) -> str:
    tone = "up" if trade.net > 0 else "down"
    multiple = f"{trade.net / trade.risk:+.2f}" if trade.risk > 0 else "–"
    closed = datetime.fromtimestamp(trade.closed_ms / 1_000, UTC)
    cells = (
        f"{closed:%Y-%m-%d %H:%M}",
        escape(trade.symbol.split(":")[0]),
        trade.direction.value.lower(),
        _price(trade.entry_price),
        _price(trade.exit_price),
        f'<span class="{tone}">{money(trade.net, sign=True)}</span>',
        multiple,
        (trade.exit_reason or "unknown").replace("_", " "),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _slice_bars(groups: Sequence[Slice], quote: str) -> str:
    rows = [
        (
            each.name.split("/")[0].replace("_", " "),
            float(each.net),
            f"{money(each.net, sign=True)} · {each.trades} ({percent(each.win_rate, places=0)})",
        )
        for each in groups
    ]
    return bars(rows, title=f"net {quote}")


def _slice_records(groups: Sequence[Slice]) -> list[JsonValue]:
    return [
        {
            "name": each.name,
            "trades": each.trades,
            "wins": each.wins,
            "net": to_wire(each.net),
            "profit_factor": each.profit_factor,
        }
        for each in groups
    ]


def _named(groups: Sequence[Slice]) -> str:
    return ", ".join(f"{each.name.split('/')[0]} {money(each.net, sign=True)}" for each in groups)


def _price(value: Decimal) -> str:
    return f"{float(value):.7g}"


def _date(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d}"


def money(value: Decimal, *, sign: bool = False) -> str:
    """Two decimals with thousands apart."""
    cents = value.quantize(_CENT)
    return f"{cents:{'+' if sign and cents else ''},}"


def percent(ratio: float, *, sign: bool = False, places: int = 2) -> str:
    return f"{100 * ratio:{'+' if sign and ratio else ''}.{places}f} %"


def figure(value: float | None) -> str:
    """Two decimals, a dash where it is not defined."""
    return "–" if value is None else f"{value:.2f}"


def duration(milliseconds: float) -> str:
    """Minutes, or hours and minutes."""
    minutes = round(milliseconds / 60_000)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
