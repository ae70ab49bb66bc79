"""Builds and connects the part that trades (floor 7); nothing is asked of the exchange yet."""

import sys
from dataclasses import dataclass, replace

from core.assembly.bans import BanMemory
from core.assembly.memory import Memory
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import Surroundings
from core.assembly.trading import Trading
from core.assembly.universe import Universe
from core.assembly.venue import VenueAccess
from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.intent import ProtectionPlan
from core.domain.market import Candle
from core.domain.ports import Clock
from core.exchange.endpoints import Endpoints
from core.exchange.gateway import ConnectorFactory
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.kernel.chance import Chance, system_seed
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Supervisor
from core.oms.parts import OmsPorts
from core.oms.plan import PlanSettings
from core.oms.rules import OmsRules
from core.order_manager import OrderManager
from core.pre_trade_check import EntryLimits, PreTradeCheck
from core.risk_guard import RiskGuard
from core.sizing import SizingLimits
from core.storage.recorder import FactRecorder
from core.strategy_manager import StrategyManager
from core.symbol_manager import SymbolManager
from core.trade_engine import EngineSettings, TradeEngine
from core.ws_client import UserDataStreamManager

_MINUTE_MS = 60_000


class _CandleRelay:
    """Market data tell the engine, which reads market data: the engine is put in second."""

    engine: TradeEngine

    def on_candle(self, symbol: str, candle: Candle) -> None:
        self.engine.on_candle(symbol, candle)


class _EchoRelay:
    """The OMS tells the stream of accepted orders; the stream, its sink's owner, comes second."""

    stream: UserDataStreamManager

    def __call__(self, client_id: str) -> None:
        self.stream.expect_echo(client_id)


def open_trading(
    settings: LiveSettings,
    access: VenueAccess,
    memory: Memory,
    *,
    surroundings: Surroundings,
    clock: Clock,
    supervisor: Supervisor,
    dispatcher: Dispatcher,
) -> Trading:
    """Build and connect; nothing is asked of the exchange yet. Raises ConfigError."""
    config = settings.config
    chance = Chance(_seed(config, surroundings))
    strategies = StrategyManager.from_config(config, clock=clock, publish=dispatcher)
    client = _client(config, access, surroundings, clock)
    risk = RiskGuard(
        config,
        clock=clock,
        store_path=config.data_dir / "runtime" / "stage_f_state.json",
        venue=config.venue,
        publish=dispatcher,
    )
    checks = _checks(config, access.account, risk)
    settings.on_change(risk.reconfigure)
    settings.on_change(
        lambda changed: checks.reconfigure(changed, _entry_limits(changed, access.account))
    )
    recorder = FactRecorder(memory.queue, memory.redactor)
    recorder.attach(dispatcher)
    echo, candles = _EchoRelay(), _CandleRelay()
    ports = OmsPorts(
        exchange=client,
        journal=memory.journal,
        audit=memory.audit,
        risk=risk,
        facts=dispatcher,
        instruments=client,
        clock=clock,
        supervisor=supervisor,
        expect_echo=echo,
    )
    orders = OrderManager(_rules(config), ports)
    feeds = _Feeds(
        client, access.endpoints, clock, supervisor, chance, dispatcher, surroundings.connector
    )
    stream = echo.stream = feeds.user_stream(orders)
    market = feeds.market(candles, config)
    engine = candles.engine = TradeEngine(
        settings=EngineSettings(config.timeframe, config.resolved_quote_coin, config.loop_interval),
        venue=client,
        market=market,
        strategies=strategies,
        checks=checks,
        orders=orders,
        symbols=lambda: market.symbols,
        trading_enabled=settings.trading_enabled,
        facts=dispatcher,
        clock=clock,
        supervisor=supervisor,
    )
    return Trading(
        config=config,
        access=access,
        memory=memory,
        clock=clock,
        client=client,
        stream=stream,
        market=market,
        orders=orders,
        risk=risk,
        universe=Universe(
            config=config,
            client=client,
            orders=orders,
            market=market,
            manager=SymbolManager.from_config(config, clock),
            audit=memory.audit,
            log=memory.log.log_event,
            clock=clock,
        ),
        engine=engine,
        supervisor=supervisor,
        recorder=recorder,
        backoff=Backoff(chance.stream("start"), base=0.5, cap=30.0),
    )


@dataclass(frozen=True, slots=True)
class _Feeds:
    """What both streams need, and the streams made of it."""

    client: OptimizedExchangeClient
    endpoints: Endpoints
    clock: Clock
    supervisor: Supervisor
    chance: Chance
    dispatcher: Dispatcher
    connector: ConnectorFactory | None

    def user_stream(self, sink: OrderManager) -> UserDataStreamManager:
        return UserDataStreamManager(
            self.client,
            self.endpoints,
            sink,
            clock=self.clock,
            supervisor=self.supervisor,
            chance=self.chance,
            publish=self.dispatcher.publish,
            connector=self.connector,
        )

    def market(self, sink: _CandleRelay, config: TradingConfig) -> MarketData:
        return MarketData(
            self.client,
            self.endpoints,
            sink,
            timeframe=config.timeframe,
            history=config.candles,
            clock=self.clock,
            supervisor=self.supervisor,
            chance=self.chance,
            publish=self.dispatcher.publish,
            use_streams=sys.platform != "win32",
            connector=self.connector,
        )


def _client(
    config: TradingConfig, access: VenueAccess, surroundings: Surroundings, clock: Clock
) -> OptimizedExchangeClient:
    bans = BanMemory(config.data_dir / "runtime" / "ban.json")
    host = access.endpoints.rest
    return OptimizedExchangeClient(
        access.endpoints,
        access.credentials,
        clock,
        quote_coin=config.resolved_quote_coin,
        banned_until_ms=bans.until_ms(host),
        on_ban=lambda until_ms: bans.remember(host, until_ms),
        connector=surroundings.connector,
    )


def _seed(config: TradingConfig, surroundings: Surroundings) -> int:
    if surroundings.seed is not None:
        return surroundings.seed
    return config.paper_seed if config.venue is Venue.PAPER else system_seed()


def _checks(config: TradingConfig, account: str, risk: RiskGuard) -> PreTradeCheck:
    return PreTradeCheck(
        _entry_limits(config, account),
        SizingLimits.from_config(config),
        PlanSettings.from_config(config),
        risk,
    )


def _entry_limits(config: TradingConfig, account: str) -> EntryLimits:
    """The account is part of a decision's identity where accounts come and go (paper)."""
    limits = EntryLimits.from_config(config)
    return replace(limits, instance=f"{limits.instance}/{account}") if account else limits


def _rules(config: TradingConfig) -> OmsRules:
    return OmsRules(
        instance=config.instance_id,
        quote=config.resolved_quote_coin,
        verify_timeout_s=float(config.sl_verify_timeout),
        max_hold_ms=config.max_hold_minutes * _MINUTE_MS,
        reconcile_interval_s=float(config.reconcile_interval),
        working_type=config.working_type,
        take_profit=config.tp_order_style,
        foreign=config.foreign_positions,
        default_plan=ProtectionPlan(config.stop_loss_pct, config.tp_levels),
        leverage=config.leverage_default,
    )
