"""What a REST route is (floor 2c): its price in weight, its security, its synchronous handler."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.paper.candles import CandleBook
from core.paper.exchange import PaperExchange
from core.paper.limits import Pool, Security
from core.paper.market_stream import MarketStream
from core.paper.params import Params
from core.paper.quotes import Quotes
from core.paper.tape import TradeTape
from core.paper.user_stream import Later, UserStream
from core.paper.wire import Row

Body = Row | Sequence[object]
"""A JSON object or array."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What handlers work on."""

    exchange: PaperExchange
    candles: CandleBook
    users: UserStream
    market: MarketStream
    quotes: dict[str, Quotes]
    tape: TradeTape
    later: Later

    def now_ms(self) -> int:
        return self.exchange.now_ms()


Handler = Callable[[Desk, Params], Body]
Weight = Callable[[Params], int]


def flat(weight: int) -> Weight:
    """The same weight whatever is asked."""
    return lambda _: weight


ONE = flat(1)


def by_symbol(one: int, every: int) -> Weight:
    """`one` with a symbol, `every` without."""
    return lambda params: one if params.optional("symbol") else every


@dataclass(frozen=True, slots=True)
class RestRoute:
    """`orders` is the cost on the 10 second and on the 1 minute order count."""

    method: str
    path: str
    handler: Handler
    security: Security = Security.NONE
    weight: Weight = ONE
    orders: tuple[int, int] = (0, 0)
    pool: Pool = Pool.WEIGHT

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path
