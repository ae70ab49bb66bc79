"""Telegram fails in every way it can; the bot says so once and comes back."""

from pathlib import Path

import pytest
from telegram_api.scene import ANN, Scene, on_stage

from core.domain.enums import Severity
from core.domain.facts import Alert
from core.simulation.telegram_server import Fault


def _troubles(scene: Scene) -> list[str]:
    return [line for line in scene.log if " WARNING " in line]


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (409, "Conflict: terminated by other getUpdates request", "another program listens"),
        (401, "Unauthorized", "refuses the token"),
        (502, "Bad Gateway", "does not answer"),
        (500, "Internal Server Error", "does not answer"),
        (0, "", "does not answer"),
    ],
)
def test_polling_fails_is_told_once_and_recovers(
    tmp_path: Path, status: int, text: str, words: str
) -> None:
    async def story(scene: Scene) -> None:
        fault = Fault("getUpdates", status, text, times=1_000)
        scene.api.faults.append(fault)
        await scene.clock.sleep(900)
        told = _troubles(scene)
        assert len(told) == 1
        assert words in told[0]
        assert 1_000 - fault.times < 40  # pauses grow to a minute
        scene.api.faults.clear()
        await scene.wait(lambda: any("commands work again" in line for line in scene.log), 90)
        (answer, *_) = await scene.ask("/ping")
        assert answer
        await scene.wait(lambda: any("pong" in shown.text for shown in scene.api.shown))

    on_stage(tmp_path, story)


def test_who_else_holds_the_token_is_answered_by_naming_this_one(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.api.faults.append(Fault("getUpdates", 409, "Conflict", times=3))
        await scene.wait(lambda: any("⚠️ Telegram" in shown.text for shown in scene.api.shown))
        shown = next(shown for shown in scene.api.shown if "⚠️ Telegram" in shown.text)
        assert shown.labels == ["📖 what to do"]
        assert "bot1 on " in shown.text  # alerts still leave: sending needs no polling

    on_stage(tmp_path, story)


def test_two_daemons_with_one_token_do_not_fight(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (tmp_path / "other").mkdir()
        scene.folder = tmp_path / "other"
        second = scene.build(seed=6)
        await second.start()
        before = scene.api.calls.count("getUpdates")
        await scene.clock.sleep(600)
        assert scene.api.calls.count("getUpdates") - before < 120
        await second.stop()
        await scene.wait(lambda: any("pong" in s.text for s in scene.api.shown) or _ping(scene), 90)

    on_stage(tmp_path, story)


def _ping(scene: Scene) -> bool:
    if round(scene.clock.monotonic() * 100) % 500 == 0:
        scene.api.say(ANN, "/ping")
    return False


@pytest.mark.filterwarnings("ignore::telegram.warnings.PTBDeprecationWarning")
def test_a_service_that_names_a_pause_gets_it(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.api.faults.append(Fault("sendMessage", 429, "Too Many Requests", retry_after=17))
        before = scene.clock.monotonic()
        sends = scene.api.calls.count("sendMessage")
        await scene.ask("/ping")
        assert 17 <= scene.clock.monotonic() - before < 20
        assert scene.api.calls.count("sendMessage") - sends == 2
        assert [line for line in _troubles(scene) if "slows us down" in line]

    on_stage(tmp_path, story)


def test_a_long_outage_loses_no_critical_alert_and_keeps_the_box_bounded(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.api.stop()
        for number in range(2_000):
            severity = Severity.CRITICAL if number == 7 else Severity.WARNING
            now = scene.clock.now_ms()
            scene.dispatcher.publish(Alert(severity, f"k{number}", f"text {number}", now))
            await scene.clock.sleep(1)
        assert scene.bot.outbox.waiting <= 300
        assert len([line for line in scene.log if "messages do not leave" in line]) == 1
        await scene.api.start()
        await scene.wait(lambda: any("text 7" in s.text for s in scene.api.shown), 200)

    on_stage(tmp_path, story)


def test_the_daemon_starts_and_stops_while_telegram_is_dead(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.base = await scene.api.start()
        await scene.api.stop()
        scene.phone = scene.build()
        began = scene.clock.monotonic()
        await scene.phone.start()
        assert scene.clock.monotonic() == began
        await scene.clock.sleep(120)
        began = scene.clock.monotonic()
        await scene.phone.stop("test")
        assert scene.clock.monotonic() - began < 5
        await scene.supervisor.close(1)
        assert len([line for line in scene.log if "does not answer" in line]) == 1

    on_stage(tmp_path, story, opened=False)


def test_a_malformed_update_is_passed_over(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for content in (
            {"message": {"message_id": {}, "date": "x", "chat": 3}},
            {"callback_query": []},
            {"message": {"date": 10**20, "message_id": 1, "chat": {"id": 1, "type": "private"}}},
        ):
            scene.api.deliver(content)
        (answer,) = await scene.ask("/ping")
        assert "pong" in answer.text
        assert _troubles(scene) == []

    on_stage(tmp_path, story)


def test_a_blocked_chat_is_told_once_and_costs_nobody_else_a_message(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for number in range(20):
            now = scene.clock.now_ms()
            scene.dispatcher.publish(Alert(Severity.WARNING, f"k{number}", f"text {number}", now))
            await scene.clock.sleep(5)
        assert len(scene.api.shown) == 21
        assert len([line for line in scene.log if "refuses a message" in line]) == 1

    on_stage(tmp_path, story, TELEGRAM_CHAT_ID=f"{ANN}, 888")


def test_a_failing_command_is_answered_and_the_next_one_works(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        good = scene.desk.settings
        scene.desk.settings = lambda: str(1 // 0)  # type: ignore[method-assign]  # the fault
        (answer,) = await scene.ask("/config")
        assert "ZeroDivisionError" in answer.text
        scene.desk.settings = good  # type: ignore[method-assign]  # mended
        (answer,) = await scene.ask("/show_config")
        assert "TELEGRAM_TOKEN ***" in answer.text

    on_stage(tmp_path, story)
