"""Names and call forms that operators' scripts import: they stay, and they work.

core.config.TradingConfig (.from_env(), .resolved_quote_coin, working_type, tp_order_style,
max_sl_streak; by keyword with TESTNET=, QUOTE_COIN=) · core.symbol_utils.perp_symbol,
normalize_symbol, to_binance_symbol, default_symbols · core.symbol_manager.SymbolManager,
filter_usdsm_contracts(markets, settle_coin, quote_coin) · core.balance_utils.free(balance, coin) ·
core.precision.normalize(price, qty, market, current_price=None, symbol=None, log=None),
PrecisionError(ValueError), round_to_step(x, step) · core.ids.make_client_id(env, strat, symbol,
side, ts_ms=None, nonce="0") · core.exchange_client.OptimizedExchangeClient,
create_stop_loss_order(exchange, symbol, side, qty, stop_price, cfg),
create_take_profit_order(exchange, symbol, side, qty, tp_price, cfg) ·
core.order_manager.OrderManager (handle_ws_event, active_positions, get_active_positions,
close_position, cleanup_orphaned_orders, place_order, attach_brackets) ·
core.risk_guard.RiskGuard(config, logger) (record_sl(loss), record_tp(profit),
can_open_position()) ·
core.ws_client.UserDataStreamManager, get_listen_key, keepalive, stream_user_data ·
core.audit_logger.AuditLogger(path).write(payload) · core.unified_logger.UnifiedLogger.log_event ·
core.trade_engine.TradeEngine.scan_and_trade() · core.strategy_manager.StrategyManager ·
TelegramBot with set_order_manager.
"""

import inspect
import io
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.world import SYMBOL, World, approved, in_world

import core.ws_client
from core.audit_logger import AuditLogger
from core.balance_utils import free
from core.config import TradingConfig
from core.domain.facts import AccountConfigUpdate, PositionOpened, TradeClosed
from core.exchange_client import (
    OptimizedExchangeClient,
    create_stop_loss_order,
    create_take_profit_order,
)
from core.ids import make_client_id
from core.order_manager import OrderManager
from core.precision import PrecisionError, normalize, round_to_step
from core.risk_guard import RiskGuard
from core.strategy_manager import StrategyManager
from core.symbol_manager import SymbolManager, filter_usdsm_contracts
from core.symbol_utils import default_symbols, normalize_symbol, perp_symbol, to_binance_symbol
from core.trade_engine import TradeEngine
from core.unified_logger import UnifiedLogger
from core.ws_client import UserDataStreamManager, get_listen_key, keepalive, stream_user_data
from tgbot.app import TelegramBot

D = Decimal


def parameters(call: Any) -> list[str]:
    return [name for name in inspect.signature(call).parameters if name != "self"]


# --- configuration and symbols ------------------------------------------------------------------


def test_trading_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUOTE_COIN", "usdt")
    assert TradingConfig.from_env().resolved_quote_coin == "USDT"
    config = TradingConfig(TESTNET=True, QUOTE_COIN="USDC")
    assert config.resolved_quote_coin == "USDC"
    assert config.working_type == "MARK_PRICE"
    assert config.tp_order_style == "limit"
    assert config.max_sl_streak == 2
    assert TradingConfig(TESTNET=True).resolved_quote_coin == "USDT"
    assert TradingConfig(TESTNET=False).resolved_quote_coin == "USDC"


def test_symbols() -> None:
    assert perp_symbol("btc", "USDC") == "BTC/USDC:USDC"
    for text in ("BTCUSDC", "btc/usdc", "BTC/USDC:USDC"):
        assert normalize_symbol(text) == "BTC/USDC:USDC"
        assert to_binance_symbol(text) == "BTCUSDC"
    assert default_symbols("USDT") == [
        f"{b}/USDT:USDT" for b in ("BTC", "ETH", "BNB", "SOL", "ADA")
    ]
    assert inspect.isclass(SymbolManager)


def test_filter_of_contracts() -> None:
    assert parameters(filter_usdsm_contracts) == ["markets", "settle_coin", "quote_coin"]
    row = {"contract": True, "active": True, "quote": "USDC", "settle": "USDC"}
    markets = {"XRP/USDC:USDC": {**row, "symbol": "XRP/USDC:USDC"}}
    assert filter_usdsm_contracts(markets, "USDC", "USDC") == ["XRP/USDC:USDC"]


def test_free_balance() -> None:
    assert free({"USDC": {"free": "12.5"}}, "USDC") == D("12.5")
    assert free({"free": {"USDC": 12.5}}, coin="USDC") == D("12.5")
    assert free({}, "USDT") == 0


# --- amounts and ids ----------------------------------------------------------------------------

MARKET = {
    "symbol": SYMBOL,
    "info": {
        "filters": [
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {"filterType": "LOT_SIZE", "minQty": "0.1", "maxQty": "8000000", "stepSize": "0.1"},
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.0001",
                "maxPrice": "100000",
                "tickSize": "0.0001",
            },
        ]
    },
}


def test_precision() -> None:
    assert parameters(normalize) == ["price", "qty", "market", "current_price", "symbol", "log"]
    lines: list[str] = []
    result = normalize(2.00004, 10.07, MARKET, current_price=2.0, symbol=SYMBOL, log=lines.append)
    assert result == (D("2.0000"), D("10.0"), D(5))
    assert len(lines) == 1
    assert issubclass(PrecisionError, ValueError)
    with pytest.raises(PrecisionError, match=r"MIN_NOTIONAL.*2.*5"):
        normalize(2, 1, MARKET)
    assert round_to_step(0.3, 0.1) == D("0.3")
    for step in (0, -1):
        with pytest.raises(PrecisionError):
            round_to_step(1, step)


