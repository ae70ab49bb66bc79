"""The modelled order book around the feed's last price (floor 2c).

The last price is one side of the book: the ask after an up move, the bid after a down move. Depth
is a ladder of levels whose size is scaled by the contract's first leverage bracket (the venue's
own statement of its liquidity) and shaped by a seeded profile, so slippage grows with size. What
our orders take stays taken until the next tick.
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import islice
from random import Random

from core.domain.enums import Side
from core.domain.money import ZERO
from core.paper.errors import refuse
from core.paper.model import Contract

_LEVELS = 100
_PROFILE = 16
_SPREAD_RATIO = Decimal("0.00001")
_SPACING_RATIO = Decimal("0.00005")
_TOP_NOTIONAL_SHARE = Decimal("0.4")
_MIN_TOP_NOTIONAL = Decimal(4000)

Slice = tuple[Decimal, Decimal]
"""(price, quantity) of one level"""


class BookModel:
    """Depth of one symbol as seen at its last price."""

    def __init__(self, contract: Contract, chance: Random) -> None:
        self._contract = contract
        self._tick = contract.tick
        self._profile = tuple(Decimal(chance.randint(60, 160)) / 100 for _ in range(_PROFILE))
        self._top = max(_MIN_TOP_NOTIONAL, contract.brackets[0].notional_cap * _TOP_NOTIONAL_SHARE)
        self._taken = {Side.BUY: ZERO, Side.SELL: ZERO}
        self.price = ZERO
        self.rising = False
        self.updates = 0

    def move(self, price: Decimal) -> None:
        """The last price is now `price`; the book is whole again."""
        if price != self.price:
            self.rising = price > self.price
            self.price = price
        self.updates += 1
        self._taken[Side.BUY] = self._taken[Side.SELL] = ZERO

    @property
    def spread(self) -> Decimal:
        return max(self._tick, self._grid(self.price * _SPREAD_RATIO, ROUND_FLOOR))

    @property
    def bid(self) -> Decimal:
        if self.rising:
            return max(self._grid(self.price, ROUND_CEILING) - self.spread, self._tick)
        return self._grid(self.price, ROUND_FLOOR)

    @property
    def ask(self) -> Decimal:
        if self.rising:
            return self._grid(self.price, ROUND_CEILING)
        return self._grid(self.price, ROUND_FLOOR) + self.spread

    def best_against(self, side: Side) -> Decimal:
        """Best price an order of `side` can trade at now."""
        return self.ask if side is Side.BUY else self.bid

    def matched(self, side: Side, mode: str) -> Decimal:
        """Price of `priceMatch`: n-th best of the other side (OPPONENT) or of our own (QUEUE).

        Raises ApiError -5041 when the book does not reach that far.
        """
        name, _, level = mode.partition("_")
        taker = side if name == "OPPONENT" else side.opposite
        levels = self.depth(taker, int(level or 1))
        if len(levels) < int(level or 1):
            raise refuse(-5041)
        return levels[-1][0]

    def size(self, level: int) -> Decimal:
        """Quantity of the n-th level, before anything was taken."""
        factor = self._profile[(level + self.updates) % _PROFILE] * (4 + level) / 4
        quantity = self._top * factor / self.price
        step = self._contract.step
        return max((quantity / step).to_integral_value(ROUND_FLOOR) * step, step)

    def depth(self, side: Side, limit: int | None = None) -> list[Slice]:
        """The levels an order of `side` would meet, all there are or the first `limit`.

        Without what our orders have taken since the last tick.
        """
        rows = self._free(side)
        return list(rows) if limit is None else list(islice(rows, limit))

    def _free(self, side: Side) -> Iterator[Slice]:
        """Levels with what is left of them, best first; used-up ones left out."""
        skip = self._taken[side]
        for price, size in self._levels(side):
            left = size - skip
            skip = max(skip - size, ZERO)
            if left > 0:
                yield price, left

    def _levels(self, side: Side) -> Iterator[Slice]:
        best = self.best_against(side)
        spacing = max(self._tick, self._grid(self.price * _SPACING_RATIO, ROUND_FLOOR))
        step = spacing * side.sign
        for level in range(_LEVELS):
            price = best + step * level
            if price > 0:
                yield price, self.size(level)

    def sweep(self, side: Side, quantity: Decimal, worst: Decimal | None) -> list[Slice]:
        """What an order of `quantity` would get down to the price `worst`, best level first."""
        fills: list[Slice] = []
        for price, free in self._free(side):
            if quantity <= 0 or (worst is not None and (price - worst) * side.sign > 0):
                break
            part = min(free, quantity)
            fills.append((price, part))
            quantity -= part
        return fills

    def take(self, side: Side, quantity: Decimal) -> None:
        """Remember that `quantity` was taken from the side an order of `side` meets."""
        self._taken[side] += quantity

    def _grid(self, value: Decimal, rounding: str) -> Decimal:
        return (value / self._tick).to_integral_value(rounding) * self._tick
