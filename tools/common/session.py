"""The daemon's trading parts for the length of one command (floor 8; INV-03, INV-15).

For tools that open a position: same journal, audit log, risk memory and order manager as the daemon
has, so nothing a tool does is unknown to it afterwards. The data folder is held meanwhile; a daemon
that runs on it is a refusal. The engine does not run: only what the tool decides is traded.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.assembly.connect import open_trading
from core.assembly.memory import open_log, open_memory
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import MACHINE
from core.assembly.trading import Trading
from core.assembly.venue import open_venue
from core.config import TradingConfig
from core.domain.enums import Venue
from core.domain.errors import BotError, ConfigError
from core.domain.intent import ApprovedEntry, CheckVerdict
from core.domain.money import to_wire
from core.domain.strategy import Signal
from core.kernel.clock import LiveClock
from core.kernel.dispatcher import Dispatcher
from core.kernel.instance_lock import InstanceLock
from core.kernel.supervisor import Supervisor
from core.observe.audit_trail import AuditTrail
from core.pre_trade_check import PreTradeCheck
from tools.common.cli import Output

READY_S = 30.0
_CLOSE_S = 5.0
_QUOTE_LOOKS = 40


class NotAllowed(BotError):
    """The pre-trade check said no; the text has the check and its numbers."""


def demand_real_venue(config: TradingConfig, *, real_money: bool) -> None:
    """Raises ConfigError unless orders would go to an exchange the operator meant."""
    if config.venue is Venue.PAPER:
        raise ConfigError(
            ["DRY_RUN: there is no exchange to trade on; give API keys and set DRY_RUN=false"]
        )
    if config.venue is Venue.PROD and not real_money:
        raise ConfigError(["TESTNET=false: this would use real money; say --yes-real-money"])


@asynccontextmanager
async def trading_session(config: TradingConfig, output: Output) -> AsyncIterator[Trading]:
    """Connected, reconciled and with live streams; closed in order at the end.

    Raises InstanceLocked, ConfigError, AccountError and GaveUp.
    """
    clock = LiveClock()
    with InstanceLock(config.data_dir):
        log = open_log(config, clock, output.redactor, console=False)
        failed: list[str] = []

        def task_failed(name: str, error: BaseException, again: bool) -> None:  # noqa: FBT001 - the supervisor's call form
            failed.append(name)
            log.log_event("tasks", "ERROR", f"task {name} failed (again: {again})", exc_info=error)

        supervisor, workers = Supervisor(clock, task_failed), Supervisor(clock, task_failed)
        dispatcher = Dispatcher(
            lambda name, error: log.log_event("observer", "ERROR", name, exc_info=error)
        )
        try:
            access = await open_venue(config, None, clock, supervisor, log.log_event)
            memory = await open_memory(config, clock, log, output.redactor, inline=False)
            try:
                AuditTrail(memory.audit, {"tool": True}).listen(dispatcher)
                trading = open_trading(
                    LiveSettings(config, clock),
                    access,
                    memory,
                    surroundings=MACHINE,
                    clock=clock,
                    supervisor=workers,
                    dispatcher=dispatcher,
                )
                supervisor.spawn("journal", memory.journal.run)
                try:
                    await trading.connect(READY_S)
                    await trading.begin(READY_S)
                    yield trading
                finally:
                    trading.orders.stop_entries()
                    await trading.close_streams()
                    await workers.close(_CLOSE_S)
                    await trading.client.close()
            finally:
                await memory.close()
        finally:
            await supervisor.close(_CLOSE_S)
            log.close()
        for name in failed:
            output.note(f"warning: task {name} failed, see the log")


async def approve(trading: Trading, checks: PreTradeCheck, signal: Signal) -> ApprovedEntry:
    """Permission for `signal` from the pre-trade check. Raises NotAllowed.

    Quotes are given a moment to arrive first.
    """
    symbol, market = signal.symbol, trading.market
    for _ in range(_QUOTE_LOOKS):
        if market.mark(symbol) and market.book(symbol) and market.ticker(symbol):
            break
        await trading.clock.sleep(0.1)
    decision = checks.decide(signal, trading.engine.context(symbol))
    if isinstance(decision, ApprovedEntry):
        return decision
    failed = [f"{check.name} {_numbers(check)}" for check in decision.checks if not check.passed]
    raise NotAllowed(f"{symbol} refused: {'; '.join(failed)}")


def _numbers(check: CheckVerdict) -> str:
    return " ".join(f"{name}={value}" for name, value in check.numbers.items())


def entry_words(approved: ApprovedEntry) -> str:
    sizing = approved.sizing
    return (
        f"{approved.direction.value.lower()} {to_wire(approved.quantity)} at about "
        f"{to_wire(approved.reference_price)} ({sizing.notional:.2f}), {sizing.leverage}x, "
        f"risk {sizing.risk:.2f}"
    )
