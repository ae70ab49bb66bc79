"""Messages that read well on a phone (floor 5).

A `Card` is plain text with structure. Only this module makes HTML of it, so nothing that comes
from outside (symbols, errors, log lines) can break the markup, and every part of a split message
is complete in itself.
"""

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import Venue
from core.domain.money import to_wire

PART_LIMIT = 3_900
"""UTF-16 units of one message; the service takes 4096 and counts after the markup is removed."""
PART_COUNT = 8
"""Parts of one answer at most; what is cut off says so."""
_BADGES = {Venue.PAPER: "🧪", Venue.TESTNET: "🟡", Venue.PROD: "🔴"}
_NAMES = {Venue.PAPER: "PAPER", Venue.TESTNET: "TESTNET", Venue.PROD: "LIVE"}


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together; `mono` keeps their columns aligned."""

    lines: tuple[str, ...]
    mono: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One message: a bold head line and blocks of plain text."""

    head: str
    blocks: tuple[Block, ...] = ()

    @property
    def plain(self) -> str:
        """The message without markup, for mail, Slack and logs."""
        parts = [self.head, *("\n".join(block.lines) for block in self.blocks)]
        return "\n".join(parts)

    @property
    def mrkdwn(self) -> str:
        """The message in Slack's markup."""
        parts = [f"*{_escape(self.head)}*"]
        for block in self.blocks:
            lines = _escape("\n".join(block.lines))
            parts.append(f"```{lines}```" if block.mono and lines else lines)
        return "\n".join(parts)

    def redacted(self, redact: Callable[[str], str]) -> "Card":
        """The same without secrets (INV-12): before the markup, which redaction would break."""
        blocks = (
            Block(tuple(redact(line) for line in block.lines), block.mono) for block in self.blocks
        )
        return Card(redact(self.head), tuple(blocks))

    def parts(self, limit: int = PART_LIMIT) -> tuple[str, ...]:
        """HTML messages, none longer than `limit` UTF-16 units."""
        pages = _Pages(limit)
        pages.add(f"<b>{_escape(self.head)}</b>", mono=False)
        mono = False
        for block in self.blocks:
            if block.mono == mono and block is not self.blocks[0]:
                pages.add("", mono=mono)
            mono = block.mono
            for line in block.lines:
                for piece in _pieces(line, limit // 2):
                    pages.add(piece, mono=block.mono)
        return pages.done()


class _Pages:
    """Fills pages line by line; a monospace run is closed at the end of a page and opened anew."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pages: list[str] = []
        self._lines: list[str] = []
        self._size = 0
        self._mono = False

    def add(self, line: str, *, mono: bool) -> None:
        size = _units(line) + 1
        if self._lines and self._size + size + len("<pre></pre>") > self._limit:
            self._turn()
        if mono != self._mono:
            self._lines.append("<pre>" if mono else "</pre>")
            self._size += len("<pre></pre>")
            self._mono = mono
        self._lines.append(line)
        self._size += size

    def _turn(self) -> None:
        if self._mono:
            self._lines.append("</pre>")
        text = "\n".join(self._lines).replace("<pre>\n", "<pre>").replace("\n</pre>", "</pre>")
        self._pages.append(text)
        self._lines = []
        self._size = 0
        self._mono = False

    def done(self) -> tuple[str, ...]:
        self._turn()
        if len(self._pages) > PART_COUNT:
            cut = len(self._pages) - PART_COUNT
            return (*self._pages[:PART_COUNT], f"… {cut} more parts are not shown")
        return tuple(self._pages)


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _pieces(line: str, limit: int) -> Iterable[str]:
    """The escaped line, cut where it would not fit; never inside a character or an entity."""
    piece: list[str] = []
    size = 0
    for character in line:
        escaped = _escape(character)
        if size + _units(escaped) > limit:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(escaped)
        size += _units(escaped)
    yield "".join(piece)


def badge(venue: Venue, feed: str = "") -> str:
    """First words of every message: where the orders go, and that prices are invented if so."""
    invented = " · SYNTHETIC PRICES" if "synthetic" in feed.lower() else ""
    return f"{_BADGES[venue]} {_NAMES[venue]}{invented}"


def table(rows: Iterable[tuple[str, str]]) -> Block:
    """`name  value` rows, the values in one column."""
    kept = tuple(rows)
    width = max((len(name) for name, _ in kept), default=0)
    return Block(tuple(f"{name:<{width}}  {value}".rstrip() for name, value in kept), mono=True)


def columns(rows: Sequence[Sequence[str]]) -> Block:
    """Rows of a table: the first column left, the others right aligned."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return Block(
        tuple(
            "  ".join(
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ),
        mono=True,
    )


def text(*lines: str) -> Block:
    return Block(lines)


def money(value: Decimal, places: int = 2) -> str:
    """`1,234.50`, rounded half-even."""
    return f"{value.quantize(Decimal(1).scaleb(-places)):,f}"


def signed(value: Decimal, places: int = 2) -> str:
    """As `money`, with `+` before a gain."""
    return f"{value.quantize(Decimal(1).scaleb(-places)):+,f}"


def percent(ratio: Decimal, places: int = 2) -> str:
    return f"{(ratio * 100).quantize(Decimal(1).scaleb(-places)):f} %"


def price(value: Decimal) -> str:
    """Six significant digits, in plain notation."""
    digits = max(0, 5 - value.adjusted()) if value else 0
    return to_wire(round(value, digits))


def away(start: Decimal, end: Decimal) -> str:
    """`-0.80 %`: how far `end` is from `start`."""
    return f"{signed((end / start - 1) * 100)} %" if start else "-"


def span(milliseconds: float) -> str:
    """`2d 03h`, `1h 04m`, `12m 30s` or `8s`."""
    seconds = max(int(milliseconds // 1_000), 0)
    if seconds >= 86_400:
        return f"{seconds // 86_400}d {seconds % 86_400 // 3_600:02d}h"
    if seconds >= 3_600:
        return f"{seconds // 3_600}h {seconds % 3_600 // 60:02d}m"
    if seconds >= 60:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    return f"{seconds}s"


def clock_text(at_ms: int) -> str:
    """`14:05:09` UTC."""
    seconds = at_ms // 1_000 % 86_400
    return f"{seconds // 3_600:02d}:{seconds % 3_600 // 60:02d}:{seconds % 60:02d}"


def base(symbol: str) -> str:
    """`BTC` of `BTC/USDC:USDC`."""
    return symbol.partition("/")[0]
