"""No client library at all: urllib and websockets, after the documents only.

What the libraries do not use is proven here: every documented form of signing, of stream addresses
and of control messages.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import websockets
from harness import SYMBOL, Checks, Place, expect, pause, place

LOW = SYMBOL.lower()
QUIET_S = 0.4
WAIT_S = 8.0


class Rest:
    def __init__(self, at: Place) -> None:
        self.at = at

    def send(
        self, method: str, path: str, query: str = "", body: str = "", key: str | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """(status, decoded answer, headers in lower case)"""
        key = self.at.api_key if key is None else key
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            self.at.rest + path + ("?" + query if query else ""),
            data=body.encode() if body else None,
            method=method,
            headers={"X-MBX-APIKEY": key} if key else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return answer.status, json.load(answer), headers
        except urllib.error.HTTPError as error:
            headers = {name.lower(): value for name, value in error.headers.items()}
            return error.code, json.load(error), headers

    def sign(self, text: str) -> str:
        return hmac.new(self.at.api_secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def signed(self, method: str, path: str, **params: object) -> tuple[int, Any, dict[str, str]]:
        query = urlencode({**params, "timestamp": self.at.now_ms()})
        return self.send(method, path, f"{query}&signature={self.sign(query)}")

    def order(self) -> dict[str, object]:
        price = round(self.at.price() * 0.97, 1)
        wish = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        return {**wish, "quantity": "0.01", "price": price}

    def signatures(self) -> None:
        """All in the query, all in the body, and mixed: the payload is query plus body."""
        path, fields = "/fapi/v1/order", urlencode(self.order())
        stamp = f"timestamp={self.at.now_ms()}"
        whole = f"{fields}&{stamp}"
        for query, body in (
            (f"{whole}&signature={self.sign(whole)}", ""),
            ("", f"{whole}&signature={self.sign(whole)}"),
            (fields, f"{stamp}&signature={self.sign(fields + stamp)}"),
            (f"{fields}&signature={self.sign(fields + stamp).upper()}", stamp),
        ):
            status, answer, headers = self.send("POST", path, query, body)
            expect(status == 200, f"{query} + {body}: {answer}")
            for name in ("used-weight-1m", "order-count-10s", "order-count-1m"):
                expect(headers[f"x-mbx-{name}"].isdigit(), name)
        self.signed("DELETE", "/fapi/v1/allOpenOrders", symbol=SYMBOL)

    def refusals(self) -> None:
        now, account = self.at.now_ms(), "/fapi/v3/account"
        late = f"timestamp={now - 60_000}"
        for wanted, told in (
            ((404, -5000), self.send("GET", "/fapi/v1/nothing")),
            ((404, -5000), self.send("PATCH", "/fapi/v1/order")),
            ((400, -1022), self.send("GET", account, f"timestamp={now}&signature={'0' * 64}")),
            ((400, -1021), self.send("GET", account, f"{late}&signature={self.sign(late)}")),
            ((400, -1102), self.signed("GET", "/fapi/v1/commissionRate")),
            ((401, -2014), self.send("POST", "/fapi/v1/listenKey", key="")),
            ((401, -2015), self.send("POST", "/fapi/v1/listenKey", key="x" * 64)),
            ((404, -5000), self.send("GET", "/fapi/v1/listenKey")),
            ((400, -1121), self.signed("GET", "/fapi/v1/userTrades", symbol="NOPE")),
            ((400, -4120), self.signed("POST", "/fapi/v1/order", **self.old_stop())),
        ):
            expect((told[0], told[1]["code"]) == wanted, f"{wanted} wanted, {told[:2]}")
            expect(isinstance(told[1]["msg"], str), "a text")

    def old_stop(self) -> dict[str, object]:
        stop = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01"}
        return {**stop, "stopPrice": round(self.at.price() * 0.9, 1)}

    def spellings(self) -> None:
        """Truth values in every spelling, names with every legal character."""
        for n, text in enumerate(("true", "True", "TRUE")):
            wish = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": "0.01"}
            status, answer, _ = self.signed("POST", "/fapi/v1/order", **wish, reduceOnly=text)
            expect((status, answer["code"]) == (400, -2022), f"{text}: {answer}")
            name = f".A:/a9_-{n}".ljust(36, "x")
            wish = self.order() | {"newClientOrderId": name}
            status, answer, _ = self.signed("POST", "/fapi/v1/order", **wish)
            expect((status, answer["clientOrderId"]) == (200, name), f"{answer}")
        self.signed("DELETE", "/fapi/v1/allOpenOrders", symbol=SYMBOL)


class Streams:
    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.at = rest.at

    @asynccontextmanager
    async def open(self, path: str) -> Any:
        async with websockets.connect(self.at.ws + path) as ws:
            yield ws

    async def ask(self, ws: Any, text: str) -> Any:
        """The answer to a control message; events in between are passed over."""
        await ws.send(text)
        while True:
            frame = json.loads(await asyncio.wait_for(ws.recv(), WAIT_S))
            if "result" in frame or "error" in frame:
                return frame

    async def arrives(self, ws: Any) -> dict[str, Any] | None:
        """The next event while the price moves, None when it stays silent."""
        for step in range(6):
            self.at.shock(1.0005 if step % 2 else 0.9995)
            with contextlib.suppress(TimeoutError):
                frame: dict[str, Any] = json.loads(await asyncio.wait_for(ws.recv(), QUIET_S))
                return frame
        return None

    async def url_forms(self) -> None:
        for path, combined in (
            (f"/market/ws/{LOW}@kline_1m", False),
            (f"/market/stream?streams={LOW}@markPrice@1s/{LOW}@kline_1m", True),
            (f"/public/ws/{LOW}@bookTicker/{LOW}@trade", False),
            (f"/public/stream?streams={LOW}@bookTicker", True),
            (f"/ws/{LOW}@bookTicker", False),
            (f"/stream?streams={LOW}@bookTicker", True),
        ):
            async with self.open(path) as ws:
                frame = await self.arrives(ws)
                expect(frame is not None, f"{path}: silent")
                expect(("stream" in (frame or {})) is combined, f"{path}: {frame}")
        for path in (
            f"/ws/{LOW}@kline_1m",
            f"/public/ws/{LOW}@kline_1m",
            f"/market/ws/{LOW}@bookTicker",
        ):
            async with self.open(path) as ws:
                expect(await self.arrives(ws) is None, f"{path}: not silent")

    async def private_forms(self) -> None:
        key = self.rest.send("POST", "/fapi/v1/listenKey")[1]["listenKey"]
        allow = "&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE"
        everything = {"ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE"}
        for path, subscribe, wanted in (
            (f"/private/ws/{key}", False, everything),
            (f"/private/ws?listenKey={key}", False, everything),
            (f"/private/ws?listenKey={key}{allow}", False, everything - {"TRADE_LITE"}),
            (f"/private/stream?listenKey={key}", False, everything),
            ("/private/stream", True, everything),
            ("/private/ws/0", True, everything),
        ):
            async with self.open(path) as ws:
                if subscribe:
                    text = json.dumps({"method": "SUBSCRIBE", "params": [key], "id": "a-text-id"})
                    expect(await self.ask(ws, text) == {"result": None, "id": "a-text-id"}, path)
                names, streams = await self.trade(ws)
            expect(names == wanted, f"{path}: {names}")
            expect(streams == ({key} if "stream" in path else {None}), f"{path}: {streams}")

    async def trade(self, ws: Any) -> tuple[set[str], set[str | None]]:
        """Names of the events of a purchase and a sale, and of their streams."""
        for side in ("BUY", "SELL"):
            wish = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": "0.01"}
            await asyncio.to_thread(self.rest.signed, "POST", "/fapi/v1/order", **wish)
        names, streams = set(), set()
        while True:
            try:
                frame = json.loads(await asyncio.wait_for(ws.recv(), QUIET_S))
            except TimeoutError:
                return names, streams
            names.add(frame.get("data", frame)["e"])
            streams.add(frame.get("stream"))

    async def control(self) -> None:
        async with self.open("/market/ws") as ws:
            names = [f"{LOW}@aggTrade", f"{LOW}@kline_5m"]
            for text, wanted in (
                (json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}), None),
                ('{"method":"LIST_SUBSCRIPTIONS","id":2}', names),
                ('{"method":"GET_PROPERTY","params":["combined"],"id":3}', False),
                ('{"method":"SET_PROPERTY","params":["combined",true],"id":4}', None),
                ('{"method":"GET_PROPERTY","params":["combined"],"id":5}', True),
                (json.dumps({"method": "UNSUBSCRIBE", "params": names[:1], "id": 6}), None),
                ('{"method":"LIST_SUBSCRIPTIONS","id":7}', names[1:]),
            ):
                answer = await self.ask(ws, text)
                wished = {"result": wanted, "id": json.loads(text)["id"]}
                expect(answer == wished, f"{text}: {answer}")
            await pause(1.1)  # ten messages a second and no more
            for text, code in (
                ("{", 3),
                ('{"method":"JUMP","id":8}', 2),
                ('{"method":"SET_PROPERTY","params":["colour",true],"id":9}', 0),
                ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":10}', 1),
            ):
                answer = await self.ask(ws, text)
                expect(answer.get("error", answer)["code"] == code, f"{text}: {answer}")
            frame = await self.arrives(ws)
            expect(frame is not None and frame["stream"] == names[1], f"combined now: {frame}")
            waiter = await ws.ping(b"are you there")
            await asyncio.wait_for(waiter, WAIT_S)

    async def flood(self) -> None:
        """More than ten messages a second end the connection."""
        async with self.open("/market/ws") as ws:
            for number in range(15):
                await ws.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
            await asyncio.wait_for(ws.wait_closed(), WAIT_S)


async def main() -> None:
    at = place()
    rest = Rest(at)
    streams, checks = Streams(rest), Checks("plain")
    for name, check in (
        ("signatures", lambda: asyncio.to_thread(rest.signatures)),
        ("refusals", lambda: asyncio.to_thread(rest.refusals)),
        ("spellings", lambda: asyncio.to_thread(rest.spellings)),
        ("URL forms", streams.url_forms),
        ("private forms", streams.private_forms),
        ("control messages", streams.control),
        ("flood", streams.flood),
    ):
        await checks.run(name, check)


if __name__ == "__main__":
    asyncio.run(main())
