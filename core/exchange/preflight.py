"""Can this account and key trade? (floor 2a)

Asked before the first order. Each refusal names the setting and where to change it (exit code 3);
what is only unwise comes back as a warning.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.account import AccountConfig, KeyPermissions
from core.domain.enums import OrderKind, Side
from core.domain.errors import AccountError, CredentialsDead, Refused
from core.domain.instrument import Instrument
from core.domain.intent import OrderRequest
from core.domain.money import ONE, ZERO, ceil_to_step
from core.exchange.account_desk import AccountDesk
from core.exchange.market_desk import MarketDesk
from core.exchange.order_desk import OrderDesk

CLOCK_ERROR_WARN_MS = 500
_PROBE_ID = "preflight-probe"


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found. `permissions` is None where the venue has no such endpoint."""

    config: AccountConfig
    permissions: KeyPermissions | None
    wallet: Decimal
    available: Decimal
    clock_error_ms: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Desks:
    account: AccountDesk
    orders: OrderDesk
    market: MarketDesk


async def verify(
    account: AccountDesk,
    orders: OrderDesk,
    market: MarketDesk,
    *,
    quote_coin: str,
    production: bool,
    clock_error_ms: int,
) -> Preflight:
    """Raises AccountError with the way to mend it; network trouble stays what it is."""
    desks = _Desks(account, orders, market)
    try:
        permissions = await account.key_permissions() if production else None
        _check_key(permissions)
        config = await account.config()
        _check_config(config)
        await _probe_trading(desks, quote_coin)
        wallet, available = await _balance(account, quote_coin)
    except CredentialsDead as error:
        raise AccountError(f"the exchange refuses the API key: {error.text}") from None
    return Preflight(
        config=config,
        permissions=permissions,
        wallet=wallet,
        available=available,
        clock_error_ms=clock_error_ms,
        warnings=_warnings(permissions, clock_error_ms),
    )


def _check_key(permissions: KeyPermissions | None) -> None:
    if permissions is not None and not permissions.futures:
        raise AccountError(
            "the API key lacks futures permission: API Management > edit the key > "
            "Enable Futures (the key must be newer than the futures account)"
        )


def _check_config(config: AccountConfig) -> None:
    if not config.can_trade:
        raise AccountError("the futures account may not trade: see the notice on the futures page")
    if config.hedge_mode:
        raise AccountError(
            "the account is in hedge mode: close all futures positions and orders (USDⓈ-M and "
            "COIN-M), then Futures > Preferences > Position Mode > One-way Mode"
        )
    if config.multi_assets:
        raise AccountError(
            "the account is in multi-assets mode, which excludes isolated margin: Futures > "
            "Preferences > Asset Mode > Single-Asset Mode"
        )


async def _probe_trading(desks: _Desks, quote_coin: str) -> None:
    """A read-only key shows itself on the first trade call, so one is validated, not placed."""
    contracts = await desks.market.load(brackets=True)
    candidates = [each for each in contracts if each.quote == quote_coin]
    if not candidates:
        raise AccountError(f"the venue lists no {quote_coin} perpetual: check QUOTE_COIN")
    contract = candidates[0]
    try:
        await desks.orders.test(_probe(contract, await _price(desks, contract)))
    except Refused:
        # A filter or margin refusal is an answer to a key that may trade.
        return


async def _price(desks: _Desks, contract: Instrument) -> Decimal:
    last = (await desks.market.ticker(contract.symbol)).last
    return last if last > ZERO else ONE


def _probe(contract: Instrument, price: Decimal) -> OrderRequest:
    wanted = max(contract.market_min_qty, contract.min_notional * 2 / price)
    return OrderRequest(
        client_id=_PROBE_ID,
        symbol=contract.symbol,
        side=Side.BUY,
        kind=OrderKind.MARKET,
        quantity=ceil_to_step(wanted, contract.market_step or contract.step),
    )


async def _balance(account: AccountDesk, quote_coin: str) -> tuple[Decimal, Decimal]:
    for balance in await account.balances():
        if balance.asset == quote_coin and balance.wallet > ZERO:
            return balance.wallet, balance.available
    raise AccountError(
        f"the futures wallet holds no {quote_coin}: transfer some to the USDⓈ-M futures wallet"
    )


def _warnings(permissions: KeyPermissions | None, clock_error_ms: int) -> tuple[str, ...]:
    found: list[str] = []
    if permissions is not None and permissions.withdrawals:
        found.append("the API key may withdraw: turn Enable Withdrawals off")
    if permissions is not None and not permissions.ip_restricted:
        found.append("the API key works from every address: restrict it to this machine's IP")
    if clock_error_ms > CLOCK_ERROR_WARN_MS:
        found.append(f"the exchange's clock is known to +-{clock_error_ms} ms only: slow network?")
    return tuple(found)
