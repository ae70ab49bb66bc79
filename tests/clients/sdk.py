"""The exchange's own SDK (REST, streams, request socket) against the paper exchange.

The SDK logs an answer of the wrong type and hands the raw payload on, so a check also fails when
anything was logged as an error or an answer came back untyped.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from harness import SYMBOL, Checks, Place, expect, pause, place
from sdk_models import answers, events
from sdk_rules import Rules, algo_events, socket_rules

WAIT_S = 8.0


class Complaints(logging.Handler):
    """Collects what the SDK complains about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def none(self) -> None:
        lines, self.lines = self.lines, []
        expect(not lines, f"the SDK complained: {lines[:2]}")


def typed(value: Any) -> bool:
    """True when the SDK built its models from an answer."""
    if isinstance(value, list):
        return all(typed(item) for item in value)
    return not isinstance(value, dict)


class Rest:
    """Each method is one synchronous pass over a group of calls."""

    def __init__(self, api: Any, at: Place, complaints: Complaints) -> None:
        self.api = api
        self.at = at
        self.complaints = complaints

    def get(self, name: str, **params: object) -> Any:
        data = getattr(self.api, name)(**params).data()
        expect(typed(data), f"{name}: untyped answer")
        return data

    def check(self, body: Callable[[], None]) -> Callable[[], Any]:
        async def run() -> None:
            await asyncio.to_thread(body)
            self.complaints.none()

        return run

    def market_data(self) -> None:
        self.api.test_connectivity()
        self.get("check_server_time")
        expect(self.get("exchange_information").symbols, "symbols")
        self.get("order_book", symbol=SYMBOL, limit=20)
        self.get("recent_trades_list", symbol=SYMBOL)
        self.get("old_trades_lookup", symbol=SYMBOL)
        self.get("compressed_aggregate_trades_list", symbol=SYMBOL)
        for name, key in (
            ("kline_candlestick_data", "symbol"),
            ("mark_price_kline_candlestick_data", "symbol"),
            ("index_price_kline_candlestick_data", "pair"),
            ("premium_index_kline_data", "symbol"),
        ):
            expect(len(self.get(name, **{key: SYMBOL}, interval="5m", limit=3)) == 3, name)
        kind = {"pair": SYMBOL, "contract_type": "PERPETUAL", "interval": "5m"}
        self.get("continuous_contract_kline_candlestick_data", **kind)
        for one in (None, SYMBOL):
            for name in (
                "mark_price",
                "ticker24hr_price_change_statistics",
                "symbol_price_ticker_v2",
                "symbol_order_book_ticker",
            ):
                self.get(name, **({"symbol": one} if one else {}))
        self.get("get_funding_rate_history", symbol=SYMBOL)
        self.get("get_funding_rate_info")
        self.get("open_interest", symbol=SYMBOL)

    def account(self) -> None:
        for name in (
            "account_information_v2",
            "account_information_v3",
            "futures_account_balance_v2",
            "futures_account_balance_v3",
            "futures_account_configuration",
            "symbol_configuration",
            "get_bnb_burn_status",
            "get_current_multi_assets_mode",
            "get_current_position_mode",
            "notional_and_leverage_brackets",
            "query_user_rate_limit",
            "position_information_v2",
            "position_information_v3",
            "get_income_history",
            "users_force_orders",
            "position_adl_quantile_estimation",
            "futures_trading_quantitative_rules_indicators",
            "current_all_open_orders",
            "current_all_algo_open_orders",
        ):
            self.get(name)
        self.get("user_commission_rate", symbol=SYMBOL)
        self.get("notional_and_leverage_brackets", symbol=SYMBOL)
        self.get("change_initial_leverage", symbol=SYMBOL, leverage=10)
        self.get("toggle_bnb_burn_on_futures_trade", fee_burn="true")
        margin = self.get("change_margin_type", symbol=SYMBOL, margin_type="ISOLATED")
        expect(margin.code == 200, "margin type")
        self.get("change_margin_type", symbol=SYMBOL, margin_type="CROSSED")

    def orders(self) -> None:
        price = round(self.at.price() * 0.97, 1)
        limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
        self.get("test_order", **limit, quantity=0.01, price=price)
        order = self.get("new_order", **limit, quantity=0.01, price=price)
        changed = {"symbol": SYMBOL, "side": "BUY", "order_id": order.order_id}
        self.get("modify_order", **changed, quantity=0.01, price=round(price - 10, 1))
        self.get("get_order_modify_history", symbol=SYMBOL, order_id=order.order_id)
        self.get("query_order", symbol=SYMBOL, order_id=order.order_id)
        self.get("query_current_open_order", symbol=SYMBOL, order_id=order.order_id)
        self.get("cancel_order", symbol=SYMBOL, order_id=order.order_id)
        wish = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        batch = [{**wish, "quantity": "0.01", "price": str(price)} for _ in range(2)]
        rows = self.get("place_multiple_orders", batch_orders=batch)
        ids = [row.order_id for row in rows]
        amended = [
            {
                "symbol": SYMBOL,
                "side": "BUY",
                "orderId": ids[0],
                "quantity": "0.01",
                "price": str(round(price - 5, 1)),
            }
        ]
        self.get("modify_multiple_orders", batch_orders=amended)
        self.get("cancel_multiple_orders", symbol=SYMBOL, order_id_list=ids)
        self.get("cancel_all_open_orders", symbol=SYMBOL)
        self.get("auto_cancel_all_open_orders", symbol=SYMBOL, countdown_time=0)
        market = {"symbol": SYMBOL, "type": "MARKET", "new_order_resp_type": "RESULT"}
        filled = self.get("new_order", **market, side="BUY", quantity=0.01)
        expect(filled.status == "FILLED", "filled")
        self.get("position_information_v3", symbol=SYMBOL)
        self.get("new_order", **market, side="SELL", quantity=0.01, reduce_only="true")
        expect(self.get("account_trade_list", symbol=SYMBOL), "trades")
        expect(self.get("all_orders", symbol=SYMBOL), "orders")
        expect(self.get("get_income_history"), "income")

    def conditional_orders(self) -> None:
        market = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
        self.get("new_order", **market, side="BUY")
        stop = {"algo_type": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "quantity": 0.01}
        price = self.at.price()
        low = round(price * 0.98, 1)
        first = self.get("new_algo_order", **stop, type="STOP_MARKET", trigger_price=low)
        self.get("new_algo_order", **stop, type="TRAILING_STOP_MARKET", callback_rate=2)
        expect(len(self.get("current_all_algo_open_orders", symbol=SYMBOL)) == 2, "listed")
        self.get("query_algo_order", algo_id=first.algo_id)
        gone = self.get("cancel_algo_order", algo_id=first.algo_id)
        expect(gone.code == "200", "code is text")
        self.get("cancel_all_algo_open_orders", symbol=SYMBOL)
        again = self.get("new_algo_order", **stop, type="STOP_MARKET", trigger_price=low)
        self.at.shock(0.97)
        fired = self.get("query_algo_order", algo_id=again.algo_id)
        expect((fired.algo_status, bool(fired.actual_order_id)) == ("FINISHED", True), "fired")
        self.get("query_all_algo_orders", symbol=SYMBOL)


