"""What the client checks share: named checks with a time limit, one JSON line for each result."""

import asyncio
import hashlib
import hmac
import json
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

CHECK_S = 60.0
SYMBOL = "BTCUSDC"
PAIR = "BTC/USDC:USDC"


@dataclass(frozen=True)
class Place:
    """Addresses and credentials of the exchange under test."""

    rest: str
    ws: str
    api_key: str
    api_secret: str

    def act(self, path: str, wish: dict[str, object]) -> object:
        """One request to a rehearsal route."""
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            self.rest + path,
            data=json.dumps(wish).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def now_ms(self) -> int:
        """The exchange's own time."""
        with urllib.request.urlopen(f"{self.rest}/fapi/v1/time", timeout=5) as answer:  # noqa: S310 - an address of this machine
            return int(json.load(answer)["serverTime"])

    def signed(self, method: str, path: str, **params: object) -> bytes:
        """A signed request without any client library; the answer as it came."""
        query = urlencode({**params, "timestamp": self.now_ms()})
        signature = hmac.new(self.api_secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            f"{self.rest}{path}?{query}&signature={signature}",
            method=method,
            headers={"X-MBX-APIKEY": self.api_key},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return bytes(answer.read())

    def action(self, name: str, **wish: object) -> None:
        self.act("/paper/action", {"action": name, **wish})

    def price(self) -> float:
        url = f"{self.rest}/fapi/v2/ticker/price?symbol={SYMBOL}"
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - as above
            return float(json.load(answer)["price"])

    def shock(self, factor: float) -> float:
        """Let the price jump; returns the new one."""
        price = round(self.price() * factor, 1)
        self.action("shock", symbol=SYMBOL, price=str(price))
        return price


Check = Callable[[], Awaitable[object]]


class Checks:
    """Runs checks in order and tells each result; a failed one does not stop the others.

    Further arguments of the script name the only checks that are wanted.
    """

    def __init__(self, client: str, limit_s: float = CHECK_S) -> None:
        self.client = client
        self._limit_s = limit_s
        self._only = sys.argv[2:]

    async def run(self, name: str, check: Check) -> None:
        if self._only and name not in self._only:
            return
        problem = ""
        try:
            async with asyncio.timeout(self._limit_s):
                await check()
        except Exception as error:  # noqa: BLE001 - whatever a client raises is the result
            problem = f"{type(error).__name__}: {error}"[:300]
        row = {"client": self.client, "check": name, "ok": not problem, "detail": problem}
        print(json.dumps(row), flush=True)


def place() -> Place:
    """The exchange named by the first argument, the JSON line it printed when it was ready."""
    return Place(**json.loads(sys.argv[1]))


async def refused(work: Awaitable[object]) -> Exception:
    """What a request is refused with; that it is not refused is a failure."""
    try:
        answer = await work
    except Exception as error:  # noqa: BLE001 - the class is what the caller looks at
        return error
    raise AssertionError(f"not refused: {str(answer)[:100]}")


def expect(condition: object, what: str) -> None:
    if not condition:
        raise AssertionError(what)


async def pause(seconds: float) -> None:
    """Let real time pass: the exchange is another process, and some of its pushes are periodic."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await done.wait()
