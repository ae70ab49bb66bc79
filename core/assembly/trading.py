"""The part that trades (floor 7): its start, its life beside the engine, its end."""

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

from core.assembly.canary import Canary
from core.assembly.disk_space import DiskSpace
from core.assembly.memory import Memory
from core.assembly.universe import Universe
from core.assembly.venue import VenueAccess
from core.assembly.waiting import GaveUp, wait_for
from core.config import TradingConfig
from core.domain.enums import ExitReason
from core.domain.errors import BotError
from core.domain.money import ZERO, to_wire
from core.domain.ports import Clock
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.kernel.retry import Backoff
from core.kernel.supervisor import Restart, Supervisor
from core.oms.account import total_unrealized
from core.oms.day_results import day_of, with_unknown_losses
from core.order_manager import OrderManager
from core.risk_guard import ClosedTrade, RiskGuard, RiskView
from core.storage.queries import closed_trades
from core.storage.recorder import FactRecorder
from core.trade_engine import TradeEngine
from core.ws_client import UserDataStreamManager

READY_WITHIN_S = 60.0
_SNAPSHOT_EVERY_S = 60.0
_HOUR_MS = 3_600_000
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
    universe: Universe
    canary: Canary
    disk: DiskSpace
    engine: TradeEngine
    supervisor: Supervisor
    backoff: Backoff
    recorder: FactRecorder
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
            await wait_for(
                "the day's results",
                self._restore_risk,
                clock=self.clock,
                backoff=self.backoff,
                log=self._say,
                give_up_s=give_up_s,
            )
        await self.disk.look()
        await self.orders.start(new_account=bool(self.access.account))
        self.stream.start()
        await wait_for(
            "the symbols",
            self.universe.choose,
            clock=self.clock,
            backoff=self.backoff,
            log=self._say,
            give_up_s=give_up_s,
        )
        self.market.start(self.universe.symbols)
        await self._wait_ready(give_up_s)
        await wait_for(
            "an echo on the user stream",
            lambda: self.canary.sing(self.universe.symbols, self.config.leverage_default),
            clock=self.clock,
            backoff=self.backoff,
            log=self._say,
            give_up_s=give_up_s,
        )
        self.ready = True
        self.supervisor.spawn("rotation", self.universe.rotate, _FOREVER)
        self.supervisor.spawn("snapshots", self._snapshots, _FOREVER)
        self.supervisor.spawn("canary", self.canary.listen)
        self.supervisor.spawn("disk space", self.disk.run, _FOREVER)
        self._say("start", "INFO", f"ready: {len(self.universe.symbols)} symbols")

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

        Each counts once however often it is told. A damaged state is built anew from them and from
        what the exchange has booked; until that is read, entries stay blocked.
        """
        now_ms = self.clock.now_ms()
        since_ms = day_of(now_ms)
        rows = await closed_trades(self.memory.database, since_ms, now_ms + 1)
        trades = [
            ClosedTrade(row.trade_id, row.symbol, row.net, row.exit_reason, row.closed_ms)
            for row in rows
            if row.exit_reason is not None and row.entry_quantity
        ]
        if self.risk.needs_rebuild:
            income = await self.client.get_income(start_ms=since_ms)
            quote = self.config.resolved_quote_coin
            self.risk.rebuild(with_unknown_losses(trades, income, quote, now_ms))
            return
        for trade in trades:
            self.risk.trade_closed(
                trade.trade_id, trade.symbol, trade.net, trade.reason, trade.at_ms
            )

    async def _snapshots(self) -> None:
        """Equity for the curve and for the limits that look at open loss and drawdown."""
        hour = -1
        while True:
            before, hour = hour, self.clock.now_ms() // _HOUR_MS
            self.note_equity(audited=hour != before)
            await self.clock.sleep(_SNAPSHOT_EVERY_S)

    def note_equity(self, *, audited: bool = False) -> None:
        """One look at the account: also when a trade closes, whose loss is no longer open."""
        quote = self.config.resolved_quote_coin
        positions = self.orders.get_active_positions()
        open_result = total_unrealized(positions, self.engine.mark_price)
        wallet = self.orders.account.wallet(quote)
        self.risk.observe(wallet + open_result, open_result, len(positions))
        now_ms, free = self.clock.now_ms(), self.orders.account.available(quote) or ZERO
        self.recorder.note_equity(now_ms, quote, wallet, open_result, free, len(positions))
        if audited:
            self.memory.note(
                {
                    "action": "account.equity",
                    "at_ms": now_ms,
                    "coin": quote,
                    "wallet": to_wire(wallet),
                    "unrealized": to_wire(open_result),
                    "available": to_wire(free),
                    "positions": len(positions),
                }
            )

    def risk_view(self) -> RiskView:
        """Numbers behind `/risk` now, the limits at the wire included."""
        return replace(self.risk.view(), wire=self.orders.limits_used())

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
