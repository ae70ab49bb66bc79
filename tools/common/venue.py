"""The one way of the tools to the exchange (floor 8): the daemon's own configuration decides.

On the paper venue the exchange lives inside the daemon; while it runs, a private file in its data
folder says where.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.assembly.venue import open_venue, running_paper
from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.errors import ConfigError
from core.domain.ports import Clock
from core.exchange_client import OptimizedExchangeClient
from core.kernel.supervisor import Supervisor
from core.oms.risk_store import RiskStore
from tools.common.daemon import running_daemon


def say(component: str, level: str, message: str) -> None:
    """Lines of the daemon's parts, for a person at the terminal."""
    print(f"{level.lower()}: {component}: {message}", file=sys.stderr, flush=True)


def task_failed(name: str, error: BaseException, again: bool) -> None:  # noqa: FBT001 - the supervisor's call form
    say("tasks", "ERROR", f"{name}: {type(error).__name__}{', again' if again else ''}")


def risk_store(config: TradingConfig) -> RiskStore:
    """The risk memory the daemon of this data folder uses, halt included."""
    return RiskStore(config.data_dir / "runtime" / "stage_f_state.json", config.venue)


@asynccontextmanager
async def connected(config: TradingConfig, clock: Clock) -> AsyncIterator[OptimizedExchangeClient]:
    """A client of the configured venue, its clock measured and its contracts loaded.

    Raises ConfigError when there is nothing to connect to, VenueError when it does not answer.
    """
    if config.venue is Venue.PAPER:
        if not running_daemon(config):
            raise ConfigError(
                [
                    "DRY_RUN: the paper exchange lives inside the daemon, and none runs on the "
                    f"data folder {config.data_dir}"
                ]
            )
        access = running_paper(config)
    else:
        access = await open_venue(config, None, clock, Supervisor(clock, task_failed), say)
    client = OptimizedExchangeClient(
        access.endpoints, access.credentials, clock, quote_coin=config.resolved_quote_coin
    )
    try:
        await client.initialize()
        yield client
    finally:
        await client.close()
