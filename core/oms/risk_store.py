"""Durable memory of the risk guard (floor 3).

One JSON file with a section per venue, so that paper losses never touch production; replaced as a
whole (temporary file, fsync, rename), so a crash leaves the old or the new one. A file that cannot
be read is set aside and every venue is marked as needing a rebuild, on disk at once, so that a
second restart does not forget it.

A halt is a file of its own beside it: its presence alone means halted (INV-13). It survives damage
to the state file, and a tool in another process can set it under a running daemon.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from core.domain.enums import Venue
from core.domain.errors import DataError
from core.domain.money import ZERO
from core.kernel.durable_file import remove_file, replace_file

VERSION = 1


class SymbolExit(msgspec.Struct, frozen=True):
    """When a symbol was last left (UTC ms) and whether by a stop."""

    at_ms: int
    stop: bool


class RiskState(msgspec.Struct):
    """Counters of one venue. Amounts in the quote coin, `day` counts UTC days since 1970.

    `gross_profit` and `gross_loss` (positive) sum the day's net results; `total_*` those of all
    trades. `day_stop` is the reason entries are stopped until the next UTC day, `cleared_ms` when a
    person last cleared a halt.
    """

    day: int = -1
    day_start_equity: Decimal | None = None
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO
    trades: int = 0
    day_stop: str = ""
    sl_streak: int = 0
    cooldown_until_ms: int = 0
    peak_equity: Decimal | None = None
    rebuild: bool = False
    cleared_ms: int = 0
    total_trades: int = 0
    total_wins: int = 0
    total_profit: Decimal = ZERO
    total_loss: Decimal = ZERO
    exits: dict[str, SymbolExit] = {}
    seen: list[str] = []
    """Ids of the trades counted last, oldest first."""

    @property
    def realized(self) -> Decimal:
        """Net result of the day's closed trades, fees and funding included."""
        return self.gross_profit - self.gross_loss


class _File(msgspec.Struct):
    venues: dict[str, RiskState]
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Halt:
    """Why entries are latched off, by whom and since when (UTC ms)."""

    reason: str
    who: str
    at_ms: int


class RiskStore:
    """Reader and writer of one venue's section. Calls block for one fsync; trades are rare.

    Methods raise OSError when the disk refuses. Without a path everything stays in memory.
    """

    def __init__(self, path: Path | None, venue: Venue) -> None:
        self._path = path
        self._venue = venue
        self._halt_in_memory: Halt | None = None

    # --- counters --------------------------------------------------------------------------------

    def load(self, at_ms: int) -> tuple[RiskState, str]:
        """State of the venue and, when the file was unreadable, one line that says so."""
        if self._path is None:
            return RiskState(), ""
        try:
            venues = self._read().venues
        except DataError as error:
            return self._set_aside(error, at_ms)
        return venues.get(self._venue.value, RiskState()), ""

    def save(self, state: RiskState) -> None:
        """Put the venue's section on disk; other sections stay as they are."""
        if self._path is None:
            return
        try:
            venues = self._read().venues
        except DataError:
            # Damaged since it was loaded: ours is known, the others must be rebuilt.
            venues = {venue.value: RiskState(rebuild=True) for venue in Venue}
        venues[self._venue.value] = state
        replace_file(self._path, msgspec.json.format(msgspec.json.encode(_File(venues)), indent=2))

    def _read(self) -> _File:
        """Whole file, empty when there is none. Raises DataError when it cannot be understood."""
        if self._path is None:
            return _File({})
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return _File({})
        try:
            found = msgspec.json.decode(raw, type=_File)
        except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as error:
            raise DataError(f"{self._path}: {error}") from None
        if found.version != VERSION:
            raise DataError(f"{self._path}: version {found.version}, expected {VERSION}")
        if not all(_is_sound(state) for state in found.venues.values()):
            raise DataError(f"{self._path}: an amount or a count is impossible")
        return found

    def _set_aside(self, error: DataError, at_ms: int) -> tuple[RiskState, str]:
        path = self._path
        if path is None:
            raise error
        aside = path.with_name(f"{path.stem}.corrupt-{at_ms}{path.suffix}")
        path.replace(aside)
        state = RiskState(rebuild=True)
        replace_file(
            path,
            msgspec.json.encode(_File({venue.value: RiskState(rebuild=True) for venue in Venue})),
        )
        return state, f"{error}; set aside as {aside.name}"

    # --- halt ------------------------------------------------------------------------------------

    @property
    def _halt_path(self) -> Path | None:
        path = self._path
        return (
            None if path is None else path.with_name(f"{path.stem}.halt-{self._venue.value}.json")
        )

    def halt(self) -> Halt | None:
        """The halt in force; one that cannot be read is still a halt."""
        path = self._halt_path
        if path is None:
            return self._halt_in_memory
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            # A halt that could not be written holds for as long as this process lives.
            return self._halt_in_memory
        except OSError as error:
            return Halt(f"halt file unreadable ({error.strerror})", "unknown", 0)
        try:
            return msgspec.json.decode(raw, type=Halt)
        except (msgspec.DecodeError, ValueError):
            return Halt("halt file unreadable", "unknown", 0)

    def set_halt(self, halt: Halt) -> None:
        """Latch. In force from here on even when the disk refuses (OSError)."""
        self._halt_in_memory = halt
        path = self._halt_path
        if path is not None:
            replace_file(path, msgspec.json.encode(halt))
            self._halt_in_memory = None

    def clear_halt(self) -> None:
        """Forget the halt; still in force when the disk refuses (OSError)."""
        path = self._halt_path
        if path is not None:
            remove_file(path)
        self._halt_in_memory = None


def _is_sound(state: RiskState) -> bool:
    amounts = (state.gross_profit, state.gross_loss, state.total_profit, state.total_loss)
    equities = [e for e in (state.day_start_equity, state.peak_equity) if e is not None]
    counts = (state.trades, state.sl_streak, state.cooldown_until_ms, state.total_trades)
    return (
        all(amount.is_finite() and amount >= 0 for amount in amounts)
        and all(equity.is_finite() for equity in equities)
        and all(count >= 0 for count in counts)
    )
