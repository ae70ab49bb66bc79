"""A Bot API server that speaks the real protocol, for one bot and a few people (floor 2d).

Long polling with confirmation by offset, conflict of two pollers, HTML parsed and refused when
broken, limits of length and rate, callback queries, photos, and faults on request. It listens on
loopback, or wherever `serve` is told to.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from html.parser import HTMLParser
from typing import Any

from aiohttp import web

from core.domain.ports import Clock

TOKEN = "123456:test-token-of-thirty-five-characters"  # noqa: S105 - of nobody
BOT = {"id": 123456, "is_bot": True, "first_name": "Bot", "username": "usdc_test_bot"}
_TEXT_LIMIT = 4_096
_CAPTION_LIMIT = 1_024
_TAGS = {"b", "i", "pre", "code"}


class _Refused(Exception):
    def __init__(self, status: int, text: str, retry_after: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after


class _Html(HTMLParser):
    """Visible text of a message; refuses tags that do not match, as the service does."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in _TAGS:
            raise _Refused(400, f"Bad Request: can't parse entities: Unsupported start tag {tag}")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise _Refused(400, "Bad Request: can't parse entities: Unmatched end tag")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def visible_text(text: str) -> str:
    """What the person sees of an HTML message; raises when the markup is broken."""
    parser = _Html()
    parser.feed(text)
    parser.close()
    if parser.open:
        raise _Refused(400, "Bad Request: can't parse entities: Can't find end tag")
    return "".join(parser.words)


@dataclass
class Shown:
    """A message of the bot as the person sees it."""

    message_id: int
    chat_id: int
    text: str
    html: str
    buttons: list[list[dict[str, str]]]
    silent: bool
    photo: bytes = b""
    edits: int = 0
    at_ms: int = 0

    @property
    def labels(self) -> list[str]:
        return [button["text"] for row in self.buttons for button in row]


@dataclass
class Fault:
    """The next `times` calls of `method` (`*` is any) end this way. Status 0 cuts the line, 200
    answers `text` as it is."""

    method: str
    status: int
    text: str = "fault"
    retry_after: int = 0
    times: int = 1


