"""Views and results that cross the operator port (floor 0)."""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import StreamState, Venue
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
    """Live state for every observer."""

    venue: Venue
    feed: str
    uptime_s: float
    equity: Decimal
    quote_coin: str
    positions: tuple[PositionView, ...]
    user_stream: StreamState
    market_stream: StreamState
    entries_blocked: str
