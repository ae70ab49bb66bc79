"""The SDK's own models, field by field, against what the exchange answers and pushes.

Its models are strict about types and name every documented field, so they are a second reading of
the documents. A field of a model that is not sent, or one that is sent and not in the model, must
stand in one of the tables below with its reason.
"""

import asyncio
import json
import typing
from typing import Any

import binance_sdk_derivatives_trading_usds_futures.rest_api.models as rest_models
import binance_sdk_derivatives_trading_usds_futures.websocket_streams.models as stream_models
import pydantic
import websockets
from harness import SYMBOL, Place, expect, pause

NOT_SENT = {
    "activatePrice": "of conditional orders, which are not among ordinary ones since 2025-12",
    "priceRate": "as activatePrice",
    "code": "of a refused item of a batch",
    "msg": "as code",
    "modifyId": "only when the client gave one",
    "settlePlan": "not in recorded exchangeInfo",
    "LONG": "of the other position mode",
    "SHORT": "as LONG",
    "HEDGE": "as LONG",
    "ACCOUNT": "no quantitative rules are in force",
    "BTCUSDT": "as ACCOUNT",
    "ETHUSDT": "as ACCOUNT",
    "OrderTradeUpdate.o.AP": "of trailing orders",
    "OrderTradeUpdate.o.cr": "of trailing orders",
    "OrderTradeUpdate.o.M": "of amendments",
    "AccountUpdate.a.S": "of funding fees",
    "AccountConfigUpdate.ai": "one of two forms of the event",
    "AlgoUpdate.o.ap": "after the trigger",
    "AlgoUpdate.o.aq": "after the trigger",
    "AlgoUpdate.o.act": "after the trigger",
    "AlgoUpdate.o.ia": "of trailing orders",
    "AlgoUpdate.o.rm": "of refused triggers",
}
NOT_NAMED = {
    "e": "the models drop it",
    "futuresType": "recorded",
    "maxMoveOrderLimit": "recorded",
    "permissionSets": "recorded",
    "lastUpdateId": "recorded, of bookTicker",
    "priceMatch": "documented, of orderAmendment",
    "actualQty": "recorded, of openAlgoOrders",
    "actualType": "as actualQty",
    "isActivated": "as actualQty",
    "activatePrice": "of trailing orders, in the answer to POST and where nautilus_trader reads it",
    "callbackRate": "as activatePrice",
    "notional": "recorded, of account v2",
    "breakEvenPrice": "as notional",
    "isolatedWallet": "as notional",
    "isolatedMargin": "as notional",
    "ma": "recorded, of ACCOUNT_UPDATE",
    "st": "documented since 2026-06 for market streams",
    "ps": "as st",
}
FILTERS = "ExchangeInformationResponse.symbols[].filters[]"
"""One model for all filters: each has some of its fields."""
PERIODIC_S = 7


def _plain(annotation: Any) -> Any:
    """The annotation without `Optional`."""
    if typing.get_origin(annotation) is typing.Union:
        kept = [part for part in typing.get_args(annotation) if part is not type(None)]
        return kept[0] if len(kept) == 1 else annotation
    return annotation


def compare(model: Any, value: Any, at: str) -> set[str]:
    """Lines of what does not agree and is in neither table."""
    if isinstance(value, list):
        return {line for item in value[:3] for line in compare(model, item, at + "[]")}
    fields = {
        each.alias or name: each
        for name, each in model.model_fields.items()
        if name != "additional_properties"
    }
    missing, extra = fields.keys() - value.keys(), value.keys() - fields.keys()
    wrong = {f"{at}.{name}: unknown" for name in extra - NOT_NAMED.keys()}
    if at != FILTERS:
        known = {name for name in missing if {name, f"{at}.{name}"} & NOT_SENT.keys()}
        wrong |= {f"{at}.{name}: not sent" for name in missing - known}
    for name in fields.keys() & value.keys():
        inner = _plain(fields[name].annotation)
        if typing.get_origin(inner) is list:
            inner = _plain(typing.get_args(inner)[0])
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            wrong |= compare(inner, value[name], f"{at}.{name}")
    try:
        model.model_validate(value)
    except pydantic.ValidationError as error:
        wrong |= {f"{at}: {each['loc']} {each['msg']}" for each in error.errors()}
    return wrong


