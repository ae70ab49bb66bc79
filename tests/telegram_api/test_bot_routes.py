"""Which route tells what: levels, quiet hours, escalation, and alerts without Telegram."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from telegram_api.scene import ANN, Scene, on_stage
from telegram_api.test_bot_alerts import CLOSED, OPENED, critical

from core.domain.enums import AlertLevel, Severity
from core.domain.facts import Alert
from core.kernel.config_values import HoursWindow
from tgbot.alerts import REPEAT_MS, Telling
from tgbot.render import Card, columns, text
from tgbot.routes import wants

HOUR_MS = 3_600_000


class Hook:
    """Slack's incoming webhook on loopback. `answers` come first: a status and its headers."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.at: list[float] = []
        self.answers: list[tuple[int, dict[str, str]]] = []

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/services/T0/B0/{key}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/services/T0/B0/hush-hush"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.at.append(asyncio.get_running_loop().time())
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers)
        self.posted.append((await request.json())["text"])
        return web.Response(text="ok")

    @property
    def everything(self) -> str:
        return "\n".join(self.posted)


def with_slack(
    folder: Path, story: Callable[[Scene, Hook], Awaitable[None]], *, token: bool, **settings: str
) -> Scene:
    async def inside(scene: Scene) -> None:
        hook = Hook()
        scene.settings["SLACK_WEBHOOK_URL"] = await hook.start()
        if not token:
            scene.token = ""
        await scene.open()
        await story(scene, hook)
        await scene.close()
        await hook.stop()

    return on_stage(folder, inside, opened=False, **settings)


# --- levels --------------------------------------------------------------------------------------

CARD = Card("x")
INFO, WARNING = Telling(CARD, Severity.INFO), Telling(CARD, Severity.WARNING)
CRITICAL = Telling(CARD, Severity.CRITICAL)
REPORT = Telling(CARD, Severity.INFO, report=True)
AGAIN = Telling(CARD, Severity.CRITICAL, repeated=True)


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        (AlertLevel.INFO, [INFO, WARNING, CRITICAL, REPORT, AGAIN]),
        (AlertLevel.WARNING, [WARNING, CRITICAL, REPORT, AGAIN]),
        (AlertLevel.CRITICAL, [CRITICAL, AGAIN]),
        (AlertLevel.UNACKNOWLEDGED, [AGAIN]),
    ],
)
def test_what_a_level_wants(level: AlertLevel, wanted: list[Telling]) -> None:
    assert [each for each in (INFO, WARNING, CRITICAL, REPORT, AGAIN) if wants(level, each)] == (
        wanted
    )


def test_each_route_tells_from_its_own_level_on(tmp_path: Path) -> None:
    async def story(scene: Scene, hook: Hook) -> None:
        now = scene.clock.now_ms()
        scene.dispatcher.publish(OPENED)
        scene.dispatcher.publish(Alert(Severity.WARNING, "some", "a warning", now))
        scene.dispatcher.publish(critical(scene, "storage", "disk is full"))
        await scene.clock.sleep(30)
        phone = "\n".join(shown.text for shown in scene.api.shown)
        assert "LONG XRP" in hook.everything
        assert "a warning" in hook.everything
        assert "LONG XRP" not in phone
        assert "a warning" not in phone
        assert "disk is full" in phone

    with_slack(tmp_path, story, token=True, TELEGRAM_LEVEL="critical")


def test_what_nobody_acknowledges_escalates_to_the_second_route(tmp_path: Path) -> None:
    async def story(scene: Scene, hook: Hook) -> None:
        scene.dispatcher.publish(critical(scene, "storage", "disk is full"))
        scene.dispatcher.publish(critical(scene, "seen", "seen at once"))
        await scene.wait(lambda: any("seen at once" in s.text for s in scene.api.shown))
        await scene.clock.sleep(60)
        assert hook.posted == []
        seen = [entry for entry in scene.phone.desk.unacknowledged if entry.key.endswith("seen")]
        scene.phone.desk.acknowledge([entry.number for entry in seen])
        await scene.clock.sleep(REPEAT_MS[0] / 1_000)
        (post,) = hook.posted
        assert "disk is full" in post
        assert "seen at once" not in post
        assert "nobody has acknowledged this for 5m" in post

    with_slack(tmp_path, story, token=True, SLACK_LEVEL="unacknowledged")


def test_slack_gets_the_same_text_and_what_nobody_acknowledged(tmp_path: Path) -> None:
    async def story(scene: Scene, hook: Hook) -> None:
        hook.answers = [(500, {}), (500, {})]
        scene.dispatcher.publish(critical(scene, "storage", "disk is full"))
        await scene.clock.sleep(400)
        assert all(shown.text.splitlines()[0] in hook.everything for shown in scene.api.shown)
        assert "nobody has acknowledged this for 5m" in hook.everything
        assert len([line for line in scene.log if "Slack does not take alerts" in line]) == 1
        assert all("hush" not in line for line in scene.log)

    with_slack(tmp_path, story, token=True)


# --- without Telegram ----------------------------------------------------------------------------


def test_slack_alone_tells_everything_and_repeats_a_few_times(tmp_path: Path) -> None:
    async def story(scene: Scene, hook: Hook) -> None:
        assert scene.phone.bot is None
        scene.dispatcher.publish(OPENED)
        scene.dispatcher.publish(CLOSED)
        scene.dispatcher.publish(critical(scene, "storage", "disk is full"))
        await scene.clock.sleep(8 * 3_600)
        assert "▶️ started" in hook.posted[0]
        assert "LONG XRP" in hook.everything
        assert "+1.47 USDC" in hook.everything
        assert hook.everything.count("disk is full") == len(REPEAT_MS)
        assert scene.phone.desk.unacknowledged == ()
        assert scene.api.calls == []

    scene = with_slack(tmp_path, story, token=False)
    assert scene.failures == []


