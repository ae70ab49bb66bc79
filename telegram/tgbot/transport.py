"""The library's requests over aiohttp (floor 5), the daemon's one HTTP stack.

python-telegram-bot leaves the network to a `BaseRequest`. With this one its traffic passes the same
seam as the exchange's: a simulation hands in a connector and nothing else changes.
"""

import hashlib
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import certifi
from telegram import Update
from telegram.error import NetworkError, TelegramError, TimedOut
from telegram.request import BaseRequest, RequestData

from core.domain.ports import Clock
from core.exchange.gateway import ConnectorFactory

ANSWER_S = 10.0
CONNECT_S = 5.0


class AiohttpRequest(BaseRequest):
    """One session, made at the first request. `connector` None is TCP; proxies come from the
    environment, as they do for most programs.

    `ahead_ms` is how far the service's clock was ahead of ours in its last answer: a machine whose
    clock is wrong must not take a fresh command for an old one.
    """

    __slots__ = ("_clock", "_connector", "_session", "ahead_ms")

    def __init__(self, clock: Clock, connector: ConnectorFactory | None) -> None:
        self._clock = clock
        self.ahead_ms = 0
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float:
        return ANSWER_S

    async def initialize(self) -> None:
        """The session is made when it is needed."""

    async def shutdown(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: object = BaseRequest.DEFAULT_NONE,
        write_timeout: object = BaseRequest.DEFAULT_NONE,
        connect_timeout: object = BaseRequest.DEFAULT_NONE,
        pool_timeout: object = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """Status and body. Raises the library's TimedOut and NetworkError, without the address."""
        answer_s = read_timeout if isinstance(read_timeout, int | float) else ANSWER_S
        limit = aiohttp.ClientTimeout(total=CONNECT_S + answer_s, sock_connect=CONNECT_S)
        if self._session is None:
            self._session = self._open(url)
        try:
            async with self._session.request(
                method, url, data=_body(request_data), timeout=limit
            ) as answer:
                self._compare_clocks(answer.headers.get("Date", ""))
                return answer.status, await answer.read()
        except TimeoutError:
            raise TimedOut("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NetworkError(_words(error)) from None

    def _compare_clocks(self, date: str) -> None:
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except (ValueError, TypeError):
            return  # no date, or none that can be read
        self.ahead_ms = round(theirs * 1_000) - self._clock.now_ms()

    def _open(self, url: str) -> aiohttp.ClientSession:
        if self._connector is not None:
            connector = self._connector()
        elif url.startswith("https:"):
            context = ssl.create_default_context(cafile=certifi.where())
            connector = aiohttp.TCPConnector(ssl=context)
        else:
            connector = aiohttp.TCPConnector()
        return aiohttp.ClientSession(
            connector=connector, trust_env=self._connector is None, headers=_HEADERS
        )

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """As the library does, but an update it cannot read becomes an empty one of the same
        number. Otherwise one malformed update would be fetched again for ever."""
        try:
            answer = json.loads(payload.decode("utf-8", "replace"))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise TelegramError("the answer is not a JSON object")
        if isinstance(answer.get("result"), list):
            answer["result"] = list(_readable(answer["result"]))
        return answer


_HEADERS = {"User-Agent": BaseRequest.USER_AGENT}


def _words(error: Exception) -> str:
    """The reason without the address, which holds the token."""
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.os_error.strerror
        return f"cannot connect ({reason})" if reason else "cannot connect"
    if isinstance(error, aiohttp.ServerDisconnectedError | OSError):
        return "the connection was lost"
    return type(error).__name__


def _body(data: RequestData | None) -> "dict[str, str] | aiohttp.MultipartWriter | None":
    """Form fields; with a file, multipart of a boundary that follows from its content."""
    if data is None:
        return None
    fields = data.json_parameters
    if not data.contains_files:
        return fields
    files = data.multipart_data
    boundary = hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:32]
    writer = aiohttp.MultipartWriter("form-data", boundary=boundary)
    for name, value in fields.items():
        writer.append(value).set_content_disposition("form-data", name=name)
    for name, (filename, content, kind) in files.items():
        part = writer.append(content, {"Content-Type": kind})
        part.set_content_disposition("form-data", name=name, filename=filename)
    return writer


def _readable(items: Sequence[object]) -> Iterator[Mapping[str, object]]:
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("update_id"), int):
            continue
        try:
            Update.de_json(item, None)
        except (TypeError, ValueError, KeyError, AttributeError, LookupError, ArithmeticError):
            yield {"update_id": item["update_id"]}
        else:
            yield item
