"""Every REST answer has the documented fields, each with its JSON type."""

import json
from typing import Any
from urllib.parse import quote

from paper_kit import ADA, BTC, Venue, api
from shapes import FLAG, NOTHING, REAL, TEXT, WHOLE, difference, kinds, row

from core.paper.routes import ROUTES

Shape = Any
KLINE = [WHOLE, *[TEXT] * 5, WHOLE, TEXT, WHOLE, TEXT, TEXT, TEXT]
DONE = row("msg", "code")
LIMITS = row("rateLimitType interval", "intervalNum limit")
ORDER = row(
    "symbol status clientOrderId price origQty executedQty timeInForce type side positionSide"
    " stopPrice workingType origType priceMatch selfTradePreventionMode",
    "orderId goodTillDate updateTime",
    "reduceOnly closePosition priceProtect",
)
REPLY = ORDER | row("cumQty")
STORED = ORDER | row("avgPrice cumQuote", "time")
HISTORY = STORED | row("pair cumBase")
AMENDED = REPLY | row("pair", "modifyId")
ALGO = row(
    "clientAlgoId algoType orderType symbol side positionSide timeInForce quantity algoStatus"
    " triggerPrice price selfTradePreventionMode workingType priceMatch",
    "algoId createTime updateTime triggerTime goodTillDate",
    "closePosition priceProtect reduceOnly",
    icebergQuantity=NOTHING,
)
ALGO_STORED = ALGO | row("actualOrderId actualPrice actualQty actualType tpOrderType")
ALGO_LISTED = ALGO_STORED | row("tpTriggerPrice tpPrice slTriggerPrice slPrice")
TOTALS = row(
    "totalInitialMargin totalMaintMargin totalWalletBalance totalUnrealizedProfit"
    " totalMarginBalance totalPositionInitialMargin totalOpenOrderInitialMargin"
    " totalCrossWalletBalance totalCrossUnPnl availableBalance maxWithdrawAmount"
)
ASSET = row(
    "asset walletBalance unrealizedProfit marginBalance maintMargin initialMargin"
    " positionInitialMargin openOrderInitialMargin crossWalletBalance crossUnPnl availableBalance"
    " maxWithdrawAmount",
    "updateTime",
)
HELD = row(
    "symbol positionSide positionAmt unrealizedProfit isolatedMargin notional isolatedWallet"
    " initialMargin maintMargin",
    "updateTime",
)
RISK = row(
    "symbol positionSide positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit"
    " liquidationPrice isolatedMargin notional isolatedWallet",
    "updateTime",
)
BALANCE = row(
    "accountAlias asset balance crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount",
    "updateTime",
    "marginAvailable",
)
PRICE = row("symbol price", "time")
PRINT = row("price qty quoteQty", "id time", "isBuyerMaker isRPITrade")
ADL_RISK = row("symbol adlRisk", "updateTime")
SHAPES: dict[str, Shape] = {
    "GET /fapi/v1/ping": {},
    "GET /fapi/v1/time": row("", "serverTime"),
    "GET /fapi/v1/depth": row("", "lastUpdateId E T", bids=[[TEXT]], asks=[[TEXT]]),
    "GET /fapi/v1/trades": [PRINT],
    "GET /fapi/v1/historicalTrades": [PRINT],
    "GET /fapi/v1/aggTrades": [row("p q nq", "a f l T", "m")],
    "GET /fapi/v1/premiumIndex": row(
        "symbol markPrice indexPrice estimatedSettlePrice lastFundingRate interestRate",
        "nextFundingTime time",
    ),
    "GET /fapi/v1/fundingRate": [row("symbol fundingRate markPrice rateType", "fundingTime")],
    "GET /fapi/v1/fundingInfo": [],
    "GET /fapi/v1/ticker/24hr": row(
        "symbol priceChange priceChangePercent weightedAvgPrice lastPrice lastQty openPrice"
        " highPrice lowPrice volume quoteVolume",
        "openTime closeTime firstId lastId count",
    ),
    "GET /fapi/v1/ticker/price": PRICE,
    "GET /fapi/v2/ticker/price": PRICE,
    "GET /fapi/v1/ticker/bookTicker": row(
        "symbol bidPrice bidQty askPrice askQty", "time lastUpdateId"
    ),
    "GET /fapi/v1/openInterest": row("openInterest symbol", "time"),
    "GET /sapi/v1/system/status": row("msg", "status"),
    "POST /fapi/v1/order": REPLY,
    "POST /fapi/v1/order/test": REPLY,
    "DELETE /fapi/v1/order": REPLY,
    "PUT /fapi/v1/order": AMENDED,
    "POST /fapi/v1/batchOrders": [REPLY],
    "PUT /fapi/v1/batchOrders": [AMENDED],
    "DELETE /fapi/v1/batchOrders": [REPLY],
    "GET /fapi/v1/order": STORED,
    "GET /fapi/v1/openOrder": STORED,
    "GET /fapi/v1/openOrders": [STORED],
    "GET /fapi/v1/allOrders": [HISTORY],
    "DELETE /fapi/v1/allOpenOrders": DONE,
    "POST /fapi/v1/countdownCancelAll": row("symbol countdownTime"),
    "GET /fapi/v1/orderAmendment": [
        row(
            "symbol pair clientOrderId priceMatch",
            "amendmentId orderId time",
            amendment=row(
                "",
                "count modifyId",
                price=row("before after"),
                origQty=row("before after"),
            ),
        )
    ],
    "GET /fapi/v1/forceOrders": [
        {
            name: kind
            for name, kind in HISTORY.items()
            if name not in ("priceMatch", "selfTradePreventionMode", "goodTillDate", "priceProtect")
        }
    ],
    "GET /fapi/v1/userTrades": [
        row(
            "symbol side price qty realizedPnl quoteQty baseQty commission commissionAsset"
            " positionSide marginAsset pair",
            "id orderId time",
            "buyer maker",
        )
    ],
    "POST /fapi/v1/algoOrder": ALGO | row("activatePrice callbackRate"),
    "GET /fapi/v1/algoOrder": ALGO_STORED,
    "GET /fapi/v1/openAlgoOrders": [ALGO_LISTED | row("", "", "isActivated")],
    "GET /fapi/v1/allAlgoOrders": [ALGO_LISTED],
    "DELETE /fapi/v1/algoOrder": row("clientAlgoId code msg", "algoId"),
    "DELETE /fapi/v1/algoOpenOrders": DONE,
    "GET /fapi/v3/account": TOTALS | {"assets": [ASSET], "positions": [HELD]},
    "GET /fapi/v2/account": TOTALS
    | row(
        "",
        "feeTier updateTime tradeGroupId",
        "feeBurn canTrade canDeposit canWithdraw multiAssetsMargin",
        assets=[ASSET | row("", "", "marginAvailable")],
        positions=[
            HELD
            | row(
                "positionInitialMargin openOrderInitialMargin leverage entryPrice breakEvenPrice"
                " maxNotional bidNotional askNotional",
                "",
                "isolated",
            )
        ],
    ),
    "GET /fapi/v3/balance": [BALANCE],
    "GET /fapi/v2/balance": [BALANCE],
    "GET /fapi/v3/positionRisk": [
        RISK
        | row(
            "marginAsset initialMargin maintMargin positionInitialMargin openOrderInitialMargin"
            " bidNotional askNotional",
            "adl",
        )
    ],
    "GET /fapi/v2/positionRisk": [
        RISK | row("leverage maxNotionalValue marginType isAutoAddMargin")
    ],
    "GET /fapi/v1/accountConfig": row(
        "",
        "feeTier updateTime tradeGroupId",
        "canTrade canDeposit canWithdraw dualSidePosition multiAssetsMargin",
    ),
    "GET /fapi/v1/symbolConfig": [
        row("symbol marginType maxNotionalValue", "leverage", "isAutoAddMargin")
    ],
    "GET /fapi/v1/leverageBracket": [
        row(
            "symbol",
            real="notionalCoef",
            brackets=[
                row(
                    "",
                    "bracket initialLeverage notionalCap notionalFloor",
                    real="maintMarginRatio cum",
                )
            ],
        )
    ],
    "GET /fapi/v1/commissionRate": row(
        "symbol makerCommissionRate takerCommissionRate rpiCommissionRate"
    ),
    "GET /fapi/v1/income": [row("symbol incomeType income asset info tradeId", "time tranId")],
    "POST /fapi/v1/leverage": row("symbol maxNotionalValue", "leverage"),
    "POST /fapi/v1/marginType": DONE,
    "POST /fapi/v1/positionMargin": row("msg", "code type", real="amount"),
    "GET /fapi/v1/positionMargin/history": [
        row("symbol deltaType amount asset positionSide", "type time")
    ],
    "GET /fapi/v1/positionSide/dual": {"dualSidePosition": FLAG},
    "POST /fapi/v1/positionSide/dual": DONE,
    "GET /fapi/v1/multiAssetsMargin": {"multiAssetsMargin": FLAG},
    "POST /fapi/v1/multiAssetsMargin": DONE,
    "GET /fapi/v1/rateLimit/order": [LIMITS],
    "GET /fapi/v1/feeBurn": {"feeBurn": FLAG},
    "POST /fapi/v1/feeBurn": DONE,
    "GET /fapi/v1/adlQuantile": [
        row("symbol", adlQuantile={"LONG": WHOLE, "SHORT": WHOLE, "BOTH": WHOLE})
    ],
    "GET /fapi/v1/apiTradingStatus": {"indicators": {}, "updateTime": WHOLE},
    "GET /sapi/v1/account/apiRestrictions": row(
        "",
        "createTime",
        "ipRestrict enableReading enableWithdrawals enableInternalTransfer enableMargin"
        " enableFutures permitsUniversalTransfer enableVanillaOptions enableFixApiTrade"
        " enableFixReadOnly enableSpotAndMarginTrading enablePortfolioMarginTrading",
    ),
    "GET /sapi/v1/capital/config/getall": [],
    "POST /fapi/v1/listenKey": {"listenKey": TEXT},
    "PUT /fapi/v1/listenKey": {"listenKey": TEXT},
    "DELETE /fapi/v1/listenKey": {},
    "GET /fapi/v1/symbolAdlRisk": ADL_RISK,
    "GET /fapi/v1/assetIndex": row(
        "symbol index bidBuffer askBuffer bidRate askRate autoExchangeBidBuffer"
        " autoExchangeAskBuffer autoExchangeBidRate autoExchangeAskRate",
        "time",
    ),
    "GET /fapi/v1/rpiDepth": row("", "lastUpdateId E T", bids=[[TEXT]], asks=[[TEXT]]),
    "POST /fapi/v1/stock/contract": DONE,
    "POST /sapi/v1/asset/transfer": {"tranId": WHOLE},
}
FILTERS = {
    "PRICE_FILTER": row("filterType minPrice maxPrice tickSize"),
    "LOT_SIZE": row("filterType minQty maxQty stepSize"),
    "MARKET_LOT_SIZE": row("filterType minQty maxQty stepSize"),
    "MAX_NUM_ORDERS": row("filterType", "limit"),
    "MIN_NOTIONAL": row("filterType notional"),
    "PERCENT_PRICE": row("filterType multiplierUp multiplierDown multiplierDecimal"),
    "POSITION_RISK_CONTROL": row("filterType positionControlSide"),
}
LISTED = row(
    "symbol pair contractType status maintMarginPercent requiredMarginPercent baseAsset quoteAsset"
    " marginAsset underlyingType triggerProtect liquidationFee marketTakeBound",
    "deliveryDate onboardDate pricePrecision quantityPrecision baseAssetPrecision quotePrecision"
    " maxMoveOrderLimit",
    underlyingSubType=[],
    orderTypes=[TEXT],
    timeInForce=[TEXT],
    permissionSets=[TEXT],
)
KLINES = ("klines", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines", "continuousKlines")
APART = {f"GET /fapi/v1/{name}" for name in (*KLINES, "exchangeInfo", "tradingSchedule")}
"""Routes whose answers are no plain objects: tests of their own below."""
LIMIT = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.01",
    "triggerPrice": "59000",
}
ACCOUNT = (
    *(f"{version}/{name}" for version in ("v2", "v3") for name in ("account", "balance")),
    *("v2/positionRisk", "v3/positionRisk", "v1/accountConfig", "v1/symbolConfig", "v1/income"),
    *("v1/leverageBracket", "v1/userTrades", "v1/positionSide/dual", "v1/multiAssetsMargin"),
    *("v1/rateLimit/order", "v1/feeBurn", "v1/adlQuantile", "v1/apiTradingStatus"),
    "v1/commissionRate",
)
PUBLIC = (
    *("ping", "time", "depth", "trades", "historicalTrades", "aggTrades", "premiumIndex"),
    *("fundingRate", "fundingInfo", "ticker/24hr", "ticker/price", "ticker/bookTicker"),
    *("openInterest", "symbolAdlRisk", "rpiDepth"),
)


