"""One look of the monitor from outside the daemon (floor 8): figures, report file, Telegram."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from core.config import TradingConfig
from core.domain.errors import BotError
from core.kernel.durable_file import replace_file
from core.observe.monitor import Monitor, Reading, read_figures, report_text
from core.storage.database import open_reader
from tools.common.cli import Output
from tools.common.holdings import database_path

REPORT = "monitor_report.txt"
_TELEGRAM_S = 10.0
_TELEGRAM = "https://api.telegram.org"


@dataclass(frozen=True, slots=True)
class Look:
    readings: tuple[Reading, ...]
    text: str

    @property
    def alarms(self) -> tuple[Reading, ...]:
        return tuple(reading for reading in self.readings if reading.raised)

    @property
    def news(self) -> tuple[Reading, ...]:
        return tuple(reading for reading in self.readings if reading.changed)


async def look(config: TradingConfig, now_ms: int, output: Output) -> Look:
    """Judge, keep what is raised for the next look, write the report. Raises BotError, OSError."""
    state = config.data_dir / "runtime" / "monitor.json"
    monitor = Monitor(_raised(state))
    database = await open_reader(database_path(config))
    try:
        figures = await read_figures(database, config.logs_dir, now_ms, config.resolved_quote_coin)
    finally:
        await database.close()
    readings = monitor.judge(figures)
    at = f"{datetime.fromtimestamp(now_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}"
    text = output.redactor.redact_text(report_text(readings, at))
    replace_file(state, json.dumps({"raised": monitor.raised}).encode())
    replace_file(config.logs_dir / REPORT, text.encode(), mode=0o644)
    return Look(readings, text)


async def look_and_tell(config: TradingConfig, now_ms: int, output: Output) -> Look:
    """As `look`; what changed goes to Telegram too, where it is configured."""
    seen = await look(config, now_ms, output)
    if seen.news and config.telegram_token is not None and config.telegram_chat_id:
        words = "\n".join(["monitor", *(reading.line for reading in seen.news)])
        try:
            await _telegram(config, output.redactor.redact_text(words))
        except (aiohttp.ClientError, TimeoutError, BotError) as error:
            output.note(f"warning: Telegram was not reached ({type(error).__name__})")
    return seen


async def _telegram(config: TradingConfig, text: str) -> None:
    """Errors name no address, because it holds the token."""
    if config.telegram_token is None:
        return
    base = (config.telegram_api_url or _TELEGRAM).rstrip("/")
    url = f"{base}/bot{config.telegram_token.get_secret_value()}/sendMessage"
    timeout = aiohttp.ClientTimeout(total=_TELEGRAM_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as http:
        for chat in config.telegram_chat_id:
            async with http.post(url, json={"chat_id": chat, "text": text}) as answer:
                if answer.status != 200:
                    raise BotError(f"Telegram answered {answer.status}")


def _raised(path: Path) -> tuple[str, ...]:
    """Rules raised at the last look; none when that is not known."""
    try:
        return tuple(str(key) for key in json.loads(path.read_text("utf-8"))["raised"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
