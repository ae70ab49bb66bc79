"""Margin arithmetic (floor 2c): pure functions over brackets, no state.

Formulas of the venue: maintenance = |notional| * rate - cum of the bracket that holds it, initial
margin = |notional| / leverage, and an isolated position is liquidated when its wallet plus
unrealised PnL no longer covers the maintenance margin.
"""

from decimal import ROUND_UP, Decimal

from core.domain.money import ZERO
from core.paper.model import Contract, PaperBracket

EIGHT_PLACES = Decimal("0.00000001")


def bracket_for(contract: Contract, notional: Decimal) -> PaperBracket:
    """Bracket that holds |notional|; the last one above its cap."""
    size = abs(notional)
    for bracket in contract.brackets:
        if size <= bracket.notional_cap:
            return bracket
    return contract.brackets[-1]


def maintenance(contract: Contract, notional: Decimal) -> Decimal:
    """Maintenance margin in the quote coin."""
    bracket = bracket_for(contract, notional)
    return abs(notional) * bracket.maint_margin_ratio - bracket.cum


def initial(notional: Decimal, leverage: int) -> Decimal:
    """Initial margin, rounded up to eight places."""
    return (abs(notional) / leverage).quantize(EIGHT_PLACES, ROUND_UP)


def max_leverage(contract: Contract) -> int:
    """Highest leverage of the symbol: that of its first bracket."""
    return contract.brackets[0].initial_leverage


def max_notional(contract: Contract, leverage: int) -> int:
    """Largest position value the brackets allow at `leverage`."""
    allowed = [row.notional_cap for row in contract.brackets if row.initial_leverage >= leverage]
    return max(allowed) if allowed else 0


def liquidation_price(
    contract: Contract, quantity: Decimal, cost: Decimal, mark: Decimal, margin: Decimal
) -> Decimal:
    """Mark price at which `margin` + unrealised PnL equals the maintenance margin; 0 for none.

    `quantity` and `cost` are signed; the bracket is the one of the notional at `mark`.
    """
    if not quantity:
        return ZERO
    bracket = bracket_for(contract, quantity * mark)
    sign = 1 if quantity > 0 else -1
    slope = quantity - sign * quantity * bracket.maint_margin_ratio
    price = (cost - margin - bracket.cum) / slope
    return max(price, ZERO)


def bankruptcy_price(quantity: Decimal, cost: Decimal, margin: Decimal) -> Decimal:
    """Price at which an isolated margin is used up."""
    return max((cost - margin) / quantity, ZERO)
