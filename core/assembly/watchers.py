"""Those who only look, started and asked for their last word (floor 7): checkpoints of the audit
log, the report of each day, the monitor at the end."""

from core.assembly.memory import Memory
from core.config import TradingConfig
from core.domain.errors import StorageError
from core.domain.ports import Clock
from core.kernel.build_info import VERSION, commit
from core.kernel.supervisor import Restart, Supervisor
from core.observe.checkpoints import Checkpoints, fingerprint
from core.observe.daily import DailyReports, ReportSource
from core.observe.monitor import last_look
from core.storage.recorder import FactRecorder

_FOREVER = Restart(limit=1_000, window=3_600.0, pause=1.0)


def start_watchers(
    config: TradingConfig,
    memory: Memory,
    recorder: FactRecorder,
    clock: Clock,
    supervisor: Supervisor,
) -> None:
    """Spawn the tasks that write checkpoints and daily reports."""
    say = memory.log.log_event
    build = f"{VERSION} {commit()}"
    checkpoints = Checkpoints(
        memory.audit,
        recorder,
        clock,
        say,
        build=build,
        config=fingerprint(config.settings_public()),
    )
    reports = DailyReports(
        ReportSource(
            database=memory.database,
            venue=config.venue.value,
            quote=config.resolved_quote_coin,
            build=f"USDC Futures Bot {build}",
            start_equity=config.paper_balance,
        ),
        config.logs_dir / "reports",
        clock,
        say,
        memory.redactor,
    )
    supervisor.spawn("checkpoints", checkpoints.run, _FOREVER)
    supervisor.spawn("daily report", reports.run, _FOREVER)


async def monitor_once(config: TradingConfig, memory: Memory, clock: Clock) -> None:
    """The monitor's figures in the log at the end of a run; a failure is a line, too."""
    say = memory.log.log_event
    coin = config.resolved_quote_coin
    try:
        await last_look(memory.database, config.logs_dir, clock.now_ms(), coin, say)
    except (StorageError, OSError) as error:
        say("monitor", "ERROR", f"no last look: {error}")
