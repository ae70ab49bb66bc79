"""ccxt (async, REST) against the paper exchange."""

import asyncio
import contextlib
from typing import Any

import ccxt
from ccxt.async_support import binanceusdm
from ccxt_rules import Rules
from harness import PAIR, Checks, Place, expect, place

HOSTS = ("https://fapi.binance.com", "https://api.binance.com")


def redirect(exchange: Any, at: Place) -> None:
    """Send every request to the exchange under test."""
    for name, value in list(exchange.urls["api"].items()):
        if isinstance(value, str):
            here = value.replace(HOSTS[0], at.rest).replace(HOSTS[1], at.rest)
            exchange.urls["api"][name] = here
    if isinstance(exchange.urls["api"].get("ws"), dict):
        exchange.urls["api"]["ws"]["linear"] = at.ws + "/ws"


def client_of(kind: Any, at: Place) -> Any:
    options = {"fetchCurrencies": False, "fetchOpenOrders": {"warnWithoutSymbol": False}}
    keys = {"apiKey": at.api_key, "secret": at.api_secret}
    exchange = kind({**keys, "enableRateLimit": False, "options": options})
    redirect(exchange, at)
    exchange.get_exceptions_by_url = lambda _url, sort: exchange.exceptions["linear"].get(sort, {})
    return exchange


