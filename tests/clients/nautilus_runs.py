"""nautilus_trader, live: data, orders and a stop through its own node."""

import asyncio
from decimal import Decimal
from typing import Any

from harness import Checks, Place, expect, pause, place
from nautilus_models import answers, events
from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceInstrumentProviderConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide, TriggerType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

INSTRUMENT = InstrumentId.from_str("BTCUSDC-PERP.BINANCE")
SIZE = Decimal("0.010")
WAIT_S = 30


class Trader(Strategy):
    """Does what the checks tell it and remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig(order_id_tag="001"))
        self.seen: list[str] = []

    def on_start(self) -> None:
        self.subscribe_quote_ticks(INSTRUMENT)

    def on_quote_tick(self, tick: Any) -> None:
        self.seen.append("quote")

    def on_event(self, event: Any) -> None:
        self.seen.append(type(event).__name__)

    def quantity(self) -> Any:
        return self.cache.instrument(INSTRUMENT).make_qty(SIZE)

    def at_market(self, side: OrderSide) -> None:
        self.submit_order(self.order_factory.market(INSTRUMENT, side, self.quantity()))

    def stop_at(self, price: float) -> None:
        trigger = self.cache.instrument(INSTRUMENT).make_price(price)
        self.submit_order(
            self.order_factory.stop_market(
                INSTRUMENT,
                OrderSide.SELL,
                self.quantity(),
                trigger,
                trigger_type=TriggerType.LAST_PRICE,
                reduce_only=True,
            )
        )

    def limit_at(self, price: float) -> Any:
        instrument = self.cache.instrument(INSTRUMENT)
        order = self.order_factory.limit(
            INSTRUMENT, OrderSide.BUY, self.quantity(), instrument.make_price(price)
        )
        self.submit_order(order)
        return order


def node_of(at: Place, strategy: Trader) -> TradingNode:
    common = {
        "api_key": at.api_key,
        "api_secret": at.api_secret,
        "account_type": BinanceAccountType.USDT_FUTURES,
        "base_url_http": at.rest,
        "instrument_provider": BinanceInstrumentProviderConfig(load_ids=frozenset([INSTRUMENT])),
    }
    config = TradingNodeConfig(
        trader_id="TESTER-001",
        logging=LoggingConfig(log_level="ERROR", log_colors=False),
        data_clients={BINANCE: BinanceDataClientConfig(**common, base_url_ws=at.ws)},
        exec_clients={
            BINANCE: BinanceExecClientConfig(
                **common,
                base_url_ws=at.ws + "/ws-fapi/v1",
                base_url_ws_stream=at.ws + "/private",
            )
        },
    )
    node = TradingNode(config=config)
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    node.trader.add_strategy(strategy)
    node.build()
    return node


class Run:
    def __init__(self, at: Place, trader: Trader) -> None:
        self.at = at
        self.trader = trader

    async def told(self, *names: str) -> None:
        for _ in range(WAIT_S * 5):
            if set(names) <= set(self.trader.seen):
                return
            await pause(0.2)
        missing = sorted(set(names) - set(self.trader.seen))
        raise AssertionError(f"never told: {missing}; told {sorted(set(self.trader.seen))}")

    async def data(self) -> None:
        for step in range(5):
            self.at.shock(1.0003 if step % 2 else 0.9997)
            await pause(0.4)
        await self.told("quote")

    async def market_order(self) -> None:
        self.trader.at_market(OrderSide.BUY)
        await self.told("OrderAccepted", "OrderFilled", "PositionOpened")

    async def stop(self) -> None:
        self.trader.seen.clear()
        self.trader.stop_at(self.at.price() * 0.98)
        await self.told("OrderAccepted")
        self.at.shock(0.975)
        await self.told("OrderFilled", "PositionClosed")

    async def limit(self) -> None:
        self.trader.seen.clear()
        order = self.trader.limit_at(self.at.price() * 0.97)
        await self.told("OrderAccepted")
        instrument = self.trader.cache.instrument(INSTRUMENT)
        self.trader.modify_order(order, price=instrument.make_price(self.at.price() * 0.965))
        await self.told("OrderUpdated")
        self.trader.cancel_order(order)
        await self.told("OrderCanceled")
        expect(order.is_closed, "open")


async def main() -> None:
    at = place()
    trader = Trader()
    node = node_of(at, trader)
    running = asyncio.ensure_future(node.run_async())
    run, checks = Run(at, trader), Checks("nautilus")
    for _ in range(WAIT_S * 5):
        if trader.is_running:
            break
        await pause(0.2)
    for name, check in (
        ("market streams", run.data),
        ("market order", run.market_order),
        ("conditional orders", run.stop),
        ("limit, amend, batch", run.limit),
        ("answers by its structs", lambda: asyncio.to_thread(answers, at)),
        ("events by its structs", lambda: events(at)),
    ):
        await checks.run(name, check)
    await node.stop_async()
    await asyncio.wait([running], timeout=WAIT_S)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())  # the node stops the loop itself when it is disposed of
