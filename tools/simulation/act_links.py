"""Acts on the links between daemon and exchange, and on the daemon's process (floor 8)."""

from collections.abc import Callable

from core.exchange.websocket import BACKOFF_CAP_S
from core.simulation.calm import BIRTH_S, HEARTBEAT_S, REPEAT_S, REQUEST_S
from core.simulation.memory_network import REST
from core.simulation.schedule import FaultKind, Strike
from tools.simulation.acts import Hands

_SPIKE_S = 12.0
_WHOLE_RUN_S = 1e9


def _lasts(strike: Strike, drawn: float) -> float:
    """Seconds a fault lasts: what its strike asks for, or what was drawn."""
    return drawn if strike.seconds is None else strike.seconds


def slow(hands: Hands, strike: Strike) -> None:
    name = hands.pick(hands.world.network.links)
    seconds = _lasts(strike, 20 + 100 * strike.draw)
    link = hands.world.network.link(name)
    link.spike_chance, link.spike_s = 0.05 + 0.3 * strike.draw, _SPIKE_S
    hands.count(FaultKind.SLOW, f"{name} for {seconds:.0f} s")
    hands.disturb_link(name, seconds + _SPIKE_S + REPEAT_S)
    hands.later(seconds, lambda: hands.normal(name))


def reset(hands: Hands, strike: Strike) -> None:
    name = REST if strike.draw < 0.5 else hands.pick(hands.world.network.links)
    count = hands.world.network.reset(name)
    hands.count(FaultKind.RESET, f"{name}, {count} connections")
    hands.disturb_link(name, REPEAT_S if name == REST else BIRTH_S)


def user_down(hands: Hands, strike: Strike) -> None:
    _cut(hands, "private", _lasts(strike, 2 + 60 * strike.draw**2), FaultKind.USER_DOWN)


def _cut(hands: Hands, name: str, seconds: float, kind: FaultKind) -> None:
    link = hands.world.network.link(name)
    if hands.mixed.random() < 0.5:
        link.refuse = True
    else:
        link.unanswered = True
    hands.world.network.reset(name)
    hands.count(kind, f"{name} for {seconds:.0f} s")
    hands.disturb_link(name, seconds + _return_s(name, seconds))
    hands.later(seconds, lambda: hands.normal(name))


def _return_s(name: str, seconds: float) -> float:
    """Until the daemon is back on a link: REST is asked again at once, streams after a pause that
    has grown with the outage."""
    return REQUEST_S + REPEAT_S if name == REST else min(BACKOFF_CAP_S, seconds) + BIRTH_S


def half_open(hands: Hands, strike: Strike) -> None:
    name = hands.pick(hands.world.network.links)
    count = hands.world.network.half_open(name)
    hands.count(FaultKind.HALF_OPEN, f"{name}, {count} connections")
    found = REQUEST_S if name == REST else HEARTBEAT_S
    hands.disturb_link(name, found + BIRTH_S)


def swizzle(hands: Hands, strike: Strike) -> None:
    names = list(hands.world.network.links)
    hands.mixed.shuffle(names)
    for number, name in enumerate(names):
        _cut(hands, name, (number + 1) * (2 + 12 * strike.draw), FaultKind.SWIZZLE)


def maintain(hands: Hands, strike: Strike) -> None:
    """The exchange is away: nothing answers, every stream is closed."""
    seconds = _lasts(strike, 30 + 90 * strike.draw)
    for name in hands.world.network.links:
        hands.world.network.link(name).refuse = True
        hands.later(seconds, lambda name=name: hands.normal(name))  # type: ignore[misc] # bound now
    hands.world.network.reset()
    hands.count(FaultKind.MAINTENANCE, f"for {seconds:.0f} s")
    hands.disturb_link(REST, seconds + BACKOFF_CAP_S + BIRTH_S)


# --- the process ---------------------------------------------------------------------------------


def kill(hands: Hands, strike: Strike) -> None:
    _reborn(hands, strike, FaultKind.KILL)


def stop(hands: Hands, strike: Strike) -> None:
    _reborn(hands, strike, FaultKind.STOP)


def _reborn(hands: Hands, strike: Strike, kind: FaultKind) -> None:
    """End the life and begin the next a little later, without calm in between."""
    world, observer = hands.world, hands.observer
    if world.life is None or hands.reborn:
        return
    hands.count(kind, world.life.name)
    hands.reborn = True
    down = 0.5 + 10 * strike.draw**2
    absence, silence = observer.disturb(_WHOLE_RUN_S), observer.reach.disturb(0.0, _WHOLE_RUN_S)

    async def cycle() -> None:
        await (world.stop() if kind is FaultKind.STOP else world.kill())
        await world.clock.sleep(down)
        world.birth()
        back = world.loop.time() + BIRTH_S
        observer.calm.end(absence, back)
        observer.reach.end(silence, back)
        hands.reborn = False

    world.supervisor.spawn("reborn", cycle)


def step_clock(hands: Hands, strike: Strike) -> None:
    seconds = (strike.draw - 0.5) * 60
    hands.world.machine.shift(seconds)
    hands.world.clock_steps.append((hands.world.loop.time(), seconds))
    hands.count(FaultKind.CLOCK_STEP, f"{seconds:+.1f} s")
    hands.observer.disturb(REPEAT_S)


def stall(hands: Hands, strike: Strike) -> None:
    seconds = 0.3 + 5 * strike.draw
    hands.count(FaultKind.STALL, f"{seconds:.1f} s")
    hands.observer.disturb(seconds + REPEAT_S, reach=False)
    hands.world.loop.stall(seconds)


ACTS: dict[FaultKind, Callable[[Hands, Strike], None]] = {
    FaultKind.SLOW: slow,
    FaultKind.RESET: reset,
    FaultKind.USER_DOWN: user_down,
    FaultKind.HALF_OPEN: half_open,
    FaultKind.SWIZZLE: swizzle,
    FaultKind.MAINTENANCE: maintain,
    FaultKind.KILL: kill,
    FaultKind.STOP: stop,
    FaultKind.CLOCK_STEP: step_clock,
    FaultKind.STALL: stall,
}
