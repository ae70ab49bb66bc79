"""Finds, checks and asks the strategies (floor 4).

A strategy is a module `strategies/NAME.py` with one `BaseStrategy` of that name; dropping a file
adds one. Evaluation is pure and takes tens of microseconds, so it runs on the event loop.

A strategy that raises, returns nonsense or does not return costs its own verdict only: the outcome
is a `StrategyCrashed`. After a number of failures in a row it is switched off, for the symbol it
fails on or, when it fails on everything or takes too long again, altogether. The first failure in
a row and the switching off are told; from then on its verdict says that it is off, and why.
"""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import strategies
from core.config import TradingConfig
from core.domain.enums import Direction, Severity
from core.domain.errors import ConfigError
from core.domain.facts import Alert
from core.domain.market import CandleArrays, timeframe_ms
from core.domain.ports import Clock, FactPublisher
from core.domain.strategy import NoSignal, Signal, SignalRow, Strategy
from core.ids import tag as id_tag
from core.kernel.time_limit import TimeLimit, TimeLimitExceeded
from strategies.base_strategy import BaseStrategy

CRASHES_PER_SYMBOL = 3
CRASHES_IN_A_ROW = 20
TIMEOUTS_IN_A_ROW = 2
"""Each one holds up everything else on the loop."""
DEFAULT_TIMEOUT_S = 0.5
OFF = "strategy_off"
"""Gate of the verdict of a strategy that is switched off."""


@dataclass(frozen=True, slots=True)
class StrategyCrashed:
    """The strategy raised, took too long, or its answer was unusable. `off` says what was switched
    off by it, if anything."""

    symbol: str
    strategy: str
    candle_open_ms: int
    error: str
    off: str


Verdict = Signal | NoSignal | StrategyCrashed


def discover() -> dict[str, str]:
    """Names of the strategies in `strategies/` with the module of each; nothing is imported."""
    found = pkgutil.iter_modules(strategies.__path__)
    names = sorted(module.name for module in found if not module.ispkg)
    return {name: f"strategies.{name}" for name in names if name != "base_strategy"}


def require_strategies(names: Iterable[str]) -> None:
    """Raises ConfigError, one line per name, when `strategies/` has no such module."""
    known = discover()
    unknown = [name for name in names if name not in known]
    if unknown:
        allowed = ", ".join(known) or "none"
        raise ConfigError([f"STRATEGY = {name}: allowed are {allowed}" for name in unknown])


def load_strategy(name: str, params: Mapping[str, object] | None = None) -> Strategy:
    """Instance of the strategy called `name`. Raises ConfigError in words for the operator.

    The module is imported only when it is asked for, so a broken file next to it does no harm.
    """
    require_strategies((name,))
    path = discover()[name]
    try:
        module = importlib.import_module(path)
    except Exception as error:  # an operator's file may fail in any way
        raise ConfigError([f"STRATEGY = {name}: {path} cannot be loaded: {error!r}"]) from (error)
    classes = [
        candidate
        for _, candidate in inspect.getmembers(module, inspect.isclass)
        if issubclass(candidate, BaseStrategy)
        and candidate.__module__ == module.__name__
        and getattr(candidate, "name", "") == name
    ]
    if len(classes) != 1:
        raise ConfigError(
            [f"STRATEGY = {name}: {path} must define one BaseStrategy named {name!r}"]
        )
    try:
        strategy: Strategy = classes[0].build(params or {})
    except ValueError as error:
        raise ConfigError(str(error).splitlines()) from None
    if id_tag(strategy.tag) != strategy.tag:
        raise ConfigError(
            [f"STRATEGY = {name}: tag {strategy.tag!r} must be 1 to 4 lower-case letters or digits"]
        )
    return strategy


