"""The operator's phone (floor 7): alerts by Telegram, Slack and mail, and the bot that answers.

The package and the library behind the bot are loaded only when something is set, and by name:
`telegram/` is a source root of its own (`core.kernel.source_roots`). Without a token the library
stays away.
"""

import importlib
import platform
from pathlib import Path
from typing import Protocol, cast

from core.assembly.operator import OperatorDesk
from core.assembly.prices import PriceSource
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import Surroundings
from core.assembly.trading import Trading
from core.config import TradingConfig
from core.domain.ports import Clock
from core.kernel.chance import Chance, system_seed
from core.kernel.dispatcher import Dispatcher
from core.kernel.redaction import Redactor
from core.kernel.source_roots import add_telegram_root
from core.kernel.supervisor import Supervisor
from core.observe.narrator import LogEvent

PROJECT = Path(__file__).resolve().parents[2]


class Phone(Protocol):
    """The alerts as the application sees them. Neither call waits for anybody beyond seconds."""

    async def start(self) -> None: ...

    async def stop(self, reason: str = "") -> None: ...


def open_phone(
    settings: LiveSettings,
    operator: OperatorDesk,
    trading: Trading,
    source: PriceSource | None,
    *,
    surroundings: Surroundings,
    clock: Clock,
    supervisor: Supervisor,
    dispatcher: Dispatcher,
    log: LogEvent,
    redactor: Redactor,
) -> Phone | None:
    """The alerts and the bot, not started; None when neither Telegram, Slack nor mail is set.

    None also when the prices run faster than real time: people and their services do not. Raises
    ConfigError when a token is set and python-telegram-bot is not installed.
    """
    config = settings.config
    ways = _ways(config)
    if not ways:
        return None
    if source is not None and source.epoch_ms is not None and source.speed != 1:
        pace = "as fast as they can" if source.speed is None else f"{source.speed:g} times as fast"
        names = ", ".join(ways)
        log("alerts", "WARNING", f"{names}: no use while prices run {pace}: set PAPER_SPEED=1")
        return None
    add_telegram_root(PROJECT, library=config.telegram_token is not None)
    wire = None
    if config.telegram_token is not None:
        base_url = None if config.telegram_api_url is None else str(config.telegram_api_url)
        token = config.telegram_token.get_secret_value()
        wire = importlib.import_module("tgbot.wire").Wire(
            token, base_url, clock, surroundings.phone
        )
    build = importlib.import_module("tgbot.build")
    ground = build.Ground(
        clock,
        supervisor,
        dispatcher,
        Chance(system_seed() if surroundings.seed is None else surroundings.seed),
        log,
        redactor.redact_text,
        config.data_dir / "telegram.json",
        platform.node() if surroundings.phone is None else "simulation",
        surroundings.phone,
    )
    views = build.Views(
        operator,
        trading.risk_view,
        lambda: settings.config.tier,
        lambda: trading.memory.audit.head,
    )
    notifier = build.build_notifier(config, ground, views, wire)
    notifier.set_order_manager(trading.orders)
    return cast(Phone, notifier)


def _ways(config: TradingConfig) -> list[str]:
    """Names of the settings by which the operator can be reached."""
    ways = []
    if config.telegram_token is not None:
        ways.append("TELEGRAM_TOKEN")
    if config.slack_webhook_url is not None:
        ways.append("SLACK_WEBHOOK_URL")
    if config.smtp_url is not None and config.alert_email_to:
        ways.append("SMTP_URL")
    return ways
