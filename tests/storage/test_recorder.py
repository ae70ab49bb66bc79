"""Facts become rows that answer the operator's questions."""

import json
from decimal import Decimal

import msgspec
import pytest
from storage_builders import PLAN, SYMBOL, fill, intent, trade

from core.domain import facts
from core.domain.enums import Direction, ExitReason, Severity, StreamState
from core.domain.intent import ApprovedEntry, CheckVerdict, Refusal, SizingResult
from core.kernel.dispatcher import Dispatcher
from core.storage import queries
from core.storage.database import Database
from core.storage.journal import Journal
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue

T0 = 1_700_000_000_000
ADA = "ADA/USDC:USDC"
ALL = (0, 1 << 62)
CHECKS = (CheckVerdict("spread", False, {"spread": "0.0012", "limit": "0.001"}),)
SIZING = SizingResult(
    equity=Decimal("400"),
    risk=Decimal("3"),
    stop_ratio=Decimal("0.008"),
    cost_ratio=Decimal("0.001"),
    notional=Decimal("333.3"),
    margin=Decimal("66.7"),
    leverage=5,
    quantity=Decimal("650"),
    price=Decimal("0.5123"),
    limited_by="risk",
)
APPROVED = ApprovedEntry(
    intent_id="e1",
    symbol=SYMBOL,
    direction=Direction.LONG,
    quantity=Decimal("650"),
    reference_price=Decimal("0.5123"),
    leverage=5,
    plan=PLAN,
    sizing=SIZING,
    strategy="scalping_v1",
    why="EMA cross",
    candle_open_ms=T0,
    decided_ms=T0 + 900_000,
    checks=CHECKS,
)
REFUSED = Refusal(
    SYMBOL, Direction.SHORT, "scalping_v1", "EMA cross", "spread", T0, T0 + 900_100, CHECKS
)


@pytest.fixture
def dispatcher(queue: WriteQueue) -> Dispatcher:
    def fail(name: str, error: BaseException) -> None:
        raise AssertionError(name) from error

    made = Dispatcher(fail)
    FactRecorder(queue).attach(made)
    return made


def candle(
    gate: str = "no_signal", symbol: str = SYMBOL, number: int = 0, at: int = 0
) -> facts.CandleEvaluated:
    return facts.CandleEvaluated(
        symbol=symbol,
        strategy="scalping_v1",
        timeframe="15m",
        candle_open_ms=T0 + number * 900_000,
        close=0.5123,
        verdict="no entry",
        gate=gate,
        detail=f"ATR 0.2 % under 0.3 % ({at})",
        at_ms=T0 + number * 900_000 + at,
    )


