"""The user stream against hand-driven sockets: order, loss, key, echo, age."""

import asyncio
import json
from itertools import pairwise

import pytest
from exchange_stub import Reply
from paper_world import virtually
from stream_kit import EPOCH_MS, UserWorld, user_world

from core.domain.enums import StreamState
from core.domain.facts import (
    ListenKeyExpired,
    OrderUpdate,
    TradeLite,
    UnknownEvent,
    UserStreamUp,
)
from core.ws_client import get_listen_key, keepalive, stream_user_data

ORDER = {
    "s": "XRPUSDC",
    "c": "ucb-1",
    "S": "BUY",
    "o": "MARKET",
    "q": "1",
    "p": "0",
    "ap": "0",
    "x": "NEW",
    "X": "NEW",
    "i": 1,
    "l": "0",
    "z": "0",
    "L": "0",
    "t": 0,
    "rp": "0",
}


def order_frame(number: int = 1, client_id: str = "ucb-1") -> str:
    order = {**ORDER, "i": number, "c": client_id}
    return json.dumps({"e": "ORDER_TRADE_UPDATE", "E": number, "T": number, "o": order})


def ids(world: UserWorld) -> list[int]:
    return [fact.order_id for fact in world.ear.facts if isinstance(fact, OrderUpdate)]


def test_events_come_in_order_after_the_up_fact() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            for number in range(200):
                await socket.send_str(order_frame(number))
            await world.until(lambda: len(ids(world)) == 200)
            assert isinstance(world.ear.facts[0], UserStreamUp)
            assert ids(world) == list(range(200))
            assert world.stub.socket_urls == ["/private/ws?listenKey=key-1"]
            assert world.states == [StreamState.CONNECTING, StreamState.LIVE]
            assert world.users.view().events == 200

    virtually(main)


def test_a_lost_connection_is_told_and_mended() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            await socket.send_str(order_frame())
            await world.until(lambda: ids(world))
            lost_at = world.clock.monotonic()
            await socket.close()
            await world.until(lambda: world.downs)
            assert world.users.state is StreamState.DEGRADED
            await world.connected()
            assert world.clock.monotonic() - lost_at < 1.0
            assert [up.reconnects for up in world.ups] == [0, 1]
            # The key is asked for again: that extends it, or makes a new one.
            assert len(world.stub.calls("POST", "/fapi/v1/listenKey")) == 2

    virtually(main)


def test_a_half_open_connection_is_noticed() -> None:
    async def main() -> None:
        async with user_world() as world:
            world.stub.silent_pings = True
            await world.connected()
            await world.until(lambda: world.downs, limit_s=20.0)
            assert "ServerTimeoutError" in world.downs[0].reason

    virtually(main)


def test_a_quiet_but_living_stream_is_left_alone() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            await world.clock.sleep(6 * 3_600)
            assert world.downs == []
            assert len(world.stub.sockets) == 1

    virtually(main)


def test_pauses_grow_until_data_comes() -> None:
    async def main() -> None:
        async with user_world() as world:
            opened: list[float] = []
            for _ in range(7):
                socket = await world.stub.next_socket()
                opened.append(world.clock.monotonic())
                await socket.close()
            pauses = [after - before for before, after in pairwise(opened)]
            assert pauses[0] < 1.0
            assert pauses[-1] > 4 * pauses[0]
            socket = await world.connected()
            await socket.send_str(order_frame())
            await world.until(lambda: ids(world))
            begin = world.clock.monotonic()
            await socket.close()
            await world.stub.next_socket()
            assert world.clock.monotonic() - begin < 1.0

    virtually(main)


@pytest.mark.parametrize(
    ("refusal", "most"),
    [
        (Reply({"code": -1000, "msg": "trouble"}, 400), 9),
        # From the second try on our own budget refuses at once, without a request.
        (Reply({"code": -1003, "msg": "too many"}, 429), 5),
    ],
    ids=["refused", "rate limited"],
)
def test_a_first_connection_that_fails_is_tried_again_after_a_pause(
    refusal: Reply, most: int
) -> None:
    async def main() -> None:
        async with user_world() as world:
            world.stub.answer("POST", "/fapi/v1/listenKey", refusal)
            await world.clock.sleep(40)
            assert 1 <= len(world.stub.calls("POST", "/fapi/v1/listenKey")) <= most
            world.stub.answer("POST", "/fapi/v1/listenKey", Reply({"listenKey": "key-1"}))
            await world.clock.sleep(30)
            await world.connected()

    virtually(main)


def test_an_expired_key_is_replaced() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            world.stub.answer("POST", "/fapi/v1/listenKey", Reply({"listenKey": "key-2"}))
            await socket.send_str('{"e":"listenKeyExpired","E":5,"listenKey":"key-1"}')
            await world.connected()
            assert ListenKeyExpired(5) in world.ear.facts
            assert world.stub.socket_urls[-1] == "/private/ws?listenKey=key-2"
            assert world.users.view().key_swaps == 1

    virtually(main)


def test_the_key_is_kept_alive_and_never_deleted() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            await world.clock.sleep(3 * 3_600)
            assert 6 <= len(world.stub.calls("PUT", "/fapi/v1/listenKey")) <= 8
            assert len(world.stub.calls("POST", "/fapi/v1/listenKey")) == 1

    virtually(main)


def test_a_key_that_is_gone_is_made_anew() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            gone = Reply({"code": -1125, "msg": "This listenKey does not exist."}, 400)
            world.stub.answer("PUT", "/fapi/v1/listenKey", gone)
            world.stub.answer("POST", "/fapi/v1/listenKey", Reply({"listenKey": "key-2"}))
            await world.clock.sleep(26 * 60)
            assert world.stub.socket_urls[-1] == "/private/ws?listenKey=key-2"
            assert len(world.ups) == 2

    virtually(main)


