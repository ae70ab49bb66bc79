"""Messages on their way out (floor 5; INV-16: bounded, with a pause after each failure).

Whoever has something to say puts it here and goes on: a slow or dead Telegram delays nobody. The
box is bounded; when it is full, the oldest of the least important goes. Critical alerts that are
lost here come again, because the alert desk repeats them until somebody has acknowledged them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from core.domain.errors import BotError
from core.domain.ports import Clock
from core.kernel.retry import Backoff
from tgbot.render import Card

CAPACITY = 300
BURST_S = 3.0
PER_CHAT_S = 1.0
"""The service allows about one message per second and chat; short bursts pass."""
ANSWER_LIFE_S = 600.0
"""An answer nobody could be given for ten minutes is not worth giving."""


class Priority(IntEnum):
    """The order of leaving."""

    CRITICAL = 0
    ANSWER = 1
    ALERT = 2
    NOTE = 3


class Unreachable(BotError):
    """No usable answer of the service: network, time-out, 5xx. Repeating may help."""


class SlowDown(BotError):
    """429: the service names the pause, in seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"asked to wait {seconds:g} s")
        self.seconds = seconds


class Conflicted(BotError):
    """409: another program polls with the same token."""


class TokenDead(BotError):
    """401 or 404: the token is wrong or was revoked."""


class Rejected(BotError):
    """The service refuses this message; repeating cannot help."""


@dataclass(frozen=True, slots=True)
class Button:
    """`data` comes back when the button is pressed, 64 bytes at most."""

    label: str
    data: str


Buttons = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message; `edit_id` replaces the text of an earlier one, `photo` is a PNG.

    With `callback_id` it stops the spinner of a pressed button instead, and `html` is plain text.
    """

    chat_id: int
    html: str
    priority: Priority
    buttons: Buttons = ()
    photo: bytes = b""
    edit_id: int = 0
    callback_id: str = ""
    silent: bool = False


class Carrier(Protocol):
    """Takes one message to the service, or raises one of the errors above."""

    async def send(self, item: Outgoing) -> None: ...


class Trouble:
    """One line when a trouble begins and one when it is over, however long it lasts."""

    def __init__(self, say: Callable[[str, str], None], clock: Clock) -> None:
        self._say = say
        self._clock = clock
        self._since = 0.0
        self.now = ""

    def begin(self, error: BotError, line: str) -> bool:
        """True when this kind of trouble is new."""
        kind = type(error).__name__
        if kind == self.now:
            return False
        if not self.now:
            self._since = self._clock.monotonic()
        self.now = kind
        self._say("WARNING", line)
        return True

    def end(self, line: str) -> bool:
        """True when there was a trouble."""
        if not self.now:
            return False
        self.now = ""
        self._say("INFO", f"{line} after {self._clock.monotonic() - self._since:.0f} s")
        return True


@dataclass(slots=True)
class OutboxCounts:
    sent: int = 0
    dropped: int = 0
    expired: int = 0
    rejected: int = 0


class Outbox:
    """`put` never waits; `run` is one supervised task."""

    def __init__(
        self,
        carrier: Carrier,
        clock: Clock,
        backoff: Backoff,
        say: Callable[[str, str], None],
        redact: Callable[[str], str],
    ) -> None:
        self._carrier = carrier
        self._clock = clock
        self._backoff = backoff
        self._say = say
        self._redact = redact
        self._trouble = Trouble(say, clock)
        self._queues = {priority: deque[tuple[float, Outgoing]]() for priority in Priority}
        self._wake = asyncio.Event()
        self._free_at: dict[int, float] = {}
        self._in_hand = False
        self._rejected: dict[str, int] = {}
        self.counts = OutboxCounts()

    @property
    def waiting(self) -> int:
        """Messages not delivered yet."""
        return sum(len(queue) for queue in self._queues.values()) + self._in_hand

    @property
    def trouble(self) -> str:
        """Kind of the trouble that keeps messages from leaving; empty when there is none."""
        return self._trouble.now

    def post(
        self,
        chat_id: int,
        card: Card,
        priority: Priority,
        buttons: Buttons = (),
        *,
        silent: bool = False,
        edit_id: int = 0,
        photo: bytes = b"",
    ) -> None:
        """A card without its secrets, in as many messages as it needs, after its picture.

        Buttons hang under the last one, `edit_id` is for the first.
        """
        clean = card.redacted(self._redact)
        if photo:
            caption = Card(clean.head).parts()[0]
            self.put(Outgoing(chat_id, caption, priority, photo=photo, silent=silent))
        parts = clean.parts()
        for at, part in enumerate(parts):
            item = Outgoing(
                chat_id,
                part,
                priority,
                buttons=buttons if at == len(parts) - 1 else (),
                edit_id=edit_id if at == 0 else 0,
                silent=silent,
            )
            self.put(item)

    def put(self, item: Outgoing) -> None:
        if self.waiting >= CAPACITY:
            for priority in sorted(Priority, reverse=True):
                if self._queues[priority]:
                    self._queues[priority].popleft()
                    self.counts.dropped += 1
                    break
        self._queues[item.priority].append((self._clock.monotonic(), item))
        self._wake.set()

    async def run(self) -> None:
        """Deliver for ever, most important first."""
        while True:
            taken = self._take()
            if taken is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._in_hand = True
            try:
                await self._deliver(*taken)
            finally:
                self._in_hand = False

    async def drain(self, timeout: float) -> bool:
        """Wait until everything has left; False when it has not after `timeout` seconds."""
        deadline = self._clock.monotonic() + timeout
        while self.waiting and self._clock.monotonic() < deadline:
            await self._clock.sleep(0.05)
        return not self.waiting

    def _take(self) -> tuple[float, Outgoing] | None:
        for priority in Priority:
            if self._queues[priority]:
                return self._queues[priority].popleft()
        return None

    async def _deliver(self, since: float, item: Outgoing) -> None:
        now = self._clock.monotonic()
        if item.priority is Priority.ANSWER and now - since > ANSWER_LIFE_S:
            self.counts.expired += 1
            return
        if not item.callback_id:
            await self._keep_pace(item.chat_id)
        try:
            await self._carrier.send(item)
        except SlowDown as error:
            self._trouble.begin(error, f"Telegram slows us down: {error}; trading is unaffected")
            self._put_back(since, item)
            await self._clock.sleep(error.seconds)
        except (Unreachable, TokenDead, Conflicted) as error:
            self._trouble.begin(
                error, f"Telegram messages do not leave: {error}; trading is unaffected"
            )
            self._put_back(since, item)
            await self._clock.sleep(self._backoff.next())
        except Rejected as error:
            self._reject(item, error)
        else:
            self.counts.sent += 1
            self._backoff.reset()
            self._trouble.end("Telegram messages leave again")

    def _put_back(self, since: float, item: Outgoing) -> None:
        self._queues[item.priority].appendleft((since, item))

    def _reject(self, item: Outgoing, error: Rejected) -> None:
        """A refusal is told once per reason and chat; the rest are counted."""
        self.counts.rejected += 1
        reason = f"chat {item.chat_id}: {error}"
        if reason not in self._rejected and len(self._rejected) < CAPACITY:
            self._say("WARNING", f"Telegram refuses a message to {reason}")
        self._rejected[reason] = self._rejected.get(reason, 0) + 1

    async def _keep_pace(self, chat_id: int) -> None:
        now = self._clock.monotonic()
        free_at = max(self._free_at.get(chat_id, 0.0), now - BURST_S + PER_CHAT_S)
        self._free_at[chat_id] = free_at + PER_CHAT_S
        if free_at > now:
            await self._clock.sleep(free_at - now)
