"""What a symbol needs next, as pure functions of its state and the monotonic time (floor 3).

Level-triggered on purpose: each call looks at the whole state and names one step, so a restart, a
lost event or a repeated call leads to the same place. Protection is decided apart from everything
else and never waits for it (INV-01).
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.enums import ExitReason, OrderStatus, Purpose
from core.domain.instrument import Instrument
from core.domain.money import ONE, ZERO, floor_to_step, nearest_to_step
from core.domain.order import OrderRecord
from core.domain.position import Trade
from core.oms.state import SymbolState
from core.oms.stop_level import STAY, MoveRules, StopBasis, StopLevel, stop_level, tighter

WOULD_TRIGGER = -2021
MAX_STOP_TRIES = 2
RETRY_PAUSE = 1.0
FILLS_GRACE_MS = 1_000
_TRIGGER_TOLERANCE = Decimal("0.1")  # a tenth of the stop distance is not worth a second stop


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do until something changes, or until monotonic `until`."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class PlaceStop:
    """`urgent` while the position lacks a stop; otherwise another one works until this does."""

    quantity: Decimal
    trigger: Decimal
    urgent: bool
    basis: StopBasis = StopBasis.PLAN


@dataclass(frozen=True, slots=True)
class Flatten:
    quantity: Decimal
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class BeginFlatten:
    """Protection failed: leave the position, and say why."""

    reason: ExitReason
    detail: str


@dataclass(frozen=True, slots=True)
class Cancel:
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class PlaceLadder:
    legs: tuple["Leg", ...]


@dataclass(frozen=True, slots=True)
class Resolve:
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class FetchFills:
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class Finish:
    """Flat and accounted: close the episode."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One take-profit order: level from 1, trigger price, quantity."""

    level: int
    price: Decimal
    quantity: Decimal


ProtectStep = Idle | PlaceStop | Flatten | BeginFlatten
ManageStep = Idle | Cancel | PlaceLadder | Resolve | FetchFills | Finish


def plan_ladder(trade: Trade, instrument: Instrument, quantity: Decimal) -> tuple[Leg, ...]:
    """Legs of the ladder for `quantity` (positive). Legs below the minimum go to the last one."""
    legs: list[Leg] = []
    left = quantity
    count = len(trade.plan.legs)
    for number, part in enumerate(trade.plan.legs, start=1):
        factor = ONE + part.ratio * trade.direction.sign
        price = nearest_to_step(trade.entry_price * factor, instrument.tick)
        last = number == count
        size = left if last else floor_to_step(quantity * part.share, instrument.step)
        if size < instrument.min_qty or size <= ZERO:
            if last and legs:
                tail = legs.pop()
                legs.append(Leg(tail.level, tail.price, tail.quantity + size))
            continue
        legs.append(Leg(number, price, size))
        left -= size
    return tuple(legs)


def _in_place(state: SymbolState, record: OrderRecord, size: Decimal, level: StopLevel) -> bool:
    """True for a stop of the right size that is where it belongs, or nearly.

    A planned stop follows the average entry price both ways, a moved one is never loosened.
    """
    planned = record.intent.trigger_price
    if record.remaining != size or planned is None:
        return False
    slack = state.trade.entry_price * state.trade.plan.stop_ratio * _TRIGGER_TOLERANCE
    if level.basis is not StopBasis.PLAN and tighter(state.trade.direction, planned, level.price):
        return True
    return abs(planned - level.price) <= slack


def decide_protect(
    state: SymbolState, now: float, verify_timeout: float, moves: MoveRules = STAY
) -> ProtectStep:
    """The next protective step. `now` and `verify_timeout` in monotonic seconds."""
    size = abs(state.position())
    if size == ZERO:
        return Idle()
    if state.flatten_reason is not None:
        return _decide_flatten(state, size, state.flatten_reason, now)
    level = stop_level(state, moves)
    if state.coverage() < size:
        return _decide_naked(state, size, level, now, verify_timeout)
    if state.move_broken:
        return BeginFlatten(ExitReason.MOVED_STOP, "the moved stop's level is already broken")
    live = state.live_stops()
    if any(_in_place(state, record, size, level) for record in live) or state.pending_stops():
        return Idle()
    if any(record.status is not OrderStatus.LIVE for record in live):
        return Idle()  # a stop is executing; its fills will tell
    only_moved = any(record.remaining == size for record in live)
    not_before = max(state.resize_not_before, state.move_not_before if only_moved else 0.0)
    if now < not_before:
        return Idle(until=not_before)
    return PlaceStop(size, level.price, urgent=False, basis=level.basis)


def _decide_flatten(
    state: SymbolState, size: Decimal, reason: ExitReason, now: float
) -> ProtectStep:
    if any(not r.status.is_terminal for r in state.of(Purpose.FLATTEN)):
        if state.coverage() >= size:
            return Idle()  # in doubt, but covered: it is resolved before another one
        if now < state.flatten_again_at:
            return Idle(until=state.flatten_again_at)
        # Naked and without an answer: another one, which reduce-only keeps from reversing.
    if now < state.flatten_not_before:
        return Idle(until=state.flatten_not_before)
    return Flatten(size, reason)


