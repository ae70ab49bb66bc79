"""What the daemon has put on disk, read from outside as it grows (floor 2d).

The audit files are the daemon's own word; the observer compares it with the exchange's. Nothing is
asked of the daemon, and a record counts from the moment another process could read it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.symbol_utils import to_binance_symbol

_WORDS = (b'"order.', b'"alert"', b'"reconcile.repair"', b'"position.closed"', b'"decision.enter"')
_FOREIGN_ORDER, _FOREIGN_POSITION, _TASK = "foreign-order:", "foreign:", "task:"
_TERMINAL = {
    f"order.{word}" for word in ("filled", "canceled", "rejected", "expired", "absent", "denied")
}
_NO_OUTCOME = ("order.sent", "order.fill")


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """`order.intent`: what an order was to be before it left. Symbol in the exchange's spelling."""

    intent_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal | None
    purpose: str


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """`decision.enter`: one approval. `price` is what the size was reckoned at."""

    symbol: str
    direction: str
    quantity: Decimal
    price: Decimal
    candle_open_ms: int


@dataclass(frozen=True, slots=True)
class Ending:
    """An order that is over by the daemon's word, and what it says it knows that from."""

    status: str
    evidence: str


class AuditFiles:
    """Records of a folder's audit files. `refresh` reads what has come since the last time."""

    def __init__(self) -> None:
        self.intents: dict[str, IntentRecord] = {}
        self.decisions: dict[str, DecisionRecord] = {}
        self.outcomes: dict[str, None] = {}
        self.endings: dict[str, Ending] = {}
        self.news: list[str] = []
        """Client ids whose ending was read and not judged yet."""
        self.entered: dict[str, None] = {}
        """Symbols of entries the daemon knows to be filled, until they are taken out."""
        self.stops: dict[str, dict[str, None]] = {}
        """By symbol, the stops the daemon knows to be accepted and not over."""
        self.told_foreign: list[str] = []
        """Keys and texts of warnings about orders and positions that are not the daemon's."""
        self.failures: list[str] = []
        self.repairs: list[str] = []
        """What reconciles found and mended."""
        self.closed = 0
        """Positions that were closed."""
        self._read: dict[int, int] = {}
        self._last = (0, 0)
        self._taken: dict[str, None] = {}

    def refresh(self, folder: Path) -> None:
        """Read what has been added in `folder`, which may be a copy of the folder before it."""
        try:
            state = (folder / "audit.jsonl").stat()
        except FileNotFoundError:
            return
        if (state.st_ino, state.st_size) == self._last:
            return
        self._last = (state.st_ino, state.st_size)
        for path in sorted(folder.glob("audit*.jsonl")):
            with path.open("rb") as file:
                inode = path.stat().st_ino
                file.seek(self._read.get(inode, 0))
                data = file.read()
            complete = data.rfind(b"\n") + 1
            self._read[inode] = self._read.get(inode, 0) + complete
            for line in data[:complete].splitlines():
                if any(word in line for word in _WORDS):
                    record = json.loads(line)
                    if record["hash"] not in self._taken:
                        self._taken[record["hash"]] = None
                        self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        action = str(record["action"])
        if action == "order.intent":
            self.intents[record["client_id"]] = _intent(record)
        elif action.startswith("order."):
            self._take_order(action, record)
        elif action == "decision.enter":
            self.decisions[record["intent_id"]] = _decision(record)
        elif action == "reconcile.repair":
            self.repairs.append(str(record["detail"]))
        elif action == "position.closed":
            self.closed += 1
        elif action == "alert":
            self._take_alert(str(record.get("key", "")), str(record["text"]))

    def _take_order(self, action: str, record: Mapping[str, Any]) -> None:
        client_id = record.get("client_id")
        if client_id is None:
            return
        symbol = to_binance_symbol(record["symbol"])
        if action == "order.fill" and record["purpose"] == "entry":
            self.entered[symbol] = None
        if action == "order.live" and record["purpose"] == "stop":
            self.stops.setdefault(symbol, {})[client_id] = None
        if action not in _NO_OUTCOME:
            self.outcomes[client_id] = None
        if action in _TERMINAL:
            self.stops.get(symbol, {}).pop(client_id, None)
            status = action.removeprefix("order.")
            self.endings[client_id] = Ending(status, str(record.get("evidence", "")))
            self.news.append(client_id)

    def _take_alert(self, key: str, text: str) -> None:
        if key.startswith(_TASK):
            self.failures.append(text)
        elif key.startswith((_FOREIGN_ORDER, _FOREIGN_POSITION)):
            self.told_foreign.append(f"{key} {text} ")


def _intent(record: Mapping[str, Any]) -> IntentRecord:
    price = record["price"]
    return IntentRecord(
        intent_id=record["intent_id"],
        symbol=to_binance_symbol(record["symbol"]),
        side=record["side"],
        quantity=Decimal(record["quantity"]),
        price=None if price is None else Decimal(price),
        purpose=record["purpose"],
    )


def _decision(record: Mapping[str, Any]) -> DecisionRecord:
    return DecisionRecord(
        symbol=to_binance_symbol(record["symbol"]),
        direction=record["side"],
        quantity=Decimal(record["size"]),
        price=Decimal(record["sizing"]["price"]),
        candle_open_ms=record["candle_open_ms"],
    )
