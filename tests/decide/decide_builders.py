"""Values the decision tests share: real contracts with their real filters and brackets."""

import csv
import gzip
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.domain.enums import ContractStatus
from core.domain.instrument import Bracket, Instrument
from core.domain.market import CandleArrays

D = Decimal

XRP_BRACKETS = (
    Bracket(D(0), D(10_000), 75, D("0.005"), D(0)),
    Bracket(D(10_000), D(50_000), 50, D("0.01"), D(50)),
    Bracket(D(50_000), D(100_000), 40, D("0.015"), D(300)),
    Bracket(D(100_000), D(750_000), 25, D("0.02"), D(800)),
    Bracket(D(750_000), D(1_000_000), 20, D("0.025"), D(4550)),
    Bracket(D(1_000_000), D(5_000_000), 10, D("0.05"), D(29550)),
)


def instrument(
    base: str = "XRP",
    *,
    coin: str = "USDC",
    tick: str = "0.0001",
    step: str = "0.1",
    min_notional: str = "5",
    max_qty: str = "8000000",
    market_max_qty: str = "1600000",
    status: ContractStatus = ContractStatus.TRADING,
    brackets: tuple[Bracket, ...] = XRP_BRACKETS,
) -> Instrument:
    """XRPUSDC's filters unless told otherwise."""
    return Instrument(
        symbol=f"{base}/{coin}:{coin}",
        wire=base + coin,
        base=base,
        quote=coin,
        settle=coin,
        status=status,
        tick=D(tick),
        min_price=D(tick),
        max_price=D(1_000_000),
        step=D(step),
        min_qty=D(step),
        max_qty=D(max_qty),
        market_step=D(step),
        market_min_qty=D(step),
        market_max_qty=D(market_max_qty),
        min_notional=D(min_notional),
        percent_up=D("1.05"),
        percent_down=D("0.95"),
        brackets=brackets,
    )


def btc() -> Instrument:
    return instrument(
        "BTC", tick="0.1", step="0.001", min_notional="100", max_qty="800", market_max_qty="100"
    )


def synthetic_candles(count: int, seed: int = 1, *, step_ms: int = 900_000) -> CandleArrays:
    """A seeded random walk with volume bursts; low <= close <= high in every candle."""
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0, 0.004, count)))
    opened = np.concatenate(([100.0], close[:-1]))
    span = close * np.abs(chance.normal(0.002, 0.001, count))
    volume = chance.gamma(2.0, 50.0, count) * np.where(chance.random(count) > 0.9, 4.0, 1.0)
    return CandleArrays(
        open_ms=np.arange(count, dtype=np.int64) * step_ms,
        open=opened,
        high=np.maximum(opened, close) + span,
        low=np.minimum(opened, close) - span,
        close=close,
        volume=volume,
    )


def archive_candles(name: str, count: int) -> CandleArrays:
    """The first `count` real candles of an archive file, or skip when no archive is at hand."""
    root = os.environ.get("CANDLE_ARCHIVE")
    if not root:
        pytest.skip("CANDLE_ARCHIVE is not set: no real candles to compare on")
    path = Path(root) / name
    if not path.exists():
        pytest.skip(f"CANDLE_ARCHIVE has no {name}")
    rows = []
    with gzip.open(path, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            rows.append(
                [float(row[key]) for key in ("open_time", "open", "high", "low", "close", "volume")]
            )
            if len(rows) == count:
                break
    table = np.array(rows, dtype=np.float64).T.copy()
    return CandleArrays(table[0].astype(np.int64), *(table[i].copy() for i in range(1, 6)))


class Watch:
    """A clock the test sets."""

    def __init__(self, at_ms: int = 0) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def now_us(self) -> int:
        return self.at_ms * 1000

    def monotonic(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)
