"""A small Binance-shaped server: programmable REST answers and user/market sockets.

It checks nothing; it records what arrived, so that tests can look at the wire.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from core.exchange.endpoints import Endpoints

NOW_MS = 1_800_000_000_000


@dataclass
class Seen:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    raw: str


@dataclass
class Reply:
    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    drop: bool = False
    """Close the connection instead of answering."""
    hang: bool = False
    """Never answer."""


def symbol_row(symbol: str, base: str, quote: str = "USDC", **changes: Any) -> dict[str, Any]:
    row = {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1704285000000,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": 4,
        "quantityPrecision": 1,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "filters": [
            {"filterType": "LOT_SIZE", "minQty": "0.1", "stepSize": "0.1", "maxQty": "8000000"},
            {
                "maxPrice": "100000",
                "tickSize": "0.0001",
                "minPrice": "0.0001",
                "filterType": "PRICE_FILTER",
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.1",
                "maxQty": "1600000",
                "stepSize": "0.1",
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {
                "multiplierDown": "0.9500",
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
    }
    row.update(changes)
    return row


EXCHANGE_INFO = {
    "timezone": "UTC",
    "serverTime": 1,
    "futuresType": "U_MARGINED",
    "rateLimits": [
        {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": 6000,
        },
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    ],
    "exchangeFilters": [],
    "assets": [],
    "symbols": [
        symbol_row("XRPUSDC", "XRP"),
        symbol_row("1000SHIBUSDC", "1000SHIB"),
        symbol_row("XRPUSDT", "XRP", "USDT"),
        symbol_row("DOGEUSDC", "DOGE", status="SETTLING"),
        symbol_row("BTCUSDT_270326", "BTC", "USDT", contractType="CURRENT_QUARTER"),
    ],
}
BRACKETS = [
    {
        "symbol": "XRPUSDC",
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": 2,
                "initialLeverage": 50,
                "notionalCap": 50000,
                "notionalFloor": 10000,
                "maintMarginRatio": 0.01,
                "cum": 50.0,
            },
            {
                "bracket": 1,
                "initialLeverage": 75,
                "notionalCap": 10000,
                "notionalFloor": 0,
                "maintMarginRatio": 0.005,
                "cum": 0.0,
            },
        ],
    }
]
TICKER = {
    "symbol": "XRPUSDC",
    "lastPrice": "0.5000",
    "quoteVolume": "123456.78",
    "closeTime": NOW_MS,
}
ACCOUNT_CONFIG = {
    "feeTier": 0,
    "canTrade": True,
    "dualSidePosition": False,
    "multiAssetsMargin": False,
}
ACCOUNT = {
    "assets": [
        {
            "asset": "USDC",
            "walletBalance": "400.5",
            "unrealizedProfit": "-1.5",
            "availableBalance": "350.25",
        },
        {
            "asset": "USDT",
            "walletBalance": "0",
            "unrealizedProfit": "0",
            "availableBalance": "0",
        },
    ],
    "positions": [],
}


class Stub:
    """`replies[(method, path)]` is a Reply, a list of Replies in turn, or a function of Seen."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.now_ms: Callable[[], int] = lambda: NOW_MS
        self.replies: dict[tuple[str, str], Any] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.socket_urls: list[str] = []
        self.socket_opened = asyncio.Event()
        self.silent_pings = False
        self.released = asyncio.Event()
        """Set at the end: hanging requests go on."""
        self.answer("GET", "/fapi/v1/time", lambda _: Reply({"serverTime": self.now_ms()}))
        self.answer("GET", "/fapi/v1/exchangeInfo", Reply(EXCHANGE_INFO))
        self.answer("GET", "/fapi/v1/leverageBracket", Reply(BRACKETS))
        self.answer("GET", "/fapi/v1/ticker/24hr", _ticker)
        self.answer("GET", "/fapi/v1/accountConfig", Reply(ACCOUNT_CONFIG))
        self.answer("GET", "/fapi/v3/account", Reply(ACCOUNT))
        self.answer("POST", "/fapi/v1/order/test", Reply({}))
        self.answer("POST", "/fapi/v1/listenKey", Reply({"listenKey": "key-1"}))
        self.answer("PUT", "/fapi/v1/listenKey", Reply({"listenKey": "key-1"}))
        self._runner: web.AppRunner | None = None
        self.endpoints = Endpoints("", "")

    def answer(self, method: str, path: str, reply: Any) -> None:
        self.replies[method, path] = reply

    def calls(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{route:public|market|private}/{tail:.*}", self._socket)
        app.router.add_route("*", "/{tail:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.endpoints = Endpoints(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")

    async def stop(self) -> None:
        self.released.set()
        for socket in self.sockets:
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def next_socket(self) -> web.WebSocketResponse:
        """The socket opened after the last call of this method."""
        await asyncio.wait_for(self.socket_opened.wait(), 120)
        self.socket_opened.clear()
        return self.sockets[-1]

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        params = dict(parse_qsl(request.query_string)) | dict(parse_qsl(body))
        seen = Seen(
            request.method, request.path, params, dict(request.headers), request.query_string + body
        )
        self.seen.append(seen)
        planned = self.replies.get((seen.method, seen.path))
        if isinstance(planned, list):
            planned = planned.pop(0) if len(planned) > 1 else planned[0]
        reply = planned(seen) if callable(planned) else planned
        if reply is None:
            text = f"Path {seen.path}, Method {seen.method} is invalid"
            reply = Reply({"code": -5000, "msg": text}, 404)
        if reply.hang:
            await self.released.wait()
        if reply.drop:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(
            text=json.dumps(reply.body) if reply.text is None else reply.text,
            status=reply.status,
            headers=reply.headers,
            content_type="application/json" if reply.text is None else "text/html",
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=not self.silent_pings)
        await socket.prepare(request)
        self.sockets.append(socket)
        self.socket_urls.append(request.raw_path)
        self.socket_opened.set()
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
        return socket


def _ticker(seen: Seen) -> Reply:
    return Reply(TICKER if "symbol" in seen.params else [TICKER])


@asynccontextmanager
async def running_stub() -> AsyncIterator[Stub]:
    stub = Stub()
    await stub.start()
    try:
        yield stub
    finally:
        await stub.stop()
