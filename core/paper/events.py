"""What the engine tells its user stream (floor 2c): a seam that keeps the engine synchronous."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from core.domain.enums import ExecutionType
from core.domain.money import ZERO
from core.paper.records import AlgoOrder, Order, Position, Trade, Wallet


@dataclass(frozen=True, slots=True)
class AccountChange:
    """Content of one ACCOUNT_UPDATE. `change` is the balance change that is neither PnL nor fee."""

    reason: str
    wallet: Wallet
    cross_wallet: Decimal
    position: Position | None
    mark: Decimal
    change: Decimal = ZERO
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class MarginCall:
    """One position that needs margin, with its mark price and maintenance margin."""

    position: Position
    mark: Decimal
    maintenance: Decimal


class UserEvents(Protocol):
    """Receives every change of the account, in the order in which it is to be sent."""

    def order_changed(
        self, order: Order, execution: ExecutionType, trade: Trade | None, now_ms: int
    ) -> None: ...

    def account_changed(self, change: AccountChange, now_ms: int) -> None: ...

    def algo_changed(self, algo: AlgoOrder, now_ms: int) -> None: ...

    def leverage_changed(self, symbol: str, leverage: int, now_ms: int) -> None: ...

    def margin_called(
        self, calls: Sequence[MarginCall], cross_wallet: Decimal, now_ms: int
    ) -> None: ...

    def multi_assets_changed(self, now_ms: int, *, enabled: bool) -> None: ...