def _decide_naked(
    state: SymbolState, size: Decimal, level: StopLevel, now: float, verify_timeout: float
) -> ProtectStep:
    naked = state.naked
    place = PlaceStop(size, level.price, urgent=True, basis=level.basis)
    if naked is None or naked.tries == 0:
        return place
    if naked.refused_code == WOULD_TRIGGER:
        planned = level.basis is StopBasis.PLAN
        reason = ExitReason.STOP_LOSS if planned else ExitReason.MOVED_STOP
        return BeginFlatten(reason, "the stop level is already broken")
    deadline = naked.since + verify_timeout
    if now >= deadline:
        return BeginFlatten(ExitReason.EMERGENCY, f"no accepted stop within {verify_timeout} s")
    pending = state.pending_stops()
    second_try = naked.since + verify_timeout / 2
    if state.rules_unread and now < second_try:
        return Idle(until=second_try)  # the same order would be refused again
    if naked.tries >= MAX_STOP_TRIES:
        if not pending:
            text = f"stop refused {naked.tries} times: {naked.refused_text}"
            return BeginFlatten(ExitReason.EMERGENCY, text)
        return Idle(until=deadline)
    covered = sum((r.remaining for r in pending), state.coverage())
    if pending and covered >= size and now < second_try:
        return Idle(until=second_try)
    return place


def decide_manage(
    state: SymbolState, now: float, now_ms: int, moves: MoveRules = STAY
) -> ManageStep:
    """The next step that is not protection: doubts, fills, siblings, ladder, end."""
    for record in state.orders.values():
        if record.status is OrderStatus.UNKNOWN:
            return Resolve(record)
    late = _late_fills(state, now, now_ms)
    if late is not None:
        return late
    size = abs(state.position())
    if size == ZERO:
        return _decide_flat(state)
    surplus = _surplus_stop(state, size, moves)
    if surplus is not None:
        return Cancel(surplus)
    if state.flatten_reason is None and _wants_ladder(state, size):
        return PlaceLadder(missing_legs(state, size))
    return Idle()


def _late_fills(state: SymbolState, now: float, now_ms: int) -> ManageStep | None:
    wait: float | None = None
    for record in state.orders.values():
        if not record.lacks_fills or not record.order_id:
            continue
        due = max(now + (record.updated_ms + FILLS_GRACE_MS - now_ms) / 1_000, 0.0)
        due = max(due, state.fills_not_before)
        if now >= due:
            return FetchFills(record)
        wait = due if wait is None else min(wait, due)
    return None if wait is None or state.position() != ZERO else Idle(until=wait)


def _decide_flat(state: SymbolState) -> ManageStep:
    if not state.entry_finished:
        return Idle()
    for record in state.open_orders():
        if record.status.is_resting and not record.cancel_requested:
            return Cancel(record)
    if state.open_orders() or any(r.lacks_fills for r in state.orders.values()):
        return Idle()
    return Finish()


def _surplus_stop(state: SymbolState, size: Decimal, moves: MoveRules) -> OrderRecord | None:
    """An accepted stop that can go because the others still cover the position.

    Kept is the newest one that is where it belongs; while the wanted level runs ahead of what the
    exchange has, the tightest of the right size.
    """
    live = state.live_stops()
    if len(live) < 2:
        return None
    level = stop_level(state, moves)
    keep = next((r for r in reversed(live) if _in_place(state, r, size, level)), None)
    if keep is None and level.basis is not StopBasis.PLAN:
        keep = _tightest(state, size)
    if keep is None:
        return None
    for record in live:
        movable = record.status is OrderStatus.LIVE and not record.cancel_requested
        if record is not keep and movable and state.coverage() - record.remaining >= size:
            return record
    return None


def _tightest(state: SymbolState, size: Decimal) -> OrderRecord | None:
    best: OrderRecord | None = None
    for record in state.live_stops():
        price = record.intent.trigger_price
        if record.remaining != size or price is None:
            continue
        if best is None or tighter(
            state.trade.direction, price, best.intent.trigger_price or price
        ):
            best = record
    return best


def _wants_ladder(state: SymbolState, size: Decimal) -> bool:
    return not state.ladder_done and state.entry_finished and state.coverage() >= size


def missing_legs(state: SymbolState, size: Decimal) -> tuple[Leg, ...]:
    """Legs of the ladder that were never placed: all of them, or what a crash kept from it."""
    placed = {record.intent.level for record in state.of(Purpose.TAKE_PROFIT)}
    entered = sum((record.executed for record in state.of(Purpose.ENTRY)), ZERO)
    whole = entered if placed and entered else size
    legs = plan_ladder(state.trade, state.instrument, whole)
    return tuple(leg for leg in legs if leg.level not in placed)
