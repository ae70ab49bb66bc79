"""A risk guard that tests can restart, with everything it published."""

from decimal import Decimal
from pathlib import Path

from decide_builders import Watch

from core.domain.enums import ExitReason, Venue
from core.domain.facts import DaemonFact, RiskChanged
from core.risk_guard import RiskGuard, RiskLimits

D = Decimal
DAY = 86_400_000
NOON = 20_000 * DAY + DAY // 2
MINUTE = 60_000
START = D(400)
LIMITS = RiskLimits(max_sl_streak=3, sl_cooldown_minutes=60, max_positions=2)
XRP = "XRP/USDC:USDC"


class Desk:
    """A guard that can be restarted, with everything it published."""

    def __init__(
        self,
        folder: Path | None = None,
        limits: RiskLimits = LIMITS,
        venue: Venue = Venue.PAPER,
        equity: Decimal | None = START,
    ) -> None:
        self.path = folder / "runtime" / "stage_f_state.json" if folder else None
        self.watch = Watch(NOON)
        self.limits, self.venue = limits, venue
        self.facts: list[RiskChanged] = []
        self.number = 0
        self.guard = self.restart()
        if equity is not None:
            self.guard.observe(equity, D(0), 0)

    def publish(self, fact: DaemonFact) -> None:
        assert isinstance(fact, RiskChanged)
        self.facts.append(fact)

    def restart(self) -> RiskGuard:
        self.guard = RiskGuard(
            self.limits,
            clock=self.watch,
            store_path=self.path,
            venue=self.venue,
            publish=self,
        )
        return self.guard

    def close(self, net: str, reason: ExitReason = ExitReason.STOP_LOSS, symbol: str = XRP) -> None:
        self.number += 1
        self.guard.trade_closed(f"t{self.number}", symbol, D(net), reason, self.watch.at_ms)

    @property
    def allowed(self) -> bool:
        return self.guard.can_open_position()[0]

    @property
    def reason(self) -> str:
        return self.guard.can_open_position()[1]

    @property
    def words(self) -> list[str]:
        return [fact.reason for fact in self.facts]
