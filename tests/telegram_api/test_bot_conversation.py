"""The scripted conversation, its transcript, and the same bot in real time."""

import asyncio
import os
from pathlib import Path

import pytest
from telegram_api.conversation import play
from telegram_api.scene import ANN, Scene, on_stage

from core.kernel.clock import LiveClock
from core.kernel.loops import live_loop_factory, run

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "telegram.md"


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Scene]:
    return play(tmp_path_factory.mktemp("talk"))


def test_every_command_was_used_and_every_word_is_in_the_menu(
    conversation: tuple[str, Scene],
) -> None:
    _, scene = conversation
    used = {line.split()[2].lstrip("/") for line in scene.commands() if " telegram /" in line}
    names = {entry["command"] for entry in scene.api.menu}
    assert names <= used
    assert used - names == {"profit", "show_config", "stopentry", "fx"}


def test_what_was_done_was_done_once_and_by_whom(conversation: tuple[str, Scene]) -> None:
    _, scene = conversation
    who = f"telegram:{ANN}"
    assert scene.desk.done == [
        f"pause by {who}",
        f"resume by {who}",
        f"pause by {who}",
        f"resume by {who}",
        f"close XRP/USDC:USDC by {who}",
        f"panic by telegram by {who}",
        f"clear halt by telegram by {who}",
        f"resume by {who}",
        f"tier balanced by {who}",
        f"tier conservative by {who}",
    ]


def test_every_message_begins_with_the_venue(conversation: tuple[str, Scene]) -> None:
    _, scene = conversation
    assert all(shown.text.startswith("🧪 PAPER") for shown in scene.api.shown)
    assert [line for line in scene.log if " WARNING " in line] == []


def test_the_transcript_in_the_documents_is_this_one(conversation: tuple[str, Scene]) -> None:
    text, _ = conversation
    if os.environ.get("RENEW_TRANSCRIPT"):
        REFERENCE.write_text(text, encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == text


def test_the_same_conversation_twice_is_the_same_text(
    conversation: tuple[str, Scene], tmp_path: Path
) -> None:
    assert play(tmp_path)[0] == conversation[0]


def test_in_real_time_on_the_loop_of_production(tmp_path: Path) -> None:
    async def main() -> None:
        scene = Scene(tmp_path, LiveClock())
        await scene.open()
        try:
            await scene.wait(lambda: scene.api.shown)
            (answer,) = await scene.ask("/status")
            assert "equity     402.37 USDC" in answer.text
            (question,) = await scene.ask("/panic")
            await scene.press(question, "yes, PANIC")
            await scene.wait(lambda: question.edits)
            assert "PANIC done" in question.text
        finally:
            async with asyncio.timeout(20):
                await scene.close()
        assert scene.failures == []

    run(main(), loop_factory=live_loop_factory())


def test_the_order_manager_can_be_asked_itself(tmp_path: Path) -> None:
    class NoPositions:
        def get_active_positions(self) -> tuple[()]:
            return ()

    async def story(scene: Scene) -> None:
        scene.phone.set_order_manager(NoPositions())
        (answer,) = await scene.ask("/positions")
        assert "no open positions" in answer.text

    on_stage(tmp_path, story)