class Rest:
    def __init__(self, exchange: Any, at: Place) -> None:
        self.ex = exchange
        self.at = at

    async def markets(self) -> None:
        markets = await self.ex.load_markets()
        expect(markets[PAIR]["precision"]["price"] == 0.1, "tick")
        expect(markets[PAIR]["limits"]["cost"]["min"] > 0, "minimum notional")

    async def market_data(self) -> None:
        expect(len(await self.ex.fetch_ohlcv(PAIR, "5m", limit=10)) == 10, "klines")
        for kind in ("mark", "index", "premiumIndex"):
            rows = await self.ex.fetch_ohlcv(PAIR, "5m", limit=3, params={"price": kind})
            expect(len(rows) == 3, kind)
        book = await self.ex.fetch_order_book(PAIR, 20)
        expect(book["asks"][0][0] > book["bids"][0][0], "crossed")
        expect((await self.ex.fetch_ticker(PAIR))["last"] > 0, "ticker")
        expect(len(await self.ex.fetch_tickers()) > 1, "tickers")
        expect((await self.ex.fetch_bids_asks([PAIR]))[PAIR]["bid"] > 0, "bids and asks")
        expect(len(await self.ex.fetch_trades(PAIR, limit=5)) == 5, "trades")
        expect((await self.ex.fetch_funding_rate(PAIR))["markPrice"] > 0, "funding rate")
        expect(len(await self.ex.fetch_funding_rate_history(PAIR, limit=3)) == 3, "funding history")
        expect((await self.ex.fetch_open_interest(PAIR))["openInterestAmount"] > 0, "open interest")
        expect((await self.ex.fetch_status())["status"] == "ok", "status")
        expect(await self.ex.fetch_time() > 0, "time")
        expect(PAIR in await self.ex.fetch_mark_prices([PAIR]), "mark prices")

    async def settings(self) -> None:
        await self.ex.set_leverage(10, PAIR)
        await self.ex.set_margin_mode("isolated", PAIR)
        with contextlib.suppress(ccxt.MarginModeAlreadySet):
            await self.ex.set_margin_mode("isolated", PAIR)
        rows = await self.ex.fetch_leverages([PAIR])
        expect(rows[PAIR]["longLeverage"] == 10, "leverage")
        expect(rows[PAIR]["marginMode"] == "isolated", "margin mode")
        expect((await self.ex.fetch_position_mode(PAIR))["hedged"] is False, "mode")
        expect(PAIR in await self.ex.fetch_leverage_tiers([PAIR]), "tiers")
        expect((await self.ex.fetch_trading_fee(PAIR))["taker"] > 0, "fee")
        expect((await self.ex.fetch_trading_fees())[PAIR]["taker"] > 0, "fees")

    async def market_order(self) -> None:
        with contextlib.suppress(ccxt.MarginModeAlreadySet):
            await self.ex.set_margin_mode("isolated", PAIR)
        order = await self.ex.create_order(PAIR, "market", "buy", 0.01)
        expect(order["status"] == "closed", "not filled")
        again = await self.ex.fetch_order(order["id"], PAIR)
        expect(again["average"] > 0, "average")
        rows = await self.ex.fetch_positions([PAIR])
        expect([(row["side"], row["contracts"]) for row in rows] == [("long", 0.01)], "position")
        expect((await self.ex.fetch_positions_risk([PAIR]))[0]["entryPrice"] > 0, "risk")
        await self.ex.add_margin(PAIR, 5)
        await self.ex.reduce_margin(PAIR, 4)
        closing = {"reduceOnly": True}
        await self.ex.create_order(PAIR, "market", "sell", 0.01, params=closing)
        expect(await self.ex.fetch_positions([PAIR]) == [], "closed")
        trades = await self.ex.fetch_my_trades(PAIR)
        expect([row["side"] for row in trades][-2:] == ["buy", "sell"], "my trades")
        expect((await self.ex.fetch_balance())["USDC"]["total"] > 0, "balance")
        expect((await self.ex.fetch_balance({"useV2": True}))["USDC"]["total"] > 0, "balance v2")
        await self.ex.fetch_funding_history(PAIR)
        expect(len(await self.ex.fetch_ledger("USDC", limit=10)) > 0, "ledger")

    async def limit_orders(self) -> None:
        await Rules(self.ex, self.at).flat()
        price = self.at.price()
        low = round(price * 0.97, 1)
        order = await self.ex.create_order(PAIR, "limit", "buy", 0.01, low)
        expect(len(await self.ex.fetch_open_orders(PAIR)) == 1, "open orders")
        expect(
            (await self.ex.fetch_open_order(order["id"], PAIR))["status"] == "open", "open order"
        )
        changed = await self.ex.edit_order(order["id"], PAIR, "limit", "buy", 0.02, low - 10)
        expect((changed["id"], changed["amount"]) == (order["id"], 0.02), "amended")
        gone = await self.ex.cancel_order(order["id"], PAIR)
        expect(gone["status"] == "canceled", "cancelled")
        rows = await self.ex.create_orders(
            [
                {"symbol": PAIR, "type": "limit", "side": "buy", "amount": 0.01, "price": low - n}
                for n in (1, 2, 3)
            ]
        )
        await self.ex.edit_orders(
            [
                {
                    "id": rows[0]["id"],
                    "symbol": PAIR,
                    "type": "limit",
                    "side": "buy",
                    "amount": 0.01,
                    "price": low - 20,
                }
            ]
        )
        await self.ex.cancel_orders([rows[0]["id"], rows[1]["id"]], PAIR)
        expect(len(await self.ex.fetch_open_orders()) == 1, "one left")
        await self.ex.cancel_all_orders(PAIR)
        expect(await self.ex.fetch_open_orders(PAIR) == [], "none left")
        expect(len(await self.ex.fetch_orders(PAIR)) >= 4, "all orders")
        expect(len(await self.ex.fetch_canceled_orders(PAIR)) >= 1, "cancelled orders")

    async def conditional_orders(self) -> None:
        await Rules(self.ex, self.at).flat()
        await self.ex.create_order(PAIR, "market", "buy", 0.01)
        price = self.at.price()
        ids = []
        for kind, factor, more in (
            ("STOP_MARKET", 0.98, {}),
            ("TAKE_PROFIT_MARKET", 1.02, {}),
            ("STOP", 0.97, {"price": round(price * 0.965, 1)}),
            ("TAKE_PROFIT", 1.03, {"price": round(price * 1.03, 1)}),
        ):
            trigger = {"triggerPrice": round(price * factor, 1), "reduceOnly": True}
            row = await self.ex.create_order(PAIR, kind, "sell", 0.01, more.get("price"), trigger)
            ids.append(row["id"])
        trailing = {"trailingPercent": 8, "reduceOnly": True}
        row = await self.ex.create_order(PAIR, "market", "sell", 0.01, params=trailing)
        ids.append(row["id"])
        listed = await self.ex.fetch_open_orders(PAIR, params={"trigger": True})
        expect({row["id"] for row in listed} == set(ids), "listed")
        expect(await self.ex.fetch_open_orders(PAIR) == [], "ordinary list")
        gone = await self.ex.cancel_order(ids[3], PAIR, params={"trigger": True})
        expect(gone["info"]["code"] == "200", "code is text")
        self.at.shock(0.975)
        fired = await self.ex.fetch_order(ids[0], PAIR, params={"trigger": True})
        expect(fired["status"] == "closed", "fired")
        result = await self.ex.fetch_order(fired["info"]["actualOrderId"], PAIR)
        expect(result["status"] == "closed", "result")
        await self.ex.cancel_all_orders(PAIR, params={"trigger": True})
        expect(await self.ex.fetch_positions([PAIR]) == [], "flat")
        expect(len(await self.ex.fetch_orders(PAIR, params={"trigger": True})) >= 5, "history")

    async def others(self) -> None:
        raw = await self.ex.fapiPrivatePostCountdownCancelAll(
            {"symbol": "BTCUSDC", "countdownTime": 0}
        )
        expect(raw["countdownTime"] == "0", "countdown")
        await self.ex.fapiPrivateGetRateLimitOrder()
        await self.ex.fapiPrivateGetForceOrders()
        await self.ex.fapiPrivateGetApiTradingStatus()
        await self.ex.fapiPrivateGetOrderAmendment({"symbol": "BTCUSDC"})
        await self.ex.fapiPrivateGetMultiAssetsMargin()
        await self.ex.fapiPublicGetAggTrades({"symbol": "BTCUSDC"})
        await self.ex.fapiPublicGetHistoricalTrades({"symbol": "BTCUSDC"})


async def main() -> None:
    at = place()
    exchange = client_of(binanceusdm, at)
    rest, rules, checks = Rest(exchange, at), Rules(exchange, at), Checks("ccxt")
    for name, check in (
        ("markets", rest.markets),
        ("market data", rest.market_data),
        ("settings", rest.settings),
        ("market order", rest.market_order),
        ("limit, amend, batch", rest.limit_orders),
        ("cancel families", rules.cancels),
        ("time in force", rules.time_in_force),
        ("conditional orders", rest.conditional_orders),
        ("five types fired", rules.five_types_fired),
        ("closePosition", rules.close_position),
        ("hedge mode", rules.hedge_mode),
        ("error codes", rules.errors),
        ("unknown outcomes", rules.unknown_outcomes),
        ("listen key", rules.listen_key),
        ("other routes", rest.others),
        ("429, 418", rules.limits),
    ):
        await checks.run(name, check)
    await exchange.close()


if __name__ == "__main__":
    asyncio.run(main())
