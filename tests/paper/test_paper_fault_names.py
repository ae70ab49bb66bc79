"""Misfortune by name: each kind does what its name says, for any route, call and parameters."""

from typing import Any

import aiohttp
import pytest
from paper_kit import ADA, BTC, Venue, api
from test_paper_streams import WAIT_S, open_user, socket

from core.kernel.supervisor import Supervisor
from core.paper.fault_names import NAMED
from core.paper.faults import EventFault, RestFault
from core.paper.server import PaperServer

BUY = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
ORDER = "POST /fapi/v1/order"
STOP = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "type": "STOP_MARKET"}
STOP |= {"quantity": "0.01", "triggerPrice": "59900"}
ANSWERS: dict[str, tuple[int, int | str | None, bool]] = {
    "timeout_before": (408, -1007, False),
    "timeout_after": (408, -1007, True),
    "unknown_outcome": (503, "Unknown error", True),
    "unavailable": (503, "Service Unavailable.", False),
    "overloaded": (503, -1008, False),
    "internal_error": (500, -1001, False),
    "firewall": (403, "<html>", False),
    "not_json": (200, "<html>", True),
    "too_many_requests": (429, -1003, False),
    "key_expired": (401, -2015, False),
    "clock": (400, -1021, False),
    "no_margin": (400, -2019, False),
    "error_code": (400, -1000, False),
}
"""Status, code or beginning of the text, and whether the order was executed."""


async def plan(venue: Venue, name: str, **fields: object) -> None:
    status, body = await api(venue, "POST", "/paper/faults", {"named": [{"name": name, **fields}]})
    assert status == 200, body


async def order(venue: Venue, **changed: object) -> tuple[int, Any]:
    try:
        return await venue.call("POST", "/fapi/v1/order", **(BUY | changed))
    except aiohttp.ContentTypeError as error:
        return error.status, None


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_request_is_answered_as_its_name_says(venue: Venue, name: str) -> None:
    status, told, executed = ANSWERS[name]
    await plan(venue, name)
    answered, body = await order(venue)
    assert answered == status
    assert (body is None) is isinstance(told, str)
    if body is not None:
        assert body["code"] == told
    assert len(venue.server.positions()) == int(executed)


@pytest.mark.parametrize(("name", "executed"), [("cut_before", False), ("cut_after", True)])
async def test_a_cut_connection_has_an_effect_or_none(
    venue: Venue, name: str, executed: bool
) -> None:
    await plan(venue, name, route=ORDER)
    with pytest.raises(aiohttp.ClientError):
        await order(venue)
    assert len(venue.server.positions()) == int(executed)


async def test_latency_and_any_status(venue: Venue) -> None:
    await plan(venue, "latency", delay_ms=20)
    began = venue.clock.monotonic()
    assert (await order(venue))[0] == 200
    assert venue.clock.monotonic() - began >= 0.02
    await api(venue, "DELETE", "/paper/faults")
    await plan(venue, "http_status", status=451, body="not here")
    assert (await order(venue))[0] == 451