async def test_a_candle_is_one_row_per_gate_however_often_it_is_looked_at(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    for at in range(3):
        dispatcher.publish(candle(at=at))
    await queue.settle()
    dispatcher.publish(candle(at=3))
    dispatcher.publish(candle(gate="spread", at=4))
    dispatcher.publish(candle(gate="", at=5))
    await queue.settle()
    found = await queries.decisions(database, *ALL, symbol=SYMBOL)
    assert [(d.gate, d.looks, d.at_ms - T0) for d in found] == [
        ("spread", 1, 4),
        ("no_signal", 4, 3),
    ]
    assert found[1].detail == "ATR 0.2 % under 0.3 % (3)"
    assert (found[1].verdict, found[1].direction, found[1].timeframe) == ("passed", None, "15m")


async def test_entries_taken_and_refused_keep_checks_and_sizing(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    dispatcher.publish(facts.EntryApproved(APPROVED))
    dispatcher.publish(facts.EntryRefused(REFUSED))
    await queue.settle()
    refused, approved = await queries.decisions(database, *ALL)
    assert (refused.verdict, refused.gate, refused.direction) == ("refused", "spread", "SHORT")
    assert (approved.verdict, approved.gate, approved.why) == ("approved", "", "EMA cross")
    detail = json.loads(approved.detail)
    assert detail["sizing"]["risk"] == "3"
    assert detail["checks"][0]["numbers"] == {"spread": "0.0012", "limit": "0.001"}
    assert [d.verdict for d in await queries.decisions(database, *ALL, verdict="refused")] == [
        "refused"
    ]


async def test_why_asks_for_a_symbol_and_a_window(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    for number in range(4):
        dispatcher.publish(candle(number=number))
    dispatcher.publish(candle(symbol=ADA))
    await queue.settle()
    window = (T0 + 900_000, T0 + 3 * 900_000)
    found = await queries.decisions(database, *window, symbol=SYMBOL)
    assert [d.candle_open_ms for d in found] == [T0 + 2 * 900_000, T0 + 900_000]
    assert len(await queries.decisions(database, *ALL, limit=2)) == 2


async def test_gates_are_counted_by_candle(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    for number in range(4):
        dispatcher.publish(candle(number=number))
        dispatcher.publish(candle(number=number, at=1))
    dispatcher.publish(candle(gate="warmup", symbol=ADA))
    dispatcher.publish(facts.EntryApproved(APPROVED))
    dispatcher.publish(facts.EntryRefused(REFUSED))
    await queue.settle()
    counts = await queries.gate_counts(database, *ALL)
    assert [(c.symbol, c.gate, c.candles) for c in counts] == [
        (SYMBOL, "no_signal", 4),
        (ADA, "warmup", 1),
        (SYMBOL, "spread", 1),
    ]
    assert len(await queries.gate_counts(database, *ALL, symbol=ADA)) == 1


async def test_events_hold_the_fact(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    dispatcher.publish(facts.StreamChanged("user", StreamState.LIVE, "connected", T0))
    dispatcher.publish(facts.Alert(Severity.CRITICAL, "naked", "kein Stop: müde \ud800", T0 + 1))
    dispatcher.publish(facts.ReconcileDone("timer", 2, 1, (), 8.5, T0 + 2))
    dispatcher.publish(facts.ReconcileDone("timer", 2, 1, ("stop replaced",), 8.5, T0 + 3))
    await queue.settle()
    found = await queries.events(database, *ALL)
    assert [e.kind for e in found] == ["ReconcileDone", "Alert", "StreamChanged"]
    assert json.loads(found[1].detail)["text"] == "kein Stop: müde ?"
    assert [e.at_ms for e in await queries.events(database, *ALL, kind="Alert")] == [T0 + 1]


async def test_every_daemon_fact_can_be_published(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    """A handler that cannot cope with its fact would raise here."""
    special = {"approved": APPROVED, "refusal": REFUSED, "ladder": ((Decimal(1), Decimal(1)),)}
    words = {"direction": Direction.LONG, "reason": ExitReason.STOP_LOSS, "repairs": ("x",)}
    for kind in facts.DaemonFact.__args__:
        fields = msgspec.structs.fields(kind)
        values = {
            f.name: special.get(f.name, words.get(f.name, "x" if f.type is str else 1))
            for f in fields
        }
        dispatcher.publish(kind(**values))
    await queue.settle()
    assert queue.dropped == 0
    kinds = {e.kind for e in await queries.events(database, *ALL)}
    assert {"Alert", "TradeClosed", "PositionOpened", "ReconcileDone", "OrderChanged"} <= kinds


async def test_secrets_do_not_reach_the_database(
    dispatcher: Dispatcher, queue: WriteQueue, database: Database
) -> None:
    text = "POST /fapi/v1/order?symbol=X&signature=" + "ab" * 32
    dispatcher.publish(facts.Alert(Severity.WARNING, "k", text, T0))
    await queue.settle()
    (event,) = await queries.events(database, *ALL)
    assert "abab" not in event.detail
    assert "symbol=X" in event.detail


async def test_equity_is_exact_and_one_row_per_moment(
    queue: WriteQueue, database: Database
) -> None:
    recorder = FactRecorder(queue)
    for wallet in ("400.10000000", "400.20000000"):
        recorder.note_equity(T0, "USDC", Decimal(wallet), Decimal("-0.1"), Decimal("300"), 2)
    await queue.settle()
    (point,) = await queries.equity_curve(database, *ALL)
    assert str(point.wallet) == "400.20000000"
    assert (point.coin, point.unrealized, point.positions) == ("USDC", Decimal("-0.1"), 2)


async def test_closed_trades_of_a_period(journal: Journal, database: Database) -> None:
    for number, trade_id in enumerate(("a", "b", "c")):
        book = trade(trade_id)
        book.closed_ms = T0 + number
        await journal.record_close(book, ExitReason.STOP_LOSS)
    await journal.record_trade(trade("still open"), intent("x", "still open"))
    found = await queries.closed_trades(database, T0 + 1, T0 + 3)
    assert [t.trade_id for t in found] == ["b", "c"]
    assert found[0].exit_reason is ExitReason.STOP_LOSS


async def test_pruning_keeps_orders_fills_and_trades(
    dispatcher: Dispatcher, queue: WriteQueue, journal: Journal, database: Database
) -> None:
    await journal.record_trade(trade(), intent())
    journal.note_fill(fill(), "e1")
    dispatcher.publish(candle(number=0))
    dispatcher.publish(candle(number=5))
    dispatcher.publish(facts.StreamChanged("user", StreamState.LIVE, "", T0))
    FactRecorder(queue).note_equity(T0, "USDC", Decimal(1), Decimal(0), Decimal(1), 0)
    await queue.settle()
    assert await queries.prune(database, T0 + 1) == 3
    assert len(await queries.decisions(database, *ALL)) == 1
    state = await journal.load()
    assert (len(state.trades), len(state.fills)) == (1, 1)
    assert len(await database.query("SELECT * FROM positions")) == 0  # no entry filled yet
