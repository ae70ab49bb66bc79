"""Takes up orders and positions that the exchange has and we have no record of (floor 3).

After the loss of the database our own orders are recognised by their client ids, so that stops
already in place are used and not doubled.
"""

from collections.abc import Callable, Sequence

from core.domain.account import ExchangePosition
from core.domain.enums import (
    Direction,
    OrderKind,
    Purpose,
    Side,
    WorkingType,
)
from core.domain.instrument import Instrument
from core.domain.intent import OrderIntent
from core.domain.money import ZERO, to_wire
from core.domain.order import OrderRecord
from core.domain.position import OrderSnapshot, Trade
from core.ids import child_intent_id, parse_client_id
from core.oms.rules import OmsRules
from core.oms.state import SymbolState
from core.oms.stop_level import FOUND


def adopt_position(
    row: ExchangePosition, instrument: Instrument, rules: OmsRules, now_ms: int
) -> SymbolState:
    """An episode for a position found on the exchange, protected by the default plan.

    Its identity depends on the position, so that it is the same after another restart.
    """
    identity = f"{row.symbol}|{row.update_ms}|{to_wire(row.quantity)}"
    trade = Trade(
        trade_id=child_intent_id(identity, Purpose.FOREIGN, 0, 0),
        symbol=row.symbol,
        strategy="adopted",
        direction=Direction.LONG if row.quantity > ZERO else Direction.SHORT,
        plan=rules.default_plan,
        leverage=rules.leverage,
        planned_quantity=abs(row.quantity),
        reference_price=row.entry_price,
        why="found on the exchange without a record here",
        created_ms=now_ms,
        opened_ms=now_ms,
    )
    return SymbolState(trade=trade, instrument=instrument, adjustment=row.quantity)


def made_of_ours(
    row: ExchangePosition, orders: Sequence[OrderSnapshot], is_ours: Callable[[str], bool]
) -> bool:
    """True when every order that built the position, counted back from the newest, is ours.

    `orders` oldest first. A history that does not reach back to flat proves nothing.
    """
    net = ZERO
    for order in reversed(orders):
        if not order.executed:
            continue
        signed = order.executed * order.side.sign
        if signed * row.quantity > ZERO and not is_ours(order.client_id):
            return False
        net += signed
        if net == row.quantity:
            return True
    return False


def adopt_order(row: OrderSnapshot, trade: Trade) -> OrderRecord | None:
    """A record for an order of ours found on the exchange; None when its id is not ours."""
    parts = parse_client_id(row.client_id)
    if parts is None:
        return None
    intent = OrderIntent(
        intent_id=f"found-{row.client_id}",
        trade_id=trade.trade_id,
        symbol=row.symbol,
        side=Side(row.side),
        kind=OrderKind(row.kind),
        quantity=row.quantity,
        purpose=parts.purpose,
        created_ms=row.update_ms,
        price=row.price or None,
        trigger_price=row.trigger_price or None,
        working_type=WorkingType.MARK_PRICE if row.conditional else None,
        reduce_only=row.reduce_only,
        strategy=parts.strategy,
        level=parts.level,
        note=FOUND,
    )
    return OrderRecord(
        intent=intent,
        client_id=row.client_id,
        attempt=parts.attempt,
        status=row.status,
        order_id=row.order_id,
        algo_id=row.algo_id,
        executed=row.executed,
        sent_ms=row.update_ms,
        accepted_ms=row.update_ms,
        updated_ms=row.update_ms,
    )