class Streams:
    def __init__(self, client: Any, at: Place, complaints: Complaints) -> None:
        self.client = client
        self.at = at
        self.complaints = complaints

    async def market(self) -> None:
        connection = await self.client.websocket_streams.create_connection()
        seen: dict[str, asyncio.Event] = {}
        low = SYMBOL.lower()
        for name, params in (
            ("aggregate_trade_streams", {"symbol": low}),
            ("kline_candlestick_streams", {"symbol": low, "interval": "1m"}),
            ("mark_price_stream", {"symbol": low, "update_speed": "1s"}),
            ("mark_price_stream_for_all_market", {"update_speed": "1s"}),
            ("individual_symbol_book_ticker_streams", {"symbol": low}),
            ("individual_symbol_ticker_streams", {"symbol": low}),
            ("individual_symbol_mini_ticker_stream", {"symbol": low}),
            ("all_market_tickers_streams", {}),
            ("all_market_mini_tickers_stream", {}),
            ("all_book_tickers_stream", {}),
            ("diff_book_depth_streams", {"symbol": low, "update_speed": "100ms"}),
            ("partial_book_depth_streams", {"symbol": low, "levels": "5"}),
            (
                "continuous_contract_kline_candlestick_streams",
                {"pair": low, "contract_type": "perpetual", "interval": "1m"},
            ),
        ):
            seen[name] = asyncio.Event()
            stream = await getattr(connection, name)(**params)
            stream.on("message", lambda data, event=seen[name]: event.set())
        for step in range(4):
            self.at.shock(1.0005 if step % 2 else 0.9995)
            await pause(1.5)
        for name, event in seen.items():
            expect(event.is_set(), f"{name}: silent")
        await connection.close_connection(close_session=True)
        self.complaints.none()

    async def user(self) -> None:
        rest = self.client.rest_api
        key = (await asyncio.to_thread(rest.start_user_data_stream)).data().listen_key
        connection = await self.client.websocket_streams.create_connection()
        stream = await connection.user_data(key)
        events: asyncio.Queue[Any] = asyncio.Queue()
        stream.on("message", events.put_nowait)
        await pause(0.5)
        market = {"symbol": SYMBOL, "type": "MARKET", "quantity": 0.01}
        await asyncio.to_thread(lambda: rest.new_order(**market, side="BUY"))
        names = []
        for _ in range(4):
            event = await asyncio.wait_for(events.get(), WAIT_S)
            names.append(type(getattr(event, "actual_instance", event)).__name__)
        await asyncio.to_thread(lambda: rest.new_order(**market, side="SELL"))
        await asyncio.to_thread(rest.keepalive_user_data_stream)
        await asyncio.to_thread(rest.close_user_data_stream)
        await connection.close_connection(close_session=True)
        expect("OrderTradeUpdate" in names and "AccountUpdate" in names, f"events {names}")

    async def requests(self) -> None:
        connection = await self.client.websocket_api.create_connection()
        price = str(round(self.at.price() * 0.97, 1))
        order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
        placed = (await connection.new_order(**order, quantity=0.01, price=float(price))).data()
        number = placed.result.order_id
        await connection.query_order(symbol=SYMBOL, order_id=number)
        wish = {"symbol": SYMBOL, "side": "BUY", "quantity": 0.02, "price": float(price)}
        await connection.modify_order(**wish, order_id=number)
        gone = (await connection.cancel_order(symbol=SYMBOL, order_id=number)).data()
        expect(gone.result.status == "CANCELED", "cancelled")
        for name in (
            "account_information",
            "account_information_v2",
            "futures_account_balance",
            "futures_account_balance_v2",
            "position_information",
            "position_information_v2",
            "symbol_price_ticker",
            "symbol_order_book_ticker",
            "start_user_data_stream",
        ):
            answer = (await getattr(connection, name)()).data()
            answer = getattr(answer, "actual_instance", answer)
            expect(not isinstance(answer, dict) and answer.status == 200, name)
        book = (await connection.order_book(symbol=SYMBOL, limit=5)).data()
        expect(book.status == 200 and book.result.last_update_id, "depth")
        await connection.close_connection(close_session=True)
        self.complaints.none()