def test_the_goodbye_leaves_even_in_a_pause_between_posts(tmp_path: Path) -> None:
    hooks: list[Hook] = []

    async def story(scene: Scene, hook: Hook) -> None:
        hooks.append(hook)
        await scene.clock.sleep(10)
        scene.dispatcher.publish(OPENED)
        await scene.wait(lambda: "LONG XRP" in hook.everything)

    with_slack(tmp_path, story, token=False)
    assert "⏹ stopping" in hooks[0].everything


def test_slack_names_a_pause_and_gets_it(tmp_path: Path) -> None:
    async def story(scene: Scene, hook: Hook) -> None:
        hook.answers = [(429, {"Retry-After": "40"}), (503, {})]
        await scene.wait(lambda: hook.posted, 200)
        assert hook.at[1] - hook.at[0] >= 40
        told = [line for line in scene.log if "Slack" in line]
        assert told[0] == "alerts WARNING Slack slows alerts down: asked to wait 40 s"
        assert all("hush" not in line for line in scene.log)

    with_slack(tmp_path, story, token=False)


def test_slack_gets_its_own_markup() -> None:
    card = Card("<b> & co", (text("no <signal>"), columns([("a", "1"), ("bb", "22")])))
    assert card.mrkdwn == "*&lt;b&gt; &amp; co*\nno &lt;signal&gt;\n```a    1\nbb  22```"


# --- quiet hours ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "at_h", "rest_h"),
    [(22, 7, 23, 8), (22, 7, 6, 1), (0, 24, 3, 21), (9, 12, 9, 3)],
)
def test_how_long_a_window_lasts(start: int, end: int, at_h: int, rest_h: int) -> None:
    window = HoursWindow(start * 60, end * 60)
    assert window.contains(at_h * HOUR_MS)
    assert window.rest_ms(at_h * HOUR_MS) == rest_h * HOUR_MS
    assert window.rest_ms(at_h * HOUR_MS + 1) == rest_h * HOUR_MS - 1


def test_quiet_hours_hold_all_but_the_critical_and_end_with_one_digest(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:  # the scene begins at 15:07
        now = scene.clock.now_ms()
        scene.dispatcher.publish(OPENED)
        for number in range(40):
            fact = Alert(Severity.WARNING, f"key {number % 7}", f"text {number}", now)
            scene.dispatcher.publish(fact)
            await scene.clock.sleep(60)
        assert scene.api.shown == []
        scene.dispatcher.publish(critical(scene, "storage", "disk is full"))
        await scene.wait(lambda: scene.api.shown)
        assert "disk is full" in scene.api.shown[0].text
        assert not scene.api.shown[0].silent
        await scene.press(scene.api.shown[0], "✅ seen")
        assert (await scene.ask("/ping"))[0].text  # who asks is answered
        before = len(scene.api.shown)
        await scene.clock.sleep(15 * 60)
        (digest,) = scene.api.shown[before:]
        assert "🗂 42 messages" in digest.text
        assert "▶️ started" in digest.text
        assert "LONG XRP" in digest.text
        assert digest.text.count("(×") == 7
        assert digest.at_ms % 86_400_000 // 60_000 == 16 * 60
        scene.dispatcher.publish(CLOSED)  # and now it is told at once
        await scene.wait(lambda: "+1.47" in scene.api.shown[-1].text)

    async def opened(scene: Scene) -> None:
        await scene.open()
        await story(scene)
        await scene.close()

    on_stage(tmp_path, opened, opened=False, ALERT_QUIET_HOURS_UTC="14-16")


def test_what_quiet_hours_hold_is_told_silently_when_the_daemon_stops(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.open()
        scene.dispatcher.publish(Alert(Severity.WARNING, "k", "a warning", scene.clock.now_ms()))
        await scene.clock.sleep(60)
        assert scene.api.shown == []
        await scene.close()
        assert all(shown.silent for shown in scene.api.shown)
        whole = "\n".join(shown.text for shown in scene.api.shown)
        assert "a warning" in whole
        assert "stopping" in whole

    on_stage(tmp_path, story, opened=False, ALERT_QUIET_HOURS_UTC="00-23:59")


def test_the_report_of_the_day_waits_for_the_morning(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.clock.sleep(9 * 3_600)
        assert not any("report of the day" in shown.text for shown in scene.api.shown)
        await scene.clock.sleep(7 * 3_600)
        report = next(s for s in scene.api.shown if "audit" in s.text)
        assert report.at_ms % 86_400_000 // 60_000 == 6 * 60 + 30

    on_stage(tmp_path, story, ALERT_QUIET_HOURS_UTC="22-06:30")


# --- memory --------------------------------------------------------------------------------------


def test_the_streak_survives_a_restart(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.dispatcher.publish(CLOSED)
        await scene.clock.sleep(5)
        await scene.phone.stop()
        scene.phone = scene.build()
        await scene.phone.start()
        await scene.clock.sleep(5)
        assert "streak   1 win" in (await scene.ask("/summary"))[-1].text
        assert scene.commands() == [f"telegram:{ANN} telegram /summary"]

    on_stage(tmp_path, story)