class Visit:
    """Calls routes and keeps the shape of what each answered last."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.told: dict[str, object] = {}

    async def __call__(self, method: str, path: str, **params: object) -> Any:
        status, body = await self.venue.call(method, path, **params)
        assert status == 200, (method, path, body)
        self.told[f"{method} {path}"] = kinds(body)
        return body

    async def orders(self) -> None:
        at = {"symbol": BTC, **LIMIT, "price": "59000"}
        await self("POST", "/fapi/v1/order/test", **at)
        first = await self("POST", "/fapi/v1/order", **at)
        one = {"symbol": BTC, "orderId": first["orderId"]}
        change = {**one, "side": "BUY", "quantity": "0.02", "price": "59000", "modifyId": 5}
        await self("PUT", "/fapi/v1/order", **change)
        for path in ("order", "openOrder", "openOrders", "allOrders", "orderAmendment"):
            await self("GET", f"/fapi/v1/{path}", **one)
        await self("DELETE", "/fapi/v1/order", **one)
        batch = quote(json.dumps([{"symbol": BTC, **LIMIT, "price": "58000"}]))
        (second,) = await self("POST", "/fapi/v1/batchOrders", batchOrders=batch)
        change |= {"orderId": second["orderId"]}
        await self("PUT", "/fapi/v1/batchOrders", batchOrders=quote(json.dumps([change])))
        await self(
            "DELETE", "/fapi/v1/batchOrders", symbol=BTC, orderIdList=f"[{second['orderId']}]"
        )
        await self("DELETE", "/fapi/v1/allOpenOrders", symbol=BTC)
        await self("POST", "/fapi/v1/countdownCancelAll", symbol=BTC, countdownTime=0)

    async def conditional(self) -> None:
        placed = await self("POST", "/fapi/v1/algoOrder", **STOP)
        for path in ("algoOrder", "openAlgoOrders", "allAlgoOrders"):
            await self("GET", f"/fapi/v1/{path}", symbol=BTC, algoId=placed["algoId"])
        await self("DELETE", "/fapi/v1/algoOrder", algoId=placed["algoId"])
        await self("DELETE", "/fapi/v1/algoOpenOrders", symbol=BTC)

    async def account(self) -> None:
        for path in ACCOUNT:
            one = {"symbol": BTC} if path in ("v1/userTrades", "v1/commissionRate") else {}
            await self("GET", f"/fapi/{path}", **one)
        for path in ("account/apiRestrictions", "capital/config/getall", "system/status"):
            await self("GET", f"/sapi/v1/{path}")
        await self("POST", "/fapi/v1/leverage", symbol=ADA, leverage=7)
        await self("POST", "/fapi/v1/marginType", symbol=ADA, marginType="ISOLATED")
        buy = {"symbol": ADA, "side": "BUY", "type": "MARKET", "quantity": "100"}
        await self.venue.call("POST", "/fapi/v1/order", **buy)
        await self("POST", "/fapi/v1/positionMargin", symbol=ADA, amount="1.5", type=1)
        await self("GET", "/fapi/v1/positionMargin/history", symbol=ADA)
        await self("POST", "/fapi/v1/feeBurn", feeBurn="true")
        await self("POST", "/fapi/v1/stock/contract")
        transfer = {"type": "MAIN_UMFUTURE", "asset": "USDC", "amount": "10"}
        await self("POST", "/sapi/v1/asset/transfer", **transfer)
        for method in ("POST", "PUT", "DELETE"):
            await self(method, "/fapi/v1/listenKey")

    async def public(self) -> None:
        for path in PUBLIC:
            await self("GET", f"/fapi/v1/{path}", symbol=BTC)
        await self("GET", "/fapi/v1/assetIndex", symbol="USDCUSD")
        await self("GET", "/fapi/v2/ticker/price", symbol=BTC)

    async def modes(self) -> None:
        """Only without positions and orders."""
        await api(self.venue, "POST", "/paper/action", {"action": "liquidate", "symbol": BTC})
        await self("GET", "/fapi/v1/forceOrders")
        sell = {"symbol": ADA, "side": "SELL", "type": "MARKET", "quantity": "100"}
        await self.venue.call("POST", "/fapi/v1/order", **sell)
        await self("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
        await self("POST", "/fapi/v1/marginType", symbol=ADA, marginType="CROSSED")
        await self("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")


async def test_every_answer_has_the_documented_fields_and_types(venue: Venue) -> None:
    visit = Visit(venue)
    await venue.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01"
    )
    await visit.public()
    await visit.orders()
    await visit.conditional()
    await visit.account()
    await visit.modes()
    assert set(visit.told) == set(SHAPES)
    wrong = {name: difference(visit.told[name], SHAPES[name]) for name in SHAPES}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


def test_no_route_is_left_out() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES} == set(SHAPES) | APART


async def test_klines_have_twelve_columns(venue: Venue) -> None:
    for name in KLINES:
        whose = (
            {"pair": BTC} if name in ("indexPriceKlines", "continuousKlines") else {"symbol": BTC}
        )
        _, rows = await venue.call(
            "GET", f"/fapi/v1/{name}", **whose, interval="5m", limit=3, contractType="PERPETUAL"
        )
        assert [[kinds(item) for item in one] for one in rows] == [KLINE] * 3


async def test_contracts_and_their_filters(venue: Venue) -> None:
    _, info = await venue.call("GET", "/fapi/v1/exchangeInfo", signed=False)
    assert (
        difference(
            {name: kinds(value) for name, value in info.items() if name != "symbols"},
            row(
                "timezone futuresType",
                "serverTime",
                rateLimits=[LIMITS],
                exchangeFilters=[],
                assets=[row("asset autoAssetExchange", "", "marginAvailable")],
            ),
        )
        == []
    )
    for contract in info["symbols"]:
        filters = {each["filterType"]: kinds(each) for each in contract.pop("filters")}
        assert filters == FILTERS
        assert difference(kinds(contract), LISTED) == []


async def test_all_symbols_are_an_array_of_the_same_rows(venue: Venue) -> None:
    for path in (
        "v1/premiumIndex",
        "v1/ticker/24hr",
        "v1/ticker/price",
        "v2/ticker/price",
        "v1/ticker/bookTicker",
        "v1/symbolAdlRisk",
    ):
        status, rows = await venue.call("GET", f"/fapi/{path}", signed=False)
        assert status == 200
        shape = SHAPES[f"GET /fapi/{path}"]
        assert [difference(kinds(each), shape) for each in rows] == [[], []]


async def test_refusals_are_a_number_and_a_text(venue: Venue) -> None:
    for path, signed in (("/fapi/v1/nothing", False), ("/fapi/v1/order", True)):
        status, body = await venue.call("GET", path, signed=signed)
        assert status in (400, 404)
        assert kinds(body) == row("msg", "code")


def test_a_difference_is_told_by_name() -> None:
    wanted = row("a b", "n", inner=[row("x")])
    assert difference({"a": TEXT, "b": TEXT, "n": WHOLE, "inner": [{"x": TEXT}]}, wanted) == []
    told = {"a": REAL, "n": WHOLE, "c": FLAG, "inner": [{"x": WHOLE}]}
    assert difference(told, wanted) == [
        ".a: float, str wanted",
        ".b: missing",
        ".c: unexpected",
        ".inner[].x: int, str wanted",
    ]
