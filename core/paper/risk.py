"""Margin, margin calls, liquidation and ADL of the account's positions (floor 2c).

Cross positions of an asset share its wallet and fall together; in multi-assets mode those of every
asset share all wallets, dollar for dollar. An isolated position falls alone and loses no more than
its own margin. What a liquidation leaves below zero the insurance fund pays. Nobody else trades
here, so ADL comes only from a rehearsal.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

from core.domain.enums import ExecutionType, OrderKind, Side
from core.domain.money import ZERO
from core.paper import ledger as books
from core.paper import margin
from core.paper.errors import ApiError, refuse
from core.paper.events import MarginCall, UserEvents
from core.paper.ledger import Ledger
from core.paper.market import Market
from core.paper.matching import Matcher
from core.paper.records import (
    AccountFlags,
    MarginMove,
    Order,
    OrderSpec,
    Position,
    PositionSide,
    Trade,
)

CALL_RATIO = Decimal("0.8")
"""Share of the margin balance the maintenance margin may take before MARGIN_CALL is sent."""
AUTO_EXCHANGE_BELOW = Decimal("-0.1")
"""`autoAssetExchange`: a wallet below it is filled from the others in multi-assets mode."""


class RiskDesk:
    """Margin arithmetic over live positions, and forced endings of positions."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        ledger: Ledger,
        matcher: Matcher,
        events: UserEvents,
        now_ms: Callable[[], int],
        flags: AccountFlags,
    ) -> None:
        self._flags = flags
        self._markets = markets
        self._ledger = ledger
        self._matcher = matcher
        self._events = events
        self._now_ms = now_ms
        self._forced = 0
        self._called: dict[tuple[str, PositionSide], None] = {}
        self.on_liquidated: Callable[[Order, Trade], None] = lambda order, trade: None

    # --- margin ----------------------------------------------------------------------------------

    def order_margin(self, symbol: str, extra: OrderSpec | None = None) -> Decimal:
        """Margin held for working orders: what the worse side adds to each position's own."""
        market = self._markets[symbol]
        total = ZERO
        for position in self._ledger.of_symbol(symbol):
            held = position.quantity * market.mark
            bids = market.resting_notional(Side.BUY, position.side)
            asks = market.resting_notional(Side.SELL, position.side)
            adds = extra is not None and extra.position_side is position.side
            if extra is not None and adds and not extra.reduce_only:
                notional = extra.quantity * self._worst_price(market, extra)
                if extra.side is Side.BUY:
                    bids += notional
                else:
                    asks += notional
            worst = max(abs(held + bids), abs(held - asks), abs(held))
            total += margin.initial(worst - abs(held), position.leverage)
        return total

    @staticmethod
    def _worst_price(market: Market, spec: OrderSpec) -> Decimal:
        best = market.book.best_against(spec.side)
        return spec.price if spec.kind is OrderKind.LIMIT else best

    def unrealized(self, position: Position) -> Decimal:
        return position.unrealized(self._markets[position.symbol].mark)

    def cross_unrealized(self, asset: str) -> Decimal:
        """Unrealised PnL of the asset's own cross positions."""
        rows = self._ledger.open_positions(asset)
        return sum((self.unrealized(row) for row in rows if not row.isolated), ZERO)

    def _pool(self, asset: str) -> tuple[str, ...]:
        """Assets whose money backs a cross position in `asset`."""
        return tuple(self._ledger.wallets) if self._flags.multi_assets else (asset,)

    def _cross(self, asset: str) -> list[Position]:
        """Cross positions that stand and fall with one in `asset`."""
        pool = self._pool(asset)
        rows = self._ledger.open_positions()
        return [row for row in rows if row.asset in pool and not row.isolated]

    def position_margin(self, position: Position) -> Decimal:
        """Initial margin of a position at its mark price."""
        mark = self._markets[position.symbol].mark
        return margin.initial(position.quantity * mark, position.leverage)

    def maintenance(self, position: Position) -> Decimal:
        market = self._markets[position.symbol]
        return margin.maintenance(market.contract, position.quantity * market.mark)

    def _in_use(self, asset: str) -> Decimal:
        """Initial margins of the cross positions and of the working orders."""
        pool = self._pool(asset)
        used = sum((self.position_margin(row) for row in self._cross(asset)), ZERO)
        for symbol, market in self._markets.items():
            if market.orders and market.contract.quote in pool:
                used += self.order_margin(symbol)
        return used

    def free(self, asset: str) -> Decimal:
        """Cross wallet and its PnL less margins in use; negative when more is in use."""
        return self._equity(asset) - self._in_use(asset)

    def available(self, asset: str) -> Decimal:
        """What new orders may use; never negative."""
        return max(self.free(asset), ZERO)

    def withdrawable(self, asset: str) -> Decimal:
        """What may leave the wallet: gains not yet realised stay. Never negative."""
        gains = sum((max(self.cross_unrealized(coin), ZERO) for coin in self._pool(asset)), ZERO)
        left = min(self.free(asset) - gains, self._ledger.cross_wallet(asset))
        return max(left, ZERO)

    def check_margin(self, spec: OrderSpec) -> None:
        """Raises ApiError -2019 or -2027 when an order that may add risk cannot be carried."""
        if spec.reduce_only:
            return
        market = self._markets[spec.symbol]
        position = self._ledger.position(spec.symbol, spec.position_side)
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

    def move_margin(self, position: Position, amount: Decimal, *, add: bool) -> None:
        """Put money into an isolated position or take it out.

        Raises ApiError -4054 (nothing isolated to move it to), -4055, -4050, -4051.
        """
        if amount <= 0:
            raise refuse(-4055)
        if not position.quantity or not position.isolated:
            raise refuse(-4054)
        if add:
            if amount > self.available(position.asset):
                raise refuse(-4050)
            position.isolated_wallet += amount
        else:
            spare = position.isolated_wallet - self.position_margin(position)
            if amount > spare + min(self.unrealized(position), ZERO):
                raise refuse(-4051)
            position.isolated_wallet -= amount
        now = self._now_ms()
        position.updated_ms = now
        self._ledger.margin_moves.append(
            MarginMove(position.symbol, position.side, amount, position.asset, now, added=add)
        )
        self._matcher.tell_account(position, "MARGIN_TRANSFER")

    # --- liquidation prices ----------------------------------------------------------------------

    def isolated_liquidation_price(self, position: Position) -> Decimal:
        """Mark price that liquidates an isolated position; 0 when there is none."""
        if not position.quantity or not position.isolated:
            return ZERO
        return self._liquidation_price(position, position.isolated_wallet)

    def liquidation_price(self, position: Position) -> Decimal:
        """As shown to clients; for a cross position with the rest of the wallet as its margin."""
        if position.isolated or not position.quantity:
            return self.isolated_liquidation_price(position)
        spare = (
            self._equity(position.asset)
            - self.unrealized(position)
            - self._cross_maintenance(position.asset)
            + self.maintenance(position)
        )
        return self._liquidation_price(position, spare)

    def _liquidation_price(self, position: Position, spare: Decimal) -> Decimal:
        market = self._markets[position.symbol]
        return margin.liquidation_price(
            market.contract, position.quantity, position.cost, market.mark, spare
        )

    def _cross_maintenance(self, asset: str) -> Decimal:
        return sum((self.maintenance(row) for row in self._cross(asset)), ZERO)

    # --- margin calls ----------------------------------------------------------------------------

    def check(self, market: Market) -> None:
        """After a move of one symbol's price: call for margin, or take cross positions over."""
        held = [row for row in self._ledger.of_symbol(market.symbol) if row.quantity]
        if not held:
            return
        for asset in sorted({row.asset for row in held if not row.isolated}):
            if self._equity(asset) <= self._cross_maintenance(asset):
                for row in self._cross(asset):
                    self.liquidate(row)
                self._insure(asset)
        self._call([row for row in held if row.quantity])

    def _equity(self, asset: str) -> Decimal:
        return sum(
            (self._ledger.cross_wallet(c) + self.cross_unrealized(c) for c in self._pool(asset)),
            ZERO,
        )

    # --- debts -----------------------------------------------------------------------------------

    def exchange_assets(self, below: Decimal = AUTO_EXCHANGE_BELOW) -> None:
        """In multi-assets mode: pay a wallet's debt out of the others, one coin for another."""
        if not self._flags.multi_assets:
            return
        wallets = self._ledger.wallets
        for asset, wallet in wallets.items():
            if wallet.balance >= below:
                continue
            for other, rich in wallets.items():
                amount = min(-wallet.balance, rich.balance)
                if other != asset and amount > 0:
                    self._move(other, -amount, "AUTO_EXCHANGE")
                    self._move(asset, amount, "AUTO_EXCHANGE")

    def _move(self, asset: str, amount: Decimal, kind: str) -> None:
        self._ledger.transfer(asset, amount, kind, self._now_ms())
        self._matcher.tell_wallet(asset, kind, amount)

    def _insure(self, asset: str) -> None:
        """After a liquidation: the insurance fund pays what a cross wallet is below zero."""
        self.exchange_assets(below=ZERO)
        for coin in self._pool(asset):
            debt = -self._ledger.cross_wallet(coin)
            if debt > 0:
                self._ledger.charge(coin, "", "INSURANCE_CLEAR", -debt, self._now_ms())
                self._matcher.tell_wallet(coin, "INSURANCE_CLEAR", debt)

    def _call(self, positions: list[Position]) -> None:
        """MARGIN_CALL once per crossing of the ratio."""
        due = []
        for row in positions:
            if row.isolated:
                equity, need = row.isolated_wallet + self.unrealized(row), self.maintenance(row)
            else:
                equity, need = self._equity(row.asset), self._cross_maintenance(row.asset)
            key = (row.symbol, row.side)
            if need < equity * CALL_RATIO:
                self._called.pop(key, None)
            elif key not in self._called:
                self._called[key] = None
                mark = self._markets[row.symbol].mark
                due.append(MarginCall(row, mark, self.maintenance(row)))
        if due:
            asset = due[0].position.asset
            self._events.margin_called(due, self._ledger.cross_wallet(asset), self._now_ms())

    # --- taking positions over -------------------------------------------------------------------

    def force(self, symbol: str, how: Literal["liquidate", "adl"]) -> None:
        """End a symbol's positions at the current price (rehearsals). ApiError without one."""
        held = [row for row in self._ledger.of_symbol(symbol) if row.quantity]
        if not held:
            raise ApiError(-2024, "Position is not sufficient.")
        for row in held:
            if how == "adl":
                self._deleverage(row)
            else:
                self.liquidate(row)

    def liquidate(self, position: Position) -> None:
        """The exchange takes the position over, never at a worse price than bankruptcy."""
        market = self._markets[position.symbol]
        for order in list(market.orders.values()):
            self._matcher.cancel(order)
        price = market.mark
        if position.isolated:
            edge = margin.bankruptcy_price(
                position.quantity, position.cost, position.isolated_wallet
            )
            price = max(price, edge) if position.quantity > 0 else min(price, edge)
        left = position.isolated_wallet + position.unrealized(price)
        isolated, quantity = position.isolated, abs(position.quantity)
        self._forced += 1
        trade = self._take_over(position, price, f"autoclose-{self._now_ms()}{self._forced:06d}")
        fee = quantity * price * market.contract.liquidation_fee
        spare = left - trade.commission if isolated else self._ledger.cross_wallet(position.asset)
        charged = min(fee, max(spare, ZERO))
        taken = self._ledger.charge(
            position.asset, market.symbol, "INSURANCE_CLEAR", charged, self._now_ms()
        )
        if taken:
            self._matcher.tell_account(position, "INSURANCE_CLEAR", -taken)

    def _deleverage(self, position: Position) -> None:
        """Auto-deleveraging: a bankrupt counterparty's loss ends our gain, without a penalty."""
        self._take_over(position, self._markets[position.symbol].mark, "adl_autoclose")

    def _take_over(self, position: Position, price: Decimal, client_id: str) -> Trade:
        quantity = abs(position.quantity)
        order = self._matcher.liquidation_order(position, client_id)
        trade = self._matcher.execute(
            order, price, quantity, maker=False, execution=ExecutionType.CALCULATED
        )
        self.on_liquidated(order, trade)
        return trade