def test_client_id() -> None:
    assert parameters(make_client_id) == ["env", "strat", "symbol", "side", "ts_ms", "nonce"]
    made = make_client_id("prod", "scalping", SYMBOL, "BUY", ts_ms=1_750_000_000_000, nonce="1")
    assert made == make_client_id("prod", "scalping", SYMBOL, "BUY", 1_750_000_000_000, "1")
    assert made != make_client_id("prod", "scalping", SYMBOL, "BUY", 1_750_000_000_000)
    assert len(made) <= 36


# --- exchange -----------------------------------------------------------------------------------


class AnyExchange:
    """Stands for whatever object with `create_order` a script has."""

    def __init__(self) -> None:
        self.orders: list[tuple[Any, ...]] = []

    async def create_order(self, *arguments: Any, **named: Any) -> str:
        self.orders.append((*arguments, named) if named else arguments)
        return "accepted"


async def test_bracket_orders() -> None:
    exchange, config = AnyExchange(), TradingConfig(TP_ORDER_STYLE="market")
    names = ["exchange", "symbol", "side", "qty"]
    assert parameters(create_stop_loss_order) == [*names, "stop_price", "cfg"]
    assert parameters(create_take_profit_order) == [*names, "tp_price", "cfg"]
    assert await create_stop_loss_order(exchange, SYMBOL, "sell", 10, 1.9, config) == "accepted"
    assert await create_take_profit_order(exchange, SYMBOL, "sell", 10, 2.1, config) == "accepted"
    limit = TradingConfig(TP_ORDER_STYLE="limit")
    await create_take_profit_order(exchange, SYMBOL, "sell", 10, 2.1, limit)
    stop, market, limited = exchange.orders
    trigger = {"stopPrice": 1.9, "reduceOnly": True, "workingType": "MARK_PRICE"}
    assert stop == (SYMBOL, "STOP_MARKET", "sell", 10, None, trigger)
    assert market[:5] == (SYMBOL, "TAKE_PROFIT_MARKET", "sell", 10, None)
    assert limited[:5] == (SYMBOL, "TAKE_PROFIT", "sell", 10, 2.1)


def test_client_surface() -> None:
    for name in (
        "initialize",
        "close",
        "get_markets",
        "get_ticker",
        "get_tickers",
        "get_ohlcv",
        "get_usdc_symbols",
        "get_balance",
        "get_positions",
        "get_open_orders",
        "create_order",
        "create_stop_loss_order",
        "create_take_profit_order",
        "cancel_order",
        "fetch_order_by_client_id",
        "set_leverage",
        "set_margin_mode",
        "server_time",
    ):
        assert inspect.iscoroutinefunction(getattr(OptimizedExchangeClient, name)), name
    assert parameters(OptimizedExchangeClient.get_ohlcv)[:3] == ["symbol", "timeframe", "limit"]


def test_user_stream_surface() -> None:
    assert inspect.isclass(UserDataStreamManager)
    for call in (get_listen_key, keepalive, stream_user_data):
        assert inspect.iscoroutinefunction(call)
        assert getattr(core.ws_client, call.__name__) is call
        assert parameters(call)[0] == "client"


# --- orders, against the paper exchange ---------------------------------------------------------


def test_order_manager(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        daemon = await world.daemon()
        orders: OrderManager = daemon.orders
        assert orders.active_positions == {}
        assert await orders.place_order(approved())
        await world.wait(lambda: daemon.of(PositionOpened))
        assert list(orders.active_positions) == [SYMBOL]
        (view,) = orders.get_active_positions()
        assert (view.symbol, view.quantity) == (SYMBOL, D(100))
        assert await orders.attach_brackets(SYMBOL)
        assert await orders.cleanup_orphaned_orders() == 0
        orders.handle_ws_event(_leverage_event(world))
        report = await orders.close_position(SYMBOL)
        assert report.closed
        assert len(daemon.of(TradeClosed)) == 1
        assert orders.get_active_positions() == ()
        await daemon.stop()

    in_world(tmp_path, story)


def _leverage_event(world: World) -> AccountConfigUpdate:
    return AccountConfigUpdate(
        symbol=SYMBOL, leverage=5, multi_assets=None, event_ms=world.clock.now_ms()
    )


# --- risk, records, decisions -------------------------------------------------------------------


def test_risk_guard() -> None:
    guard = RiskGuard(TradingConfig(), logging.getLogger("scripts"))
    assert guard.can_open_position() == (True, "ok")
    guard.record_tp(1.5)
    guard.record_sl(3)
    assert guard.can_open_position()[0]
    guard.record_sl(loss=3)
    allowed, reason = guard.can_open_position()
    assert not allowed
    assert "SL streak 2 of 2" in reason
    assert "exits active" in reason


def test_audit_logger(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl")
    log.write({"action": "note", "text": "kept"})
    log.close()
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["seq"], record["action"], record["text"]) == (1, "note", "kept")


def test_unified_logger(tmp_path: Path) -> None:
    assert parameters(UnifiedLogger.log_event)[:3] == ["component", "level", "message"]
    console = io.StringIO()
    log = UnifiedLogger(tmp_path, stream=console)
    log.log_event("engine", "INFO", "started", symbols=5)
    log.close()
    assert console.getvalue().endswith("INFO  engine     started symbols=5\n")


def test_engine_strategies_and_telegram() -> None:
    assert inspect.iscoroutinefunction(TradeEngine.scan_and_trade)
    assert parameters(TradeEngine.scan_and_trade) == []
    assert StrategyManager.from_config(TradingConfig()).names == ("scalping_v1",)
    assert callable(TelegramBot.set_order_manager)