class Wire:
    """Signed requests without the SDK, so that the models see exactly what was sent."""

    def __init__(self, at: Place) -> None:
        self.at = at
        self.wrong: set[str] = set()

    def call(self, method: str, path: str, **params: object) -> Any:
        return json.loads(self.at.signed(method, path, **params))

    def check(self, name: str, method: str, path: str, **params: object) -> Any:
        body = self.call(method, path, **params)
        expect(body != [], f"{name}: nothing to compare")
        self.wrong |= compare(getattr(rest_models, name), body, name)
        return body

    def batch(self, **item: object) -> str:
        return json.dumps([item], separators=(",", ":"))


def _orders(wire: Wire) -> None:
    low = round(wire.at.price() * 0.97, 1)
    limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    limit |= {"quantity": "0.01", "price": str(low)}
    order = wire.check("NewOrderResponse", "POST", "/fapi/v1/order", **limit)
    one = {"symbol": SYMBOL, "orderId": order["orderId"]}
    change = {**one, "side": "BUY", "quantity": "0.02", "price": str(low), "modifyId": 9}
    wire.check("ModifyOrderResponse", "PUT", "/fapi/v1/order", **change)
    for name, path in (
        ("QueryOrderResponse", "order"),
        ("QueryCurrentOpenOrderResponse", "openOrder"),
        ("CurrentAllOpenOrdersResponseInner", "openOrders"),
        ("AllOrdersResponseInner", "allOrders"),
        ("GetOrderModifyHistoryResponseInner", "orderAmendment"),
    ):
        wire.check(name, "GET", f"/fapi/v1/{path}", **one)
    wire.check("CancelOrderResponse", "DELETE", "/fapi/v1/order", **one)
    name, path = "PlaceMultipleOrdersResponseInner", "/fapi/v1/batchOrders"
    (placed,) = wire.check(name, "POST", path, batchOrders=wire.batch(**limit))
    change |= {"orderId": placed["orderId"]}
    many = wire.batch(**change)
    wire.check("ModifyMultipleOrdersResponseInner", "PUT", path, batchOrders=many)
    ids = f"[{placed['orderId']}]"
    wire.check("CancelMultipleOrdersResponseInner", "DELETE", path, symbol=SYMBOL, orderIdList=ids)
    wire.check("CancelAllOpenOrdersResponse", "DELETE", "/fapi/v1/allOpenOrders", symbol=SYMBOL)


def _conditional(wire: Wire) -> None:
    stop = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "quantity": "0.01"}
    low = round(wire.at.price() * 0.95, 1)
    path = "/fapi/v1/algoOrder"
    wish = {**stop, "type": "STOP_MARKET", "triggerPrice": low}
    placed = wire.check("NewAlgoOrderResponse", "POST", path, **wish)
    wish = {**stop, "type": "TRAILING_STOP_MARKET", "callbackRate": 9}
    wire.check("NewAlgoOrderResponse", "POST", path, **wish)
    wire.check("QueryAlgoOrderResponse", "GET", path, algoId=placed["algoId"])
    for name, route in (
        ("CurrentAllAlgoOpenOrdersResponseInner", "openAlgoOrders"),
        ("QueryAllAlgoOrdersResponseInner", "allAlgoOrders"),
    ):
        wire.check(name, "GET", f"/fapi/v1/{route}", symbol=SYMBOL)
    wire.check("CancelAlgoOrderResponse", "DELETE", path, algoId=placed["algoId"])
    name = "CancelAllAlgoOpenOrdersResponse"
    wire.check(name, "DELETE", "/fapi/v1/algoOpenOrders", symbol=SYMBOL)


