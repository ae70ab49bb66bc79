"""Who is listened to (floor 5).

Only a private chat of a person on the allow-list commands: in a private chat the chat's id is the
person's, and both must say the same. Edits, forwards, bots, groups and channels are ignored, as
are updates seen before or too old. Strangers get silence; the operator hears of them once per
hour, with a count. A person may be added by typing the one-time code from the daemon's console.
"""

import random
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from core.domain.ports import Clock

TOO_OLD_MS = 60_000
PER_MINUTE = 30
"""Commands of one person per minute; more are dropped."""
STRANGER_EVERY_S = 3_600.0
CODE_LIFE_S = 3_600.0
CODE_TRIES = 5
_CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_REMEMBER_MS = 6 * 86_400_000
"""The service starts a new sequence of update ids after a week without updates."""
_STRANGERS_KEPT = 100


class Verdict(StrEnum):
    """What becomes of an update; the words name the counters."""

    ACCEPT = "accept"
    PAIR = "pair"
    UNUSABLE = "unusable"
    FORWARDED = "forwarded"
    BOT = "bot"
    NOT_PRIVATE = "not_private"
    STRANGER = "stranger"
    REPLAYED = "replayed"
    OLD = "old"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class Incoming:
    """An update without the library: `data` is set for a button, `text` for a message.

    `message_id` is the message itself, or the one the button hangs on. `sent_ms` is 0 for buttons,
    which carry no time; their nonce expires instead.
    """

    update_id: int
    user_id: int
    chat_id: int
    name: str
    private: bool
    bot: bool
    forwarded: bool
    text: str
    data: str
    callback_id: str
    message_id: int
    sent_ms: int

    @property
    def who(self) -> str:
        """The person as the audit log names him."""
        return f"telegram:{self.user_id}"


class Pairing:
    """A code that lets one person in, valid for an hour and for a few tries."""

    def __init__(self, dice: random.Random, clock: Clock) -> None:
        self._clock = clock
        letters = "".join(dice.choice(_CODE_LETTERS) for _ in range(8))
        self.code = f"{letters[:4]}-{letters[4:]}"
        self._expires = clock.monotonic() + CODE_LIFE_S
        self._tries = CODE_TRIES

    @property
    def open(self) -> bool:
        return self._tries > 0 and self._clock.monotonic() < self._expires

    def matches(self, typed: str) -> bool:
        """True once, for the right code; every wrong one uses up a try."""
        if not self.open:
            return False
        if typed.strip().upper() == self.code:
            self._tries = 0
            return True
        self._tries -= 1
        return False


class Gate:
    """Judges updates. `allowed` are the ids of the private chats that command."""

    def __init__(self, allowed: tuple[int, ...], clock: Clock, pairing: Pairing | None) -> None:
        self._configured = tuple(chat for chat in allowed if chat > 0)
        self._groups = tuple(chat for chat in allowed if chat < 0)
        self._clock = clock
        self._pairing = pairing
        self._recent: dict[int, deque[float]] = {}
        self._strangers: dict[int, int] = {}
        self._stranger_told: float | None = None
        self.paired: tuple[int, ...] = ()
        self.last_update = 0
        self.last_update_ms = 0
        self.counts: dict[Verdict, int] = {}

    @property
    def people(self) -> tuple[int, ...]:
        """Ids of the private chats that command."""
        return tuple(dict.fromkeys((*self._configured, *self.paired)))

    @property
    def listeners(self) -> tuple[int, ...]:
        """Chats that get alerts: the people, and configured groups, which only listen."""
        return (*self.people, *self._groups)

    def judge(self, incoming: Incoming | None, update_id: int) -> Verdict:
        """Judge and count; `incoming` is None for an update the daemon cannot use."""
        verdict = self._judge(incoming, update_id)
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        if verdict is not Verdict.REPLAYED:
            self.last_update = update_id
            self.last_update_ms = self._clock.now_ms()
        return verdict

    def _judge(self, incoming: Incoming | None, update_id: int) -> Verdict:
        now = self._clock.now_ms()
        if update_id <= self.last_update and now - self.last_update_ms < _REMEMBER_MS:
            return Verdict.REPLAYED
        if incoming is None:
            return Verdict.UNUSABLE
        if incoming.bot:
            return Verdict.BOT
        if not incoming.private or incoming.user_id != incoming.chat_id:
            return Verdict.NOT_PRIVATE
        if incoming.forwarded:
            return Verdict.FORWARDED
        if incoming.sent_ms and now - incoming.sent_ms > TOO_OLD_MS:
            return Verdict.OLD
        if incoming.user_id not in self.people:
            return Verdict.PAIR if self._pairs(incoming) else Verdict.STRANGER
        return Verdict.ACCEPT if self._within_rate(incoming.user_id) else Verdict.TOO_MANY

    def knows(self, incoming: Incoming) -> bool:
        """True for a person on the list, within the rate."""
        return incoming.user_id in self.people and self._within_rate(incoming.user_id)

    def _pairs(self, incoming: Incoming) -> bool:
        words = incoming.text.split()
        if self._pairing is None or len(words) != 2 or words[0] not in ("/start", "/pair"):
            return False
        if not self._pairing.matches(words[1]):
            return False
        self.paired = (*self.paired, incoming.user_id)
        return True

    def _within_rate(self, user_id: int) -> bool:
        now = self._clock.monotonic()
        recent = self._recent.setdefault(user_id, deque(maxlen=PER_MINUTE))
        if len(recent) == PER_MINUTE and now - recent[0] < 60.0:
            return False
        recent.append(now)
        return True

    def stranger(self, incoming: Incoming) -> str:
        """Count a stranger; a line for the operator when it is time for one, else empty."""
        if incoming.user_id in self._strangers or len(self._strangers) < _STRANGERS_KEPT:
            self._strangers[incoming.user_id] = self._strangers.get(incoming.user_id, 0) + 1
        now = self._clock.monotonic()
        if self._stranger_told is not None and now - self._stranger_told < STRANGER_EVERY_S:
            return ""
        self._stranger_told = now
        people = ", ".join(f"{user} ({count})" for user, count in self._strangers.items())
        self._strangers = {}
        return f"strangers wrote to the bot and got no answer: {people}"
