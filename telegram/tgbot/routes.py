"""The other ways to the operator: Slack's incoming webhook and mail by SMTP (floor 5).

Both get the text of the alerts; mail only warnings and critical ones. A route that does not work
is reported once, drops the oldest beyond its bound, and tries again with growing pauses. Neither
the address of the webhook nor the mail password appears in a report (INV-12).
"""

import asyncio
import smtplib
import socket
import ssl
from collections import deque
from collections.abc import Callable
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp
from pydantic import SecretStr

from core.domain.enums import Severity
from core.domain.ports import Clock
from core.kernel.retry import Backoff
from tgbot.alerts import Telling
from tgbot.outbox import Trouble, Unreachable

CAPACITY = 200
_TIMEOUT_S = 15.0
_MAIL_PAUSE_S = 60.0
_TOGETHER = 20


class Post(Protocol):
    """Delivers texts as one message, or raises Unreachable."""

    name: str
    pause_s: float

    async def deliver(self, texts: tuple[str, ...]) -> None: ...


class SecondRoute:
    """A bounded queue before a `Post`; `run` is one supervised task."""

    def __init__(
        self,
        post: Post,
        clock: Clock,
        backoff: Backoff,
        say: Callable[[str, str], None],
        redact: Callable[[str], str],
        least: Severity,
    ) -> None:
        self._post = post
        self._clock = clock
        self._backoff = backoff
        self._redact = redact
        self._least = least
        self._trouble = Trouble(say, clock)
        self._waiting: deque[str] = deque(maxlen=CAPACITY)
        self._wake = asyncio.Event()
        self.delivered = 0

    @property
    def name(self) -> str:
        return self._post.name

    def tell(self, telling: Telling) -> None:
        """Keep the message, unless it is only information and this route wants more."""
        informs = telling.severity is Severity.INFO and not telling.report
        if informs and self._least is not Severity.INFO:
            return
        self._waiting.append(telling.card.redacted(self._redact).plain)
        self._wake.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
            batch = tuple(self._waiting)[:_TOGETHER]
            try:
                async with asyncio.timeout(2 * _TIMEOUT_S):
                    await self._post.deliver(batch)
            except (Unreachable, TimeoutError) as error:
                problem = error if isinstance(error, Unreachable) else Unreachable("no answer")
                self._trouble.begin(problem, f"{self.name} does not take alerts: {problem}")
                await self._clock.sleep(self._backoff.next())
                continue
            for _ in range(min(len(batch), len(self._waiting))):
                self._waiting.popleft()
            self.delivered += len(batch)
            self._backoff.reset()
            self._trouble.end(f"{self.name} takes alerts again")
            await self._clock.sleep(self._post.pause_s)


class Slack:
    """An incoming webhook."""

    name = "Slack"
    pause_s = 1.0

    def __init__(self, url: SecretStr) -> None:
        self._url = url

    async def deliver(self, texts: tuple[str, ...]) -> None:
        body = {"text": "\n\n".join(texts)}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url.get_secret_value(), json=body) as answer,
            ):
                if answer.status >= 300:
                    raise Unreachable(f"HTTP {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from None  # its text would hold the address


class Mail:
    """A mail server, as `smtp://user:password@host:587` (STARTTLS when offered) or `smtps://`."""

    name = "mail"
    pause_s = _MAIL_PAUSE_S

    def __init__(self, url: SecretStr, recipients: tuple[str, ...]) -> None:
        self._url = url
        self._recipients = recipients

    async def deliver(self, texts: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, self._send, texts)
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable(type(error).__name__) from None  # its text may hold what was sent

    def _send(self, texts: tuple[str, ...]) -> None:
        parts = urlsplit(self._url.get_secret_value())
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        sender = user if "@" in user else f"usdc-futures-bot@{socket.gethostname()}"
        message = EmailMessage()
        message["Subject"] = texts[0].splitlines()[0]
        message["From"] = sender
        message["To"] = ", ".join(self._recipients)
        message.set_content("\n\n".join(texts))
        context = ssl.create_default_context()
        host = parts.hostname or ""
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=_TIMEOUT_S, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_S)
        with server:
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
            if user:
                server.login(user, password)
            server.send_message(message)
