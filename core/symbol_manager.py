"""Which symbols are traded (floor 4).

Perpetuals of the configured coin that trade, minus what the operator excludes, minus what a small
account could not open a valid order in, ranked by volume, spread and volatility. The choice is
renewed every quarter of an hour; a symbol that is in gets a bonus of some ranks so that two
neighbours do not swap places for ever, and a symbol with an open position always stays. Everything
left out has a reason. Pure over the values it is given; fetching them is the caller's work.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from core.config import TradingConfig
from core.domain.enums import ContractStatus
from core.domain.instrument import Instrument
from core.domain.ports import Clock
from core.sizing import AccountView, SizingLimits, SizingRefused, size_entry

ROTATION_MS = 15 * 60_000
SMALL_EQUITY = Decimal(500)
"""Quote coin; below it every symbol must prove that the risk formula makes a valid order."""
_BONUS_SHARE = 4
_LEAST_BONUS = 2

Market = Mapping[str, object]


def filter_usdsm_contracts(
    markets: Mapping[str, Market] | Iterable[Market], settle_coin: str, quote_coin: str
) -> list[str]:
    """Symbols of active perpetuals whose settle **and** quote coin match, sorted.

    `markets` are market structures of the exchange library. An absent `active` or `swap` says
    nothing against a contract, an absent `contract`, `settle` or `quote` does.
    """
    rows = markets.values() if isinstance(markets, Mapping) else markets
    return sorted(
        {
            str(row["symbol"])
            for row in rows
            if row.get("contract")
            and row.get("settle") == settle_coin
            and row.get("quote") == quote_coin
            and row.get("active") is not False
            and row.get("swap") is not False
            and row.get("linear") is not False
            and not row.get("expiry")
        }
    )


@dataclass(frozen=True, slots=True)
class SymbolLimits:
    """What the operator wants. Symbols in normal form; an empty `explicit` means: choose."""

    quote_coin: str
    settle_coin: str
    explicit: tuple[str, ...] = ()
    whitelist: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    max_symbols: int = 35

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        return cls(
            quote_coin=config.resolved_quote_coin,
            settle_coin=config.resolved_settle_coin,
            explicit=config.symbols,
            whitelist=config.symbol_whitelist,
            blacklist=config.symbol_blacklist,
            max_symbols=config.max_symbols,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contract with what is known of its market: last price and 24 h volume in the quote coin,
    spread and volatility as fractions of the price. None: not known yet.

    `volatility` is the range of the last 24 h, the true range of a day: the exchange tells it for
    all contracts in one answer, where an ATR of candles would cost one request for each.
    """

    instrument: Instrument
    price: Decimal | None
    quote_volume: Decimal
    spread: Decimal | None = None
    volatility: float | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A symbol that is not traded, and why, in words."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Outcome of one choice; `added` and `removed` compare with the one before."""

    symbols: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    at_ms: int


