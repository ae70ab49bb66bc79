"""REST bodies to domain values (floor 2a): decoded once, typed, numbers as exact Decimals.

Field names and oddities follow the exchange: `unRealizedProfit` in positionRisk but
`unrealizedProfit` in account, `code` as the string "200" in algo cancels, leverageBracket as an
object or an array, empty strings for numbers that do not exist yet.
"""

from decimal import Decimal

from core.domain.account import (
    AccountConfig,
    Balance,
    ExchangePosition,
    IncomeRow,
    KeyPermissions,
    RuleIndicator,
    SymbolConfig,
)
from core.domain.enums import AlgoStatus, ContractStatus, OrderStatus
from core.domain.instrument import Bracket, Instrument
from core.domain.market import BookTop, Candle, MarkPrice, Ticker24h
from core.domain.money import ZERO
from core.domain.position import Fill, OrderSnapshot
from core.exchange.rest_bodies import (
    AccountBody,
    AccountConfigBody,
    AlgoBody,
    BookBody,
    BracketBody,
    ExchangeInfoBody,
    FilterBody,
    IncomeBody,
    KlineRow,
    OrderBody,
    PositionBody,
    PremiumBody,
    RestrictionsBody,
    SymbolBody,
    SymbolConfigBody,
    TickerBody,
    TradeBody,
    TradingStatusBody,
)
from core.exchange.symbols import SymbolMap

ORDER_STATUS: dict[str, OrderStatus] = {
    "NEW": OrderStatus.LIVE,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    # Older names of orders the liquidation engine makes; they are working orders.
    "NEW_INSURANCE": OrderStatus.LIVE,
    "NEW_ADL": OrderStatus.LIVE,
}
_ALGO_STATUS: dict[AlgoStatus, OrderStatus] = {
    AlgoStatus.NEW: OrderStatus.LIVE,
    AlgoStatus.TRIGGERING: OrderStatus.TRIGGERED,
    AlgoStatus.TRIGGERED: OrderStatus.TRIGGERED,
    AlgoStatus.CANCELED: OrderStatus.CANCELED,
    AlgoStatus.REJECTED: OrderStatus.REJECTED,
    AlgoStatus.EXPIRED: OrderStatus.EXPIRED,
}
_NO_END_MS = 4_102_444_800_000  # perpetual contracts name a day in 2100 as their delivery
_ALGO_WORDS = frozenset(status.value for status in AlgoStatus)


def algo_order_status(status: AlgoStatus, executed: Decimal) -> OrderStatus:
    """FINISHED says only that the resulting order ended: filled when something was executed."""
    if status is AlgoStatus.FINISHED:
        return OrderStatus.FILLED if executed > ZERO else OrderStatus.EXPIRED
    return _ALGO_STATUS[status]


def _decimal(text: str | None) -> Decimal:
    return Decimal(text) if text else ZERO


def instrument(body: SymbolBody, brackets: tuple[Bracket, ...]) -> Instrument:
    """Filters are looked up by type: their order differs from symbol to symbol."""
    by_type = {row.filter_type: row for row in body.filters}
    none = FilterBody(filter_type="")
    price = by_type.get("PRICE_FILTER", none)
    lot = by_type.get("LOT_SIZE", none)
    market = by_type.get("MARKET_LOT_SIZE", lot)
    percent = by_type.get("PERCENT_PRICE", none)
    trading = body.status == ContractStatus.TRADING
    return Instrument(
        symbol=f"{body.base_asset}/{body.quote_asset}:{body.margin_asset}",
        wire=body.symbol,
        base=body.base_asset,
        quote=body.quote_asset,
        settle=body.margin_asset,
        status=ContractStatus.TRADING if trading else ContractStatus.OTHER,
        tick=Decimal(price.tick_size),
        min_price=Decimal(price.min_price),
        max_price=Decimal(price.max_price),
        step=Decimal(lot.step_size),
        min_qty=Decimal(lot.min_qty),
        max_qty=Decimal(lot.max_qty),
        market_step=Decimal(market.step_size),
        market_min_qty=Decimal(market.min_qty),
        market_max_qty=Decimal(market.max_qty),
        min_notional=Decimal(by_type.get("MIN_NOTIONAL", none).notional),
        percent_up=Decimal(percent.multiplier_up),
        percent_down=Decimal(percent.multiplier_down),
        max_orders=int(by_type.get("MAX_NUM_ORDERS", none).limit),
        brackets=brackets,
        onboard_ms=body.onboard_date,
        delivery_ms=body.delivery_date if body.delivery_date < _NO_END_MS else 0,
    )


