"""Every user event has the documented fields and types, and those of recorded ones."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from paper_kit import ADA, BTC, Venue, api
from shapes import NOTHING, TEXT, difference, kinds, row
from test_paper_streams import WAIT_S, open_user, socket

ORDER = row(
    "s c S o f q p ap sp x X l z L n b a wt ot ps rp V pm er",
    "i T t si ss gtd",
    "m R cp pP",
    N=NOTHING,
)
FILL = ORDER | {"N": TEXT}
ALGO = row("caid at o s S ps f q X ai tp p V wt pm", "aid tt gtd", "cp pP R")
RESULT = row("ap aq act")
BALANCE = [row("a wb cw bc")]
POSITION = [row("s pa ep cr up mt iw ps ma bep")]


def event(**content: Any) -> dict[str, Any]:
    return row("e", "E T", **content)


SHAPES = {
    "TRADE_LITE": event(**row("s q p c S L l", "t i", "m")),
    "ORDER_TRADE_UPDATE NEW": event(o=ORDER),
    "ORDER_TRADE_UPDATE TRADE": event(o=FILL),
    "ORDER_TRADE_UPDATE CANCELED": event(o=ORDER),
    "ORDER_TRADE_UPDATE AMENDMENT": event(o=ORDER | row("", "M")),
    "ORDER_TRADE_UPDATE CALCULATED": event(o=FILL),
    "ACCOUNT_UPDATE": event(a=row("m", B=BALANCE, P=POSITION)),
    "ALGO_UPDATE NEW": event(o=ALGO),
    "ALGO_UPDATE trailing NEW": event(o=ALGO | row("", "", "ia")),
    "ALGO_UPDATE CANCELED": event(o=ALGO),
    "ALGO_UPDATE TRIGGERING": event(o=ALGO),
    "ALGO_UPDATE TRIGGERED": event(o=ALGO | RESULT),
    "ALGO_UPDATE FINISHED": event(o=ALGO | RESULT),
    "ALGO_UPDATE REJECTED": event(o=ALGO | row("rm")),
    "ACCOUNT_CONFIG_UPDATE ac": event(ac=row("s", "l")),
    "ACCOUNT_CONFIG_UPDATE ai": event(ai=row("", "", "j")),
    "MARGIN_CALL": row("e cw", "E", p=[row("s ps pa mt iw mp up mm")]),
    "listenKeyExpired": row("e listenKey", "E"),
}
STOP = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "quantity": "0.01"}
RECORDED = Path(os.environ.get("CANDLE_ARCHIVE", "")) / "events"
SINCE = {"ma", "pm", "gtd", "er"}
"""Fields that the exchange has added since a recording was made."""
TRAILING = {"AP", "cr"}
"""Fields of trailing orders; recordings list them for all, empty."""
FOREIGN = {"W"}
"""Known to one recorder only, and to no document."""


def named(frame: dict[str, Any]) -> str:
    """Kind of an event, with its state where that changes its fields."""
    name = str(frame["e"])
    if name == "ORDER_TRADE_UPDATE":
        return f"{name} {frame['o']['x']}"
    if name == "ALGO_UPDATE":
        trailing = "trailing " if frame["o"]["o"] == "TRAILING_STOP_MARKET" else ""
        return f"{name} {trailing}{frame['o']['X']}"
    if name == "ACCOUNT_CONFIG_UPDATE":
        return f"{name} {'ac' if 'ac' in frame else 'ai'}"
    return name


async def call(venue: Venue, method: str, path: str, **params: object) -> Any:
    status, body = await venue.call(method, path, **params)
    assert status == 200, (path, body)
    return body


async def orders(venue: Venue) -> None:
    """Accepted, amended, cancelled, filled; conditional ones in every state."""
    limit = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    order = await call(venue, "POST", "/fapi/v1/order", symbol=BTC, price="59000", **limit)
    one = {"symbol": BTC, "orderId": order["orderId"]}
    change = {"side": "BUY", "quantity": "0.02", "price": "59000", "modifyId": 3}
    await call(venue, "PUT", "/fapi/v1/order", **one, **change)
    await call(venue, "DELETE", "/fapi/v1/order", **one)
    market = {"symbol": BTC, "side": "BUY", "type": "MARKET"}
    await call(venue, "POST", "/fapi/v1/order", **market, quantity="0.02")
    trailing = {**STOP, "type": "TRAILING_STOP_MARKET", "callbackRate": "5"}
    await call(venue, "POST", "/fapi/v1/algoOrder", **trailing)
    for trigger in ("59900", "59800", "59000"):
        stop = {**STOP, "type": "STOP_MARKET", "triggerPrice": trigger}
        last = await call(venue, "POST", "/fapi/v1/algoOrder", **stop)
    await call(venue, "DELETE", "/fapi/v1/algoOrder", algoId=last["algoId"])
    venue.tick("59890")
    await api(venue, "POST", "/paper/faults", {"triggers": [{"symbol": BTC}]})
    venue.tick("59790")


async def account(venue: Venue) -> None:
    """Settings, a margin call, a liquidation, and the end of the key."""
    await call(venue, "POST", "/fapi/v1/leverage", symbol=ADA, leverage=9)
    await call(venue, "DELETE", "/fapi/v1/algoOpenOrders", symbol=BTC)
    await call(venue, "POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
    await call(venue, "POST", "/fapi/v1/leverage", symbol=BTC, leverage=50)
    market = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.29"}
    await call(venue, "POST", "/fapi/v1/order", **market)
    for price in range(59_700, 55_000, -20):
        venue.tick(str(price), gap=True)
        if not venue.server.positions():
            break
    await api(venue, "POST", "/paper/action", {"action": "expire_listen_key"})


async def collected(venue: Venue) -> dict[str, Any]:
    """The first event of each kind."""
    found: dict[str, Any] = {}
    key = await open_user(venue)
    async with asyncio.timeout(WAIT_S), socket(venue, f"/private/ws?listenKey={key}") as ws:
        await orders(venue)
        await account(venue)
        while "listenKeyExpired" not in found:
            frame = await ws.receive_json()
            found.setdefault(named(frame), frame)
    return found


async def test_every_user_event_has_the_documented_fields_and_types(venue: Venue) -> None:
    found = await collected(venue)
    wrong = {
        name: difference(kinds(found[name]), shape) if name in found else ["never sent"]
        for name, shape in SHAPES.items()
    }
    assert {name: lines for name, lines in wrong.items() if lines} == {}


def flat(value: object, at: str = "") -> dict[str, str]:
    """Paths and type words of every single field."""
    if isinstance(value, dict):
        return {k: v for name, item in value.items() for k, v in flat(item, f"{at}.{name}").items()}
    if isinstance(value, list):
        return flat(value[0], f"{at}[]") if value else {}
    return {at: str(value)}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded events beside CANDLE_ARCHIVE")
async def test_recorded_events_have_our_fields_and_types(venue: Venue) -> None:
    found = await collected(venue)
    compared = []
    for path in sorted(RECORDED.glob("*.json")):
        frame = json.loads(path.read_text(encoding="utf-8"))
        frame = frame.get("data", frame)
        name = named(frame)
        if name not in found:
            continue
        theirs, ours = flat(kinds(frame)), flat(kinds(found[name]))
        allowed = SINCE | TRAILING | FOREIGN | set(RESULT) | {"rm", "M"}
        extra = {at for at in theirs.keys() ^ ours.keys() if at.rpartition(".")[2] not in allowed}
        assert extra == set(), path.name
        # a recorder that knows a field as absent writes null, so null compares with anything
        typed = {at for at in theirs.keys() & ours.keys() if NOTHING not in (theirs[at], ours[at])}
        assert {at: theirs[at] for at in typed} == {at: ours[at] for at in typed}, path.name
        compared.append(path.name)
    assert len(compared) >= 8
