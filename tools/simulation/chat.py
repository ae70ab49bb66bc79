"""The operator's phone in a simulation (floor 8): the real bot, a Bot API server, and a person.

The person commands by Telegram over a network of its own, which may be slow, dead or full of
errors. None of that excuses anything: trading is judged as if nobody had a phone. What is judged
here besides: an answer comes while Telegram is well, nobody else is answered, every message says
where orders go, and every critical alert was told.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from core.domain.enums import Severity
from core.kernel.chance import Chance
from core.simulation.calm import Calm
from core.simulation.memory_network import REST
from core.simulation.observer import Observer
from core.simulation.schedule import WARM_UP_S, Script
from core.simulation.telegram_server import Fault, Shown
from tools.simulation.world import OPERATOR, Life, World

STRANGER = 6_660
BADGE = "🟡 TESTNET"
ANSWER_S = 60.0
DEED_S = 150.0
SETTLED_S = 150.0
"""Quiet time of link and life after which an unanswered command is a fault of the bot: its longest
pause between polls, twice the long poll, and an answer."""
_PER_HOUR = 4.0
_LIVENESS_S = 60.0
_HALT_S = 300.0
_IN_FLIGHT_S = 20.0
_AGAIN_S = 30.0
_STALE_S = 31.0
_UNTOLD_S = 2.0
"""What was raised this shortly before a kill may not have reached the bot's memory."""
_READ = {
    "/status": "streams",
    "/positions": " open",
    "/risk": "SL streak",
    "/summary": "today, UTC",
    "/report": "report today, UTC",
    "/why": "· why",
    "/logs 5": "log lines",
    "/audit": "audit chain",
    "/playbook": "playbooks",
}
"""Commands that only look, and words of their answers."""
_ERRORS = (
    ("*", 429, "Too Many Requests: retry after 7"),
    ("*", 502, "Bad Gateway"),
    ("*", 500, "Internal Server Error"),
    ("getUpdates", 409, "Conflict: terminated by other getUpdates request"),
    ("*", 401, "Unauthorized"),
    ("*", 0, ""),
    ("sendMessage", 400, "Bad Request: chat not found"),
)


class ChatKind(StrEnum):
    """What a script of the phone consists of."""

    TALK = "F46 commands by Telegram"
    DOWN = "F46 Telegram unreachable"
    ERRORS = "F46 Telegram answers errors"


@dataclass(frozen=True, slots=True)
class Call:
    """Something happens at `at` (virtual seconds); `draw` in [0, 1) decides its details."""

    at: float
    kind: ChatKind
    draw: float


def write_calls(script: Script, intensity: float = 1.0) -> tuple[Call, ...]:
    """The phone's part of a seed, from a stream of its own: the rest of the script stays.

    `intensity` multiplies the rates; 0 is no phone.
    """
    if not intensity:
        return ()
    random = Chance(script.seed).stream("phone script")
    calls: list[Call] = []
    for kind in ChatKind:
        rate = intensity * _PER_HOUR / 3600 * 4.0 ** random.random()
        at = WARM_UP_S + random.expovariate(rate)
        while at < script.heal_at:
            calls.append(Call(at, kind, random.random()))
            at += random.expovariate(rate)
    return tuple(sorted(calls, key=lambda call: (call.at, call.kind)))


