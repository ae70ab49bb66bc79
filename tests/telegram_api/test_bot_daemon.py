"""The bot on a whole daemon: real order manager, risk guard, database and paper exchange."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from support.application import config_in, with_application
from telegram_api.scene import ANN

from core.app import Application
from core.assembly.exit_codes import ExitCode
from core.assembly.phone import Phone, open_phone
from core.assembly.prices import PriceSource
from core.domain.position import PositionView
from core.kernel.clock import SimulatedClock
from core.simulation.telegram_server import TOKEN, BotApi, Shown


class Talk:
    """Ann's phone."""

    def __init__(self, api: BotApi, clock: SimulatedClock) -> None:
        self._api = api
        self._clock = clock

    async def ask(self, text: str) -> Shown:
        before = len(self._api.shown)
        self._api.say(ANN, text)
        return await self._next(before)

    async def press(self, shown: Shown, label: str) -> Shown:
        edits = shown.edits
        self._api.press(ANN, shown, label)
        for _ in range(60):
            await self._clock.sleep(5.0)  # and the alerts that follow from it have come too
            if shown.edits > edits:
                return shown
        raise AssertionError(f"no answer to {label}")

    async def _next(self, before: int) -> Shown:
        """The last part of the answer: nothing more has come for two seconds."""
        for _ in range(60):
            known = len(self._api.shown)
            await self._clock.sleep(2.0)
            if before < known == len(self._api.shown):
                return self._api.shown[-1]
        raise AssertionError("no answer")


def phone_of(app: Application, clock: SimulatedClock, source: PriceSource | None) -> Phone | None:
    operator = app.operator
    assert operator is not None
    return open_phone(
        app._settings,
        operator,
        operator._trading,
        source,
        surroundings=app._surroundings,
        clock=clock,
        supervisor=app._workers,
        dispatcher=app._dispatcher,
        log=app._say,
        redactor=app._redactor,
    )


def test_no_token_no_bot_and_no_bot_on_hurried_prices(tmp_path: Path) -> None:
    async def story(app: Application, clock: SimulatedClock) -> None:
        assert app._source is not None
        assert phone_of(app, clock, app._source) is None
        settings = app._settings
        settings.config = settings.config.with_settings("test", TELEGRAM_TOKEN=TOKEN)
        assert phone_of(app, clock, app._source) is None
        assert phone_of(app, clock, replace(app._source, speed=60.0)) is None
        phone = phone_of(app, clock, replace(app._source, speed=1.0))
        assert phone is not None

    assert with_application(config_in(tmp_path), story) is ExitCode.OK
    log = "".join(path.read_text("utf-8") for path in (tmp_path / "logs").glob("bot_*.log"))
    assert "prices run as fast as they can: set PAPER_SPEED=1" in log
    assert "prices run 60 times as fast: set PAPER_SPEED=1" in log


def test_a_whole_daemon_is_steered_from_the_phone(tmp_path: Path) -> None:
    async def story(app: Application, clock: SimulatedClock) -> None:
        operator = app.operator
        assert operator is not None
        api = BotApi(clock, people={ANN})
        settings = app._settings
        settings.config = settings.config.with_settings(
            "test", TELEGRAM_API_URL=await api.start(), TELEGRAM_TOKEN=TOKEN
        )
        phone = phone_of(app, clock, None)
        assert phone is not None
        await phone.start()
        talk = Talk(api, clock)
        while not api.shown:
            await clock.sleep(0.1)
        await clock.sleep(10.0)  # the market stream is up by then
        await _steer(talk, operator._trading.orders.get_active_positions)
        await phone.stop("the day is over")
        assert "the day is over" in api.shown[-1].text
        await api.stop()

    config = config_in(tmp_path, TELEGRAM_CHAT_ID=str(ANN))
    assert with_application(config, story) is ExitCode.OK
    audit = "".join(path.read_text() for path in (tmp_path / "logs").glob("*audit*"))
    assert f"telegram:{ANN}" in audit
    assert TOKEN not in audit


async def _steer(talk: Talk, positions: Callable[[], tuple[PositionView, ...]]) -> None:
    status = await talk.ask("/status")
    assert "SYNTHETIC PRICES" in status.text
    assert "entries    allowed" in status.text
    assert "paused" in (await talk.ask("/pause")).text
    assert "⛔ paused by the operator" in (await talk.ask("/status")).text
    for command in ("/resume", "/summary", "/performance", "/why", "/config", "/logs 50", "/audit"):
        answer = await talk.ask(command)
        assert "❌" not in answer.text
    question = await talk.ask("/panic")
    done = await talk.press(question, "yes, PANIC")
    assert "the exchange shows nothing of ours any more" in done.text
    assert positions() == ()
    assert "⛔ Halted by" in (await talk.ask("/risk")).text
    question = await talk.ask("/resume")
    done = await talk.press(question, "yes, clear the halt")
    assert "entries enabled" in done.text
