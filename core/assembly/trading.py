"""The part that trades (floor 7): client, streams, OMS, risk, strategies and engine, connected."""

import asyncio
import sys
from dataclasses import dataclass, replace
from decimal import Decimal

from core.assembly.bans import BanMemory
from core.assembly.memory import Memory
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import Surroundings
from core.assembly.venue import VenueAccess
from core.assembly.waiting import GaveUp, wait_for
from core.config import TradingConfig
from core.domain.enums import ExitReason, Venue
from core.domain.errors import BotError, VenueError
from core.domain.intent import ProtectionPlan
from core.domain.market import Candle
from core.domain.money import ZERO, to_wire
from core.domain.ports import Clock
from core.exchange.endpoints import Endpoints
from core.exchange.gateway import ConnectorFactory
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.kernel.chance import Chance, system_seed
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Restart, Supervisor
from core.oms.parts import OmsPorts
from core.oms.plan import PlanSettings
from core.oms.rules import OmsRules
from core.order_manager import OrderManager
from core.pre_trade_check import EntryLimits, PreTradeCheck
from core.risk_guard import ClosedTrade, RiskGuard
from core.sizing import SizingLimits
from core.storage.queries import closed_trades
from core.strategy_manager import StrategyManager
from core.symbol_manager import Candidate, SymbolManager
from core.trade_engine import EngineSettings, TradeEngine
from core.ws_client import UserDataStreamManager

READY_WITHIN_S = 60.0
_ROTATE_EVERY_S = 60.0
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_FOREVER = Restart(limit=1_000, window=3_600.0, pause=1.0)


