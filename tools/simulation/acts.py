"""The hands that do what a script says (floor 8): one method per kind of fault.

Each strike tells the observer for how long the daemon cannot know or act as it should. `fired`
counts what really took effect: a rule that never met a request is no fault.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from core.assembly.operator import OperatorDesk
from core.domain.enums import OrderKind
from core.domain.money import ZERO, to_wire
from core.ids import parse_client_id
from core.paper.faults import Delivery, EventFault, RestFault
from core.paper.model import Tick
from core.paper.streams import Route
from core.simulation.memory_network import REST
from core.simulation.observer import Observer
from core.simulation.schedule import FaultKind, Script, Strike
from tools.simulation.rules import Rule, rule_of
from tools.simulation.world import World

_FIRED_CALM_S = 5.0
"""One request that goes wrong, and the second way the daemon takes then."""
_LOST_ORDER_S = 12.0
"""Until an order in doubt is proven absent: recvWindow, visibility and two denials."""
_LOST_EVENT_S = 45.0
"""Only the next reconcile, every 30 s, can find what was never told."""
_BIRTH_S = 8.0
_HEARTBEAT_S = 30.0
_HALT_S = 600.0
_IN_FLIGHT_S = 20.0
"""What was sent before a halt may arrive this much later on a slow link."""
_WHO = "simulation"
Command = Callable[[OperatorDesk], Coroutine[None, None, object]]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A rule in the exchange's plan and what it stands for."""

    kind: FaultKind
    rule: Rule
    calm_s: float