def _account(wire: Wire) -> None:
    for name, path in (
        ("AccountInformationV2Response", "v2/account"),
        ("AccountInformationV3Response", "v3/account"),
        ("FuturesAccountBalanceV2ResponseInner", "v2/balance"),
        ("FuturesAccountBalanceV2ResponseInner", "v3/balance"),
        ("PositionInformationV2ResponseInner", "v2/positionRisk"),
        ("PositionInformationV3ResponseInner", "v3/positionRisk"),
        ("FuturesAccountConfigurationResponse", "v1/accountConfig"),
        ("SymbolConfigurationResponseInner", "v1/symbolConfig"),
        ("GetIncomeHistoryResponseInner", "v1/income"),
        ("NotionalAndLeverageBracketsResponse1Inner", "v1/leverageBracket"),
        ("PositionAdlQuantileEstimationResponseInner", "v1/adlQuantile"),
        ("GetBnbBurnStatusResponse", "v1/feeBurn"),
        ("QueryUserRateLimitResponseInner", "v1/rateLimit/order"),
        ("GetCurrentPositionModeResponse", "v1/positionSide/dual"),
        ("GetCurrentMultiAssetsModeResponse", "v1/multiAssetsMargin"),
        ("FuturesTradingQuantitativeRulesIndicatorsResponse", "v1/apiTradingStatus"),
    ):
        wire.check(name, "GET", f"/fapi/{path}")
    for name, path in (
        ("AccountTradeListResponseInner", "userTrades"),
        ("UserCommissionRateResponse", "commissionRate"),
    ):
        wire.check(name, "GET", f"/fapi/v1/{path}", symbol=SYMBOL)
    other = {"symbol": "ETHUSDC"}
    wire.check("ChangeInitialLeverageResponse", "POST", "/fapi/v1/leverage", **other, leverage=5)
    wish = {**other, "marginType": "ISOLATED"}
    wire.check("ChangeMarginTypeResponse", "POST", "/fapi/v1/marginType", **wish)
    buy = {**other, "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    wire.call("POST", "/fapi/v1/order", **buy)
    wish = {**other, "amount": "5", "type": 1}
    name, path = "ModifyIsolatedPositionMarginResponse", "/fapi/v1/positionMargin"
    wire.check(name, "POST", path, **wish)
    name = "GetPositionMarginChangeHistoryResponseInner"
    wire.check(name, "GET", path + "/history", **other)
    for method, name in (("POST", "StartUserDataStream"), ("PUT", "KeepaliveUserDataStream")):
        wire.check(f"{name}Response", method, "/fapi/v1/listenKey")


def _market(wire: Wire) -> None:
    for name, path in (
        ("ExchangeInformationResponse", "v1/exchangeInfo"),
        ("CheckServerTimeResponse", "v1/time"),
        ("GetFundingRateHistoryResponseInner", "v1/fundingRate"),
        ("MarkPriceResponse2Inner", "v1/premiumIndex"),
        ("SymbolOrderBookTickerResponse2Inner", "v1/ticker/bookTicker"),
        ("SymbolPriceTickerResponse2Inner", "v1/ticker/price"),
        ("SymbolPriceTickerResponse2Inner", "v2/ticker/price"),
        ("Ticker24hrPriceChangeStatisticsResponse2Inner", "v1/ticker/24hr"),
        ("AdlRiskResponse2Inner", "v1/symbolAdlRisk"),
        ("AssetIndexResponse2Inner", "v1/assetIndex"),
    ):
        wire.check(name, "GET", f"/fapi/{path}")
    for name, path in (
        ("OrderBookResponse", "depth"),
        ("RpiOrderBookResponse", "rpiDepth"),
        ("RecentTradesListResponseInner", "trades"),
        ("OldTradesLookupResponseInner", "historicalTrades"),
        ("CompressedAggregateTradesListResponseInner", "aggTrades"),
        ("OpenInterestResponse", "openInterest"),
    ):
        wire.check(name, "GET", f"/fapi/v1/{path}", symbol=SYMBOL)


def answers(at: Place) -> None:
    """Every REST answer that the SDK has a model for."""
    wire = Wire(at)
    market = {"symbol": SYMBOL, "type": "MARKET", "quantity": "0.01"}
    wire.check("NewOrderResponse", "POST", "/fapi/v1/order", side="BUY", **market)
    _orders(wire)
    _conditional(wire)
    _account(wire)
    _market(wire)
    at.action("liquidate", symbol=SYMBOL)
    wire.check("UsersForceOrdersResponseInner", "GET", "/fapi/v1/forceOrders")
    expect(not wire.wrong, "; ".join(sorted(wire.wrong)))


MODELS = {
    "aggTrade": "AggregateTradeStreamsResponse",
    "kline": "KlineCandlestickStreamsResponse",
    "continuous_kline": "ContinuousContractKlineCandlestickStreamsResponse",
    "markPriceUpdate": "MarkPriceStreamResponse",
    "24hrTicker": "IndividualSymbolTickerStreamsResponse",
    "24hrMiniTicker": "IndividualSymbolMiniTickerStreamResponse",
    "forceOrder": "LiquidationOrderStreamsResponse",
    "bookTicker": "IndividualSymbolBookTickerStreamsResponse",
    "depthUpdate": "DiffBookDepthStreamsResponse",
    "ORDER_TRADE_UPDATE": "OrderTradeUpdate",
    "TRADE_LITE": "TradeLite",
    "ACCOUNT_UPDATE": "AccountUpdate",
    "ALGO_UPDATE": "AlgoUpdate",
    "ACCOUNT_CONFIG_UPDATE": "AccountConfigUpdate",
    "listenKeyExpired": "ListenKeyExpired",
}
LOW = SYMBOL.lower()
MARKET = "aggTrade kline_1m markPrice@1s ticker miniTicker forceOrder".split()  # noqa: SIM905 - one line
PUBLIC = ("bookTicker", "depth@100ms")


async def _listen(url: str, found: dict[str, list[Any]]) -> None:
    async with websockets.connect(url) as ws:
        async for text in ws:
            message = json.loads(text)
            event = message.get("data", message)
            found.setdefault(event["e"], []).append(event)


def _happen(wire: Wire) -> None:
    """One of everything that is pushed."""
    wire.call("POST", "/fapi/v1/leverage", symbol="XRPUSDC", leverage=6)
    market = {"symbol": SYMBOL, "type": "MARKET", "quantity": "0.01"}
    wire.call("POST", "/fapi/v1/order", side="BUY", **market)
    stop = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "quantity": "0.01"}
    low = round(wire.at.price() * 0.99, 1)
    wire.call("POST", "/fapi/v1/algoOrder", **stop, type="STOP_MARKET", triggerPrice=low)
    wire.at.shock(0.985)
    wire.call("POST", "/fapi/v1/order", side="BUY", **market)
    wire.at.action("liquidate", symbol=SYMBOL)


async def events(at: Place) -> None:
    """Every event of the user's and of the market streams."""
    wire = Wire(at)
    found: dict[str, list[Any]] = {}
    key = wire.call("POST", "/fapi/v1/listenKey")["listenKey"]
    names = "/".join(f"{LOW}@{name}" for name in MARKET) + f"/{LOW}_perpetual@continuousKline_1m"
    public = "/".join(f"{LOW}@{name}" for name in PUBLIC)
    listening = [
        asyncio.ensure_future(_listen(at.ws + path, found))
        for path in (
            f"/market/stream?streams={names}",
            f"/public/stream?streams={public}",
            f"/private/ws?listenKey={key}",
        )
    ]
    await pause(0.5)
    await asyncio.to_thread(_happen, wire)
    await pause(PERIODIC_S)
    at.action("expire_listen_key")
    await pause(0.5)
    for task in listening:
        task.cancel()
    expect(not MODELS.keys() - found.keys(), f"never sent: {MODELS.keys() - found.keys()}")
    for name, model in MODELS.items():
        for event in found[name]:
            wire.wrong |= compare(getattr(stream_models, model), event, model)
    expect(not wire.wrong, "; ".join(sorted(wire.wrong)))
