"""The bot (floor 5): listens and answers, and can die without touching trading.

Every outage of Telegram ends here: it is reported once, waited for with growing pauses, and over
when it is over. A second poller with the same token is reported, not fought; alerts go on, because
sending needs no polling. All work runs in supervised tasks, nothing here is awaited by trading.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from core.domain.enums import AlertLevel, Severity
from core.domain.errors import BotError
from core.domain.facts import (
    Alert,
    CandleEvaluated,
    OperatorCommand,
)
from core.domain.ports import Clock
from core.kernel.chance import Chance
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Restart, Supervisor, Work
from tgbot.alerts import AlertDesk, Telling
from tgbot.auth import Gate, Incoming, Pairing, Verdict
from tgbot.commands import Ask, Command, Commands, HoldsPositions, Reply
from tgbot.confirm import Confirmations, Pending
from tgbot.notices import Notice
from tgbot.outbox import (
    Button,
    Conflicted,
    Outbox,
    Outgoing,
    Priority,
    Rejected,
    SlowDown,
    TokenDead,
    Trouble,
    Unreachable,
)
from tgbot.render import Card, span, text
from tgbot.routes import wants
from tgbot.state import Remembered

ANSWER_S = 20.0
"""Longest time an answer may take to be put together."""
DEED_S = 120.0
_EMPTY_POLL_S = 1.0
_FOREVER = Restart(limit=1_000, window=3_600.0, pause=5.0)
_PRIORITIES = {
    Severity.CRITICAL: Priority.CRITICAL,
    Severity.WARNING: Priority.ALERT,
    Severity.INFO: Priority.NOTE,
}


class LogEvent(Protocol):
    """Call form of the daemon's log."""

    def __call__(self, component: str, level: str, message: str) -> None: ...


class TelegramRoute:
    """Alerts into the chats: a button acknowledges, another opens the playbook."""

    def __init__(self, gate: Gate, outbox: Outbox, level: AlertLevel) -> None:
        self._gate = gate
        self._outbox = outbox
        self._level = level

    def tell(self, telling: Telling) -> None:
        if not wants(self._level, telling):
            return
        row: list[Button] = []
        if telling.numbers:
            numbers = ",".join(str(number) for number in telling.numbers)
            row.append(Button("✅ seen", f"ack:{numbers}"))
        if telling.playbook:
            row.append(Button("📖 what to do", f"playbook:{telling.playbook}"))
        priority = _PRIORITIES[telling.severity]
        silent = telling.silent or telling.severity is Severity.INFO
        for chat in self._gate.listeners:
            buttons = (tuple(row),) if row and chat in self._gate.people else ()
            photo = telling.photo
            self._outbox.post(chat, telling.card, priority, buttons, silent=silent, photo=photo)


class Wire(Protocol):
    """The Bot API for one token; failures are the kinds of `outbox`."""

    async def identify(self) -> tuple[int, str]: ...

    async def begin(self, menu: Sequence[tuple[str, str]]) -> None: ...

    async def poll(self, offset: int | None) -> tuple[tuple[int, Incoming | None], ...]: ...

    async def send(self, item: Outgoing) -> None: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Parts:
    """What a bot is made of; `build` puts it together."""

    wire: Wire
    outbox: Outbox
    desk: AlertDesk
    gate: Gate
    commands: Commands
    confirmations: Confirmations
    remembered: Remembered
    save: Callable[[], Awaitable[None]]
    pairing: Pairing | None


