"""Views and results that cross the operator port (floor 0)."""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import StreamState, Venue
from core.domain.money import ZERO
from core.domain.position import PositionView


@dataclass(frozen=True, slots=True)
class CloseReport:
    """What became of one close request: `proof` is the quantity read back from the exchange."""

    symbol: str
    closed: bool
    quantity: Decimal
    detail: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """Live state for every observer. `fenced`: strategies that are switched off, and why."""

    venue: Venue
    feed: str
    uptime_s: float
    equity: Decimal
    quote_coin: str
    positions: tuple[PositionView, ...]
    user_stream: StreamState
    market_stream: StreamState
    entries_blocked: str
    fenced: tuple[str, ...] = ()
    balance: Decimal = ZERO
    marks: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class ProofRow:
    """One line of the proof after a panic: what was counted on the exchange, and how many."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class PanicReport:
    """What became of each position, and what the exchange says afterwards.

    `proof` is empty and `problem` set when the exchange could not be read. `left_alone` are
    symbols of positions on the account that are not ours: still open, and nobody's business here.
    """

    closed: tuple[CloseReport, ...]
    proof: tuple[ProofRow, ...]
    realized: Decimal | None
    problem: str
    left_alone: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """True when the exchange shows nothing of ours any more."""
        return bool(self.proof) and all(row.count == 0 for row in self.proof)


@dataclass(frozen=True, slots=True)
class WhyLine:
    """One decision in words, newest first: taken, refused, or a candle without a signal."""

    at_ms: int
    symbol: str
    verdict: str
    gate: str
    text: str


@dataclass(frozen=True, slots=True)
class DayView:
    """Results of one UTC day or of a period, closed trades only (quote coin)."""

    trades: int
    wins: int
    gross: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal
    profit_factor: Decimal | None
    best: tuple[tuple[str, Decimal], ...]
    worst: tuple[tuple[str, Decimal], ...]
