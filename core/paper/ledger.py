"""The exchange's own books: wallets, positions, trades, income (floor 2c).

Keeps INV-10: for every asset wallet = start + realised - fees + funding + transfers, exactly. Every
amount is rounded once, to eight places, before it is booked anywhere; over a round trip the
realised PnL adds up to the cash flow of its fills.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from core.domain.enums import Side
from core.domain.money import ZERO
from core.paper import margin
from core.paper.model import Contract
from core.paper.records import Income, MarginMove, Position, PositionSide, Trade, Wallet

MAKER_RATE = Decimal("0.0002")
TAKER_RATE = Decimal("0.0004")
DEFAULT_LEVERAGE = 20
_HISTORY = 100_000


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill as the matching engine reports it; `fee` in the quote coin, positive when paid."""

    symbol: str
    order_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    maker: bool
    time_ms: int
    position_side: PositionSide = PositionSide.BOTH


def money(value: Decimal) -> Decimal:
    """An amount as it is booked: eight places, half up."""
    return value.quantize(margin.EIGHT_PLACES, ROUND_HALF_UP)


def commission(price: Decimal, quantity: Decimal, *, maker: bool) -> Decimal:
    return money(price * quantity * (MAKER_RATE if maker else TAKER_RATE))


class Ledger:
    """Wallets per asset and positions per symbol; cross and isolated margin.

    `positions` holds the one-way positions; the two sides of a hedged symbol come into being when
    they are first asked for, with the symbol's settings.
    """

    def __init__(self, contracts: Mapping[str, Contract], balances: Mapping[str, Decimal]) -> None:
        self._contracts = contracts
        self.wallets: dict[str, Wallet] = {}
        self.positions: dict[str, Position] = {}
        self._hedged: dict[tuple[str, PositionSide], Position] = {}
        self.trades: deque[Trade] = deque(maxlen=_HISTORY)
        self.income: deque[Income] = deque(maxlen=_HISTORY)
        self.margin_moves: deque[MarginMove] = deque(maxlen=_HISTORY)
        self._tran_id = 0
        self._trade_ids: dict[str, int] = {}
        for asset, amount in balances.items():
            self.wallets[asset] = Wallet(asset, amount)
        for symbol, contract in contracts.items():
            self.wallets.setdefault(contract.quote, Wallet(contract.quote, ZERO))
            leverage = min(DEFAULT_LEVERAGE, margin.max_leverage(contract))
            self.positions[symbol] = Position(symbol, contract.quote, leverage)

    def wallet_of(self, symbol: str) -> Wallet:
        return self.wallets[self._contracts[symbol].quote]

    def position(self, symbol: str, side: PositionSide) -> Position:
        """The one-way position, or one side of the hedged one."""
        plain = self.positions[symbol]
        if side is PositionSide.BOTH:
            return plain
        known = self._hedged.get((symbol, side))
        if known is None:
            known = Position(symbol, plain.asset, plain.leverage, plain.isolated, side=side)
            self._hedged[symbol, side] = known
        return known

    def of_symbol(self, symbol: str) -> list[Position]:
        """Every position of a symbol, flat ones too; its settings are the same in all of them."""
        if not self._hedged:
            return [self.positions[symbol]]
        sides = (self._hedged.get((symbol, side)) for side in PositionSide)
        return [self.positions[symbol], *(row for row in sides if row is not None)]

    def book(self, fill: Execution) -> Trade:
        """Apply one fill to position and wallet; returns the trade with its realised PnL."""
        position = self.position(fill.symbol, fill.position_side)
        wallet = self.wallets[position.asset]
        signed = fill.quantity * fill.side.sign
        closing = ZERO
        if position.quantity * signed < 0:
            closing = min(fill.quantity, abs(position.quantity))
        realized = self._close(position, closing, fill.price) if closing else ZERO
        opening = fill.quantity - closing
        if opening:
            self._open(position, opening * fill.side.sign, fill.price)
        position.accumulated += realized
        position.fees = position.fees + fill.fee if position.quantity else ZERO
        position.updated_ms = fill.time_ms
        wallet.realized += realized
        wallet.fees += fill.fee
        wallet.balance += realized - fill.fee
        wallet.updated_ms = fill.time_ms
        return self._record(fill, position.asset, realized)

    @staticmethod
    def _close(position: Position, quantity: Decimal, price: Decimal) -> Decimal:
        """Close `quantity` (positive) at `price`; the last piece carries what rounding left."""
        before = position.quantity
        part = quantity if before > 0 else -quantity
        if quantity == abs(before):
            realized = money(part * price - position.cost)
            position.quantity = position.cost = ZERO
            position.entry_price = position.isolated_wallet = ZERO
            return realized
        realized = money(part * (price - position.entry_price))
        position.cost -= part * price - realized
        position.quantity -= part
        if position.isolated:
            position.isolated_wallet = money(position.isolated_wallet * position.quantity / before)
        return realized

    @staticmethod
    def _open(position: Position, signed: Decimal, price: Decimal) -> None:
        if not position.quantity:
            position.fees = ZERO
        position.cost += signed * price
        position.quantity += signed
        position.entry_price = position.cost / position.quantity
        if position.isolated:
            position.isolated_wallet += margin.initial(signed * price, position.leverage)

    def _record(self, fill: Execution, asset: str, realized: Decimal) -> Trade:
        trade_id = self._trade_ids.get(fill.symbol, 0) + 1
        self._trade_ids[fill.symbol] = trade_id
        trade = Trade(
            trade_id=trade_id,
            order_id=fill.order_id,
            symbol=fill.symbol,
            side=fill.side,
            price=fill.price,
            quantity=fill.quantity,
            realized=realized,
            commission=fill.fee,
            asset=asset,
            maker=fill.maker,
            time_ms=fill.time_ms,
            position_side=fill.position_side,
        )
        self.trades.append(trade)
        if realized:
            self._earn(fill.symbol, "REALIZED_PNL", realized, asset, fill.time_ms, str(trade_id))
        if fill.fee:
            self._earn(fill.symbol, "COMMISSION", -fill.fee, asset, fill.time_ms, str(trade_id))
        return trade

    def transfer(self, asset: str, amount: Decimal, kind: str, now_ms: int) -> int:
        """Money that comes (positive) or goes; returns the transaction's number.

        `amount` has at most eight places. `kind` is the income type it is shown as.
        """
        wallet = self.wallets[asset]
        wallet.transfers += amount
        wallet.balance += amount
        wallet.updated_ms = now_ms
        self._earn("", kind, amount, asset, now_ms, "")
        return self._tran_id

    def charge(self, asset: str, symbol: str, kind: str, amount: Decimal, now_ms: int) -> Decimal:
        """Take a fee that is no trade's commission (liquidation clearance); returns it, rounded.

        A negative one is given: the insurance fund makes up for a loss beyond the wallet.
        """
        fee = money(amount)
        wallet = self.wallets[asset]
        wallet.fees += fee
        wallet.balance -= fee
        wallet.updated_ms = now_ms
        if fee:
            self._earn(symbol, kind, -fee, asset, now_ms, "")
        return fee

    def fund(
        self,
        symbol: str,
        rate: Decimal,
        mark: Decimal,
        now_ms: int,
        side: PositionSide = PositionSide.BOTH,
    ) -> Decimal:
        """Settle funding of one position: longs pay a positive rate. Returns what was received."""
        position = self.position(symbol, side)
        amount = money(-position.quantity * mark * rate)
        if not amount:
            return ZERO
        wallet = self.wallets[position.asset]
        wallet.funding += amount
        wallet.balance += amount
        wallet.updated_ms = now_ms
        if position.isolated:
            position.isolated_wallet += amount
        self._earn(symbol, "FUNDING_FEE", amount, position.asset, now_ms, "")
        return amount

    def _earn(
        self, symbol: str, kind: str, amount: Decimal, asset: str, now_ms: int, trade_id: str
    ) -> None:
        self._tran_id += 1
        self.income.append(Income(symbol, kind, amount, asset, now_ms, self._tran_id, trade_id))

    def open_positions(self, asset: str | None = None) -> list[Position]:
        return [
            position
            for position in (*self.positions.values(), *self._hedged.values())
            if position.quantity and (asset is None or position.asset == asset)
        ]

    def isolated_margin(self, asset: str) -> Decimal:
        """Sum of the margins set aside for isolated positions."""
        rows = self.open_positions(asset)
        return sum((row.isolated_wallet for row in rows if row.isolated), ZERO)

    def cross_wallet(self, asset: str) -> Decimal:
        return self.wallets[asset].balance - self.isolated_margin(asset)