class Chat:
    """One person with a phone. `play` while the daemon trades, `judge` after its end."""

    def __init__(
        self, world: World, observer: Observer, calls: Sequence[Call], heal_at: float
    ) -> None:
        self._world = world
        self.calls = calls
        self._heal_at = heal_at
        self._api = world.telegram
        self._api.people.add(STRANGER)
        self._network = world.phone_network
        self._observer = observer
        self._dice = world.chance.stream("chat")
        self._calm = Calm()
        self._busy = False
        self.fired: Counter[ChatKind] = Counter()

    async def play(self) -> None:
        """All calls at their times, the healing, and the question that must be answered then."""
        acts = {ChatKind.TALK: self.act, ChatKind.DOWN: self.cut, ChatKind.ERRORS: self.spoil}
        for call in self.calls:
            await self._until(call.at)
            acts[call.kind](call.draw)
        await self._until(self._heal_at)
        self.heal()
        await self._world.clock.sleep(_LIVENESS_S)
        await self._world.wait(lambda: not self._busy, ANSWER_S)
        if await self._ask("/status", _READ["/status"]) is None:
            self._observer.blame("INV-16", "the phone is not answered after the healing")

    async def _until(self, at: float) -> None:
        await self._world.clock.sleep(max(at - self._world.loop.time(), 0.0))

    def _count(self, kind: ChatKind, detail: str) -> None:
        self.fired[kind] += 1
        self._world.tell("phone", f"{kind} {detail}")

    # --- faults of Telegram ----------------------------------------------------------------------

    def cut(self, draw: float) -> None:
        """The link is dead, deaf or slow for a while."""
        seconds = 5 + 300 * draw * draw
        link = self._network.link(REST)
        how = self._dice.choice(("refused", "unanswered", "half-open", "slow", "reset"))
        if how == "refused":
            link.refuse = True
        elif how == "unanswered":
            link.unanswered = True
        elif how == "slow":
            link.spike_chance, link.spike_s = 0.5, 40.0
        if how == "half-open":
            self._network.half_open()
        else:
            self._network.reset()
        self._count(ChatKind.DOWN, f"{how} for {seconds:.0f} s")
        now = self._world.loop.time()
        self._calm.disturb(now, now + seconds)
        self._world.supervisor.spawn("phone link", lambda: self._heal_after(seconds))

    def spoil(self, draw: float) -> None:
        """The service answers with errors."""
        method, status, text = _ERRORS[int(draw * len(_ERRORS))]
        retry_after = 7 if status == 429 else 0
        times = 1 + self._dice.randrange(8)
        self._api.faults.append(Fault(method, status, text, retry_after, times))
        self._count(ChatKind.ERRORS, f"{times} times {status} to {method}")
        now = self._world.loop.time()
        self._calm.disturb(now, now + 60.0 * times)

    async def _heal_after(self, seconds: float) -> None:
        await self._world.clock.sleep(seconds)
        self.heal()

    def heal(self) -> None:
        """Telegram is well again."""
        self._api.faults.clear()
        link = self._network.link(REST)
        link.spike_chance = 0.0
        link.refuse = link.unanswered = False

    # --- the person ------------------------------------------------------------------------------

    def act(self, draw: float) -> None:
        """One conversation, unless another is going on."""
        if self._busy:
            return
        self._busy = True
        deeds = (
            self._look,
            self._look,
            self._see,
            self._pause,
            self._close,
            self._panic,
            self._late,
        )
        deed = deeds[int(draw * len(deeds))]
        if self._dice.random() < 0.2:
            self._api.say(STRANGER, "/panic")

        async def talk() -> None:
            try:
                await deed()
            finally:
                self._busy = False

        self._world.supervisor.spawn("phone talk", talk)

    async def _look(self) -> None:
        command = self._dice.choice(list(_READ))
        began = self._world.loop.time()
        life = self._life()
        if await self._ask(command, _READ[command]) is not None:
            self._count(ChatKind.TALK, command)
        elif self._well(life, began):
            self._observer.blame("INV-16", f"{command} from the phone was not answered")

    def _life(self) -> Life | None:
        return self._world.life

    def _well(self, life: Life | None, since: float) -> bool:
        """Neither the link nor the process has given a reason since long before `since`."""
        start = since - SETTLED_S
        if life is None or life is not self._life() or life.began > start:
            return False
        now = self._world.loop.time()
        return self._calm.between(start, now) >= now - start

    async def _see(self) -> None:
        """Acknowledge the newest critical alert."""
        alert = next((each for each in reversed(self._api.shown) if "✅ seen" in each.labels), None)
        notice = None if alert is None else await self._press(alert, "✅ seen")
        if notice is not None:
            self._count(ChatKind.TALK, f"seen: {notice}")

    def _held(self) -> str | None:
        held = self._world.paper.positions()
        return self._dice.choice(held).symbol if held else None

    async def _close(self) -> None:
        symbol = self._held()
        if symbol is None:
            return await self._look()
        base = symbol.removesuffix("USDC").removesuffix("USDT")
        question = await self._ask(f"/close {base}", f"close {base} at market?")
        if question is not None and await self._confirm(question):
            self._count(ChatKind.TALK, f"/close {base}: {question.text.splitlines()[1]}")
        return None

    async def _late(self) -> None:
        """A button that is pressed too late does nothing."""
        question = await self._ask("/panic", "PANIC?")
        if question is None:
            return
        await self._world.clock.sleep(_STALE_S)
        notice = await self._press(question, "yes")
        if notice is not None and not notice.startswith("expired"):
            self._observer.blame("INV-13", f"a stale button was obeyed: {notice}")
        self._count(ChatKind.TALK, f"/panic too late: {notice}")

    async def _pause(self) -> None:
        told = await self._ask("/pause", "⏸ paused") is not None
        await self._spell("/pause", told=told)

    async def _panic(self) -> None:
        question = await self._ask("/panic", "PANIC?")
        told = question is not None and await self._confirm(question)
        await self._spell("/panic", told=told)

    async def _spell(self, command: str, *, told: bool) -> None:
        """Entries stay stopped for a while that may see kills; then they are allowed again, also
        when the answer was lost: the command may have been obeyed."""
        if told:
            seconds = _HALT_S * self._dice.random()
            self._count(ChatKind.TALK, f"{command} for {seconds:.0f} s")
            self._observer.forbid(_IN_FLIGHT_S)
            await self._world.clock.sleep(seconds)
            self._observer.allow()
        while not await self._resume():
            await self._world.clock.sleep(_AGAIN_S)

    async def _resume(self) -> bool:
        answer = await self._ask("/resume", "▶️ resume", "clear the halt?")
        if answer is None:
            return False
        return "resume" in answer.text or await self._confirm(answer)

    # --- words -----------------------------------------------------------------------------------

    async def _ask(self, text: str, *words: str) -> Shown | None:
        """The answer with one of these words in its first lines; None when none comes in time."""
        known = len(self._api.shown)
        self._api.say(OPERATOR, text)

        def answers() -> list[Shown]:
            return [
                shown
                for shown in self._api.shown[known:]
                if any(word in shown.text for word in words)
            ]

        await self._world.wait(answers, ANSWER_S)
        return next(iter(answers()), None)

    async def _confirm(self, question: Shown) -> bool:
        """Press yes, again when the state changed meanwhile; True when it was done."""
        for _ in range(5):
            edits = question.edits
            notice = await self._press(question, "yes")
            if notice != "working…":
                return False
            if not await self._world.wait(lambda: question.edits > edits, DEED_S):  # noqa: B023 - called within this turn
                return False
            if "the state changed meanwhile" not in question.text:
                return "❌" not in question.text.splitlines()[0]
        return False

    async def _press(self, shown: Shown, start: str) -> str | None:
        """Press the button whose label begins so; the notice, None when it never came."""
        label = next((label for label in shown.labels if label.startswith(start)), None)
        if label is None:
            return None
        query = self._api.press(OPERATOR, shown, label)
        await self._world.wait(lambda: self._api.answers[query] != "…", ANSWER_S)
        notice = self._api.answers[query]
        return None if notice == "…" else notice

    # --- judgement -------------------------------------------------------------------------------

    def judge(self, logs: Path) -> None:
        """At the end: who was answered, how, and was every critical alert told? `logs` is where
        the last life wrote; its audit log is that of all lives."""
        for shown in self._api.shown:
            if shown.chat_id != OPERATOR:
                self._observer.blame("INV-13", f"chat {shown.chat_id} was told: {shown.text[:60]}")
            elif not shown.text.startswith((BADGE, "❌")):
                self._observer.blame("INV-13", f"a message without its venue: {shown.text[:60]}")
        told = "\n".join(shown.text for shown in self._api.shown)
        for at_ms, text in _last_criticals(logs):
            excused = any(0 <= kill - at_ms < _UNTOLD_S * 1_000 for kill in self._world.kills)
            if text not in told and not excused:
                self._observer.blame("INV-16", f"a critical alert was never told: {text}")


def _last_criticals(folder: Path) -> list[tuple[int, str]]:
    """Time (UTC ms) and text of the last critical alert of each key: repetitions are counted, and
    the newest gives the words."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(folder.glob("audit*.jsonl")):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record.get("severity") == Severity.CRITICAL.value:
                at_ms = round(datetime.fromisoformat(record["ts"]).timestamp() * 1_000)
                found[record["key"]] = at_ms, str(record["text"])
    return list(found.values())
