"""A database made anew from the audit log (floor 2b; INV-09, INV-11).

A damaged file is set aside when the daemon starts. What the audit log tells of this venue fills the
new one: episodes, orders, executions, decisions, hourly equity, alerts and commands. What is open
is taken up from there and compared with the exchange before anything else happens. Looks at candles
without a signal, minute equity and the exchange's own order numbers were never audited: they are
gone, and the next reconcile asks for the numbers it needs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from core.domain.enums import (
    Direction,
    ExitReason,
    OrderKind,
    OrderStatus,
    Purpose,
    Side,
    WorkingType,
)
from core.domain.errors import StorageError
from core.domain.intent import OrderIntent, ProtectionPlan, TakeProfitRatio
from core.domain.money import ZERO
from core.domain.order import OrderRecord
from core.domain.position import Fill, Trade
from core.storage import rows
from core.storage.audit_verify import find_segments, verify
from core.storage.database import Database, Param, Statement
from core.storage.recorder import DECISION_ROW, EQUITY_ROW, EVENT_ROW, checkpoint_row

Record = Mapping[str, object]
_NO_PLAN = ProtectionPlan(ZERO, ())
_EVENTS = {
    "alert": ("Alert", ("severity", "key", "text")),
    "operator.command": ("OperatorCommand", ("who", "command")),
    "risk.changed": ("RiskChanged", ("blocked", "reason", "detail")),
    "stream.changed": ("StreamChanged", ("stream", "state", "detail")),
}
_STATES = {f"order.{status.value.lower()}": status for status in OrderStatus}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came back. `records` were read; `broken` says where the audit log itself ends to be
    credible, empty when all of it is."""

    records: int
    trades: int
    open_trades: int
    orders: int
    fills: int
    decisions: int
    broken: str = ""

    @property
    def text(self) -> str:
        words = (
            f"{self.trades} trades ({self.open_trades} open), {self.orders} orders, {self.fills} "
            f"executions and {self.decisions} decisions came back from {self.records} audit records"
        )
        if self.broken:
            words += f"; the audit log is broken after them: {self.broken}"
        return words


async def rebuild(database: Database, audit: Path, venue: str) -> Rebuilt:
    """Fill the empty `database` with what the audit log at `audit` tells of `venue`.

    Raises StorageError when it cannot be written; nothing has changed then.
    """
    try:
        files, whole = find_segments([audit])
    except FileNotFoundError:
        return Rebuilt(0, 0, 0, 0, 0, 0)
    verdict = verify(files, whole=whole)
    history = _History()
    read = 0
    try:
        for record in _records(files, verdict.count):
            if record.get("venue") == venue:
                history.take(record)
                read += 1
        await database.write(history.statements())
    except OSError as error:
        raise StorageError(f"audit log {audit}: {error.strerror}") from error
    bad = verdict.bad
    return Rebuilt(
        records=read,
        trades=len(history.trades),
        open_trades=sum(not trade.closed_ms for trade in history.trades.values()),
        orders=len(history.orders),
        fills=len(history.fills),
        decisions=history.decisions,
        broken="" if bad is None else f"{bad.file} line {bad.line} {bad.fault}",
    )


def _records(files: Sequence[Path], count: int) -> Iterator[Record]:
    """The first `count` records, which were found good."""
    for path in files:
        with path.open("rb") as stream:
            for line in stream:
                if not count:
                    return
                count -= 1
                yield json.loads(line)


