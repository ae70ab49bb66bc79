"""What a run stands on (floor 7): the one argument by which a simulation takes the place of the
machine. The parts of the daemon do not know which it is.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.exchange.gateway import ConnectorFactory


def machine_free_space(path: Path) -> int:
    """Bytes this user may still write where `path` is. Raises OSError."""
    return shutil.disk_usage(path).free


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`inline` runs SQL on the loop (virtual time), `connector` replaces TCP to the exchange and
    `phone` TCP to Telegram and Slack, `seed` the system's chance; None leaves the machine's own.
    Without `signals` the process's stop signals are not the daemon's: they belong to whoever runs
    it. `free_space` tells the free bytes of a disk."""

    inline: bool = False
    connector: ConnectorFactory | None = None
    phone: ConnectorFactory | None = None
    seed: int | None = None
    signals: bool = True
    free_space: Callable[[Path], int] = machine_free_space


MACHINE = Surroundings()