class TelegramBot:
    """`start` returns at once; `stop` waits for nobody outside."""

    def __init__(
        self,
        parts: Parts,
        *,
        dispatcher: Dispatcher,
        clock: Clock,
        supervisor: Supervisor,
        chance: Chance,
        log: LogEvent,
        here: str,
    ) -> None:
        self._parts = parts
        self._dispatcher = dispatcher
        self._clock = clock
        self._supervisor = supervisor
        self._log = log
        self._here = here
        self._backoff = Backoff(chance.stream("telegram poll"), base=1.0, cap=60.0)
        self._trouble = Trouble(self._say, clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = False
        self._deeds: set[tuple[str, str]] = set()
        self.outbox = parts.outbox
        self.desk = parts.desk
        self.gate = parts.gate

    def set_order_manager(self, orders: HoldsPositions) -> None:
        """Read open positions straight from the order manager instead of the status view."""
        self._parts.commands.orders = orders

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to listen and to deliver. Does not wait for Telegram."""
        self._dispatcher.subscribe(CandleEvaluated, self._parts.commands.on_candle)
        work: list[tuple[str, Work]] = [
            ("telegram poll", self._poll),
            ("telegram outbox", self.outbox.run),
        ]
        for name, run in work:
            self._tasks.append(self._supervisor.spawn(name, run, _FOREVER))

    async def stop(self) -> None:
        """End at once; what has not left by now does not leave."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        await self._parts.save()
        await self._parts.wire.close()

    def _say(self, level: str, line: str) -> None:
        self._log("telegram", level, line)

    def _notice(self, severity: Severity, key: str, title: str, line: str) -> Notice:
        now = self._clock.now_ms()
        return Notice(severity, f"bot:{key}", title, (text(line),), f"{title} {line}", now)

    # --- listening -------------------------------------------------------------------------------

    async def _poll(self) -> None:
        offset: int | None = None
        while True:
            began = self._clock.monotonic()
            try:
                if not self._connected:
                    await self._connect()
                updates = await self._parts.wire.poll(offset)
            except (Unreachable, SlowDown, Conflicted, TokenDead, Rejected) as error:
                await self._wait_out(error)
                continue
            self._backoff.reset()
            if self._trouble.end("Telegram commands work again"):
                self.desk.offer(self._notice(Severity.INFO, "back", "🔌 commands work again", ""))
            for update_id, incoming in updates:
                offset = update_id + 1
                await self._receive(update_id, incoming)
            if updates:
                await self._remember()
            elif self._clock.monotonic() - began < _EMPTY_POLL_S:
                await self._clock.sleep(_EMPTY_POLL_S)  # a service that does not hold the poll

    async def _connect(self) -> None:
        bot_id, name = await self._parts.wire.identify()
        state = self._parts.remembered
        if state.bot_id != bot_id:  # another bot counts its updates on its own
            state.bot_id, self.gate.last_update, self.gate.last_update_ms = bot_id, 0, 0
        await self._parts.wire.begin(
            [(command.name, command.meaning) for command in self._parts.commands.table]
        )
        self._connected = True
        self._say("INFO", f"connected as @{name}, {len(self.gate.people)} people command")
        pairing = self._parts.pairing
        if pairing is not None and pairing.open:
            self._say(
                "WARNING", f"nobody commands yet: write /start {pairing.code} to @{name} within 1 h"
            )

    async def _wait_out(self, error: BotError) -> None:
        """Report a trouble once and wait."""
        lines = {
            Conflicted: f"another program listens with this bot's token; this is {self._here}. "
            "Commands do not work here until it stops; alerts do",
            TokenDead: "Telegram refuses the token: revoked or mistyped",
        }
        line = lines.get(type(error), f"Telegram does not answer: {error}; trading is unaffected")
        if self._trouble.begin(error, line) and type(error) in lines:
            kind = type(error).__name__.lower()
            notice = self._notice(Severity.WARNING, kind, "⚠️ Telegram", line)
            book = "second-poller" if isinstance(error, Conflicted) else ""
            self.desk.offer(replace(notice, playbook=book))
        pause = error.seconds if isinstance(error, SlowDown) else self._backoff.next()
        await self._clock.sleep(pause)

    async def _remember(self) -> None:
        state, gate = self._parts.remembered, self.gate
        state.last_update, state.last_update_ms = gate.last_update, gate.last_update_ms
        state.paired = gate.paired
        await self._parts.save()

    async def _receive(self, update_id: int, incoming: Incoming | None) -> None:
        verdict = self.gate.judge(incoming, update_id)
        if incoming is None:
            return
        if verdict is Verdict.STRANGER:
            self._watch_pairing()
            line = self.gate.stranger(incoming)
            if line:
                now = self._clock.now_ms()
                self._dispatcher.publish(Alert(Severity.WARNING, "telegram:strangers", line, now))
        elif verdict is Verdict.PAIR:
            self._audit(incoming, "paired by code")
            self._say("WARNING", f"{incoming.who} ({incoming.name}) was paired and commands now")
            await self._answer(incoming, "help", ())
        elif verdict is Verdict.OLD and self.gate.knows(incoming):
            self._audit(incoming, f"telegram too late: {incoming.text}")
            age = span(self._clock.now_ms() - incoming.sent_ms)
            line = f"{incoming.text[:60]} was sent {age} ago, too old to obey: send it again"
            self._put_line(incoming, "⌛ ignored", line)
        elif verdict is Verdict.ACCEPT:
            await self._accept(incoming)

    def _watch_pairing(self) -> None:
        """Say once that the code no longer lets anybody in."""
        pairing = self._parts.pairing
        if pairing is not None and not pairing.open and not self.gate.people:
            self._parts.pairing = None
            self._say("WARNING", "the pairing code is used up or too old: restart for a new one")

    def _audit(self, incoming: Incoming, command: str) -> None:
        now = self._clock.now_ms()
        self._dispatcher.publish(OperatorCommand(incoming.who, command[:200], now))

    # --- answering -------------------------------------------------------------------------------

    async def _accept(self, incoming: Incoming) -> None:
        if not incoming.data:
            self._audit(incoming, f"telegram {incoming.text}")
            words = incoming.text.split()
            if words and words[0].startswith("/"):
                name = words[0][1:].partition("@")[0].lower()
                await self._answer(incoming, name, tuple(words[1:]))
            else:
                self._put_line(incoming, "❓", "commands begin with /, see /help")
            return
        kind, _, value = incoming.data.partition(":")
        if kind not in ("do", "no"):
            self._audit(incoming, f"telegram button {incoming.data}")
        if kind == "ack":
            numbers = [int(number) for number in value.split(",") if number.isdecimal()]
            count = self.desk.acknowledge(numbers)
            self._stop_spinner(incoming, f"{count} acknowledged")
            await self._remember()
        elif kind in ("do", "no"):
            await self._decide(incoming, value, confirmed=kind == "do")
        else:
            self._stop_spinner(incoming, "")
            await self._answer(incoming, kind, (value,) if value else ())

    def _stop_spinner(self, incoming: Incoming, notice: str) -> None:
        self.outbox.put(
            Outgoing(incoming.chat_id, notice, Priority.ANSWER, callback_id=incoming.callback_id)
        )

    async def _decide(self, incoming: Incoming, nonce: str, *, confirmed: bool) -> None:
        """The second step: a button with a nonce was pressed."""
        pending = self._parts.confirmations.take(nonce, incoming.user_id, incoming.chat_id)
        commands = self._parts.commands
        asked = "an old question" if pending is None else pending.words
        self._audit(incoming, f"telegram {'yes' if confirmed else 'no'} to {asked}")
        if pending is None:
            self._stop_spinner(incoming, "expired or used: ask again")
        elif not confirmed:
            self._stop_spinner(incoming, "left as it is")
            card = commands.card("left as it is", text(f"{pending.words} was not done"))
            self._put(incoming, Reply(card), edit_id=incoming.message_id)
        elif (pending.deed.value, pending.argument) in self._deeds:
            self._stop_spinner(incoming, "already running")
        else:
            self._stop_spinner(incoming, "working…")
            self._deeds.add((pending.deed.value, pending.argument))
            self._supervisor.spawn(
                f"telegram {pending.deed.value}", lambda: self._perform(incoming, pending)
            )

    async def _perform(self, incoming: Incoming, pending: Pending) -> None:
        """In a task of its own: other commands are answered meanwhile."""
        try:
            reply = await self._contained(
                pending.deed.value,
                lambda: self._parts.commands.confirmed(pending, self._ask(incoming, ())),
                DEED_S,
            )
            self._put(incoming, reply, edit_id=incoming.message_id)
        finally:
            self._deeds.discard((pending.deed.value, pending.argument))

    async def _answer(self, incoming: Incoming, name: str, args: tuple[str, ...]) -> None:
        commands = self._parts.commands
        command = commands.find(name, args)
        if command is None:
            self._put_line(incoming, "❓", "unknown: see /help")
            return
        self._put(incoming, await self._run(command, self._ask(incoming, args)))

    async def _run(self, command: Command, ask: Ask) -> Reply:
        return await self._contained(command.name, lambda: command.handler(ask), ANSWER_S)

    def _ask(self, incoming: Incoming, args: tuple[str, ...]) -> Ask:
        age = max(self._clock.now_ms() - incoming.sent_ms, 0) if incoming.sent_ms else 0
        return Ask(incoming.who, incoming.user_id, incoming.chat_id, incoming.name, args, age)

    async def _contained(
        self, name: str, work: Callable[[], Awaitable[Reply]], limit_s: float
    ) -> Reply:
        """The border between a command and the bot: whatever fails becomes an answer."""
        try:
            async with asyncio.timeout(limit_s):
                return await work()
        except BotError as error:
            line = str(error)
        except TimeoutError:
            line = f"no answer within {limit_s:.0f} s; it may still take effect: see /status"
        except Exception as error:  # noqa: BLE001 - one command's bug must not end the bot
            self._say("ERROR", f"/{name} failed: {error!r}")
            line = f"/{name} failed: {type(error).__name__}; the log has more"
        return Reply(Card(f"❌ /{name}", (text(line),)))

    def _put_line(self, incoming: Incoming, title: str, line: str) -> None:
        self._put(incoming, Reply(self._parts.commands.card(title, text(line))))

    def _put(self, incoming: Incoming, reply: Reply, *, edit_id: int = 0) -> None:
        self.outbox.post(
            incoming.chat_id,
            reply.card,
            Priority.ANSWER,
            reply.buttons,
            edit_id=edit_id,
            photo=reply.photo,
        )
