"""python-binance (REST, streams, request socket) against the paper exchange."""

import asyncio
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException
from harness import SYMBOL, Checks, Place, expect, pause, place
from python_binance_rules import Rules

WAIT_S = 8.0


class Rest:
    def __init__(self, client: Any, at: Place) -> None:
        self.c = client
        self.at = at

    async def market_data(self) -> None:
        await self.c.futures_ping()
        expect((await self.c.futures_time())["serverTime"] > 0, "time")
        expect((await self.c.futures_exchange_info())["symbols"], "symbols")
        expect((await self.c.futures_order_book(symbol=SYMBOL, limit=5))["bids"], "depth")
        for name in ("recent_trades", "historical_trades", "aggregate_trades"):
            expect(await getattr(self.c, f"futures_{name}")(symbol=SYMBOL), name)
        for name, key in (
            ("klines", "symbol"),
            ("mark_price_klines", "symbol"),
            ("index_price_klines", "pair"),
            ("premium_index_klines", "symbol"),
        ):
            rows = await getattr(self.c, f"futures_{name}")(**{key: SYMBOL}, interval="5m", limit=3)
            expect(len(rows) == 3, name)
        kind = {"pair": SYMBOL, "contractType": "PERPETUAL", "interval": "1m"}
        expect(await self.c.futures_continuous_klines(**kind), "continuous")
        expect(await self.c.futures_historical_klines(SYMBOL, "1m", "1 hour ago UTC"), "history")
        for name in ("mark_price", "ticker", "symbol_ticker", "orderbook_ticker"):
            expect(await getattr(self.c, f"futures_{name}")(symbol=SYMBOL), name)
            expect(await getattr(self.c, f"futures_{name}")(), f"{name} of all")
        expect(await self.c.futures_funding_rate(symbol=SYMBOL), "funding")
        expect(await self.c.futures_open_interest(symbol=SYMBOL), "open interest")

    async def settings(self) -> None:
        await self.c.futures_change_leverage(symbol=SYMBOL, leverage=10)
        await self.c.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")
        await self.c.futures_change_margin_type(symbol=SYMBOL, marginType="CROSSED")
        expect((await self.c.futures_get_position_mode())["dualSidePosition"] is False, "mode")
        await self.c.futures_get_multi_assets_mode()
        await self.c.futures_leverage_bracket(symbol=SYMBOL)
        await self.c.futures_commission_rate(symbol=SYMBOL)
        await self.c.futures_account_balance()
        expect((await self.c.futures_account())["canTrade"], "account")
        await self.c.futures_account_config()
        await self.c.futures_symbol_config()
        await self.c.futures_adl_quantile_estimate()
        await self.c.futures_liquidation_orders()
        await self.c.futures_api_trading_status()
        await self.c.futures_v1_get_fee_burn()

    async def orders(self) -> None:
        price = str(round(self.at.price() * 0.97, 1))
        limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        await self.c.futures_create_test_order(**limit, quantity=0.01, price=price)
        order = await self.c.futures_create_order(**limit, quantity=0.01, price=price)
        wish = {"symbol": SYMBOL, "side": "BUY", "orderId": order["orderId"]}
        await self.c.futures_modify_order(**wish, quantity=0.02, price=price)
        one = {"symbol": SYMBOL, "orderId": order["orderId"]}
        expect((await self.c.futures_get_order(**one))["origQty"] == "0.02", "amended")
        expect(await self.c.futures_v1_get_order_amendment(symbol=SYMBOL), "amendments")
        await self.c.futures_cancel_order(**one)
        rows = await self.c.futures_place_batch_order(
            batchOrders=[{**limit, "quantity": "0.01", "price": price} for _ in range(4)]
        )
        ids = [row["orderId"] for row in rows]
        names = [row["clientOrderId"] for row in rows]
        gone = await self.c.futures_cancel_orders(symbol=SYMBOL, orderidlist=ids[:2])
        expect([row["status"] for row in gone] == ["CANCELED"] * 2, "batch cancel by id")
        gone = await self.c.futures_cancel_orders(symbol=SYMBOL, origclientorderidlist=names[2:3])
        expect([row["status"] for row in gone] == ["CANCELED"], "batch cancel by name")
        expect(len(await self.c.futures_get_open_orders(symbol=SYMBOL)) == 1, "one left")
        await self.c.futures_cancel_all_open_orders(symbol=SYMBOL)
        await self.c.futures_countdown_cancel_all(symbol=SYMBOL, countdownTime=0)
        market = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
        await self.c.futures_create_order(**market, side="BUY")
        rows = await self.c.futures_position_information(symbol=SYMBOL)
        expect(float(rows[0]["positionAmt"]) == 0.01, "position")
        await self.c.futures_create_order(**market, side="SELL", reduceOnly=True)
        expect(await self.c.futures_account_trades(symbol=SYMBOL), "trades")
        expect(await self.c.futures_get_all_orders(symbol=SYMBOL), "orders")
        expect(await self.c.futures_income_history(), "income")

    async def conditional_orders(self) -> None:
        market = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
        await self.c.futures_create_order(**market, side="BUY")
        low = str(round(self.at.price() * 0.98, 1))
        stop = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET", "stopPrice": low}
        row = await self.c.futures_create_order(**stop, closePosition=True)
        expect(row["algoStatus"] == "NEW", "rerouted")
        expect(len(await self.c.futures_get_open_algo_orders(symbol=SYMBOL)) == 1, "listed")
        await self.c.futures_cancel_algo_order(algoId=row["algoId"])
        row = await self.c.futures_create_order(**stop, closePosition=True)
        self.at.shock(0.97)
        fired = await self.c.futures_get_algo_order(algoId=row["algoId"])
        expect(fired["algoStatus"] == "FINISHED", "fired")
        await self.c.futures_cancel_all_algo_open_orders(symbol=SYMBOL)
        expect(await self.c.futures_get_all_algo_orders(symbol=SYMBOL), "history")

    async def errors(self) -> None:
        for wish, code in (
            ({"symbol": "NOPE", "type": "MARKET", "quantity": 1}, -1121),
            ({"symbol": SYMBOL, "type": "MARKET", "quantity": 30}, -2019),
            ({"symbol": SYMBOL, "type": "MARKET", "quantity": "0.0001"}, -1111),
        ):
            try:
                await self.c.futures_create_order(**wish, side="BUY")
            except BinanceAPIException as error:
                expect(error.code == code, f"{code} expected, got {error.code}")
            else:
                raise AssertionError(f"{code} expected")

    async def requests(self) -> None:
        price = str(round(self.at.price() * 0.97, 1))
        order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        placed = await self.c.ws_futures_create_order(**order, quantity="0.01", price=price)
        one = {"symbol": SYMBOL, "orderId": placed["orderId"]}
        await self.c.ws_futures_edit_order(**one, side="BUY", quantity="0.02", price=price)
        expect((await self.c.ws_futures_get_order(**one))["origQty"] == "0.02", "amended")
        expect((await self.c.ws_futures_cancel_order(**one))["status"] == "CANCELED", "cancelled")
        expect(await self.c.ws_futures_v2_account_balance(), "balance")
        expect(await self.c.ws_futures_v2_account_status(), "status")
        await self.c.ws_futures_v2_account_position()
        expect(await self.c.ws_futures_get_order_book(symbol=SYMBOL), "depth")


