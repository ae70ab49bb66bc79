"""Account state as the exchange reports it (floor 0). Amounts are in the asset named beside."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset of the futures wallet; `wallet` excludes unrealised PnL."""

    asset: str
    wallet: Decimal
    available: Decimal
    unrealized: Decimal = Decimal(0)

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealized


@dataclass(frozen=True, slots=True)
class ExchangePosition:
    """A position row of positionRisk. `quantity` is signed: negative for a short."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized: Decimal
    liquidation_price: Decimal
    isolated: bool
    update_ms: int


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """Account-wide switches the daemon depends on."""

    can_trade: bool
    hedge_mode: bool
    multi_assets: bool


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """Per-symbol margin type and leverage."""

    symbol: str
    isolated: bool
    leverage: int


@dataclass(frozen=True, slots=True)
class RuleIndicator:
    """One ratio of the exchange's quantitative rules (apiTradingStatus).

    `symbol` is empty where the whole account is meant. While `locked`, positions may only be
    reduced; `recover_ms` is when that is planned to end (UTC ms, 0 unknown).
    """

    symbol: str
    name: str
    value: Decimal
    trigger: Decimal
    locked: bool
    recover_ms: int


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What the API key may do (production only; the demo network has no such endpoint)."""

    futures: bool
    withdrawals: bool
    ip_restricted: bool


@dataclass(frozen=True, slots=True)
class IncomeRow:
    """One row of the income history; `kind` is Binance's incomeType."""

    symbol: str
    kind: str
    amount: Decimal
    asset: str
    time_ms: int
    tran_id: str
    trade_id: str
