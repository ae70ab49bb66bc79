"""The configuration in force and its changes at run time (floor 7)."""

from collections.abc import Callable

from core.config import TradingConfig
from core.domain.errors import ConfigError
from core.domain.ports import AuditPort, Clock

Changed = Callable[[TradingConfig], None]


class LiveSettings:
    """Holds the present configuration; listeners hear of each new one."""

    def __init__(self, config: TradingConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._listeners: list[Changed] = []

    def on_change(self, listener: Changed) -> None:
        self._listeners.append(listener)

    def trading_enabled(self) -> bool:
        return self.config.trading_enabled

    def change(self, key: str, value: str, who: str, audit: AuditPort) -> None:
        """Put one override in force and on disk. Raises ConfigError when it is not allowed.

        A disk that refuses leaves the change in force for this run and says so.
        """
        before = self.config.settings_public().get(key, "")
        changed = self.config.with_runtime(key, value, who)
        self.config = changed
        for listener in self._listeners:
            listener(changed)
        audit.write(
            {"action": "config.changed", "key": key, "before": before, "after": value, "who": who}
        )
        try:
            changed.runtime_store().record(
                key,
                value,
                who=who,
                at_ms=self._clock.now_ms(),
                settings=changed.settings_public(),
            )
        except OSError as error:
            raise ConfigError(
                [f"{key}: in force now, but not kept across a restart ({error.strerror})"]
            ) from None
