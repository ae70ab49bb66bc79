"""The paper exchange without its network (floor 2c): pure, synchronous, deterministic.

Price path: between two ticks of one candle the price travels continuously, so whatever lies on the
way (trigger, resting order, liquidation) happens at its own price and in the order of the way; over
a gap the price jumps and everything passed happens at the new price. Time comes from `now_ms`,
chance from the seed, ids from counters: the same requests give the same results.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from core.kernel.chance import Chance
from core.paper import margin
from core.paper.algo import AlgoDesk, is_hit
from core.paper.amend import AmendDesk
from core.paper.book import BookModel
from core.paper.errors import ApiError, refuse
from core.paper.events import UserEvents
from core.paper.ledger import Ledger, money
from core.paper.market import Market
from core.paper.matching import Matcher
from core.paper.model import Contract, Tick
from core.paper.records import AccountFlags, Order
from core.paper.risk import RiskDesk

FUNDING_PERIOD_MS = 8 * 3_600_000
_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class _Hit:
    """Something on the price's way: how far from the start, tie-break, where, what to do."""

    distance: Decimal
    rank: int
    sequence: int
    price: Decimal
    act: Callable[[], None]


def _is_met(order: Order, price: Decimal) -> bool:
    """True when the market trading at `price` reaches a resting order."""
    return (order.spec.price - price) * order.spec.side.sign >= 0


