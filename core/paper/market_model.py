"""The invented market behind the synthetic feed (floor 2c): statistics only, no clock, no tasks.

Log prices move by a market factor shared through each symbol's beta and by their own noise. Both
pass through regimes (trend, range, burst), their volatility drifts from hour to hour, prices jump
now and then and are pulled back to their starting level within weeks. Everything is drawn in blocks
from one stream per symbol, so more symbols do not change the others and history and live part are
one process. Floats inside; out come whole ticks and steps.
"""

from dataclasses import dataclass
from enum import Enum
from math import exp, log, pi, sqrt
from random import Random

import numpy as np
from numpy.typing import NDArray

from core.paper.model import Contract

BLOCK_MINUTES = 60
_YEAR_MINUTES = 525_600
_DAY_MINUTES = 1440
_MARKET_SHARE = 0.85
"""Part of the market's move that a symbol of beta 1 follows."""
_MARKET_VOLATILITY = 0.6
_PULL = 0.001  # of the distance to the starting level, per block: half of it in a month
_JUMPS_PER_MINUTE = 1 / 1500

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Profile:
    """Character of a coin: price, quote turnover per day in millions, volatility per year, beta."""

    price: float
    turnover: float
    volatility: float
    beta: float


PROFILES: dict[str, Profile] = {
    "BTC": Profile(104_000, 4_000, 0.45, 0.7),
    "ETH": Profile(3_400, 3_000, 0.65, 1.0),
    "BNB": Profile(910, 300, 0.55, 0.8),
    "SOL": Profile(158, 1_200, 0.80, 1.2),
    "XRP": Profile(2.24, 900, 0.80, 1.1),
    "DOGE": Profile(0.164, 500, 0.95, 1.3),
    "ADA": Profile(0.53, 250, 0.90, 1.2),
    "LINK": Profile(14.6, 200, 0.90, 1.2),
    "1000SHIB": Profile(0.0091, 60, 0.95, 1.2),
    "1000PEPE": Profile(0.0053, 250, 1.20, 1.5),
    "1000BONK": Profile(0.0114, 60, 1.20, 1.4),
    "AVAX": Profile(16.2, 150, 0.95, 1.3),
    "SUI": Profile(1.86, 300, 1.10, 1.4),
    "LTC": Profile(98.4, 120, 0.75, 0.9),
    "BCH": Profile(505, 100, 0.75, 0.9),
    "NEAR": Profile(2.47, 120, 1.00, 1.2),
    "ARB": Profile(0.257, 80, 1.05, 1.3),
    "WLD": Profile(0.74, 80, 1.15, 1.3),
    "FIL": Profile(2.05, 80, 1.00, 1.1),
    "TIA": Profile(0.89, 50, 1.15, 1.3),
    "ENA": Profile(0.288, 120, 1.20, 1.4),
    "ETHFI": Profile(0.92, 40, 1.20, 1.4),
    "CRV": Profile(0.452, 50, 1.10, 1.2),
    "ORDI": Profile(4.85, 40, 1.10, 1.3),
    "NEO": Profile(4.92, 20, 0.90, 1.0),
    "WIF": Profile(0.451, 60, 1.30, 1.5),
    "BOME": Profile(0.00104, 30, 1.30, 1.4),
    "HBAR": Profile(0.164, 80, 1.00, 1.1),
    "UNI": Profile(7.2, 120, 1.05, 1.2),
    "AAVE": Profile(186, 120, 1.00, 1.2),
}


def profile_for(contract: Contract) -> Profile:
    """Profile of the contract's coin; an unknown one gets a price of 15,000 ticks."""
    known = PROFILES.get(contract.base)
    return known or Profile(float(contract.tick) * 15_000, 20, 1.0, 1.1)


class _Kind(Enum):
    TREND = "trend"
    RANGE = "range"
    BURST = "burst"


@dataclass(slots=True)
class _Regime:
    """One stretch of market behaviour; drift in minute-sigmas."""

    kind: _Kind
    left: int
    drift: float
    volatility: float
    period: float = 1.0
    age: int = 0

    def minutes(self, count: int) -> tuple[Floats, Floats]:
        """Drift and volatility factor of the next `count` minutes."""
        at = np.arange(self.age, self.age + count, dtype=np.float64)
        self.age += count
        self.left -= count
        if self.kind is _Kind.RANGE:
            drift = self.drift * np.cos(2 * pi * at / self.period)
        else:
            drift = np.full(count, self.drift)
        return drift, np.full(count, self.volatility)


def _next_regime(rng: np.random.Generator) -> _Regime:
    sign = 1.0 if rng.random() < 0.5 else -1.0
    kind = rng.random()
    if kind < 0.45:
        return _Regime(_Kind.TREND, int(rng.integers(90, 360)), sign * rng.uniform(0.1, 0.2), 1.0)
    if kind < 0.85:
        period, swing = rng.uniform(90, 260), rng.uniform(6, 12)
        drift = sign * swing * 2 * pi / period
        return _Regime(_Kind.RANGE, int(rng.integers(120, 480)), drift, 0.8, period)
    drift = sign * rng.uniform(0.1, 0.4)
    return _Regime(_Kind.BURST, int(rng.integers(10, 40)), drift, rng.uniform(2.0, 3.5))


