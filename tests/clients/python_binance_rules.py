"""python-binance: conditional orders of all types, hedge mode, keys, URL forms, limits."""

import asyncio
from typing import Any

from binance.exceptions import BinanceAPIException
from harness import SYMBOL, Place, expect, pause, refused

MARKET = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
WAIT_S = 8.0
LOW = SYMBOL.lower()


class Rules:
    def __init__(self, client: Any, manager: Any, at: Place) -> None:
        self.c = client
        self.manager = manager
        self.at = at

    def near(self, factor: float) -> str:
        return str(round(self.at.price() * factor, 1))

    async def flat(self) -> None:
        await self.c.futures_cancel_all_open_orders(symbol=SYMBOL)
        await self.c.futures_cancel_all_algo_open_orders(symbol=SYMBOL)
        for row in await self.c.futures_position_information(symbol=SYMBOL):
            amount = float(row["positionAmt"])
            if amount:
                closing = {**MARKET, "quantity": abs(amount), "reduceOnly": True}
                side = "SELL" if amount > 0 else "BUY"
                await self.c.futures_create_order(**closing, side=side)

    async def five_types(self) -> None:
        """All sent as ordinary orders: the client itself turns them into conditional ones."""
        for kind, move, more in (
            ("STOP_MARKET", (0.985,), {"stopPrice": 0.99}),
            ("TAKE_PROFIT_MARKET", (1.015,), {"stopPrice": 1.01}),
            ("STOP", (0.985,), {"stopPrice": 0.99, "price": 0.97}),
            ("TAKE_PROFIT", (1.015,), {"stopPrice": 1.01, "price": 1.0}),
            ("TRAILING_STOP_MARKET", (1.01, 0.985), {}),
        ):
            await self.flat()
            await self.c.futures_create_order(**MARKET, side="BUY")
            wish = {**MARKET, "type": kind, "side": "SELL", "reduceOnly": True}
            wish |= {name: self.near(factor) for name, factor in more.items()}
            wish |= {} if more else {"callbackRate": 1}
            placed = await self.c.futures_create_order(**wish)
            for factor in move:
                self.at.shock(factor)
            fired = await self.c.futures_get_algo_order(algoId=placed["algoId"])
            told = (fired["algoStatus"], fired["actualQty"])
            expect(told == ("FINISHED", "0.01"), f"{kind}: {fired}")
            one = {"symbol": SYMBOL, "orderId": int(fired["actualOrderId"])}
            result = await self.c.futures_get_order(**one)
            expect(result["clientOrderId"] == placed["clientAlgoId"], "client id")

    async def hedge_mode(self) -> None:
        await self.flat()
        await self.c.futures_change_position_mode(dualSidePosition=True)
        await self.c.futures_create_order(**MARKET, side="BUY", positionSide="LONG")
        await self.c.futures_create_order(**MARKET, side="SELL", positionSide="SHORT")
        rows = await self.c.futures_position_information(symbol=SYMBOL)
        held = {row["positionSide"]: row["positionAmt"] for row in rows}
        expect(held == {"LONG": "0.01", "SHORT": "-0.01"}, f"held {held}")
        error = await refused(self.c.futures_create_order(**MARKET, side="BUY"))
        expect(isinstance(error, BinanceAPIException) and error.code == -4061, repr(error))
        await self.c.futures_create_order(**MARKET, side="SELL", positionSide="LONG")
        await self.c.futures_create_order(**MARKET, side="BUY", positionSide="SHORT")
        await self.c.futures_change_position_mode(dualSidePosition=False)

    async def listen_key(self) -> None:
        key = await self.c.futures_stream_get_listen_key()
        expect(await self.c.futures_stream_get_listen_key() == key, "the same key")
        await self.c.futures_stream_keepalive(key)
        async with self.manager.futures_user_socket() as opened:
            await pause(0.5)
            self.at.action("expire_listen_key")
            event = await asyncio.wait_for(opened.recv(), WAIT_S)
            expect((event["e"], event["listenKey"]) == ("listenKeyExpired", key), f"event {event}")
        error = await refused(self.c.futures_stream_keepalive(key))
        expect(isinstance(error, BinanceAPIException) and error.code == -1125, repr(error))
        again = await self.c.futures_stream_get_listen_key()
        expect(again != key, "a new key")
        await self.c.futures_stream_close(again)

    async def algo_events(self) -> None:
        await self.flat()
        await self.c.futures_create_order(**MARKET, side="BUY")
        names = []
        async with self.manager.futures_user_socket() as opened:
            await pause(0.5)
            stop = {**MARKET, "type": "STOP_MARKET", "side": "SELL", "stopPrice": self.near(0.99)}
            await self.c.futures_create_order(**stop, reduceOnly=True)
            self.at.shock(0.985)
            while names[-1:] != ["ALGO_UPDATE FINISHED"]:
                event = await asyncio.wait_for(opened.recv(), WAIT_S)
                names.append(f"{event['e']} {event.get('o', {}).get('X', '')}".strip())
        wanted = ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
        algo = [name.split()[1] for name in names if name.startswith("ALGO_UPDATE")]
        expect(algo == wanted, f"events {names}")
        expect("ORDER_TRADE_UPDATE FILLED" in names and "ACCOUNT_UPDATE" in names, f"{names}")

    async def url_forms(self) -> None:
        """One stream by its path, several by the query, on both routes."""
        manager = self.manager
        for stream, kinds in (
            (
                manager.futures_multiplex_socket([f"{LOW}@aggTrade", f"{LOW}@markPrice@1s"]),
                {"aggTrade", "markPriceUpdate"},
            ),
            (
                manager.futures_multiplex_socket(
                    [f"{LOW}@bookTicker", f"{LOW}@depth@100ms"], category="public"
                ),
                {"bookTicker", "depthUpdate"},
            ),
            (manager.all_ticker_futures_socket("!bookTicker"), {"bookTicker"}),
            (manager.futures_ticker_socket(), {"24hrTicker"}),
        ):
            found: set[str] = set()
            async with stream as opened:
                for step in range(20):
                    self.at.shock(1.0005 if step % 2 else 0.9995)
                    await pause(0.1)
                    message = await asyncio.wait_for(opened.recv(), WAIT_S)
                    data = message.get("data", message) if isinstance(message, dict) else message
                    rows = data if isinstance(data, list) else [data]
                    found |= {row["e"] for row in rows}
                    if found >= kinds:
                        break
            expect(found >= kinds, f"{kinds} expected, got {found}")

    async def algo_by_socket(self) -> None:
        wish = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "BUY", "type": "STOP_MARKET"}
        wish |= {"quantity": "0.01", "triggerPrice": self.near(1.05)}
        placed = await self.c.ws_futures_create_algo_order(**wish)
        expect(placed["algoStatus"] == "NEW", "placed")
        gone = await self.c.ws_futures_cancel_algo_order(algoId=placed["algoId"])
        expect(gone["code"] == "200", "cancelled")

    async def limits(self) -> None:
        for _ in range(200):
            try:
                await self.c.futures_income_history()
            except BinanceAPIException as error:
                expect((error.status_code, error.code) == (429, -1003), repr(error))
                break
        for _ in range(60):
            error = await refused(self.c.futures_income_history())
            if getattr(error, "status_code", 0) == 418:
                expect("banned until" in str(error), str(error))
                return
        raise AssertionError("no ban")
