"""The last screen of a run: its figures are those of the facts, its ledger of the wallet."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from core.domain.enums import Direction, ExitReason, Purpose, Side
from core.domain.facts import CandleEvaluated, FillBooked, TradeClosed
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


def closing(start: str, end: str, settled: str = "0") -> Closing:
    return Closing(
        settled=D(settled),
        wallet_start=D(start),
        wallet_end=D(end),
        open_positions=0,
        open_orders=0,
        simulated_ms=60_000,
        real_seconds=1.0,
        reason="one pass done",
    )


def closed(funding: str) -> TradeClosed:
    return TradeClosed(
        trade_id="t",
        symbol="XRP/USDT:USDT",
        strategy="s",
        direction=Direction.LONG,
        quantity=D(1),
        entry_price=D(2),
        exit_price=D("3.5"),
        gross=D("1.5"),
        fees=D("0.13"),
        funding=D(funding),
        net=D("1.37") + D(funding),
        reason=ExitReason.TAKE_PROFIT,
        opened_ms=5,
        closed_ms=20,
        unprotected_ms=1.0,
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


def test_funding_counts_for_the_run_that_paid_it(dispatcher: Dispatcher, summary: Summary) -> None:
    """A trade that an earlier process opened paid 0.30 before this one read the wallet and 0.20
    after; a position that stays open paid 0.05."""
    summary.wallet_read(15)
    dispatcher.publish(fill(20, "1.5", "0.13"))
    dispatcher.publish(closed(funding="-0.50"))
    assert summary.totals.funding == D("-0.50")
    assert summary.ledger_difference(closing("400", "401.12", "-0.25")) == 0


def test_a_day_in_candles_signals_refusals_and_trades(
    dispatcher: Dispatcher, summary: Summary, tmp_path: Path
) -> None:
    for at, (verdict, gate) in enumerate(
        [("no entry", "trend")] * 5
        + [("no entry", "confirm")] * 2
        + [("LONG refused", "cooldown"), ("SHORT refused", "spread"), ("LONG refused", "spread")]
        + [("LONG approved", "")]
    ):
        dispatcher.publish(
            CandleEvaluated("XRP/USDT:USDT", "s", "1m", at, 2.0, verdict, gate, "", at)
        )
    text = summary.render(closing("400", "400"), AUDIT, "paper")
    assert "candles     11 evaluated" in text
    assert "no signal   trend 5, confirm 2" in text
    assert "signals     4: " in text
    assert "refused     spread 2, cooldown 1" in text
    summary.write_json(tmp_path / "run.json", closing("400", "400"), AUDIT, "paper")
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["signals"] == 4
    assert record["refusals"] == {"cooldown": 1, "spread": 2}
    assert record["gates"] == {"confirm": 2, "cooldown": 1, "spread": 2, "trend": 5}


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
