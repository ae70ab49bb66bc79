"""Orders and account by socket, and Ed25519 keys."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from paper_kit import API_KEY, API_SECRET, BTC, Venue, api

from core.paper.errors import ApiError
from core.paper.limits import Gatekeeper, Security, sign
from core.paper.params import Params
from core.paper.ws_api import METHODS

WAIT_S = 5.0
Socket = aiohttp.ClientWebSocketResponse
LIMIT = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.010",
    "price": "59000",
}


@pytest.fixture
async def ws(venue: Venue) -> AsyncIterator[Socket]:
    async with venue.http.ws_connect(venue.endpoints.ws + "/ws-fapi/v1") as opened:
        yield opened


async def ask(ws: Socket, method: str, **params: object) -> Any:
    await ws.send_json({"id": "q-1", "method": method, "params": params})
    answer = await ws.receive_json(timeout=WAIT_S)
    assert answer["id"] == "q-1"
    return answer


async def signed(venue: Venue, ws: Socket, method: str, **params: object) -> Any:
    params |= {"apiKey": API_KEY, "timestamp": venue.clock.now_ms()}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return await ask(ws, method, **params, signature=sign(API_SECRET, payload))


async def test_life_of_an_order(venue: Venue, ws: Socket) -> None:
    placed = await signed(venue, ws, "order.place", **LIMIT, newClientOrderId="mine")
    assert placed["status"] == 200
    assert [row["rateLimitType"] for row in placed["rateLimits"]] == [
        "REQUEST_WEIGHT",
        "ORDERS",
        "ORDERS",
    ]
    order = placed["result"]
    assert (order["clientOrderId"], order["status"]) == ("mine", "NEW")
    wish = {"symbol": BTC, "orderId": order["orderId"]}
    changed = {"side": "BUY", "price": "59100", "quantity": "0.010"}
    amended = await signed(venue, ws, "order.modify", **wish, **changed)
    assert amended["result"]["price"] == "59100"
    assert (await signed(venue, ws, "order.status", **wish))["result"]["avgPrice"] == "0"
    assert (await signed(venue, ws, "order.cancel", **wish))["result"]["status"] == "CANCELED"
    again = await signed(venue, ws, "order.cancel", **wish)
    assert (again["status"], again["error"]["code"]) == (400, -2011)


async def test_conditional_orders(venue: Venue, ws: Socket) -> None:
    stop = {
        "algoType": "CONDITIONAL",
        "symbol": BTC,
        "side": "SELL",
        "type": "STOP_MARKET",
        "quantity": "0.01",
        "triggerPrice": "59000",
        "reduceOnly": "true",
    }
    placed = await signed(venue, ws, "algoOrder.place", **stop)
    gone = await signed(venue, ws, "algoOrder.cancel", algoId=placed["result"]["algoId"])
    assert gone["result"]["code"] == "200"


@pytest.mark.parametrize("method", [name for name in METHODS if name.startswith(("a", "v"))])
async def test_account_methods_answer(venue: Venue, ws: Socket, method: str) -> None:
    if method.startswith("algo"):
        return
    assert (await signed(venue, ws, method))["status"] == 200


async def test_market_data_needs_no_key(venue: Venue, ws: Socket) -> None:
    assert (await ask(ws, "ticker.price", symbol=BTC))["result"]["price"] == "60000.0"
    assert len((await ask(ws, "ticker.book"))["result"]) == 2
    assert len((await ask(ws, "depth", symbol=BTC, limit=5))["result"]["bids"]) == 5


async def test_listen_key_by_socket(venue: Venue, ws: Socket) -> None:
    key = (await ask(ws, "userDataStream.start", apiKey=API_KEY))["result"]["listenKey"]
    assert (await ask(ws, "userDataStream.ping", apiKey=API_KEY))["result"] == {"listenKey": key}
    assert (await ask(ws, "userDataStream.stop", apiKey=API_KEY))["result"] == {}
    assert (await ask(ws, "userDataStream.ping", apiKey=API_KEY))["error"]["code"] == -1125
    assert (await ask(ws, "userDataStream.start"))["error"]["code"] == -2014


async def test_refusals(venue: Venue, ws: Socket) -> None:
    assert (await ask(ws, "order.guess"))["error"]["code"] == -5000
    bad = {"apiKey": API_KEY, "timestamp": venue.clock.now_ms(), "signature": "00"}
    assert (await ask(ws, "order.place", **LIMIT, **bad))["error"]["code"] == -1022
    await ws.send_str("{")
    assert (await ws.receive_json(timeout=WAIT_S))["error"]["code"] == -1130
    logon = await signed(venue, ws, "session.logon")
    assert logon["error"]["code"] == -4056
    quiet = await ask(ws, "ticker.price", symbol=BTC, returnRateLimits=False)
    assert "rateLimits" not in quiet


async def test_faults_by_method(venue: Venue, ws: Socket) -> None:
    lost = {"route": "WS order.place", "phase": "after", "drop": True}
    await api(venue, "POST", "/paper/faults", {"rest": [lost]})
    params = {**LIMIT, "apiKey": API_KEY, "timestamp": venue.clock.now_ms()}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    wish = {**params, "signature": sign(API_SECRET, payload)}
    await ws.send_json({"id": 1, "method": "order.place", "params": wish})
    assert (await ws.receive(timeout=WAIT_S)).type is aiohttp.WSMsgType.CLOSE
    assert len(venue.server.open_orders()) == 1


def test_truth_values_are_signed_as_written() -> None:
    gate = Gatekeeper("k", "s", lambda: 1_000)
    raw: dict[str, object] = {"apiKey": "k", "timestamp": 1_000, "reduceOnly": True, "note": "a b"}
    params = Params({name: str(value) for name, value in raw.items()})
    for spelt in ("true", "True"):
        for text in (f"apiKey=k&note=a b&reduceOnly={spelt}&timestamp=1000",):
            for payload in (text, text.replace(" ", "+")):
                given = Params({**_texts(raw), "signature": sign("s", payload)})
                gate.check_socket(Security.SIGNED, raw, given, None)
    with pytest.raises(ApiError):
        gate.check_socket(
            Security.SIGNED, raw, Params({**_texts(raw), "signature": sign("s", "x")}), None
        )
    assert params.text("apiKey") == "k"


def _texts(raw: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in raw.items()}


class Pair:
    """An Ed25519 pair: the exchange gets the public half only."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.public = (
            self._private.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, payload: str) -> str:
        return base64.b64encode(self._private.sign(payload.encode())).decode()


