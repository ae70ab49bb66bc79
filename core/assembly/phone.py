"""The operator's phone (floor 7): Telegram and the alerts beside it, when a token is set.

The bot's package and the library behind it are loaded only then, and by name: `telegram/` is a
source root of its own (`core.kernel.source_roots`).
"""

import importlib
from pathlib import Path
from typing import Protocol, cast

from core.assembly.operator import OperatorDesk
from core.assembly.prices import PriceSource
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import Surroundings
from core.assembly.trading import Trading
from core.domain.ports import Clock
from core.kernel.chance import Chance, system_seed
from core.kernel.dispatcher import Dispatcher
from core.kernel.redaction import Redactor
from core.kernel.source_roots import add_telegram_root
from core.kernel.supervisor import Supervisor
from core.observe.narrator import LogEvent

PROJECT = Path(__file__).resolve().parents[2]


class Phone(Protocol):
    """The bot as the application sees it. Neither call waits for Telegram beyond seconds."""

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
    """The bot, not started; None without TELEGRAM_TOKEN.

    None also when the prices run faster than real time: Telegram's people and servers do not.
    Raises ConfigError when python-telegram-bot is not installed.
    """
    config = settings.config
    if config.telegram_token is None:
        return None
    if source is not None and source.epoch_ms is not None and source.speed != 1:
        pace = "as fast as they can" if source.speed is None else f"{source.speed:g} times as fast"
        line = f"TELEGRAM_TOKEN has no use while prices run {pace}: set PAPER_SPEED=1 for it"
        log("telegram", "WARNING", line)
        return None
    add_telegram_root(PROJECT)
    bot = importlib.import_module("tgbot.build").build_bot(
        config,
        operator,
        trading.risk_view,
        dispatcher,
        clock,
        supervisor,
        Chance(system_seed() if surroundings.seed is None else surroundings.seed),
        config.data_dir / "telegram.json",
        tier=lambda: settings.config.tier,
        audit_head=lambda: trading.memory.audit.head,
        log=log,
        redact=redactor.redact_text,
        connector=surroundings.phone,
    )
    bot.set_order_manager(trading.orders)
    return cast(Phone, bot)
