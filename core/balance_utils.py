"""Free balance of one coin, from either shape a balance comes in (floor 0)."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from core.domain.account import Balance
from core.domain.money import ZERO

BalanceLike = Mapping[str, object] | Iterable[Balance]


def free(balance: BalanceLike, coin: str) -> Decimal:
    """What of `coin` can be used, in that coin; 0 when the coin is missing or its amount unknown.

    Accepts the domain's balances or a balance structure of the exchange library, which holds the
    amount under `balance[coin]["free"]` and again under `balance["free"][coin]`. Raises ValueError
    when the amount is not a finite number.
    """
    if not isinstance(balance, Mapping):
        return next((row.available for row in balance if row.asset == coin), ZERO)
    for outer, inner in ((coin, "free"), ("free", coin)):
        section = balance.get(outer)
        if isinstance(section, Mapping) and section.get(inner) is not None:
            return _amount(section[inner], coin)
    return ZERO


def _amount(value: object, coin: str) -> Decimal:
    try:
        amount = Decimal(str(value))  # the library's numbers may be floats: their shortest text
    except ArithmeticError as error:
        raise ValueError(f"free {coin} is not a number: {value!r}") from error
    if not amount.is_finite():
        raise ValueError(f"free {coin} is not a finite number: {value!r}")
    return amount
