"""The paper exchange on its own: `python -m tools.paper_exchange` (floor 8).

Prints one JSON line with its addresses and credentials when it is ready, then serves any client of
Binance USDⓈ-M until a signal comes or a replay ends. Exit codes: 0 stopped or played to the end,
1 it could not start (port taken, live prices unreachable), 2 wrong usage or data.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path

# Run as a file (python tools/paper_exchange.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.domain.enums import PaperFeed
from core.domain.errors import DataError, RetryLater
from core.domain.ports import Clock
from core.kernel.chance import Chance
from core.kernel.clock import LiveClock, SimulatedClock
from core.kernel.loops import live_loop_factory, run
from core.kernel.signals import StopSignals
from core.kernel.supervisor import Supervisor
from core.paper.contracts import QUOTES
from core.paper.feed_live import REST_URL, WS_URL
from core.paper.feeds import FeedOptions, OpenedFeed, open_feed
from core.paper.server import PaperServer
from core.simulation.virtual_loop import virtual_loop_factory

DONE, FAILED, USAGE = 0, 1, 2
_CLOSE_S = 5.0
_FORCED = 130
_LAST_PORT = 65_535
_FEEDS = (PaperFeed.SYNTHETIC, PaperFeed.REPLAY, PaperFeed.LIVE)


def _positive(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 0..{_LAST_PORT}")
    return int(text)


def _milliseconds(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of milliseconds")
    return int(text)


def _quotes(text: str) -> tuple[str, ...]:
    coins = tuple(dict.fromkeys(_symbols(text)))
    if not coins or not set(coins) <= set(QUOTES):
        raise argparse.ArgumentTypeError(f"{text!r} is not one or more of {', '.join(QUOTES)}")
    return coins


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="paper_exchange",
        description="A local exchange that speaks Binance USDⓈ-M futures (REST and WebSocket).",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=0, help="port, 0 takes a free one (default: %(default)s)")
    add("--feed", type=PaperFeed, choices=_FEEDS, default=PaperFeed.SYNTHETIC, help="prices from")
    add("--seed", type=int, default=7, help="chance of prices, book and ids (default: %(default)s)")
    add("--replay", type=Path, metavar="PATH", help="recorded candles, file or folder")
    add(
        "--speed",
        type=_positive,
        default=Decimal(1),
        help="1 runs on the wall clock; another value on a clock of its own, that much faster",
    )
    add(
        "--balance",
        type=_positive,
        default=Decimal(400),
        help="start of each wallet (default: 400)",
    )
    add(
        "--quote",
        type=_quotes,
        default=("USDC",),
        help="quote coins and wallets: USDC, USDT, or both as USDC,USDT (default: USDC)",
    )
    add("--symbols", type=_symbols, metavar="LIST", help="as BTCUSDC,ETHUSDC (default: all)")
    add("--latency-ms", type=_milliseconds, default=0, help="delay of every REST request")
    add("--faults", action="store_true", help="enable the rehearsal routes under /paper/")
    add("--live-rest", default=REST_URL, metavar="URL", help="source of --feed live (%(default)s)")
    add("--live-ws", default=WS_URL, metavar="URL", help="its streams (%(default)s)")
    args = parser.parse_args(argv)
    if args.faults and not _is_loopback(args.host):
        parser.error(f"--faults: the rehearsal routes need no key: {args.host} is not loopback")
    if (args.feed is PaperFeed.REPLAY) != (args.replay is not None):
        parser.error("--feed replay and --replay PATH go together")
    if args.feed is PaperFeed.LIVE and args.speed != 1:
        parser.error("--speed: live prices come at their own speed, 1")
    return args


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _task_failed(name: str, error: BaseException, again: bool) -> None:  # noqa: FBT001 - the supervisor's callback
    _say(f"paper_exchange: {name} failed: {error!r}{', restarting' if again else ''}")


async def _open(args: argparse.Namespace, clock: Clock, supervisor: Supervisor) -> OpenedFeed:
    options = FeedOptions(
        quote=args.quote[0],
        also=args.quote[1:],
        symbols=args.symbols,
        rest_url=args.live_rest,
        ws_url=args.live_ws,
        seed=args.seed,
        replay_path=args.replay,
        wall_clock=args.speed == 1,
    )
    return await open_feed(
        args.feed,
        options,
        clock=clock,
        supervisor=supervisor,
        chance=Chance(args.seed),
        report=_say,
    )


async def _serve(args: argparse.Namespace, opened: OpenedFeed | None) -> int:
    """Serve until a signal, the end of a replay, or a second signal (which forces)."""
    loop = asyncio.get_running_loop()
    clock: Clock = SimulatedClock(opened.feed.start_ms, loop) if opened else LiveClock()
    supervisor = Supervisor(clock, _task_failed)
    signals = StopSignals(loop, lambda _: sys.exit(_FORCED))
    signals.install()
    server: PaperServer | None = None
    try:
        source = opened or await _open(args, clock, supervisor)
        server = _server(args, source, clock, supervisor)
        endpoints = await server.start()
        _say(f"paper_exchange: {source.feed.describe()}")
        key, secret = _credentials(args.seed)
        ready = {"rest": endpoints.rest, "ws": endpoints.ws, "api_key": key, "api_secret": secret}
        print(json.dumps(ready), flush=True)
        await _first_of(supervisor, signals.stop, server.finished)
    finally:
        if server is not None:
            await server.stop()
        await supervisor.close(_CLOSE_S)
        signals.uninstall()
    return DONE


async def _first_of(supervisor: Supervisor, *events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    either = asyncio.Event()

    async def watch(event: asyncio.Event) -> None:
        await event.wait()
        either.set()

    for number, event in enumerate(events):
        supervisor.spawn(f"watch-{number}", lambda event=event: watch(event))  # type: ignore[misc] # bound now
    await either.wait()


def _credentials(seed: int) -> tuple[str, str]:
    """Key and secret of a server that listens on this machine: fixed by the seed, for scripts."""
    chance = Chance(seed).stream("credentials")
    return f"paper-{chance.getrandbits(64):016x}", f"{chance.getrandbits(128):032x}"


def _server(
    args: argparse.Namespace, opened: OpenedFeed, clock: Clock, supervisor: Supervisor
) -> PaperServer:
    key, secret = _credentials(args.seed)
    return PaperServer(
        opened.feed,
        opened.contracts,
        clock,
        supervisor,
        seed=args.seed,
        balance=args.balance,
        quote=args.quote[0],
        also=dict.fromkeys(args.quote[1:], args.balance),
        api_key=key,
        api_secret=secret,
        host=args.host,
        port=args.port,
        latency_ms=args.latency_ms,
        faults_enabled=args.faults,
    )


def _open_offline(args: argparse.Namespace) -> OpenedFeed:
    """Recorded and synthetic prices need no loop of their own to be opened."""
    clock = LiveClock()
    return asyncio.run(_open(args, clock, Supervisor(clock, _task_failed)))


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    try:
        if args.speed == 1:
            return run(_serve(args, None), loop_factory=live_loop_factory())
        opened = _open_offline(args)
        factory = virtual_loop_factory(float(args.speed), outside=True)
        return run(_serve(args, opened), loop_factory=factory)
    except (DataError, ValueError) as error:
        _say(f"paper_exchange: {error}")
        return USAGE
    except RetryLater as error:
        _say(f"paper_exchange: live prices cannot be read: {error}")
        return FAILED
    except OSError as error:
        _say(f"paper_exchange: cannot listen on {args.host}:{args.port}: {error.strerror}")
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