def test_a_keepalive_that_fails_is_tried_again() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            busy = Reply(text="Service Unavailable.", status=503)
            world.stub.answer("PUT", "/fapi/v1/listenKey", [busy, busy, Reply({"listenKey": "k"})])
            await world.clock.sleep(28 * 60)
            assert len(world.stub.calls("PUT", "/fapi/v1/listenKey")) == 3
            assert world.downs == []

    virtually(main)


def test_the_planned_successor_overlaps_and_loses_nothing() -> None:
    async def main() -> None:
        async with user_world() as world:
            first = await world.connected()
            await world.until(lambda: len(world.stub.sockets) == 2, limit_s=24 * 3_600, step_s=1.0)
            assert 22 * 3_600 < world.clock.monotonic() < 24 * 3_600
            second = world.stub.sockets[1]
            await first.send_str(order_frame(1))
            await second.send_str(order_frame(2))
            await world.until(lambda: len(ids(world)) == 2, limit_s=2.0)
            await world.until(lambda: first.closed, limit_s=10.0)
            await second.send_str(order_frame(3))
            await world.until(lambda: 3 in ids(world))
            assert not second.closed
            assert world.downs == []
            assert len(world.ups) == 1

    virtually(main)


def test_a_successor_that_cannot_connect_leaves_the_old_one_in_use() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            world.stub.answer("POST", "/fapi/v1/listenKey", Reply(text="x", status=502))
            await world.clock.sleep(23.6 * 3_600)
            assert len(world.stub.calls("POST", "/fapi/v1/listenKey")) > 2
            await socket.send_str(order_frame(9))
            await world.until(lambda: ids(world) == [9])
            assert world.downs == []

    virtually(main)


def test_a_missing_echo_means_the_stream_is_deaf() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            begin = world.clock.monotonic()
            world.users.expect_echo("ucb-1")
            await world.until(lambda: world.downs)
            assert 2.0 <= world.clock.monotonic() - begin < 3.5
            assert "echo" in world.downs[0].reason
            assert any("ucb-1" in text for text in world.alerts)
            await world.connected()
            await world.clock.sleep(10)
            assert len(world.ups) == 2

    virtually(main)


def test_an_echo_before_or_after_the_answer_satisfies() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            await socket.send_str(order_frame(1, "early"))
            await world.until(lambda: ids(world))
            world.users.expect_echo("early")
            world.users.expect_echo("late")
            world.users.expect_echo("lite")
            await world.clock.sleep(1.0)
            await socket.send_str(order_frame(2, "late"))
            lite = '{"e":"TRADE_LITE","E":1,"s":"XRPUSDC","c":"lite","t":5}'
            await socket.send_str(lite)
            await world.clock.sleep(10.0)
            assert any(isinstance(fact, TradeLite) for fact in world.ear.facts)
            assert world.downs == []

    virtually(main)


def test_unknown_events_are_counted_and_told_once() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            for _ in range(3):
                await socket.send_str('{"e":"GRID_UPDATE","E":1,"gu":{}}')
            await socket.send_str("garbage")
            await socket.send_str(order_frame(4))
            await world.until(lambda: ids(world) == [4])
            assert world.users.view().unknown_events == 4
            assert len([text for text in world.alerts if "GRID_UPDATE" in text]) == 1
            assert sum(isinstance(fact, UnknownEvent) for fact in world.ear.facts) == 4

    virtually(main)


def test_a_dead_key_makes_no_storm() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            refused = Reply({"code": -2015, "msg": "Invalid API-key"}, 401)
            world.stub.answer("POST", "/fapi/v1/listenKey", refused)
            await socket.close()
            await world.clock.sleep(600)
            assert len(world.stub.calls("POST", "/fapi/v1/listenKey")) <= 12
            assert world.users.state is StreamState.DEGRADED
            assert len(world.downs) == 1

    virtually(main)


def test_a_burst_is_delivered_whole() -> None:
    async def main() -> None:
        async with user_world() as world:
            socket = await world.connected()
            for number in range(10_000):
                await socket.send_str(order_frame(number))
            await world.until(lambda: len(ids(world)) == 10_000)
            assert ids(world) == list(range(10_000))

    virtually(main)


def test_closing_says_so_and_reconnecting_ends() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            await world.users.close()
            await world.clock.sleep(120)
            assert world.states[-1] is StreamState.CLOSED
            assert len(world.stub.sockets) == 1

    virtually(main)


def test_the_forms_kept_for_scripts() -> None:
    async def main() -> None:
        async with user_world() as world:
            await world.connected()
            assert await get_listen_key(world.client) == "key-1"
            heard: list[object] = []
            listening = asyncio.gather(
                stream_user_data(world.client, world.stub.endpoints, heard.append, world.clock)
            )
            socket = await world.stub.next_socket()
            await socket.send_str(order_frame(7))
            await socket.close()
            await listening
            assert [fact.order_id for fact in heard if isinstance(fact, OrderUpdate)] == [7]
            before = len(world.stub.calls("PUT", "/fapi/v1/listenKey"))
            keeping = asyncio.gather(keepalive(world.client, world.clock, interval_s=60.0))
            await world.clock.sleep(601)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            assert len(world.stub.calls("PUT", "/fapi/v1/listenKey")) == before + 10
            assert world.clock.now_ms() > EPOCH_MS

    virtually(main)
