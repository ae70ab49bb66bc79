"""A token is enough: the daemon opens the operator's phone, and says goodbye when it stops."""

import asyncio
from pathlib import Path

from aiohttp import web
from support.application import config_in
from telegram_api.scene import ANN

from core.app import Application, RunOptions
from core.assembly.exit_codes import ExitCode
from core.assembly.prices import choose_prices
from core.assembly.surroundings import Surroundings
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.simulation.telegram_server import TOKEN, BotApi
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory


def run_with_phone(folder: Path, *, once: bool) -> tuple[ExitCode, list[str]]:
    """Exit code of a run of a minute, and what the phone was shown."""
    source = choose_prices(config_in(folder, PAPER_SPEED="1"))
    epoch_ms = source.epoch_ms
    assert epoch_ms is not None

    async def main() -> tuple[ExitCode, list[str]]:
        loop = asyncio.get_running_loop()
        with aiohttp_on_virtual_time(loop):
            clock = SimulatedClock(epoch_ms, loop)
            api = BotApi(clock, people={ANN})
            config = config_in(
                folder,
                PAPER_SPEED="1",
                TELEGRAM_TOKEN=TOKEN,
                TELEGRAM_CHAT_ID=str(ANN),
                TELEGRAM_API_URL=await api.start(),
            )
            options = RunOptions(once=once)
            app = Application(config, options, source, clock, Surroundings(inline=True))
            running = asyncio.ensure_future(app.run())
            while not app.ready and not running.done():
                await clock.sleep(0.05)
            await clock.sleep(60.0)
            app.request_stop("the test is over")
            code = await running
            await api.stop()
            return code, [shown.text for shown in api.shown]

    return run(main(), loop_factory=virtual_loop_factory())


def test_the_daemon_opens_the_phone_and_hangs_up(tmp_path: Path) -> None:
    code, shown = run_with_phone(tmp_path, once=False)
    assert code is ExitCode.OK
    assert shown
    assert "the test is over" in shown[-1]


def test_a_single_pass_does_not_ring(tmp_path: Path) -> None:
    assert run_with_phone(tmp_path, once=True) == (ExitCode.OK, [])


def test_slack_alone_needs_no_token(tmp_path: Path) -> None:
    """The daemon tells Slack, without Telegram, and says goodbye there."""
    posted: list[str] = []

    async def take(request: web.Request) -> web.Response:
        posted.append((await request.json())["text"])
        return web.Response(text="ok")

    source = choose_prices(config_in(tmp_path, PAPER_SPEED="1"))
    epoch_ms = source.epoch_ms
    assert epoch_ms is not None

    async def main() -> ExitCode:
        loop = asyncio.get_running_loop()
        with aiohttp_on_virtual_time(loop):
            hook = web.Application()
            hook.router.add_post("/hook", take)
            runner = web.AppRunner(hook, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            config = config_in(tmp_path, PAPER_SPEED="1", SLACK_WEBHOOK_URL=url)
            clock = SimulatedClock(epoch_ms, loop)
            app = Application(config, RunOptions(), source, clock, Surroundings(inline=True))
            running = asyncio.ensure_future(app.run())
            await clock.sleep(60.0)
            app.request_stop("the test is over")
            code = await running
            await runner.cleanup()
            return code

    assert run(main(), loop_factory=virtual_loop_factory()) is ExitCode.OK
    assert "started" in posted[0]
    assert "PAPER" in posted[0]
    assert "the test is over" in posted[-1]
