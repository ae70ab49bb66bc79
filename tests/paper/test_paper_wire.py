"""User events have the keys and the JSON types of payloads recorded on the venue."""

import json

from paper_kit import BTC, Bench

from core.domain.enums import ExecutionType, OrderKind, Side
from core.paper import wire
from core.paper.records import AlgoOrder, Order, Trade
from core.paper.streams import encode

# Recorded on the venue: a market fill (2025-06), its early notice and account update, and the
# placement and the end of a stop (2026-01). Values are irrelevant here, keys and types are not.
ORDER = (
    '{"e":"ORDER_TRADE_UPDATE","T":1,"E":1,"o":{"s":"S","c":"c","S":"BUY","o":"MARKET","f":"GTC",'
    '"q":"0.09","p":"0","ap":"156.5","sp":"0","x":"TRADE","X":"FILLED","i":121058809222,'
    '"l":"0.09","z":"0.09","L":"156.5","n":"0.0070425","N":"USDT","T":1,"t":2369436085,"b":"0",'
    '"a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"MARKET","ps":"BOTH","cp":false,'
    '"rp":"0","pP":false,"si":0,"ss":0,"V":"EXPIRE_MAKER","pm":"NONE","gtd":0,"er":"0"}}'
)
LITE = (
    '{"e":"TRADE_LITE","E":1,"T":1,"s":"S","q":"0.09","p":"0.0000","m":false,"c":"c","S":"BUY",'
    '"L":"156.5000","l":"0.09","t":2369436085,"i":121058809222}'
)
ACCOUNT = (
    '{"e":"ACCOUNT_UPDATE","T":1,"E":1,"a":{"B":[{"a":"USDT","wb":"0.21843288","cw":"0.21843288",'
    '"bc":"0"}],"P":[{"s":"S","pa":"0.09","ep":"156.5","cr":"0.35020001","up":"-0.00824514",'
    '"mt":"cross","iw":"0","ps":"BOTH","ma":"USDT","bep":"156.57825"}],"m":"ORDER"}}'
)
ALGO_NEW = (
    '{"e":"ALGO_UPDATE","T":1,"E":1,"o":{"caid":"c","aid":1000000333505502,"at":"CONDITIONAL",'
    '"o":"STOP_MARKET","s":"S","S":"SELL","ps":"BOTH","f":"GTC","q":"0.04","X":"NEW","ai":"",'
    '"tp":"136.12","p":"0","V":"EXPIRE_MAKER","wt":"CONTRACT_PRICE","pm":"NONE","cp":false,'
    '"pP":false,"R":true,"tt":0,"gtd":0}}'
)
ALGO_DONE = ALGO_NEW.replace('"ai":""', '"ai":"188463665892","ap":"136.12","aq":"0.04","act":"M"')


def shape(value: object) -> object:
    """The payload with every leaf replaced by its JSON type."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def same_shape(payload: object, recorded: str) -> bool:
    return shape(json.loads(encode(payload))) == shape(json.loads(recorded))


def filled() -> tuple[Bench, Order, Trade]:
    bench = Bench()
    order = bench.market(Side.BUY, "0.010")
    return bench, order, bench.events.trades[0]


def test_order_event() -> None:
    _, order, trade = filled()
    assert same_shape(wire.order_event(order, ExecutionType.TRADE, trade, 1), ORDER)


def test_early_notice() -> None:
    bench, order, trade = filled()
    assert same_shape(wire.lite_event(order, trade, bench.exchange.contracts[BTC], 1), LITE)


def test_account_event() -> None:
    bench, _, _ = filled()
    assert same_shape(wire.account_event(bench.events.accounts[-1], 1), ACCOUNT)


def test_break_even_price_counts_the_fee() -> None:
    bench, order, trade = filled()
    event = json.loads(encode(wire.account_event(bench.events.accounts[-1], 1)))
    expected = order.average + trade.commission / trade.quantity
    assert event["a"]["P"][0]["bep"] == wire.plain(expected)


def test_algo_events() -> None:
    bench, _, _ = filled()
    algo: AlgoOrder = bench.algo(OrderKind.STOP_MARKET, Side.SELL, "0.010", "59000")
    assert same_shape(wire.algo_event(algo, 1), ALGO_NEW)
    bench.tick("58000")
    assert same_shape(wire.algo_event(algo, 1), ALGO_DONE)


def test_numbers_are_plain() -> None:
    bench = Bench(balance="100000000")
    bench.limit(Side.BUY, "100.000", "1000.0")
    order = bench.exchange.matcher.open_orders(BTC)[0]
    row = wire.order_row(order)
    assert (row["price"], row["origQty"], row["avgPrice"]) == ("1000", "100", "0")
