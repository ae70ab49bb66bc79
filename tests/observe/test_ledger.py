"""A second count of results finds what is missing, doubled or elsewhere."""

from decimal import Decimal

import pytest
from report_builders import START_MS, closed

from core.domain.account import IncomeRow
from core.domain.enums import Side
from core.domain.position import Fill, Trade
from core.observe.ledger import DAY_MS, compare_days, recount


def fill(number: int, side: Side, quantity: str, price: str, realized: str = "0") -> Fill:
    return Fill(
        symbol="XRP/USDC:USDC",
        trade_id=number,
        order_id=number,
        client_id="c",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal("0.1"),
        commission_asset="USDC",
        realized_pnl=Decimal(realized),
        maker=False,
        time_ms=START_MS + number,
    )


FILLS = [
    fill(1, Side.BUY, "60", "2.10"),
    fill(2, Side.BUY, "40", "2.11"),
    fill(3, Side.SELL, "100", "2.15", "4.6"),
]


def booked() -> Trade:
    trade = closed("0", risk="3")
    trade.realized, trade.fees = Decimal("4.6"), Decimal("0.3")
    return trade


def test_a_complete_trade_agrees() -> None:
    (row,) = recount([booked()], [("e1", each) for each in FILLS])
    assert (row.gross, row.fees, row.left, row.difference) == (
        Decimal("4.60"),
        Decimal("0.3"),
        0,
        0,
    )
    assert row.agrees


@pytest.mark.parametrize(
    "fills",
    [
        [("e1", each) for each in FILLS[1:]],
        [("e1", each) for each in (*FILLS, FILLS[0])],
        [("e1", FILLS[0]), ("other", FILLS[1]), ("e1", FILLS[2])],
        [],
    ],
    ids=["missing", "doubled", "elsewhere", "none"],
)
def test_wrong_executions_show(fills: list[tuple[str, Fill]]) -> None:
    (row,) = recount([booked()], fills)
    assert not row.agrees


def test_rounding_of_the_exchange_is_no_difference() -> None:
    trade = booked()
    trade.realized += Decimal("0.00000001")
    (row,) = recount([trade], [("e1", each) for each in FILLS])
    assert row.agrees


def test_days_against_income() -> None:
    def income(kind: str, amount: str, at_ms: int = START_MS + 3) -> IncomeRow:
        return IncomeRow("XRP/USDC:USDC", kind, Decimal(amount), "USDC", at_ms, "1", "")

    told = [income("REALIZED_PNL", "4.6"), income("COMMISSION", "-0.3")]
    funding = income("FUNDING_FEE", "-0.02", START_MS + DAY_MS)
    first, second = compare_days(FILLS, [*told, funding])
    assert first.agrees
    assert (second.day_ms, second.funding, second.agrees) == (
        START_MS + DAY_MS,
        Decimal("-0.02"),
        True,
    )
    (short,) = compare_days(FILLS[:2], told)
    assert not short.agrees