async def main() -> None:
    at = place()
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    keys = {"api_key": at.api_key, "api_secret": at.api_secret}
    client = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(**keys, base_path=at.rest),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=at.ws),
        config_ws_api=ConfigurationWebSocketAPI(**keys, stream_url=at.ws + "/ws-fapi/v1"),
    )
    strangers = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(api_key="x", api_secret="y", base_path=at.rest)
    )
    rest = Rest(client.rest_api, at, complaints)
    streams = Streams(client, at, complaints)
    rules = Rules(client.rest_api, at)
    checks = Checks("SDK")
    for name, check in (
        ("market data", rest.check(rest.market_data)),
        ("settings", rest.check(rest.account)),
        ("limit, amend, batch", rest.check(rest.orders)),
        ("conditional orders", rest.check(rest.conditional_orders)),
        ("five types fired", lambda: asyncio.to_thread(rules.five_types)),
        ("hedge mode", lambda: asyncio.to_thread(rules.hedge_mode)),
        ("error codes", lambda: asyncio.to_thread(rules.errors)),
        ("wrong key", lambda: asyncio.to_thread(rules.wrong_key, strangers.rest_api)),
        ("listen key", lambda: asyncio.to_thread(rules.listen_key)),
        ("market streams", streams.market),
        ("user stream", streams.user),
        ("events of a stop", lambda: algo_events(client, at)),
        ("requests by socket", streams.requests),
        ("algo orders by socket", lambda: socket_rules(client, at)),
        ("answers by its models", lambda: asyncio.to_thread(answers, at)),
        ("events by its models", lambda: events(at)),
        ("429, 418", lambda: asyncio.to_thread(rules.limits)),
    ):
        await checks.run(name, check)


if __name__ == "__main__":
    asyncio.run(main())
