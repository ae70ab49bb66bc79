"""Where orders go (floor 7): the exchange's hosts, any compatible server, or the embedded one.

The rest of the daemon sees addresses and credentials only. That is the whole difference between
paper, demo network and production.
"""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from core.assembly.prices import PriceSource, describe
from core.assembly.waiting import GaveUp
from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.errors import ConfigError, RetryLater
from core.domain.ports import Clock
from core.exchange.endpoints import DEMO, PRODUCTION, Endpoints
from core.exchange.library import Credentials
from core.kernel.chance import Chance
from core.kernel.durable_file import replace_file
from core.kernel.supervisor import Supervisor
from core.observe.narrator import LogEvent
from core.paper.feeds import OpenedFeed, open_feed
from core.paper.server import PaperServer

PAPER_LATENCY_MS = 20
"""What a request to the paper exchange takes: a near data centre, so that times mean something."""


@dataclass(frozen=True, slots=True)
class VenueAccess:
    """Addresses, credentials and the price source in words.

    `account` names the account where ids must tell accounts apart: each paper run begins a new
    account, so a decision of an earlier run is not mistaken for one of this run.
    """

    endpoints: Endpoints
    credentials: Credentials
    feed: str
    account: str
    paper: PaperServer | None


async def open_venue(
    config: TradingConfig,
    source: PriceSource | None,
    clock: Clock,
    supervisor: Supervisor,
    log: LogEvent,
) -> VenueAccess:
    """Start the embedded exchange when this is a paper run.

    Raises ConfigError when it cannot, and GaveUp without the live prices that were asked for.
    """
    if source is not None:
        return await _open_paper(config, source, clock, supervisor, log)
    own = PRODUCTION if config.venue is Venue.PROD else DEMO
    endpoints = own
    if config.binance_rest_url and config.binance_ws_url:
        endpoints = Endpoints(config.binance_rest_url, config.binance_ws_url)
    return VenueAccess(
        endpoints=endpoints,
        credentials=credentials(config),
        feed=f"the venue's own ({endpoints.rest})",
        account="",
        paper=None,
    )


def credentials(config: TradingConfig) -> Credentials:
    """Key and secret of the configuration. Raises ConfigError when they are missing."""
    key = config.binance_api_key
    secret = config.binance_api_secret
    if config.binance_private_key_path is not None:
        try:
            secret = SecretStr(config.binance_private_key_path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError) as error:
            path = config.binance_private_key_path
            raise ConfigError([f"BINANCE_PRIVATE_KEY_PATH: {path} unreadable ({error})"]) from None
    if key is None or secret is None:
        raise ConfigError(["BINANCE_API_KEY, BINANCE_API_SECRET: needed outside dry-run"])
    return Credentials(key, secret)


async def _open_paper(
    config: TradingConfig,
    source: PriceSource,
    clock: Clock,
    supervisor: Supervisor,
    log: LogEvent,
) -> VenueAccess:
    opened = source.opened or await _open_live(config, source, clock, supervisor, log)
    key, secret = secrets.token_hex(16), SecretStr(secrets.token_hex(32))
    server = PaperServer(
        opened.feed,
        opened.contracts,
        clock,
        supervisor,
        seed=config.paper_seed,
        balance=config.paper_balance,
        quote=config.resolved_quote_coin,
        api_key=key,
        api_secret=secret,
        latency_ms=PAPER_LATENCY_MS,
    )
    try:
        at = await server.start()
    except OSError as error:
        raise ConfigError([f"paper exchange: cannot listen on loopback ({error})"]) from None
    _tell_tools(config.data_dir, at.rest, at.ws, key, secret)
    return VenueAccess(
        endpoints=Endpoints(at.rest, at.ws),
        credentials=Credentials(SecretStr(key), secret),
        feed=describe(source) if source.opened else f"live prices, {opened.feed.describe()}",
        account=str(next_account(config.data_dir)),
        paper=server,
    )


def running_paper(config: TradingConfig) -> VenueAccess:
    """The paper exchange inside the daemon of this data folder. Raises ConfigError without one."""
    path = _paper_file(config.data_dir)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return VenueAccess(
            endpoints=Endpoints(told["rest"], told["ws"]),
            credentials=Credentials(SecretStr(told["api_key"]), SecretStr(told["api_secret"])),
            feed="the running daemon's",
            account="",
            paper=None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            [
                "DRY_RUN: the paper exchange lives inside the daemon, and none has been started "
                f"with the data folder {config.data_dir}"
            ]
        ) from None


def _tell_tools(data_dir: Path, rest: str, ws: str, key: str, secret: SecretStr) -> None:
    """Where the embedded exchange listens, for the tools of the same user."""
    told = {"rest": rest, "ws": ws, "api_key": key, "api_secret": secret.get_secret_value()}
    replace_file(_paper_file(data_dir), json.dumps(told).encode())


def _paper_file(data_dir: Path) -> Path:
    return data_dir / "runtime" / "paper_exchange.json"


async def _open_live(
    config: TradingConfig,
    source: PriceSource,
    clock: Clock,
    supervisor: Supervisor,
    log: LogEvent,
) -> OpenedFeed:
    try:
        return await open_feed(
            source.kind,
            source.options,
            clock=clock,
            supervisor=supervisor,
            chance=Chance(config.paper_seed),
            report=lambda line: log("paper", "WARNING", line),
        )
    except RetryLater as error:
        raise GaveUp(
            f"PAPER_FEED={config.paper_feed}: live prices cannot be read ({error}); "
            "auto or synthetic would trade invented prices instead"
        ) from None


def next_account(data_dir: Path) -> int:
    """Number of the paper account this run begins, counted in the data folder from 1."""
    path = data_dir / "runtime" / "paper_account.json"
    try:
        number = int(json.loads(path.read_text(encoding="utf-8"))["account"]) + 1
    except (OSError, ValueError, KeyError, TypeError):
        number = 1  # missing or unreadable: nothing but the number is lost
    replace_file(path, json.dumps({"account": number}).encode())
    return number