class _Mover:
    """Log returns per tick of one factor: the market, or what is a symbol's own."""

    def __init__(self, seed: int, ticks_per_minute: int) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self._ticks = ticks_per_minute
        self._regime = _next_regime(self.rng)
        self._log_volatility = 0.0

    def returns(self, sigma: float) -> Floats:
        """One block at `sigma` per minute."""
        self._log_volatility = 0.92 * self._log_volatility + 0.12 * self.rng.standard_normal()
        drifts, factors = [], []
        missing = BLOCK_MINUTES
        while missing:
            drift, factor = self._regime.minutes(min(missing, self._regime.left))
            drifts.append(drift)
            factors.append(factor)
            missing -= len(drift)
            if self._regime.left == 0:
                self._regime = _next_regime(self.rng)
        noise = self.rng.standard_normal(BLOCK_MINUTES * self._ticks)
        spread = np.repeat(np.concatenate(factors), self._ticks) * exp(self._log_volatility)
        drift_per_tick = np.repeat(np.concatenate(drifts), self._ticks) / self._ticks
        return sigma * (noise * spread / sqrt(self._ticks) + drift_per_tick)


@dataclass(frozen=True, slots=True)
class Block:
    """An hour of one symbol: per tick the price in ticks, the volume in steps, and jumps."""

    price: Integers
    volume: Integers
    gap: NDArray[np.bool_]


class SymbolModel:
    """One symbol's process. `step` and `tick` are the contract's."""

    def __init__(self, contract: Contract, random: Random, ticks_per_minute: int) -> None:
        self._mover = _Mover(random.getrandbits(64), ticks_per_minute)
        self._ticks = ticks_per_minute
        profile = profile_for(contract)
        self._profile = profile
        self._tick = float(contract.tick)
        self._step = float(contract.step)
        self._lowest = max(1, int(contract.min_price / contract.tick))
        self._home = log(profile.price * self._mover.rng.uniform(0.9, 1.1))
        self._level = self._home
        total = profile.volatility / sqrt(_YEAR_MINUTES)
        shared = profile.beta * _MARKET_SHARE * _MARKET_VOLATILITY / sqrt(_YEAR_MINUTES)
        self._own_sigma = sqrt(max(total**2 - shared**2, (0.4 * total) ** 2))
        self._beta = profile.beta * _MARKET_SHARE
        self._typical = total / sqrt(ticks_per_minute)

    def block(self, market: Floats, start_minute: int) -> Block:
        """The next hour; `market` are the market's log returns, `start_minute` since the epoch."""
        rng = self._mover.rng
        moves = self._beta * market + self._mover.returns(self._own_sigma)
        moves += _PULL * (self._home - self._level) / len(moves)
        gap = np.zeros(len(moves), dtype=np.bool_)
        for minute in np.flatnonzero(rng.random(BLOCK_MINUTES) < _JUMPS_PER_MINUTE):
            size = rng.uniform(3, 10) * self._typical * sqrt(self._ticks)
            moves[minute * self._ticks] += size if rng.random() < 0.5 else -size
            gap[minute * self._ticks] = True
        levels = self._level + np.cumsum(moves)
        self._level = float(levels[-1])
        values = np.exp(levels)
        price = np.maximum(np.rint(values / self._tick).astype(np.int64), self._lowest)
        return Block(price, self._volume(moves, values, start_minute), gap)

    def _volume(self, moves: Floats, values: Floats, start_minute: int) -> Integers:
        """Steps traded per tick: more by day (UTC afternoon) and when the price moves."""
        minutes = start_minute + np.arange(BLOCK_MINUTES)
        shape = 1 + 0.5 * np.sin(2 * pi * ((minutes % _DAY_MINUTES) / _DAY_MINUTES - 0.375))
        activity = 0.5 + 0.6 * np.minimum(np.abs(moves) / self._typical, 8)
        chance = np.exp(0.6 * self._mover.rng.standard_normal(len(moves)) - 0.18)
        per_tick = self._profile.turnover * 1e6 / _DAY_MINUTES / self._ticks
        quote = per_tick * np.repeat(shape, self._ticks) * activity * chance
        return np.floor(quote / values / self._step).astype(np.int64)


class MarketModel:
    """All symbols with the factor they share."""

    def __init__(
        self, models: dict[str, SymbolModel], random: Random, ticks_per_minute: int
    ) -> None:
        self._models = models
        self._factor = _Mover(random.getrandbits(64), ticks_per_minute)

    def block(self, start_minute: int) -> dict[str, Block]:
        """The next hour of every symbol."""
        market = self._factor.returns(_MARKET_VOLATILITY / sqrt(_YEAR_MINUTES))
        return {symbol: model.block(market, start_minute) for symbol, model in self._models.items()}
