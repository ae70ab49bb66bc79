"""How a contract's prices and quantities are written in market data (floor 2c)."""

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

    def size(self, value: object) -> str:
        return f"{value:.{self._size}f}"
