"""How a contract's prices and quantities are written in market data (floor 2c)."""

from core.domain.enums import Side
from core.domain.money import ZERO
from core.paper.market import Market
from core.paper.wire import places


class Quotes:
    """Prices and quantities of one contract with the fixed number of decimals it is quoted in."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._price = places(market.contract.tick)
        self._size = places(market.contract.step)

    def price(self, value: object) -> str:
        return f"{value:.{self._price}f}"

    def best(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(price, quantity) of the best bid and of the best ask; zeros for an empty side."""
        bid, ask = (
            next(iter(self.market.ladder(taker, 1)), (ZERO, ZERO))
            for taker in (Side.SELL, Side.BUY)
        )
        return (self.price(bid[0]), self.size(bid[1])), (self.price(ask[0]), self.size(ask[1]))

    def size(self, value: object) -> str:
        return f"{value:.{self._size}f}"