async def test_orders_are_filled_in_part_and_stops_refused_or_rejected(venue: Venue) -> None:
    await plan(venue, "partial_fill", share="0.25")
    await venue.call("POST", "/fapi/v1/order", **(BUY | {"quantity": "0.04"}))
    assert (
        venue.server.positions()[0].quantity * 4 == venue.server.exchange.contracts[BTC].step * 40
    )
    await plan(venue, "stop_refused")
    assert (await venue.call("POST", "/fapi/v1/algoOrder", **STOP))[1]["code"] == -2021
    await plan(venue, "stop_rejected")
    _, placed = await venue.call("POST", "/fapi/v1/algoOrder", **STOP)
    venue.tick("59500")
    _, told = await venue.call("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert told["algoStatus"] == "REJECTED"


@pytest.mark.parametrize(
    ("name", "fields", "wanted"),
    [
        ("event_dropped", {}, ["NEW", "FILLED", "ACCOUNT_UPDATE"]),
        ("event_doubled", {}, ["NEW", "TRADE_LITE", "TRADE_LITE", "FILLED", "ACCOUNT_UPDATE"]),
        ("event_reordered", {}, ["NEW", "FILLED", "ACCOUNT_UPDATE", "TRADE_LITE"]),
        ("event_delayed", {"delay_ms": 30}, ["NEW", "FILLED", "ACCOUNT_UPDATE", "TRADE_LITE"]),
    ],
)
async def test_events_are_lost_repeated_or_late(
    venue: Venue, name: str, fields: dict[str, object], wanted: list[str]
) -> None:
    key = await open_user(venue)
    await plan(venue, name, event="TRADE_LITE", **fields)
    async with socket(venue, f"/private/ws?listenKey={key}") as ws:
        await order(venue)
        frames = [await ws.receive_json(timeout=WAIT_S) for _ in wanted]
    assert [frame.get("o", {}).get("X") or frame["e"] for frame in frames] == wanted


async def test_a_rule_may_look_inside_an_event(venue: Venue) -> None:
    key = await open_user(venue)
    fields = {"o.X": "FILLED", "o.i": "*", "o.R": "false"}
    await plan(venue, "event_dropped", event="ORDER_TRADE_UPDATE", fields=fields)
    await plan(venue, "event_dropped", event="*", fields={"o.nothing": "*"})
    async with socket(venue, f"/private/ws?listenKey={key}") as ws:
        await order(venue)
        frames = [await ws.receive_json(timeout=WAIT_S) for _ in range(3)]
    told = [frame.get("o", {}).get("X") or frame["e"] for frame in frames]
    assert told == ["NEW", "TRADE_LITE", "ACCOUNT_UPDATE"]
    assert len(venue.server.faults.events) == 1


async def test_a_rule_may_name_the_call_and_the_parameters(venue: Venue) -> None:
    await plan(
        venue,
        "overloaded",
        route=ORDER,
        nth=2,
        params={"symbol": BTC, "newClientOrderId": "mine-*"},
    )
    seen = [
        (await order(venue, newClientOrderId=name, symbol=symbol, quantity=quantity))[0]
        for name, symbol, quantity in (
            ("mine-1", BTC, "0.01"),
            ("yours-1", BTC, "0.01"),
            ("mine-2", ADA, "100"),
            ("mine-3", BTC, "0.01"),
            ("mine-4", BTC, "0.01"),
        )
    ]
    assert seen == [200, 200, 200, 503, 200]
    _, listed = await api(venue, "GET", "/paper/faults")
    assert listed["rest"] == []


async def test_names_are_told_and_wrong_ones_refused(venue: Venue) -> None:
    status, told = await api(venue, "GET", "/paper/faults/names")
    assert (status, set(told)) == (200, set(NAMED))
    assert all(each["meaning"] for each in told.values())
    for wish, text in (
        ({"name": "earthquake"}, "earthquake"),
        ({"name": "latency", "dely": 1}, "dely"),
        ({"name": "event_doubled", "copies": "two"}, "copies"),
    ):
        status, body = await api(venue, "POST", "/paper/faults", {"named": [wish]})
        assert (status, body["code"]) == (400, -1130)
        assert text in body["msg"]
    _, listed = await api(venue, "GET", "/paper/faults")
    assert listed["fired"] == 0
    assert listed["rest"] == listed["events"] == []


def test_every_named_rule_can_be_made_as_it_is() -> None:
    for name, each in NAMED.items():
        rule = each.rule(**{**each.fields, "name": name})
        assert rule.name == name
        assert isinstance(rule, RestFault | EventFault) or rule.symbol == "*"


async def test_without_rehearsals_there_are_no_such_routes(venue: Venue) -> None:
    failures: list[str] = []
    supervisor = Supervisor(venue.clock, lambda name, error, again: failures.append(name))
    plain = PaperServer(
        venue.feed,
        venue.server.exchange.contracts,
        venue.clock,
        supervisor,
        seed=1,
        balance=venue.server.start_balance,
        quote="USDC",
        api_key="key",
        api_secret="secret",
    )
    endpoints = await plain.start()
    for path in ("faults", "action", "manual"):
        async with venue.http.post(f"{endpoints.rest}/paper/{path}", json={}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, -5000)
    await plain.stop()
    await supervisor.close(5.0)
