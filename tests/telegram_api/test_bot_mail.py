"""Alerts by mail, against a small SMTP server in a thread of its own."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string, policy
from pathlib import Path

import pytest
from telegram_api.scene import Scene

from core.domain.enums import Severity
from core.domain.facts import Alert
from core.kernel.clock import LiveClock
from core.kernel.loops import live_loop_factory, run


class _Conversation(socketserver.StreamRequestHandler):
    """Enough of RFC 5321 with AUTH PLAIN for one message after the other."""

    server: "MailServer"

    def handle(self) -> None:
        self._answer("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.partition(" ")[0].upper()
            if word == "EHLO":
                self._answer("250-here", "250 AUTH PLAIN")
            elif word == "AUTH":
                given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
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

    def _content(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        return "".join(lines)

    def _answer(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[str] = []


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


def test_a_refused_login_is_reported_without_the_password(
    tmp_path: Path, server: MailServer
) -> None:
    scene = play(tmp_path, server, "wrong-secret")
    assert server.mails == []
    assert any("SMTPAuthenticationError" in line for line in scene.log)
    assert all("wrong-secret" not in line for line in scene.log)
