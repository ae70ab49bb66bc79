"""Judges a run from outside (floor 2d): the exchange's own books and the files on disk, nothing of
the daemon's memory.

What it decides, by invariant of docs/invariants.md:

- INV-01: a position lacks an accepted stop for longer than `NAKED_LIMIT_S` of calm time. Time is
  calm while the daemon lives and nothing that hides the position or its stop from it is under way;
  the campaign says when that is (`disturb`).
- INV-02: two orders of one intent live or filled; an entry that fills into a position of another.
- INV-03, INV-12: an order of ours at the exchange without an intent on disk from before it; at the
  end, one without an outcome.
- INV-09, INV-10 are compared at the end by the campaign, which can read the database.
- INV-13: an entry reaches the exchange while the operator's halt or pause stands (`forbid`).
- INV-16: after the faults have ended, `overdue` names what does not come back.

A violation is recorded with its virtual time and never stops the run: it may escalate.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from core.domain.enums import Purpose
from core.domain.money import ZERO, to_wire
from core.ids import parse_client_id

NAKED_LIMIT_S = 2.5
"""2 s from when the fill is known, and what the news may travel."""
_TOLERANCE_S = 1e-6
_WORDS = (b'"order.', b'"alert"', b'"reconcile.repair"', b'"position.closed"')
SETTLED_S = 40.0
"""After so long without trouble nothing may be left that a reconcile, every 30 s, has to mend."""


@dataclass(frozen=True, slots=True)
class Violation:
    """`at` in virtual seconds."""

    at: float
    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.invariant} {self.text}"


class Books(Protocol):
    """The exchange's own books, read at any time. Symbols in the exchange's spelling."""

    def positions(self) -> Mapping[str, Decimal]:
        """Signed quantities that are not zero."""
        ...

    def stop_quantity(self, symbol: str) -> Decimal:
        """Quantity that waiting stop orders on the closing side would close."""
        ...


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """What became of one order at the exchange. `filled` is its executed quantity."""

    client_id: str
    symbol: str
    alive: bool
    filled: Decimal


@dataclass(slots=True)
class _Naked:
    since: float
    told: bool = False


class Calm:
    """Which time counts: everything outside the disturbances."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def disturb(self, start: float, end: float) -> int:
        """A disturbance; the number is for `end`, when its end was not known before."""
        self._spans.append((start, end))
        return len(self._spans) - 1

    def end(self, number: int, at: float) -> None:
        self._spans[number] = (self._spans[number][0], at)

    def between(self, start: float, end: float) -> float:
        """Longest stretch without disturbance within the period: what nothing excuses."""
        longest, at = 0.0, start
        for begin, stop in sorted(self._spans):
            if stop <= at or begin >= end:
                continue
            longest = max(longest, begin - at)
            at = max(at, stop)
        return max(longest, end - at)


class AuditFiles:
    """Intents and outcomes in the audit files of a folder, read as they grow."""

    def __init__(self) -> None:
        self.intents: dict[str, None] = {}
        self.outcomes: dict[str, None] = {}
        self.failures: list[str] = []
        self.repairs: list[str] = []
        """What reconciles found and mended."""
        self.closed = 0
        """Positions that were closed."""
        self._read: dict[int, int] = {}

    def refresh(self, folder: Path) -> None:
        for path in sorted(folder.glob("audit*.jsonl")):
            with path.open("rb") as file:
                inode = path.stat().st_ino
                file.seek(self._read.get(inode, 0))
                data = file.read()
            complete = data.rfind(b"\n") + 1
            self._read[inode] = self._read.get(inode, 0) + complete
            for line in data[:complete].splitlines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        if not any(word in line for word in _WORDS):
            return
        record = json.loads(line)
        action, client_id = record["action"], record.get("client_id")
        if action == "order.intent":
            self.intents[client_id] = None
        elif client_id is not None and action not in ("order.sent", "order.fill"):
            self.outcomes[client_id] = None
        elif action == "reconcile.repair":
            self.repairs.append(str(record["detail"]))
        elif action == "position.closed":
            self.closed += 1
        elif action == "alert" and str(record.get("key", "")).startswith("task:"):
            self.failures.append(str(record["text"]))


@dataclass(slots=True)
class _Intent:
    """Orders that reached the exchange for one intent."""

    alive: dict[str, None] = field(default_factory=dict)
    filled: dict[str, None] = field(default_factory=dict)


