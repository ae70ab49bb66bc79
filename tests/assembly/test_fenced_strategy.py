"""Two strategies in one daemon, one of which never comes back: the other trades on."""

import sqlite3
from pathlib import Path

import pytest
from support.application import config_in, with_application

import strategies
from core.app import Application
from core.assembly.exit_codes import ExitCode
from core.domain.ports import OperatorPort
from core.ids import parse_client_id
from core.kernel.clock import SimulatedClock

ENDLESS = """
from core.domain.strategy import SignalArrays
from strategies.base_strategy import BaseStrategy, StrategyParams, silent


class Params(StrategyParams):
    pass


class Endless(BaseStrategy[Params]):
    name, tag, params_type, warmup = "endless_v1", "end1", Params, 2

    def signals(self, candles) -> SignalArrays:
        while True:
            pass
"""
EAGER = """
import numpy as np

from core.domain.strategy import SignalArrays
from strategies.base_strategy import BaseStrategy, StrategyParams


class Params(StrategyParams):
    pass


class Eager(BaseStrategy[Params]):
    name, tag, params_type, warmup = "endless_not_v1", "eag1", Params, 2

    def signals(self, candles) -> SignalArrays:
        wish = np.ones(len(candles), dtype=np.int8)
        atr = 0.004 * candles.close
        return SignalArrays(wish, wish * 0.5, atr, lambda i: "always", lambda i: "")
"""


def desk(app: Application) -> OperatorPort:
    assert app.operator is not None
    return app.operator


@pytest.fixture(autouse=True)
def _dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "dropped"
    folder.mkdir()
    (folder / "endless_v1.py").write_text(ENDLESS)
    (folder / "endless_not_v1.py").write_text(EAGER)
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(folder)])


def test_an_endless_strategy_costs_nobody_else_anything(tmp_path: Path) -> None:
    config = config_in(
        tmp_path,
        STRATEGY="endless_v1,endless_not_v1",
        STRATEGY_TIMEOUT="0.1",
        TIMEFRAME="1m",
        MAX_HOLD_MINUTES="4",
    )

    async def story(app: Application, clock: SimulatedClock) -> None:
        await clock.sleep(20 * 60)
        status = desk(app).status()
        (line,) = status.fenced
        assert line.startswith("endless_v1: failed 2 times in a row, the last time on ")
        assert "no answer within 0.1 s, interrupted" in line
        assert status.entries_blocked == ""
        told = await desk(app).why("XRPUSDC", 20)
        off = [row for row in told if row.gate == "strategy_off"]
        assert len(off) > 5, "every candle says that it was not asked"

    assert with_application(config, story) is ExitCode.OK
    audit = "".join(path.read_text() for path in (tmp_path / "logs").glob("audit*.jsonl"))
    assert audit.count("switched off everywhere until restart") == 1
    database = sqlite3.connect(tmp_path / "data" / "bot.paper.db")
    try:
        names = {name for (name,) in database.execute("select distinct strategy from trades")}
        ids = [row[0] for row in database.execute("select client_id from orders")]
        exits = [row[0] for row in database.execute("select exit_reason from trades")]
    finally:
        database.close()
    assert names == {"endless_not_v1"}, "statistics carry the whole name"
    tags = {parts.strategy for parts in map(parse_client_id, ids) if parts is not None}
    assert tags == {"eag1"}, "client ids carry the tag"
    assert "max_hold" in exits or "stop_loss" in exits or "take_profit" in exits
