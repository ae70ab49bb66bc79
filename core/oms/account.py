"""The wallet as last told by the exchange (floor 3)."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from core.domain.account import Balance
from core.domain.enums import Direction
from core.domain.facts import AccountUpdate
from core.domain.money import ZERO
from core.domain.position import PositionView

MarkOf = Callable[[str], Decimal | None]


class AccountBook:
    """Wallet balances by asset, from REST snapshots and ACCOUNT_UPDATE events."""

    def __init__(self) -> None:
        self._wallet: dict[str, Decimal] = {}
        self._available: dict[str, Decimal] = {}
        self._event_ms = 0

    def load(self, balances: Iterable[Balance]) -> None:
        """Take a REST snapshot; the only source of what is available."""
        for balance in balances:
            self._wallet[balance.asset] = balance.wallet
            self._available[balance.asset] = balance.available

    def apply(self, event: AccountUpdate) -> None:
        """Events of one type come in order; an older one than the last is a late duplicate."""
        if event.event_ms < self._event_ms:
            return
        self._event_ms = event.event_ms
        for change in event.balances:
            self._wallet[change.asset] = change.wallet

    def wallet(self, asset: str) -> Decimal:
        """Wallet balance without unrealised PnL; 0 for an asset never seen."""
        return self._wallet.get(asset, ZERO)

    def available(self, asset: str) -> Decimal | None:
        """Free for new positions at the last snapshot; None before the first."""
        return self._available.get(asset)


def unrealized(view: PositionView, mark: Decimal | None) -> Decimal:
    """Open result at `mark` (quote coin); 0 while no mark price is known."""
    if mark is None:
        return ZERO
    move = mark - view.entry_price
    return abs(view.quantity) * (move if view.direction is Direction.LONG else -move)


def total_unrealized(positions: Iterable[PositionView], mark_of: MarkOf) -> Decimal:
    """Open result of all our positions at mark price (quote coin)."""
    return sum((unrealized(view, mark_of(view.symbol)) for view in positions), ZERO)
