"""Judges a run from outside (floor 2d): the exchange's own books and the files on disk, nothing of
the daemon's memory.

What it decides, by invariant of docs/invariants.md:

- INV-01: a position lacks an accepted stop for longer than `NAKED_LIMIT_S` of calm time. Time is
  calm while the daemon lives and nothing that hides the position or its stop from it is under way;
  the campaign says when that is (`disturb`).
- INV-02: two orders of one intent live or filled; an entry that fills into a position of another.
- INV-03, INV-12: an order of ours at the exchange without an intent on disk from before it; at the
  end, one without an outcome.
- INV-04: an order that is over by the daemon's word and not by the exchange's, or proven absent
  without two questions.
- INV-05: something to mend, or another position in the database, where nothing has disturbed it.
- INV-06, INV-07, INV-14, INV-15 are judged request by request (`wire_judge`); here, that orders and
  positions of others are told.
- INV-08: the daemon knows of a position without a stop, the exchange can be reached, and nothing is
  tried for longer than `TRY_LIMIT_S`; after a panic, a position stays.
- INV-09, INV-10 are compared at the end by the campaign, which can read the database.
- INV-13: an entry reaches the exchange while the operator's halt or pause stands (`forbid`).
- INV-16: after the faults have ended, `blame` names what does not come back.

A violation is recorded with its virtual time and never stops the run: it may escalate.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from core.domain.enums import Purpose
from core.domain.money import ZERO, to_wire
from core.ids import parse_client_id
from core.simulation.audit_reader import AuditFiles
from core.simulation.calm import NAKED_LIMIT_S, RECONCILE_S, REQUEST_S, Calm

TRY_LIMIT_S = 2 * REQUEST_S + 2.0
"""INV-08: one answer is waited for, the longest pause between two tries is as long again."""
SETTLED_S = RECONCILE_S + REQUEST_S
"""After so long without trouble nothing may be left that a reconcile has to mend."""
TOLD_S = RECONCILE_S + REQUEST_S
"""INV-15: what is not ours is told by the next reconcile."""
_TOLERANCE_S = 1e-6
_PROOFS = 2
"""INV-04: how often the exchange must have denied an order that is called absent."""


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
        """Signed quantities that are not zero and not another's."""
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
    known: float | None = None
    """When the daemon's own files first told of a position without a stop."""
    told: bool = False
    told_untried: bool = False


@dataclass(slots=True)
class _Intent:
    """Orders that reached the exchange for one intent."""

    alive: dict[str, None] = field(default_factory=dict)
    filled: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Stranger:
    """An order or position of somebody else; `word` is what a warning about it contains."""

    word: str
    since: float
    warnings: int
    """How many warnings there were before."""