def test_ed25519_signs_requests() -> None:
    pair = Pair()
    gate = Gatekeeper("k", pair.public, lambda: 1_000)
    assert gate.is_ed25519
    query = urlencode({"symbol": BTC, "timestamp": 1_000})

    def check(signature: str) -> None:
        params = Params({"timestamp": "1000", "signature": signature})
        full = f"{query}&signature={quote(signature, safe='')}"
        gate.check(Security.SIGNED, "k", full, "", params)

    check(pair.sign(query))
    for wrong in (pair.sign(query + "x"), "not base64!", sign("s", query)):
        with pytest.raises(ApiError) as error:
            check(wrong)
        assert error.value.code == -1022


def test_another_kind_of_public_key_is_refused() -> None:
    pem = X25519PrivateKey.generate().public_key()
    text = pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="must be Ed25519"):
        Gatekeeper("k", text, lambda: 0)


async def test_a_logged_on_session_needs_no_more_signatures(venue: Venue, ws: Socket) -> None:
    pair = Pair()
    gate = Gatekeeper(API_KEY, pair.public, venue.clock.now_ms)
    venue.server._ws_api._gate = gate  # the pair replaces the fixture's shared secret
    stamp = {"apiKey": API_KEY, "timestamp": venue.clock.now_ms()}
    payload = "&".join(f"{name}={stamp[name]}" for name in sorted(stamp))
    logon = await ask(ws, "session.logon", **stamp, signature=pair.sign(payload))
    assert logon["result"]["apiKey"] == API_KEY
    placed = await ask(ws, "order.place", **LIMIT, timestamp=venue.clock.now_ms())
    assert placed["status"] == 200
    assert (await ask(ws, "session.logout"))["result"]["apiKey"] is None
    refused = await ask(ws, "order.place", **LIMIT, timestamp=venue.clock.now_ms())
    assert refused["error"]["code"] == -2014
