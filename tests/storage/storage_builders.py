"""Domain objects for the storage tests."""

from decimal import Decimal

from core.domain.enums import (
    Direction,
    OrderKind,
    OrderStatus,
    Purpose,
    Side,
    TimeInForce,
    WorkingType,
)
from core.domain.intent import OrderIntent, ProtectionPlan, TakeProfitRatio
from core.domain.order import OrderRecord
from core.domain.position import Fill, Trade

SYMBOL = "XRP/USDC:USDC"
PLAN = ProtectionPlan(Decimal("0.008"), (TakeProfitRatio(Decimal("0.012"), Decimal("1")),))


def trade(trade_id: str = "e1") -> Trade:
    return Trade(
        trade_id=trade_id,
        symbol=SYMBOL,
        strategy="scalping_v1",
        direction=Direction.LONG,
        plan=PLAN,
        leverage=5,
        planned_quantity=Decimal("100.0"),
        reference_price=Decimal("0.51230"),
        why="EMA über 50 ✓",
        created_ms=1_700_000_000_000,
        risk=Decimal("3.000"),
    )


def intent(
    intent_id: str = "e1", trade_id: str = "e1", purpose: Purpose = Purpose.ENTRY
) -> OrderIntent:
    stop = purpose is Purpose.STOP
    return OrderIntent(
        intent_id=intent_id,
        trade_id=trade_id,
        symbol=SYMBOL,
        side=Side.SELL if stop else Side.BUY,
        kind=OrderKind.STOP_MARKET if stop else OrderKind.LIMIT,
        quantity=Decimal("100"),
        purpose=purpose,
        created_ms=1_700_000_000_001,
        price=None if stop else Decimal("0.5123"),
        trigger_price=Decimal("0.5082") if stop else None,
        working_type=WorkingType.MARK_PRICE if stop else None,
        time_in_force=None if stop else TimeInForce.IOC,
        reduce_only=stop,
        strategy="scalping_v1",
        note="first",
    )


def order(of: OrderIntent, attempt: int = 0) -> OrderRecord:
    return OrderRecord(
        intent=of,
        client_id=f"ucb-bot1-scv1-{of.purpose.value}0-{of.intent_id}-{attempt}",
        attempt=attempt,
        status=OrderStatus.SENT,
        sent_ms=1_700_000_000_002,
    )


def fill(trade_id: int = 7, quantity: str = "40") -> Fill:
    return Fill(
        symbol=SYMBOL,
        trade_id=trade_id,
        order_id=99,
        client_id="ucb-bot1-scv1-en0-e1-0",
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal("0.51229"),
        commission=Decimal("0.0000001"),
        commission_asset="USDC",
        realized_pnl=Decimal(0),
        maker=False,
        time_ms=1_700_000_000_100,
    )