class Observer:
    """Feed it with `order`, `look` and `read_files`; read `violations`."""

    def __init__(
        self, books: Books, time: Callable[[], float], audit_folder: Callable[[], Path]
    ) -> None:
        self._books = books
        self._time = time
        self._audit_folder = audit_folder
        self.calm = Calm()
        self.reach = Calm()
        """Time in which a request of the daemon's could arrive."""
        self.audit = AuditFiles()
        self.violations: list[Violation] = []
        self.longest_naked_s = 0.0
        """Of calm time, which is what INV-01 is judged by."""
        self.longest_raw_s = 0.0
        """Of all time, excused or not."""
        self.longest_untried_s = 0.0
        self.tried: Mapping[str, float] = {}
        """When a protective or closing request for a symbol last arrived; of the wire's judge."""
        self.asked: Mapping[str, int] = {}
        """How often an order was asked for by its client id; of the wire's judge."""
        self._naked: dict[str, _Naked] = {}
        self._intents: dict[str, _Intent] = {}
        self._holder: dict[str, str] = {}
        self._seen: dict[str, OrderEvent] = {}
        self._told: dict[str, None] = {}
        self._strangers: dict[str, _Stranger] = {}
        self._forbidden_from: float | None = None
        self._blind_until = float("-inf")

    def blame(self, invariant: str, text: str) -> None:
        """Record a violation, each text once."""
        if text not in self._told:
            self._told[text] = None
            self.violations.append(Violation(self._time(), invariant, text))

    def disturb(self, seconds: float, *, reach: bool = True) -> int:
        """From now on, for so long, the daemon cannot know or act as it should. Without `reach` no
        request of it can arrive either."""
        now = self._time()
        if not reach:
            self.reach.disturb(now, now + seconds)
        return self.calm.disturb(now, now + seconds)

    def blind(self, seconds: float) -> None:
        """For so long the exchange itself denies orders that it has."""
        self._blind_until = max(self._blind_until, self._time() + seconds)

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
            self._strange_order(event)
            return
        first = event.client_id not in self._seen
        self._seen[event.client_id] = event
        if first:
            self._check_journal(event.client_id)
            self._check_ending(event)
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

    def _strange_order(self, event: OrderEvent) -> None:
        """INV-15: somebody else's order rests at the exchange, or does not any more."""
        name = f"order {event.client_id}"
        if not event.alive:
            self.stranger_gone(name)
        elif name not in self._strangers:
            self.stranger(name, f" {event.client_id} ")

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

    # --- files -----------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """True when nothing has disturbed the daemon for `SETTLED_S`."""
        now = self._time()
        return self.calm.is_whole(now - SETTLED_S, now)

    def read_files(self) -> None:
        """Take in what the daemon has written since the last time (INV-04, INV-05, INV-15)."""
        known = len(self.audit.repairs)
        self.audit.refresh(self._audit_folder())
        if self.settled:
            for text in self.audit.repairs[known:]:
                self.blame("INV-05", f"a reconcile without trouble before it: {text}")
        for client_id in self.audit.news:
            event = self._seen.get(client_id)
            if event is not None:
                self._check_ending(event)
            self._check_proof(client_id)
        self.audit.news.clear()
        self._check_told()

    def _check_ending(self, event: OrderEvent) -> None:
        """INV-04: over by the daemon's word only when over at the exchange."""
        ending = self.audit.endings.get(event.client_id)
        if ending is None or self._time() < self._blind_until:
            return
        never = ending.status in ("absent", "denied", "rejected") and event.filled
        if event.alive or never or (ending.status == "filled" and not event.filled):
            self.blame(
                "INV-04",
                f"{event.symbol} {event.client_id} is {ending.status} by {ending.evidence!r} and "
                f"{'alive' if event.alive else 'over'} at the exchange, {to_wire(event.filled)} "
                "filled",
            )

    def _check_proof(self, client_id: str) -> None:
        ending = self.audit.endings[client_id]
        if not ending.evidence:
            self.blame("INV-04", f"order {client_id} is {ending.status} without evidence")
        asked = self.asked.get(client_id, 0)
        if ending.status == "absent" and ending.evidence != "answer" and asked < _PROOFS:
            self.blame(
                "INV-04",
                f"order {client_id} is absent by {ending.evidence!r} after {asked} questions",
            )

    def compare(self, booked: Mapping[str, Decimal]) -> None:
        """INV-05 by the database: it holds the positions that the exchange holds."""
        held = self._books.positions()
        for symbol in sorted({*booked, *held}):
            ours, theirs = booked.get(symbol, ZERO), held.get(symbol, ZERO)
            if ours != theirs:
                text = f"{symbol} {to_wire(theirs)} at the exchange, {to_wire(ours)} in the books"
                self.blame("INV-05", text)

    # --- what is not the daemon's (INV-15) -------------------------------------------------------

    def stranger(self, name: str, word: str) -> None:
        """Somebody else's order or position exists from now on; `word` is in its warning."""
        told = len(self.audit.told_foreign)
        self._strangers[name] = _Stranger(word, self._time(), told)

    def stranger_gone(self, name: str) -> None:
        self._strangers.pop(name, None)

    def _check_told(self) -> None:
        now = self._time()
        for name, stranger in list(self._strangers.items()):
            if any(stranger.word in text for text in self.audit.told_foreign[stranger.warnings :]):
                del self._strangers[name]
            elif self.calm.between(stranger.since, now) > TOLD_S:
                del self._strangers[name]
                self.blame("INV-15", f"{name} of somebody else was never told")

    # --- positions -------------------------------------------------------------------------------

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
            self._check_tried(symbol, naked, now)
        for symbol in [symbol for symbol in self._naked if symbol not in positions]:
            self._covered(symbol, now)
        for symbol in [symbol for symbol in self._holder if symbol not in positions]:
            del self._holder[symbol]
        for symbol in [symbol for symbol in self.audit.entered if symbol not in positions]:
            del self.audit.entered[symbol]

    def _covered(self, symbol: str, now: float) -> None:
        naked = self._naked.pop(symbol, None)
        if naked is not None:
            self._measure(naked, now)

    def _measure(self, naked: _Naked, now: float) -> float:
        calm = self.calm.between(naked.since, now)
        self.longest_naked_s = max(self.longest_naked_s, calm)
        self.longest_raw_s = max(self.longest_raw_s, now - naked.since)
        return calm - _TOLERANCE_S

    def _check_tried(self, symbol: str, naked: _Naked, now: float) -> None:
        """INV-08: a known position without a stop is worked on whatever else stands still."""
        if naked.known is None:
            if symbol not in self.audit.entered or self.audit.stops.get(symbol):
                return  # it knows of no position, or believes in a stop
            naked.known = now
        since = max(naked.known, self.tried.get(symbol, naked.known))
        untried = self.reach.between(since, now)
        self.longest_untried_s = max(self.longest_untried_s, untried)
        if untried > TRY_LIMIT_S and not naked.told_untried:
            naked.told_untried = True
            text = f"{symbol} without a stop, nothing was tried since {since:.3f}"
            self.blame("INV-08", text)

    # --- the end ---------------------------------------------------------------------------------

    def finish(self, unanswered: Iterable[str] = ()) -> None:
        """The daemon has stopped: what its files must say (INV-12, INV-16).

        `unanswered` are client ids whose outcome nobody could have recorded (a kill came between).
        """
        self.read_files()
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

    def after_panic(self) -> None:
        """A panic has had its time: no position is left (INV-08)."""
        for symbol, quantity in self._books.positions().items():
            self.blame("INV-08", f"{symbol} {to_wire(quantity)} still held after a panic")

    def money(self, asset: str, wallet: Decimal, told: Decimal) -> None:
        """Wallet change by the exchange against the closed trades' sum in the daemon's database."""
        if wallet - told != ZERO:
            self.blame(
                "INV-10",
                f"wallet changed by {to_wire(wallet)} {asset}, the books say {to_wire(told)}",
            )
