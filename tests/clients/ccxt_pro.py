"""ccxt.pro (watch_*) against the paper exchange."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro
from ccxt_rest import client_of
from ccxt_rules import Rules
from harness import PAIR, Checks, Place, expect, pause, place


class Watch:
    def __init__(self, exchange: Any, at: Place) -> None:
        self.ex = exchange
        self.at = at

    async def _moved(self, watch: Callable[[], Awaitable[Any]]) -> Any:
        """What a watch returns while the price moves."""
        waiting = asyncio.ensure_future(watch())
        for step in range(40):
            await pause(0.4)
            if waiting.done():
                break
            self.at.shock(1.0004 if step % 2 else 0.9996)
        return await waiting

    async def markets(self) -> None:
        expect(PAIR in await self.ex.load_markets(), "listed")

    async def order_book(self) -> None:
        for _ in range(6):
            book = await self._moved(lambda: self.ex.watch_order_book(PAIR))
            expect(book["bids"][0][0] < book["asks"][0][0], "crossed")
        told = await self.ex.fetch_order_book(PAIR, 100)
        mine = await self._moved(lambda: self.ex.watch_order_book(PAIR))
        expect(abs(mine["asks"][0][0] / told["asks"][0][0] - 1) < 0.01, "stale")

    async def prices(self) -> None:
        expect((await self._moved(lambda: self.ex.watch_ticker(PAIR)))["last"] > 0, "ticker")
        expect(len(await self._moved(lambda: self.ex.watch_ohlcv(PAIR, "1m"))) > 0, "ohlcv")
        expect(len(await self._moved(lambda: self.ex.watch_trades(PAIR))) > 0, "trades")
        expect(await self._moved(lambda: self.ex.watch_bids_asks([PAIR])), "bids and asks")
        expect(await self._moved(lambda: self.ex.watch_mark_price(PAIR)), "mark price")

    async def orders(self) -> None:
        waiting = asyncio.ensure_future(self.ex.watch_orders(PAIR))
        await pause(1)
        await self.ex.create_order(PAIR, "market", "buy", 0.01)
        rows = await waiting
        while rows[-1]["status"] != "closed":
            rows = await self.ex.watch_orders(PAIR)
        expect(rows[-1]["average"] > 0, "average")

    async def conditional_orders(self) -> None:
        stop = {"triggerPrice": round(self.at.price() * 0.98, 1), "reduceOnly": True}
        order = await self.ex.create_order(PAIR, "STOP_MARKET", "sell", 0.01, params=stop)
        self.at.shock(0.975)
        states: list[str] = []
        while "closed" not in states:
            rows = await self.ex.watch_orders(PAIR)
            states += [row["status"] for row in rows if row["id"] == order["id"]]

    async def account(self) -> None:
        trades = asyncio.ensure_future(self.ex.watch_my_trades(PAIR))
        positions = asyncio.ensure_future(self.ex.watch_positions([PAIR]))
        balance = asyncio.ensure_future(self.ex.watch_balance())
        await pause(1)
        await self.ex.create_order(PAIR, "market", "buy", 0.01)
        expect((await trades)[-1]["side"] == "buy", "my trades")
        rows = await positions
        expect(rows and rows[0]["side"] == "long", "positions")
        expect((await balance)["USDC"]["total"] > 0, "balance")
        await self.ex.create_order(PAIR, "market", "sell", 0.01, params={"reduceOnly": True})

    async def five_types(self) -> None:
        """The watched orders are the conditional one and its result under the same client id."""
        rules = Rules(self.ex, self.at)
        watching = asyncio.ensure_future(self.ex.watch_orders(PAIR))
        for kind, trigger, move in (
            ("STOP_MARKET", 0.99, 0.985),
            ("TAKE_PROFIT_MARKET", 1.01, 1.015),
            ("STOP", 0.99, 0.985),
            ("TAKE_PROFIT", 1.01, 1.015),
            ("TRAILING_STOP_MARKET", 0, 0.985),
        ):
            await rules.flat()
            await rules.order("market", "buy")
            price = self.near(0.97) if kind in ("STOP", "TAKE_PROFIT") else None
            wish: dict[str, Any] = {"clientAlgoId": f"watched-{kind}", "reduceOnly": True}
            wish |= {"triggerPrice": self.near(trigger)} if trigger else {"callbackRate": 1}
            await self.ex.create_order(PAIR, kind, "sell", 0.01, price, wish)
            self.at.shock(move)
            for _ in range(40):
                rows = [row for row in self.ex.orders if row["clientOrderId"] == f"watched-{kind}"]
                if [row["status"] for row in rows] == ["closed", "closed"]:
                    break
                await pause(0.1)
            else:
                raise AssertionError(f"{kind}: {[(row['id'], row['status']) for row in rows]}")

        await watching

    def near(self, factor: float) -> float:
        return round(self.at.price() * factor, 1)

    async def lost_connection(self) -> None:
        """A cut socket is an error the caller hears; watching again works."""
        await self._moved(lambda: self.ex.watch_bids_asks([PAIR]))
        waiting = asyncio.ensure_future(self.ex.watch_bids_asks([PAIR]))
        await pause(0.1)
        self.at.action("disconnect", route="public")
        with contextlib.suppress(ccxt.NetworkError):
            await waiting
        expect(await self._moved(lambda: self.ex.watch_bids_asks([PAIR])), "again")


async def main() -> None:
    at = place()
    exchange = client_of(ccxt.pro.binanceusdm, at)
    watch, checks = Watch(exchange, at), Checks("ccxt.pro")
    for name, check in (
        ("markets", watch.markets),
        ("order book", watch.order_book),
        ("market streams", watch.prices),
        ("user stream", watch.orders),
        ("conditional orders", watch.conditional_orders),
        ("account", watch.account),
        ("five types watched", watch.five_types),
        ("lost connection", watch.lost_connection),
    ):
        await checks.run(name, check)
    await exchange.close()


if __name__ == "__main__":
    asyncio.run(main())