class Observer:
    """Feed it with `order` and `look`; read `violations`."""

    def __init__(
        self, books: Books, time: Callable[[], float], audit_folder: Callable[[], Path]
    ) -> None:
        self._books = books
        self._time = time
        self._audit_folder = audit_folder
        self.calm = Calm()
        self.audit = AuditFiles()
        self.violations: list[Violation] = []
        self.longest_naked_s = 0.0
        self._naked: dict[str, _Naked] = {}
        self._intents: dict[str, _Intent] = {}
        self._holder: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._told: dict[str, None] = {}
        self._forbidden_from: float | None = None

    def blame(self, invariant: str, text: str) -> None:
        """Record a violation, each text once."""
        if text not in self._told:
            self._told[text] = None
            self.violations.append(Violation(self._time(), invariant, text))

    def disturb(self, seconds: float) -> int:
        """From now on, for so long, the daemon cannot know or act as it should."""
        now = self._time()
        return self.calm.disturb(now, now + seconds)

    def forbid(self, grace_s: float) -> None:
        """From `grace_s` on (what was sent before may still arrive) no entry is allowed."""
        if self._forbidden_from is None:
            self._forbidden_from = self._time() + grace_s

    def allow(self) -> None:
        """Entries are allowed again."""
        self._forbidden_from = None

    # --- events of the exchange ------------------------------------------------------------------

    def order(self, event: OrderEvent) -> None:
        """One order of the account changed."""
        parts = parse_client_id(event.client_id)
        if parts is None:
            return
        if event.client_id not in self._seen:
            self._seen[event.client_id] = None
            self._check_journal(event.client_id)
            since = self._forbidden_from
            if parts.purpose is Purpose.ENTRY and since is not None and self._time() > since:
                self.blame("INV-13", f"{event.symbol} entry {event.client_id} in spite of a halt")
        key = f"{parts.purpose}{parts.level}-{parts.digest}"
        intent = self._intents.setdefault(key, _Intent())
        if event.alive:
            intent.alive[event.client_id] = None
        else:
            intent.alive.pop(event.client_id, None)
        if event.filled:
            intent.filled[event.client_id] = None
        if len({**intent.alive, **intent.filled}) > 1:
            names = ", ".join({**intent.alive, **intent.filled})
            self.blame("INV-02", f"{event.symbol} one intent, several orders: {names}")
        if parts.purpose is Purpose.ENTRY and event.filled:
            self._check_holder(event.symbol, key)

    def _check_journal(self, client_id: str) -> None:
        if client_id not in self.audit.intents:
            self.audit.refresh(self._audit_folder())
        if client_id not in self.audit.intents:
            self.blame("INV-03", f"order {client_id} is at the exchange without a durable intent")

    def _check_holder(self, symbol: str, key: str) -> None:
        holder = self._holder.setdefault(symbol, key)
        if holder != key and symbol in self._books.positions():
            self.blame("INV-02", f"{symbol} a second entry filled into an open position")
        self._holder[symbol] = key

    @property
    def settled(self) -> bool:
        """True when nothing has disturbed the daemon for `SETTLED_S`."""
        now = self._time()
        return self.calm.between(now - SETTLED_S, now) >= SETTLED_S - _TOLERANCE_S

    def read_files(self) -> None:
        """Take in what the daemon has written. INV-05: nothing to mend where nothing happened."""
        known = len(self.audit.repairs)
        self.audit.refresh(self._audit_folder())
        if self.settled:
            for text in self.audit.repairs[known:]:
                self.blame("INV-05", f"a reconcile without trouble before it: {text}")

    def compare(self, booked: Mapping[str, Decimal]) -> None:
        """INV-05 by the database: it holds the positions that the exchange holds."""
        held = self._books.positions()
        for symbol in sorted({*booked, *held}):
            ours, theirs = booked.get(symbol, ZERO), held.get(symbol, ZERO)
            if ours != theirs:
                text = f"{symbol} {to_wire(theirs)} at the exchange, {to_wire(ours)} in the books"
                self.blame("INV-05", text)

    def look(self) -> None:
        """Compare positions with stops; to be called after every change and now and then."""
        now, positions = self._time(), self._books.positions()
        for symbol, quantity in positions.items():
            if self._books.stop_quantity(symbol) >= abs(quantity):
                self._covered(symbol, now)
                continue
            naked = self._naked.setdefault(symbol, _Naked(now))
            if self._measure(naked, now) > NAKED_LIMIT_S and not naked.told:
                naked.told = True
                text = f"{symbol} {to_wire(quantity)} without a stop since {naked.since:.3f}"
                self.blame("INV-01", text)
        for symbol in [symbol for symbol in self._naked if symbol not in positions]:
            self._covered(symbol, now)
        for symbol in [symbol for symbol in self._holder if symbol not in positions]:
            del self._holder[symbol]

    def _covered(self, symbol: str, now: float) -> None:
        naked = self._naked.pop(symbol, None)
        if naked is not None:
            self._measure(naked, now)

    def _measure(self, naked: _Naked, now: float) -> float:
        calm = self.calm.between(naked.since, now)
        self.longest_naked_s = max(self.longest_naked_s, calm)
        return calm - _TOLERANCE_S

    # --- the end ---------------------------------------------------------------------------------

    def finish(self, unanswered: Iterable[str] = ()) -> None:
        """The daemon has stopped: what its files must say (INV-12, INV-16).

        `unanswered` are client ids whose outcome nobody could have recorded (a kill came between).
        """
        self.audit.refresh(self._audit_folder())
        excused = dict.fromkeys(unanswered)
        for client_id in self._seen:
            if client_id not in self.audit.outcomes and client_id not in excused:
                self.blame("INV-12", f"order {client_id} has no recorded outcome")
        for text in self.audit.failures:
            self.blame("INV-16", text)

    def flat(self, open_orders: Iterable[str]) -> None:
        """The daemon closed everything and stopped: nothing of ours may be left (INV-05)."""
        for symbol, quantity in self._books.positions().items():
            self.blame("INV-05", f"{symbol} {to_wire(quantity)} left after an orderly stop")
        for client_id in open_orders:
            if parse_client_id(client_id) is not None:
                self.blame("INV-05", f"order {client_id} left after an orderly stop")

    def money(self, asset: str, wallet: Decimal, told: Decimal) -> None:
        """Wallet change by the exchange against the closed trades' sum in the daemon's database."""
        if wallet - told != ZERO:
            self.blame(
                "INV-10",
                f"wallet changed by {to_wire(wallet)} {asset}, the books say {to_wire(told)}",
            )