@dataclass(slots=True)
class _Health:
    """Failures in a row of one strategy, altogether and per symbol."""

    in_a_row: int = 0
    timeouts: int = 0
    per_symbol: dict[str, int] = field(default_factory=dict)
    off: str = ""
    off_for: dict[str, str] = field(default_factory=dict)

    def note_success(self, symbol: str) -> None:
        self.in_a_row = self.timeouts = 0
        self.per_symbol.pop(symbol, None)

    def note_failure(self, symbol: str, error: str, *, timeout: bool) -> str:
        """Count it; returns what was switched off by it, if anything."""
        self.in_a_row += 1
        self.timeouts = self.timeouts + 1 if timeout else 0
        count = self.per_symbol.get(symbol, 0) + 1
        self.per_symbol[symbol] = count
        if self.in_a_row >= CRASHES_IN_A_ROW or self.timeouts >= TIMEOUTS_IN_A_ROW:
            self.off = f"failed {self.in_a_row} times in a row, the last time on {symbol}: {error}"
            return "everywhere"
        if count >= CRASHES_PER_SYMBOL:
            self.off_for[symbol] = f"failed {count} times in a row: {error}"
            return f"for {symbol}"
        return ""

    def why_off(self, symbol: str) -> str:
        """Why the strategy is not asked about a symbol; empty when it is."""
        return self.off or self.off_for.get(symbol, "")


