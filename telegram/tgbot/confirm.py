"""The second step of what cannot be undone (floor 5).

`/panic`, `/close`, more aggression and clearing a halt show what they would do with a button. The
button holds a random nonce bound to the person, the chat and a digest of the state that was shown;
it works once and for 30 seconds. When the state has changed meanwhile, it is shown again.
"""

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.domain.ports import Clock
from core.domain.position import PositionView

LIFE_S = 30.0
_KEPT = 50


class Deed(StrEnum):
    """What is asked for twice."""

    PANIC = "panic"
    CLOSE = "close"
    CLEAR_HALT = "clear_halt"
    TIER = "tier"


@dataclass(frozen=True, slots=True)
class Pending:
    """A deed that waits for its button. `argument` is the symbol or the tier."""

    deed: Deed
    argument: str
    user_id: int
    chat_id: int
    digest: str
    expires: float

    @property
    def words(self) -> str:
        """What was asked for, for people and the audit log."""
        return f"{self.deed.value.replace('_', ' ')} {self.argument}".strip()


class Confirmations:
    """Open questions, the newest few."""

    def __init__(self, dice: random.Random, clock: Clock) -> None:
        self._dice = dice
        self._clock = clock
        self._open: dict[str, Pending] = {}

    def ask(self, deed: Deed, argument: str, user_id: int, chat_id: int, digest: str) -> str:
        """A nonce for the button of this question."""
        nonce = f"{self._dice.getrandbits(96):024x}"
        expires = self._clock.monotonic() + LIFE_S
        while len(self._open) >= _KEPT:
            self._open.pop(next(iter(self._open)))
        self._open[nonce] = Pending(deed, argument, user_id, chat_id, digest, expires)
        return nonce

    def take(self, nonce: str, user_id: int, chat_id: int) -> Pending | None:
        """The question of this nonce, once; None when unknown, used, expired or another's."""
        pending = self._open.get(nonce)
        if pending is None or (pending.user_id, pending.chat_id) != (user_id, chat_id):
            return None
        del self._open[nonce]
        return pending if self._clock.monotonic() <= pending.expires else None


def digest_of(positions: Iterable[PositionView]) -> str:
    """Fingerprint of what a panic or a close would act on."""
    state = sorted(f"{view.trade_id}|{view.direction}|{view.quantity}" for view in positions)
    return hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
