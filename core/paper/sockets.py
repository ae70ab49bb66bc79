"""WebSocket endpoint of the paper exchange (floor 2c): URL forms, control messages, pings."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from core.domain.ports import Clock
from core.kernel.supervisor import Supervisor
from core.paper.streams import MAX_STREAMS, Connection, Route, StreamHub, encode, is_stream

PING_S = 180.0
MAX_AGE_S = 86_400.0
_MESSAGES_PER_S = 10
_METHODS = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY"


class SocketDesk:
    """Accepts stream sockets and serves them until they end."""

    def __init__(
        self, hub: StreamHub, symbols: Mapping[str, object], clock: Clock, supervisor: Supervisor
    ) -> None:
        self._hub = hub
        self._symbols = symbols
        self._clock = clock
        self._supervisor = supervisor
        self._count = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle one socket; the answer is 404 when the path is not a stream path."""
        connection = open_connection(request.path, request.rel_url.raw_query_string)
        if connection is None:
            return web.Response(status=404)
        socket = web.WebSocketResponse(heartbeat=PING_S, compress=False, autoclose=True)
        await socket.prepare(request)
        self._hub.add(connection)
        self._hub.subscribe(connection, tuple(connection.names))
        self._count += 1
        writer = self._supervisor.spawn(
            f"paper-socket-{self._count}", lambda: _write(connection, socket)
        )
        try:
            async with asyncio.timeout(MAX_AGE_S):
                await self._read(connection, socket)
        except TimeoutError:
            await socket.close(code=WSCloseCode.GOING_AWAY)
        finally:
            self._hub.remove(connection)
            writer.cancel()
        return socket

    async def _read(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            now = self._clock.monotonic()
            connection.incoming.append(now)
            recent = len(connection.incoming) > _MESSAGES_PER_S
            if recent and now - connection.incoming[0] < 1.0:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                return
            connection.send(encode(self._control(connection, message.data)))

    def _control(self, connection: Connection, text: str) -> dict[str, object]:
        """Answer to one control message."""
        try:
            message = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return _refusal(None, 2, "Invalid request: missing field `method`")
        number = message.get("id")
        params = message.get("params", [])
        if not isinstance(params, list):
            return _refusal(number, 2, "Invalid request: params must be a sequence")
        return self._run(connection, message["method"], params, number)

    def _run(
        self, connection: Connection, method: str, params: list[object], number: object
    ) -> dict[str, object]:
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": [*connection.names, *connection.keys], "id": number}
        if method == "SET_PROPERTY":
            return _set_property(connection, params, number)
        if method == "GET_PROPERTY":
            return {"result": connection.combined, "id": number}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            text = f"Invalid request: unknown variant `{method}`, expected one of {_METHODS}"
            return _refusal(number, 2, text)
        if not all(isinstance(name, str) for name in params):
            return _refusal(number, 2, "Invalid request: invalid type, expected a string")
        names = [str(name) for name in params]
        if method == "UNSUBSCRIBE":
            self._hub.unsubscribe(connection, names)
            for name in names:
                connection.keys.pop(name, None)
        elif len(connection.names) + len(names) > MAX_STREAMS:
            return _refusal(number, 2, f"Invalid request: more than {MAX_STREAMS} streams")
        else:
            self._subscribe(connection, names)
        return {"result": None, "id": number}

    def _subscribe(self, connection: Connection, names: list[str]) -> None:
        """On the private route a name without `@` is a listen key."""
        if connection.route is Route.PRIVATE:
            for key in names:
                if "@" not in key:
                    connection.keys[key] = frozenset()
            names = [name for name in names if "@" in name]
        self._hub.subscribe(connection, names)


def _set_property(
    connection: Connection, params: list[object], number: object
) -> dict[str, object]:
    match params:
        case ["combined", bool(value)]:
            connection.combined = value
            return {"result": None, "id": number}
        case ["combined", _]:
            return _refusal(number, 1, "Invalid value type: expected Boolean")
    return _refusal(number, 0, "Unknown property")


def _refusal(number: object, code: int, text: str) -> dict[str, object]:
    return {"error": {"code": code, "msg": text}, "id": number}


async def _write(connection: Connection, socket: web.WebSocketResponse) -> None:
    """Send what is queued, in order, until the connection is told to close."""
    while True:
        frame = await connection.outbox.get()
        if frame is None:
            await socket.close(code=WSCloseCode.GOING_AWAY)
            return
        try:
            await socket.send_frame(frame, WSMsgType.TEXT)
        except ConnectionError:
            return  # the reader sees the same end and cleans up


def open_connection(path: str, query: str) -> Connection | None:
    """Connection a URL asks for, None when the path is no stream path.

    Forms: `/{public,market,private}/{ws,stream}`, with stream names or a listen key as tail or in
    the query, and arbitrary other tail segments. Without a route the socket gets public data only.
    """
    parts = [part for part in path.split("/") if part]
    route = Route.PUBLIC
    if parts and parts[0] in (item.value for item in Route):
        route = Route(parts.pop(0))
    if not parts or parts[0] not in ("ws", "stream"):
        return None
    connection = Connection(route, combined=parts[0] == "stream")
    tail = parts[1:]
    values = parse_qsl(query)
    for name, value in values:
        if name == "streams":
            tail.extend(value.split("/"))
    if route is Route.PRIVATE:
        _add_keys(connection, values, [part for part in tail if "@" not in part])
    else:
        connection.names.update(dict.fromkeys(part for part in tail if is_stream(part)))
    return connection


def _add_keys(connection: Connection, values: list[tuple[str, str]], tail: list[str]) -> None:
    """Listen keys of the query, each with the allow-list that belongs to it, or of the tail."""
    last = ""
    for name, value in values:
        if name == "listenKey":
            last = value
            connection.keys.setdefault(value, frozenset())
        elif name == "events" and last:
            connection.keys[last] = frozenset(value.split("/"))
    for part in tail:
        if not part.isdigit():
            connection.keys.setdefault(part, frozenset())
