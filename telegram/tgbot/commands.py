"""What the operator can ask for (floor 5): one table, one handler each.

Reading answers at once. What reduces risk (`/pause`) acts at once. `/panic`, `/close`, more
aggression and clearing a halt take a second step (`confirm`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from core.domain.enums import Tier
from core.domain.errors import BotError
from core.domain.facts import CandleEvaluated
from core.domain.ports import Clock, OperatorPort
from core.domain.position import PositionView
from core.risk_guard import RiskView
from core.symbol_utils import normalize_symbol
from tgbot import playbooks, views
from tgbot.alerts import AlertDesk
from tgbot.confirm import LIFE_S, Confirmations, Deed, Pending, digest_of
from tgbot.outbox import Button
from tgbot.render import Block, Card, base, span, table, text
from tgbot.reports import DAY_MS, Reports

_SYMBOLS_SHOWN = 500
_LOG_LINES = 20
_LOG_MOST = 100
_WHY_LINES = 5
_SYMBOL_BUTTONS = 12
_ACTING = ("pause", "resume", "close", "panic", "aggression")
_TIERS = tuple(Tier)


@dataclass(frozen=True, slots=True)
class Ask:
    """One command of one person; `age_ms` is how long it was on its way."""

    who: str
    user_id: int
    chat_id: int
    name: str
    args: tuple[str, ...]
    age_ms: int


@dataclass(frozen=True, slots=True)
class Reply:
    card: Card
    buttons: tuple[tuple[Button, ...], ...] = ()
    photo: bytes = b""


Handler = Callable[[Ask], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Command:
    """`usage` follows the name in the help; `aliases` are names known from other bots."""

    name: str
    usage: str
    meaning: str
    handler: Handler
    aliases: tuple[str, ...] = ()


class HoldsPositions(Protocol):
    """The order manager as the bot sees it."""

    def get_active_positions(self) -> tuple[PositionView, ...]: ...


@dataclass(slots=True)
class Sources:
    """Where answers come from. `audit_head` gives the number of audit records and their hash."""

    operator: OperatorPort
    risk_view: Callable[[], RiskView]
    tier: Callable[[], Tier]
    audit_head: Callable[[], tuple[int, str]]
    clock: Clock
    badge: Callable[[], str]
    instance: str
    desk: AlertDesk
    reports: Reports


class Commands:
    """Handlers by name. `orders` may be set when the order manager is there."""

    def __init__(self, sources: Sources, confirmations: Confirmations) -> None:
        self._from = sources
        self._operator = sources.operator
        self._clock = sources.clock
        self._confirmations = confirmations
        self._signals: dict[str, CandleEvaluated] = {}
        self.orders: HoldsPositions | None = None
        self.table = (
            Command("status", "", "state of everything on one screen", self.status),
            Command("positions", "", "open positions and their stops", self.positions),
            Command("risk", "", "limits, streak, cooldown, drawdown", self.risk),
            Command("summary", "", "today's result", self.summary, ("profit", "daily")),
            Command("performance", "", "1, 7 and 30 days", self.performance),
            Command("report", "", "today with the equity picture", self.report),
            Command("why", "[SYMBOL]", "last decisions and their reasons", self.why),
            Command("pause", "", "stop entries, keep exits", self.pause, ("stopentry", "stop")),
            Command("resume", "", "allow entries again", self.resume),
            Command("close", "[SYMBOL]", "close one position", self.close, ("forceexit",)),
            Command("panic", "", "close everything and stay out", self.panic),
            Command("aggression", "[tier]", "show or change the risk tier", self.aggression),
            Command(
                "config", "", "settings in force, secrets masked", self.config, ("show_config",)
            ),
            Command("logs", "[n]", "newest log lines", self.logs),
            Command("audit", "", "length and head of the audit chain", self.audit),
            Command("playbook", "[name]", "what to do when…", self.playbook),
            Command("ping", "", "is anybody there", self.ping, ("health",)),
            Command("help", "", "this list", self.help, ("start",)),
        )
        self._by_name = {
            name: command for command in self.table for name in (command.name, *command.aliases)
        }

    def find(self, name: str, args: tuple[str, ...]) -> Command | None:
        """The command of a typed name; `/fx all` is panic and `/fx SYMBOL` is close."""
        if name == "fx":
            name = "panic" if args in (("all",), ("ALL",)) else "close"
        return self._by_name.get(name)

    def on_candle(self, fact: CandleEvaluated) -> None:
        """Remember the newest verdict per symbol."""
        if fact.symbol in self._signals or len(self._signals) < _SYMBOLS_SHOWN:
            self._signals[fact.symbol] = fact

    def badge(self) -> str:
        return self._from.badge()

    def card(self, title: str, *blocks: Block) -> Card:
        return Card(f"{self.badge()} · {title}", blocks)

    def _held(self) -> tuple[PositionView, ...]:
        if self.orders is not None:
            return self.orders.get_active_positions()
        return self._operator.status().positions

    def _marks(self) -> dict[str, Decimal]:
        return dict(self._operator.status().marks)

    def _day_start(self) -> int:
        now = self._clock.now_ms()
        return now - now % DAY_MS

    # --- reading ---------------------------------------------------------------------------------

    async def status(self, _ask: Ask) -> Reply:
        view, risk = self._operator.status(), self._from.risk_view()
        blocks = list(views.status(view, risk, self._signals, self._clock.now_ms()))
        open_alerts = len(self._from.desk.unacknowledged)
        if open_alerts:
            blocks.append(text(f"🚨 {open_alerts} critical alerts not acknowledged"))
        row = [Button("🔄 again", "status:"), Button("risk", "risk:"), Button("why", "why:")]
        return Reply(self.card(self._from.instance, *blocks), (tuple(row),))

    async def positions(self, _ask: Ask) -> Reply:
        held = self._held()
        buttons = tuple((Button(f"close {base(v.symbol)}", f"close:{v.symbol}"),) for v in held)
        title = f"{len(held)} open"
        return Reply(
            self.card(title, *views.positions(held, self._marks(), self._clock.now_ms())), buttons
        )

    async def risk(self, _ask: Ask) -> Reply:
        view, quote = self._from.risk_view(), self._operator.status().quote_coin
        return Reply(self.card("risk", *views.risk(view, quote, self._clock.now_ms())))

    async def summary(self, _ask: Ask) -> Reply:
        return Reply(await self._summary("today, UTC"))

    async def _summary(self, title: str) -> Card:
        start = self._day_start()
        day = await self._operator.day(start, self._clock.now_ms() + 1)
        quote = self._operator.status().quote_coin
        return self.card(title, *views.summary(day, quote, self._from.desk.streak))

    async def performance(self, _ask: Ask) -> Reply:
        end = self._clock.now_ms() + 1
        periods = [
            (f"{days} d", await self._operator.day(end - days * DAY_MS, end)) for days in (1, 7, 30)
        ]
        quote = self._operator.status().quote_coin
        return Reply(self.card("performance", *views.performance(periods, quote)))

    async def report(self, _ask: Ask) -> Reply:
        start, end = self._day_start(), self._clock.now_ms() + 1
        report = await self._from.reports.of("today, UTC", start, end)
        return Reply(report.card, photo=report.photo)

    async def why(self, ask: Ask) -> Reply:
        symbol = self._symbol(ask.args[0]) if ask.args else None
        lines = await self._operator.why(symbol, _WHY_LINES)
        title = f"why {base(symbol)}" if symbol else "why"
        return Reply(self.card(title, *views.why(lines)), () if symbol else self._symbol_rows())

    def _symbol_rows(self) -> tuple[tuple[Button, ...], ...]:
        """Buttons for the symbols looked at last, a few in a row."""
        newest = sorted(self._signals.values(), key=lambda fact: (-fact.at_ms, fact.symbol))
        shown = sorted(fact.symbol for fact in newest[:_SYMBOL_BUTTONS])
        buttons = [Button(base(symbol), f"why:{symbol}") for symbol in shown]
        return tuple(tuple(buttons[at : at + 4]) for at in range(0, len(buttons), 4))

    async def config(self, _ask: Ask) -> Reply:
        lines = tuple(self._operator.settings().splitlines())
        return Reply(self.card("configuration", Block(lines, mono=True)))

    async def logs(self, ask: Ask) -> Reply:
        count = _LOG_LINES
        if ask.args:
            if not ask.args[0].isdecimal() or not 1 <= int(ask.args[0]) <= _LOG_MOST:
                return self._refuse(f"/logs takes a number from 1 to {_LOG_MOST}")
            count = int(ask.args[0])
        lines = self._operator.log_tail(count) or ("the log is empty",)
        return Reply(self.card(f"last {len(lines)} log lines", Block(lines, mono=True)))

    async def audit(self, _ask: Ask) -> Reply:
        records, head = self._from.audit_head()
        rows = (("records", str(records)), ("head", head[:32]), ("", head[32:]))
        how = text("check it with: python -m tools.verify_audit")
        return Reply(self.card("audit chain", table(rows), how))

    async def playbook(self, ask: Ask) -> Reply:
        known = playbooks.names()
        if ask.args:
            card = playbooks.card(ask.args[0].lower(), self.badge())
            if card is not None:
                return Reply(card)
        buttons = [Button(name, f"playbook:{name}") for name in known]
        rows = tuple(tuple(buttons[at : at + 2]) for at in range(0, len(buttons), 2))
        return Reply(self.card("playbooks", text("What happened?")), rows)

    async def ping(self, ask: Ask) -> Reply:
        up = span(self._operator.status().uptime_s * 1_000)
        heard = ask.age_ms // 1_000 + 1  # the service tells whole seconds
        line = f"pong: {self._from.instance} is up for {up}, heard you within {heard} s"
        return Reply(self.card("ping", text(line)))

    async def help(self, ask: Ask) -> Reply:
        acting = dict.fromkeys(_ACTING)
        looks = [self._line(command) for command in self.table if command.name not in acting]
        acts = [self._line(command) for command in self.table if command.name in acting]
        title = f"hello {ask.name}, these work"
        note = text("also known: " + ", ".join(self._aliases()))
        return Reply(self.card(title, text("▸ look", *looks), text("▸ act", *acts), note))

    def _line(self, command: Command) -> str:
        return f"/{command.name} {command.usage}".strip() + f": {command.meaning}"

    def _aliases(self) -> list[str]:
        """Names known from other bots."""
        return ["/fx", *(f"/{alias}" for command in self.table for alias in command.aliases)]

    # --- acting ----------------------------------------------------------------------------------

    async def pause(self, ask: Ask) -> Reply:
        card = self.card("⏸ paused", text(await self._operator.pause(ask.who)))
        return Reply(card, ((Button("▶️ resume", "resume:"),),))

    async def resume(self, ask: Ask) -> Reply:
        halt = self._from.risk_view().halt
        if halt is None:
            return Reply(self.card("▶️ resume", text(await self._operator.resume(ask.who))))
        shown = text(f"halted by {halt.who}: {halt.reason}", "clear the halt and allow entries?")
        return self._question(ask, Deed.CLEAR_HALT, "", "clear the halt", shown)

    async def close(self, ask: Ask) -> Reply:
        held = self._held()
        if not ask.args:
            rows = tuple((Button(base(v.symbol), f"close:{v.symbol}"),) for v in held)
            line = "which one?" if held else "no open positions"
            return Reply(self.card("close", text(line)), rows)
        symbol = self._symbol(ask.args[0])
        chosen = [view for view in held if view.symbol == symbol]
        if not chosen:
            return self._refuse(f"no open position in {base(symbol)}")
        blocks = views.positions(chosen, self._marks(), self._clock.now_ms())
        return self._question(ask, Deed.CLOSE, symbol, f"close {base(symbol)} at market", *blocks)

    async def panic(self, ask: Ask) -> Reply:
        held = self._held()
        plan = text(
            "1. block entries until cleared",
            "2. cancel entry orders",
            f"3. close at market: {len(held)}",
            "4. verify on the exchange",
            "5. cancel what is left",
        )
        blocks = views.positions(held, self._marks(), self._clock.now_ms())
        return self._question(ask, Deed.PANIC, "", "PANIC", *blocks, plan)

    async def aggression(self, ask: Ask) -> Reply:
        now = self._from.tier()
        wanted = next((tier for tier in _TIERS if ask.args and tier == ask.args[0].lower()), None)
        if wanted is None:
            row = tuple(
                Button(f"• {tier.value}" if tier is now else tier.value, f"aggression:{tier.value}")
                for tier in _TIERS
            )
            return Reply(self.card("aggression", text(f"tier in force: {now.value}")), (row,))
        if _TIERS.index(wanted) <= _TIERS.index(now):
            line = await self._operator.set_tier(wanted, ask.who)
            return Reply(self.card("aggression", text(line)))
        shown = text(f"from {now.value} to {wanted.value}: more risk per trade")
        return self._question(ask, Deed.TIER, wanted.value, f"more risk: {wanted.value}", shown)

    def _question(self, ask: Ask, deed: Deed, argument: str, title: str, *blocks: Block) -> Reply:
        digest = self._digest(deed, argument)
        nonce = self._confirmations.ask(deed, argument, ask.user_id, ask.chat_id, digest)
        row = (Button(f"yes, {title}", f"do:{nonce}"), Button("no", f"no:{nonce}"))
        note = text(f"valid for {LIFE_S:.0f} s, once")
        return Reply(self.card(f"{title}?", *blocks, note), (row,))

    def _digest(self, deed: Deed, argument: str) -> str:
        """Fingerprint of the state the deed was shown with."""
        held = self._held()
        if deed is Deed.CLOSE:
            return digest_of(view for view in held if view.symbol == argument)
        if deed is Deed.PANIC:
            return digest_of(held)
        if deed is Deed.TIER:
            return self._from.tier().value
        halt = self._from.risk_view().halt
        return "" if halt is None else f"{halt.at_ms}|{halt.reason}"

    async def confirmed(self, pending: Pending, ask: Ask) -> Reply:
        """Do what was asked, unless the state is not the one that was shown."""
        if self._digest(pending.deed, pending.argument) != pending.digest:
            again = Ask(ask.who, ask.user_id, ask.chat_id, ask.name, (pending.argument,), 0)
            asked = {
                Deed.PANIC: self.panic,
                Deed.CLOSE: self.close,
                Deed.CLEAR_HALT: self.resume,
                Deed.TIER: self.aggression,
            }
            reply = await asked[pending.deed](again)
            changed = text("the state changed meanwhile: this is the new one")
            return Reply(Card(reply.card.head, (changed, *reply.card.blocks)), reply.buttons)
        return await self._perform(pending, ask)

    async def _perform(self, pending: Pending, ask: Ask) -> Reply:
        match pending.deed:
            case Deed.PANIC:
                report = await self._operator.panic(ask.who, "by telegram")
                title = "PANIC done" if report.clean else "🚨 PANIC NOT COMPLETE"
                quote = self._operator.status().quote_coin
                return Reply(self.card(title, *views.panic(report, quote)))
            case Deed.CLOSE:
                outcome = await self._operator.close(pending.argument, ask.who)
                return Reply(self.card("close", text(views.closed(outcome))))
            case Deed.CLEAR_HALT:
                cleared = await self._operator.clear_halt(ask.who, "by telegram")
                return Reply(
                    self.card("▶️ resume", text(cleared, await self._operator.resume(ask.who)))
                )
            case Deed.TIER:
                line = await self._operator.set_tier(Tier(pending.argument), ask.who)
                return Reply(self.card("aggression", text(line)))

    def _symbol(self, typed: str) -> str:
        """Normal form; a bare base takes the quote coin of this run."""
        plain = typed.upper()
        quote = self._operator.status().quote_coin
        if "/" not in plain and not plain.endswith(quote):
            plain += quote
        try:
            return normalize_symbol(plain)
        except ValueError as error:
            raise BotError(str(error)) from None

    def _refuse(self, line: str) -> Reply:
        return Reply(self.card("❌", text(line)))
