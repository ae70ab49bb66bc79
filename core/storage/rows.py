"""Domain objects as table rows and back (floor 2b). Decimals are exact text both ways."""

import json
from decimal import Decimal
from functools import lru_cache

from core.domain.enums import (
    Direction,
    ExitReason,
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
from core.storage.database import Param, Row, Statement

INTENT = (
    "intent_id",
    "trade_id",
    "symbol",
    "side",
    "kind",
    "quantity",
    "purpose",
    "created_ms",
    "price",
    "trigger_price",
    "working_type",
    "time_in_force",
    "reduce_only",
    "strategy",
    "level",
    "note",
)
ORDER = (
    "client_id",
    "intent_id",
    "attempt",
    "status",
    "order_id",
    "algo_id",
    "executed",
    "booked",
    "average_price",
    "sent_ms",
    "accepted_ms",
    "updated_ms",
    "reject_code",
    "reject_text",
    "cancel_requested",
)
FILL = (
    "symbol",
    "exchange_trade_id",
    "trade_id",
    "order_id",
    "client_id",
    "side",
    "quantity",
    "price",
    "commission",
    "commission_asset",
    "realized_pnl",
    "maker",
    "time_ms",
)
TRADE = (
    "trade_id",
    "symbol",
    "strategy",
    "direction",
    "plan",
    "leverage",
    "planned_quantity",
    "reference_price",
    "why",
    "created_ms",
    "risk",
    "risk_pct",
    "quantity",
    "entry_quantity",
    "entry_notional",
    "exit_quantity",
    "exit_notional",
    "realized",
    "fees",
    "funding",
    "opened_ms",
    "unprotected_ms",
    "closed_ms",
    "exit_reason",
)
_CLOSING = ("closed_ms", "exit_reason")


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - constants


def _sets(columns: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in columns)


_ADD_INTENT = f"{_insert('intents', INTENT)} ON CONFLICT DO NOTHING"
_PUT_ORDER = f"{_insert('orders', ORDER)} ON CONFLICT (client_id) DO UPDATE SET {_sets(ORDER[1:])}"
_ADD_FILL = f"{_insert('fills', FILL)} ON CONFLICT DO NOTHING"
_ADD_TRADE = f"{_insert('trades', TRADE)} ON CONFLICT DO NOTHING"
# Only `close_trade` says that an episode is over, and nothing says that it is open again.
_PUT_TRADE = (
    f"{_insert('trades', TRADE)} ON CONFLICT (trade_id) DO UPDATE SET "
    f"{_sets(tuple(name for name in TRADE[1:] if name not in _CLOSING))}"
)
_CLOSE_TRADE = (
    f"{_insert('trades', TRADE)} ON CONFLICT (trade_id) DO UPDATE SET {_sets(TRADE[1:])} "
    "WHERE trades.closed_ms = 0"
)


def add_intent(intent: OrderIntent) -> Statement:
    """Insert unless it is there: an intent never changes."""
    return _ADD_INTENT, (
        intent.intent_id,
        intent.trade_id,
        intent.symbol,
        intent.side,
        intent.kind,
        text(intent.quantity),
        intent.purpose,
        intent.created_ms,
        _maybe(intent.price),
        _maybe(intent.trigger_price),
        intent.working_type,
        intent.time_in_force,
        int(intent.reduce_only),
        intent.strategy,
        intent.level,
        clean(intent.note),
    )


def put_order(record: OrderRecord) -> Statement:
    """Insert or replace the state of one attempt."""
    return _PUT_ORDER, (
        record.client_id,
        record.intent.intent_id,
        record.attempt,
        record.status,
        record.order_id,
        record.algo_id,
        text(record.executed),
        text(record.booked),
        text(record.average_price),
        record.sent_ms,
        record.accepted_ms,
        record.updated_ms,
        record.reject_code,
        clean(record.reject_text),
        int(record.cancel_requested),
    )


def add_fill(fill: Fill, trade_id: str) -> Statement:
    """Insert unless this execution is booked already (INV-09)."""
    return _ADD_FILL, (
        fill.symbol,
        fill.trade_id,
        trade_id,
        fill.order_id,
        fill.client_id,
        fill.side,
        text(fill.quantity),
        text(fill.price),
        text(fill.commission),
        fill.commission_asset,
        text(fill.realized_pnl),
        int(fill.maker),
        fill.time_ms,
    )


def add_trade(trade: Trade) -> Statement:
    """Insert unless it is there."""
    return _ADD_TRADE, _trade(trade, 0, None)


def put_trade(trade: Trade) -> Statement:
    """Insert or update the book; whether the episode is closed stays as it is."""
    return _PUT_TRADE, _trade(trade, 0, None)


def close_trade(trade: Trade, reason: ExitReason) -> Statement:
    """Book and mark as closed; changes no row when it was closed before."""
    return _CLOSE_TRADE, _trade(trade, max(trade.closed_ms, 1), reason)


def _trade(trade: Trade, closed_ms: int, reason: ExitReason | None) -> tuple[Param, ...]:
    return (
        trade.trade_id,
        trade.symbol,
        trade.strategy,
        trade.direction,
        _plan_text(trade.plan),
        trade.leverage,
        text(trade.planned_quantity),
        text(trade.reference_price),
        clean(trade.why),
        trade.created_ms,
        text(trade.risk),
        text(trade.risk_pct),
        text(trade.quantity),
        text(trade.entry_quantity),
        text(trade.entry_notional),
        text(trade.exit_quantity),
        text(trade.exit_notional),
        text(trade.realized),
        text(trade.fees),
        text(trade.funding),
        trade.opened_ms,
        trade.unprotected_ms,
        closed_ms,
        reason,
    )


def text(value: Decimal) -> str:
    """Exact decimal text without exponent."""
    return format(value, "f")


def clean(words: str) -> str:
    """Free text, perhaps from outside, without what UTF-8 cannot carry."""
    return words.encode("utf-8", "replace").decode()


def _maybe(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


@lru_cache(maxsize=64)
def _plan_text(plan: ProtectionPlan) -> str:
    legs = [[text(leg.ratio), text(leg.share)] for leg in plan.legs]
    return json.dumps({"stop_ratio": text(plan.stop_ratio), "legs": legs})


class Reader:
    """One row with its columns by name; turns text back into what it stood for."""

    def __init__(self, columns: tuple[str, ...], row: Row) -> None:
        self._values = dict(zip(columns, row, strict=True))

    def text(self, name: str) -> str:
        return str(self._values[name])

    def maybe_text(self, name: str) -> str | None:
        value = self._values[name]
        return None if value is None else str(value)

    def whole(self, name: str) -> int:
        return int(self._values[name] or 0)

    def real(self, name: str) -> float:
        return float(self._values[name] or 0.0)

    def flag(self, name: str) -> bool:
        return bool(self._values[name])

    def money(self, name: str) -> Decimal:
        return Decimal(self.text(name))

    def maybe_money(self, name: str) -> Decimal | None:
        value = self._values[name]
        return None if value is None else Decimal(str(value))


def read_intent(row: Row) -> OrderIntent:
    r = Reader(INTENT, row)
    working, force = r.maybe_text("working_type"), r.maybe_text("time_in_force")
    return OrderIntent(
        intent_id=r.text("intent_id"),
        trade_id=r.text("trade_id"),
        symbol=r.text("symbol"),
        side=Side(r.text("side")),
        kind=OrderKind(r.text("kind")),
        quantity=r.money("quantity"),
        purpose=Purpose(r.text("purpose")),
        created_ms=r.whole("created_ms"),
        price=r.maybe_money("price"),
        trigger_price=r.maybe_money("trigger_price"),
        working_type=WorkingType(working) if working else None,
        time_in_force=TimeInForce(force) if force else None,
        reduce_only=r.flag("reduce_only"),
        strategy=r.text("strategy"),
        level=r.whole("level"),
        note=r.text("note"),
    )


def read_order(row: Row, intents: dict[str, OrderIntent]) -> OrderRecord:
    r = Reader(ORDER, row)
    return OrderRecord(
        intent=intents[r.text("intent_id")],
        client_id=r.text("client_id"),
        attempt=r.whole("attempt"),
        status=OrderStatus(r.text("status")),
        order_id=r.whole("order_id"),
        algo_id=r.whole("algo_id"),
        executed=r.money("executed"),
        booked=r.money("booked"),
        average_price=r.money("average_price"),
        sent_ms=r.whole("sent_ms"),
        accepted_ms=r.whole("accepted_ms"),
        updated_ms=r.whole("updated_ms"),
        reject_code=r.whole("reject_code"),
        reject_text=r.text("reject_text"),
        cancel_requested=r.flag("cancel_requested"),
    )


def read_fill(row: Row) -> Fill:
    r = Reader(FILL, row)
    return Fill(
        symbol=r.text("symbol"),
        trade_id=r.whole("exchange_trade_id"),
        order_id=r.whole("order_id"),
        client_id=r.text("client_id"),
        side=Side(r.text("side")),
        quantity=r.money("quantity"),
        price=r.money("price"),
        commission=r.money("commission"),
        commission_asset=r.text("commission_asset"),
        realized_pnl=r.money("realized_pnl"),
        maker=r.flag("maker"),
        time_ms=r.whole("time_ms"),
    )


def read_trade(row: Row) -> Trade:
    r = Reader(TRADE, row)
    plan = json.loads(r.text("plan"))
    reason = r.maybe_text("exit_reason")
    return Trade(
        trade_id=r.text("trade_id"),
        symbol=r.text("symbol"),
        strategy=r.text("strategy"),
        direction=Direction(r.text("direction")),
        plan=ProtectionPlan(
            Decimal(plan["stop_ratio"]),
            tuple(TakeProfitRatio(Decimal(a), Decimal(b)) for a, b in plan["legs"]),
        ),
        leverage=r.whole("leverage"),
        planned_quantity=r.money("planned_quantity"),
        reference_price=r.money("reference_price"),
        why=r.text("why"),
        created_ms=r.whole("created_ms"),
        risk=r.money("risk"),
        risk_pct=r.money("risk_pct"),
        quantity=r.money("quantity"),
        entry_quantity=r.money("entry_quantity"),
        entry_notional=r.money("entry_notional"),
        exit_quantity=r.money("exit_quantity"),
        exit_notional=r.money("exit_notional"),
        realized=r.money("realized"),
        fees=r.money("fees"),
        funding=r.money("funding"),
        opened_ms=r.whole("opened_ms"),
        closed_ms=r.whole("closed_ms"),
        exit_reason=ExitReason(reason) if reason else None,
        unprotected_ms=r.real("unprotected_ms"),
    )
