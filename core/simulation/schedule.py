"""What one seed does to the daemon (floor 2d): fault mix, symbols, prices, kills.

Swarm: every seed draws for itself which kinds of fault exist in its world and how often each
strikes, because a few violent faults find other bugs than all of them mild. Faults end
`HEAL_S` before the run does: what remains must then become well.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from core.kernel.chance import Chance

QUOTE = "USDC"
WARM_UP_S = 90.0
HEAL_S = 180.0
_LEAST_PER_HOUR, _MOST_PER_HOUR = 1.0, 12.0
_KIND_CHANCE = 0.45
_GUARDED_CHANCE = 0.2
_SYMBOLS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "BNB", "AVAX", "SUI", "LTC", "NEAR")


class FaultKind(StrEnum):
    """Named by the ids of docs/reference/faults.md."""

    ANSWER_LOST = "F01 answer lost"
    REQUEST_LOST = "F02 request lost"
    UNKNOWN_503 = "F03 503 unknown outcome"
    OVERLOADED = "F04 503 refused"
    TOO_MANY = "F05 429"
    BANNED = "F06 418 ban"
    FORBIDDEN = "F07 403"
    TIMESTAMP = "F08 -1021"
    KEY_REVOKED = "F09 key revoked"
    GARBLED = "F10 garbled answer"
    SLOW = "F11 latency"
    RESET = "F12 connections reset"
    QUERY_LAG = "F13 query lags"
    USER_DOWN = "F14 user stream drops"
    HALF_OPEN = "F15 half-open"
    DUPLICATES = "F16 duplicated events"
    OUT_OF_ORDER = "F17 events out of order"
    GAP = "F18 events lost"
    KEY_EXPIRED = "F19 listen key expires"
    STREAMS_CUT = "F20 all streams cut"
    GARBAGE = "F21 garbage on the streams"
    BURST = "F22 burst of events"
    MARKET_SILENT = "F23 market stream silent"
    MAINTENANCE = "F24 maintenance"
    SWIZZLE = "F24 links cut one by one"
    PARTIAL_FILL = "F25 partial fill"
    STOP_REFUSED = "F26 stop refused"
    TRIGGER_REJECTED = "F27 stop rejected at trigger"
    REDUCE_REFUSED = "F28 reduce-only refused"
    NO_MARGIN = "F29 margin insufficient"
    FILTERS = "F30 coarser prices"
    LIQUIDATED = "F31 liquidation"
    DELEVERAGED = "F32 deleveraged"
    DELISTED = "F33 close-only"
    BY_HAND = "F34 settings changed by hand"
    PHONE_CLOSE = "F35 closed by hand"
    PHONE_CANCEL = "F35 stop cancelled by hand"
    FOREIGN_ORDER = "F36 foreign order"
    PRICE_GAP = "F37 price gap"
    KILL = "F38 kill -9"
    STOP = "F39 orderly stop"
    CLOCK_STEP = "F43 wall clock steps"
    STALL = "F44 loop stalls"
    ELSEWHERE = "F45 account traded elsewhere"
    PAUSE = "F46 paused by the operator"
    PANIC = "F46 panic"


_SELDOM = {
    FaultKind.BANNED: 0.3,
    FaultKind.FORBIDDEN: 0.3,
    FaultKind.KEY_REVOKED: 0.3,
    FaultKind.BURST: 0.5,
    FaultKind.DELISTED: 0.5,
    FaultKind.FILTERS: 0.5,
    FaultKind.KILL: 0.5,
    FaultKind.STOP: 0.2,
    FaultKind.SWIZZLE: 0.4,
    FaultKind.MAINTENANCE: 0.2,
    FaultKind.LIQUIDATED: 0.3,
    FaultKind.CLOCK_STEP: 0.3,
    FaultKind.PAUSE: 0.3,
    FaultKind.PANIC: 0.2,
}
"""Part of the drawn rate for faults that take long or change much."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at `at` (virtual seconds). `draw` in [0, 1) decides its details.

    `seconds` is how long it lasts, where that is not left to the draw.
    """

    at: float
    kind: FaultKind
    draw: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """The whole plan of one seed."""

    seed: int
    hours: float
    symbols: tuple[str, ...]
    tick_ms: int
    latency_ms: int
    jitter_ms: int
    guarded: bool
    """The risk guard keeps its limits of the day; otherwise losses do not end the trading."""
    strikes: tuple[Strike, ...]
    quote: str = QUOTE
    elsewhere: str = ""
    """A listed contract that the daemon does not trade, for somebody else's hand."""

    @property
    def seconds(self) -> float:
        return self.hours * 3600

    @property
    def heal_at(self) -> float:
        return max(self.seconds - HEAL_S, 0.0)


def write_script(
    seed: int,
    hours: float,
    kinds: tuple[FaultKind, ...] | None = None,
    intensity: float = 1.0,
) -> Script:
    """The plan of a seed. `kinds` forces the mix, None draws it; `intensity` multiplies rates."""
    random = Chance(seed).stream("script")
    *bases, spare = random.sample(_SYMBOLS, random.randint(3, 7))
    chosen = kinds if kinds is not None else _mix(random)
    strikes: list[Strike] = []
    for kind in chosen:
        strikes += _strikes(kind, random, hours, intensity)
    return Script(
        seed=seed,
        hours=hours,
        symbols=tuple(f"{base}{QUOTE}" for base in bases),
        tick_ms=random.choice((1_000, 2_000, 5_000, 10_000)),
        latency_ms=random.choice((1, 10, 40, 120)),
        jitter_ms=random.choice((0, 5, 60)),
        guarded=random.random() < _GUARDED_CHANCE,
        strikes=tuple(sorted(strikes, key=lambda strike: (strike.at, strike.kind))),
        elsewhere=f"{spare}{QUOTE}",
    )


def _mix(random: Random) -> tuple[FaultKind, ...]:
    return tuple(kind for kind in FaultKind if random.random() < _KIND_CHANCE)


def _strikes(kind: FaultKind, random: Random, hours: float, intensity: float) -> list[Strike]:
    spread = _MOST_PER_HOUR / _LEAST_PER_HOUR
    per_hour = _LEAST_PER_HOUR * spread ** random.random() * _SELDOM.get(kind, 1.0)
    rate = intensity * per_hour / 3600
    end = hours * 3600 - HEAL_S
    strikes = []
    at = WARM_UP_S + random.expovariate(rate)
    while at < end:
        strikes.append(Strike(at, kind, random.random()))
        at += random.expovariate(rate)
    return strikes