@dataclass
class BotApi:
    """`start` or `serve` it. People speak by `say` and `press`."""

    clock: Clock
    people: set[int] = field(default_factory=set)
    per_second: int = 0
    """Messages per chat and second that are allowed, with short bursts; 0 is any number."""

    def __post_init__(self) -> None:
        self.calls: list[str] = []
        self.shown: list[Shown] = []
        self.answers: dict[str, str] = {}
        self.menu: list[dict[str, str]] = []
        self.faults: list[Fault] = []
        self.token = TOKEN
        self.limited = 0
        self._updates: list[dict[str, Any]] = []
        self._next_update = 1_000
        self._next_message = 1
        self.heard = asyncio.Event()
        """Set whenever a message of the bot has come; whoever waits for it clears it."""
        self._news = asyncio.Event()
        self._poller = 0
        self._stamps: dict[int, deque[float]] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    # --- the service -----------------------------------------------------------------------------

    async def start(self) -> str:
        """Listen on loopback, on the same port when started again. Gives the base address."""
        runner = await self._set_up()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self._port = runner.addresses[0][1]
        return f"http://127.0.0.1:{self._port}"

    async def serve(self, accept: Callable[[web.Server], None]) -> None:
        """Give the server to whoever brings connections, such as a memory network."""
        runner = await self._set_up()
        assert runner.server is not None  # noqa: S101 - set up above
        accept(runner.server)

    async def _set_up(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        return self._runner

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        self.calls.append(method)
        data = await _parameters(request)
        try:
            self._maybe_fault(method, request)
            body: dict[str, Any] = {"ok": True, "result": await self._result(request, data)}
            status = 200
        except _Refused as error:
            if error.status == 200:
                return web.Response(text=error.text)
            body = {"ok": False, "error_code": error.status, "description": error.text}
            status = error.status
            if error.retry_after:
                body["parameters"] = {"retry_after": error.retry_after}
        now = self.clock.now_ms() // 1_000
        date = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)
        return web.json_response(body, status=status, headers={"Date": date})

    async def _result(self, request: web.Request, data: dict[str, Any]) -> Any:
        if request.match_info["token"] != self.token:
            raise _Refused(401, "Unauthorized")
        handler = getattr(self, f"_do_{request.match_info['method'].lower()}", None)
        if handler is None:
            raise _Refused(404, "Not Found: method not found")
        return await handler(data)

    def _maybe_fault(self, method: str, request: web.Request) -> None:
        for fault in self.faults:
            if fault.method in ("*", method):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                if fault.status == 0:
                    assert request.transport is not None  # noqa: S101 - the request just came
                    request.transport.abort()
                    raise _Refused(500, "cut")
                raise _Refused(fault.status, fault.text, fault.retry_after)

    async def _do_getme(self, _data: dict[str, Any]) -> dict[str, Any]:
        return BOT

    async def _do_deletewebhook(self, data: dict[str, Any]) -> bool:
        if data.get("drop_pending_updates") == "true":
            self._updates.clear()
        return True

    async def _do_setmycommands(self, data: dict[str, Any]) -> bool:
        commands = json.loads(data["commands"])
        for entry in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", entry["command"]):
                raise _Refused(400, "Bad Request: BOT_COMMAND_INVALID")
            if not 1 <= len(entry["description"]) <= 256:
                raise _Refused(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        self.menu = commands
        return True

    async def _do_getupdates(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        offset = int(data.get("offset", 0))
        self._updates = [update for update in self._updates if update["update_id"] >= offset]
        self._poller += 1
        mine = self._poller
        self._news.set()
        deadline = self.clock.monotonic() + float(data.get("timeout", 0))
        while not self._updates:
            rest = deadline - self.clock.monotonic()
            if rest <= 0:
                break
            self._news.clear()
            try:
                async with asyncio.timeout(rest):
                    await self._news.wait()
            except TimeoutError:
                break
            if self._poller != mine:
                raise _Refused(
                    409,
                    "Conflict: terminated by other getUpdates request; "
                    "make sure that only one bot instance is running",
                )
        return self._updates[:100]

    async def _do_sendmessage(self, data: dict[str, Any]) -> dict[str, Any]:
        return self._show(data, data["text"], _TEXT_LIMIT, b"")

    async def _do_sendphoto(self, data: dict[str, Any]) -> dict[str, Any]:
        photo = data["photo"]
        if not isinstance(photo, bytes) or not photo.startswith(b"\x89PNG"):
            raise _Refused(400, "Bad Request: IMAGE_PROCESS_FAILED")
        return self._show(data, data.get("caption", ""), _CAPTION_LIMIT, photo)

    async def _do_editmessagetext(self, data: dict[str, Any]) -> dict[str, Any]:
        message_id = int(data["message_id"])
        shown = next((one for one in self.shown if one.message_id == message_id), None)
        if shown is None:
            raise _Refused(400, "Bad Request: message to edit not found")
        buttons = _buttons(data)
        if (shown.html, shown.buttons) == (data["text"], buttons):
            raise _Refused(400, "Bad Request: message is not modified")
        shown.text, shown.html, shown.buttons = visible_text(data["text"]), data["text"], buttons
        shown.edits += 1
        return self._message(shown)

    async def _do_answercallbackquery(self, data: dict[str, Any]) -> bool:
        if data["callback_query_id"] not in self.answers:
            raise _Refused(400, "Bad Request: query is too old and response timeout expired")
        self.answers[data["callback_query_id"]] = data.get("text", "")
        return True

    def _show(self, data: dict[str, Any], text: str, limit: int, photo: bytes) -> dict[str, Any]:
        chat_id = int(data["chat_id"])
        if chat_id not in self.people:
            raise _Refused(400, "Bad Request: chat not found")
        self._check_rate(chat_id)
        visible = visible_text(text) if data.get("parse_mode") == "HTML" else text
        if not visible.strip() and not photo:
            raise _Refused(400, "Bad Request: message text is empty")
        if len(visible.encode("utf-16-le")) // 2 > limit:
            raise _Refused(400, "Bad Request: message is too long")
        shown = Shown(
            self._next_message,
            chat_id,
            visible,
            text,
            _buttons(data),
            data.get("disable_notification") == "true",
            photo,
            at_ms=self.clock.now_ms(),
        )
        self._next_message += 1
        self.shown.append(shown)
        self.heard.set()
        return self._message(shown)

    def _check_rate(self, chat_id: int) -> None:
        if not self.per_second:
            return
        now = self.clock.monotonic()
        stamps = self._stamps.setdefault(chat_id, deque())
        while stamps and now - stamps[0] > 10.0:
            stamps.popleft()
        if len(stamps) >= 10 * self.per_second + 3:
            self.limited += 1
            raise _Refused(429, "Too Many Requests: retry after 5", retry_after=5)
        stamps.append(now)

    def _message(self, shown: Shown) -> dict[str, Any]:
        message: dict[str, Any] = {
            "message_id": shown.message_id,
            "date": self.clock.now_ms() // 1_000,
            "chat": {"id": shown.chat_id, "type": "private", "first_name": "Ann"},
            "from": BOT,
        }
        if shown.photo:
            size = {"file_id": "p", "file_unique_id": "p", "width": 640, "height": 320}
            return {**message, "photo": [size], "caption": shown.text}
        return {**message, "text": shown.text}

    # --- people ----------------------------------------------------------------------------------

    def say(self, user: int, text: str, /, **changes: Any) -> int:
        """A private message of `user`; `changes` replace fields of the message."""
        message = {
            "message_id": self._next_message,
            "date": self.clock.now_ms() // 1_000,
            "chat": {"id": user, "type": "private", "first_name": "Ann"},
            "from": {"id": user, "is_bot": False, "first_name": "Ann"},
            "text": text,
        }
        self._next_message += 1
        return self.deliver({"message": {**message, **changes}})

    def press(self, user: int, shown: Shown, label: str) -> str:
        """Press the button of that label; returns the id of the callback query."""
        data = next(
            button["callback_data"]
            for row in shown.buttons
            for button in row
            if button["text"] == label
        )
        return self.callback(user, shown, data)

    def callback(self, user: int, shown: Shown, data: str) -> str:
        callback_id = f"q{self._next_update}"
        self.answers[callback_id] = "…"
        self.deliver(
            {
                "callback_query": {
                    "id": callback_id,
                    "from": {"id": user, "is_bot": False, "first_name": "Ann"},
                    "chat_instance": "1",
                    "data": data,
                    "message": {
                        **self._message(shown),
                        "chat": {"id": shown.chat_id, "type": "private", "first_name": "Ann"},
                    },
                }
            }
        )
        return callback_id

    def deliver(self, content: dict[str, Any], update_id: int | None = None) -> int:
        """Put any update into the queue."""
        if update_id is None:
            update_id = self._next_update
            self._next_update += 1
        self._updates.append({"update_id": update_id, **content})
        self._news.set()
        return update_id


async def _parameters(request: web.Request) -> dict[str, Any]:
    """Form fields; an `attach://` reference is replaced by the file's bytes."""
    form = await request.post()
    data: dict[str, Any] = {}
    for name, value in form.items():
        data[name] = value.file.read() if isinstance(value, web.FileField) else value
    for name, value in list(data.items()):
        if isinstance(value, str) and value.startswith("attach://"):
            data[name] = data[value.removeprefix("attach://")]
    return data


def _buttons(data: dict[str, Any]) -> list[list[dict[str, str]]]:
    rows: list[list[dict[str, str]]] = json.loads(data.get("reply_markup", "{}")).get(
        "inline_keyboard", []
    )
    for row in rows:
        for button in row:
            if not 1 <= len(button["callback_data"].encode()) <= 64:
                raise _Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    return rows
