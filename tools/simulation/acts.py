"""The hands that do what a script says (floor 8): when what strikes, and what it excuses.

Each strike tells the observer for how long the daemon cannot know or act as it should. `fired`
counts what really took effect: a rule that never met a request is no fault.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from core.ids import parse_client_id
from core.paper.faults import Delivery, EventFault, FillFault, RestFault
from core.simulation.calm import BIRTH_S, PAUSE_S, RECONCILE_S, REPEAT_S, REQUEST_S
from core.simulation.memory_network import REST
from core.simulation.observer import Observer
from core.simulation.schedule import FaultKind, Script, Strike
from core.simulation.wire_judge import WireJudge
from tools.simulation.rules import Rule, rule_of
from tools.simulation.world import World

_LOST_EVENT_S = RECONCILE_S + REPEAT_S + 1.0
"""Only the next reconcile can find what was never told, and it believes its second look."""
_BLIND_S = 10.0
"""A fault that denies what exists deceives the question after the next one too."""
_NEW_KEY = "POST /fapi/v1/listenKey"
_KEY_EXPIRED = "listenKeyExpired"
_WHOLE_RUN_S = 1e9


@dataclass(frozen=True, slots=True)
class _Planned:
    """A rule in the exchange's plan and what it stands for."""

    kind: FaultKind
    rule: Rule
    calm_s: float


