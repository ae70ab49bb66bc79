"""Values for the tests of the OMS."""

from decimal import Decimal

from core.domain.enums import (
    ContractStatus,
    Direction,
    OrderKind,
    OrderStatus,
    Purpose,
)
from core.domain.instrument import Instrument
from core.domain.intent import OrderIntent, ProtectionPlan, TakeProfitRatio
from core.domain.order import OrderRecord
from core.domain.position import Trade
from core.oms.state import SymbolState

SYMBOL = "XRP/USDC:USDC"
PLAN = ProtectionPlan(
    stop_ratio=Decimal("0.008"),
    legs=(
        TakeProfitRatio(Decimal("0.006"), Decimal("0.5")),
        TakeProfitRatio(Decimal("0.012"), Decimal("0.3")),
        TakeProfitRatio(Decimal("0.018"), Decimal("0.2")),
    ),
)


def instrument(**changes: Decimal) -> Instrument:
    values: dict[str, Decimal] = {
        "tick": Decimal("0.0001"),
        "min_price": Decimal("0.0001"),
        "max_price": Decimal(100000),
        "step": Decimal("0.1"),
        "min_qty": Decimal("0.1"),
        "max_qty": Decimal(8000000),
        "market_step": Decimal("0.1"),
        "market_min_qty": Decimal("0.1"),
        "market_max_qty": Decimal(1600000),
        "min_notional": Decimal(5),
    }
    values.update(changes)
    return Instrument(
        symbol=SYMBOL,
        wire="XRPUSDC",
        base="XRP",
        quote="USDC",
        settle="USDC",
        status=ContractStatus.TRADING,
        **values,
    )


def state(direction: Direction = Direction.LONG, price: str = "2.0000") -> SymbolState:
    trade = Trade(
        trade_id="t1",
        symbol=SYMBOL,
        strategy="scalping_v1",
        direction=direction,
        plan=PLAN,
        leverage=5,
        planned_quantity=Decimal(100),
        reference_price=Decimal(price),
        why="test",
        created_ms=0,
    )
    return SymbolState(trade=trade, instrument=instrument())


_COUNT = iter(range(10_000_000))


def add(
    symbol: SymbolState,
    purpose: Purpose,
    status: OrderStatus,
    quantity: str,
    *,
    executed: str = "0",
    trigger: str | None = None,
    level: int = 0,
) -> OrderRecord:
    """Put an order into the state as if it had been sent and `status` had come back."""
    direction = symbol.trade.direction
    side = direction.entry_side if purpose is Purpose.ENTRY else direction.exit_side
    kind = {
        Purpose.ENTRY: OrderKind.MARKET,
        Purpose.STOP: OrderKind.STOP_MARKET,
        Purpose.TAKE_PROFIT: OrderKind.TAKE_PROFIT,
        Purpose.FLATTEN: OrderKind.MARKET,
    }[purpose]
    number = next(_COUNT)
    record = OrderRecord(
        intent=OrderIntent(
            intent_id=f"i{number}",
            trade_id=symbol.trade.trade_id,
            symbol=symbol.symbol,
            side=side,
            kind=kind,
            quantity=Decimal(quantity),
            purpose=purpose,
            created_ms=0,
            trigger_price=Decimal(trigger) if trigger is not None else None,
            reduce_only=purpose is not Purpose.ENTRY,
            level=level,
        ),
        client_id=f"c{number}",
        attempt=0,
        status=status,
        executed=Decimal(executed),
        booked=Decimal(executed),
    )
    symbol.orders[record.client_id] = record
    return record


def opened(direction: Direction = Direction.LONG, quantity: str = "100") -> SymbolState:
    """A filled entry without any protection yet."""
    made = state(direction)
    add(made, Purpose.ENTRY, OrderStatus.FILLED, quantity, executed=quantity)
    return made