class Hands:
    """Carries out strikes on a world."""

    def __init__(self, world: World, observer: Observer, script: Script) -> None:
        self._world = world
        self._observer = observer
        self._script = script
        self._rules: list[_Planned] = []
        self.fired: Counter[FaultKind] = Counter()
        self.healed = False
        self._busy = False
        self._forbidden = False
        self._asked_s: float | None = None
        self._mixed = world.chance.stream("acts")
        for name in world.network.links:
            self._normal(name)
        self._listen()

    def _listen(self) -> None:
        """Learn of every rule that takes effect, at the moment it does."""
        plan = self._world.paper.faults
        ask_request, ask_trigger = plan.for_request, plan.for_trigger
        ask_event = plan.for_event

        def request(route: str, *about: object) -> RestFault | None:
            rule: RestFault | None = ask_request(route, *about)  # type: ignore[arg-type]  # passed on as it came
            if rule is not None:
                self._struck(rule, route)
            return rule

        def event(name: str) -> Delivery:
            before = plan.fired
            rules = list(plan.events)
            delivery = ask_event(name)
            if plan.fired != before:
                rule = next(row for row in rules if row.event in (name, "*"))
                self._struck(rule, name)
            return delivery

        def trigger(symbol: str) -> str:
            rules = list(plan.triggers)
            reason = ask_trigger(symbol)
            if reason:
                self._struck(rules[0], symbol)
            return reason

        for name, value in (
            ("for_request", request),
            ("for_event", event),
            ("for_trigger", trigger),
        ):
            setattr(plan, name, value)

    def _struck(self, rule: Rule, where: str) -> None:
        known = next((row for row in self._rules if row.rule is rule), None)
        if known is not None:
            self._count(known.kind, where)
            self._observer.disturb(known.calm_s)

    def _count(self, kind: FaultKind, detail: str) -> None:
        self.fired[kind] += 1
        self._world.tell("fault", f"{kind} {detail}")

    # --- strikes ---------------------------------------------------------------------------------

    async def play(self) -> None:
        """All strikes at their times, then the healing."""
        for strike in self._script.strikes:
            await self._until(strike.at)
            self._strike(strike)
        await self._until(self._script.heal_at)
        self.heal()

    async def _until(self, at: float) -> None:
        await self._world.clock.sleep(at - self._world.loop.time())

    def _strike(self, strike: Strike) -> None:
        self._asked_s = strike.seconds
        rule = rule_of(strike)
        if rule is not None:
            self._plan(strike.kind, rule)
            return
        act = self._acts[strike.kind]
        act(self, strike.draw)

    def _plan(self, kind: FaultKind, rule: Rule) -> None:
        plan = self._world.paper.faults
        calm = _FIRED_CALM_S
        if isinstance(rule, RestFault):
            plan.rest.append(rule)
            calm = _LOST_ORDER_S if _leaves_doubt(rule) else calm
            calm += rule.delay_ms / 1_000
        elif isinstance(rule, EventFault):
            plan.events.append(rule)
            calm = rule.delay_ms / 1_000 + 1.0 if rule.copies else _LOST_EVENT_S
        else:
            plan.triggers.append(rule)
            calm = 0.5
        self._rules.append(_Planned(kind, rule, calm))

    def heal(self) -> None:
        """Every fault ends now."""
        world = self._world
        self.healed = True
        world.paper.faults.clear()
        world.paper.limits.ban(0)
        world.tell("fault", "all faults end")
        for name in world.network.links:
            self._normal(name)
        for order in world.paper.open_orders():
            if parse_client_id(order.spec.client_id) is None:
                params = {"symbol": order.spec.symbol, "orderId": str(order.order_id)}
                world.by_hand("manual", {"op": "cancel", "params": params})
        self._observer.disturb(_BIRTH_S)

    def _normal(self, name: str) -> None:
        link = self._world.network.link(name)
        link.latency_s = self._script.latency_ms / 1_000
        link.jitter_s = self._script.jitter_ms / 1_000
        link.spike_chance = 0.0
        link.refuse = link.unanswered = False

    # --- links -----------------------------------------------------------------------------------

    def _slow(self, draw: float) -> None:
        name = self._pick(self._world.network.links)
        seconds = 20 + 100 * draw
        link = self._world.network.link(name)
        link.spike_chance, link.spike_s = 0.05 + 0.3 * draw, 12.0
        self._count(FaultKind.SLOW, f"{name} for {seconds:.0f} s")
        self._for(seconds, lambda: self._normal(name), calm=15.0)

    def _reset(self, draw: float) -> None:
        name = REST if draw < 0.5 else self._pick(self._world.network.links)
        count = self._world.network.reset(name)
        self._count(FaultKind.RESET, f"{name}, {count} connections")
        self._observer.disturb(_FIRED_CALM_S if name == REST else _BIRTH_S)

    def _user_down(self, draw: float) -> None:
        self._cut("private", 2 + 60 * draw * draw, FaultKind.USER_DOWN)

    def _lasts(self, drawn: float) -> float:
        """Seconds the fault under way lasts: what its strike asks for, or what was drawn."""
        return drawn if self._asked_s is None else self._asked_s

    def _maintain(self, draw: float) -> None:
        """The exchange is away: nothing answers, every stream is closed."""
        seconds = self._lasts(30 + 90 * draw)
        for name in self._world.network.links:
            self._world.network.link(name).refuse = True
            self._for(seconds, lambda name=name: self._normal(name), calm=_HEARTBEAT_S)  # type: ignore[misc] # bound now
        self._world.network.reset()
        self._count(FaultKind.MAINTENANCE, f"for {seconds:.0f} s")

    def _cut(self, name: str, seconds: float, kind: FaultKind) -> None:
        link = self._world.network.link(name)
        if self._mixed.random() < 0.5:
            link.refuse = True
        else:
            link.unanswered = True
        self._world.network.reset(name)
        self._count(kind, f"{name} for {seconds:.0f} s")
        self._for(seconds, lambda: self._normal(name), calm=_HEARTBEAT_S)

    def _half_open(self, draw: float) -> None:
        name = self._pick(self._world.network.links)
        count = self._world.network.half_open(name)
        self._count(FaultKind.HALF_OPEN, f"{name}, {count} connections")
        self._observer.disturb(_HEARTBEAT_S + _BIRTH_S)

    def _swizzle(self, draw: float) -> None:
        names = list(self._world.network.links)
        self._mixed.shuffle(names)
        for number, name in enumerate(names):
            self._cut(name, (number + 1) * (2 + 12 * draw), FaultKind.SWIZZLE)

    # --- exchange --------------------------------------------------------------------------------

    def _ban(self, draw: float) -> None:
        seconds = self._lasts(10 + 110 * draw)
        self._world.paper.limits.ban(round(seconds * 1_000))
        self._count(FaultKind.BANNED, f"for {seconds:.0f} s")
        self._observer.disturb(seconds + _HEARTBEAT_S)

    def _expire_key(self, draw: float) -> None:
        self._world.paper.users.expire_key()
        self._count(FaultKind.KEY_EXPIRED, "")
        self._observer.disturb(_BIRTH_S)

    def _cut_streams(self, draw: float) -> None:
        self._world.paper.hub.close_route(None)
        self._count(FaultKind.STREAMS_CUT, "")
        self._observer.disturb(_BIRTH_S)

    def _silence(self, draw: float) -> None:
        self._world.paper.hub.freeze_route(Route.MARKET)
        self._count(FaultKind.MARKET_SILENT, "")

    def _liquidate(self, draw: float) -> None:
        symbol = self._held(draw)
        if symbol is not None:
            self._count(FaultKind.LIQUIDATED, symbol)
            self._world.by_hand("action", {"action": "liquidate", "symbol": symbol})

    def _gap(self, draw: float) -> None:
        symbol = self._held(draw) or self._pick(self._script.symbols)
        market = self._world.paper.exchange.markets[symbol]
        step = Decimal(str(round((draw - 0.5) * 0.03, 4)))
        tick = market.contract.tick
        price = (market.price * (1 + step) / tick).to_integral_value() * tick
        self._count(FaultKind.PRICE_GAP, f"{symbol} {step:+}")
        now = self._world.clock.now_ms()
        self._world.paper.on_tick(Tick(symbol, now, price, ZERO, gap=True))

    # --- the owner's hand ------------------------------------------------------------------------

    def _phone_close(self, draw: float) -> None:
        symbol = self._held(draw)
        if symbol is None:
            return
        held = self._world.paper.ledger.positions[symbol].quantity
        self._count(FaultKind.PHONE_CLOSE, symbol)
        order = {"type": "MARKET", "quantity": to_wire(abs(held)), "reduceOnly": "true"}
        self._order_by_hand(symbol, "SELL" if held > 0 else "BUY", order)

    def _phone_cancel(self, draw: float) -> None:
        waiting = [
            algo.spec.order
            for algo in self._world.paper.open_algo_orders()
            if algo.spec.order.kind is OrderKind.STOP_MARKET
        ]
        if waiting:
            client_id = waiting[int(draw * len(waiting))].client_id
            self._count(FaultKind.PHONE_CANCEL, client_id)
            params = {"clientAlgoId": client_id}
            self._world.by_hand("manual", {"op": "cancel_algo", "params": params})

    def _foreign_order(self, draw: float) -> None:
        symbol = self._pick(self._script.symbols)
        market = self._world.paper.exchange.markets[symbol]
        tick, step = market.contract.tick, market.contract.step
        price = (market.price * Decimal("0.96") / tick).to_integral_value() * tick
        quantity = (Decimal(30) / price / step).to_integral_value() * step
        if quantity >= market.contract.min_qty:
            self._count(FaultKind.FOREIGN_ORDER, symbol)
            order = {"type": "LIMIT", "timeInForce": "GTC", "price": to_wire(price)}
            self._order_by_hand(symbol, "BUY", {**order, "quantity": to_wire(quantity)})

    def _order_by_hand(self, symbol: str, side: str, order: dict[str, str]) -> None:
        params = {"symbol": symbol, "side": side, **order}
        self._world.by_hand("manual", {"op": "order", "params": params})

    # --- the process -----------------------------------------------------------------------------

    def _kill(self, draw: float) -> None:
        if self._world.life is not None and not self._busy:
            self._count(FaultKind.KILL, self._world.life.name)
            self._reborn(draw, orderly=False)

    def _stop(self, draw: float) -> None:
        if self._world.life is not None and not self._busy:
            self._count(FaultKind.STOP, self._world.life.name)
            self._reborn(draw, orderly=True)

    def _reborn(self, draw: float, *, orderly: bool) -> None:
        """End the life and begin the next a little later, without calm in between."""
        self._busy = True
        down = 0.5 + 10 * draw * draw
        absence = self._observer.disturb(1e9)

        async def cycle() -> None:
            await (self._world.stop() if orderly else self._world.kill())
            await self._world.clock.sleep(down)
            self._world.birth()
            self._observer.calm.end(absence, self._world.loop.time() + _BIRTH_S)
            self._busy = False

        self._world.supervisor.spawn("reborn", cycle)

    def _step_clock(self, draw: float) -> None:
        seconds = (draw - 0.5) * 60
        self._world.machine.shift(seconds)
        self._count(FaultKind.CLOCK_STEP, f"{seconds:+.1f} s")
        self._observer.disturb(_HEARTBEAT_S)

    def _stall(self, draw: float) -> None:
        seconds = 0.3 + 5 * draw
        self._count(FaultKind.STALL, f"{seconds:.1f} s")
        self._observer.disturb(seconds + _FIRED_CALM_S)
        self._world.loop.stall(seconds)

    # --- the operator ----------------------------------------------------------------------------

    def _pause(self, draw: float) -> None:
        self._forbid(FaultKind.PAUSE, draw, lambda desk: desk.pause(_WHO), lambda d: d.resume(_WHO))

    def _panic(self, draw: float) -> None:
        self._forbid(
            FaultKind.PANIC,
            draw,
            lambda desk: desk.panic(_WHO, "rehearsal"),
            lambda desk: desk.clear_halt(_WHO, "rehearsal over"),
        )

    def _forbid(self, kind: FaultKind, draw: float, stop: Command, go: Command) -> None:
        """Stop entries by command for a while that may see kills; then allow them again."""
        if self._forbidden:
            return
        self._forbidden = True

        async def spell() -> None:
            if await self._world.command(stop):
                self._count(kind, f"for {_HALT_S * draw:.0f} s")
                self._observer.forbid(_IN_FLIGHT_S)
                await self._world.clock.sleep(_HALT_S * draw)
                self._observer.allow()
            while not await self._world.command(go):  # also when a kill came in between
                await self._world.clock.sleep(1.0)
            self._world.tell("operator", f"{kind} ends")
            self._forbidden = False

        self._world.supervisor.spawn("halt", spell)

    # --- helpers ---------------------------------------------------------------------------------

    def _pick(self, names: tuple[str, ...]) -> str:
        return names[self._mixed.randrange(len(names))]

    def _held(self, draw: float) -> str | None:
        held = self._world.paper.positions()
        return held[int(draw * len(held))].symbol if held else None

    def _for(self, seconds: float, then: Callable[[], None], *, calm: float) -> None:
        """Undo a condition after a while; nothing is expected until `calm` seconds later."""
        self._observer.disturb(seconds + calm)

        async def later() -> None:
            await self._world.clock.sleep(seconds)
            then()

        self._world.supervisor.spawn("undo", later)

    _acts: ClassVar["dict[FaultKind, Callable[[Hands, float], None]]"] = {
        FaultKind.SLOW: _slow,
        FaultKind.RESET: _reset,
        FaultKind.USER_DOWN: _user_down,
        FaultKind.HALF_OPEN: _half_open,
        FaultKind.SWIZZLE: _swizzle,
        FaultKind.MAINTENANCE: _maintain,
        FaultKind.BANNED: _ban,
        FaultKind.KEY_EXPIRED: _expire_key,
        FaultKind.STREAMS_CUT: _cut_streams,
        FaultKind.MARKET_SILENT: _silence,
        FaultKind.LIQUIDATED: _liquidate,
        FaultKind.PRICE_GAP: _gap,
        FaultKind.PHONE_CLOSE: _phone_close,
        FaultKind.PHONE_CANCEL: _phone_cancel,
        FaultKind.FOREIGN_ORDER: _foreign_order,
        FaultKind.KILL: _kill,
        FaultKind.STOP: _stop,
        FaultKind.CLOCK_STEP: _step_clock,
        FaultKind.STALL: _stall,
        FaultKind.PAUSE: _pause,
        FaultKind.PANIC: _panic,
    }


def _leaves_doubt(rule: RestFault) -> bool:
    """The daemon cannot tell from the answer whether the request had an effect."""
    return rule.drop or bool(rule.body)
