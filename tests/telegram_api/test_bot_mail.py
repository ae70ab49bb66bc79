"""Alerts by mail, against a small SMTP server in a thread of its own."""

import base64
import datetime
import socketserver
import ssl
import threading
from collections.abc import Iterator
from email import message_from_string, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from telegram_api.scene import EPOCH_MS, Scene

from core.domain.enums import AlertLevel, Severity
from core.domain.facts import Alert
from core.kernel.clock import LiveClock
from core.kernel.loops import live_loop_factory, run
from tgbot import routes
from tgbot.outbox import Unreachable
from tgbot.render import Card, text
from tgbot.routes import Letter, Mail, mail_of


class _Conversation(socketserver.StreamRequestHandler):
    """Enough of RFC 5321 with STARTTLS and AUTH PLAIN for one message after the other."""

    server: "MailServer"

    def setup(self) -> None:
        self.encrypted = self.server.implicit
        if self.encrypted:
            self._encrypt()
        super().setup()

    def handle(self) -> None:
        self._answer("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.partition(" ")[0].upper()
            if word == "EHLO":
                offers = not self.encrypted and self.server.context is not None
                self._answer("250-here", *(["250-STARTTLS"] if offers else []), "250 AUTH PLAIN")
            elif word == "STARTTLS":
                self._answer("220 go on")
                self._encrypt()
                super().setup()
            elif word == "AUTH":
                given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                self.server.logins.append(self.encrypted)
                good = given == ["bot@example.org", "p@ss word"]
                self._answer("235 welcome" if good else "535 who are you")
            elif word == "DATA":
                self._answer("354 go on")
                self.server.mails.append(self._content())
                self._answer("250 taken")
            elif word == "QUIT":
                self._answer("221 bye")
                return
            else:
                self._answer("250 fine")

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.encrypted = True

    def _content(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        return "".join(lines)

    def _answer(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class MailServer(socketserver.ThreadingTCPServer):
    """`context` makes it offer encryption, `implicit` demand it from the first byte."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[str] = []
        self.logins: list[bool] = []
        self.context: ssl.SSLContext | None = None
        self.implicit = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def play(tmp_path: Path, server: MailServer, password: str) -> Scene:
    port = server.server_address[1]
    address = f"smtp://bot%40example.org:{password}@127.0.0.1:{port}"

    async def main() -> Scene:
        scene = Scene(tmp_path, LiveClock())
        scene.settings.update(SMTP_URL=address, ALERT_EMAIL_TO="ann@example.org")
        await scene.open()
        try:
            now = scene.clock.now_ms()
            scene.dispatcher.publish(Alert(Severity.INFO, "small", "nothing much", now))
            scene.dispatcher.publish(Alert(Severity.CRITICAL, "storage", "the disk is full", now))
            told = "mail does not take alerts"
            await scene.wait(lambda: server.mails or [line for line in scene.log if told in line])
        finally:
            await scene.close()
        return scene

    return run(main(), loop_factory=live_loop_factory())


def test_what_is_critical_is_mailed_and_what_is_not_is_not(
    tmp_path: Path, server: MailServer
) -> None:
    play(tmp_path, server, "p%40ss%20word")
    (mail,) = server.mails
    assert "To: ann@example.org" in mail
    assert "From: bot@example.org" in mail
    body = message_from_string(mail, policy=policy.default).get_content()
    assert "the disk is full" in body
    assert "nothing much" not in body
    assert message_from_string(mail, policy=policy.default)["Subject"].endswith("the disk is full")


def test_a_refused_login_is_reported_without_the_password(
    tmp_path: Path, server: MailServer
) -> None:
    scene = play(tmp_path, server, "wrong-secret")
    assert server.mails == []
    assert any("SMTPAuthenticationError" in line for line in scene.log)
    assert all("wrong-secret" not in line for line in scene.log)


# --- encryption ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


LETTER = Letter(
    Card("🧪 PAPER · 🚨 CRITICAL", (text("the disk", "is full"),)), Severity.CRITICAL, b""
)


def send(server: MailServer, scheme: str, trusted: ssl.SSLContext | None) -> None:
    port = server.server_address[1]
    url = SecretStr(f"{scheme}://bot%40example.org:p%40ss%20word@127.0.0.1:{port}")

    async def main() -> None:
        await Mail(url, ("ann@example.org",), trusted).deliver([LETTER], EPOCH_MS)

    run(main(), loop_factory=live_loop_factory())


@pytest.mark.parametrize(("scheme", "implicit"), [("smtp", False), ("smtps", True)])
def test_a_login_goes_over_an_encrypted_line(
    server: MailServer,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    scheme: str,
    implicit: bool,
) -> None:
    server.context, server.implicit = contexts[0], implicit
    send(server, scheme, contexts[1])
    assert server.logins == [True]
    assert len(server.mails) == 1


@pytest.mark.parametrize(("scheme", "implicit"), [("smtp", False), ("smtps", True)])
def test_a_server_nobody_vouches_for_gets_nothing(
    server: MailServer,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    scheme: str,
    implicit: bool,
) -> None:
    server.context, server.implicit = contexts[0], implicit
    with pytest.raises(Unreachable, match="SSLCertVerificationError"):
        send(server, scheme, None)
    assert server.logins == []
    assert server.mails == []


def test_no_login_without_encryption_but_to_this_machine(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(server, "smtp", None)
    assert server.logins == [False]
    monkeypatch.setattr(routes, "_is_here", lambda host: False)
    with pytest.raises(Unreachable, match="no encryption, so no login is sent"):
        send(server, "smtp", None)
    assert len(server.logins) == 1
    assert len(server.mails) == 1


def test_nobody_there() -> None:
    server = MailServer()
    server.server_close()
    with pytest.raises(Unreachable, match="ConnectionRefusedError"):
        send(server, "smtp", None)


def test_a_mail_of_several_letters_is_named_after_the_gravest() -> None:
    report = Letter(
        Card("🧪 PAPER · report", (text("net +2.37"),)), Severity.INFO, b"\x89PNG-bytes"
    )
    mail = mail_of([report, LETTER], "bot@example.org", ("ann@example.org", "bob@x.org"), EPOCH_MS)
    again: EmailMessage = message_from_string(mail.as_string(), policy=policy.default)  # type: ignore[assignment]  # what the policy makes
    assert again["Subject"] == "🧪 PAPER · 🚨 CRITICAL: the disk (+1)"
    assert again["To"] == "ann@example.org, bob@x.org"
    assert again["Date"] == "Sun, 15 Jun 2025 15:07:00 +0000"
    assert again["Message-ID"].startswith(f"<{EPOCH_MS}.")
    body = again.get_body()
    assert body is not None
    assert body.get_content().splitlines()[:2] == ["🧪 PAPER · report", "net +2.37"]
    (picture,) = again.iter_attachments()
    assert picture.get_content() == b"\x89PNG-bytes"


def test_a_mail_route_of_its_own_level(tmp_path: Path, server: MailServer) -> None:
    """Mail alone, without Telegram: warnings come, and what is only information does not."""
    port = server.server_address[1]

    async def main() -> None:
        scene = Scene(tmp_path, LiveClock())
        scene.token = ""
        scene.settings.update(
            SMTP_URL=f"smtp://127.0.0.1:{port}",
            ALERT_EMAIL_TO="ann@example.org",
            ALERT_EMAIL_LEVEL=AlertLevel.CRITICAL,
        )
        await scene.open()
        now = scene.clock.now_ms()
        scene.dispatcher.publish(Alert(Severity.WARNING, "some", "a warning", now))
        scene.dispatcher.publish(Alert(Severity.CRITICAL, "storage", "the disk is full", now))
        await scene.wait(lambda: server.mails)
        await scene.close()
        assert scene.phone.bot is None
        assert scene.failures == []

    run(main(), loop_factory=live_loop_factory())
    assert len(server.mails) == 1
    assert "a warning" not in server.mails[0]
