"""The application: one process, wired, started, stopped (floor 7).

`run_daemon` is what `main.py` calls: it takes the data folder, chooses the kind of time, runs the
`Application` on a loop and turns what went wrong into an exit code and one line.

Keeps INV-05 (no entry before the books equal the exchange's), INV-15 (one master per folder) and
the order of shutdown: no new risk, settle what is in flight, close or leave protected, then stop
streams, client, records.
"""

import asyncio
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal

from core.assembly.build_card import build_card
from core.assembly.connect import open_trading
from core.assembly.exit_codes import ExitCode
from core.assembly.memory import Memory, open_log, open_memory, secrets_of
from core.assembly.operator import OperatorDesk
from core.assembly.phone import Phone, open_phone
from core.assembly.prices import PriceSource, choose_prices
from core.assembly.settings import LiveSettings
from core.assembly.surroundings import MACHINE, Surroundings
from core.assembly.trading import Trading
from core.assembly.venue import VenueAccess, open_venue
from core.assembly.watchers import monitor_once, start_watchers
from core.config import TradingConfig
from core.domain.enums import ExitReason, PaperFeed, Severity, Venue
from core.domain.errors import (
    AccountError,
    BotError,
    ConfigError,
    InstanceLocked,
    VenueError,
)
from core.domain.facts import Alert
from core.domain.money import ZERO
from core.domain.ports import Clock
from core.kernel.clock import LiveClock, SimulatedClock, stopwatch
from core.kernel.core_dumps import forbid_core_dumps
from core.kernel.dispatcher import Dispatcher
from core.kernel.instance_lock import InstanceLock
from core.kernel.lifecycle import Stage, StageOutcome, StageReport, run_stages
from core.kernel.loops import live_loop_factory, run
from core.kernel.redaction import Redactor
from core.kernel.signals import StopSignals
from core.kernel.supervisor import Supervisor
from core.kernel.terminal import print_out
from core.observe.audit_trail import AuditTrail
from core.observe.narrator import Narrator
from core.observe.summary import AuditState, Closing, Summary
from core.simulation.virtual_loop import aiohttp_on_virtual_time, virtual_loop_factory
from core.storage.audit_verify import find_segments, verify
from core.strategy_manager import require_strategies

GIVE_UP_S = 30.0
SETTLEMENTS = ("FUNDING_FEE", "INSURANCE_CLEAR")
"""Income (Binance's incomeType) that changes a wallet without a fill or a transfer."""
_CLOSING = "positions"
MARK_EVERY_S = 600.0
"""How often invented prices are called so again, seconds of the run's own time."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`once`: one complete pass, then stop. `check`: validate, show, stop."""

    once: bool = False
    check: bool = False

    @property
    def give_up_s(self) -> float | None:
        return GIVE_UP_S if self.once or self.check else None


def run_daemon(config: TradingConfig, options: RunOptions) -> ExitCode:
    """Run until stopped. Raises ConfigError; every other failure becomes an exit code."""
    forbid_core_dumps()
    try:
        with nullcontext() if options.check else InstanceLock(config.data_dir):
            source = choose_prices(config) if config.venue is Venue.PAPER else None
            virtual = source is not None and source.epoch_ms is not None
            speed = source.speed if source is not None else None
            factory = virtual_loop_factory(speed, outside=True) if virtual else live_loop_factory()
            return run(_main(config, options, source), loop_factory=factory)
    except InstanceLocked as error:
        return _end(ExitCode.LOCKED, error)
    except AccountError as error:
        return _end(ExitCode.ACCOUNT, error)
    except ConfigError:
        raise
    except BotError as error:
        return _end(ExitCode.FATAL, error)


def _end(code: ExitCode, error: BotError) -> ExitCode:
    sys.stderr.write(f"{error}\n")
    return code


async def _main(config: TradingConfig, options: RunOptions, source: PriceSource | None) -> ExitCode:
    loop = asyncio.get_running_loop()
    if source is None or source.epoch_ms is None:
        app = Application(config, options, source, LiveClock())
        app.guard_process()
        return await app.run()
    with aiohttp_on_virtual_time(loop):
        clock = SimulatedClock(source.epoch_ms, loop)
        app = Application(config, options, source, clock, Surroundings(inline=True))
        app.guard_process()
        return await app.run()


