"""The real Application in this process, on virtual time, with invented prices."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from core.app import Application, RunOptions
from core.assembly.exit_codes import ExitCode
from core.assembly.prices import choose_prices
from core.assembly.surroundings import Surroundings
from core.config import TradingConfig
from core.kernel.clock import SimulatedClock
from core.kernel.loops import run
from core.simulation.planted import HMAC_KEY
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory

ON_VIRTUAL_TIME = Surroundings(inline=True)
Story = Callable[[Application, SimulatedClock], Awaitable[None]]


def config_in(folder: Path, **changes: object) -> TradingConfig:
    """Dry-run with synthetic prices and all files inside `folder`."""
    values: dict[str, object] = {
        "DRY_RUN": True,
        "PAPER_FEED": "synthetic",
        "PAPER_SPEED": "max",
        "DATA_DIR": folder / "data",
        "LOGS_DIR": folder / "logs",
        "SYMBOLS": "XRPUSDC,DOGEUSDC,ADAUSDC",
        "AUDIT_HMAC_KEY": HMAC_KEY,
        **changes,
    }
    return TradingConfig(**values)


def with_application(
    config: TradingConfig, story: Story, surroundings: Surroundings = ON_VIRTUAL_TIME
) -> ExitCode:
    """Run the daemon, tell `story` once it is ready, then stop it in order."""
    source = choose_prices(config)
    assert source.epoch_ms is not None
    epoch_ms = source.epoch_ms

    async def main() -> ExitCode:
        loop = asyncio.get_running_loop()
        with aiohttp_on_virtual_time(loop):
            clock = SimulatedClock(epoch_ms, loop)
            app = Application(config, RunOptions(), source, clock, surroundings)
            running = asyncio.ensure_future(app.run())
            try:
                while not app.ready and not running.done():
                    await clock.sleep(0.05)
                if not running.done():
                    await story(app, clock)
            finally:
                app.request_stop("the story is told")
                code = await running
            return code

    return run(main(), loop_factory=virtual_loop_factory())
