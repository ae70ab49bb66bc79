"""State of one contract inside the paper exchange (floor 2c): price, book, working orders."""

from dataclasses import dataclass, field
from decimal import Decimal

from core.domain.enums import Side
from core.domain.money import ZERO
from core.paper.book import BookModel, Slice
from core.paper.margin import EIGHT_PLACES
from core.paper.model import Contract
from core.paper.records import AlgoOrder, Order, PositionSide

PERPETUAL_END_MS = 4_133_404_800_000
"""`deliveryDate` of a contract that never ends"""


@dataclass(slots=True)
class Market:
    """One symbol. `orders` rest in the book, `algos` wait for their trigger; both by id.

    `touched` counts what our own orders did to the book.
    `close_only` is a contract about to leave: reduce-only orders alone are taken.
    Mark and index price equal the last feed price: the feed has one price only, and a made-up
    basis would trigger stops at prices nobody can check against the candles. A rehearsal may set
    one: `basis` is how far the mark price then stands from the last, as a share of the last.
    """

    contract: Contract
    book: BookModel
    close_only: bool = False
    basis: Decimal = ZERO
    last_time_ms: int = 0
    touched: int = 0
    last_quantity: Decimal = ZERO
    orders: dict[int, Order] = field(default_factory=dict)
    algos: dict[int, AlgoOrder] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        return self.contract.symbol

    @property
    def is_trading(self) -> bool:
        """False before the feed's first price."""
        return self.book.price > 0

    @property
    def status(self) -> str:
        """`status` of exchangeInfo."""
        if self.close_only:
            return "SETTLING"
        return "TRADING" if self.is_trading else "PENDING_TRADING"

    @property
    def price(self) -> Decimal:
        return self.book.price

    @property
    def mark(self) -> Decimal:
        return self.mark_at(self.book.price)

    def mark_at(self, last: Decimal) -> Decimal:
        """Mark price when the last price is `last`: eight places."""
        if not self.basis:
            return last
        return (last * (1 + self.basis)).quantize(EIGHT_PLACES)

    def last_at(self, mark: Decimal) -> Decimal:
        """Last price at which the mark price is `mark`."""
        return mark / (1 + self.basis) if self.basis else mark

    @property
    def is_torn(self) -> bool:
        """True while mark and last price are too far apart for orders with price protection."""
        return abs(self.basis) > self.contract.trigger_protect

    @property
    def index(self) -> Decimal:
        return self.book.price

    def ladder(self, taker: Side, limit: int | None = None) -> list[Slice]:
        """What an order of `taker` would meet, best first: the book with our own orders in it."""
        own = [row for row in self.orders.values() if row.spec.side is taker.opposite]
        if not own:
            return self.book.depth(taker, limit)
        levels = dict(self.book.depth(taker))
        for row in own:
            if row.spec.price:
                levels[row.spec.price] = levels.get(row.spec.price, ZERO) + row.remaining
        rows = sorted(levels.items(), key=lambda row: row[0] * taker.sign)
        return rows if limit is None else rows[:limit]

    @property
    def view(self) -> int:
        """Grows with every change of what the book shows."""
        return self.book.updates + self.touched

    def resting_notional(self, side: Side, position_side: PositionSide) -> Decimal:
        """Notional of working orders that could enlarge a position."""
        return sum(
            (
                order.remaining * order.spec.price
                for order in self.orders.values()
                if order.spec.side is side
                and order.spec.position_side is position_side
                and not order.spec.reduce_only
            ),
            ZERO,
        )
