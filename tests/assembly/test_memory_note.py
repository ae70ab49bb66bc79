"""What is only told does not stop anybody when the disk fails."""

from pathlib import Path

from core.assembly.memory import open_log, open_memory
from core.config import TradingConfig
from core.kernel.clock import LiveClock
from core.kernel.disk import DISK
from core.kernel.redaction import Redactor
from core.simulation.disk import DiskFault, SimulatedDisk, Trouble


async def test_a_record_that_nothing_waits_for_may_fail(tmp_path: Path) -> None:
    folders = {"DATA_DIR": str(tmp_path / "data"), "LOGS_DIR": str(tmp_path / "logs")}
    config = TradingConfig.from_env(environ={}, overrides={"DRY_RUN": "true", **folders})
    clock, redactor = LiveClock(), Redactor()
    log = open_log(config, clock, redactor, console=False)
    on = SimulatedDisk(tmp_path)
    mark = DISK.set(on)
    memory = await open_memory(config, clock, log, redactor, inline=True)
    DISK.reset(mark)
    on.fail(DiskFault(Trouble.FULL, on.operations + 1, for_ever=True))
    memory.note({"action": "lost"})
    on.heal()
    memory.note({"action": "kept"})
    await memory.close()
    log.close()
    assert memory.audit.head[0] == 1
    (text,) = (tmp_path / "logs").glob("bot_*.log")
    assert "not recorded" in text.read_text("utf-8")
    assert "No space left" in text.read_text("utf-8")