class Streams:
    def __init__(self, client: Any, at: Place) -> None:
        self.c = client
        self.at = at
        self.manager = BinanceSocketManager(client)
        self.manager.FSTREAM_URL = at.ws + "/"

    async def _first(self, stream: Any, event: str) -> None:
        async with stream as opened:
            await pause(0.3)
            self.at.shock(1.0005)
            message = await asyncio.wait_for(opened.recv(), WAIT_S)
        data = message.get("data", message)
        expect(data["e"] == event, f"{event} expected, got {data}")

    async def market(self) -> None:
        manager = self.manager
        for stream, event in (
            (manager.kline_futures_socket(SYMBOL.lower()), "continuous_kline"),
            (manager.aggtrade_futures_socket(SYMBOL), "aggTrade"),
            (manager.symbol_ticker_futures_socket(SYMBOL), "bookTicker"),
            (manager.individual_symbol_ticker_futures_socket(SYMBOL), "24hrTicker"),
            (manager.futures_depth_socket(SYMBOL), "depthUpdate"),
        ):
            await self._first(stream, event)

    async def user(self) -> None:
        names = []
        async with self.manager.futures_user_socket() as opened:
            await pause(0.5)
            market = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
            await self.c.futures_create_order(**market, side="BUY")
            await self.c.futures_create_order(**market, side="SELL")
            for _ in range(8):
                names.append((await asyncio.wait_for(opened.recv(), WAIT_S))["e"])
        wanted = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
        expect(names == wanted * 2, f"events {names}")


async def main() -> None:
    at = place()
    AsyncClient.FUTURES_URL = at.rest + "/fapi"
    AsyncClient.WS_FUTURES_URL = at.ws + "/ws-fapi/v1"
    client = AsyncClient(at.api_key, at.api_secret)
    client.FUTURES_URL = at.rest + "/fapi"
    rest, streams = Rest(client, at), Streams(client, at)
    rules, checks = Rules(client, streams.manager, at), Checks("python-binance")
    for name, check in (
        ("market data", rest.market_data),
        ("settings", rest.settings),
        ("limit, amend, batch", rest.orders),
        ("conditional orders", rest.conditional_orders),
        ("five types fired", rules.five_types),
        ("hedge mode", rules.hedge_mode),
        ("error codes", rest.errors),
        ("listen key", rules.listen_key),
        ("market streams", streams.market),
        ("URL forms", rules.url_forms),
        ("user stream", streams.user),
        ("events of a stop", rules.algo_events),
        ("requests by socket", rest.requests),
        ("algo orders by socket", rules.algo_by_socket),
        ("429, 418", rules.limits),
    ):
        await checks.run(name, check)
    await client.close_connection()


if __name__ == "__main__":
    asyncio.run(main())