class Application:
    """One run of the daemon. `run` returns the exit code."""

    def __init__(
        self,
        config: TradingConfig,
        options: RunOptions,
        source: PriceSource | None,
        clock: Clock,
        surroundings: Surroundings = MACHINE,
    ) -> None:
        self._config = config
        self._options = options
        self._source = source
        self._clock = clock
        self._surroundings = surroundings
        self._settings = LiveSettings(config, clock)
        self._redactor = Redactor(secrets_of(config))
        self._log = open_log(config, clock, self._redactor)
        self._supervisor = Supervisor(clock, self._task_failed)
        """Owner of what outlives trading: signals, paper exchange, journal."""
        self._workers = Supervisor(clock, self._task_failed)
        self.operator: OperatorDesk | None = None
        """Set once the parts are connected."""
        self._phone: Phone | None = None
        self.ready = False
        self._dispatcher = Dispatcher(self._observer_failed)
        self._summary = Summary(config.resolved_quote_coin)
        self._stop_reason = ""
        self._stopping = asyncio.Event()
        self._began_ms = clock.now_ms()
        self._began_real = stopwatch()
        self._unclean: list[str] = []
        self._closing: Closing | None = None
        self._ending: str | None = None

    # --- run -------------------------------------------------------------------------------------

    def guard_process(self) -> None:
        """What would end a thread or the process is logged without secrets, until the process
        ends. For a process that is this run and nothing else."""
        self._log.guard_process()

    async def run(self) -> ExitCode:
        signals = StopSignals(asyncio.get_running_loop(), self._force)
        if self._surroundings.signals:
            signals.install()
            self._supervisor.spawn("signals", lambda: self._wait_signal(signals))
        try:
            return await self._run()
        except BotError:
            raise  # an operator's matter: one line and an exit code
        except Exception as error:  # noqa: BLE001 - the last border; told in full, secrets redacted
            self._log.log_event("process", "CRITICAL", "unexpected error", exc_info=error)
            return ExitCode.FATAL
        finally:
            signals.uninstall()
            await self._supervisor.close(2.0)
            self._log.close()
            if self._ending is not None:
                print_out(self._ending)

    async def _run(self) -> ExitCode:
        for line in self._config.warnings:
            self._say("config", "WARNING", line)
        require_strategies(self._config.strategies)
        access = await open_venue(
            self._config, self._source, self._clock, self._supervisor, self._say
        )
        self._redactor.register(access.credentials.api_key)
        self._redactor.register(access.credentials.secret)
        memory = await open_memory(
            self._config,
            self._clock,
            self._log,
            self._redactor,
            inline=self._surroundings.inline,
        )
        try:
            self._show_card(access, memory)
            return await self._trade(access, memory)
        finally:
            if access.paper is not None:
                await access.paper.stop()
            await memory.close()
            self._finish_summary(access, memory)

    def _show_card(self, access: VenueAccess, memory: Memory) -> None:
        card = build_card(self._config, access.feed, access.endpoints.rest)
        for line in card.text().splitlines():
            self._say("start", "INFO", line)
        for note in self._source.notes if self._source is not None else ():
            self._say("prices", "WARNING", note)
        memory.note(card.record())

    async def _trade(self, access: VenueAccess, memory: Memory) -> ExitCode:
        self._listen(memory)
        trading = open_trading(
            self._settings,
            access,
            memory,
            surroundings=self._surroundings,
            clock=self._clock,
            supervisor=self._workers,
            dispatcher=self._dispatcher,
        )
        self.operator = OperatorDesk(trading, self._settings, self._dispatcher, self._clock)
        self._supervisor.spawn("journal", memory.journal.run)
        start_watchers(self._config, memory, trading.recorder, self._clock, self._workers)
        started = False
        try:
            self._phone = self._open_phone(trading, self.operator)
            if self._phone is not None:
                await self._phone.start()
            if memory.mended:
                self._alarm("storage:rebuilt", memory.mended)
            stop = self._supervisor.spawn("start", lambda: self._start(trading))
            await self._first_of(stop)
            started = self.ready = trading.ready
            if trading.failure is not None:
                raise trading.failure
            if self._options.check:
                self._say("check", "INFO", "configuration, connection and permissions are fine")
                return ExitCode.OK
            if started:
                await self._work(trading)
        finally:
            await self._shut_down(trading, memory, started=started)
        return ExitCode.FATAL if self._unclean else ExitCode.OK

    async def _first_of(self, task: "asyncio.Task[None]") -> None:
        """Return when `task` is done or a stop was asked for; a stop cancels it."""
        while not task.done() and not self._stopping.is_set():
            await self._clock.sleep(0.05)
        if not task.done():
            task.cancel()

    async def _start(self, trading: Trading) -> None:
        try:
            await trading.connect(self._options.give_up_s)
            self._summary.wallet_read(trading.client.exchange_now_ms())
            if not self._options.check:
                await trading.begin(self._options.give_up_s)
        except BotError as error:
            trading.failure = error

    async def _work(self, trading: Trading) -> None:
        if self._source is not None and self._source.kind is PaperFeed.SYNTHETIC:
            self._supervisor.spawn("synthetic mark", self._repeat_mark)
        if trading.access.paper is not None:
            paper = trading.access.paper
            self._supervisor.spawn("replay end", lambda: self._wait_end(paper.finished))
        if self._options.once:
            await trading.engine.scan_and_trade()
            await trading.orders.settle(10.0)
            await trading.orders.reconcile("once")
            self.request_stop("one pass done")
            return
        self._workers.spawn("engine", trading.engine.run)
        await self._stopping.wait()

    def _open_phone(self, trading: Trading, operator: OperatorDesk) -> Phone | None:
        """The operator's bot, for a run that lasts. Before the exchange is asked for anything, so
        that a start that waits is told too. Raises ConfigError."""
        if self._options.once or self._options.check:
            return None
        return open_phone(
            self._settings,
            operator,
            trading,
            self._source,
            surroundings=self._surroundings,
            clock=self._clock,
            supervisor=self._workers,
            dispatcher=self._dispatcher,
            log=self._say,
            redactor=self._redactor,
        )

    # --- stop ------------------------------------------------------------------------------------

    def request_stop(self, reason: str) -> None:
        """Begin an orderly stop; the first reason is the one that is told."""
        if not self._stop_reason:
            self._stop_reason = reason
        self._stopping.set()

    async def _wait_signal(self, signals: StopSignals) -> None:
        await signals.stop.wait()
        self._say("stop", "WARNING", f"{signals.received[0]}: stopping; once more forces it")
        self.request_stop(f"signal {signals.received[0]}")

    async def _wait_end(self, finished: asyncio.Event) -> None:
        await finished.wait()
        self.request_stop("the recording has ended")

    def _force(self, name: str) -> None:
        """Second signal: out at once. Positions stay protected by their stops on the exchange."""
        self._log.log_event("stop", "CRITICAL", f"{name} again: forced, nothing is waited for")
        self._log.close()
        os._exit(ExitCode.FATAL)

    async def _shut_down(self, trading: Trading, memory: Memory, *, started: bool) -> None:
        trading.engine.stop()
        trading.orders.stop_entries()
        total = self._config.shutdown_timeout
        close = started and self._config.close_positions_on_shutdown
        stages = [
            Stage("settle", lambda: trading.orders.settle(total * 0.15), total * 0.15),
            Stage(_CLOSING, lambda: self._leave(trading, close=close), total * 0.4),
            Stage("orphans", trading.sweep, total * 0.1),
            Stage("telegram", self._hang_up, total * 0.2),
            Stage("summary", lambda: self._read_end(trading, started=started), total * 0.1),
            Stage("monitor", lambda: self._last_look(memory, started=started), total * 0.05),
            Stage("streams", trading.close_streams, total * 0.05),
            Stage("workers", lambda: self._workers.close(total * 0.05), total * 0.05),
            Stage("client", trading.client.close, total * 0.1),
        ]
        await run_stages(stages, total_s=total, clock=self._clock, report=self._stage_ended)
        memory.note({"action": "stop", "reason": self._stop_reason or "start failed"})

    async def _hang_up(self) -> None:
        if self._phone is not None:
            await self._phone.stop(self._stop_reason)

    async def _leave(self, trading: Trading, *, close: bool) -> None:
        if not close:
            for view in trading.orders.get_active_positions():
                self._say("stop", "INFO", f"{view.symbol} left protected by its stop")
            return
        budget = self._config.shutdown_timeout * 0.35
        for report in await trading.orders.close_all(ExitReason.SHUTDOWN, budget):
            if not report.closed:
                self._say("stop", "CRITICAL", f"{report.symbol} {report.detail}")
                self._unclean.append(report.symbol)

    def _stage_ended(self, report: StageReport) -> None:
        if report.outcome is StageOutcome.DONE:
            return
        detail = f": {report.error}" if report.error is not None else ""
        self._say("stop", "ERROR", f"stage {report.name} {report.outcome}{detail}")
        if report.name == _CLOSING:
            self._unclean.append(report.name)  # what is left has not even been reported

    async def _read_end(self, trading: Trading, *, started: bool) -> None:
        """What the exchange says at the end, for the summary."""
        if not started:
            return
        try:
            wallet = {b.asset: b.wallet for b in await trading.client.get_balances()}
            positions = len(await trading.client.get_positions())
            orders = len(await trading.client.get_open_orders())
            settled = await self._settled(trading)
        except VenueError as error:
            self._say("stop", "ERROR", f"the exchange could not be read at the end: {error}")
            return
        self._closing = Closing(
            wallet_start=trading.wallet_start,
            wallet_end=wallet.get(self._config.resolved_quote_coin, ZERO),
            settled=settled,
            open_positions=positions,
            open_orders=orders,
            simulated_ms=self._clock.now_ms() - self._began_ms,
            real_seconds=stopwatch() - self._began_real,
            reason=self._stop_reason,
        )

    async def _settled(self, trading: Trading) -> Decimal:
        """Funding and clearance fees since the start wallet was read. Raises VenueError."""
        since_ms, quote = self._summary.wallet_at_ms, self._config.resolved_quote_coin
        total = ZERO
        for kind in SETTLEMENTS:
            rows = await trading.client.get_income(kind=kind, start_ms=since_ms)
            total += sum((row.amount for row in rows if row.asset == quote), ZERO)
        return total

    async def _last_look(self, memory: Memory, *, started: bool) -> None:
        if started:
            await monitor_once(self._config, memory, self._clock)

    def _finish_summary(self, access: VenueAccess, memory: Memory) -> None:
        """Everything is written: read the audit chain as an outsider and make the last screen."""
        if self._closing is None:
            return
        records, head = memory.audit.head
        files, whole = find_segments([memory.audit.path])
        bad = verify(files, whole=whole).bad
        verdict = "chain verifies" if bad is None else f"BROKEN at record {bad.seq}: {bad.why}"
        audit = AuditState(records=records, head=head, verdict=verdict)
        title = f"{self._config.venue.value}, {access.feed}"
        self._ending = self._summary.render(self._closing, audit, title)
        self._summary.write_json(
            self._config.logs_dir / "last_run.json", self._closing, audit, title
        )

    # --- telling ---------------------------------------------------------------------------------

    def _listen(self, memory: Memory) -> None:
        Narrator(self._say, self._config.resolved_quote_coin).listen(self._dispatcher)
        self._summary.listen(self._dispatcher)
        AuditTrail(
            memory.audit,
            {
                "tp_style": self._config.tp_order_style.value,
                "working_type": self._config.working_type.value,
                "risk": str(self._config.risk_per_trade_pct),
            },
        ).listen(self._dispatcher)

    async def _repeat_mark(self) -> None:
        while True:
            await self._clock.sleep(MARK_EVERY_S)
            self._say("prices", "WARNING", "SYNTHETIC PRICES: nothing here is a real market")

    def _say(self, component: str, level: str, message: str) -> None:
        self._log.log_event(component, level, message)

    def _task_failed(self, name: str, error: BaseException, again: bool) -> None:  # noqa: FBT001 - the supervisor's call form
        word = "restarted" if again else "ended"
        self._log.log_event("tasks", "ERROR", f"task {name} failed and is {word}", exc_info=error)
        self._dispatcher.publish(
            Alert(
                severity=Severity.WARNING if again else Severity.CRITICAL,
                key=f"task:{name}",
                text=f"task {name} failed and is {word}: {type(error).__name__}",
                at_ms=self._clock.now_ms(),
            )
        )

    def _alarm(self, key: str, text: str) -> None:
        self._dispatcher.publish(Alert(Severity.CRITICAL, key, text, self._clock.now_ms()))

    def _observer_failed(self, name: str, error: BaseException) -> None:
        self._log.log_event("observers", "ERROR", f"{name} failed", exc_info=error)
