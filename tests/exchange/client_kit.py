"""Client under test and the bodies the exchange answers with."""

from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from core.domain.enums import OrderKind, Side, WorkingType
from core.domain.intent import OrderRequest
from core.exchange.endpoints import Endpoints
from core.exchange_client import Credentials, OptimizedExchangeClient
from core.kernel.clock import LiveClock

KEY = "canary-api-key-canary"
SECRET = "canary-secret-canary"
SYMBOL = "XRP/USDC:USDC"
MARKET_ORDER = OrderRequest("ucb-1", SYMBOL, Side.BUY, OrderKind.MARKET, Decimal("12.50"))
STOP_ORDER = OrderRequest(
    "ucb-2",
    SYMBOL,
    Side.SELL,
    OrderKind.STOP_MARKET,
    Decimal("12.5"),
    trigger_price=Decimal("0.49600"),
    working_type=WorkingType.MARK_PRICE,
    reduce_only=True,
)


def credentials() -> Credentials:
    return Credentials(SecretStr(KEY), SecretStr(SECRET))


def client_of(endpoints: Endpoints, **options: Any) -> OptimizedExchangeClient:
    return OptimizedExchangeClient(endpoints, credentials(), LiveClock(), **options)


def order_body(**changes: Any) -> dict[str, Any]:
    body = {
        "orderId": 22542179,
        "symbol": "XRPUSDC",
        "status": "FILLED",
        "clientOrderId": "ucb-1",
        "price": "0",
        "origQty": "12.5",
        "executedQty": "12.5",
        "cumQty": "12.5",
        "timeInForce": "GTC",
        "type": "MARKET",
        "reduceOnly": False,
        "closePosition": False,
        "side": "BUY",
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "origType": "MARKET",
        "updateTime": 1566818724722,
    }
    return {**body, **changes}


def algo_body(**changes: Any) -> dict[str, Any]:
    body = {
        "algoId": 2146760,
        "clientAlgoId": "ucb-2",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": "XRPUSDC",
        "side": "SELL",
        "quantity": "12.5",
        "algoStatus": "NEW",
        "triggerPrice": "0.496",
        "price": "0",
        "icebergQuantity": None,
        "closePosition": False,
        "reduceOnly": True,
        "activatePrice": "",
        "callbackRate": "",
        "createTime": 1750485492076,
        "updateTime": 1750485492076,
        "triggerTime": 0,
    }
    return {**body, **changes}