class _History:
    """Takes records in their order; `statements` are the rows they amount to."""

    def __init__(self) -> None:
        self.trades: dict[str, Trade] = {}
        self.orders: dict[str, OrderRecord] = {}
        self.fills: dict[tuple[str, int], tuple[Fill, str]] = {}
        self.decisions = 0
        self._observed: list[Statement] = []

    def take(self, record: Record) -> None:
        """A record that lacks what its kind needs (a tool's, an older release's) tells nothing."""
        with suppress(KeyError, ValueError, TypeError, InvalidOperation):
            self._take(record)

    def _take(self, record: Record) -> None:
        action = str(record["action"])
        if action.startswith("decision."):
            self._decision(record, entered=action == "decision.enter")
        elif action == "order.intent":
            self._intent(record)
        elif action == "order.fill":
            self._fill(record)
        elif action in _STATES:
            self._order(record, _STATES[action])
        elif action in ("position.opened", "position.closed"):
            self._position(record, closed=action == "position.closed")
        elif action == "account.equity":
            self._equity(record)
        elif action == "audit.checkpoint":
            row = checkpoint_row(_ms(record), int(str(record["seq"])), str(record["hash"]))
            self._observed.append(row)
        elif action in _EVENTS:
            self._event(record, *_EVENTS[action])

    def statements(self) -> Iterator[Statement]:
        """Rows in the order of their tables' meaning: intents before their orders."""
        for order in self.orders.values():
            yield rows.add_intent(order.intent)
            yield rows.put_order(order)
        for fill, trade_id in self.fills.values():
            yield rows.add_fill(fill, trade_id)
        for trade in self.trades.values():
            if trade.exit_reason is not None:
                yield rows.close_trade(trade, trade.exit_reason)
            else:
                yield rows.put_trade(trade)
        yield from self._observed

    # --- decisions and orders --------------------------------------------------------------------

    def _decision(self, record: Record, *, entered: bool) -> None:
        self.decisions += 1
        detail = {
            "checks": record.get("checks"),
            "sizing": record.get("sizing"),
            "quantity": record.get("size"),
            "reference_price": record.get("reference_price"),
        }
        row: tuple[Param, ...] = (
            _ms(record),
            "approved" if entered else "refused",
            str(record["symbol"]),
            str(record["lens"]),
            int(str(record["candle_open_ms"])),
            str(record["side"]),
            "" if entered else str(record["gate"]),
            str(record["why"]),
            json.dumps(detail, ensure_ascii=False),
        )
        self._observed.append((DECISION_ROW, row))
        if entered:
            self._decided(record)

    def _decided(self, record: Record) -> None:
        trade = self._trade(str(record["intent_id"]), record)
        sizing = record.get("sizing")
        sizing = sizing if isinstance(sizing, dict) else {}
        trade.strategy, trade.why = str(record["lens"]), str(record["why"])
        trade.planned_quantity = _money(record, "size")
        trade.leverage = int(sizing.get("leverage", 1))
        trade.risk = _money(sizing, "risk")
        equity = _money(sizing, "equity")
        trade.risk_pct = trade.risk / equity * 100 if equity else ZERO
        trade.reference_price = _money(record, "reference_price") or _money(sizing, "price")
        plan = record.get("plan")
        if isinstance(plan, dict):
            legs = [TakeProfitRatio(Decimal(a), Decimal(b)) for a, b in plan["legs"]]
            trade.plan = ProtectionPlan(Decimal(plan["stop_ratio"]), tuple(legs))

    def _intent(self, record: Record) -> None:
        working = record.get("working_type")
        intent = OrderIntent(
            intent_id=str(record["intent_id"]),
            trade_id=str(record["trade_id"]),
            symbol=str(record["symbol"]),
            side=Side(str(record["side"])),
            kind=OrderKind(str(record["kind"])),
            quantity=_money(record, "quantity"),
            purpose=Purpose[str(record["purpose"]).upper()],
            created_ms=_ms(record),
            price=_maybe(record, "price"),
            trigger_price=_maybe(record, "trigger_price"),
            working_type=WorkingType(str(working)) if working else None,
            reduce_only=bool(record["reduce_only"]),
            level=int(str(record["level"])),
            note=str(record["note"]),
        )
        order = OrderRecord(intent, str(record["client_id"]), int(str(record["attempt"])))
        self.orders.setdefault(order.client_id, order)

    def _order(self, record: Record, status: OrderStatus) -> None:
        order = self.orders.get(str(record["client_id"]))
        if order is None:  # an order found on the exchange, never ours to send
            return
        order.status = status
        order.executed = _money(record, "executed")
        order.updated_ms = _ms(record)
        if order.status is OrderStatus.SENT:
            order.sent_ms = order.updated_ms
        if order.status.is_resting and not order.accepted_ms:
            order.accepted_ms = order.updated_ms

    def _fill(self, record: Record) -> None:
        fill = Fill(
            symbol=str(record["symbol"]),
            trade_id=int(str(record["exchange_trade_id"])),
            order_id=0,
            client_id=str(record["client_id"]),
            side=Side(str(record["side"])),
            quantity=_money(record, "quantity"),
            price=_money(record, "price"),
            commission=_money(record, "commission"),
            commission_asset=str(record["commission_asset"]),
            realized_pnl=_money(record, "realized_pnl"),
            maker=bool(record["maker"]),
            time_ms=int(str(record.get("time_ms") or _ms(record))),
        )
        key, trade_id = (fill.symbol, fill.trade_id), str(record["trade_id"])
        if key in self.fills:
            return
        self.fills[key] = (fill, trade_id)
        trade = self._trade(trade_id, record)
        if not trade.opened_ms and not trade.entry_quantity and trade.plan is _NO_PLAN:
            entry = str(record["purpose"]) == "entry"
            trade.direction = _direction(fill.side if entry else fill.side.opposite)
        trade.book(fill)
        order = self.orders.get(fill.client_id)
        if order is not None:
            order.booked += fill.quantity

    # --- episodes --------------------------------------------------------------------------------

    def _trade(self, trade_id: str, record: Record) -> Trade:
        if trade_id not in self.trades:
            side = str(record["side"])
            known = side in Direction.__members__
            self.trades[trade_id] = Trade(
                trade_id=trade_id,
                symbol=str(record["symbol"]),
                strategy="adopted",
                direction=Direction(side) if known else Direction.LONG,
                plan=_NO_PLAN,
                leverage=1,
                planned_quantity=_money(record, "quantity"),
                reference_price=_money(record, "price") or _money(record, "entry_price"),
                why="from the audit log",
                created_ms=_ms(record),
            )
        return self.trades[trade_id]

    def _position(self, record: Record, *, closed: bool) -> None:
        trade = self._trade(str(record["trade_id"]), record)
        trade.direction = Direction(str(record["side"]))
        if not closed:
            trade.risk = _money(record, "risk")
            return
        quantity = _money(record, "quantity")
        if trade.entry_quantity != quantity:  # a part of it was never seen as an execution
            trade.entry_quantity = trade.exit_quantity = quantity
            trade.entry_notional = quantity * _money(record, "entry_price")
            trade.exit_notional = quantity * _money(record, "exit_price")
        trade.strategy = str(record.get("strategy") or trade.strategy)
        trade.quantity = ZERO
        trade.realized, trade.fees = _money(record, "gross"), _money(record, "fees")
        trade.funding = _money(record, "funding")
        trade.opened_ms = int(str(record["opened_ms"]))
        trade.closed_ms = int(str(record["closed_ms"]))
        trade.exit_reason = ExitReason(str(record["reason"]))
        trade.unprotected_ms = int(str(record["unprotected_us"])) / 1_000

    # --- observations ----------------------------------------------------------------------------

    def _equity(self, record: Record) -> None:
        words = [str(record[name]) for name in ("coin", "wallet", "unrealized", "available")]
        ends = int(str(record["at_ms"])), int(str(record["positions"]))
        row: tuple[Param, ...] = (ends[0], *words, ends[1])
        self._observed.append((EQUITY_ROW, row))

    def _event(self, record: Record, kind: str, names: tuple[str, ...]) -> None:
        at_ms = _ms(record)
        detail = {**{name: record[name] for name in names}, "at_ms": at_ms}
        self._observed.append((EVENT_ROW, (at_ms, kind, "", json.dumps(detail))))


def _direction(entry_side: Side) -> Direction:
    return Direction.LONG if entry_side is Side.BUY else Direction.SHORT


def _ms(record: Record) -> int:
    return int(datetime.fromisoformat(str(record["ts"])).timestamp() * 1_000)


def _maybe(record: Record, name: str) -> Decimal | None:
    value = record.get(name)
    return None if value is None else Decimal(str(value))


def _money(record: Record, name: str) -> Decimal:
    return _maybe(record, name) or ZERO
