"""Where the stop of a position belongs (floor 3). Pure.

The plan puts it at a distance from the entry. Two options move it later, only ever nearer to the
price: to break-even once the first target is filled, and behind the best price seen. Whatever was
accepted as a moved stop stays the least that is wanted, so a restart, which forgets the best price,
loosens nothing: the level is in the journal, and on the exchange.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Self

from core.config import TradingConfig
from core.domain.enums import Direction, OrderStatus, Purpose
from core.domain.instrument import Instrument
from core.domain.money import ONE, ZERO, round_to_tick_away
from core.domain.order import OrderRecord
from core.domain.position import Trade
from core.oms.state import SymbolState

FOUND = "found on the exchange"
"""Note of an order taken up without a record of ours."""


class StopBasis(StrEnum):
    """What a stop's level follows from; the note of a moved stop's intent."""

    PLAN = ""
    BREAK_EVEN = "break-even"
    TRAILING = "trailing"


_KEPT = frozenset({StopBasis.BREAK_EVEN.value, StopBasis.TRAILING.value, FOUND})


@dataclass(frozen=True, slots=True)
class MoveRules:
    """Options of moving the stop. Ratios are fractions of the price, off by default.

    Break-even lies `break_even_offset` beyond the entry, which pays for the fees. Trailing begins
    at a gain of `trailing_start` and stays `trailing_distance` behind the best price. Two moves are
    at least `interval_s` apart.
    """

    break_even: bool = False
    break_even_offset: Decimal = Decimal("0.001")
    trailing: bool = False
    trailing_start: Decimal = Decimal("0.006")
    trailing_distance: Decimal = Decimal("0.004")
    interval_s: float = 5.0

    @classmethod
    def from_config(cls, config: TradingConfig) -> Self:
        return cls(
            break_even=config.break_even_after_tp1,
            break_even_offset=config.break_even_offset_pct,
            trailing=config.trailing_stop,
            trailing_start=config.trailing_start_pct,
            trailing_distance=config.trailing_distance_pct,
            interval_s=float(config.stop_move_interval),
        )


STAY = MoveRules()
"""The stop stays where the plan put it."""


@dataclass(frozen=True, slots=True)
class StopLevel:
    """Trigger price on the exchange's grid, and what it follows from."""

    price: Decimal
    basis: StopBasis


def stop_price(trade: Trade, instrument: Instrument) -> Decimal:
    """Trigger of the planned stop: entry price moved against the position, rounded away from it."""
    ratio = trade.plan.stop_ratio
    factor = ONE - ratio * trade.direction.sign
    return round_to_tick_away(trade.entry_price * factor, instrument.tick, trade.direction)


def break_even_price(trade: Trade, rules: MoveRules) -> Decimal:
    """Where break-even puts the stop, before it is brought to the exchange's grid.

    At most half the way to the first target, where the price has just been.
    """
    offset = min([rules.break_even_offset, *(leg.ratio / 2 for leg in trade.plan.legs[:1])])
    return trade.entry_price * (ONE + offset * trade.direction.sign)


def trailing_price(trade: Trade, best: Decimal, rules: MoveRules) -> Decimal:
    """Where the trail puts the stop behind the best price, before it is brought to the grid."""
    return best * (ONE - rules.trailing_distance * trade.direction.sign)


def tighter(direction: Direction, price: Decimal, than: Decimal) -> bool:
    """True when a stop at `price` is nearer to the market than one at `than`."""
    return (price - than) * direction.sign > ZERO


def stop_level(state: SymbolState, rules: MoveRules) -> StopLevel:
    """The tightest of plan, break-even, trail and what was accepted as a moved stop before."""
    trade, tick = state.trade, state.instrument.tick
    direction = trade.direction
    found = StopLevel(stop_price(trade, state.instrument), StopBasis.PLAN)
    levels = [*_kept_levels(state)]
    if rules.break_even and first_target_filled(state):
        levels.append(StopLevel(break_even_price(trade, rules), StopBasis.BREAK_EVEN))
    best = state.best_price
    if rules.trailing and best is not None and gain(trade, best) >= rules.trailing_start:
        levels.append(StopLevel(trailing_price(trade, best, rules), StopBasis.TRAILING))
    for level in levels:
        price = round_to_tick_away(level.price, tick, direction)
        if tighter(direction, price, found.price):
            found = StopLevel(price, level.basis)
    return found


def gain(trade: Trade, price: Decimal) -> Decimal:
    """Gain of the position at `price` as a fraction of its entry price."""
    return (price / trade.entry_price - ONE) * trade.direction.sign


def better(direction: Direction, price: Decimal, than: Decimal | None) -> Decimal:
    """The price more favourable to the position."""
    if than is None or tighter(direction, price, than):
        return price
    return than


def first_target_filled(state: SymbolState) -> bool:
    """True when the nearest target of the ladder has been taken whole."""
    targets = state.of(Purpose.TAKE_PROFIT)
    if not targets:
        return False
    first = min(record.intent.level for record in targets)
    return any(
        record.status is OrderStatus.FILLED for record in targets if record.intent.level == first
    )


def was_moved(record: OrderRecord) -> bool:
    """True for a stop that break-even or the trail has placed."""
    return record.intent.note in (StopBasis.BREAK_EVEN, StopBasis.TRAILING)


def _kept_levels(state: SymbolState) -> list[StopLevel]:
    """Levels that were accepted and are not loosened again."""
    return [
        StopLevel(record.intent.trigger_price, _basis(record))
        for record in state.of(Purpose.STOP)
        if record.intent.note in _KEPT
        and record.intent.trigger_price is not None
        and (record.accepted_ms or record.status.is_resting)
    ]


def _basis(record: OrderRecord) -> StopBasis:
    return StopBasis(record.intent.note) if was_moved(record) else StopBasis.PLAN
