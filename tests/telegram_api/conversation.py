"""A scripted conversation that uses every command, as the reference for operators.

The same script is the test and the source of `docs/reference/telegram.md`.
"""

from pathlib import Path

from telegram_api.scene import ANN, SYMBOL, Scene, on_stage, position
from telegram_api.test_bot_alerts import CLOSED, OPENED

from core.domain.enums import Severity, StreamState
from core.domain.facts import Alert, CandleEvaluated, RiskChanged, StreamChanged
from core.simulation.telegram_server import Shown

_HEAD = """\
# Telegram

Made by `tests/telegram_api` from a conversation with the real bot; do not edit. To renew it:

```sh
env RENEW_TRANSCRIPT=1 python -m pytest tests/telegram_api -k transcript
```

Set `TELEGRAM_TOKEN` (the bot's token) and start the daemon. Its console then shows a code; write
`/start CODE` to the bot and your phone is paired. Or name the chats in `TELEGRAM_CHAT_ID`. Only
private chats of these people command; groups in the list hear alerts. What cannot be undone takes
a second step, valid for 30 seconds. Critical alerts are repeated until somebody presses *seen*.

Playbooks: `docs/playbooks/`.

## Commands

"""


class Transcript:
    """What was said, by whom, in order."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._seen: list[tuple[int, int]] = []
        self.lines: list[str] = []

    def heading(self, title: str) -> None:
        self.lines += [f"## {title}", ""]

    async def ask(self, text: str) -> Shown:
        self.lines += [f"**you:** `{text}`", ""]
        self._scene.api.say(ANN, text)
        return await self._answer()

    async def press(self, shown: Shown, label: str) -> Shown:
        self.lines += [f"**you press:** `{label}`", ""]
        notice = await self._scene.press(shown, label)
        if notice:
            self.lines += [f"*{notice}*", ""]
        if label == "✅ seen":
            return shown
        return await self._answer()

    async def hear(self) -> Shown:
        return await self._answer()

    async def _answer(self) -> Shown:
        """The next messages, until the bot has been quiet for two seconds."""
        scene = self._scene
        await scene.wait(self._news)
        await scene.clock.sleep(2.5)
        shown = scene.api.shown[0]
        for shown in self._news():
            self._seen.append((shown.message_id, shown.edits))
            self.lines += _quoted(shown)
        return shown

    def _news(self) -> list[Shown]:
        return [
            shown
            for shown in self._scene.api.shown
            if (shown.message_id, shown.edits) not in self._seen
        ]


def _quoted(shown: Shown) -> list[str]:
    lines = ["```text", *shown.text.splitlines()]
    if shown.photo:
        lines[1:] = ["[picture: equity of the last day]", *shown.text.splitlines()]
    lines += ["  ".join(f"[ {button['text']} ]" for button in row) for row in shown.buttons]
    return [*(line.rstrip() for line in lines), "```", ""]


async def _reading(talk: Transcript, scene: Scene) -> None:
    talk.heading("Looking")
    now = scene.clock.now_ms()
    scene.dispatcher.publish(
        CandleEvaluated(SYMBOL, "scalping_v1", "15m", now, 2.0, "no entry", "spread", "", now)
    )
    await talk.ask("/help")
    for text in ("/status", "/positions", "/risk", "/summary", "/profit", "/performance"):
        await talk.ask(text)
    await scene.clock.sleep(200)
    for text in ("/report", "/why", "/why XRP", "/config", "/show_config", "/logs 2"):
        await talk.ask(text)
    for text in ("/audit", "/ping"):
        await talk.ask(text)
    books = await talk.ask("/playbook")
    await talk.press(books, "daily-stop")
    await talk.ask("/playbook clock-skew")


async def _acting(talk: Transcript, scene: Scene) -> None:
    talk.heading("Acting")
    await talk.ask("/pause")
    await talk.ask("/resume")
    await talk.ask("/stopentry")
    await talk.ask("/resume")
    choice = await talk.ask("/close")
    question = await talk.press(choice, "XRP")
    await talk.press(question, "yes, close XRP at market")
    scene.desk.held.append(position())
    question = await talk.ask("/fx XRP")
    await talk.press(question, "no")
    question = await talk.ask("/panic")
    await talk.press(question, "yes, PANIC")
    question = await talk.ask("/resume")
    await talk.press(question, "yes, clear the halt")
    question = await talk.ask("/fx all")
    await scene.clock.sleep(31)
    talk.lines += ["*more than 30 seconds later*", ""]
    talk.lines += ["**you press:** `yes, PANIC`", ""]
    talk.lines += [f"*{await scene.press(question, 'yes, PANIC')}*", ""]
    tiers = await talk.ask("/aggression")
    question = await talk.press(tiers, "balanced")
    await talk.press(question, "yes, more risk: balanced")
    await talk.ask("/aggression conservative")


async def _hearing(talk: Transcript, scene: Scene) -> None:
    talk.heading("Hearing")
    now = scene.clock.now_ms()
    scene.dispatcher.publish(OPENED)
    await talk.hear()
    scene.dispatcher.publish(CLOSED)
    await talk.hear()
    scene.dispatcher.publish(
        StreamChanged("user-stream", StreamState.DEGRADED, "silent for 65 s", now)
    )
    await talk.hear()
    scene.dispatcher.publish(RiskChanged(True, "day_stop", "lost 8.04 of 8.00 USDC today", now))
    await talk.hear()
    for number in range(30):
        fact = Alert(Severity.WARNING, f"key {number}", f"one of many warnings: {number}", now)
        scene.dispatcher.publish(fact)
    await talk.hear()
    text = "XRP leaving the position at market: no stop confirmed in 1500 ms"
    scene.dispatcher.publish(Alert(Severity.CRITICAL, f"flatten:{SYMBOL}", text, now))
    await talk.hear()
    await scene.clock.sleep(295)
    talk.lines += ["*five minutes later*", ""]
    alert = await talk.hear()
    await talk.press(alert, "✅ seen")


def play(folder: Path) -> tuple[str, Scene]:
    """The reference document, and the scene after the conversation."""
    written: list[str] = []

    async def story(scene: Scene) -> None:
        talk = Transcript(scene)
        await talk.hear()
        talk.lines.clear()  # the hello names this machine
        await _reading(talk, scene)
        await _acting(talk, scene)
        await _hearing(talk, scene)
        rows = [f"- `/{entry['command']}`: {entry['description']}" for entry in scene.api.menu]
        written.append(_HEAD + "\n".join([*rows, "", *talk.lines]).rstrip() + "\n")

    scene = on_stage(folder, story)
    return written[0], scene
