"""The last screen of a run: its figures are those of the facts, its ledger of the wallet."""

from decimal import Decimal

import pytest

from core.domain.enums import Purpose, Side
from core.domain.facts import CandleEvaluated, FillBooked
from core.kernel.dispatcher import Dispatcher
from core.observe.summary import AuditState, Closing, Summary

D = Decimal
AUDIT = AuditState(records=7, head="ab" * 32, verdict="chain verifies")


def fill(at_ms: int, realized: str, commission: str) -> FillBooked:
    return FillBooked(
        trade_id="t",
        client_id="c",
        symbol="XRP/USDT:USDT",
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        exchange_trade_id=at_ms,
        quantity=D(1),
        price=D(2),
        commission=D(commission),
        commission_asset="USDT",
        realized_pnl=D(realized),
        maker=False,
        at_ms=at_ms,
    )


def closing(start: str, end: str) -> Closing:
    return Closing(
        wallet_start=D(start),
        wallet_end=D(end),
        open_positions=0,
        open_orders=0,
        simulated_ms=60_000,
        real_seconds=1.0,
        reason="one pass done",
    )


@pytest.fixture
def dispatcher() -> Dispatcher:
    failures: list[str] = []
    return Dispatcher(lambda name, error: failures.append(f"{name}: {error}"))


@pytest.fixture
def summary(dispatcher: Dispatcher) -> Summary:
    made = Summary("USDT")
    made.listen(dispatcher)
    return made


def test_fills_explain_the_wallet(dispatcher: Dispatcher, summary: Summary) -> None:
    dispatcher.publish(fill(10, "0", "0.12"))
    dispatcher.publish(fill(20, "1.5", "0.13"))
    assert summary.ledger_difference(closing("400", "401.25")) == 0
    assert summary.ledger_difference(closing("400", "401.24")) == D("-0.01")


def test_a_fill_from_before_the_start_is_in_the_wallet_already(
    dispatcher: Dispatcher, summary: Summary
) -> None:
    """An earlier process died between a fill and its booking; this one books it."""
    summary.wallet_read(15)
    dispatcher.publish(fill(10, "0", "0.12"))
    dispatcher.publish(fill(20, "1.5", "0.13"))
    assert summary.totals.fills == 2
    assert summary.ledger_difference(closing("399.88", "401.25")) == 0


def test_the_screen_is_wrapped_and_never_hides_a_difference(
    dispatcher: Dispatcher, summary: Summary
) -> None:
    for number in range(9):
        dispatcher.publish(
            CandleEvaluated(
                symbol="XRP/USDT:USDT",
                strategy="s",
                timeframe="1m",
                candle_open_ms=number,
                close=2.0,
                verdict="no entry",
                gate=f"a_gate_with_a_long_name_{number % 7}",
                detail="",
                at_ms=number,
            )
        )
    lines = summary.render(closing("400", "399"), AUDIT, "paper, " + "prices " * 40).splitlines()
    assert max(map(len, lines)) <= 100
    assert set(lines[0]) == set(lines[-1]) == {"─"}
    assert any("difference -1" in line for line in lines)
    assert any(line.startswith("candles     9 evaluated") for line in lines)
