"""Closed trades for the tests of analytics and reports."""

from collections.abc import Iterable
from decimal import Decimal

from core.domain.enums import Direction, ExitReason
from core.domain.intent import ProtectionPlan, TakeProfitRatio
from core.domain.position import Trade
from core.kernel.chance import Chance

START_MS = 1_750_032_000_000  # 2025-06-16 00:00 UTC
HOUR_MS = 3_600_000
PLAN = ProtectionPlan(Decimal("0.008"), (TakeProfitRatio(Decimal("0.012"), Decimal(1)),))


def closed(
    net: str,
    *,
    at_ms: int = START_MS + HOUR_MS,
    number: int = 1,
    symbol: str = "XRP/USDC:USDC",
    reason: ExitReason = ExitReason.TAKE_PROFIT,
    risk: str = "3",
    fees: str = "0",
    funding: str = "0",
    held_ms: int = 30 * 60_000,
    strategy: str = "scalping_v1",
) -> Trade:
    """A trade whose net result is `net`, closed at `at_ms`."""
    return Trade(
        trade_id=f"e{number}",
        symbol=symbol,
        strategy=strategy,
        direction=Direction.LONG if number % 3 else Direction.SHORT,
        plan=PLAN,
        leverage=5,
        planned_quantity=Decimal(100),
        reference_price=Decimal("2.1"),
        why="test",
        created_ms=at_ms - held_ms,
        risk=Decimal(risk),
        entry_quantity=Decimal(100),
        entry_notional=Decimal("210.5"),
        exit_quantity=Decimal(100),
        exit_notional=Decimal("212.25"),
        realized=Decimal(net) + Decimal(fees) - Decimal(funding),
        fees=Decimal(fees),
        funding=Decimal(funding),
        opened_ms=at_ms - held_ms,
        closed_ms=at_ms,
        exit_reason=reason,
    )


def many(count: int, seed: int = 7, step_ms: int = HOUR_MS) -> list[Trade]:
    """A plausible history: stops near -1 R, targets up to 2 R, eight symbols."""
    chance = Chance(seed).stream("trades")
    names = ("BTC", "ETH", "XRP", "SOL", "DOGE", "ADA", "BNB", "LINK")

    def trades() -> Iterable[Trade]:
        for number in range(count):
            won = chance.random() < 0.56
            multiple = chance.uniform(0.3, 1.9) if won else chance.uniform(-1.15, -0.5)
            timed_out = chance.random() < 0.12
            reason = ExitReason.TAKE_PROFIT if won else ExitReason.STOP_LOSS
            yield closed(
                f"{multiple * (0.4 if timed_out else 1) * 3:.6f}",
                at_ms=START_MS + (number + 1) * step_ms + chance.randrange(step_ms // 2),
                number=number,
                symbol=f"{names[chance.randrange(len(names))]}/USDC:USDC",
                reason=ExitReason.MAX_HOLD if timed_out else reason,
                fees="0.21",
                funding="-0.01",
                held_ms=chance.randrange(3 * 60_000, 120 * 60_000),
            )

    return list(trades())
