"""What a run stands on (floor 7): the one argument by which a simulation takes the place of the
machine. The parts of the daemon do not know which it is.
"""

from dataclasses import dataclass

from core.exchange.gateway import ConnectorFactory


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`inline` runs SQL on the loop (virtual time), `connector` replaces TCP to the exchange and
    `phone` TCP to Telegram and Slack, `seed` the system's chance; None leaves the machine's own. Without `signals` the process's stop signals are not the
    daemon's: they belong to whoever runs it."""

    inline: bool = False
    connector: ConnectorFactory | None = None
    phone: ConnectorFactory | None = None
    seed: int | None = None
    signals: bool = True


MACHINE = Surroundings()
