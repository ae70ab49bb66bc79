"""A database and logs as a daemon leaves them, for tools that only read."""

import asyncio
from decimal import Decimal
from pathlib import Path

from core.domain.enums import Direction, ExitReason, Severity
from core.domain.facts import Alert, CandleEvaluated, EntryRefused
from core.domain.intent import CheckVerdict, ProtectionPlan, Refusal, TakeProfitRatio
from core.domain.position import Trade
from core.kernel.clock import LiveClock
from core.storage.database import open_database
from core.storage.journal import Journal
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue

XRP = "XRP/USDC:USDC"
DAY_MS = 86_400_000
PLAN = ProtectionPlan(Decimal("0.008"), (TakeProfitRatio(Decimal("0.012"), Decimal(1)),))


def paper_env(folder: Path, **more: str) -> Path:
    """Settings of a paper bot in `folder`."""
    settings = {
        "DRY_RUN": "true",
        "QUOTE_COIN": "USDC",
        "DATA_DIR": str(folder / "data"),
        "LOGS_DIR": str(folder / "logs"),
        **more,
    }
    path = folder / "bot.env"
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    path.chmod(0o600)
    return path


def trade(number: int, net: str, closed_ms: int) -> Trade:
    return Trade(
        trade_id=f"e{number}",
        symbol=XRP,
        strategy="scalping_v1",
        direction=Direction.LONG,
        plan=PLAN,
        leverage=5,
        planned_quantity=Decimal(100),
        reference_price=Decimal("2.1"),
        why="test",
        created_ms=closed_ms - 600_000,
        risk=Decimal(3),
        entry_quantity=Decimal(100),
        entry_notional=Decimal(210),
        exit_quantity=Decimal(100),
        exit_notional=Decimal(212),
        realized=Decimal(net),
        opened_ms=closed_ms - 600_000,
        closed_ms=closed_ms,
    )


def record_day(
    folder: Path, nets: list[str], *, ended_ms: int | None = None, critical: bool = False
) -> None:
    """Trades one minute apart up to `ended_ms` (default: now), with two decisions beside them."""

    async def work() -> None:
        clock = LiveClock()
        last_ms = ended_ms or clock.now_ms() - 1_000
        database = await open_database(folder / "data" / "bot.paper.db", inline=True)
        queue = WriteQueue(database, clock, print)
        journal, recorder = Journal(database, queue), FactRecorder(queue)
        for number, net in enumerate(nets):
            made = trade(number, net, last_ms - 60_000 * (len(nets) - number - 1))
            won = made.realized > 0
            await journal.record_trade(made, None)
            reason = ExitReason.TAKE_PROFIT if won else ExitReason.STOP_LOSS
            await journal.record_close(made, reason)
        for looks in range(2):
            recorder.on_candle(
                CandleEvaluated(
                    symbol=XRP,
                    strategy="scalping_v1",
                    timeframe="15m",
                    candle_open_ms=last_ms - 900_000,
                    close=2.1,
                    verdict="no entry",
                    gate="rsi",
                    detail="rsi 55.1 not under 30",
                    at_ms=last_ms - 10 + looks,
                )
            )
        recorder.on_refused(
            EntryRefused(
                Refusal(
                    symbol=XRP,
                    direction=Direction.LONG,
                    strategy="scalping_v1",
                    why="rsi 28.0",
                    gate="spread",
                    candle_open_ms=last_ms - 900_000,
                    decided_ms=last_ms,
                    checks=(
                        CheckVerdict("positions", passed=True),
                        CheckVerdict("spread", passed=False, numbers={"spread": "0.002"}),
                    ),
                )
            )
        )
        if critical:
            recorder.on_event(Alert(Severity.CRITICAL, "k", "something broke", last_ms))
        recorder.note_equity(
            last_ms - DAY_MS // 2, "USDC", Decimal(500), Decimal(0), Decimal(500), 0
        )
        recorder.note_checkpoint(last_ms, 12, "ab" * 32)
        await queue.settle()
        await database.close()

    asyncio.run(work())
