"""What surrounds prices: ADL rating, collateral rates, sessions, the book with retail orders."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from paper_kit import BTC, Venue
from test_paper_streams import WAIT_S, ask, nothing_more, socket

from core.paper.sessions import DAY_MS, MARKETS, session_at, sessions_of
from core.paper.streams import Route, Topic, parse_stream

FRIDAY_MS = 1_763_683_200_000
"""2025-11-21 00:00 UTC"""
HOUR_MS = 3_600_000


@pytest.mark.parametrize("market", sorted(MARKETS))
def test_sessions_fill_the_day_without_a_gap(market: str) -> None:
    for day in range(7):
        rows = sessions_of(market, FRIDAY_MS + day * DAY_MS)
        assert rows[0].start_ms == FRIDAY_MS + day * DAY_MS
        assert rows[-1].end_ms == FRIDAY_MS + (day + 1) * DAY_MS
        assert all(one.end_ms == other.start_ms for one, other in pairwise(rows))


@pytest.mark.parametrize(
    ("market", "hours", "kind"),
    [
        ("EQUITY", 0, "OVERNIGHT"),
        ("EQUITY", 8, "PRE_MARKET"),
        ("EQUITY", 13.5, "REGULAR"),
        ("EQUITY", 20, "AFTER_MARKET"),
        ("EQUITY", 24 + 15, "NO_TRADING"),
        ("EQUITY", 72 + 15, "REGULAR"),
        ("COMMODITY", 13, "NO_TRADING"),
        ("COMMODITY", 14, "REGULAR"),
    ],
)
def test_the_session_of_an_hour(market: str, hours: float, kind: str) -> None:
    assert session_at(market, FRIDAY_MS + int(hours * HOUR_MS)).kind == kind


async def test_a_week_of_sessions_from_the_day_before(venue: Venue) -> None:
    _, body = await venue.call("GET", "/fapi/v1/tradingSchedule", signed=False)
    now = venue.clock.now_ms()
    assert set(body["marketSchedules"]) == {"EQUITY", "COMMODITY"}
    for schedule in body["marketSchedules"].values():
        rows = schedule["sessions"]
        assert rows[0]["startTime"] == now // DAY_MS * DAY_MS - DAY_MS
        assert rows[-1]["endTime"] - rows[0]["startTime"] == 7 * DAY_MS
        assert {"startTime", "endTime", "type"} == set(rows[0])
    days = {datetime.fromtimestamp(r["startTime"] / 1000, UTC).weekday() for r in rows}
    assert days == set(range(7))


async def test_adl_rating_is_an_object_or_an_array(venue: Venue) -> None:
    _, row = await venue.call("GET", "/fapi/v1/symbolAdlRisk", signed=False, symbol=BTC)
    assert (row["symbol"], row["adlRisk"]) == (BTC, "low")
    assert row["updateTime"] % 1_800_000 == 0
    _, rows = await venue.call("GET", "/fapi/v1/symbolAdlRisk", signed=False)
    assert row in rows
    assert len(rows) == 2


async def test_the_book_with_retail_orders_is_the_book(venue: Venue) -> None:
    _, plain = await venue.call("GET", "/fapi/v1/depth", signed=False, symbol=BTC, limit=1000)
    _, retail = await venue.call("GET", "/fapi/v1/rpiDepth", signed=False, symbol=BTC)
    assert (retail["bids"], retail["asks"]) == (plain["bids"], plain["asks"])
    assert retail["lastUpdateId"] > plain["lastUpdateId"]
    _, body = await venue.call("GET", "/fapi/v1/rpiDepth", signed=False, symbol=BTC, limit=500)
    assert body["code"] == -4021


@pytest.mark.parametrize(
    ("text", "topic", "route"),
    [
        ("btcusdc@rpiDepth@500ms", Topic.RPI, Route.PUBLIC),
        ("!assetIndex@arr", Topic.COLLATERAL, Route.MARKET),
        ("usdcusd@assetIndex", Topic.COLLATERAL, Route.MARKET),
        ("tradingSession", Topic.SESSION, Route.MARKET),
    ],
)
def test_stream_names(text: str, topic: Topic, route: Route) -> None:
    name = parse_stream(text, {BTC: None})
    assert name is not None
    assert (name.topic, name.topic.route) == (topic, route)


@pytest.mark.parametrize(
    "text", ["btcusdc@rpiDepth", "btcusdc@rpiDepth@100ms", "btcusdc@assetIndex", "x@tradingSession"]
)
def test_names_that_are_none(text: str) -> None:
    assert parse_stream(text, {BTC: None}) is None


async def test_pushes(venue: Venue) -> None:
    path = "/market/ws/!assetIndex@arr/usdcusd@assetIndex/tradingSession"
    async with socket(venue, path) as ws:
        frames = [await ws.receive_json(timeout=WAIT_S) for _ in range(4)]
    arrays = [frame for frame in frames if isinstance(frame, list)]
    assert [row["s"] for row in arrays[0]] == ["USDCUSD"]
    singles = [frame for frame in frames if isinstance(frame, dict)]
    assert {frame["e"] for frame in singles} == {
        "assetIndexUpdate",
        "EquityUpdate",
        "CommodityUpdate",
    }
    async with socket(venue, "/public/ws/btcusdc@rpiDepth@500ms") as ws:
        book = await ws.receive_json(timeout=WAIT_S)
    assert (book["e"], book["s"]) == ("depthUpdate", BTC)
    assert {"U", "u", "pu", "b", "a"} < set(book)
    async with socket(venue, "/market/ws") as ws:
        assert (await ask(ws, "SUBSCRIBE", "btcusdc@rpiDepth@500ms"))["result"] is None
        await nothing_more(ws)


async def test_every_side_has_its_place_in_the_adl_queue(venue: Venue) -> None:
    order = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    await venue.call("POST", "/fapi/v1/order", **order)
    _, rows = await venue.call("GET", "/fapi/v1/adlQuantile")
    assert rows == [{"symbol": BTC, "adlQuantile": {"LONG": 0, "SHORT": 0, "BOTH": 1}}]
