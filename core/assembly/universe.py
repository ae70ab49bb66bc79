"""The symbols traded now (floor 7): asks the exchange, lets SymbolManager choose, tells."""

import asyncio
from collections.abc import Callable, Mapping

from core.config import TradingConfig
from core.domain.errors import VenueError
from core.domain.money import ZERO
from core.domain.ports import Clock, JsonValue
from core.exchange.market_data import MarketData
from core.exchange_client import OptimizedExchangeClient
from core.observe.narrator import LogEvent
from core.order_manager import OrderManager
from core.symbol_manager import Candidate, SymbolManager

_LOOK_EVERY_S = 60.0


class Universe:
    """`choose` renews the list, `rotate` does so whenever it is due."""

    def __init__(
        self,
        *,
        config: TradingConfig,
        client: OptimizedExchangeClient,
        orders: OrderManager,
        market: MarketData,
        manager: SymbolManager,
        note: Callable[[Mapping[str, JsonValue]], None],
        log: LogEvent,
        clock: Clock,
    ) -> None:
        self._config = config
        self._client = client
        self._orders = orders
        self._market = market
        self._manager = manager
        self._note = note
        self._log = log
        self._clock = clock

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._manager.symbols

    async def choose(self) -> None:
        """Choose anew and set leverage and margin type of what is new. Raises VenueError."""
        candidates = await read_candidates(self._client)
        balances = await self._client.get_balances()
        self._orders.load_settings(await self._client.get_symbol_configs())
        quote = self._config.resolved_quote_coin
        equity = sum((row.equity for row in balances if row.asset == quote), ZERO)
        chosen = self._manager.select(candidates, equity=equity, held=self._orders.busy_symbols())
        for skipped in chosen.skipped:
            self._log("symbols", "DEBUG", f"{skipped.symbol} skipped: {skipped.reason}")
        for symbol in chosen.added:
            await self._orders.prepare_symbol(symbol, self._config.leverage_default)
        if chosen.added or chosen.removed:
            self._tell(chosen.symbols, len(chosen.skipped))

    def _tell(self, symbols: tuple[str, ...], skipped: int) -> None:
        names = ", ".join(symbol.split("/")[0] for symbol in symbols) or "none"
        self._log("symbols", "INFO", f"{len(symbols)} traded: {names}; {skipped} skipped")
        self._note({"action": "symbols", "traded": list(symbols), "skipped": skipped})

    async def rotate(self) -> None:
        """Look every minute whether the choice is due."""
        while True:
            await self._clock.sleep(_LOOK_EVERY_S)
            if not self._manager.is_due:
                continue
            try:
                await self.choose()
            except VenueError as error:
                self._log("symbols", "WARNING", f"choice kept, the exchange was not read: {error}")
                continue
            self._market.set_symbols(self.symbols)


async def read_candidates(client: OptimizedExchangeClient) -> list[Candidate]:
    """Every contract with its price, volume and spread now. Raises VenueError."""
    instruments, tickers, tops = await asyncio.gather(
        client.get_instruments(), client.get_tickers(), client.get_book_tops()
    )
    found = []
    for instrument in instruments:
        ticker, top = tickers.get(instrument.symbol), tops.get(instrument.symbol)
        found.append(
            Candidate(
                instrument=instrument,
                price=ticker.last if ticker else None,
                quote_volume=ticker.quote_volume if ticker else ZERO,
                spread=top.spread_ratio if top else None,
                volatility=ticker.range_ratio if ticker else None,
            )
        )
    return found
