"""The part that trades (floor 7): client, streams, OMS, risk, strategies and engine, connected."""

from dataclasses import dataclass
from decimal import Decimal

from core.assembly.memory import Memory
from core.assembly.venue import VenueAccess
from core.assembly.waiting import GaveUp, wait_for
from core.config import TradingConfig
from core.domain.enums import ExitReason, Venue
from core.domain.errors import BotError, VenueError
from core.domain.intent import ProtectionPlan
from core.domain.money import ZERO
from core.domain.ports import Clock
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.kernel.chance import Chance, system_seed
from core.kernel.dispatcher import Dispatcher
from core.kernel.retry import Backoff
from core.kernel.supervisor import Supervisor
from core.order_manager import OmsRules, OrderManager
from core.risk_guard import RiskGuard
from core.strategy_manager import StrategyManager
from core.symbol_manager import SymbolManager
from core.trade_engine import TradeEngine
from core.ws_client import UserDataStreamManager

_RECONCILE_S = 60.0
_MINUTE_MS = 60_000


@dataclass(slots=True)
class Trading:
    """Connected parts. `failure` is set when the start ended with an operator's problem."""

    config: TradingConfig
    access: VenueAccess
    memory: Memory
    clock: Clock
    dispatcher: Dispatcher
    client: OptimizedExchangeClient
    stream: UserDataStreamManager
    market: MarketData
    orders: OrderManager
    risk: RiskGuard
    symbols: SymbolManager
    engine: TradeEngine
    backoff: Backoff
    wallet_start: Decimal = ZERO
    ready: bool = False
    failure: BotError | None = None

    async def connect(self, give_up_s: float | None) -> None:
        """Reach the exchange and prove that account and key can trade.

        Raises AccountError with the way to mend it, and GaveUp for a bounded start.
        """
        say = self.memory.log.log_event
        await wait_for(
            "the exchange",
            self.client.initialize,
            clock=self.clock,
            backoff=self.backoff,
            log=say,
            give_up_s=give_up_s,
        )
        self.backoff.reset()
        preflight = await wait_for(
            "the account",
            self.client.verify_permissions,
            clock=self.clock,
            backoff=self.backoff,
            log=say,
            give_up_s=give_up_s,
        )
        for warning in preflight.warnings:
            say("account", "WARNING", warning)
        self.wallet_start = preflight.wallet
        say(
            "account",
            "INFO",
            f"wallet {preflight.wallet} {self.config.resolved_quote_coin}, "
            f"clock error at most {preflight.clock_error_ms} ms",
        )
