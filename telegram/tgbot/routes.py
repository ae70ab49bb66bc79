"""The other ways to the operator: Slack's incoming webhook and mail by SMTP (floor 5).

Both get the text of the alerts, from the severity on that each is set to. A route that does not
work is reported once, drops the oldest beyond its bound, and tries again with growing pauses.
Neither the address of the webhook nor the mail password appears in a report (INV-12).
"""

import asyncio
import hashlib
import smtplib
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp
from pydantic import SecretStr

from core.domain.enums import AlertLevel, Severity
from core.domain.ports import Clock
from core.exchange.gateway import ConnectorFactory
from core.kernel.retry import Backoff
from tgbot.alerts import Telling
from tgbot.outbox import SlowDown, Trouble, Unreachable
from tgbot.render import Card

CAPACITY = 200
_TIMEOUT_S = 10.0
_MAIL_PAUSE_S = 60.0
_TOGETHER = 20
_SLACK_LIMIT = 30_000
"""Characters of one message; the service cuts at 40 000."""
_SUBJECT = 120
_RANKS = tuple(Severity)


def wants(level: AlertLevel, telling: Telling) -> bool:
    """True when a route of this level tells it. Results of a day go to all but the pagers."""
    if telling.repeated:
        return True
    if level is AlertLevel.UNACKNOWLEDGED:
        return False
    if telling.report:
        return level is not AlertLevel.CRITICAL
    return _RANKS.index(telling.severity) >= _RANKS.index(Severity(level.value))


@dataclass(frozen=True, slots=True)
class Letter:
    """One alert on its way, without secrets."""

    card: Card
    severity: Severity
    photo: bytes


class Post(Protocol):
    """Delivers letters as one message, or raises Unreachable or SlowDown."""

    name: str
    pause_s: float

    async def deliver(self, letters: Sequence[Letter], now_ms: int) -> None: ...


class SecondRoute:
    """A bounded queue before a `Post`; `run` is one supervised task."""

    def __init__(
        self,
        post: Post,
        clock: Clock,
        backoff: Backoff,
        say: Callable[[str, str], None],
        redact: Callable[[str], str],
        level: AlertLevel,
    ) -> None:
        self._post = post
        self._clock = clock
        self._backoff = backoff
        self._redact = redact
        self._level = level
        self._trouble = Trouble(say, clock)
        self._waiting: deque[Letter] = deque(maxlen=CAPACITY)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self.delivered = 0

    @property
    def name(self) -> str:
        return self._post.name

    @property
    def waiting(self) -> int:
        """Letters not delivered yet."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """Kind of the trouble that keeps letters back; empty when there is none."""
        return self._trouble.now

    def tell(self, telling: Telling) -> None:
        """Keep the message, unless this route is for graver ones."""
        if wants(self._level, telling):
            card = telling.card.redacted(self._redact)
            self._waiting.append(Letter(card, telling.severity, telling.photo))
            self._wake.set()

    def hurry(self) -> None:
        """No more pauses after a delivery: the daemon stops."""
        self._hurry.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
            batch = tuple(self._waiting)[:_TOGETHER]
            try:
                async with asyncio.timeout(3 * _TIMEOUT_S):
                    await self._post.deliver(batch, self._clock.now_ms())
            except SlowDown as error:
                self._trouble.begin(error, f"{self.name} slows alerts down: {error}")
                await self._clock.sleep(error.seconds)
            except (Unreachable, TimeoutError) as error:
                problem = error if isinstance(error, Unreachable) else Unreachable("no answer")
                self._trouble.begin(problem, f"{self.name} does not take alerts: {problem}")
                await self._clock.sleep(self._backoff.next())
            else:
                self._took(batch)
                await self._pause()

    def _took(self, batch: Sequence[Letter]) -> None:
        gone = set(map(id, batch))  # some may have been pushed out of the queue meanwhile
        while self._waiting and id(self._waiting[0]) in gone:
            self._waiting.popleft()
        self.delivered += len(batch)
        self._backoff.reset()
        self._trouble.end(f"{self.name} takes alerts again")

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._post.pause_s):
                await self._hurry.wait()
        except TimeoutError:
            return  # the pause is over


class Slack:
    """An incoming webhook. `connector` None is TCP."""

    name = "Slack"
    pause_s = 1.0

    def __init__(self, url: SecretStr, connector: ConnectorFactory | None = None) -> None:
        self._url = url
        self._connector = connector

    async def deliver(self, letters: Sequence[Letter], now_ms: int) -> None:
        body = {"text": "\n\n".join(letter.card.mrkdwn for letter in letters)[:_SLACK_LIMIT]}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        connector = None if self._connector is None else self._connector()
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, timeout=timeout, trust_env=connector is None
                ) as session,
                session.post(self._url.get_secret_value(), json=body) as answer,
            ):
                if answer.status == 429:
                    pause = answer.headers.get("Retry-After", "")
                    raise SlowDown(float(pause) if pause.isdecimal() else 60.0)
                if answer.status >= 300:
                    raise Unreachable(f"HTTP {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from None  # its text would hold the address


class Mail:
    """A mail server, as `smtp://user:password@host:587` (STARTTLS when offered) or `smtps://`.

    A login is only sent encrypted, or to this machine. `trusted` replaces the system's authorities.
    """

    name = "mail"
    pause_s = _MAIL_PAUSE_S

    def __init__(
        self, url: SecretStr, recipients: tuple[str, ...], trusted: ssl.SSLContext | None = None
    ) -> None:
        self._url = url
        self._recipients = recipients
        self._trusted = trusted

    async def deliver(self, letters: Sequence[Letter], now_ms: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, self._send, letters, now_ms)
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable(type(error).__name__) from None  # its text may hold what was sent

    def _send(self, letters: Sequence[Letter], now_ms: int) -> None:
        """In a thread: connect, encrypt, log in, hand over."""
        parts = urlsplit(self._url.get_secret_value())
        host = parts.hostname or ""
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        sender = user if "@" in user else f"usdc-futures-bot@{socket.gethostname()}"
        context = self._trusted or ssl.create_default_context()
        encrypted = parts.scheme == "smtps"
        if encrypted:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=_TIMEOUT_S, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=_TIMEOUT_S)
        with server:
            server.ehlo_or_helo_if_needed()
            if not encrypted and server.has_extn("starttls"):
                server.starttls(context=context)
                encrypted = True
            if user and not encrypted and not _is_here(host):
                raise Unreachable("the server offers no encryption, so no login is sent")
            if user:
                server.login(user, password)
            server.send_message(mail_of(letters, sender, self._recipients, now_ms))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def mail_of(
    letters: Sequence[Letter], sender: str, recipients: Sequence[str], now_ms: int
) -> EmailMessage:
    """One mail of all letters; the gravest gives the subject, pictures are attached."""
    gravest = max(letters, key=lambda letter: _RANKS.index(letter.severity)).card
    first = next((line for block in gravest.blocks for line in block.lines if line), "")
    more = f" (+{len(letters) - 1})" if len(letters) > 1 else ""
    subject = " ".join(f"{gravest.head}: {first}".split())
    text = "\n\n".join(letter.card.plain for letter in letters)
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    message = EmailMessage()
    message["Subject"] = subject[:_SUBJECT] + more
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1_000, UTC))
    message["Message-ID"] = f"<{now_ms}.{mark}@{sender.partition('@')[2]}>"
    message.set_content(text)
    for letter in letters:
        if letter.photo:
            message.add_attachment(
                letter.photo, maintype="image", subtype="png", filename="equity.png"
            )
    return message
