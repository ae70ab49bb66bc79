"""User-stream frames to facts: recorded and documented shapes, oddities, garbage."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.enums import AlgoStatus, ExecutionType, OrderKind, OrderStatus, Side
from core.domain.facts import (
    AccountConfigUpdate,
    AccountUpdate,
    AlgoUpdate,
    ListenKeyExpired,
    MarginCall,
    OrderUpdate,
    TradeLite,
    UnknownEvent,
)
from core.exchange.codec import UserStreamCodec
from core.exchange.rest_codec import algo_order_status
from core.exchange.symbols import SymbolMap

FIXTURES = Path(__file__).parent / "fixtures"

ORDER: dict[str, Any] = {
    "e": "ORDER_TRADE_UPDATE",
    "T": 1749013292798,
    "E": 1749013292799,
    "o": {
        "s": "SOLUSDT",
        "c": "fOPYqvypuFM2LKJ3ihzKFZ",
        "S": "BUY",
        "o": "MARKET",
        "f": "GTC",
        "q": "0.09",
        "p": "0",
        "ap": "156.5",
        "sp": "0",
        "x": "TRADE",
        "X": "FILLED",
        "i": 121058809222,
        "l": "0.09",
        "z": "0.09",
        "L": "156.5",
        "n": "0.0070425",
        "N": "USDT",
        "T": 1749013292798,
        "t": 2369436085,
        "b": "0",
        "a": "0",
        "m": False,
        "R": False,
        "wt": "CONTRACT_PRICE",
        "ot": "MARKET",
        "ps": "BOTH",
        "cp": False,
        "rp": "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
        "er": "0",
    },
}


@pytest.fixture
def codec() -> UserStreamCodec:
    return UserStreamCodec(SymbolMap())


def order_frame(**changes: Any) -> bytes:
    event = {**ORDER, "o": {**ORDER["o"], **changes}}
    return json.dumps(event).encode()


def test_market_fill_as_recorded(codec: UserStreamCodec) -> None:
    fact = codec.decode(order_frame())
    assert fact == OrderUpdate(
        symbol="SOL/USDT:USDT",
        client_id="fOPYqvypuFM2LKJ3ihzKFZ",
        order_id=121058809222,
        side=Side.BUY,
        kind=OrderKind.MARKET,
        execution=ExecutionType.TRADE,
        status=OrderStatus.FILLED,
        quantity=Decimal("0.09"),
        price=Decimal(0),
        average_price=Decimal("156.5"),
        last_quantity=Decimal("0.09"),
        cumulative_quantity=Decimal("0.09"),
        last_price=Decimal("156.5"),
        commission=Decimal("0.0070425"),
        commission_asset="USDT",
        trade_id=2369436085,
        maker=False,
        reduce_only=False,
        realized_pnl=Decimal(0),
        event_ms=1749013292799,
        transaction_ms=1749013292798,
        expiry_reason="0",
    )


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        ("NEW", OrderStatus.LIVE),
        ("PARTIALLY_FILLED", OrderStatus.PARTIALLY_FILLED),
        ("FILLED", OrderStatus.FILLED),
        ("CANCELED", OrderStatus.CANCELED),
        ("REJECTED", OrderStatus.REJECTED),
        ("EXPIRED", OrderStatus.EXPIRED),
        ("EXPIRED_IN_MATCH", OrderStatus.EXPIRED),
    ],
)
def test_order_status_words(codec: UserStreamCodec, wire: str, status: OrderStatus) -> None:
    fact = codec.decode(order_frame(X=wire))
    assert isinstance(fact, OrderUpdate)
    assert fact.status is status


def test_commission_may_be_null_or_absent(codec: UserStreamCodec) -> None:
    fact = codec.decode(order_frame(n=None, N=None, x="NEW", X="NEW", l="0", z="0", t=0))
    assert isinstance(fact, OrderUpdate)
    assert (fact.commission, fact.commission_asset, fact.trade_id) == (Decimal(0), "", 0)


def test_only_an_execution_carries_a_trade(codec: UserStreamCodec) -> None:
    cancelled = codec.decode(order_frame(x="CANCELED", X="CANCELED"))
    liquidated = codec.decode(order_frame(x="CALCULATED", c="autoclose-1", o="LIQUIDATION"))
    assert isinstance(cancelled, OrderUpdate)
    assert isinstance(liquidated, OrderUpdate)
    assert cancelled.trade_id == 0
    assert liquidated.trade_id == 2369436085
    assert liquidated.kind is OrderKind.LIQUIDATION


def test_amounts_are_exact(codec: UserStreamCodec) -> None:
    text = "0.1000000000000000055511151231257827"
    fact = codec.decode(order_frame(q=text))
    assert isinstance(fact, OrderUpdate)
    assert fact.quantity == Decimal(text)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_frames_are_understood(codec: UserStreamCodec, path: Path) -> None:
    fact = codec.decode(path.read_bytes())
    assert not isinstance(fact, UnknownEvent), fact


def test_recorded_trigger_of_a_stop(codec: UserStreamCodec) -> None:
    fact = codec.decode((FIXTURES / "ws_futures_algo_update_triggered.json").read_bytes())
    assert isinstance(fact, AlgoUpdate)
    assert fact.status is AlgoStatus.TRIGGERED
    assert fact.order_id == 88937381063
    assert fact.algo_id == 1000000033225453
    assert fact.executed_quantity == 0


def test_algo_before_trigger_has_no_order_and_no_execution(codec: UserStreamCodec) -> None:
    frame = b"""{"e":"ALGO_UPDATE","T":1768015698681,"E":1768015698682,"o":{
        "caid":"qt","aid":1000000333505502,"at":"CONDITIONAL","o":"STOP_MARKET","s":"SOLUSDC",
        "S":"SELL","ps":"BOTH","f":"GTC","q":"0.04","X":"NEW","ai":"","tp":"136.12","p":"0",
        "R":true,"tt":0,"gtd":0}}"""
    fact = codec.decode(frame)
    assert isinstance(fact, AlgoUpdate)
    assert (fact.symbol, fact.order_id, fact.reason) == ("SOL/USDC:USDC", 0, "")
    assert fact.executed_quantity == Decimal(0)
    assert fact.trigger_price == Decimal("136.12")


@pytest.mark.parametrize(
    ("status", "executed", "expected"),
    [
        (AlgoStatus.NEW, "0", OrderStatus.LIVE),
        (AlgoStatus.TRIGGERING, "0", OrderStatus.TRIGGERED),
        (AlgoStatus.TRIGGERED, "0", OrderStatus.TRIGGERED),
        (AlgoStatus.FINISHED, "0.04", OrderStatus.FILLED),
        (AlgoStatus.FINISHED, "0", OrderStatus.EXPIRED),
        (AlgoStatus.CANCELED, "0", OrderStatus.CANCELED),
        (AlgoStatus.REJECTED, "0", OrderStatus.REJECTED),
        (AlgoStatus.EXPIRED, "0", OrderStatus.EXPIRED),
    ],
)
def test_algo_status_words(status: AlgoStatus, executed: str, expected: OrderStatus) -> None:
    assert algo_order_status(status, Decimal(executed)) is expected


def test_every_algo_status_has_a_meaning() -> None:
    for status in AlgoStatus:
        assert isinstance(algo_order_status(status, Decimal(0)), OrderStatus)


def test_account_update_keeps_only_what_changed(codec: UserStreamCodec) -> None:
    fact = codec.decode(
        b'{"e":"ACCOUNT_UPDATE","T":1,"E":2,"a":{"B":[{"a":"USDC","wb":"0.21843288",'
        b'"cw":"0.2","bc":"-0.01"}],"m":"FUNDING_FEE","S":"XRPUSDC"}}'
    )
    assert isinstance(fact, AccountUpdate)
    assert (fact.reason, fact.symbol, fact.positions) == ("FUNDING_FEE", "XRP/USDC:USDC", ())
    assert fact.balances[0].change == Decimal("-0.01")


def test_smaller_events(codec: UserStreamCodec) -> None:
    head = b'"E":1611646737479,"T":1611646737476,'
    leverage = codec.decode(
        b'{"e":"ACCOUNT_CONFIG_UPDATE",' + head + b'"ac":{"s":"BTCUSDC","l":25}}'
    )
    assets = codec.decode(b'{"e":"ACCOUNT_CONFIG_UPDATE",' + head + b'"ai":{"j":true}}')
    margin = codec.decode(
        b'{"e":"MARGIN_CALL","E":5,"cw":"3.1","p":[{"s":"ETHUSDC","ps":"BOTH","pa":"1"}]}'
    )
    number = codec.decode(b'{"e":"listenKeyExpired","E":1736996475556,"listenKey":"Ws"}')
    text = codec.decode(b'{"e":"listenKeyExpired","E":"1736996475556","listenKey":"Ws"}')
    lite = codec.decode((FIXTURES / "ws_futures_trade_lite.json").read_bytes())
    assert leverage == AccountConfigUpdate("BTC/USDC:USDC", 25, None, 1611646737479)
    assert assets == AccountConfigUpdate("", 0, True, 1611646737479)
    assert margin == MarginCall(("ETH/USDC:USDC",), 5)
    assert number == text == ListenKeyExpired(1736996475556)
    assert isinstance(lite, TradeLite)


def test_wrapped_frame_is_the_same_fact(codec: UserStreamCodec) -> None:
    bare = order_frame()
    assert codec.decode(b'{"stream":"key","data":' + bare + b"}") == codec.decode(bare)


@pytest.mark.parametrize(
    ("frame", "name", "event_ms"),
    [
        (b'{"e":"GRID_UPDATE","T":1,"E":7,"gu":{}}', "GRID_UPDATE", 7),
        (b'{"stream":"k","data":{"e":"STRATEGY_UPDATE","E":8}}', "STRATEGY_UPDATE", 8),
        (b"", "?", 0),
        (b"not json", "?", 0),
        (b"[]", "?", 0),
        (b'{"result":null,"id":1}', "?", 0),
        (b'{"e":"ORDER_TRADE_UPDATE","E":9,"T":9,"o":{}}', "ORDER_TRADE_UPDATE", 9),
    ],
)
def test_the_unknown_is_named_not_raised(
    codec: UserStreamCodec, frame: bytes, name: str, event_ms: int
) -> None:
    fact = codec.decode(frame)
    assert isinstance(fact, UnknownEvent)
    assert (fact.name, fact.event_ms) == (name, event_ms)
    assert fact.detail


@pytest.mark.parametrize(
    "changes", [{"X": "MELTED"}, {"S": "SIDEWAYS"}, {"o": "MAGIC"}, {"q": "abc"}, {"i": "x"}]
)
def test_unknown_words_in_a_known_event(codec: UserStreamCodec, changes: dict[str, Any]) -> None:
    fact = codec.decode(order_frame(**changes))
    assert isinstance(fact, UnknownEvent)
    assert fact.name == "ORDER_TRADE_UPDATE"


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    UserStreamCodec(SymbolMap()).decode(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_damaged_frame_raises(position: int, value: int) -> None:
    frame = bytearray(order_frame())
    frame[position % len(frame)] = value
    UserStreamCodec(SymbolMap()).decode(bytes(frame))


@pytest.mark.parametrize(
    ("wire", "normal"),
    [
        ("BTCUSDC", "BTC/USDC:USDC"),
        ("1000SHIBUSDT", "1000SHIB/USDT:USDT"),
        ("ETHBTC", "ETH/BTC:BTC"),
        ("BTCUSDT_270326", "BTC/USDT:USDT-270326"),
        ("\u5e01\u5b89USDT", "\u5e01\u5b89/USDT:USDT"),
        ("MYSTERY", "MYSTERY"),
    ],
)
def test_symbols_outside_the_map_get_a_sensible_name(wire: str, normal: str) -> None:
    assert SymbolMap().to_normal(wire) == normal
