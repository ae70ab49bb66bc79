"""Putting the notifier together, with the bot when there is one (floor 5): the one call the
application makes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.config import TradingConfig
from core.domain.enums import Tier
from core.domain.ports import Clock, OperatorPort
from core.exchange.gateway import ConnectorFactory
from core.kernel.chance import Chance
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Supervisor
from core.risk_guard import RiskView
from tgbot.alerts import AlertDesk, Route
from tgbot.app import LogEvent, Parts, TelegramBot, TelegramRoute, Wire
from tgbot.auth import Gate, Pairing
from tgbot.commands import Commands, Sources
from tgbot.confirm import Confirmations
from tgbot.notifier import Notifier, Routes
from tgbot.outbox import Outbox
from tgbot.render import badge
from tgbot.reports import Reports
from tgbot.routes import Mail, SecondRoute, Slack
from tgbot.state import Remembered, StateFile

_ROUTE_PAUSE_CAP_S = 300.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the notifier stands on. `state_path` is its memory across restarts, `host` the name of
    this machine, `redact` takes the secrets out of a text (INV-12), `connector` replaces TCP to
    Slack."""

    clock: Clock
    supervisor: Supervisor
    dispatcher: Dispatcher
    chance: Chance
    log: LogEvent
    redact: Callable[[str], str]
    state_path: Path
    host: str
    connector: ConnectorFactory | None = None


@dataclass(frozen=True, slots=True)
class Views:
    """What is shown. `tier` gives the risk tier in force, `audit_head` the number of audit records
    and the hash of the last."""

    operator: OperatorPort
    risk: Callable[[], RiskView]
    tier: Callable[[], Tier]
    audit_head: Callable[[], tuple[int, str]]


def build_notifier(
    config: TradingConfig, ground: Ground, views: Views, wire: Wire | None
) -> Notifier:
    """Alerts by every route that is set, not started yet; `wire` None leaves Telegram out.

    Needs a clock on the time of the services: Telegram's long polls last 25 seconds of it.
    """
    return _Builder(config, ground, views).build(wire)


class _Builder:
    def __init__(self, config: TradingConfig, ground: Ground, views: Views) -> None:
        self._config = config
        self._ground = ground
        self._views = views
        self._mark = Mark(views.operator)
        self._remembered, self._save = _memory(
            ground.state_path, ground.clock, self._say, ground.redact
        )

    def _say(self, level: str, line: str) -> None:
        self._ground.log("telegram", level, line)

    def _tell(self, level: str, line: str) -> None:
        self._ground.log("alerts", level, line)

    @property
    def _here(self) -> str:
        return f"{self._config.instance_id} on {self._ground.host}"

    def build(self, wire: Wire | None) -> Notifier:
        ground, config = self._ground, self._config
        second = self._second_routes()
        gate, pairing = self._gate(asks=wire is not None)
        outbox = None if wire is None else self._outbox(wire)
        routes: list[Route] = list(second)
        if outbox is not None:
            routes.insert(0, TelegramRoute(gate, outbox, config.telegram_level))
        desk = AlertDesk(
            ground.clock,
            self._remembered,
            routes,
            badge=self._mark,
            quote=config.resolved_quote_coin,
            save=self._save,
            answered=wire is not None,
            quiet=config.alert_quiet_hours_utc,
        )
        reports = Reports(
            self._views.operator,
            ground.clock,
            badge=self._mark,
            audit_head=self._views.audit_head,
            streak=lambda: desk.streak,
        )
        bot = None
        if wire is not None and outbox is not None:
            bot = self._bot(wire, outbox, desk, reports, gate, pairing)
        return Notifier(
            desk,
            Routes(bot, second),
            reports,
            dispatcher=ground.dispatcher,
            clock=ground.clock,
            supervisor=ground.supervisor,
            here=self._here,
        )

    def _bot(
        self,
        wire: Wire,
        outbox: Outbox,
        desk: AlertDesk,
        reports: Reports,
        gate: Gate,
        pairing: Pairing | None,
    ) -> TelegramBot:
        ground, views = self._ground, self._views
        confirmations = Confirmations(ground.chance.stream("telegram nonce"), ground.clock)
        sources = Sources(
            views.operator,
            views.risk,
            views.tier,
            views.audit_head,
            ground.clock,
            self._mark,
            self._config.instance_id,
            desk,
            reports,
        )
        commands = Commands(sources, confirmations)
        parts = Parts(
            wire,
            outbox,
            desk,
            gate,
            commands,
            confirmations,
            self._remembered,
            self._save,
            pairing,
        )
        return TelegramBot(
            parts,
            dispatcher=ground.dispatcher,
            clock=ground.clock,
            supervisor=ground.supervisor,
            chance=ground.chance,
            log=ground.log,
            here=self._here,
        )

    def _outbox(self, wire: Wire) -> Outbox:
        backoff = Backoff(self._ground.chance.stream("telegram outbox"), base=1.0, cap=60.0)
        return Outbox(wire, self._ground.clock, backoff, self._say, self._ground.redact)

    def _gate(self, *, asks: bool) -> tuple[Gate, Pairing | None]:
        """The allow-list, and a pairing code while nobody is on it."""
        chats, clock, remembered = (
            self._config.telegram_chat_id,
            self._ground.clock,
            self._remembered,
        )
        open_door = asks and not chats and not remembered.paired
        dice = self._ground.chance.stream("telegram pairing")
        pairing = Pairing(dice, clock) if open_door else None
        gate = Gate(chats, clock, pairing)
        gate.paired = remembered.paired
        gate.last_update = remembered.last_update
        gate.last_update_ms = remembered.last_update_ms
        return gate, pairing

    def _second_routes(self) -> tuple[SecondRoute, ...]:
        config, ground = self._config, self._ground
        dice = ground.chance.stream("alert routes")
        routes = []
        if config.slack_webhook_url is not None:
            backoff = Backoff(dice, base=2.0, cap=_ROUTE_PAUSE_CAP_S)
            slack = Slack(config.slack_webhook_url, ground.connector)
            level = config.slack_level
            routes.append(
                SecondRoute(slack, ground.clock, backoff, self._tell, ground.redact, level)
            )
        if config.smtp_url is not None and config.alert_email_to:
            backoff = Backoff(dice, base=10.0, cap=_ROUTE_PAUSE_CAP_S)
            mail = Mail(config.smtp_url, config.alert_email_to)
            level = config.alert_email_level
            routes.append(
                SecondRoute(mail, ground.clock, backoff, self._tell, ground.redact, level)
            )
        return tuple(routes)


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
    path: Path,
    clock: Clock,
    say: Callable[[str, str], None],
    redact: Callable[[str], str],
) -> tuple[Remembered, "Saver"]:
    """What an earlier process left; its open alerts are told again at once."""
    file = StateFile(path, redact)
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
