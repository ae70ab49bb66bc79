"""Builds and connects the part that trades (floor 7); nothing is asked of the exchange yet."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from core.assembly.bans import BanMemory
from core.assembly.canary import Canary
from core.assembly.disk_space import DiskSpace
from core.assembly.memory import Memory
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import Surroundings
from core.assembly.trading import Trading
from core.assembly.universe import Universe
from core.assembly.venue import VenueAccess
from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.facts import TradeClosed
from core.domain.intent import ProtectionPlan
from core.domain.market import Candle
from core.domain.ports import Clock
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.kernel.chance import Chance, system_seed
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Supervisor
from core.oms.parts import OmsPorts
from core.oms.plan import PlanSettings
from core.oms.rules import OmsRules
from core.oms.stop_level import MoveRules
from core.oms.throttle import ThrottleLimits
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
_USE_STREAMS = sys.platform != "win32"
"""Market data poll REST on Windows."""


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


class _Builder:
    """Makes the parts one after the other; each knows only those made before it."""

    def __init__(
        self,
        settings: LiveSettings,
        access: VenueAccess,
        memory: Memory,
        surroundings: Surroundings,
        clock: Clock,
        supervisor: Supervisor,
        dispatcher: Dispatcher,
    ) -> None:
        self.settings = settings
        self.config = settings.config
        self.access = access
        self.memory = memory
        self.clock = clock
        self.supervisor = supervisor
        self.dispatcher = dispatcher
        self.connector = surroundings.connector
        self.free_space = surroundings.free_space
        self.chance = Chance(_seed(self.config, surroundings))

    def client(self) -> OptimizedExchangeClient:
        bans = BanMemory(self.config.data_dir / "runtime" / "ban.json")
        host = self.access.endpoints.rest
        return OptimizedExchangeClient(
            self.access.endpoints,
            self.access.credentials,
            self.clock,
            quote_coin=self.config.resolved_quote_coin,
            banned_until_ms=bans.until_ms(host),
            on_ban=lambda until_ms: bans.remember(host, until_ms),
            connector=self.connector,
        )

    def risk(self) -> RiskGuard:
        guard = RiskGuard(
            self.config,
            clock=self.clock,
            store_path=self.config.data_dir / "runtime" / "stage_f_state.json",
            venue=self.config.venue,
            publish=self.dispatcher,
        )
        self.settings.on_change(guard.reconfigure)
        return guard

    def checks(self, risk: RiskGuard) -> PreTradeCheck:
        account = self.access.account
        made = PreTradeCheck(
            _entry_limits(self.config, account),
            SizingLimits.from_config(self.config),
            PlanSettings.from_config(self.config),
            risk,
        )
        self.settings.on_change(
            lambda changed: made.reconfigure(changed, _entry_limits(changed, account))
        )
        return made

    def orders(
        self,
        client: OptimizedExchangeClient,
        risk: RiskGuard,
        market: MarketData,
        echo: _EchoRelay,
        tags: Mapping[str, str],
    ) -> OrderManager:
        ports = OmsPorts(
            exchange=client,
            journal=self.memory.journal,
            audit=self.memory.audit,
            risk=risk,
            facts=self.dispatcher,
            instruments=client,
            prices=market,
            clock=self.clock,
            supervisor=self.supervisor,
            expect_echo=echo,
        )
        return OrderManager(_rules(self.config, tags), ports)

    def user_stream(
        self, client: OptimizedExchangeClient, sink: OrderManager
    ) -> UserDataStreamManager:
        return UserDataStreamManager(
            client,
            self.access.endpoints,
            sink,
            clock=self.clock,
            supervisor=self.supervisor,
            chance=self.chance,
            publish=self.dispatcher.publish,
            connector=self.connector,
        )

    def market(self, client: OptimizedExchangeClient, sink: _CandleRelay) -> MarketData:
        return MarketData(
            client,
            self.access.endpoints,
            sink,
            timeframe=self.config.timeframe,
            history=self.config.candles,
            clock=self.clock,
            supervisor=self.supervisor,
            chance=self.chance,
            publish=self.dispatcher.publish,
            use_streams=_USE_STREAMS,
            connector=self.connector,
        )

    def strategies(self) -> StrategyManager:
        return StrategyManager.from_config(self.config, clock=self.clock, publish=self.dispatcher)

    def engine(
        self,
        client: OptimizedExchangeClient,
        market: MarketData,
        strategies: StrategyManager,
        checks: PreTradeCheck,
        orders: OrderManager,
    ) -> TradeEngine:
        config = self.config
        return TradeEngine(
            settings=EngineSettings(
                config.timeframe, config.resolved_quote_coin, config.loop_interval
            ),
            venue=client,
            market=market,
            strategies=strategies,
            checks=checks,
            orders=orders,
            symbols=lambda: market.symbols,
            trading_enabled=self.settings.trading_enabled,
            facts=self.dispatcher,
            clock=self.clock,
            supervisor=self.supervisor,
        )

    def universe(
        self, client: OptimizedExchangeClient, orders: OrderManager, market: MarketData
    ) -> Universe:
        return Universe(
            config=self.config,
            client=client,
            orders=orders,
            market=market,
            manager=SymbolManager.from_config(self.config, self.clock),
            note=self.memory.note,
            log=self.memory.log.log_event,
            clock=self.clock,
        )

    def canary(
        self,
        client: OptimizedExchangeClient,
        orders: OrderManager,
        stream: UserDataStreamManager,
        market: MarketData,
    ) -> Canary:
        return Canary(
            client=client,
            orders=orders,
            stream=stream,
            market=market,
            streamed=_USE_STREAMS,
            clock=self.clock,
            publish=self.dispatcher.publish,
        )

    def disk(self, orders: OrderManager) -> DiskSpace:
        return DiskSpace(
            (self.config.data_dir, self.config.logs_dir),
            self.config.min_free_disk,
            probe=self.free_space,
            hold=partial(orders.hold_entries, "disk"),
            clock=self.clock,
            publish=self.dispatcher.publish,
        )

    def recorder(self) -> FactRecorder:
        made = FactRecorder(self.memory.queue, self.memory.redactor)
        made.attach(self.dispatcher)
        return made


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
    build = _Builder(settings, access, memory, surroundings, clock, supervisor, dispatcher)
    echo, candles = _EchoRelay(), _CandleRelay()
    recorder = build.recorder()
    client = build.client()
    risk = build.risk()
    market = build.market(client, candles)
    strategies = build.strategies()
    orders = build.orders(client, risk, market, echo, strategies.tags)
    stream = echo.stream = build.user_stream(client, orders)
    engine = candles.engine = build.engine(client, market, strategies, build.checks(risk), orders)
    trading = Trading(
        config=build.config,
        access=access,
        memory=memory,
        clock=clock,
        client=client,
        stream=stream,
        market=market,
        orders=orders,
        risk=risk,
        universe=build.universe(client, orders, market),
        canary=build.canary(client, orders, stream, market),
        disk=build.disk(orders),
        engine=engine,
        supervisor=supervisor,
        recorder=recorder,
        backoff=Backoff(build.chance.stream("start"), base=0.5, cap=30.0),
    )
    dispatcher.subscribe(TradeClosed, lambda _: trading.note_equity())
    return trading


def _seed(config: TradingConfig, surroundings: Surroundings) -> int:
    if surroundings.seed is not None:
        return surroundings.seed
    return config.paper_seed if config.venue is Venue.PAPER else system_seed()


def _entry_limits(config: TradingConfig, account: str) -> EntryLimits:
    """The account is part of a decision's identity where accounts come and go (paper)."""
    limits = EntryLimits.from_config(config)
    return replace(limits, instance=f"{limits.instance}/{account}") if account else limits


def _rules(config: TradingConfig, tags: Mapping[str, str]) -> OmsRules:
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
        moves=MoveRules.from_config(config),
        throttle=ThrottleLimits.from_config(config),
        tags=tags,
    )
