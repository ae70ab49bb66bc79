"""Who is listened to, and what takes a second step."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from telegram_api.scene import ANN, EPOCH_MS, SYMBOL, Scene, on_stage, position

from core.domain.enums import Tier
from core.kernel.clock import SimulatedClock
from core.oms.risk_store import Halt
from tgbot.auth import PER_MINUTE

MALLORY = 666
_ORIGIN = {"type": "hidden_user", "date": 1, "sender_user_name": "x"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"forward_origin": _ORIGIN}, "forwarded"),
        ({"from": {"id": ANN, "is_bot": True, "first_name": "Ann"}}, "bot"),
        ({"chat": {"id": -5, "type": "group", "title": "all"}}, "not_private"),
        ({"chat": {"id": MALLORY, "type": "private", "first_name": "M"}}, "not_private"),
        ({"from": {"id": MALLORY, "is_bot": False, "first_name": "M"}}, "not_private"),
        ({"text": None, "new_chat_title": "x"}, "unusable"),
        ({"date": "yesterday"}, "unusable"),
    ],
)
def test_what_is_not_a_fresh_private_message_is_ignored(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    async def story(scene: Scene) -> None:
        scene.api.say(ANN, "/pause", **changes)
        (answer,) = await scene.ask("/ping")
        assert "pong" in answer.text
        assert scene.desk.done == []
        counts = {verdict.value: count for verdict, count in scene.bot.gate.counts.items()}
        assert counts.get(why) == 1
        assert scene.commands() == [f"telegram:{ANN} telegram /ping"]

    on_stage(tmp_path, story)


def test_an_old_command_is_not_obeyed_and_its_author_is_told(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.api.people.add(MALLORY)
        for user in (MALLORY, ANN):
            scene.api.say(user, "/pause", date=EPOCH_MS // 1_000 - 61)
        await scene.wait(lambda: len(scene.api.shown) == 2)
        assert "/pause was sent 1m 01s ago, too old to obey" in scene.api.shown[1].text
        assert scene.api.shown[1].chat_id == ANN
        assert scene.desk.done == []
        assert scene.commands() == [f"telegram:{ANN} telegram too late: /pause"]

    on_stage(tmp_path, story)


@pytest.mark.parametrize("seconds", [-7_200.0, 7_200.0])
def test_a_machine_with_a_wrong_clock_takes_no_fresh_command_for_an_old_one(
    tmp_path: Path, seconds: float
) -> None:
    async def story(scene: Scene) -> None:
        right = SimulatedClock(EPOCH_MS, asyncio.get_running_loop())
        scene.api.clock = right
        scene.clock.shift(seconds)
        await scene.clock.sleep(30)  # until an answer has told the service's time
        await scene.ask("/pause")
        await scene.wait(lambda: scene.desk.done)
        scene.api.say(ANN, "/resume", date=right.now_ms() // 1_000 - 70)
        await scene.wait(lambda: any("too old to obey" in each.text for each in scene.api.shown))
        assert len(scene.desk.done) == 1

    on_stage(tmp_path, story)


def test_every_step_is_audited_in_words(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (question,) = await scene.ask("/close xrp")
        await scene.press(question, "no")
        (question,) = await scene.ask("/panic")
        await scene.press(question, "yes, PANIC")
        await scene.wait(lambda: question.edits)
        (status,) = await scene.ask("/status")
        await scene.press(status, "risk")
        await scene.wait(lambda: "SL streak" in scene.api.shown[-1].text)
        (answer,) = await scene.ask("status please")
        assert "see /help" in answer.text
        assert [line.split(" ", 1)[1] for line in scene.commands()] == [
            "telegram /close xrp",
            f"telegram no to close {SYMBOL}",
            "telegram /panic",
            "telegram yes to panic",
            "telegram /status",
            "telegram button risk:",
            "telegram status please",
        ]

    on_stage(tmp_path, story)


def test_edits_and_channel_posts_are_ignored(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        message = {
            "message_id": 1,
            "date": scene.clock.now_ms() // 1_000,
            "edit_date": scene.clock.now_ms() // 1_000,
            "chat": {"id": ANN, "type": "private", "first_name": "Ann"},
            "from": {"id": ANN, "is_bot": False, "first_name": "Ann"},
            "text": "/pause",
        }
        scene.api.deliver({"edited_message": message})
        scene.api.deliver({"channel_post": {**message, "chat": {"id": -1, "type": "channel"}}})
        scene.api.deliver({"message": 7})
        await scene.ask("/ping")
        assert scene.desk.done == []

    on_stage(tmp_path, story)


def test_strangers_get_silence_and_the_operator_one_alarm_an_hour(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.api.people.add(MALLORY)
        for _ in range(50):
            scene.api.say(MALLORY, "/panic")
        await scene.wait(lambda: len(scene.alerts()) == 1)
        await scene.clock.sleep(1_800)
        scene.api.say(MALLORY, "/start 1234-5678")
        await scene.clock.sleep(5)
        assert len(scene.alerts()) == 1
        await scene.clock.sleep(1_800)
        scene.api.say(MALLORY, "/status")
        await scene.wait(lambda: len(scene.alerts()) == 2)
        assert scene.alerts()[1].endswith(f"{MALLORY} (51)")
        assert {shown.chat_id for shown in scene.api.shown} == {ANN}
        assert scene.desk.done == []

    on_stage(tmp_path, story)


def test_a_strangers_press_of_a_stolen_button_does_nothing(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (question,) = await scene.ask("/panic")
        scene.api.press(MALLORY, question, "yes, PANIC")
        scene.api.press(MALLORY, replace(question, chat_id=MALLORY), "yes, PANIC")
        await scene.ask("/ping")
        assert scene.desk.done == []
        assert await scene.press(question, "yes, PANIC") == "working…"
        await scene.wait(lambda: scene.desk.done)

    on_stage(tmp_path, story)


def test_an_update_seen_before_is_not_obeyed_again_after_a_restart(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        number = scene.api.say(ANN, "/pause")
        await scene.wait(lambda: scene.desk.done)
        await scene.ask("/ping")
        await scene.phone.stop()
        scene.phone = scene.build()
        await scene.phone.start()
        hellos = len(scene.api.shown)
        await scene.wait(lambda: len(scene.api.shown) > hellos)
        await scene.clock.sleep(1)
        message = {
            "message_id": 900,
            "date": scene.clock.now_ms() // 1_000,
            "chat": {"id": ANN, "type": "private", "first_name": "Ann"},
            "from": {"id": ANN, "is_bot": False, "first_name": "Ann"},
            "text": "/pause",
        }
        scene.api.deliver({"message": message}, update_id=number)
        await scene.ask("/ping")
        assert len(scene.desk.done) == 1

    on_stage(tmp_path, story)


def test_what_was_sent_while_nobody_listened_is_dropped(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.base = await scene.api.start()
        scene.api.say(ANN, "/panic")
        scene.phone = scene.build()
        await scene.phone.start()
        await scene.started()
        await scene.ask("/ping")
        assert all("PANIC" not in shown.text for shown in scene.api.shown)
        await scene.close()

    on_stage(tmp_path, story, opened=False)


def test_a_flood_of_commands_is_cut_off(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        for _ in range(100):
            scene.api.say(ANN, "/ping")
        await scene.clock.sleep(59)
        pongs = [shown for shown in scene.api.shown if "pong" in shown.text]
        assert len(pongs) == PER_MINUTE
        await scene.clock.sleep(2)
        (answer,) = await scene.ask("/ping")
        assert "pong" in answer.text

    on_stage(tmp_path, story)


# --- two steps -----------------------------------------------------------------------------------


def test_panic_needs_its_button_and_happens_once(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (question,) = await scene.ask("/panic")
        await scene.clock.sleep(5)
        assert scene.desk.done == []
        scene.desk.slow_s = 3.0
        query = scene.api.press(ANN, question, "yes, PANIC")
        again = scene.api.press(ANN, question, "yes, PANIC")
        await scene.wait(lambda: scene.api.answers[again] != "…")
        assert scene.api.answers[query] == "working…"
        assert scene.api.answers[again] == "expired or used: ask again"
        await scene.ask("/ping")  # answered while the panic is still working
        assert question.edits == 0
        await scene.wait(lambda: question.edits)
        assert "PANIC done" in question.text
        assert question.labels == []
        assert scene.desk.done == [f"panic by telegram by telegram:{ANN}"]

    on_stage(tmp_path, story)


def test_a_second_panic_while_one_runs_is_not_started(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (first,) = await scene.ask("/panic")
        (second,) = await scene.ask("/fx all")
        scene.desk.slow_s = 10.0
        assert await scene.press(first, "yes, PANIC") == "working…"
        assert await scene.press(second, "yes, PANIC") == "already running"
        await scene.wait(lambda: first.edits)
        assert len(scene.desk.done) == 1

    on_stage(tmp_path, story)


def test_a_question_expires(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (question,) = await scene.ask("/close xrp")
        await scene.clock.sleep(31)
        assert await scene.press(question, "yes, close XRP at market") == (
            "expired or used: ask again"
        )
        assert scene.desk.done == []

    on_stage(tmp_path, story)


def test_no_means_no(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (question,) = await scene.ask("/panic")
        await scene.press(question, "no")
        await scene.wait(lambda: question.edits)
        assert "left as it is" in question.text
        assert await scene.press(replace(question, buttons=_yes(question)), "yes") == (
            "expired or used: ask again"
        )
        assert scene.desk.done == []

    on_stage(tmp_path, story)


def _yes(question: Any) -> list[list[dict[str, str]]]:
    return [[{"text": "yes", "callback_data": "do:" + "0" * 24}]]


def test_a_changed_state_is_shown_again_before_a_panic(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (question,) = await scene.ask("/panic")
        scene.desk.held.append(position("ADA/USDC:USDC", "40"))
        await scene.press(question, "yes, PANIC")
        await scene.wait(lambda: question.edits)
        assert scene.desk.done == []
        assert "the state changed meanwhile" in question.text
        assert "ADA 40" in question.text
        await scene.press(question, "yes, PANIC")
        await scene.wait(lambda: scene.desk.done)

    on_stage(tmp_path, story)


def test_clearing_a_halt_is_asked_twice_and_a_pause_is_not(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.ask("/pause")
        await scene.ask("/resume")
        assert [word.split()[0] for word in scene.desk.done] == ["pause", "resume"]
        scene.desk.halt = Halt("drawdown 10 %", "risk guard", EPOCH_MS)
        (question,) = await scene.ask("/resume")
        assert "drawdown 10 %" in question.text
        assert len(scene.desk.done) == 2
        await scene.press(question, "yes, clear the halt")
        await scene.wait(lambda: question.edits)
        assert scene.desk.done[2] == f"clear halt by telegram by telegram:{ANN}"

    on_stage(tmp_path, story)


def test_less_aggression_at_once_and_more_after_a_second_look(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        scene.desk.tier = Tier.BALANCED
        await scene.ask("/aggression conservative")
        assert scene.desk.tier is Tier.CONSERVATIVE
        (choice,) = await scene.ask("/aggression")
        assert choice.labels == ["• conservative", "balanced", "aggressive"]
        before = len(scene.api.shown)
        await scene.press(choice, "balanced")
        await scene.wait(lambda: len(scene.api.shown) > before)
        assert scene.desk.tier is Tier.CONSERVATIVE
        await scene.press(scene.api.shown[-1], "yes, more risk: balanced")
        await scene.wait(lambda: scene.desk.tier is Tier.BALANCED)
        (question,) = await scene.ask("/aggression aggressive")
        await scene.press(question, "yes, more risk: aggressive")
        await scene.wait(lambda: question.edits)
        assert "TIER: fixed by the command line" in question.text

    on_stage(tmp_path, story)


# --- pairing -------------------------------------------------------------------------------------


def _code(scene: Scene) -> str:
    line = next(line for line in scene.log if "nobody commands yet" in line)
    return line.partition("/start ")[2].split()[0]


def test_a_phone_is_paired_by_the_code_on_the_console(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.open()
        await scene.wait(lambda: any("nobody commands" in line for line in scene.log))
        code = _code(scene)
        scene.api.people.add(MALLORY)
        scene.api.say(ANN, f"/start {code.lower()}")
        await scene.wait(lambda: scene.api.shown)
        scene.api.say(MALLORY, f"/start {code}")  # it works once
        (answer,) = await scene.ask("/ping")
        assert "pong" in answer.text
        assert {shown.chat_id for shown in scene.api.shown} == {ANN}
        await scene.phone.stop()
        scene.phone = scene.build()  # remembered, and no new code is offered
        await scene.phone.start()
        await scene.clock.sleep(3)
        (answer,) = await scene.ask("/ping")
        assert "pong" in answer.text
        assert sum("nobody commands" in line for line in scene.log) == 1
        assert all(code not in command for command in scene.commands())
        await scene.close()

    on_stage(tmp_path, story, opened=False, TELEGRAM_CHAT_ID="")


def test_the_code_cannot_be_guessed_for_long(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        await scene.open()
        await scene.wait(lambda: any("nobody commands" in line for line in scene.log))
        for guess in range(5):
            scene.api.say(MALLORY, f"/start AAAA-AAA{guess}")
        scene.api.say(ANN, f"/start {_code(scene)}")
        await scene.clock.sleep(5)
        assert sum("used up or too old: restart" in line for line in scene.log) == 1
        assert scene.bot.gate.people == ()
        assert scene.api.shown == []
        await scene.close()

    on_stage(tmp_path, story, opened=False, TELEGRAM_CHAT_ID="")


def test_a_bad_symbol_and_a_bad_number_are_answered(tmp_path: Path) -> None:
    async def story(scene: Scene) -> None:
        (answer,) = await scene.ask("/close BTC/USD:BTC")
        assert "only linear perpetuals" in answer.text
        (answer,) = await scene.ask("/close doge")
        assert "no open position in DOGE" in answer.text
        (answer,) = await scene.ask("/logs 5000")
        assert "from 1 to 100" in answer.text
        (answer,) = await scene.ask("/dance")
        assert "/help" in answer.text
        (question,) = await scene.ask(f"/fx {SYMBOL}")
        assert "close XRP at market?" in question.text

    on_stage(tmp_path, story)
