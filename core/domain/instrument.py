"""A perpetual contract with its filters and leverage brackets (floor 0).

Source: exchangeInfo and leverageBracket of Binance USDⓈ-M. Values are the exchange's own strings
as Decimal; nothing here is hard-coded per symbol.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import ContractStatus
from core.domain.money import ZERO


@dataclass(frozen=True, slots=True)
class Bracket:
    """One row of the leverage table: up to `notional_cap` at most `max_leverage`."""

    notional_floor: Decimal
    notional_cap: Decimal
    max_leverage: int
    maint_margin_ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """Contract description. `symbol` is the normal form BASE/QUOTE:SETTLE, `wire` the exchange's.

    A zero `min_price`, `max_price` or percent multiplier means that bound is disabled.
    """

    symbol: str
    wire: str
    base: str
    quote: str
    settle: str
    status: ContractStatus
    tick: Decimal
    min_price: Decimal
    max_price: Decimal
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_step: Decimal
    market_min_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    percent_up: Decimal = ZERO
    percent_down: Decimal = ZERO
    max_orders: int = 200
    brackets: tuple[Bracket, ...] = ()
    onboard_ms: int = 0
    delivery_ms: int = 0
    """Day on which the exchange closes the contract (UTC ms); 0 while it has no end."""

    @property
    def accepts_entries(self) -> bool:
        """False when it is not traded, or when its end has been announced: close-only then."""
        return self.status is ContractStatus.TRADING and not self.delivery_ms

    def bracket_for(self, notional: Decimal) -> Bracket | None:
        """Bracket that holds `notional` (quote coin), or None when above the last cap."""
        for bracket in self.brackets:
            if notional <= bracket.notional_cap:
                return bracket
        return None

    def max_leverage_for(self, notional: Decimal) -> int:
        """Highest leverage allowed for `notional`; 0 when no bracket holds it, 1 when unknown."""
        if not self.brackets:
            return 1
        bracket = self.bracket_for(notional)
        return bracket.max_leverage if bracket else 0
