"""Opening the configured price source, and what `auto` becomes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from feed_kit import MINUTE, START, D, row, virtually, write
from live_stub import NOW, SYMBOLS, Rig, rig

from core.domain.enums import PaperFeed
from core.domain.errors import DataError, RetryLater
from core.kernel.chance import Chance
from core.paper.feeds import FeedOptions, OpenedFeed, open_feed


def opened(
    kind: PaperFeed, options: FeedOptions, prepare: Callable[[Rig], None]
) -> tuple[OpenedFeed, Rig]:
    """The feed opened against a live server that `prepare` may spoil."""

    async def main() -> tuple[OpenedFeed, Rig]:
        async with rig() as parts:
            prepare(parts)
            url = parts.stub.url
            found = await open_feed(
                kind,
                replace(options, rest_url=url, ws_url=url.replace("http", "ws")),
                clock=parts.clock,
                supervisor=parts.supervisor,
                chance=Chance(7),
                report=parts.said.append,
            )
            return found, parts

    return virtually(main())


def healthy(parts: Rig) -> None:
    assert parts.stub.url


def dead(parts: Rig) -> None:
    parts.stub.url = "http://127.0.0.1:1"


def mute(parts: Rig) -> None:
    parts.stub.override["ping"] = 60.0


def banned(parts: Rig) -> None:
    parts.stub.override["ping"] = web.Response(status=418)


def unreadable(parts: Rig) -> None:
    parts.stub.trading = {}


QUICK = FeedOptions("USDC", SYMBOLS, warmup_minutes=60)


def test_auto_is_live_where_the_server_answers() -> None:
    found, parts = opened(PaperFeed.AUTO, QUICK, healthy)
    assert found.kind is PaperFeed.LIVE
    assert not found.feed.simulated
    assert tuple(found.contracts) == found.feed.symbols == SYMBOLS
    assert parts.said == []


@pytest.mark.parametrize("spoil", [dead, mute, banned, unreadable])
def test_auto_is_synthetic_otherwise_and_says_so_loudly(spoil: Callable[[Rig], None]) -> None:
    found, parts = opened(PaperFeed.AUTO, QUICK, spoil)
    assert found.kind is PaperFeed.SYNTHETIC
    assert found.feed.simulated
    assert found.feed.symbols == SYMBOLS
    assert len(parts.said) == 1
    assert "SYNTHETIC PRICES" in parts.said[0]
    assert parts.clock.now_ms() - NOW <= 5_000


@pytest.mark.parametrize("spoil", [dead, unreadable])
def test_live_fails_instead_of_falling_back(spoil: Callable[[Rig], None]) -> None:
    with pytest.raises(RetryLater):
        opened(PaperFeed.LIVE, QUICK, spoil)


def test_synthetic_never_touches_the_network() -> None:
    found, parts = opened(PaperFeed.SYNTHETIC, FeedOptions("USDT", warmup_minutes=60), healthy)
    assert found.kind is PaperFeed.SYNTHETIC
    assert len(found.contracts) >= 25
    assert all(symbol.endswith("USDT") for symbol in found.contracts)
    assert found.feed.start_ms == NOW
    assert parts.stub.requests == []


def test_synthetic_starts_where_it_is_told() -> None:
    options = FeedOptions("USDC", SYMBOLS, warmup_minutes=60, start_ms=START)
    assert opened(PaperFeed.SYNTHETIC, options, healthy)[0].feed.start_ms == START


def recording(folder: Path) -> Path:
    shape = ("100.12345", "101", "99", "100")
    lines = [row(START + n * MINUTE, shape) for n in range(3000)]
    return write(folder / "BTCUSDT-1m-2025-06.csv", lines)


def test_replay_lists_contracts_that_can_quote_the_recording(tmp_path: Path) -> None:
    options = FeedOptions("USDC", replay_path=recording(tmp_path), warmup_minutes=60)
    found, parts = opened(PaperFeed.REPLAY, options, healthy)
    assert found.kind is PaperFeed.REPLAY
    assert found.feed.start_ms == START + 60 * MINUTE
    assert list(found.contracts) == ["BTCUSDC"]
    assert found.contracts["BTCUSDC"].tick == D("0.00001")
    assert parts.stub.requests == []


def test_a_recording_is_played_in_every_coin_that_is_wanted(tmp_path: Path) -> None:
    options = FeedOptions(
        "USDC", replay_path=recording(tmp_path), warmup_minutes=60, also=("USDT",)
    )
    found, _ = opened(PaperFeed.REPLAY, options, healthy)
    assert list(found.contracts) == ["BTCUSDC", "BTCUSDT"]
    assert [row.quote for row in found.contracts.values()] == ["USDC", "USDT"]
    assert "BTCUSDC from BTCUSDT, BTCUSDT" in found.feed.describe()


def test_contracts_of_two_coins_on_one_synthetic_market() -> None:
    options = FeedOptions("USDT", warmup_minutes=60, also=("USDC", "USDT"))
    assert options.quotes == ("USDT", "USDC")
    found, _ = opened(PaperFeed.SYNTHETIC, options, healthy)
    assert len(found.contracts) >= 50
    assert {row.quote for row in found.contracts.values()} == {"USDC", "USDT"}
    one, other = (found.feed.history(f"ETH{coin}")[-1].close for coin in ("USDC", "USDT"))
    assert abs(one / other - 1) < D("0.0001")


def test_replay_on_the_wall_clock_opens_now(tmp_path: Path) -> None:
    options = FeedOptions(
        "USDC", replay_path=recording(tmp_path), warmup_minutes=60, wall_clock=True
    )
    found, _ = opened(PaperFeed.REPLAY, options, healthy)
    assert found.feed.start_ms == NOW
    assert found.feed.end_ms == START + 3000 * MINUTE


def test_replay_without_a_path_says_what_is_missing() -> None:
    with pytest.raises(DataError, match="needs the path"):
        opened(PaperFeed.REPLAY, FeedOptions("USDC"), healthy)
