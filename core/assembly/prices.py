"""Chooses the price source of a paper run before the event loop exists (floor 7).

The source decides the kind of time: live prices run on the machine's own, recorded and synthetic
ones on a virtual loop that starts where the data starts. It never changes while the run lasts.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from core.config import TradingConfig
from core.domain.enums import PaperFeed
from core.domain.errors import ConfigError, DataError
from core.kernel.chance import Chance
from core.kernel.clock import LiveClock
from core.kernel.supervisor import Supervisor
from core.paper.feed_live import REST_URL, WS_URL, why_unreachable
from core.paper.feeds import PROBE_S, FeedOptions, OpenedFeed, open_feed
from core.symbol_utils import to_binance_symbol

SYNTHETIC_MARK = "SYNTHETIC PRICES"
T = TypeVar("T")
_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440


@dataclass(frozen=True, slots=True)
class PriceSource:
    """`opened` is set for sources that need no network; `speed` None means unpaced.

    `epoch_ms` is where virtual time starts, None on the machine's own time.
    """

    kind: PaperFeed
    options: FeedOptions
    opened: OpenedFeed | None
    epoch_ms: int | None
    speed: float | None
    notes: tuple[str, ...]


def choose_prices(config: TradingConfig) -> PriceSource:
    """Decide and open. Raises ConfigError for recordings or symbols that cannot be played."""
    options = feed_options(config)
    notes: tuple[str, ...] = ()
    kind = config.paper_feed
    if kind is PaperFeed.AUTO:
        reason = _run(why_unreachable(options.rest_url, PROBE_S))
        kind = PaperFeed.SYNTHETIC if reason else PaperFeed.LIVE
        if reason:
            notes = (
                f"{SYNTHETIC_MARK}: live prices cannot be reached within {PROBE_S:g} s "
                f"({reason}), so everything below trades invented prices",
            )
    if kind is PaperFeed.LIVE:
        return PriceSource(kind, options, None, None, 1.0, notes)
    if kind is PaperFeed.SYNTHETIC and not notes:
        notes = (f"{SYNTHETIC_MARK}: chosen by PAPER_FEED",)
    opened = _run(_open_offline(kind, options, config.paper_seed))
    return PriceSource(
        kind,
        options,
        opened,
        opened.feed.start_ms,
        config.resolved_paper_speed(kind),
        notes,
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    """On a loop of its own. A signal may come before the first step: it is closed then, too."""
    try:
        return asyncio.run(work)
    finally:
        work.close()


def feed_options(config: TradingConfig) -> FeedOptions:
    """History covers the candles a strategy sees, and a day for the 24 h statistics."""
    minutes = (config.candles + 2) * config.timeframe_ms // _MINUTE_MS
    return FeedOptions(
        quote=config.resolved_quote_coin,
        symbols=tuple(to_binance_symbol(symbol) for symbol in config.symbols) or None,
        seed=config.paper_seed,
        warmup_minutes=max(minutes, _DAY_MINUTES),
        replay_path=config.paper_replay_path,
        start_ms=config.paper_replay_from,
        end_ms=config.paper_replay_to,
        rest_url=config.binance_rest_url or REST_URL,
        ws_url=config.binance_ws_url or WS_URL,
    )


async def _open_offline(kind: PaperFeed, options: FeedOptions, seed: int) -> OpenedFeed:
    clock = LiveClock()
    offline = Supervisor(clock, lambda name, error, again: None)
    start = options.start_ms if kind is PaperFeed.REPLAY else None
    try:
        return await open_feed(
            kind,
            FeedOptions(
                quote=options.quote,
                symbols=options.symbols,
                seed=options.seed,
                warmup_minutes=options.warmup_minutes,
                replay_path=options.replay_path,
                start_ms=start,
                end_ms=options.end_ms,
            ),
            clock=clock,
            supervisor=offline,
            chance=Chance(seed),
            report=lambda _line: None,
        )
    except DataError as error:
        raise ConfigError([f"PAPER_REPLAY_PATH: {error}"]) from None
    except ValueError as error:
        raise ConfigError([f"SYMBOLS: {error}"]) from None


def describe(source: PriceSource) -> str:
    """One line for the build card."""
    if source.opened is None:
        return f"live public prices of {source.options.rest_url}"
    text = source.opened.feed.describe()
    pace = "as fast as possible" if source.speed is None else f"{Decimal(str(source.speed))}x"
    return f"{text}, speed {pace}"
