"""Accounts with two coins as clients see them, in both asset modes."""

from typing import Any

import pytest
from ccxt.async_support import binanceusdm
from paper_kit import BTC, TETHER, Venue, api
from test_paper_streams import WAIT_S, open_user, socket

MARKET = {"side": "BUY", "type": "MARKET", "quantity": "0.01"}
TOTALS = (
    "totalInitialMargin",
    "totalMaintMargin",
    "totalWalletBalance",
    "totalUnrealizedProfit",
    "totalMarginBalance",
    "totalPositionInitialMargin",
    "totalOpenOrderInitialMargin",
    "totalCrossWalletBalance",
    "totalCrossUnPnl",
)


async def account(venue: Venue, version: str = "v3") -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer, and its assets by name."""
    status, body = await venue.call("GET", f"/fapi/{version}/account")
    assert status == 200
    return body, {row["asset"]: row for row in body["assets"]}


def column(total: str) -> str:
    name = total.removeprefix("total")
    return name[0].lower() + name[1:]


async def test_totals_count_one_coin_in_single_asset_mode(both: Venue) -> None:
    for symbol in (BTC, TETHER):
        await both.call("POST", "/fapi/v1/order", symbol=symbol, **MARKET)
    for version in ("v2", "v3"):
        body, assets = await account(both, version)
        assert list(assets) == ["USDC", "USDT"]
        assert (assets["USDC"]["walletBalance"], assets["USDT"]["walletBalance"]) == (
            "999.76000000",
            "499.76000000",
        )
        for total in (*TOTALS, "availableBalance", "maxWithdrawAmount"):
            assert body[total] == assets["USDT"][column(total)], total
    _, rows = await both.call("GET", "/fapi/v3/positionRisk")
    assert [(row["symbol"], row["marginAsset"]) for row in rows] == [
        (BTC, "USDC"),
        (TETHER, "USDT"),
    ]
    _, info = await both.call("GET", "/fapi/v1/exchangeInfo", signed=False)
    assert [row["asset"] for row in info["assets"]] == ["USDC", "USDT"]
    assert {row["marginAsset"] for row in info["symbols"]} == {"USDC", "USDT"}


async def test_totals_count_every_coin_in_multi_assets_mode(both: Venue) -> None:
    status, body = await both.call("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
    assert (status, body) == (200, {"code": 200, "msg": "success"})
    for symbol in (BTC, TETHER):
        await both.call("POST", "/fapi/v1/order", symbol=symbol, **MARKET)
    both.tick("60600")
    for version in ("v2", "v3"):
        body, assets = await account(both, version)
        for total in TOTALS:
            summed = sum(float(row[column(total)]) for row in assets.values())
            assert float(body[total]) == pytest.approx(summed), total
        shown = {row["availableBalance"] for row in assets.values()}
        assert shown == {body["availableBalance"]}
        free = float(body["totalMarginBalance"]) - float(body["totalInitialMargin"])
        assert float(body["availableBalance"]) == pytest.approx(free)
        assert float(assets["USDT"]["maxWithdrawAmount"]) <= 499.76
    _, rows = await both.call("GET", "/fapi/v3/balance")
    assert len({row["availableBalance"] for row in rows}) == 1
    _, config = await both.call("GET", "/fapi/v1/accountConfig")
    assert config["multiAssetsMargin"] is True
    again, body = await both.call("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
    assert (again, body["code"]) == (400, -4171)
    refused, body = await both.call(
        "POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED"
    )
    assert (refused, body["code"]) == (400, -4168)


async def test_the_switch_is_told(both: Venue) -> None:
    key = await open_user(both)
    async with socket(both, f"/private/ws?listenKey={key}") as ws:
        await both.call("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
        event = await ws.receive_json(timeout=WAIT_S)
    assert (event["e"], event["ai"]) == ("ACCOUNT_CONFIG_UPDATE", {"j": True})


async def test_collateral_rates(both: Venue) -> None:
    _, rows = await both.call("GET", "/fapi/v1/assetIndex", signed=False)
    assert [row["symbol"] for row in rows] == ["USDCUSD", "USDTUSD"]
    _, row = await both.call("GET", "/fapi/v1/assetIndex", signed=False, symbol="USDTUSD")
    assert row["symbol"] == "USDTUSD"
    rates = [row[name] for name in ("index", "bidRate", "askRate", "autoExchangeBidRate")]
    assert rates == ["1.00000000"] * 4
    _, body = await both.call("GET", "/fapi/v1/assetIndex", signed=False, symbol="BNBUSD")
    assert body["code"] == -1121


async def test_a_transfer_is_an_event_an_income_and_a_balance(both: Venue) -> None:
    key = await open_user(both)
    async with socket(both, f"/private/ws?listenKey={key}") as ws:
        _, body = await both.call(
            "POST",
            "/sapi/v1/asset/transfer",
            type="MAIN_UMFUTURE",
            asset="USDT",
            amount="25.5",
        )
        event = await ws.receive_json(timeout=WAIT_S)
        by_hand = {"op": "transfer", "params": {"asset": "USDC", "amount": "-100"}}
        assert (await api(both, "POST", "/paper/manual", by_hand))[0] == 200
        second = await ws.receive_json(timeout=WAIT_S)
    assert (event["a"]["m"], event["a"]["P"]) == ("DEPOSIT", [])
    assert event["a"]["B"] == [
        {"a": "USDT", "wb": "525.50000000", "cw": "525.50000000", "bc": "25.5"}
    ]
    assert (second["a"]["m"], second["a"]["B"][0]["bc"]) == ("WITHDRAW", "-100")
    _, rows = await both.call("GET", "/fapi/v1/income", incomeType="TRANSFER")
    assert [(row["asset"], row["income"], row["symbol"]) for row in rows] == [
        ("USDT", "25.50000000", ""),
        ("USDC", "-100.00000000", ""),
    ]
    assert rows[0]["tranId"] == body["tranId"]
    status, body = await both.call(
        "POST", "/sapi/v1/asset/transfer", type="UMFUTURE_MAIN", asset="USDC", amount="900.01"
    )
    assert (status, body["code"]) == (400, -2018)
    assert both.server.transfers_total("USDC") == -100


async def test_ccxt_moves_money_and_sees_both_coins(both: Venue, tether: binanceusdm) -> None:
    moved = await tether.transfer("USDT", 10, "spot", "linear")
    assert moved["id"]
    await tether.create_order("BTC/USDT:USDT", "market", "buy", 0.01)
    balance = await tether.fetch_balance()
    assert (balance["USDC"]["total"], balance["USDT"]["total"]) == (1000.0, 509.76)
    held = await tether.fetch_positions(["BTC/USDT:USDT"])
    assert [row["contracts"] for row in held] == [0.01]


async def test_isolated_margin_moves_have_a_history(both: Venue) -> None:
    await both.call("POST", "/fapi/v1/marginType", symbol=TETHER, marginType="ISOLATED")
    await both.call("POST", "/fapi/v1/order", symbol=TETHER, **MARKET)
    path = "/fapi/v1/positionMargin"
    for kind, amount in ((1, "20.5"), (1, "5"), (2, "3")):
        status, _ = await both.call("POST", path, symbol=TETHER, amount=amount, type=kind)
        assert status == 200
    _, rows = await both.call("GET", f"{path}/history", symbol=TETHER)
    assert [(row["type"], row["amount"]) for row in rows] == [(1, "20.5"), (1, "5"), (2, "3")]
    assert set(rows[0]) == {
        *("symbol", "type", "deltaType", "amount", "asset", "time", "positionSide")
    }
    assert (rows[0]["asset"], rows[0]["deltaType"]) == ("USDT", "USER_ADJUST")
    _, rows = await both.call("GET", f"{path}/history", symbol=TETHER, type=2)
    assert [row["amount"] for row in rows] == ["3"]
    assert (await both.call("GET", f"{path}/history", symbol=BTC))[1] == []
    now = both.clock.now_ms()
    for params, code in (
        ({"type": 3}, -1130),
        ({"startTime": now, "endTime": now - 1}, -1023),
        ({"startTime": now - 31 * 86_400_000, "endTime": now}, -4165),
    ):
        _, body = await both.call("GET", f"{path}/history", symbol=TETHER, **params)
        assert body["code"] == code
