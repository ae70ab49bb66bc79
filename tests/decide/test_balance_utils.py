"""The free balance is read from both shapes and never from another coin."""

from decimal import Decimal

import pytest

from core.balance_utils import free
from core.domain.account import Balance


@pytest.mark.parametrize(
    "balance",
    [
        {"USDC": {"free": 12.34, "total": 20.0}, "USDT": {"free": 99.0}},
        {"free": {"USDC": "12.34", "USDT": "99"}},
        (
            Balance("USDT", Decimal(99), Decimal(99)),
            Balance("USDC", Decimal(20), Decimal("12.34")),
        ),
    ],
)
def test_reads_the_coin_asked_for(balance: object) -> None:
    assert free(balance, "USDC") == Decimal("12.34")  # type: ignore[arg-type]  # parametrised shapes
    assert free(balance, "USDT") == Decimal(99)  # type: ignore[arg-type]  # parametrised shapes


@pytest.mark.parametrize("balance", [{}, {"USDC": {"free": None}}, {"USDC": None}, ()])
def test_unknown_is_nothing(balance: object) -> None:
    assert free(balance, "USDC") == 0  # type: ignore[arg-type]  # parametrised shapes


@pytest.mark.parametrize("value", ["NaN", "abc", float("inf")])
def test_nonsense_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="USDC"):
        free({"USDC": {"free": value}}, "USDC")
