"""What happens to one position while crashes are explored (floor 8): prices that follow a story.

A story is a sequence of moves. Each is made as soon as the exchange shows that the daemon has done
its part: the position is covered by one stop of its size and, where a target is to be hit, a target
waits. The director sees the exchange only, so a story goes on across the death of the daemon.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from random import Random

from core.domain.enums import OrderKind
from core.domain.money import ZERO, nearest_to_step
from core.domain.ports import Clock
from core.paper.model import Contract, FeedSink, PaperCandle, Tick
from core.paper.records import OrderSpec
from tools.simulation.world import EPOCH_MS, World

SYMBOL = "XRPUSDC"
_START = Decimal(2)
_MINUTE_MS = 60_000
_HISTORY_MINUTES = 120
_TICK_S = 5.0
_VOLUME = Decimal(1_000)
_GAP = Decimal("0.01")
"""How far the price jumps past the stop."""


class Move(StrEnum):
    """What the world does next."""

    TARGET = "the nearest target is hit"
    STOP = "the stop is hit"
    GAP = "the price jumps past the stop as soon as there is a position"
    BY_HAND = "the owner closes the position"


STORIES: Mapping[str, tuple[Move, ...]] = {
    "stop": (Move.STOP,),
    "target": (Move.TARGET, Move.STOP),
    "ladder": (Move.TARGET, Move.TARGET, Move.TARGET),
    "gap": (Move.GAP,),
    "hand": (Move.TARGET, Move.BY_HAND),
}


class StagedPrices:
    """A feed whose one price stands still until it is moved."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        (self._contract,) = contracts
        self.price = _START
        self._sink: FeedSink | None = None
        self._clock: Clock | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        return (self._contract.symbol,)

    @property
    def start_ms(self) -> int:
        return EPOCH_MS - EPOCH_MS % _MINUTE_MS

    @property
    def end_ms(self) -> int | None:
        return None

    @property
    def simulated(self) -> bool:
        return True

    def describe(self) -> str:
        return "prices of a story"

    def history(self, symbol: str) -> tuple[PaperCandle, ...]:
        """Minutes that move by a few ticks."""
        first = self.start_ms - _HISTORY_MINUTES * _MINUTE_MS
        reach = 3 * self._contract.tick
        return tuple(
            PaperCandle(
                symbol=symbol,
                open_ms=first + number * _MINUTE_MS,
                open=_START,
                high=_START + reach,
                low=_START - reach,
                close=_START,
                volume=_VOLUME,
                quote_volume=_VOLUME * _START,
                trades=10,
            )
            for number in range(_HISTORY_MINUTES)
        )

    async def run(self, sink: FeedSink, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        while True:
            self._tick(gap=False)
            await clock.sleep(_TICK_S)

    def move(self, price: Decimal, *, gap: bool) -> None:
        """The last price is now `price`; it travelled there unless `gap`."""
        self.price = nearest_to_step(price, self._contract.tick)
        self._tick(gap=gap)

    def _tick(self, *, gap: bool) -> None:
        if self._sink is not None and self._clock is not None:
            now_ms = self._clock.now_ms()
            self._sink.on_tick(Tick(self._contract.symbol, now_ms, self.price, _VOLUME, gap))


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the exchange shows."""

    held: Decimal
    stops: tuple[OrderSpec, ...]
    triggers: tuple[Decimal, ...]
    targets: tuple[Decimal, ...]

    @property
    def covered(self) -> bool:
        """By one stop, of the position's size."""
        return len(self.stops) == 1 and self.stops[0].quantity == abs(self.held)


class Director:
    """Makes a story's moves; call `look` after every change of the account."""

    def __init__(
        self, moves: Sequence[Move], world: World, prices: StagedPrices, random: Random
    ) -> None:
        self._moves = list(moves)
        self._world = world
        self._prices = prices
        self._random = random
        self._before = ZERO
        """The position at the last move: the next is made when it has changed."""
        self._due: asyncio.TimerHandle | None = None
        self._entered = False

    @property
    def over(self) -> bool:
        """True when there was a position and there is none any more."""
        return self._entered and not self.scene().held

    @property
    def idle(self) -> bool:
        """True when no move is about to be made."""
        return self._due is None

    def scene(self) -> _Scene:
        paper = self._world.paper
        held = paper.ledger.positions[SYMBOL].quantity
        stops, triggers, targets = [], [], []
        for algo in paper.exchange.algos.waiting(SYMBOL):
            order = algo.spec.order
            if order.kind is OrderKind.STOP_MARKET:
                stops.append(order)
                triggers.append(algo.spec.trigger)
            else:
                targets.append(algo.spec.trigger)
        targets += [
            order.spec.price
            for order in paper.open_orders()
            if order.spec.reduce_only and order.spec.price
        ]
        return _Scene(held, tuple(stops), tuple(triggers), tuple(targets))

    def look(self) -> None:
        """Make the next move, a moment later, if it is time for it."""
        scene = self.scene()
        self._entered = self._entered or bool(scene.held)
        if self._moves and self._due is None and scene.held not in (ZERO, self._before):
            move = self._moves[0]
            ready = scene.covered and (scene.targets or move is not Move.TARGET)
            if ready or move is Move.GAP:
                self._before = scene.held
                pause = 0.0 if move is Move.GAP else 0.02 + 0.3 * self._random.random()
                self._due = self._world.loop.call_later(pause, self._make, self._moves.pop(0))

    def _make(self, move: Move) -> None:
        self._due = None
        scene = self.scene()
        self._world.tell("story", move)
        if move is Move.BY_HAND:
            side = "SELL" if scene.held > 0 else "BUY"
            params = {
                "symbol": SYMBOL,
                "side": side,
                "type": "MARKET",
                "quantity": str(abs(scene.held)),
                "reduceOnly": "true",
            }
            self._world.by_hand("manual", {"op": "order", "params": params})
        elif move is Move.GAP:
            away = 1 - _GAP if scene.held > 0 else 1 + _GAP
            self._prices.move(self._prices.price * away, gap=True)
        else:
            at = scene.targets if move is Move.TARGET else scene.triggers
            nearest = min(at, key=lambda price: abs(price - self._prices.price), default=None)
            if nearest is not None:
                beyond = Decimal("1.0002") if nearest > self._prices.price else Decimal("0.9998")
                self._prices.move(nearest * beyond, gap=False)