def perpetuals(
    body: ExchangeInfoBody, brackets: dict[str, tuple[Bracket, ...]]
) -> tuple[Instrument, ...]:
    """Every perpetual contract, also those not trading now (so that their events are known)."""
    return tuple(
        instrument(row, brackets.get(row.symbol, ()))
        for row in body.symbols
        if row.contract_type == "PERPETUAL"
    )


def bracket_table(
    bodies: list[BracketBody] | BracketBody,
) -> dict[str, tuple[Bracket, ...]]:
    """Brackets by wire symbol, lowest notional first."""
    rows = bodies if isinstance(bodies, list) else [bodies]
    return {
        body.symbol: tuple(
            Bracket(
                notional_floor=row.notional_floor,
                notional_cap=row.notional_cap,
                max_leverage=row.initial_leverage,
                maint_margin_ratio=row.maint_margin_ratio,
                cum=row.cum,
            )
            for row in sorted(body.brackets, key=lambda row: row.notional_floor)
        )
        for body in rows
    }


def order_snapshot(body: OrderBody, symbols: SymbolMap, *, listed: bool = False) -> OrderSnapshot:
    """Plain order. What is `listed` among open orders is live whatever its status is called.

    Raises KeyError for a status the exchange has never documented.
    """
    status = ORDER_STATUS.get(body.status, OrderStatus.LIVE) if listed else None
    return OrderSnapshot(
        symbol=symbols.to_normal(body.symbol),
        client_id=body.client_order_id,
        order_id=body.order_id,
        algo_id=0,
        side=body.side,
        kind=body.orig_type or body.type,
        conditional=False,
        status=status or ORDER_STATUS[body.status],
        quantity=_decimal(body.orig_qty),
        price=_decimal(body.price),
        trigger_price=_decimal(body.stop_price),
        executed=_decimal(body.executed_qty),
        average_price=None if body.avg_price is None else _decimal(body.avg_price),
        reduce_only=body.reduce_only,
        update_ms=body.update_time,
        close_position=body.close_position,
    )


def algo_snapshot(body: AlgoBody, symbols: SymbolMap, *, listed: bool = False) -> OrderSnapshot:
    """Conditional order; `listed` as for `order_snapshot`. Raises ValueError for a new status."""
    executed = _decimal(body.actual_qty)
    if listed and body.algo_status not in _ALGO_WORDS:
        status = OrderStatus.LIVE
    else:
        status = algo_order_status(AlgoStatus(body.algo_status), executed)
    average = _decimal(body.actual_price)
    return OrderSnapshot(
        symbol=symbols.to_normal(body.symbol),
        client_id=body.client_algo_id,
        order_id=int(body.actual_order_id or 0),
        algo_id=body.algo_id,
        side=body.side,
        kind=body.order_type,
        conditional=True,
        status=status,
        quantity=_decimal(body.quantity),
        price=_decimal(body.price),
        trigger_price=_decimal(body.trigger_price),
        executed=executed,
        average_price=average or None,
        reduce_only=body.reduce_only,
        update_ms=body.update_time,
        close_position=body.close_position,
    )


def balances(body: AccountBody) -> tuple[Balance, ...]:
    return tuple(
        Balance(
            asset=row.asset,
            wallet=_decimal(row.wallet_balance),
            available=_decimal(row.available_balance),
            unrealized=_decimal(row.unrealized_profit),
        )
        for row in body.assets
    )


def positions(bodies: list[PositionBody], symbols: SymbolMap) -> tuple[ExchangePosition, ...]:
    """Rows with a quantity. v3 has no margin type: only isolated positions have own margin."""
    return tuple(
        ExchangePosition(
            symbol=symbols.to_normal(row.symbol),
            quantity=quantity,
            entry_price=_decimal(row.entry_price),
            mark_price=_decimal(row.mark_price),
            unrealized=_decimal(row.unrealized),
            liquidation_price=_decimal(row.liquidation_price),
            isolated=bool(_decimal(row.isolated_margin) or _decimal(row.isolated_wallet)),
            update_ms=row.update_time,
        )
        for row in bodies
        if (quantity := _decimal(row.position_amt))
    )