class SymbolManager:
    """Keeps the list of traded symbols."""

    def __init__(self, limits: SymbolLimits, sizing: SizingLimits, clock: Clock) -> None:
        self._limits = limits
        self._sizing = sizing
        self._clock = clock
        self._selection: Selection | None = None

    @classmethod
    def from_config(cls, config: TradingConfig, clock: Clock) -> Self:
        return cls(SymbolLimits.from_config(config), SizingLimits.from_config(config), clock)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols traded now, best first (as listed by the operator when explicit)."""
        return () if self._selection is None else self._selection.symbols

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        return () if self._selection is None else self._selection.skipped

    @property
    def is_due(self) -> bool:
        """True when the choice is older than a rotation, or none was made."""
        last = self._selection
        return last is None or not 0 <= self._clock.now_ms() - last.at_ms < ROTATION_MS

    def select(
        self, candidates: Sequence[Candidate], *, equity: Decimal, held: Collection[str] = ()
    ) -> Selection:
        """Choose anew. `equity` in the quote coin, `held` symbols with an open position."""
        skipped: list[Skipped] = []
        fit: list[Candidate] = []
        for candidate in self._asked_for(candidates, skipped):
            reason = self._obstacle(candidate, equity)
            if reason:
                skipped.append(Skipped(candidate.instrument.symbol, reason))
            else:
                fit.append(candidate)
        chosen = self._chosen(fit, held, skipped)
        before = self.symbols
        self._selection = Selection(
            symbols=chosen,
            skipped=tuple(row for row in skipped if row.symbol not in held),
            added=tuple(symbol for symbol in chosen if symbol not in before),
            removed=tuple(symbol for symbol in before if symbol not in chosen),
            at_ms=self._clock.now_ms(),
        )
        return self._selection

    # --- inside ----------------------------------------------------------------------------------

    def _asked_for(
        self, candidates: Sequence[Candidate], skipped: list[Skipped]
    ) -> list[Candidate]:
        """The operator's own list in his order, or everything."""
        if not self._limits.explicit:
            return list(candidates)
        known = {candidate.instrument.symbol: candidate for candidate in candidates}
        for symbol in self._limits.explicit:
            if symbol not in known:
                skipped.append(Skipped(symbol, "not listed on this venue"))
        return [known[symbol] for symbol in self._limits.explicit if symbol in known]

    def _obstacle(self, candidate: Candidate, equity: Decimal) -> str:
        """Why a symbol cannot be traded; empty when it can."""
        limits, contract = self._limits, candidate.instrument
        if (contract.quote, contract.settle) != (limits.quote_coin, limits.settle_coin):
            return f"settles in {contract.settle}, not in {limits.settle_coin}"
        if contract.status is not ContractStatus.TRADING:
            return "contract is not trading"
        if contract.symbol in limits.blacklist:
            return "on the blacklist"
        if limits.whitelist and not limits.explicit and contract.symbol not in limits.whitelist:
            return "not on the whitelist"
        if equity < SMALL_EQUITY:
            return self._too_large_for(candidate, equity)
        return ""

    def _too_large_for(self, candidate: Candidate, equity: Decimal) -> str:
        """Why the risk formula makes no valid order with `equity`; empty when it does."""
        if candidate.price is None or candidate.price <= 0:
            return "no price known to size an order with"
        result = size_entry(
            candidate.instrument,
            self._sizing,
            AccountView(equity, equity),
            price=candidate.price,
        )
        if not isinstance(result, SizingRefused):
            return ""
        numbers = result.numbers
        if "minimum" not in numbers:
            return f"account too small: {result.gate}"
        return (
            f"account too small: {result.gate} {numbers['minimum']}, the risk formula gives "
            f"{numbers['value']} (at most {numbers['limit']} {candidate.instrument.quote}, "
            f"limited by {numbers['limited_by']})"
        )

    def _chosen(
        self, fit: list[Candidate], held: Collection[str], skipped: list[Skipped]
    ) -> tuple[str, ...]:
        most = self._limits.max_symbols
        if self._limits.explicit:
            names = [candidate.instrument.symbol for candidate in fit]
        else:
            ranked = [candidate.instrument.symbol for candidate in rank(fit)]
            bonus = max(most // _BONUS_SHARE, _LEAST_BONUS)
            standing = {
                symbol: place - (bonus if symbol in self.symbols else 0)
                for place, symbol in enumerate(ranked)
            }
            names = sorted(ranked, key=lambda symbol: standing[symbol])  # stable: rank breaks ties
        kept = [symbol for symbol in names if symbol in held]
        kept += sorted(symbol for symbol in held if symbol not in names)
        seats = max(most - len(kept), 0)
        others = [symbol for symbol in names if symbol not in held]
        for symbol in others[seats:]:
            skipped.append(Skipped(symbol, f"not among the best {most}"))
        taken = {*kept, *others[:seats]}
        order = [symbol for symbol in names if symbol in taken]
        return (*order, *(symbol for symbol in kept if symbol not in order))


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first: half of the weight on 24 h volume, a quarter each on spread and volatility.

    Places are added rather than values, so that one giant volume does not decide alone. What is
    not known counts as worst. The symbol breaks ties.
    """
    volume = _places([-float(c.quote_volume) for c in candidates])
    spread = _places([float("inf") if c.spread is None else float(c.spread) for c in candidates])
    lively = _places([float("inf") if c.volatility is None else -c.volatility for c in candidates])
    scored = [
        (2 * volume[i] + spread[i] + lively[i], c.instrument.symbol, i)
        for i, c in enumerate(candidates)
    ]
    return [candidates[i] for _, _, i in sorted(scored)]


def _places(values: list[float]) -> list[int]:
    """Place of each value, smallest 0; equal values share a place."""
    order = {value: place for place, value in enumerate(sorted(set(values)))}
    return [order[value] for value in values]
