"""nautilus_trader's own structures, required fields and all, around what the exchange sends.

Left out: its `BinanceFuturesFundRate`, which wants `fundingTime` as text. The documents and the
SDK's strict model have a number.
"""

import asyncio
from typing import Any

import msgspec
import websockets
from harness import SYMBOL, Place, expect, pause
from nautilus_trader.adapters.binance.common.schemas import account, market, user
from nautilus_trader.adapters.binance.futures.schemas import account as fa
from nautilus_trader.adapters.binance.futures.schemas import market as fm
from nautilus_trader.adapters.binance.futures.schemas import user as fu
from nautilus_trader.adapters.binance.futures.schemas import wallet

LOW = SYMBOL.lower()
ONE = {"symbol": SYMBOL}
ANSWERS: tuple[tuple[Any, str, dict[str, object]], ...] = (
    (market.BinanceTime, "v1/time", {}),
    (fm.BinanceFuturesExchangeInfo, "v1/exchangeInfo", {}),
    (market.BinanceDepth, "v1/depth", ONE),
    (list[market.BinanceTrade], "v1/trades", ONE),
    (list[market.BinanceAggTrade], "v1/aggTrades", ONE),
    (list[market.BinanceKline], "v1/klines", {**ONE, "interval": "1m"}),
    (market.BinanceTicker24hr, "v1/ticker/24hr", ONE),
    (market.BinanceTickerPrice, "v1/ticker/price", ONE),
    (market.BinanceTickerBook, "v1/ticker/bookTicker", ONE),
    (fm.BinanceFuturesMarkFunding, "v1/premiumIndex", ONE),
    (fa.BinanceFuturesAccountInfo, "v2/account", {}),
    (list[fa.BinanceFuturesPositionRisk], "v3/positionRisk", {}),
    (fa.BinanceFuturesDualSidePosition, "v1/positionSide/dual", {}),
    (list[fa.BinanceFuturesSymbolConfig], "v1/symbolConfig", {}),
    (list[fa.BinanceFuturesAlgoOrder], "v1/openAlgoOrders", {}),
    (list[fa.BinanceFuturesAlgoOrder], "v1/allAlgoOrders", ONE),
    (list[account.BinanceOrder], "v1/openOrders", {}),
    (list[account.BinanceOrder], "v1/allOrders", ONE),
    (list[account.BinanceUserTrade], "v1/userTrades", ONE),
    (wallet.BinanceFuturesCommissionRate, "v1/commissionRate", ONE),
)
EVENTS: dict[str, Any] = {
    "ORDER_TRADE_UPDATE": fu.BinanceFuturesOrderUpdateMsg,
    "TRADE_LITE": fu.BinanceFuturesTradeLiteMsg,
    "ACCOUNT_UPDATE": fu.BinanceFuturesAccountUpdateMsg,
    "ALGO_UPDATE": fu.BinanceFuturesAlgoUpdateMsg,
    "bookTicker": market.BinanceQuoteData,
    "depthUpdate": market.BinanceOrderBookData,
    "trade": fm.BinanceFuturesTradeData,
    "aggTrade": market.BinanceAggregatedTradeData,
    "kline": market.BinanceCandlestickData,
    "24hrTicker": market.BinanceTickerData,
    "markPriceUpdate": fm.BinanceFuturesMarkPriceData,
}


def answers(at: Place) -> None:
    buy = {**ONE, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    msgspec.json.decode(at.signed("POST", "/fapi/v1/order", **buy), type=account.BinanceOrder)
    low = round(at.price() * 0.97, 1)
    limit = {**ONE, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    at.signed("POST", "/fapi/v1/order", **limit, price=low)
    stop = {**ONE, "algoType": "CONDITIONAL", "side": "SELL", "quantity": "0.01"}
    for wish in (
        {"type": "STOP_MARKET", "triggerPrice": low},
        {"type": "TRAILING_STOP_MARKET", "callbackRate": 4},
    ):
        placed = at.signed("POST", "/fapi/v1/algoOrder", **stop, **wish)
        order = msgspec.json.decode(placed, type=fa.BinanceFuturesAlgoOrder)
    wrong = []
    for kind, path, params in ANSWERS:
        try:
            found = msgspec.json.decode(at.signed("GET", f"/fapi/{path}", **params), type=kind)
        except msgspec.DecodeError as error:
            wrong.append(f"{path}: {error}")
        else:
            expect(found != [], f"{path}: nothing to compare")
    gone = at.signed("DELETE", "/fapi/v1/algoOrder", algoId=order.algoId)
    msgspec.json.decode(gone, type=fa.BinanceFuturesAlgoOrderCancelResponse)
    for path in ("allOpenOrders", "algoOpenOrders"):
        told = at.signed("DELETE", f"/fapi/v1/{path}", **ONE)
        msgspec.json.decode(told, type=account.BinanceStatusCode)
    at.signed("POST", "/fapi/v1/order", **{**buy, "side": "SELL"}, reduceOnly="true")
    expect(not wrong, "; ".join(wrong))


async def events(at: Place) -> None:
    raw: dict[str, list[bytes]] = {}
    key = msgspec.json.decode(at.signed("POST", "/fapi/v1/listenKey"), type=user.BinanceListenKey)
    names = "/".join(f"{LOW}@{name}" for name in ("aggTrade", "kline_1m", "ticker", "markPrice@1s"))
    books = "/".join(f"{LOW}@{name}" for name in ("bookTicker", "depth@100ms", "trade"))

    async def listen(path: str) -> None:
        async with websockets.connect(at.ws + path) as ws:
            async for message in ws:
                frame = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
                name = msgspec.json.decode(frame["data"], type=dict[str, Any])["e"]
                raw.setdefault(name, []).append(bytes(frame["data"]))

    paths = (
        f"/market/stream?streams={names}",
        f"/public/stream?streams={books}",
        f"/private/stream?listenKey={key.listenKey}",
    )
    listening = [asyncio.ensure_future(listen(path)) for path in paths]
    await pause(0.5)
    buy = {**ONE, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    await asyncio.to_thread(at.signed, "POST", "/fapi/v1/order", **buy)
    stop = {**ONE, "algoType": "CONDITIONAL", "side": "SELL", "quantity": "0.01"}
    stop |= {"type": "STOP_MARKET", "triggerPrice": round(at.price() * 0.99, 1)}
    await asyncio.to_thread(at.signed, "POST", "/fapi/v1/algoOrder", **stop)
    at.shock(0.985)
    await pause(7)
    for task in listening:
        task.cancel()
    expect(not EVENTS.keys() - raw.keys(), f"never sent: {EVENTS.keys() - raw.keys()}")
    for name, kind in EVENTS.items():
        for each in raw[name]:
            msgspec.json.decode(each, type=kind)
