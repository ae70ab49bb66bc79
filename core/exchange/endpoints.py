"""Where the exchange is and what each of its calls costs (floor 2a).

One table: call name -> ccxt's implicit method, IP weight, effect. Conditional orders live in the
algo service (a conditional type at the order endpoint answers -4120), so `place_call` and its
siblings are the only place that knows which order kind goes where.

Source: Binance USDⓈ-M REST reference and "Important WebSocket Change Notice" (routes since
2026-04-23: `/public`, `/market`, `/private`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlsplit

from core.domain.enums import OrderKind

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses without trailing slash; `rest` is the futures host, `ws` the stream host."""

    rest: str
    ws: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "rest", self.rest.rstrip("/"))
        object.__setattr__(self, "ws", self.ws.rstrip("/"))

    @property
    def is_production(self) -> bool:
        return self.rest == PRODUCTION.rest

    @property
    def is_demo(self) -> bool:
        return self.rest == DEMO.rest

    @property
    def is_local(self) -> bool:
        """True on loopback, where no proxy may stand between."""
        return (urlsplit(self.rest).hostname or "") in ("127.0.0.1", "localhost", "::1")

    def private_stream(self, listen_key: str) -> str:
        """User stream. No `events` parameter: it is an allow-list that hides listenKeyExpired."""
        return f"{self.ws}/private/ws?listenKey={quote(listen_key, safe='')}"

    def combined_stream(self, route: "StreamRoute", streams: tuple[str, ...]) -> str:
        """Combined market stream of one route (`{"stream":…,"data":…}` frames)."""
        names = "/".join(quote(name, safe="@!_") for name in streams)
        return f"{self.ws}/{route}/stream?streams={names}"


PRODUCTION = Endpoints("https://fapi.binance.com", "wss://fstream.binance.com")
DEMO = Endpoints("https://demo-fapi.binance.com", "wss://fstream.binancefuture.com")


class StreamRoute(StrEnum):
    """A stream on the wrong route is acknowledged and then silent."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"


def kline_stream(wire: str, timeframe: str) -> str:
    return f"{wire.lower()}@kline_{timeframe}"


def mark_stream(wire: str) -> str:
    return f"{wire.lower()}@markPrice"


def ticker_stream(wire: str) -> str:
    return f"{wire.lower()}@ticker"


def book_stream(wire: str) -> str:
    return f"{wire.lower()}@bookTicker"


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call.

    `method` is ccxt's implicit method. `weight` is the IP weight, `weight_all` the one without a
    symbol. `mutating` calls change orders, so a lost answer is an unknown outcome (INV-04).
    `counts_order` calls are counted against the account's order limits.
    """

    method: str
    weight: int = 1
    weight_all: int | None = None
    mutating: bool = False
    counts_order: bool = False
    signed: bool = True

    def weight_of(self, params: Params) -> int:
        if self.weight_all is not None and "symbol" not in params:
            return self.weight_all
        return self.weight


TIME = Call("fapiPublicGetTime", signed=False)
EXCHANGE_INFO = Call("fapiPublicGetExchangeInfo", signed=False)
KLINES = Call("fapiPublicGetKlines", weight=5, signed=False)
TICKER_24H = Call("fapiPublicGetTicker24hr", weight=1, weight_all=40, signed=False)
BOOK_TICKER = Call("fapiPublicGetTickerBookTicker", weight=2, weight_all=5, signed=False)
PREMIUM_INDEX = Call("fapiPublicGetPremiumIndex", weight=1, weight_all=10, signed=False)

PLACE_ORDER = Call("fapiPrivatePostOrder", weight=0, mutating=True, counts_order=True)
TEST_ORDER = Call("fapiPrivatePostOrderTest", weight=1)
CANCEL_ORDER = Call("fapiPrivateDeleteOrder", mutating=True)
GET_ORDER = Call("fapiPrivateGetOrder")
OPEN_ORDERS = Call("fapiPrivateGetOpenOrders", weight=1, weight_all=40)
ALL_ORDERS = Call("fapiPrivateGetAllOrders", weight=5)
PLACE_ALGO = Call("fapiPrivatePostAlgoOrder", weight=0, mutating=True, counts_order=True)
CANCEL_ALGO = Call("fapiPrivateDeleteAlgoOrder", mutating=True)
GET_ALGO = Call("fapiPrivateGetAlgoOrder")
OPEN_ALGO = Call("fapiPrivateGetOpenAlgoOrders", weight=1, weight_all=40)

ACCOUNT = Call("fapiPrivateV3GetAccount", weight=5)
POSITIONS = Call("fapiPrivateV3GetPositionRisk", weight=5)
ACCOUNT_CONFIG = Call("fapiPrivateGetAccountConfig", weight=5)
SYMBOL_CONFIG = Call("fapiPrivateGetSymbolConfig", weight=5)
BRACKETS = Call("fapiPrivateGetLeverageBracket")
USER_TRADES = Call("fapiPrivateGetUserTrades", weight=5)
TRADING_STATUS = Call("fapiPrivateGetApiTradingStatus", weight=1, weight_all=10)
INCOME = Call("fapiPrivateGetIncome", weight=30)
SET_LEVERAGE = Call("fapiPrivatePostLeverage")
SET_MARGIN_TYPE = Call("fapiPrivatePostMarginType")
CREATE_LISTEN_KEY = Call("fapiPrivatePostListenKey")
KEEP_LISTEN_KEY = Call("fapiPrivatePutListenKey")
API_RESTRICTIONS = Call("sapiGetAccountApiRestrictions")

KLINE_PAGE = 1500
"""Most rows of one klines answer."""


def kline_weight(limit: int) -> int:
    """IP weight of a klines request by its limit."""
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1000 else 10


def place_call(kind: OrderKind) -> Call:
    return PLACE_ALGO if kind.is_conditional else PLACE_ORDER


def cancel_call(*, conditional: bool) -> Call:
    return CANCEL_ALGO if conditional else CANCEL_ORDER


def query_call(*, conditional: bool) -> Call:
    return GET_ALGO if conditional else GET_ORDER