class PaperExchange:
    """Markets, ledger and orders of one account."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        balances: Mapping[str, Decimal],
        events: UserEvents,
        now_ms: Callable[[], int],
        seed: int,
    ) -> None:
        chance = Chance(seed)
        self._chance = chance
        self.now_ms = now_ms
        self.events = events
        self.flags = AccountFlags()
        self.ledger = Ledger(contracts, balances)
        self.contracts = contracts
        self.markets = {
            symbol: Market(contract, BookModel(contract, chance.stream(f"book|{symbol}")))
            for symbol, contract in contracts.items()
        }
        self.matcher = Matcher(self.markets, self.ledger, events, now_ms, chance.stream("matching"))
        self.risk = RiskDesk(self.markets, self.ledger, self.matcher, events, now_ms, self.flags)
        self.algos = AlgoDesk(
            self.markets, self.ledger, self.matcher, events, now_ms, self.risk.check_margin
        )
        self.amends = AmendDesk(self.matcher, events, now_ms, self.risk.check_margin)
        self.matcher.on_accept = self.algos.order_accepted
        self.matcher.on_done = self.algos.order_done
        self.matcher.on_position = self._position_changed
        self._ids = chance.stream("ids")
        self._countdowns: dict[str, int] = {}
        self._next_funding_ms = 0
        self._rates: dict[str, tuple[int, Decimal]] = {}

    # --- prices ----------------------------------------------------------------------------------

    def set_price(self, symbol: str, price: Decimal, time_ms: int) -> None:
        """Start price of a symbol, before the first tick."""
        market = self.markets[symbol]
        market.book.move(price)
        market.last_time_ms = time_ms

    def on_tick(self, tick: Tick) -> None:
        """Move one symbol's price and do everything that lies on its way."""
        self._settle_due_funding(tick.time_ms)
        market = self.markets[tick.symbol]
        start = market.price
        held = any(row.quantity for row in self.ledger.of_symbol(tick.symbol))
        if not start or not (market.orders or market.algos or held):
            market.book.move(tick.price)
        else:
            self._walk(market, tick, start)
        market.last_time_ms = tick.time_ms
        market.last_quantity = tick.volume

    def _walk(self, market: Market, tick: Tick, start: Decimal) -> None:
        self.matcher.expire_by_date(market, tick.time_ms)
        if tick.gap:
            market.book.move(tick.price)
        self.algos.follow(market, market.price)
        met: set[int] = set()
        while hit := min(
            self._hits(market, tick, start, met),
            key=lambda hit: (hit.distance, hit.rank, hit.sequence),
            default=None,
        ):
            if not tick.gap:
                market.book.move(hit.price)
                self.algos.follow(market, hit.price)
            hit.act()
        if not tick.gap:
            market.book.move(tick.price)
        self.algos.follow(market, tick.price)
        self.risk.check(market)

    def _hits(self, market: Market, tick: Tick, start: Decimal, met: set[int]) -> Iterator[_Hit]:
        target = tick.price
        low, high = min(start, target), max(start, target)

        def hit(rank: int, sequence: int, price: Decimal, act: Callable[[], None]) -> _Hit:
            inside = min(max(price, low), high)
            return _Hit(abs(inside - start), rank, sequence, inside, act)

        for algo in market.algos.values():
            trigger = self.algos.trigger_price(market, algo)
            if trigger is not None and is_hit(algo.spec, trigger, target):
                yield hit(0, algo.algo_id, trigger, partial(self.algos.fire, algo))
        for order in market.orders.values():
            if order.order_id not in met and _is_met(order, target):
                act = partial(self._meet, order, tick, met)
                yield hit(1, order.order_id, order.spec.price, act)
        for number, position in enumerate(self.ledger.of_symbol(market.symbol)):
            price = market.last_at(self.risk.isolated_liquidation_price(position))
            if price and (target <= price if position.quantity > 0 else target >= price):
                yield hit(2, number, price, partial(self.risk.liquidate, position))

    def _meet(self, order: Order, tick: Tick, met: set[int]) -> None:
        met.add(order.order_id)
        if order.spec.price == tick.price:
            self.matcher.touch(order, tick.volume)
        else:
            self.matcher.pass_through(order)

    def _position_changed(self, symbol: str) -> None:
        self.matcher.drop_reduce_only(symbol)
        self.algos.position_changed(symbol)
        self.risk.exchange_assets()

    # --- funding ---------------------------------------------------------------------------------

    def next_funding_ms(self, now_ms: int) -> int:
        return (now_ms // FUNDING_PERIOD_MS + 1) * FUNDING_PERIOD_MS

    def funding_rate(self, symbol: str, funding_ms: int) -> Decimal:
        """Rate of one settlement: a pure function of seed, symbol and time, around 0.01 %."""
        known = self._rates.get(symbol)
        if known is None or known[0] != funding_ms:
            draw = self._chance.stream(f"funding|{symbol}|{funding_ms}").randint(-150, 200)
            known = self._rates[symbol] = (funding_ms, Decimal(draw + 75) / 1_000_000)
        return known[1]

    def _settle_due_funding(self, now_ms: int) -> None:
        if not self._next_funding_ms:
            self._next_funding_ms = self.next_funding_ms(now_ms - 1)
        while now_ms >= self._next_funding_ms:
            due = self._next_funding_ms
            self._next_funding_ms += FUNDING_PERIOD_MS
            for position in self.ledger.open_positions():
                rate = self.funding_rate(position.symbol, due)
                mark = self.markets[position.symbol].mark
                amount = self.ledger.fund(position.symbol, rate, mark, due, position.side)
                if amount:
                    self.matcher.tell_account(position, "FUNDING_FEE", amount)
            self.risk.exchange_assets()

    # --- settings --------------------------------------------------------------------------------

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Raises ApiError -4028 (out of range), -4161 (lower with an isolated position), -2027.

        -2028 when the margin balance does not carry a lower one.
        """
        market = self.markets[symbol]
        if not 1 <= leverage <= margin.max_leverage(market.contract):
            raise ApiError(-4028, f"Leverage {leverage} is not valid")
        most = margin.max_notional(market.contract, leverage)
        rows = self.ledger.of_symbol(symbol)
        for position in rows:
            if position.isolated and position.quantity and leverage < position.leverage:
                raise refuse(-4161)
            if abs(position.quantity) * market.mark > most:
                raise refuse(-2027)
        before = rows[0].leverage
        for position in rows:
            position.leverage = leverage
        if leverage < before and self.risk.free(rows[0].asset) < 0:
            for position in rows:
                position.leverage = before
            raise refuse(-2028)
        if leverage != before:
            self.events.leverage_changed(symbol, leverage, self.now_ms())

    def set_isolated(self, symbol: str, *, isolated: bool) -> None:
        """Raises ApiError -4046, -4047, -4048, -4168."""
        rows = self.ledger.of_symbol(symbol)
        if rows[0].isolated == isolated:
            raise refuse(-4046)
        if isolated and self.flags.multi_assets:
            raise refuse(-4168)
        if self.markets[symbol].orders:
            raise refuse(-4047)
        if any(row.quantity for row in rows):
            raise refuse(-4048)
        for row in rows:
            row.isolated = isolated
        self.matcher.tell_account(rows[0], "MARGIN_TYPE_CHANGE")

    def set_hedge_mode(self, *, enabled: bool) -> None:
        """Raises ApiError -4059, -4067, -4068."""
        if self.flags.hedge_mode == enabled:
            raise refuse(-4059)
        if self.matcher.open_orders() or self.algos.waiting():
            raise refuse(-4067)
        if self.ledger.open_positions():
            raise refuse(-4068)
        self.flags.hedge_mode = enabled

    def set_multi_assets(self, *, enabled: bool) -> None:
        """Raises ApiError -4171, -4170, -4167 (on), -4172 and -4169 (off)."""
        if self.flags.multi_assets == enabled:
            raise refuse(-4171)
        if self.matcher.open_orders() or self.algos.waiting():
            raise refuse(-4170)
        if enabled and any(row.isolated for row in self.ledger.positions.values()):
            raise refuse(-4167)
        if not enabled and any(row.balance < 0 for row in self.ledger.wallets.values()):
            raise refuse(-4172)
        self.flags.multi_assets = enabled
        if not enabled and any(self.risk.free(asset) < 0 for asset in self.ledger.wallets):
            self.flags.multi_assets = True
            raise refuse(-4169)
        self.events.multi_assets_changed(self.now_ms(), enabled=enabled)

    def transfer(self, asset: str, amount: Decimal) -> int:
        """Money from (positive) or to another wallet of the owner; returns the transaction's id.

        Raises ApiError -1108 (unknown asset), -1111 (more than eight decimals), -4055 (nothing) and
        -2018 (more than may leave).
        """
        if asset not in self.ledger.wallets:
            raise refuse(-1108)
        if not amount:
            raise refuse(-4055)
        if amount != money(amount):
            raise refuse(-1111)
        if -amount > self.risk.withdrawable(asset):
            raise refuse(-2018)
        number = self.ledger.transfer(asset, amount, "TRANSFER", self.now_ms())
        self.matcher.tell_wallet(asset, "DEPOSIT" if amount > 0 else "WITHDRAW", amount)
        return number

    # --- dead man's switch -----------------------------------------------------------------------

    def set_countdown(self, symbol: str, milliseconds: int) -> None:
        """Cancel a symbol's ordinary orders then, unless it is set anew; 0 switches it off."""
        if milliseconds:
            self._countdowns[symbol] = self.now_ms() + milliseconds
        else:
            self._countdowns.pop(symbol, None)

    def run_countdown(self, symbol: str) -> None:
        """Cancel when the time set last has come. Conditional orders stay."""
        due = self._countdowns.get(symbol)
        if due is not None and self.now_ms() >= due:
            del self._countdowns[symbol]
            for order in self.matcher.open_orders(symbol):
                self.matcher.cancel(order)

    def run_dates(self, symbol: str) -> None:
        """End the good-till-date orders whose time has come, also in a market that stands still."""
        self.matcher.expire_by_date(self.markets[symbol], self.now_ms())

    def new_client_id(self) -> str:
        """An id as the exchange makes them: 22 letters and digits."""
        return "".join(self._ids.choice(_ID_ALPHABET) for _ in range(22))