class Hands:
    """Carries out strikes on a world, with the acts of `tools.simulation.act_*`."""

    def __init__(
        self,
        world: World,
        observer: Observer,
        wire: WireJudge,
        script: Script,
        acts: "dict[FaultKind, Callable[[Hands, Strike], None]]",
    ) -> None:
        self.world = world
        self.observer = observer
        self.wire = wire
        self.script = script
        self._acts = acts
        self._rules: list[_Planned] = []
        self.fired: Counter[FaultKind] = Counter()
        self.healed = False
        self.reborn = False
        """The daemon is being ended and begun again."""
        self.forbidden = False
        """The operator has stopped entries for a spell."""
        self.key_dead_until = 0.0
        """Till then the exchange refuses the key, and a daemon that starts says so and ends."""
        self.away: dict[str, Callable[[], None]] = {}
        """What somebody has changed by hand and how it is put back, by name."""
        self._deaf: int | None = None
        self.mixed = world.chance.stream("acts")
        for name in world.network.links:
            self.normal(name)
        self._listen()

    def _listen(self) -> None:
        """Learn of every rule that takes effect, at the moment it does."""
        plan = self.world.paper.faults
        ask_request, ask_trigger = plan.for_request, plan.for_trigger
        ask_event, ask_fill = plan.for_event, plan.for_fill

        def request(route: str, *about: object) -> RestFault | None:
            rule: RestFault | None = ask_request(route, *about)  # type: ignore[arg-type]  # passed on as it came
            if rule is not None:
                self._struck(rule, route)
            elif route == _NEW_KEY:
                self._hears_again()
            return rule

        def event(name: str) -> Delivery:
            before = plan.fired
            rules = list(plan.events)
            delivery = ask_event(name)
            if plan.fired != before:
                rule = next(row for row in rules if row.event in (name, "*"))
                self._struck(rule, name)
                if name == _KEY_EXPIRED and not delivery.copies:
                    self._goes_deaf()
            return delivery

        def trigger(symbol: str) -> str:
            rules = list(plan.triggers)
            reason = ask_trigger(symbol)
            if reason:
                self._struck(rules[0], symbol)
            return reason

        def fill(symbol: str) -> Decimal:
            rules = list(plan.fills)
            share = ask_fill(symbol)
            if share < 1:
                self._struck(rules[0], symbol)
            return share

        matcher = self.world.paper.exchange.matcher
        for owner, attribute, value in (
            (plan, "for_request", request),
            (plan, "for_event", event),
            (plan, "for_trigger", trigger),
            (matcher, "share", fill),
        ):
            setattr(owner, attribute, value)

    def _goes_deaf(self) -> None:
        """The news that the key is dead was lost: nothing is told until a new one is asked for."""
        if self._deaf is None:
            self._deaf = self.observer.disturb(_WHOLE_RUN_S)

    def _hears_again(self) -> None:
        if self._deaf is not None:
            self.observer.calm.end(self._deaf, self.world.loop.time() + BIRTH_S)
            self._deaf = None

    def _struck(self, rule: Rule, where: str) -> None:
        known = next((row for row in self._rules if row.rule is rule), None)
        if known is not None:
            self.count(known.kind, where)
            self.observer.disturb(max(known.calm_s, self._pause_s()))
            if known.kind is FaultKind.QUERY_LAG:
                self.observer.blind(_BLIND_S)

    def _pause_s(self) -> float:
        """Pauses between tries are short unless something has gone wrong before."""
        now = self.world.loop.time()
        return REPEAT_S if self.observer.calm.is_whole(now - RECONCILE_S, now) else PAUSE_S

    def count(self, kind: FaultKind, detail: str) -> None:
        """A fault has taken effect."""
        self.fired[kind] += 1
        self.world.tell("fault", f"{kind} {detail}")

    # --- strikes ---------------------------------------------------------------------------------

    async def play(self) -> None:
        """All strikes at their times, then the healing."""
        for strike in self.script.strikes:
            await self._until(strike.at)
            self._strike(strike)
        await self._until(self.script.heal_at)
        self.heal()

    async def _until(self, at: float) -> None:
        await self.world.clock.sleep(at - self.world.loop.time())

    def _strike(self, strike: Strike) -> None:
        rule = rule_of(strike)
        if rule is not None:
            self._plan(strike.kind, rule)
        else:
            self._acts[strike.kind](self, strike)

    def _plan(self, kind: FaultKind, rule: Rule) -> None:
        plan = self.world.paper.faults
        calm = REPEAT_S
        if isinstance(rule, RestFault):
            plan.rest.append(rule)
        elif isinstance(rule, EventFault):
            plan.events.append(rule)
            calm = rule.delay_ms / 1_000 + 1.0 if rule.copies else _LOST_EVENT_S
        elif isinstance(rule, FillFault):
            plan.fills.append(rule)
        else:
            plan.triggers.append(rule)
        self._rules.append(_Planned(kind, rule, calm))

    def heal(self) -> None:
        """Every fault ends now."""
        world = self.world
        self.healed = True
        world.paper.faults.clear()
        world.paper.limits.ban(0)
        world.tell("fault", "all faults end")
        for name in world.network.links:
            self.normal(name)
        for undo in list(self.away.values()):
            undo()
        self.away.clear()
        for order in world.paper.open_orders():
            if parse_client_id(order.spec.client_id) is None:
                params = {"symbol": order.spec.symbol, "orderId": str(order.order_id)}
                world.by_hand("manual", {"op": "cancel", "params": params})
        self.observer.disturb(REQUEST_S + BIRTH_S)

    # --- for the acts ----------------------------------------------------------------------------

    def normal(self, name: str) -> None:
        """Put a link back to what the script says of it."""
        link = self.world.network.link(name)
        link.latency_s = self.script.latency_ms / 1_000
        link.jitter_s = self.script.jitter_ms / 1_000
        link.spike_chance = 0.0
        link.refuse = link.unanswered = False

    def disturb_link(self, name: str, seconds: float) -> None:
        """A link's trouble hides the world; the REST link's also keeps requests from arriving."""
        self.observer.disturb(seconds, reach=name != REST)

    def pick(self, names: tuple[str, ...]) -> str:
        return names[self.mixed.randrange(len(names))]

    def held(self, draw: float) -> str | None:
        """A symbol in which the daemon holds a position."""
        held = [row.symbol for row in self.world.paper.positions()]
        mine = [symbol for symbol in held if symbol not in self.wire.strangers]
        return mine[int(draw * len(mine))] if mine else None

    def later(self, seconds: float, then: Callable[[], None]) -> None:
        """Undo a condition after a while."""

        async def wait() -> None:
            await self.world.clock.sleep(seconds)
            then()

        self.world.supervisor.spawn("undo", wait)

    def by_hand(self, op: str, **params: str) -> None:
        """What the account's owner does elsewhere."""
        self.world.by_hand("manual", {"op": op, "params": params})
