"""ccxt: time in force, conditional orders to their end, refusals by class, keys and limits."""

from typing import Any

import ccxt
from harness import PAIR, SYMBOL, Place, expect, pause, refused

SIZE = 0.01


class Rules:
    def __init__(self, exchange: Any, at: Place) -> None:
        self.ex = exchange
        self.at = at

    async def order(self, kind: str, side: str, price: float | None = None, **params: Any) -> Any:
        return await self.ex.create_order(PAIR, kind, side, SIZE, price, params)

    async def flat(self) -> None:
        """Nothing open: no order, no conditional order, no position."""
        await self.ex.cancel_all_orders(PAIR)
        await self.ex.cancel_all_orders(PAIR, {"trigger": True})
        for row in await self.ex.fetch_positions([PAIR]):
            side = "sell" if row["side"] == "long" else "buy"
            closing = {"reduceOnly": True}
            await self.ex.create_order(PAIR, "market", side, row["contracts"], params=closing)

    def near(self, factor: float) -> float:
        return round(self.at.price() * factor, 1)

    async def cancels(self) -> None:
        await self.flat()
        await self.order("market", "buy")
        stop = await self.order("STOP_MARKET", "sell", triggerPrice=self.near(0.9), reduceOnly=True)
        ids = [(await self.order("limit", "buy", self.near(0.97)))["clientOrderId"] for _ in "ab"]
        raw = {"symbol": SYMBOL, "origclientorderidlist": ids[:1]}
        gone = await self.ex.fapiPrivateDeleteBatchOrders(raw)
        expect([row["status"] for row in gone] == ["CANCELED"], "batch cancel by name")
        await self.ex.cancel_all_orders(PAIR)
        listed = await self.ex.fetch_open_orders(PAIR, params={"trigger": True})
        expect([row["id"] for row in listed] == [stop["id"]], "the stop survives")
        await self.order("limit", "buy", self.near(0.97))
        wish = {"symbol": SYMBOL, "countdownTime": 1000}
        await self.ex.fapiPrivatePostCountdownCancelAll(wish)
        await pause(1.5)
        expect(await self.ex.fetch_open_orders(PAIR) == [], "countdown")
        await self.flat()

    async def time_in_force(self) -> None:
        low, high = self.near(0.97), self.near(1.02)
        for tif in ("IOC", "GTX"):
            row = await self.order("limit", "buy", low, timeInForce=tif)
            again = await self.ex.fetch_order(row["id"], PAIR)
            wanted = "expired" if tif == "IOC" else "open"
            expect(again["status"] == wanted, f"{tif}: {again['status']}")
        expect((await self.order("limit", "buy", low, postOnly=True))["postOnly"], "post only")
        for error in (
            await refused(self.order("limit", "buy", low, timeInForce="FOK")),
            await refused(self.order("limit", "buy", high, timeInForce="GTX")),
        ):
            expect(isinstance(error, ccxt.OrderNotFillable), repr(error))
        filled = await self.order("limit", "buy", high, timeInForce="FOK")
        expect((await self.ex.fetch_order(filled["id"], PAIR))["status"] == "closed", "FOK")
        late = (self.ex.milliseconds() // 1000 + 700) * 1000
        dated = await self.order("limit", "buy", low, timeInForce="GTD", goodTillDate=late)
        expect(int(dated["info"]["goodTillDate"]) == late, f"GTD {dated['info']}")
        early = {"timeInForce": "GTD", "goodTillDate": self.ex.milliseconds() + 1000}
        expect("-5040" in str(await refused(self.order("limit", "buy", low, **early))), "too early")
        await self.flat()

    async def five_types_fired(self) -> None:
        """Each type fires by a move of the price and leaves an order under its own client id."""
        for kind, trigger, move, more in (
            ("STOP_MARKET", 0.99, (0.985,), {}),
            ("TAKE_PROFIT_MARKET", 1.01, (1.015,), {}),
            ("STOP", 0.99, (0.985,), {"price": 0.97}),
            ("TAKE_PROFIT", 1.01, (1.015,), {"price": 1.0}),
            ("TRAILING_STOP_MARKET", 0, (1.01, 0.985), {"callbackRate": 1}),
        ):
            await self.flat()
            await self.order("market", "buy")
            price = self.near(more["price"]) if "price" in more else None
            params: dict[str, Any] = {"clientAlgoId": f"fired-{kind}", "reduceOnly": True}
            params |= {"triggerPrice": self.near(trigger)} if trigger else more
            placed = await self.ex.create_order(PAIR, kind, "sell", SIZE, price, params)
            for factor in move:
                self.at.shock(factor)
            fired = await self.ex.fetch_order(placed["id"], PAIR, {"trigger": True})
            info = fired["info"]
            expect((fired["status"], info["actualQty"]) == ("closed", "0.01"), f"{kind}: {info}")
            result = await self.ex.fetch_order(info["actualOrderId"], PAIR)
            expect(result["status"] == "closed", f"{kind}: {result['status']}")
            expect(result["clientOrderId"] == f"fired-{kind}", "client id")
            expect(await self.ex.fetch_positions([PAIR]) == [], f"{kind}: not flat")

    async def close_position(self) -> None:
        await self.flat()
        stop = {"triggerPrice": self.near(0.98), "closePosition": True}
        expect("-4509" in str(await refused(self.order("STOP_MARKET", "sell", **stop))), "-4509")
        await self.order("market", "buy")
        first = await self.order("STOP_MARKET", "sell", **stop)
        expect(first["info"]["timeInForce"] == "GTE_GTC", "GTE_GTC")
        expect("-4130" in str(await refused(self.order("STOP_MARKET", "sell", **stop))), "-4130")
        profit = {"triggerPrice": self.near(1.03), "closePosition": True}
        await self.order("TAKE_PROFIT_MARKET", "sell", **profit)
        self.at.shock(0.97)
        expect(await self.ex.fetch_positions([PAIR]) == [], "closed")
        rows = await self.ex.fetch_orders(PAIR, params={"trigger": True})
        states = [row["info"]["algoStatus"] for row in rows][-2:]
        expect(states == ["FINISHED", "EXPIRED"], f"states {states}")

    async def hedge_mode(self) -> None:
        await self.flat()
        await self.ex.set_position_mode(True)
        await self.order("market", "buy", hedged=True)
        await self.order("market", "sell", hedged=True)
        sides = sorted(row["side"] for row in await self.ex.fetch_positions([PAIR]))
        expect(sides == ["long", "short"], "both sides")
        stop = {"triggerPrice": self.near(0.98), "positionSide": "LONG"}
        placed = await self.order("STOP_MARKET", "sell", **stop)
        expect(placed["info"]["positionSide"] == "LONG", "side of the stop")
        expect("-4061" in str(await refused(self.order("market", "buy"))), "no side")
        self.at.shock(0.975)
        expect([r["side"] for r in await self.ex.fetch_positions([PAIR])] == ["short"], "fired")
        expect("-4068" in str(await refused(self.ex.set_position_mode(False))), "position open")
        await self.order("market", "buy", hedged=True, reduceOnly=True)
        await self.ex.set_position_mode(False)

    async def errors(self) -> None:
        """ccxt's own class for each refusal."""
        await self.flat()
        low, create = self.near(0.97), self.ex.create_order
        closing = {"reduceOnly": True}
        late = {"triggerPrice": self.near(1.02)}
        named = {"newClientOrderId": "the-same"}
        error = await refused(self.twice("ISOLATED"))
        expect(isinstance(error, ccxt.MarginModeAlreadySet), repr(error))
        await create(PAIR, "limit", "buy", SIZE, low, named)
        for kind, code, work in (
            (ccxt.InvalidOrder, -4164, create(PAIR, "limit", "buy", 0.001, self.near(0.96) / 2)),
            (ccxt.InvalidOrder, -4116, create(PAIR, "limit", "buy", SIZE, low, named)),
            (ccxt.InvalidOrder, -2022, create(PAIR, "market", "sell", SIZE, None, closing)),
            (ccxt.InsufficientFunds, -2019, create(PAIR, "market", "buy", 20)),
            (
                ccxt.OrderImmediatelyFillable,
                -2021,
                create(PAIR, "STOP_MARKET", "sell", SIZE, None, late),
            ),
            (ccxt.OrderNotFound, -2011, self.ex.cancel_order("1", PAIR)),
            (ccxt.OrderNotFound, -2013, self.ex.fetch_order("1", PAIR)),
            (ccxt.BadSymbol, -1121, self.ex.fapiPublicGetDepth({"symbol": "NOPE"})),
            (ccxt.OperationRejected, -4059, self.ex.set_position_mode(False)),
            (ccxt.BadRequest, -4028, self.ex.set_leverage(1, PAIR, {"leverage": 500})),
        ):
            error = await refused(work)
            if code == -4164 and "-4024" in str(error):
                continue  # too far from the mark before too small: both are refusals of the order
            expect(isinstance(error, kind) and str(code) in str(error), f"{code}: {error!r}")
        await self.flat()

    async def twice(self, kind: str) -> object:
        wish = {"symbol": SYMBOL, "marginType": kind}
        for _ in range(2):
            answer = await self.ex.fapiPrivatePostMarginType(wish)
        return answer

    async def unknown_outcomes(self) -> None:
        """An answer that is lost after execution: found by client id, not there before it."""
        self.at.act(
            "/paper/faults",
            {
                "rest": [
                    {
                        "route": "POST /fapi/v1/order",
                        "phase": "after",
                        "status": 503,
                        "body": "Unknown error, please check your request or try again later.",
                    }
                ]
            },
        )
        error = await refused(self.order("market", "buy", newClientOrderId="lost-answer"))
        expect(isinstance(error, ccxt.ExchangeNotAvailable), repr(error))
        found = await self.ex.fetch_order("", PAIR, {"origClientOrderId": "lost-answer"})
        expect(found["status"] == "closed", "executed")
        self.at.act(
            "/paper/faults",
            {
                "rest": [
                    {
                        "route": "POST /fapi/v1/order",
                        "status": 503,
                        "code": -1008,
                        "msg": "Request throttled by system-level protection.",
                    }
                ]
            },
        )
        error = await refused(self.order("market", "buy", newClientOrderId="never-was"))
        expect(isinstance(error, ccxt.OperationFailed), repr(error))
        lookup = self.ex.fetch_order("", PAIR, {"origClientOrderId": "never-was"})
        expect(isinstance(await refused(lookup), ccxt.OrderNotFound), "not executed")
        await self.flat()

    async def listen_key(self) -> None:
        key = (await self.ex.fapiPrivatePostListenKey())["listenKey"]
        expect((await self.ex.fapiPrivatePostListenKey())["listenKey"] == key, "the same key")
        expect((await self.ex.fapiPrivatePutListenKey())["listenKey"] == key, "kept alive")
        expect(await self.ex.fapiPrivateDeleteListenKey() == {}, "closed")
        error = await refused(self.ex.fapiPrivatePutListenKey())
        expect(isinstance(error, ccxt.AuthenticationError) and "-1125" in str(error), repr(error))
        expect((await self.ex.fapiPrivatePostListenKey())["listenKey"] != key, "a new key")

    async def limits(self) -> None:
        """Too many orders, too much weight, and a ban for going on; the last check of all."""
        wish = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "IOC"}
        wish |= {"quantity": str(SIZE), "price": str(self.near(0.97))}
        batch = {"batchOrders": [wish] * 5}
        error = await self.until_refused(lambda: self.ex.fapiPrivatePostBatchOrders(batch), 130)
        expect(isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection), repr(error))
        expect("-1015" in str(error), repr(error))
        error = await self.until_refused(self.ex.fapiPrivateGetIncome, 200)
        expect(isinstance(error, ccxt.DDoSProtection) and "429" in str(error), repr(error))
        for _ in range(60):
            error = await refused(self.ex.fapiPrivateGetIncome())
            if "418" in str(error):
                break
        expect("banned until" in str(error) and "-1003" in str(error), repr(error))

    async def until_refused(self, call: Any, most: int) -> Exception:
        for _ in range(most):
            try:
                await call()
            except ccxt.BaseError as error:
                return error
        raise AssertionError(f"{most} calls were served")
