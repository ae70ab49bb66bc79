"""The real ccxt, unchanged but for its addresses, against the paper exchange."""

import ccxt
import pytest
from ccxt.async_support import binanceusdm
from paper_kit import Venue

BTC = "BTC/USDC:USDC"


async def test_markets_carry_the_contracts_filters(client: binanceusdm) -> None:
    markets = await client.load_markets()
    assert set(markets) == {BTC, "ADA/USDC:USDC"}
    precision = markets[BTC]["precision"]
    assert (precision["amount"], precision["price"]) == (0.001, 0.1)
    assert markets[BTC]["limits"]["cost"]["min"] > 0


async def test_market_order_round_trip(client: binanceusdm) -> None:
    order = await client.create_order(
        BTC, "market", "buy", 0.01, params={"newClientOrderId": "abc-1"}
    )
    assert order["status"] == "closed"
    assert order["filled"] == 0.01
    assert order["average"] is None  # the venue stopped sending it; it has to be fetched
    again = await client.fetch_order(order["id"], BTC)
    assert again["average"] == 60000.0  # after an up move the last price is the ask
    assert again["clientOrderId"] == "abc-1"
    positions = await client.fetch_positions([BTC])
    assert [(row["side"], row["contracts"]) for row in positions] == [("long", 0.01)]
    closing = await client.create_order(BTC, "market", "sell", 0.01, params={"reduceOnly": True})
    assert closing["status"] == "closed"
    trades = await client.fetch_my_trades(BTC)
    assert [row["side"] for row in trades] == ["buy", "sell"]
    balance = await client.fetch_balance()
    paid = sum(row["fee"]["cost"] for row in trades)
    realized = sum(float(row["info"]["realizedPnl"]) for row in trades)
    assert balance["USDC"]["total"] == pytest.approx(1000 - paid + realized)


async def test_conditional_orders_live_in_their_own_list(client: binanceusdm) -> None:
    await client.create_order(BTC, "market", "buy", 0.01)
    stop = await client.create_order(
        BTC,
        "STOP_MARKET",
        "sell",
        0.01,
        params={"stopPrice": 59000, "reduceOnly": True, "clientAlgoId": "stop-1"},
    )
    assert stop["info"]["algoStatus"] == "NEW"
    assert await client.fetch_open_orders(BTC) == []
    listed = await client.fetch_open_orders(BTC, params={"trigger": True})
    assert [row["id"] for row in listed] == [stop["id"]]
    gone = await client.cancel_order(stop["id"], BTC, params={"trigger": True})
    assert gone["info"]["code"] == "200"
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(stop["id"], BTC, params={"trigger": True})


async def test_triggered_stop_is_found_under_both_ids(client: binanceusdm, venue: Venue) -> None:
    await client.create_order(BTC, "market", "buy", 0.01)
    stop = await client.create_order(
        BTC,
        "STOP_MARKET",
        "sell",
        0.01,
        params={"stopPrice": 59900, "reduceOnly": True, "clientAlgoId": "stop-2"},
    )
    venue.tick("59500")
    algo = await client.fetch_order(stop["id"], BTC, params={"trigger": True})
    assert algo["info"]["algoStatus"] == "FINISHED"
    order = await client.fetch_order(algo["info"]["actualOrderId"], BTC)
    assert order["status"] == "closed"
    assert order["clientOrderId"] == "stop-2"
    assert await client.fetch_positions([BTC]) == []


async def test_settings(client: binanceusdm) -> None:
    await client.set_leverage(5, BTC)
    await client.set_margin_mode("isolated", BTC)
    with pytest.raises(ccxt.MarginModeAlreadySet):
        await client.set_margin_mode("isolated", BTC)
    rows = await client.fetch_leverages([BTC])
    assert rows[BTC]["longLeverage"] == 5
    assert rows[BTC]["marginMode"] == "isolated"
    fee = await client.fetch_trading_fee(BTC)
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.0004)


async def test_market_data(client: binanceusdm) -> None:
    rows = await client.fetch_ohlcv(BTC, "5m", limit=10)
    assert len(rows) == 10
    assert {row[4] for row in rows} == {60000.0}
    ticker = await client.fetch_ticker(BTC)
    assert ticker["last"] == 60000
    book = await client.fetch_order_book(BTC, 20)
    assert book["asks"][0][0] > book["bids"][0][0]
    assert len(book["bids"]) == 20
    funding = await client.fetch_funding_rate(BTC)
    assert funding["markPrice"] == 60000
    history = await client.fetch_funding_rate_history(BTC, limit=5)
    assert len(history) == 5
    status = await client.fetch_status()
    assert status["status"] == "ok"
