"""Account over REST (floor 2a): balances, positions, trades, income, modes, listen key."""

import msgspec

from core.domain.account import (
    AccountConfig,
    Balance,
    ExchangePosition,
    IncomeRow,
    KeyPermissions,
    RuleIndicator,
    SymbolConfig,
)
from core.domain.enums import Lane
from core.domain.errors import Refused
from core.domain.position import Fill
from core.exchange import endpoints as ep
from core.exchange import error_map
from core.exchange import rest_bodies as rb
from core.exchange import rest_codec as rc
from core.exchange.gateway import Gateway
from core.exchange.symbols import SymbolMap

_ACCOUNT = msgspec.json.Decoder(rb.AccountBody)
_POSITIONS = msgspec.json.Decoder(list[rb.PositionBody])
_TRADES = msgspec.json.Decoder(list[rb.TradeBody])
_INCOME = msgspec.json.Decoder(list[rb.IncomeBody])
_CONFIG = msgspec.json.Decoder(rb.AccountConfigBody)
_SYMBOL_CONFIGS = msgspec.json.Decoder(list[rb.SymbolConfigBody])
_TRADING_STATUS = msgspec.json.Decoder(rb.TradingStatusBody)
_RESTRICTIONS = msgspec.json.Decoder(rb.RestrictionsBody)
_LISTEN_KEY = msgspec.json.Decoder(rb.ListenKeyBody)

_PAGE = 1_000
_MAX_PAGES = 50
_WEEK_MS = 7 * 86_400_000


class AccountDesk:
    """Account calls of `OptimizedExchangeClient`."""

    def __init__(self, gateway: Gateway, symbols: SymbolMap) -> None:
        self._gateway = gateway
        self._symbols = symbols

    async def balances(self) -> tuple[Balance, ...]:
        return await self._gateway.call(
            ep.ACCOUNT, {}, Lane.MANAGE, lambda body: rc.balances(_ACCOUNT.decode(body))
        )

    async def rule_indicators(self) -> tuple[RuleIndicator, ...]:
        """The exchange's count of our order ratios."""
        return await self._gateway.call(
            ep.TRADING_STATUS,
            {},
            Lane.DATA,
            lambda body: rc.rule_indicators(_TRADING_STATUS.decode(body), self._symbols),
        )

    async def positions(self) -> tuple[ExchangePosition, ...]:
        return await self._gateway.call(
            ep.POSITIONS,
            {},
            Lane.MANAGE,
            lambda body: rc.positions(_POSITIONS.decode(body), self._symbols),
        )

    async def trades(
        self, symbol: str, *, order_id: int | None, start_ms: int | None
    ) -> tuple[Fill, ...]:
        """Executions, oldest first.

        With a time window the exchange returns its oldest rows and refuses windows over seven
        days, so the whole span since `start_ms` is read forward, window by window.
        """
        params = {"symbol": self._symbols.to_wire(symbol), "limit": str(_PAGE)}
        if order_id is not None:
            return await self._trade_page({**params, "orderId": str(order_id)})
        if start_ms is None:
            return await self._trade_page(params)
        found: dict[int, Fill] = {}
        now_ms = self._gateway.time.now_ms()
        begin = start_ms
        for _ in range(_MAX_PAGES):
            window = {**params, "startTime": str(begin), "endTime": str(begin + _WEEK_MS - 1)}
            page = await self._trade_page(window)
            found.update({fill.trade_id: fill for fill in page})
            full = len(page) >= _PAGE
            begin = max(page[-1].time_ms, begin + 1) if full else begin + _WEEK_MS
            if begin > now_ms:
                break
        return tuple(sorted(found.values(), key=lambda fill: (fill.time_ms, fill.trade_id)))

    async def income(self, *, kind: str | None, start_ms: int | None) -> tuple[IncomeRow, ...]:
        """Income rows, oldest first, paged by time (the endpoint has no page number)."""
        params = {"limit": str(_PAGE)}
        if kind is not None:
            params["incomeType"] = kind
        if start_ms is None:
            return await self._income_page(params)
        found: dict[tuple[str, str, str, int], IncomeRow] = {}
        begin = start_ms
        for _ in range(_MAX_PAGES):
            page = await self._income_page({**params, "startTime": str(begin)})
            found.update({(row.tran_id, row.kind, row.asset, row.time_ms): row for row in page})
            if len(page) < _PAGE or page[-1].time_ms == begin:
                break
            begin = page[-1].time_ms
        return tuple(sorted(found.values(), key=lambda row: row.time_ms))

    async def config(self) -> AccountConfig:
        return await self._gateway.call(
            ep.ACCOUNT_CONFIG, {}, Lane.MANAGE, lambda body: rc.account_config(_CONFIG.decode(body))
        )

    async def symbol_configs(self) -> tuple[SymbolConfig, ...]:
        return await self._gateway.call(
            ep.SYMBOL_CONFIG,
            {},
            Lane.MANAGE,
            lambda body: rc.symbol_configs(_SYMBOL_CONFIGS.decode(body), self._symbols),
        )

    async def key_permissions(self) -> KeyPermissions:
        """What the key may do. Exists on the production host only."""
        return await self._gateway.call(
            ep.API_RESTRICTIONS,
            {},
            Lane.MANAGE,
            lambda body: rc.key_permissions(_RESTRICTIONS.decode(body)),
        )

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        params = {"symbol": self._symbols.to_wire(symbol), "leverage": str(leverage)}
        await self._gateway.call(ep.SET_LEVERAGE, params, Lane.MANAGE, _ignore)

    async def set_margin_type(self, symbol: str, *, isolated: bool) -> None:
        """Already in that margin type is success."""
        margin_type = "ISOLATED" if isolated else "CROSSED"
        params = {"symbol": self._symbols.to_wire(symbol), "marginType": margin_type}
        try:
            await self._gateway.call(ep.SET_MARGIN_TYPE, params, Lane.MANAGE, _ignore)
        except Refused as refusal:
            if refusal.code != error_map.MARGIN_TYPE_UNCHANGED:
                raise

    async def create_listen_key(self) -> str:
        """A key valid for 60 min; with an active key the exchange answers and extends that one."""
        return await self._gateway.call(
            ep.CREATE_LISTEN_KEY, {}, Lane.MANAGE, lambda body: _LISTEN_KEY.decode(body).listen_key
        )

    async def keep_listen_key(self) -> None:
        """Extend by 60 min. Refused with code -1125 when the key is gone."""
        await self._gateway.call(ep.KEEP_LISTEN_KEY, {}, Lane.MANAGE, _ignore)

    async def _trade_page(self, params: dict[str, str]) -> tuple[Fill, ...]:
        return await self._gateway.call(
            ep.USER_TRADES,
            params,
            Lane.MANAGE,
            lambda body: rc.fills(_TRADES.decode(body), self._symbols),
        )

    async def _income_page(self, params: dict[str, str]) -> tuple[IncomeRow, ...]:
        return await self._gateway.call(
            ep.INCOME,
            params,
            Lane.MANAGE,
            lambda body: rc.income(_INCOME.decode(body), self._symbols),
        )


def _ignore(_: bytes) -> None:
    return None