class StrategyManager:
    """The active strategies of one daemon and their health."""

    def __init__(
        self,
        active: Sequence[Strategy],
        timeframe: str,
        *,
        clock: Clock | None = None,
        publish: FactPublisher | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """`timeout_s` is real time per symbol. Raises ConfigError when none is given or two share
        a name or tag."""
        names, tags = [s.name for s in active], [s.tag for s in active]
        if not active:
            raise ConfigError(["STRATEGY: at least one is needed"])
        if len(set(names)) < len(names) or len(set(tags)) < len(tags):
            raise ConfigError([f"STRATEGY: names {names} and tags {tags} must differ"])
        self._active = tuple(active)
        self._health = {name: _Health() for name in names}
        self._timeframe_ms = timeframe_ms(timeframe)
        self._clock = clock
        self._publish = publish
        self._limit = TimeLimit(timeout_s)

    @classmethod
    def from_config(
        cls,
        config: TradingConfig,
        *,
        clock: Clock | None = None,
        publish: FactPublisher | None = None,
        params: Mapping[str, Mapping[str, object]] | None = None,
    ) -> "StrategyManager":
        """The strategies `STRATEGY` names (comma list). Raises ConfigError.

        A strategy whose warm-up is longer than the candles kept would never speak and is refused.
        """
        active = [
            load_strategy(name.strip(), (params or {}).get(name.strip()))
            for name in config.strategy.split(",")
        ]
        late = [
            f"CANDLES = {config.candles}: {strategy.name} needs at least {strategy.warmup}"
            for strategy in active
            if strategy.warmup > config.candles
        ]
        if late:
            raise ConfigError(late)
        return cls(
            active,
            config.timeframe,
            clock=clock,
            publish=publish,
            timeout_s=config.strategy_timeout,
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(strategy.name for strategy in self._active)

    @property
    def switched_off(self) -> tuple[str, ...]:
        """Strategies that are no longer asked at all."""
        return tuple(name for name, health in self._health.items() if health.off)

    @property
    def fenced(self) -> tuple[str, ...]:
        """What is switched off and why, one line each, for people."""
        lines = []
        for name, health in self._health.items():
            if health.off:
                lines.append(f"{name}: {health.off}")
            else:
                lines += [f"{name} for {symbol}: {why}" for symbol, why in health.off_for.items()]
        return tuple(lines)

    @property
    def warmup(self) -> int:
        """Candles after which every active strategy can speak."""
        return max(strategy.warmup for strategy in self._active)

    @property
    def tags(self) -> dict[str, str]:
        """Tag of every active strategy by its name."""
        return {strategy.name: strategy.tag for strategy in self._active}

    def evaluate(self, symbol: str, candles: CandleArrays) -> tuple[Verdict, ...]:
        """Verdict of every strategy about the last of the closed `candles`.

        Never raises because of a strategy, and comes back whatever one does, unless it hangs in C
        code. Empty without candles.
        """
        if not len(candles):
            return ()
        return tuple(self._ask(strategy, symbol, candles) for strategy in self._active)

    def _ask(self, strategy: Strategy, symbol: str, candles: CandleArrays) -> Verdict:
        health = self._health[strategy.name]
        if why := health.why_off(symbol):
            close, open_ms = float(candles.close[-1]), int(candles.open_ms[-1])
            detail = f"switched off until restart: {why}"
            return NoSignal(symbol, strategy.name, close, open_ms, OFF, detail)
        try:
            verdict = self._limit.run(lambda: self._verdict(strategy, symbol, candles))
        except TimeLimitExceeded:
            error = f"no answer within {self._limit.seconds:g} s, interrupted"
            return self._failed(strategy, symbol, candles, error, timeout=True)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - containment border: even an exit() in it
            text = f"{type(error).__name__}: {error}"
            return self._failed(strategy, symbol, candles, text, timeout=False)
        health.note_success(symbol)
        return verdict

    def _failed(
        self,
        strategy: Strategy,
        symbol: str,
        candles: CandleArrays,
        error: str,
        *,
        timeout: bool,
    ) -> StrategyCrashed:
        health = self._health[strategy.name]
        off = health.note_failure(symbol, error, timeout=timeout)
        crashed = StrategyCrashed(symbol, strategy.name, int(candles.open_ms[-1]), error, off)
        if off or health.in_a_row == 1:
            self._report(crashed)
        return crashed

    def _verdict(self, strategy: Strategy, symbol: str, candles: CandleArrays) -> Signal | NoSignal:
        close, open_ms = float(candles.close[-1]), int(candles.open_ms[-1])
        if len(candles) < strategy.warmup:
            detail = f"{len(candles)} of {strategy.warmup} candles"
            return NoSignal(symbol, strategy.name, close, open_ms, "warmup", detail)
        if not close > 0.0:  # NaN included
            return NoSignal(symbol, strategy.name, close, open_ms, "bad_data", f"close {close}")
        row = strategy.latest(candles)
        _check(row)
        if row.direction == 0:
            gate = row.gate or "no_signal"
            return NoSignal(symbol, strategy.name, close, open_ms, gate, row.words)
        return Signal(
            symbol=symbol,
            strategy=strategy.name,
            direction=Direction.LONG if row.direction > 0 else Direction.SHORT,
            strength=row.strength,
            atr_ratio=row.atr / close,
            close=close,
            candle_open_ms=open_ms,
            candle_close_ms=open_ms + self._timeframe_ms - 1,
            why=row.words,
        )

    def _report(self, crashed: StrategyCrashed) -> None:
        if self._publish is None or self._clock is None:
            return
        text = f"strategy {crashed.strategy} failed on {crashed.symbol}: {crashed.error}"
        if crashed.off:
            text += f"; switched off {crashed.off} until restart, other strategies and exits go on"
        severity = Severity.CRITICAL if crashed.off else Severity.WARNING
        key = f"strategy:{crashed.strategy}"
        self._publish.publish(Alert(severity, key, text, self._clock.now_ms()))


def _check(row: SignalRow) -> None:
    """Raises TypeError or ValueError for an unusable answer."""
    if not isinstance(row, SignalRow):
        raise TypeError(f"latest returned {type(row).__name__}, not a SignalRow")
    if row.direction not in (-1, 0, 1):
        raise ValueError(f"direction {row.direction} is not -1, 0 or 1")
    usable = 0.0 <= row.strength <= 1.0 and 0.0 <= row.atr < math.inf
    if row.direction and not usable:
        raise ValueError(f"strength {row.strength} or atr {row.atr} is out of range")
