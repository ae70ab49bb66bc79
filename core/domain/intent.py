"""What the daemon has decided to do, before anything leaves (floor 0)."""

from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.enums import (
    Direction,
    OrderKind,
    Purpose,
    Side,
    TimeInForce,
    WorkingType,
)


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """One decided order. It is durable in the journal before its request leaves (INV-03).

    `trade_id` is the intent id of the entry that opened the episode; `level` numbers take-profit
    legs from 1 and is 0 otherwise. Prices and quantity are already on the exchange's grid.
    """

    intent_id: str
    trade_id: str
    symbol: str
    side: Side
    kind: OrderKind
    quantity: Decimal
    purpose: Purpose
    created_ms: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    working_type: WorkingType | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False
    strategy: str = ""
    level: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One attempt of an intent as it goes to the wire."""

    client_id: str
    symbol: str
    side: Side
    kind: OrderKind
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    working_type: WorkingType | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False

    @staticmethod
    def of(intent: OrderIntent, client_id: str) -> "OrderRequest":
        return OrderRequest(
            client_id=client_id,
            symbol=intent.symbol,
            side=intent.side,
            kind=intent.kind,
            quantity=intent.quantity,
            price=intent.price,
            trigger_price=intent.trigger_price,
            working_type=intent.working_type,
            time_in_force=intent.time_in_force,
            reduce_only=intent.reduce_only,
        )


@dataclass(frozen=True, slots=True)
class ProtectionPlan:
    """Stop and ladder that belong to an entry; there is no entry without one.

    `stop_ratio` and the legs' `ratio` are distances from the average fill price as fractions, so
    that the plan follows the real fill rather than the price hoped for.
    """

    stop_ratio: Decimal
    legs: tuple["TakeProfitRatio", ...]


@dataclass(frozen=True, slots=True)
class TakeProfitRatio:
    """Distance from the entry (fraction) and share of the position (fraction)."""

    ratio: Decimal
    share: Decimal


@dataclass(frozen=True, slots=True)
class SizingResult:
    """Every intermediate value of the size, for the decision record. Quote coin unless said.

    `risk` is what this quantity loses at the stop, costs included; `budget` what it was allowed to
    lose; `caps` the largest notional each limit allows, by name.
    """

    equity: Decimal
    risk: Decimal
    stop_ratio: Decimal
    cost_ratio: Decimal
    notional: Decimal
    margin: Decimal
    leverage: int
    quantity: Decimal
    price: Decimal
    limited_by: str
    budget: Decimal = Decimal(0)
    caps: tuple[tuple[str, Decimal], ...] = ()

    @property
    def risk_pct(self) -> Decimal:
        """Risk as percent of equity."""
        return self.risk / self.equity * 100 if self.equity else Decimal(0)


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """Outcome of one named pre-trade check with the numbers it compared."""

    name: str
    passed: bool
    numbers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApprovedEntry:
    """Permission to open a position. Only `core.pre_trade_check` builds one (a test enforces it).

    `intent_id` is a pure function of the decision (strategy, symbol, candle, direction), so the
    same decision asked for twice is the same order (INV-02).
    """

    intent_id: str
    symbol: str
    direction: Direction
    quantity: Decimal
    reference_price: Decimal
    leverage: int
    plan: ProtectionPlan
    sizing: SizingResult
    strategy: str
    why: str
    candle_open_ms: int
    decided_ms: int
    checks: tuple[CheckVerdict, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A signal that did not become an order, with the first check that said no."""

    symbol: str
    direction: Direction
    strategy: str
    why: str
    gate: str
    candle_open_ms: int
    decided_ms: int
    checks: tuple[CheckVerdict, ...]
    sizing: SizingResult | None = None


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry on its way: counted as if it were filled (INV-06 counts what is in flight)."""

    symbol: str
    direction: Direction
    strategy: str
    notional: Decimal
    leverage: int
