"""Account, market and preflight calls: values from the exchange's bodies."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
from client_kit import SYMBOL, client_of
from exchange_stub import NOW_MS, Reply, Stub, symbol_row
from pydantic import SecretStr

from core.domain.enums import (
    ContractStatus,
    Side,
)
from core.domain.errors import (
    AccountError,
)
from core.exchange.endpoints import PRODUCTION
from core.exchange_client import (
    Credentials,
    OptimizedExchangeClient,
)
from core.kernel.clock import LiveClock

# --- account -------------------------------------------------------------------------------------


async def test_positions_without_zero_rows(stub: Stub, client: OptimizedExchangeClient) -> None:
    row = {
        "symbol": "XRPUSDC",
        "positionSide": "BOTH",
        "positionAmt": "-30",
        "entryPrice": "0.385",
        "markPrice": "0.41047590",
        "unRealizedProfit": "-0.76427700",
        "liquidationPrice": "0",
        "isolatedMargin": "2.5",
        "isolatedWallet": "3.1",
        "updateTime": 1720736417660,
    }
    phantom = {**row, "symbol": "1000SHIBUSDC", "positionAmt": "0.0"}
    stub.answer("GET", "/fapi/v3/positionRisk", Reply([row, phantom]))
    (position,) = await client.get_positions()
    assert position.symbol == SYMBOL
    assert position.quantity == Decimal(-30)
    assert position.unrealized == Decimal("-0.76427700")
    assert position.isolated


async def test_balances_count_the_quote_coin(client: OptimizedExchangeClient) -> None:
    balances = {each.asset: each for each in await client.get_balances()}
    assert balances["USDC"].wallet == Decimal("400.5")
    assert balances["USDC"].equity == Decimal(399)
    assert (await client.get_balance())["USDC"] == {
        "free": Decimal("350.25"),
        "used": Decimal("48.75"),
        "total": Decimal(399),
    }


async def test_trades_since_a_time_are_read_forward(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    """A window holds seven days at most and answers with its oldest rows."""
    day = 86_400_000

    def answer(seen: Any) -> Reply:
        start, end = int(seen.params["startTime"]), int(seen.params["endTime"])
        assert end - start < 7 * day
        times = [time for time in (NOW_MS - 9 * day, NOW_MS - 1) if start <= time <= end]
        return Reply(
            [
                {
                    "symbol": "XRPUSDC",
                    "id": time,
                    "orderId": 5,
                    "side": "SELL",
                    "price": "0.5",
                    "qty": "10",
                    "realizedPnl": "-0.9",
                    "commission": "0.0025",
                    "commissionAsset": "USDC",
                    "time": time,
                    "maker": True,
                }
                for time in times
            ]
        )

    stub.answer("GET", "/fapi/v1/userTrades", answer)
    fills = await client.get_trades(SYMBOL, start_ms=NOW_MS - 10 * day)
    assert [fill.time_ms for fill in fills] == [NOW_MS - 9 * day, NOW_MS - 1]
    assert fills[0].commission == Decimal("0.0025")
    assert fills[0].side is Side.SELL


async def test_margin_type_already_set_is_success(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer(
        "POST",
        "/fapi/v1/marginType",
        Reply({"code": -4046, "msg": "No need to change margin type."}, 400),
    )
    await client.set_isolated(SYMBOL)
    (seen,) = stub.calls("POST", "/fapi/v1/marginType")
    assert seen.params["marginType"] == "ISOLATED"


# --- market --------------------------------------------------------------------------------------


async def test_instruments_from_filters_by_type(client: OptimizedExchangeClient) -> None:
    found = {each.symbol: each for each in await client.get_instruments()}
    assert sorted(found) == [
        "1000SHIB/USDC:USDC",
        "DOGE/USDC:USDC",
        SYMBOL,
        "XRP/USDT:USDT",
    ]
    xrp = found[SYMBOL]
    assert (xrp.tick, xrp.step, xrp.min_notional) == (
        Decimal("0.0001"),
        Decimal("0.1"),
        Decimal(5),
    )
    assert xrp.market_max_qty == Decimal(1600000)
    assert (xrp.percent_up, xrp.percent_down) == (Decimal("1.0500"), Decimal("0.9500"))
    assert [bracket.max_leverage for bracket in xrp.brackets] == [75, 50]
    assert xrp.brackets[0].maint_margin_ratio == Decimal("0.005")
    assert found["DOGE/USDC:USDC"].status is ContractStatus.OTHER
    assert client.instrument(SYMBOL) == xrp
    assert await client.get_usdc_symbols() == ["1000SHIB/USDC:USDC", SYMBOL]


async def test_markets_in_the_library_form(client: OptimizedExchangeClient) -> None:
    markets = await client.get_markets()
    assert markets[SYMBOL]["settle"] == "USDC"
    assert markets[SYMBOL]["contract"] is True


async def test_limits_come_from_the_exchange(client: OptimizedExchangeClient) -> None:
    assert client.budget.weight_limit == 6000
    assert client.budget.orders_10s_limit == 300


def kline(open_ms: int, close: str = "0.5") -> list[Any]:
    row = [open_ms, "0.5", "0.6", "0.4", close, "100", open_ms + 59_999, "50", 3]
    return [*row, "40", "20", "0"]


def klines(stub: Stub) -> None:
    def answer(seen: Any) -> Reply:
        start, limit = int(seen.params["startTime"]), int(seen.params["limit"])
        first = -(-start // 60_000) * 60_000
        opens = range(first, NOW_MS + 1, 60_000)
        return Reply([kline(open_ms) for open_ms in opens[:limit]])

    stub.answer("GET", "/fapi/v1/klines", answer)


async def test_only_closed_candles(stub: Stub, client: OptimizedExchangeClient) -> None:
    klines(stub)
    candles = await client.get_candles(SYMBOL, "1m", 5)
    assert len(candles) == 5
    assert candles[-1].open_ms == NOW_MS // 60_000 * 60_000 - 60_000
    assert candles[-1].close == 0.5


async def test_only_missing_candles_are_asked_for(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    klines(stub)
    await client.get_candles(SYMBOL, "1m", 50)
    await client.get_candles(SYMBOL, "1m", 30)
    assert len(stub.calls("GET", "/fapi/v1/klines")) == 1


async def test_many_candles_come_in_pages(stub: Stub, client: OptimizedExchangeClient) -> None:
    klines(stub)
    start = NOW_MS // 60_000 * 60_000 - 2_000 * 60_000
    candles = await client.get_candles(SYMBOL, "1m", 3_000, start_ms=start)
    assert len(candles) == 2_000
    assert [b.open_ms - a.open_ms for a, b in itertools.pairwise(candles)] == ([60_000] * 1_999)


async def test_tickers_are_cached_for_a_second(stub: Stub, client: OptimizedExchangeClient) -> None:
    await client.get_tickers()
    ticker = await client.get_ticker(SYMBOL)
    assert ticker.quote_volume == Decimal("123456.78")
    assert len(stub.calls("GET", "/fapi/v1/ticker/24hr")) == 1


# --- preflight -----------------------------------------------------------------------------------


async def test_preflight_of_a_good_account(stub: Stub, client: OptimizedExchangeClient) -> None:
    report = await client.verify_permissions()
    assert (report.wallet, report.available) == (Decimal("400.5"), Decimal("350.25"))
    assert report.permissions is None
    (probe,) = stub.calls("POST", "/fapi/v1/order/test")
    assert Decimal(probe.params["quantity"]) * Decimal("0.5") >= 5
    assert stub.calls("POST", "/fapi/v1/order") == []


CONFIG = {"feeTier": 0, "canTrade": True, "dualSidePosition": False, "multiAssetsMargin": False}
ONLY_USDT = {
    "assets": [
        {"asset": "USDT", "walletBalance": "9", "unrealizedProfit": "0", "availableBalance": "9"}
    ]
}


@pytest.mark.parametrize(
    ("method", "path", "reply", "says"),
    [
        ("GET", "/fapi/v1/accountConfig", Reply({**CONFIG, "canTrade": False}), "may not trade"),
        ("GET", "/fapi/v1/accountConfig", Reply({**CONFIG, "dualSidePosition": True}), "One-way"),
        (
            "GET",
            "/fapi/v1/accountConfig",
            Reply({**CONFIG, "multiAssetsMargin": True}),
            "Single-Asset",
        ),
        ("GET", "/fapi/v3/account", Reply(ONLY_USDT), "no USDC"),
        (
            "POST",
            "/fapi/v1/order/test",
            Reply({"code": -2015, "msg": "Invalid API-key, IP, or permissions."}, 401),
            "futures permission",
        ),
        (
            "GET",
            "/fapi/v1/exchangeInfo",
            Reply({"symbols": [symbol_row("XRPUSDT", "XRP", "USDT")]}),
            "QUOTE_COIN",
        ),
    ],
)
async def test_preflight_says_what_to_mend(
    stub: Stub, method: str, path: str, reply: Reply, says: str
) -> None:
    stub.answer(method, path, reply)
    client = client_of(stub.endpoints)
    await client.initialize()
    with pytest.raises(AccountError, match=says):
        await client.verify_permissions()
    await client.close()


async def test_a_refused_probe_still_proves_the_permission(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    stub.answer(
        "POST", "/fapi/v1/order/test", Reply({"code": -2019, "msg": "Margin is insufficient."}, 400)
    )
    assert (await client.verify_permissions()).wallet == Decimal("400.5")


def test_an_unusable_private_key_is_an_account_error() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMEECAQAwBQYDK2VwBCIEINONSENSE\n-----END PRIVATE KEY-----\n"
    with pytest.raises(AccountError, match="cannot sign"):
        OptimizedExchangeClient(
            PRODUCTION, Credentials(SecretStr("k"), SecretStr(pem)), LiveClock()
        )
