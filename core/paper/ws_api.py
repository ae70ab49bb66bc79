"""The request-and-answer socket of the exchange, `/ws-fapi/v1` (floor 2c).

Each method is one REST route in another envelope: the same handler, weight, order counts, faults
(named `WS <method>`) and refusals. A request carries its own key and signature unless the
connection logged on, which only Ed25519 keys may.
"""

import asyncio
from collections.abc import Mapping

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from core.domain.ports import Clock
from core.paper.errors import ApiError, refuse
from core.paper.faults import FaultPlan, Phase
from core.paper.limits import Gatekeeper, RateLimits, Security
from core.paper.params import Params
from core.paper.routing import Desk, RestRoute
from core.paper.sockets import MAX_AGE_S, PING_S
from core.paper.streams import encode

PATH = "/ws-fapi/v1"
HANDSHAKE_WEIGHT = 5
METHODS: Mapping[str, tuple[str, str]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}
"""Method -> the REST route with the same parameters and result."""
_SESSION = ("session.logon", "session.status", "session.logout")


class _Request(msgspec.Struct):
    """`id` is whatever the client chose; it comes back unchanged."""

    method: str
    id: str | int | None = None
    params: dict[str, object] = {}


class _Drop(Exception):
    """The connection is to be cut without an answer."""


class _Session:
    """What a connection has proven about itself."""

    def __init__(self, now_ms: int) -> None:
        self.api_key: str | None = None
        self.connected_ms = now_ms
        self.since_ms = 0


class WsApi:
    """Serves request sockets."""

    def __init__(
        self,
        desk: Desk,
        routes: Mapping[tuple[str, str], RestRoute],
        gate: Gatekeeper,
        limits: RateLimits,
        faults: FaultPlan,
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._routes = routes
        self._gate = gate
        self._limits = limits
        self._faults = faults
        self._clock = clock

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle one socket until it ends, at most 24 hours."""
        try:
            self._limits.spend(HANDSHAKE_WEIGHT)
        except ApiError as error:
            return web.Response(status=error.status)
        socket = web.WebSocketResponse(heartbeat=PING_S, compress=False)
        await socket.prepare(request)
        session = _Session(self._clock.now_ms())
        try:
            async with asyncio.timeout(MAX_AGE_S):
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        answer = encode(await self._answer(session, message.data))
                        await socket.send_frame(answer, WSMsgType.TEXT)
        except (TimeoutError, _Drop):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        except ConnectionError:
            pass  # the client left while it was being answered
        return socket

    async def _answer(self, session: _Session, text: str) -> dict[str, object]:
        try:
            wish = msgspec.json.decode(text, type=_Request)
        except msgspec.DecodeError as error:
            return _refused(None, ApiError(-1130, f"Invalid request: {error}"))
        params = {name: _text(value) for name, value in wish.params.items()}
        counted = False
        try:
            await self._strike(wish.method, "before", params)
            route = self._route(wish.method)
            counted = route is not None and route.orders != (0, 0)
            result = self._run(session, wish, route, params)
            await self._strike(wish.method, "after", params)
        except ApiError as error:
            answer = _refused(wish.id, error)
        else:
            answer = {"id": wish.id, "status": 200, "result": result}
        if params.get("returnRateLimits") != "false":
            answer["rateLimits"] = self._limits.usage(orders=counted)
        return answer

    def _route(self, method: str) -> RestRoute | None:
        """The route of a method, None for the session's own. Raises ApiError -5000."""
        if method in _SESSION:
            return None
        known = METHODS.get(method)
        if known is None:
            raise refuse(-5000, f"Method {method} is invalid")
        return self._routes[known]

    def _run(
        self,
        session: _Session,
        wish: _Request,
        route: RestRoute | None,
        params: dict[str, str],
    ) -> object:
        if route is None:
            return self._talk(session, wish, params)
        values = Params(params)
        self._limits.spend(route.weight(values), route.pool)
        if route.security is not Security.NONE:
            logged_on = session.api_key if "signature" not in params else None
            self._gate.check_socket(route.security, wish.params, values, logged_on)
        if route.orders != (0, 0):
            self._limits.count_orders(*route.orders)
        return route.handler(self._desk, values)

    def _talk(self, session: _Session, wish: _Request, params: dict[str, str]) -> object:
        self._limits.spend(2)
        if wish.method == "session.logon":
            if not self._gate.is_ed25519:
                raise ApiError(-4056, f"{self._gate.kind} API key is not supported.")
            self._gate.check_socket(Security.SIGNED, wish.params, Params(params), None)
            session.api_key, session.since_ms = params["apiKey"], self._clock.now_ms()
        elif wish.method == "session.logout":
            session.api_key, session.since_ms = None, 0
        return {
            "apiKey": session.api_key,
            "authorizedSince": session.since_ms or None,
            "connectedSince": session.connected_ms,
            "returnRateLimits": True,
            "serverTime": self._clock.now_ms(),
        }

    async def _strike(self, method: str, phase: Phase, params: Mapping[str, str]) -> None:
        """Apply a planned fault: wait, cut the connection, or replace the answer."""
        fault = self._faults.for_request(f"WS {method}", phase, params)
        if fault is None:
            return
        if fault.delay_ms:
            await self._clock.sleep(fault.delay_ms / 1000)
        if fault.drop:
            raise _Drop
        if fault.status:
            raise ApiError(fault.code, fault.msg, fault.status)


def _refused(number: str | int | None, error: ApiError) -> dict[str, object]:
    return {
        "id": number,
        "status": error.status,
        "error": {"code": error.code, "msg": error.msg},
    }


def _text(value: object) -> str:
    """A parameter as the REST routes read it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    return str(value)