@dataclass(slots=True)
class Trading:
    """Connected parts. `failure` is set when the start ended with an operator's problem."""

    config: TradingConfig
    access: VenueAccess
    memory: Memory
    clock: Clock
    client: OptimizedExchangeClient
    stream: UserDataStreamManager
    market: MarketData
    orders: OrderManager
    risk: RiskGuard
    symbols: SymbolManager
    engine: TradeEngine
    supervisor: Supervisor
    backoff: Backoff
    wallet_start: Decimal = ZERO
    ready: bool = False
    failure: BotError | None = None

    # --- start -----------------------------------------------------------------------------------

    async def connect(self, give_up_s: float | None) -> None:
        """Reach the exchange and prove that account and key can trade.

        Raises AccountError with the way to mend it, and GaveUp for a bounded start.
        """
        await wait_for(
            "the exchange",
            self.client.initialize,
            clock=self.clock,
            backoff=self.backoff,
            log=self._say,
            give_up_s=give_up_s,
        )
        preflight = await wait_for(
            "the account",
            self.client.verify_permissions,
            clock=self.clock,
            backoff=self.backoff,
            log=self._say,
            give_up_s=give_up_s,
        )
        for warning in preflight.warnings:
            self._say("account", "WARNING", warning)
        self.wallet_start = preflight.wallet
        self._say(
            "account",
            "INFO",
            f"wallet {to_wire(preflight.wallet)} {self.config.resolved_quote_coin}, "
            f"clock error at most {preflight.clock_error_ms} ms",
        )

    async def begin(self, give_up_s: float | None) -> None:
        """Take up what an earlier process left, choose symbols, start streams, reconcile."""
        if self.access.account:
            await self._forget_last_account()
        else:
            await self._restore_risk()
        await self.orders.start()
        self.stream.start()
        await wait_for(
            "the symbols",
            self.choose_symbols,
            clock=self.clock,
            backoff=self.backoff,
            log=self._say,
            give_up_s=give_up_s,
        )
        self.market.start(self.symbols.symbols)
        await self._wait_ready(give_up_s)
        self.ready = True
        self.supervisor.spawn("rotation", self._rotate, _FOREVER)
        self._say("start", "INFO", f"ready: {len(self.symbols.symbols)} symbols")

    async def _wait_ready(self, give_up_s: float | None) -> None:
        """Until history is loaded, the stream lives and the books equal the exchange's."""
        limit = READY_WITHIN_S if give_up_s is None else give_up_s
        async with asyncio.timeout(None if give_up_s is None else limit):
            await self.market.wait_loaded()
        while not await self.orders.wait_reconciled(limit):
            reason = self.orders.entries_blocked()
            if give_up_s is not None:
                raise GaveUp(f"not ready within {limit:g} s: {reason}")
            self._say("start", "WARNING", f"waiting: {reason}")

    async def _forget_last_account(self) -> None:
        """A paper account lives as long as its process: what an earlier one held is gone."""
        loaded = await self.memory.journal.load()
        for trade in loaded.trades:
            trade.closed_ms = self.clock.now_ms()
            await self.memory.journal.record_close(trade, ExitReason.FOREIGN)
        if loaded.trades:
            text = f"{len(loaded.trades)} positions of the last paper account are gone with it"
            self._say("start", "WARNING", text)
        self.risk.rebuild([])

    async def _restore_risk(self) -> None:
        """Count today's closed trades: a crash may have come between journal and guard.

        Each counts once however often it is told, and a damaged state is built anew from them.
        """
        now_ms = self.clock.now_ms()
        since_ms = now_ms - now_ms % _DAY_MS
        rows = await closed_trades(self.memory.database, since_ms, now_ms + 1)
        trades = [
            ClosedTrade(row.trade_id, row.symbol, row.net, row.exit_reason, row.closed_ms)
            for row in rows
            if row.exit_reason is not None and row.entry_quantity
        ]
        if self.risk.needs_rebuild:
            self.risk.rebuild(trades)
            return
        for trade in trades:
            self.risk.trade_closed(
                trade.trade_id, trade.symbol, trade.net, trade.reason, trade.at_ms
            )

    # --- symbols ---------------------------------------------------------------------------------

    async def choose_symbols(self) -> None:
        """Choose the universe and set leverage and margin type. Raises VenueError."""
        instruments, tickers, tops, balances, settings = await asyncio.gather(
            self.client.get_instruments(),
            self.client.get_tickers(),
            self.client.get_book_tops(),
            self.client.get_balances(),
            self.client.get_symbol_configs(),
        )
        self.orders.load_settings(settings)
        quote = self.config.resolved_quote_coin
        equity = sum((b.equity for b in balances if b.asset == quote), ZERO)
        candidates = []
        for instrument in instruments:
            ticker, top = tickers.get(instrument.symbol), tops.get(instrument.symbol)
            candidates.append(
                Candidate(
                    instrument=instrument,
                    price=ticker.last if ticker else None,
                    quote_volume=ticker.quote_volume if ticker else ZERO,
                    spread=top.spread_ratio if top else None,
                )
            )
        chosen = self.symbols.select(candidates, equity=equity, held=self.orders.busy_symbols())
        for skipped in chosen.skipped:
            self._say("symbols", "DEBUG", f"{skipped.symbol} skipped: {skipped.reason}")
        for symbol in chosen.added:
            await self.orders.prepare_symbol(symbol, self.config.leverage_default)
        if chosen.added or chosen.removed:
            self._tell_choice(chosen.symbols, len(chosen.skipped))

    def _tell_choice(self, symbols: tuple[str, ...], skipped: int) -> None:
        names = ", ".join(symbol.split("/")[0] for symbol in symbols) or "none"
        self._say("symbols", "INFO", f"{len(symbols)} traded: {names}; {skipped} skipped")
        self.memory.audit.write({"action": "symbols", "traded": list(symbols), "skipped": skipped})

    async def _rotate(self) -> None:
        while True:
            await self.clock.sleep(_ROTATE_EVERY_S)
            if not self.symbols.is_due:
                continue
            try:
                await self.choose_symbols()
            except VenueError as error:
                self._say("symbols", "WARNING", f"choice kept, the exchange was not read: {error}")
                continue
            self.market.set_symbols(self.symbols.symbols)

    # --- stop ------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Cancel orders of ours that protect nothing any more."""
        if not self.ready:
            return
        cancelled = await self.orders.cleanup_orphaned_orders()
        if cancelled:
            self._say("stop", "INFO", f"{cancelled} orphaned orders cancelled")

    async def close_streams(self) -> None:
        await self.market.close()
        await self.stream.close()

    def _say(self, component: str, level: str, message: str) -> None:
        self.memory.log.log_event(component, level, message)


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
    bans = BanMemory(config.data_dir / "runtime" / "ban.json")
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
        symbols=SymbolManager.from_config(config, clock),
        engine=engine,
        supervisor=supervisor,
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
    return OptimizedExchangeClient(
        access.endpoints,
        access.credentials,
        clock,
        quote_coin=config.resolved_quote_coin,
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
        verify_timeout_s=float(config.sl_verify_timeout),
        max_hold_ms=config.max_hold_minutes * _MINUTE_MS,
        reconcile_interval_s=float(config.reconcile_interval),
        working_type=config.working_type,
        take_profit=config.tp_order_style,
        foreign=config.foreign_positions,
        default_plan=ProtectionPlan(config.stop_loss_pct, config.tp_levels),
        leverage=config.leverage_default,
    )