def account_config(body: AccountConfigBody) -> AccountConfig:
    return AccountConfig(
        can_trade=body.can_trade,
        hedge_mode=body.dual_side_position,
        multi_assets=body.multi_assets_margin,
    )


def rule_indicators(body: TradingStatusBody, symbols: SymbolMap) -> tuple[RuleIndicator, ...]:
    """Ratios by symbol; the account's own have none."""
    return tuple(
        RuleIndicator(
            symbol="" if wire == "ACCOUNT" else symbols.to_normal(wire),
            name=row.indicator,
            value=row.value,
            trigger=row.trigger_value,
            locked=row.is_locked,
            recover_ms=row.planned_recover_time or 0,
        )
        for wire, rows in body.indicators.items()
        for row in rows
    )


def symbol_configs(bodies: list[SymbolConfigBody], symbols: SymbolMap) -> tuple[SymbolConfig, ...]:
    return tuple(
        SymbolConfig(
            symbol=symbols.to_normal(row.symbol),
            isolated=row.margin_type.upper() == "ISOLATED",
            leverage=row.leverage,
        )
        for row in bodies
    )


def key_permissions(body: RestrictionsBody) -> KeyPermissions:
    return KeyPermissions(
        futures=body.enable_futures,
        withdrawals=body.enable_withdrawals,
        ip_restricted=body.ip_restrict,
    )


def fills(bodies: list[TradeBody], symbols: SymbolMap) -> tuple[Fill, ...]:
    """Executions, oldest first. The endpoint names the order by its number only."""
    ordered = sorted(bodies, key=lambda row: (row.time, row.id))
    return tuple(
        Fill(
            symbol=symbols.to_normal(row.symbol),
            trade_id=row.id,
            order_id=row.order_id,
            client_id="",
            side=row.side,
            quantity=_decimal(row.qty),
            price=_decimal(row.price),
            commission=_decimal(row.commission),
            commission_asset=row.commission_asset,
            realized_pnl=_decimal(row.realized_pnl),
            maker=row.maker,
            time_ms=row.time,
        )
        for row in ordered
    )


def income(bodies: list[IncomeBody], symbols: SymbolMap) -> tuple[IncomeRow, ...]:
    return tuple(
        IncomeRow(
            symbol=symbols.to_normal(row.symbol) if row.symbol else "",
            kind=row.income_type,
            amount=_decimal(row.income),
            asset=row.asset,
            time_ms=row.time,
            tran_id=str(row.tran_id),
            trade_id=str(row.trade_id),
        )
        for row in bodies
    )


def closed_candles(rows: list[KlineRow], now_ms: int) -> list[Candle]:
    """Candles whose close time has passed on the exchange's clock, oldest first."""
    return [
        Candle(
            open_ms=row[0],
            open=float(row[1]),
            high=float(row[2]),
            low=float(row[3]),
            close=float(row[4]),
            volume=float(row[5]),
            quote_volume=float(row[7]),
        )
        for row in rows
        if row[6] < now_ms
    ]


def ticker(body: TickerBody, symbols: SymbolMap) -> Ticker24h:
    return Ticker24h(
        symbol=symbols.to_normal(body.symbol),
        last=_decimal(body.last_price),
        quote_volume=_decimal(body.quote_volume),
        event_ms=body.close_time,
        high=_decimal(body.high_price),
        low=_decimal(body.low_price),
    )


def book_top(body: BookBody, symbols: SymbolMap) -> BookTop:
    return BookTop(
        symbol=symbols.to_normal(body.symbol),
        bid=_decimal(body.bid_price),
        bid_qty=_decimal(body.bid_qty),
        ask=_decimal(body.ask_price),
        ask_qty=_decimal(body.ask_qty),
        event_ms=body.time,
    )


def mark_price(body: PremiumBody, symbols: SymbolMap) -> MarkPrice:
    return MarkPrice(
        symbol=symbols.to_normal(body.symbol),
        price=_decimal(body.mark_price),
        funding_rate=_decimal(body.last_funding_rate),
        next_funding_ms=body.next_funding_time,
        event_ms=body.time,
    )
