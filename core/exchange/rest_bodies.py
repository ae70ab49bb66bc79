"""Shapes of REST bodies as the exchange sends them (floor 2a). Unknown fields are ignored.

Only what the daemon reads is named. Numbers stay text here; `core.exchange.rest_codec` makes them
exact. Rows that concern foreign contracts or orders are lenient, so that one odd row of theirs
never makes a whole list unreadable.
"""

from decimal import Decimal

import msgspec

from core.domain.enums import Side


class TimeBody(msgspec.Struct):
    server_time: int = msgspec.field(name="serverTime")


class FilterBody(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str = "0"
    min_price: str = "0"
    max_price: str = "0"
    step_size: str = "0"
    min_qty: str = "0"
    max_qty: str = "0"
    notional: str = "0"
    limit: int | str = 200
    multiplier_up: str = "0"
    multiplier_down: str = "0"


class RateLimitBody(msgspec.Struct, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class SymbolBody(msgspec.Struct, rename="camel"):
    symbol: str
    status: str = ""
    contract_type: str = ""
    base_asset: str = ""
    quote_asset: str = ""
    margin_asset: str = ""
    filters: list[FilterBody] = []
    onboard_date: int = 0
    delivery_date: int = 0


class ExchangeInfoBody(msgspec.Struct, rename="camel"):
    symbols: list[SymbolBody]
    rate_limits: list[RateLimitBody] = []


class BracketRowBody(msgspec.Struct, rename="camel"):
    initial_leverage: int
    notional_cap: Decimal
    notional_floor: Decimal
    maint_margin_ratio: Decimal
    cum: Decimal


class BracketBody(msgspec.Struct):
    symbol: str
    brackets: list[BracketRowBody]


class OrderBody(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    client_order_id: str
    status: str
    side: Side
    orig_qty: str
    executed_qty: str
    type: str = ""
    orig_type: str = ""
    price: str | None = None
    stop_price: str | None = None
    avg_price: str | None = None
    reduce_only: bool = False
    close_position: bool = False
    update_time: int = 0


class AlgoBody(msgspec.Struct, rename="camel"):
    symbol: str
    algo_id: int
    client_algo_id: str
    algo_status: str
    side: Side
    order_type: str
    quantity: str | None = None
    price: str | None = None
    trigger_price: str | None = None
    actual_order_id: str | int = ""
    actual_price: str | None = None
    actual_qty: str | None = None
    reduce_only: bool = False
    close_position: bool = False
    update_time: int = 0


class AlgoCancelBody(msgspec.Struct, rename="camel"):
    algo_id: int
    client_algo_id: str = ""


class AssetBody(msgspec.Struct, rename="camel"):
    asset: str
    wallet_balance: str
    available_balance: str
    unrealized_profit: str = "0"


class AccountBody(msgspec.Struct):
    assets: list[AssetBody]


class PositionBody(msgspec.Struct, rename="camel"):
    symbol: str
    position_amt: str
    entry_price: str
    mark_price: str = "0"
    unrealized: str = msgspec.field(default="0", name="unRealizedProfit")
    liquidation_price: str = "0"
    isolated_margin: str = "0"
    isolated_wallet: str = "0"
    update_time: int = 0


class AccountConfigBody(msgspec.Struct, rename="camel"):
    can_trade: bool
    dual_side_position: bool
    multi_assets_margin: bool = False


class RuleIndicatorBody(msgspec.Struct, rename="camel"):
    indicator: str
    value: Decimal
    trigger_value: Decimal
    is_locked: bool = False
    planned_recover_time: int | None = None


class TradingStatusBody(msgspec.Struct, rename="camel"):
    indicators: dict[str, list[RuleIndicatorBody]] = {}


class SymbolConfigBody(msgspec.Struct, rename="camel"):
    symbol: str
    margin_type: str
    leverage: int


class RestrictionsBody(msgspec.Struct, rename="camel"):
    ip_restrict: bool
    enable_futures: bool
    enable_withdrawals: bool


class TradeBody(msgspec.Struct, rename="camel"):
    symbol: str
    id: int
    order_id: int
    side: Side
    price: str
    qty: str
    realized_pnl: str
    commission: str
    commission_asset: str
    time: int
    maker: bool


class IncomeBody(msgspec.Struct, rename="camel"):
    symbol: str
    income_type: str
    income: str
    asset: str
    time: int
    tran_id: int | str
    trade_id: int | str = ""


class TickerBody(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: str
    quote_volume: str
    close_time: int
    high_price: str = "0"
    low_price: str = "0"


class BookBody(msgspec.Struct, rename="camel"):
    symbol: str
    bid_price: str
    bid_qty: str
    ask_price: str
    ask_qty: str
    time: int = 0


class PremiumBody(msgspec.Struct, rename="camel"):
    symbol: str
    mark_price: str
    last_funding_rate: str
    next_funding_time: int
    time: int


class ListenKeyBody(msgspec.Struct, rename="camel"):
    listen_key: str


KlineRow = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
