"""Contract rules change while we trade (floor 3; INV-01, INV-06).

Filters, brackets and status are read again every hour and at once when the exchange refuses an
order by a rule we thought we kept. Until they have been read, and while the same refusal repeats
under unchanged rules, the symbol gets no entry: refused once is information, refused in a loop is
a mistake. Open positions go on with the new rules, and a contract that is leaving is told of and
becomes close-only.
"""

import asyncio
from dataclasses import dataclass

from core.domain.enums import DenyReason, Lane, Purpose, Severity
from core.domain.errors import VenueError
from core.domain.instrument import Instrument
from core.domain.order import OrderRecord
from core.domain.ports import Clock, ContractSource, FactPublisher
from core.kernel.config_values import instant_text
from core.oms.alarm import Alarm
from core.oms.modes import ModeWatch
from core.oms.state import SymbolState, Tracker, Wake
from core.oms.throttle import Denial

_AMOUNTS = (-1111, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4023, -4164)
_BRACKETS_AND_STATUS = (-2027, -4028, -4140, -4141)
RULE_CODES = frozenset((*_AMOUNTS, *_BRACKETS_AND_STATUS))
"""Refusals that say: price, quantity, value, leverage or status is not as we believed."""
_EVERY_S = 3_600.0
_RETRY_S = 2.0
_LOOP = 2
"""Refusals of entries under the same rules after which the symbol rests."""
_REST_S = 86_400.0
_TOLD = (
    "status",
    "delivery_ms",
    "tick",
    "step",
    "market_step",
    "min_qty",
    "market_min_qty",
    "max_qty",
    "market_max_qty",
    "min_notional",
    "brackets",
)


@dataclass(slots=True)
class _Suspect:
    """A symbol whose entries were refused by a rule."""

    under: Instrument
    """The contract as it was believed to be when the order was refused."""
    refusals: int = 0
    unread: bool = True
    rests_until: float = 0.0


class ContractWatch:
    """`note_answer` hears what the exchange says, `run` reads, `bar` keeps entries back."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        source: ContractSource,
        modes: ModeWatch,
        facts: FactPublisher,
        clock: Clock,
    ) -> None:
        self._tracker = tracker
        self._source = source
        self._modes = modes
        self._alert = Alarm(facts, clock)
        self._clock = clock
        self._suspects: dict[str, _Suspect] = {}
        self._known: dict[str, Instrument] = {}
        self._urgent = False
        self._wake = Wake()

    def note_answer(self, state: SymbolState, record: OrderRecord, code: int) -> None:
        """The exchange answered (code 0: accepted). A rule we did not know makes us read again."""
        if not code and record.purpose is Purpose.ENTRY:
            self._suspects.pop(state.symbol, None)
        if code not in RULE_CODES:
            return
        state.rules_unread = True
        suspect = self._suspects.setdefault(state.symbol, _Suspect(state.instrument))
        suspect.unread = True
        if record.purpose is Purpose.ENTRY:
            suspect.refusals += 1
            if suspect.refusals >= _LOOP:
                suspect.rests_until = self._clock.monotonic() + _REST_S
        self._urgent = True
        self._wake.ring()

    def bar(self, symbol: str) -> Denial | None:
        """Why entries of a symbol are kept back, None when they are not."""
        suspect = self._suspects.get(symbol)
        if suspect is None:
            return None
        if suspect.unread:
            return Denial(DenyReason.CONTRACT_RULES, {"rules": "being read again"})
        left = suspect.rests_until - self._clock.monotonic()
        if left <= 0:
            return None
        numbers = {"refused": str(suspect.refusals), "unchanged_rests_s": f"{left:.0f}"}
        return Denial(DenyReason.CONTRACT_RULES, numbers)

    async def wait_read(self, state: SymbolState, timeout: float) -> bool:
        """True once the rules have been read after a refusal, within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while state.rules_unread:
                    await self._clock.sleep(0.02)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Read now and then, and at once after a refusal; until cancelled."""
        self._remember()
        while True:
            await self._wake.wait(_RETRY_S if self._urgent else _EVERY_S)
            lane = Lane.PROTECT if self._urgent else Lane.DATA
            try:
                await self._source.get_instruments(refresh=True, lane=lane)
            except VenueError as error:
                text = f"contract rules could not be read again: {error}"
                self._alert(Severity.WARNING, "contracts", text)
                await self._clock.sleep(_RETRY_S)
                continue
            self._urgent = False
            self._compare()

    def _remember(self) -> None:
        for symbol in self._watched():
            instrument = self._source.instrument(symbol)
            if instrument is not None:
                self._known[symbol] = instrument

    def _watched(self) -> list[str]:
        """Symbols that are or were traded by this process, in order."""
        return list(dict.fromkeys([*self._tracker.symbols, *self._modes.leverage, *self._suspects]))

    def _compare(self) -> None:
        for symbol in self._watched():
            new = self._source.instrument(symbol)
            state = self._tracker.symbols.get(symbol)
            old = self._known.get(symbol, None if state is None else state.instrument)
            suspect = self._suspects.get(symbol)
            if suspect is not None:
                suspect.unread = False
                if suspect.under != new:
                    del self._suspects[symbol]
            if new is not None:
                self._known[symbol] = new
                self._tell(old, new)
            if state is not None:
                state.instrument = new or state.instrument
                state.rules_unread = False
                state.touch()

    def _tell(self, old: Instrument | None, new: Instrument) -> None:
        if old is None or old == new:
            return
        changed = "; ".join(_words(old, new))
        if old.accepts_entries and not new.accepts_entries:
            leaves = f" on {instant_text(new.delivery_ms)}" if new.delivery_ms else ""
            self._alert(
                Severity.CRITICAL,
                f"contract:{new.symbol}",
                f"{new.symbol} is leaving{leaves}: close-only from now on ({changed})",
            )
        elif changed:
            self._alert(
                Severity.WARNING,
                f"contract:{new.symbol}",
                f"{new.symbol} contract rules changed: {changed}",
            )


def _words(old: Instrument, new: Instrument) -> list[str]:
    """What changed, of that which matters to orders."""
    lines = []
    for name in _TOLD:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            lines.append("brackets" if name == "brackets" else f"{name} {before} -> {after}")
    return lines
