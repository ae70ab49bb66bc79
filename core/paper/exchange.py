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

from core.domain.enums import ExecutionType, OrderKind, Side
from core.domain.money import ZERO
from core.kernel.chance import Chance
from core.paper import ledger as books
from core.paper import margin
from core.paper.algo import AlgoDesk
from core.paper.book import BookModel
from core.paper.errors import ApiError, refuse
from core.paper.events import UserEvents
from core.paper.ledger import Ledger
from core.paper.market import Market
from core.paper.matching import Matcher
from core.paper.model import Contract, Tick
from core.paper.records import Order, OrderSpec, Position, Trade

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


@dataclass(slots=True)
class AccountFlags:
    """Account-wide modes. They can be switched to rehearse refusals; only one-way trades."""

    hedge_mode: bool = False
    multi_assets: bool = False


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
        self.algos = AlgoDesk(
            self.markets, self.ledger, self.matcher, events, now_ms, self.check_margin
        )
        self.matcher.on_accept = self.algos.order_accepted
        self.matcher.on_done = self.algos.order_done
        self.matcher.on_position = self._position_changed
        self.on_liquidated: Callable[[Order, Trade], None] = lambda order, trade: None
        self._ids = chance.stream("ids")
        self._liquidations = 0
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
        held = self._position(tick.symbol).quantity
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
        self._check_cross(market)

    def _hits(self, market: Market, tick: Tick, start: Decimal, met: set[int]) -> Iterator[_Hit]:
        target = tick.price
        low, high = min(start, target), max(start, target)

        def hit(rank: int, sequence: int, price: Decimal, act: Callable[[], None]) -> _Hit:
            inside = min(max(price, low), high)
            return _Hit(abs(inside - start), rank, sequence, inside, act)

        for algo in market.algos.values():
            trigger = self.algos.trigger_price(market, algo)
            if trigger is not None and self.algos.is_hit(algo, trigger, target):
                yield hit(0, algo.algo_id, trigger, partial(self.algos.fire, algo))
        for order in market.orders.values():
            if order.order_id not in met and _is_met(order, target):
                act = partial(self._meet, order, tick, met)
                yield hit(1, order.order_id, order.spec.price, act)
        price = self.isolated_liquidation_price(market.symbol)
        position = self._position(market.symbol)
        if price and (target <= price if position.quantity > 0 else target >= price):
            yield hit(2, 0, price, partial(self._liquidate, market))

    def _meet(self, order: Order, tick: Tick, met: set[int]) -> None:
        met.add(order.order_id)
        if order.spec.price == tick.price:
            self.matcher.touch(order, tick.volume)
        else:
            self.matcher.pass_through(order)

    def _position(self, symbol: str) -> Position:
        return self.ledger.positions[symbol]

    def _position_changed(self, symbol: str) -> None:
        self.matcher.drop_reduce_only(symbol)
        self.algos.position_changed(symbol)

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
                amount = self.ledger.fund(position.symbol, rate, mark, due)
                if amount:
                    self.matcher.tell_account(position.symbol, "FUNDING_FEE", amount)

    # --- margin ----------------------------------------------------------------------------------

    def order_margin(self, symbol: str, extra: OrderSpec | None = None) -> Decimal:
        """Margin held for working orders: what the worse side adds to the position's own."""
        market = self.markets[symbol]
        position = self._position(symbol)
        held = position.quantity * market.mark
        bids = market.resting_notional(Side.BUY)
        asks = market.resting_notional(Side.SELL)
        if extra is not None and not extra.reduce_only:
            notional = extra.quantity * self._worst_price(market, extra)
            if extra.side is Side.BUY:
                bids += notional
            else:
                asks += notional
        worst = max(abs(held + bids), abs(held - asks), abs(held))
        return margin.initial(worst - abs(held), position.leverage)

    @staticmethod
    def _worst_price(market: Market, spec: OrderSpec) -> Decimal:
        best = market.book.best_against(spec.side)
        return spec.price if spec.kind is OrderKind.LIMIT else best

    def cross_unrealized(self, asset: str) -> Decimal:
        return sum(
            (
                position.unrealized(self.markets[position.symbol].mark)
                for position in self.ledger.open_positions(asset)
                if not position.isolated
            ),
            ZERO,
        )

    def position_margin(self, position: Position) -> Decimal:
        """Initial margin of a position at its mark price."""
        mark = self.markets[position.symbol].mark
        return margin.initial(position.quantity * mark, position.leverage)

    def available(self, asset: str) -> Decimal:
        """What new orders may use: cross wallet and its PnL less margins in use; never negative."""
        used = ZERO
        for symbol, market in self.markets.items():
            position = self._position(symbol)
            if position.asset != asset:
                continue
            if market.orders:
                used += self.order_margin(symbol)
            if position.quantity and not position.isolated:
                used += self.position_margin(position)
        free = self.ledger.cross_wallet(asset) + self.cross_unrealized(asset) - used
        return max(free, ZERO)

    def check_margin(self, spec: OrderSpec) -> None:
        """Raises ApiError -2019 or -2027 when an order that may add risk cannot be carried."""
        if spec.reduce_only:
            return
        market = self.markets[spec.symbol]
        position = self._position(spec.symbol)
        price = self._worst_price(market, spec)
        after = position.quantity + spec.quantity * spec.side.sign
        limit = margin.max_notional(market.contract, position.leverage)
        if abs(after) > abs(position.quantity) and abs(after) * price > limit:
            raise refuse(-2027)
        extra = self.order_margin(spec.symbol, spec) - self.order_margin(spec.symbol)
        if extra <= 0:
            return
        fee = books.commission(price, spec.quantity, maker=False)
        if extra + fee > self.available(position.asset):
            raise refuse(-2019)

    # --- liquidation -----------------------------------------------------------------------------

    def isolated_liquidation_price(self, symbol: str) -> Decimal:
        """Mark price that liquidates an isolated position; 0 when there is none."""
        position = self._position(symbol)
        if not position.quantity or not position.isolated:
            return ZERO
        market = self.markets[symbol]
        return margin.liquidation_price(
            market.contract,
            position.quantity,
            position.cost,
            market.mark,
            position.isolated_wallet,
        )

    def liquidation_price(self, symbol: str) -> Decimal:
        """As shown to clients; for a cross position with the rest of the wallet as its margin."""
        position = self._position(symbol)
        if position.isolated or not position.quantity:
            return self.isolated_liquidation_price(symbol)
        market = self.markets[symbol]
        own = position.unrealized(market.mark)
        spare = (
            self.ledger.cross_wallet(position.asset)
            + self.cross_unrealized(position.asset)
            - own
            - self._cross_maintenance(position.asset)
            + margin.maintenance(market.contract, position.quantity * market.mark)
        )
        return margin.liquidation_price(
            market.contract, position.quantity, position.cost, market.mark, spare
        )

    def _cross_maintenance(self, asset: str) -> Decimal:
        total = ZERO
        for position in self.ledger.open_positions(asset):
            if not position.isolated:
                market = self.markets[position.symbol]
                total += margin.maintenance(market.contract, position.quantity * market.mark)
        return total

    def _check_cross(self, market: Market) -> None:
        """Liquidate every cross position of the asset once its wallet cannot carry them."""
        position = self._position(market.symbol)
        if not position.quantity or position.isolated:
            return
        asset = position.asset
        equity = self.ledger.cross_wallet(asset) + self.cross_unrealized(asset)
        if equity > self._cross_maintenance(asset):
            return
        for row in self.ledger.open_positions(asset):
            if not row.isolated:
                self._liquidate(self.markets[row.symbol])

    def liquidate(self, symbol: str) -> None:
        """Force a liquidation at the current price (rehearsals). ApiError without a position."""
        if not self._position(symbol).quantity:
            raise ApiError(-2024, "Position is not sufficient.")
        self._liquidate(self.markets[symbol])

    def _liquidate(self, market: Market) -> None:
        """The exchange takes the position over, never at a worse price than bankruptcy."""
        position = self._position(market.symbol)
        for order in list(market.orders.values()):
            self.matcher.cancel(order)
        asset = position.asset
        price = market.mark
        if position.isolated:
            edge = margin.bankruptcy_price(
                position.quantity, position.cost, position.isolated_wallet
            )
            price = max(price, edge) if position.quantity > 0 else min(price, edge)
        side = Side.SELL if position.quantity > 0 else Side.BUY
        quantity = abs(position.quantity)
        left = position.isolated_wallet + position.quantity * price - position.cost
        self._liquidations += 1
        order = self.matcher.liquidation_order(
            market.symbol, side, quantity, f"autoclose-{self.now_ms()}{self._liquidations:06d}"
        )
        isolated = position.isolated
        trade = self.matcher.execute(
            order, price, quantity, maker=False, execution=ExecutionType.CALCULATED
        )
        self.on_liquidated(order, trade)
        fee = quantity * price * market.contract.liquidation_fee
        spare = left - trade.commission if isolated else self.ledger.cross_wallet(asset)
        charged = min(fee, max(spare, ZERO))
        if self.ledger.charge(market.symbol, "INSURANCE_CLEAR", charged, self.now_ms()):
            self.matcher.tell_account(market.symbol, "INSURANCE_CLEAR")

    # --- settings --------------------------------------------------------------------------------

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Raises ApiError -4028 (out of range), -4161 (lower with an isolated position), -2027."""
        market = self.markets[symbol]
        position = self._position(symbol)
        if not 1 <= leverage <= margin.max_leverage(market.contract):
            raise ApiError(-4028, f"Leverage {leverage} is not valid")
        if position.isolated and position.quantity and leverage < position.leverage:
            raise refuse(-4161)
        if abs(position.quantity) * market.mark > margin.max_notional(market.contract, leverage):
            raise refuse(-2027)
        changed = leverage != position.leverage
        position.leverage = leverage
        if changed:
            self.events.leverage_changed(symbol, leverage, self.now_ms())

    def set_isolated(self, symbol: str, *, isolated: bool) -> None:
        """Raises ApiError -4046, -4047, -4048, -4168."""
        position = self._position(symbol)
        if position.isolated == isolated:
            raise refuse(-4046)
        if isolated and self.flags.multi_assets:
            raise refuse(-4168)
        if self.markets[symbol].orders:
            raise refuse(-4047)
        if position.quantity:
            raise refuse(-4048)
        position.isolated = isolated
        self.matcher.tell_account(symbol, "MARGIN_TYPE_CHANGE")

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
        """Raises ApiError -4171."""
        if self.flags.multi_assets == enabled:
            raise refuse(-4171)
        self.flags.multi_assets = enabled
        self.events.multi_assets_changed(self.now_ms(), enabled=enabled)

    def new_client_id(self) -> str:
        """An id as the exchange makes them: 22 letters and digits."""
        return "".join(self._ids.choice(_ID_ALPHABET) for _ in range(22))
