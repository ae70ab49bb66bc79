"""Putting the bot together (floor 5): the one call the application makes."""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from core.config import TradingConfig
from core.domain.enums import Severity, Tier
from core.domain.errors import ConfigError
from core.domain.ports import Clock, OperatorPort
from core.exchange.gateway import ConnectorFactory
from core.kernel.chance import Chance
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Supervisor
from core.risk_guard import RiskView
from tgbot.alerts import AlertDesk
from tgbot.app import SAMPLES, LogEvent, Parts, TelegramBot, TelegramRoute
from tgbot.auth import Gate, Pairing
from tgbot.commands import Commands, Sources
from tgbot.confirm import Confirmations
from tgbot.outbox import Outbox
from tgbot.render import badge
from tgbot.routes import Mail, SecondRoute, Slack
from tgbot.state import Remembered, StateFile
from tgbot.wire import Wire

Equity = deque[tuple[int, Decimal]]
_ROUTE_PAUSE_CAP_S = 300.0


def build_bot(
    config: TradingConfig,
    operator: OperatorPort,
    risk_view: Callable[[], RiskView],
    dispatcher: Dispatcher,
    clock: Clock,
    supervisor: Supervisor,
    chance: Chance,
    state_path: Path,
    *,
    tier: Callable[[], Tier],
    audit_head: Callable[[], tuple[int, str]],
    log: LogEvent,
    redact: Callable[[str], str],
    connector: ConnectorFactory | None = None,
) -> TelegramBot:
    """The bot of TELEGRAM_TOKEN, not started yet.

    `tier` gives the risk tier in force, `audit_head` the number of audit records and the hash of
    the last, `redact` takes the secrets out of a text (INV-12), `connector` replaces TCP. Needs a
    clock on the time of the service: its long polls last 25 seconds of it. Raises ConfigError
    without a token.
    """
    wire = _wire(config, connector)

    def say(level: str, line: str) -> None:
        log("telegram", level, line)

    mark = Mark(operator)
    remembered, save = _memory(state_path, clock, say)
    dice = chance.stream("telegram outbox")
    outbox = Outbox(wire, clock, Backoff(dice, base=1.0, cap=60.0), say, redact)
    gate, pairing = _gate(config, clock, chance, remembered)
    second = _second_routes(config, clock, chance, say, redact)
    desk = AlertDesk(
        clock,
        remembered,
        (TelegramRoute(gate, outbox), *second),
        badge=mark,
        quote=config.resolved_quote_coin,
        save=save,
    )
    equity: Equity = deque(maxlen=SAMPLES)
    confirmations = Confirmations(chance.stream("telegram nonce"), clock)
    sources = Sources(
        operator,
        risk_view,
        tier,
        audit_head,
        clock,
        mark,
        config.instance_id,
        desk,
        lambda: tuple(equity),
    )
    commands = Commands(sources, confirmations)
    parts = Parts(
        wire, outbox, desk, gate, commands, confirmations, second, remembered, save, pairing
    )
    return TelegramBot(
        parts,
        operator,
        equity,
        dispatcher=dispatcher,
        clock=clock,
        supervisor=supervisor,
        chance=chance,
        log=log,
        instance=config.instance_id,
    )


def _wire(config: TradingConfig, connector: ConnectorFactory | None) -> Wire:
    if config.telegram_token is None:
        raise ConfigError(["TELEGRAM_TOKEN: not set, so there is no bot to build"])
    base_url = None if config.telegram_api_url is None else str(config.telegram_api_url)
    return Wire(config.telegram_token.get_secret_value(), base_url, connector)


class Mark:
    """The first words of every message: known once, because a run has one venue and one feed."""

    def __init__(self, operator: OperatorPort) -> None:
        self._operator = operator
        self._words = ""

    def __call__(self) -> str:
        if not self._words:
            view = self._operator.status()
            self._words = badge(view.venue, view.feed)
        return self._words


def _memory(
    path: Path, clock: Clock, say: Callable[[str, str], None]
) -> tuple[Remembered, "Saver"]:
    """What an earlier process left; its open alerts are told again at once."""
    file = StateFile(path)
    remembered, problem = file.load()
    if problem:
        say("WARNING", problem)
    for entry in remembered.criticals.values():
        entry.next_ms = min(entry.next_ms, clock.now_ms())
    return remembered, Saver(file, remembered, say)


class Saver:
    """Writes the memory; a disk that refuses is told once and tried again at the next change."""

    def __init__(
        self, file: StateFile, remembered: Remembered, say: Callable[[str, str], None]
    ) -> None:
        self._file = file
        self._remembered = remembered
        self._say = say
        self._failing = False

    async def __call__(self) -> None:
        try:
            await self._file.save(self._remembered)
        except OSError as error:
            if not self._failing:
                self._say("WARNING", f"the bot's memory cannot be written: {error.strerror}")
            self._failing = True
        else:
            self._failing = False


def _gate(
    config: TradingConfig, clock: Clock, chance: Chance, remembered: Remembered
) -> tuple[Gate, Pairing | None]:
    """The allow-list, and a pairing code while nobody is on it."""
    open_door = not config.telegram_chat_id and not remembered.paired
    pairing = Pairing(chance.stream("telegram pairing"), clock) if open_door else None
    gate = Gate(config.telegram_chat_id, clock, pairing)
    gate.paired = remembered.paired
    gate.last_update = remembered.last_update
    gate.last_update_ms = remembered.last_update_ms
    return gate, pairing


def _second_routes(
    config: TradingConfig,
    clock: Clock,
    chance: Chance,
    say: Callable[[str, str], None],
    redact: Callable[[str], str],
) -> tuple[SecondRoute, ...]:
    dice = chance.stream("alert routes")
    routes = []
    if config.slack_webhook_url is not None:
        backoff = Backoff(dice, base=2.0, cap=_ROUTE_PAUSE_CAP_S)
        slack = Slack(config.slack_webhook_url)
        routes.append(SecondRoute(slack, clock, backoff, say, redact, Severity.INFO))
    if config.smtp_url is not None and config.alert_email_to:
        backoff = Backoff(dice, base=10.0, cap=_ROUTE_PAUSE_CAP_S)
        mail = Mail(config.smtp_url, config.alert_email_to)
        routes.append(SecondRoute(mail, clock, backoff, say, redact, Severity.WARNING))
    return tuple(routes)
