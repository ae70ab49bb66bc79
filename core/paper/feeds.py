"""Opens the price source an operator asked for (floor 2c).

`auto` decides once, before anything runs: live prices when the server answers, the synthetic
market otherwise. A source never changes while it runs, and `OpenedFeed.kind` says which it became.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from core.domain.enums import PaperFeed
from core.domain.errors import DataError, RetryLater
from core.domain.ports import Clock
from core.kernel.chance import Chance
from core.kernel.supervisor import Supervisor
from core.paper.contracts import listed_contracts
from core.paper.feed_live import REST_URL, WS_URL, LiveFeed, why_unreachable
from core.paper.feed_replay import ReplayFeed
from core.paper.feed_synthetic import SyntheticFeed
from core.paper.model import Contract, Feed

MINUTE_MS = 60_000
PROBE_S = 4.0
"""How long `auto` waits for the live server."""


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """What a feed is opened with; a field that a kind does not use is ignored by it.

    `also` are further quote coins whose contracts trade beside those of `quote`. `symbols`
    (`BTCUSDC`) restricts the market, None plays everything known. `warmup_minutes` is the history
    wanted before the start. `start_ms` is where the synthetic market begins (None: the clock's
    now); with `end_ms` it bounds a replay in the time of the recording. `wall_clock` moves a replay
    so that it opens at the clock's own time.
    """

    quote: str
    symbols: Sequence[str] | None = None
    seed: int = 7
    warmup_minutes: int = 4_600
    replay_path: Path | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    wall_clock: bool = False
    tick_ms: int = 5_000
    rest_url: str = REST_URL
    ws_url: str = WS_URL
    also: tuple[str, ...] = ()

    @property
    def quotes(self) -> tuple[str, ...]:
        """Every quote coin, the main one first."""
        return tuple(dict.fromkeys((self.quote, *self.also)))


@dataclass(frozen=True, slots=True)
class OpenedFeed:
    """`kind` is never AUTO. `contracts` are those of the feed's symbols, in its order."""

    feed: Feed
    kind: PaperFeed
    contracts: dict[str, Contract]


async def open_feed(
    kind: PaperFeed,
    options: FeedOptions,
    *,
    clock: Clock,
    supervisor: Supervisor,
    chance: Chance,
    report: Callable[[str], None],
    sessions: Callable[[], aiohttp.ClientSession] = aiohttp.ClientSession,
) -> OpenedFeed:
    """The feed of `kind`. `report` hears why `auto` fell back and later interruptions.

    Raises DataError (replay), RetryLater (live that cannot be read) and ValueError (a symbol that
    is not quoted in the wanted coin).
    """
    if kind is PaperFeed.REPLAY:
        return _replay(options, clock)
    if kind is PaperFeed.SYNTHETIC:
        return _synthetic(options, clock)
    if kind is PaperFeed.AUTO:
        reason = await why_unreachable(options.rest_url, PROBE_S, sessions)
        if reason:
            report(f"live prices cannot be reached ({reason}): SYNTHETIC PRICES")
            return _synthetic(options, clock)
    try:
        return await _live(options, clock, supervisor, chance, report, sessions)
    except RetryLater as error:
        if kind is PaperFeed.LIVE:
            raise
        report(f"live prices cannot be read ({error}): SYNTHETIC PRICES")
        return _synthetic(options, clock)


def _replay(options: FeedOptions, clock: Clock) -> OpenedFeed:
    if options.replay_path is None:
        raise DataError("a replay needs the path of a recorded candle file or folder")
    feed = ReplayFeed(
        options.replay_path,
        options.quotes,
        options.symbols,
        options.start_ms,
        options.end_ms,
        options.warmup_minutes * MINUTE_MS,
        clock.now_ms() if options.wall_clock else None,
    )
    contracts = listed_contracts(options.quotes, feed.symbols, feed.samples())
    return OpenedFeed(feed, PaperFeed.REPLAY, {s: contracts[s] for s in feed.symbols})


def _synthetic(options: FeedOptions, clock: Clock) -> OpenedFeed:
    contracts = listed_contracts(options.quotes, options.symbols or ())
    chosen = {s: contracts[s] for s in options.symbols or contracts}
    feed = SyntheticFeed(
        list(chosen.values()),
        options.seed,
        clock.now_ms() if options.start_ms is None else options.start_ms,
        options.warmup_minutes,
        options.tick_ms,
    )
    return OpenedFeed(feed, PaperFeed.SYNTHETIC, chosen)


async def _live(
    options: FeedOptions,
    clock: Clock,
    supervisor: Supervisor,
    chance: Chance,
    report: Callable[[str], None],
    sessions: Callable[[], aiohttp.ClientSession],
) -> OpenedFeed:
    wanted = options.symbols or tuple(listed_contracts(options.quotes))
    feed = await LiveFeed.open(
        wanted,
        clock=clock,
        supervisor=supervisor,
        chance=chance.stream("paper/live"),
        report=report,
        rest_url=options.rest_url,
        ws_url=options.ws_url,
        history_minutes=options.warmup_minutes,
        sessions=sessions,
    )
    contracts = listed_contracts(options.quotes, feed.symbols, feed.samples())
    return OpenedFeed(feed, PaperFeed.LIVE, {s: contracts[s] for s in feed.symbols})
