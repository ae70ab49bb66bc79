"""freqtrade in dry-run and in live mode: to a closed trade, with its stop on the exchange."""

import asyncio
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import PAIR, Checks, Place, expect, pause, place

TRADE_S = 240
STOP_S = 60
INTERRUPTED = 130
STRATEGY = '''
from pandas import DataFrame
from freqtrade.strategy import IStrategy


class Always(IStrategy):
    """Enters at once and leaves after a minute."""

    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = False
    startup_candle_count = 20
    minimal_roi = {"0": 10, "1": -1}
    stoploss = -0.05
    order_types = {
        "entry": "market",
        "exit": "market",
        "stoploss": "market",
        "stoploss_on_exchange": True,
    }

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def leverage(self, *args, **kwargs) -> float:
        return 3.0
'''


def config(at: Place, *, dry: bool) -> dict[str, Any]:
    urls = {
        "fapiPublic": "/fapi/v1",
        "fapiPrivate": "/fapi/v1",
        "fapiPublicV2": "/fapi/v2",
        "fapiPrivateV2": "/fapi/v2",
        "fapiPublicV3": "/fapi/v3",
        "fapiPrivateV3": "/fapi/v3",
        "fapiData": "/futures/data",
        "sapi": "/sapi/v1",
    }
    pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    return {
        "dry_run": dry,
        "dry_run_wallet": 5000,
        "initial_state": "running",
        "max_open_trades": 1,
        "stake_currency": "USDC",
        "stake_amount": 300,
        "tradable_balance_ratio": 0.9,
        "trading_mode": "futures",
        "margin_mode": "isolated",
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "pairlists": [{"method": "StaticPairList"}],
        "internals": {"process_throttle_secs": 2},
        "exchange": {
            "name": "binance",
            "key": at.api_key,
            "secret": at.api_secret,
            "enable_ws": False,
            "pair_whitelist": [PAIR],
            "ccxt_config": {
                "options": {
                    "defaultType": "swap",
                    "fetchMarkets": {"types": ["linear"]},
                    "fetchCurrencies": False,
                },
                "urls": {"api": {name: at.rest + path for name, path in urls.items()}},
            },
        },
    }


class Bot:
    """One run of freqtrade in a folder of its own."""

    def __init__(self, at: Place, *, dry: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="freqtrade-"))
        (self.folder / "strategies").mkdir()
        (self.folder / "strategies" / "always.py").write_text(STRATEGY, encoding="utf-8")
        path = self.folder / "config.json"
        path.write_text(json.dumps(config(at, dry=dry)), encoding="utf-8")
        self.log = self.folder / "log.txt"
        self.database = self.folder / "trades.sqlite"
        command = [sys.executable, "-m", "freqtrade", "trade", "--config", str(path)]
        command += ["--userdir", str(self.folder), "--strategy", "Always"]
        command += ["--strategy-path", str(self.folder / "strategies")]
        command += ["--db-url", f"sqlite:///{self.database}"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def rows(self, query: str) -> list[Any]:
        if not self.database.exists():
            return []
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as opened:
            try:
                return opened.execute(query).fetchall()
            except sqlite3.OperationalError:  # its tables are not there yet
                return []

    async def until(self, query: str, what: str) -> list[Any]:
        for _ in range(TRADE_S):
            expect(self.process.poll() is None, f"ended: {self.last()}")
            rows = self.rows(query)
            if rows:
                return rows
            await pause(1)
        raise AssertionError(f"{what}: {self.last()}")

    def last(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        wrong = [line for line in lines if "ERROR" in line or "Error" in line]
        return (wrong or lines or ["nothing said"])[-1][-200:]

    def stop(self) -> int:
        """Ask it to stop; its exit code. SIGINT would be lost where a shell started us aside."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        shutil.rmtree(self.folder)
        return code


async def dry_run(at: Place) -> None:
    bot = Bot(at, dry=True)
    try:
        await bot.until("select id from trades where is_open = 0", "no closed trade")
    finally:
        code = bot.stop()
    expect(code in (0, INTERRUPTED), f"exit code {code}")


async def live(at: Place) -> None:
    bot = Bot(at, dry=False)
    try:
        await bot.until(
            "select id from orders where ft_order_side = 'stoploss' and status = 'open'",
            "no stop on the exchange",
        )
        rows = await bot.until(
            "select exit_reason, fee_close_cost from trades where is_open = 0", "no closed trade"
        )
        expect(rows[0][0] == "roi" and rows[0][1] > 0, f"closed as {rows[0]}")
        stops = bot.rows("select status from orders where ft_order_side = 'stoploss'")
        expect(("canceled",) in stops, f"stops {stops}")
    finally:
        code = bot.stop()
    expect(code in (0, INTERRUPTED), f"exit code {code}")


async def stopped_out(at: Place) -> None:
    bot = Bot(at, dry=False)
    try:
        await bot.until(
            "select id from orders where ft_order_side = 'stoploss' and status = 'open'",
            "no stop on the exchange",
        )
        at.shock(0.97)
        rows = await bot.until(
            "select exit_reason from trades where is_open = 0", "no closed trade"
        )
        expect(rows[0][0] == "stoploss_on_exchange", f"closed as {rows[0]}")
    finally:
        code = bot.stop()
    expect(code in (0, INTERRUPTED), f"exit code {code}")


async def main() -> None:
    at = place()
    checks = Checks("freqtrade", limit_s=2 * TRADE_S)
    await checks.run("dry run to a closed trade", lambda: dry_run(at))
    await checks.run("live to a closed trade", lambda: live(at))
    await checks.run("live, stopped on the exchange", lambda: stopped_out(at))


if __name__ == "__main__":
    asyncio.run(main())
