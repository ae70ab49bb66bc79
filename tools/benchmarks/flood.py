"""A market that talks fast: `python -m tools.benchmarks.flood --rate N` (floor 8).

Serves the exchange's combined market streams on loopback and fills them, each connection in the
proportion of what the exchange sends of it. The event time of mark prices is when they were sent,
in microseconds. Prints one JSON line when it listens; ends with SIGTERM.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from itertools import cycle
from math import gcd
from urllib.parse import unquote

from aiohttp import web

from core.kernel.clock import LiveClock
from core.kernel.loops import live_loop_factory, run
from core.kernel.supervisor import Supervisor

WEIGHTS = {"kline_15m": 24, "bookTicker": 60, "markPrice": 2, "ticker": 3}
"""Messages per six seconds of one symbol: klines every 250 ms, marks every 3 s, 24 h statistics
every 2 s as the exchange sends them; for book tops, sent when they change, ten a second is the
assumption."""
REAL_RATE = sum(WEIGHTS.values()) / 6
"""Messages per second and symbol."""
_TURN_S = 0.005


def frames(streams: list[str]) -> Iterator[tuple[str, bool]]:
    """Frames without their time, for ever, and whether it is a mark price."""
    rows = []
    for stream in streams:
        wire, _, kind = stream.partition("@")
        rows += [(_frame(wire.upper(), stream, kind), kind == "markPrice")] * WEIGHTS[kind]
    step = len(rows) * 7 // 11 + 1
    while gcd(step, len(rows)) > 1:
        step += 1
    return cycle([rows[n * step % len(rows)] for n in range(len(rows))])


def _frame(wire: str, stream: str, kind: str) -> str:
    if kind == "markPrice":
        body = (
            f'{{"e":"markPriceUpdate","E":%d,"s":"{wire}","p":"2.01230000","ap":"2.01200000",'
            f'"P":"2.01210000","i":"2.01190000","r":"0.00010000","T":1760000000000}}'
        )
    elif kind == "bookTicker":
        body = (
            f'{{"e":"bookTicker","u":400900217,"E":1760000000000,"T":1760000000000,"s":"{wire}",'
            f'"b":"2.0122","B":"31.2","a":"2.0124","A":"40.6"}}'
        )
    elif kind == "ticker":
        body = (
            f'{{"e":"24hrTicker","E":1760000000000,"s":"{wire}","p":"0.01","P":"0.5","w":"2.01",'
            f'"c":"2.0123","Q":"10","o":"2.0000","h":"2.1000","l":"1.9000","v":"31234567.8",'
            f'"q":"62469135.6","O":1759913600000,"C":1760000000000,"F":1,"L":800000,"n":800000}}'
        )
    else:
        body = (
            f'{{"e":"kline","E":1760000000000,"s":"{wire}","k":{{"t":1760000000000,'
            f'"T":1760000899999,"s":"{wire}","i":"15m","f":100,"L":200,"o":"2.0100","c":"2.0123",'
            f'"h":"2.0180","l":"2.0090","v":"100023.1","n":812,"x":false,"q":"201000.1",'
            f'"V":"50000.0","Q":"100500.0","B":"0"}}}}'
        )
    return f'{{"stream":"{stream}","data":{body}}}'


class Flood:
    """Answers every connection with its share of `rate` messages per second."""

    def __init__(self, rate: float, symbols: int) -> None:
        self._per_weight = rate / symbols / sum(WEIGHTS.values())
        self._clock = LiveClock()
        self._supervisor = Supervisor(self._clock, lambda name, error, again: None)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        streams = unquote(request.query["streams"]).split("/")
        rate = self._per_weight * sum(WEIGHTS[stream.partition("@")[2]] for stream in streams)
        talk = self._supervisor.spawn("talk", lambda: self._talk(socket, streams, rate))
        async for _ in socket:
            pass  # nothing is asked; reading answers pings and the close
        talk.cancel()
        return socket

    async def _talk(self, socket: web.WebSocketResponse, streams: list[str], rate: float) -> None:
        source, sent = frames(streams), 0
        began = self._clock.monotonic()
        while not socket.closed:
            due = int((self._clock.monotonic() - began) * rate)
            for _ in range(due - sent):
                text, is_mark = next(source)
                await socket.send_str(text % self._clock.now_us() if is_mark else text)
            sent = max(due, sent)
            await self._clock.sleep(_TURN_S)


async def _main(rate: float, symbols: int) -> None:
    app = web.Application()
    flood = Flood(rate, symbols)
    for route in ("market", "public"):
        app.router.add_get(f"/{route}/stream", flood.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(json.dumps({"ws": f"ws://{host}:{port}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rate", type=float, required=True, help="messages per second, all streams"
    )
    parser.add_argument("--symbols", type=int, required=True, help="symbols that will subscribe")
    given = parser.parse_args()
    run(_main(given.rate, given.symbols), loop_factory=live_loop_factory())
