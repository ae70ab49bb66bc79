"""Settings of the OMS (floor 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.domain.enums import ForeignPolicy, TakeProfitStyle, WorkingType
from core.domain.intent import ProtectionPlan
from core.oms.stop_level import STAY, MoveRules
from core.oms.throttle import ThrottleLimits


@dataclass(frozen=True, slots=True)
class OmsRules:
    """Ratios are fractions, times as their names say.

    `default_plan` and `leverage` serve a position found on the exchange whose own plan is unknown.
    `tags` are what strategies are called in client ids, by name.
    """

    instance: str
    quote: str
    verify_timeout_s: float
    max_hold_ms: int
    reconcile_interval_s: float
    working_type: WorkingType
    take_profit: TakeProfitStyle
    foreign: ForeignPolicy
    default_plan: ProtectionPlan
    leverage: int
    moves: MoveRules = STAY
    throttle: ThrottleLimits = field(default_factory=ThrottleLimits)
    tags: Mapping[str, str] = field(default_factory=dict)
