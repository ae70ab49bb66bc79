"""What a failed call becomes, and what it never tells."""

import asyncio
import gc
import warnings

import pytest
from client_kit import (
    KEY,
    MARKET_ORDER,
    SECRET,
    STOP_ORDER,
    client_of,
    order_body,
)
from exchange_stub import NOW_MS, Reply, Stub

from core.domain.enums import (
    Lane,
    OrderStatus,
)
from core.domain.errors import (
    CredentialsDead,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RetryLater,
    VenueError,
)
from core.exchange.endpoints import Endpoints
from core.exchange_client import (
    OptimizedExchangeClient,
)
from core.kernel.clock import LiveClock

# --- errors --------------------------------------------------------------------------------------


async def submit_error(stub: Stub, client: OptimizedExchangeClient, reply: Reply) -> VenueError:
    stub.answer("POST", "/fapi/v1/order", reply)
    with pytest.raises(VenueError) as caught:
        await client.submit(MARKET_ORDER, Lane.PROTECT)
    return caught.value


@pytest.mark.parametrize(
    ("reply", "family"),
    [
        (Reply({"code": -2019, "msg": "Margin is insufficient."}, 400), Refused),
        (Reply({"code": -4999, "msg": "New rule."}, 400), Refused),
        (Reply({"code": -9999, "msg": "?"}, 400), OutcomeUnknown),
        (Reply({"code": -4116, "msg": "ClientOrderId is duplicated."}, 400), OutcomeUnknown),
        (Reply({"code": -1007, "msg": "Timeout waiting"}, 408), OutcomeUnknown),
        (
            Reply(text="Unknown error, please check your request or try again later.", status=503),
            OutcomeUnknown,
        ),
        (Reply(text="Service Unavailable.", status=503), RetryLater),
        (Reply({"code": -1008, "msg": "Request throttled"}, 503), RetryLater),
        (
            Reply(text="<html>503 Service Temporarily Unavailable</html>", status=503),
            OutcomeUnknown,
        ),
        (Reply(text='{"orderId": 1, "sym', status=200), OutcomeUnknown),
        (Reply(text="<html>welcome</html>", status=200), OutcomeUnknown),
        (Reply({"orderId": 1}), OutcomeUnknown),
        (Reply({"code": -2015, "msg": "Invalid API-key"}, 401), CredentialsDead),
        (Reply(drop=True), OutcomeUnknown),
    ],
)
async def test_what_an_order_error_means(
    stub: Stub, client: OptimizedExchangeClient, reply: Reply, family: type[VenueError]
) -> None:
    error = await submit_error(stub, client, reply)
    assert type(error) is family
    assert error.__cause__ is None
    assert error.__context__ is None
    assert len(stub.calls("POST", "/fapi/v1/order")) == 1


async def test_no_answer_in_time_is_unknown(stub: Stub) -> None:
    client = client_of(stub.endpoints, timeout_s=0.2)
    await client.initialize()
    assert type(await submit_error(stub, client, Reply(hang=True))) is OutcomeUnknown
    await client.close()


async def test_no_connection_is_provably_not_sent(stub: Stub) -> None:
    client = client_of(stub.endpoints)
    await client.initialize()
    await client.close()
    with pytest.raises(RetryLater):
        await client.submit(MARKET_ORDER, Lane.PROTECT)
    dead = client_of(Endpoints("http://127.0.0.1:9", "ws://127.0.0.1:9"))
    with pytest.raises(RetryLater, match="no connection"):
        await dead.submit(MARKET_ORDER, Lane.PROTECT)
    await dead.close()


async def test_secrets_are_in_no_error(stub: Stub, client: OptimizedExchangeClient) -> None:
    replies = [
        Reply({"code": -1022, "msg": "Signature for this request is not valid."}, 400),
        Reply(text="<html>GET /x?signature=abc123&listenKey=zzz</html>", status=502),
        Reply(drop=True),
    ]
    for reply in replies:
        error = await submit_error(stub, client, reply)
        text = f"{error!r} {error} {error.__context__!r}"
        for secret in (KEY, SECRET, "abc123", "zzz", "signature=" + "a"):
            assert secret not in text


async def test_clock_refusal_is_measured_and_repeated_once(
    stub: Stub, client: OptimizedExchangeClient
) -> None:
    late = Reply({"code": -1021, "msg": "outside of the recvWindow"}, 400)
    stub.answer("POST", "/fapi/v1/order", [late, Reply(order_body())])
    before = len(stub.calls("GET", "/fapi/v1/time"))
    answer = await client.submit(MARKET_ORDER, Lane.MANAGE)
    first, second = stub.calls("POST", "/fapi/v1/order")
    assert answer.status is OrderStatus.FILLED
    assert first.params["newClientOrderId"] == second.params["newClientOrderId"]
    assert len(stub.calls("GET", "/fapi/v1/time")) > before
    error = await submit_error(stub, client, late)
    assert type(error) is RetryLater


async def test_a_ban_stops_all_sending(stub: Stub) -> None:
    bans: list[int] = []
    client = client_of(stub.endpoints, on_ban=bans.append)
    await client.initialize()
    until = NOW_MS + 3_600_000
    banned = Reply({"code": -1003, "msg": f"Way too many requests; IP banned until {until}."}, 418)
    error = await submit_error(stub, client, banned)
    assert isinstance(error, RateLimited)
    assert error.until_ms == until
    count = len(stub.seen)
    with pytest.raises(RateLimited):
        await client.submit(STOP_ORDER, Lane.PROTECT)
    with pytest.raises(RateLimited):
        await client.get_positions()
    assert len(stub.seen) == count
    assert bans == [until]
    await client.close()


async def test_without_a_key_private_calls_say_so(stub: Stub) -> None:
    client = OptimizedExchangeClient(stub.endpoints, None, LiveClock())
    await client.initialize()
    assert await client.get_instruments()
    with pytest.raises(CredentialsDead, match="no API key"):
        await client.get_positions()
    await client.close()


async def test_nothing_is_left_unclosed(stub: Stub) -> None:
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client = client_of(stub.endpoints)
        await client.initialize()
        await client.close()
        del client
        gc.collect()
    loop.set_exception_handler(None)
    assert complaints == []
    assert [str(each.message) for each in warned] == []
