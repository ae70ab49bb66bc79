"""Secrets planted everywhere the daemon puts words appear in no byte of any output."""

import html
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from core.audit_logger import AuditLogger
from core.domain import facts
from core.domain.enums import Severity
from core.kernel.clock import LiveClock
from core.kernel.dispatcher import Dispatcher
from core.kernel.redaction import Redactor
from core.storage.database import open_database
from core.storage.recorder import FactRecorder
from core.storage.write_queue import WriteQueue
from core.unified_logger import UnifiedLogger

ROOT = Path(__file__).resolve().parents[2]
CANARIES = {
    "api_key": "cAnaryKey" * 7 + "x",
    "api_secret": "cAnarySecret" * 5 + "wxyz",
    "telegram": "987654321:AAcanary_token-canary_token-canary99",
    "password": 'canary&päss "w/rd"+=',
    "pem": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwcanaryLINEoneXX\ncanaryLINEtwo99==\n"
    "-----END PRIVATE KEY-----",
}
FORMS: tuple[Callable[[str], str], ...] = (
    str,
    repr,
    quote,
    quote_plus,
    html.escape,
    json.dumps,
    lambda text: f"https://x/y?a=1&signature={quote(text, safe='')}&b=2",
    lambda text: f"{{'X-MBX-APIKEY': {text!r}}}",
)
# What must not be found: no stretch of six characters of a secret, in any plain or encoded form.
NEEDLES = [
    word.encode()
    for value in CANARIES.values()
    for line in value.splitlines()
    if not line.startswith("-----")
    for word in {line[at : at + 8] for at in range(0, len(line) - 7, 4)}
] + [b"canary", b"cAnary"]


def redactor() -> Redactor:
    return Redactor(SecretStr(value) for value in CANARIES.values())


def explode(depth: int, words: str) -> None:
    if depth:
        explode(depth - 1, words)
    raise RuntimeError(f"request failed: {words}")


def fail(words: str, cause: Exception) -> None:
    raise ValueError(words) from cause


def chain(words: str, cause: Exception) -> None:
    try:
        fail(words, cause)
    except ValueError:
        logging.getLogger("lib").warning("chained", exc_info=True, stack_info=True)


def say_everything(log: UnifiedLogger) -> None:
    for value in CANARIES.values():
        for form in FORMS:
            words = form(value)
            log.log_event(
                "rest", "WARNING", f"got {words} back", detail=words, nested=[{"x": words}]
            )
            log.log_event("cfg", "INFO", "config", **{"api_key": words, words: 1})
            logging.getLogger("lib.deep").error("%s and %r", words, {"h": words})
            try:
                explode(2, words)
            except RuntimeError as error:
                log.log_event("oms", "ERROR", "failed", exc_info=True, error=error)
                logging.getLogger("lib").exception("failed with %s", words)
                chain(words, error)


async def write_everything(folder: Path, clean: Redactor) -> None:
    audit = AuditLogger(folder / "audit.jsonl", redactor=clean, hmac_key=SecretStr("canary-hmac"))
    database = await open_database(folder / "bot.db", inline=False)
    queue = WriteQueue(database, LiveClock(), lambda _: None)
    dispatcher = Dispatcher(lambda *_: None)
    FactRecorder(queue, clean).attach(dispatcher)
    for value in CANARIES.values():
        for form in FORMS:
            words = form(value)
            payload = {"action": "x", "why": words, words: {"list": [words, {"apiKey": words}]}}
            await audit.write_durable(payload)
            dispatcher.publish(facts.Alert(Severity.WARNING, "k", words, 1))
            dispatcher.publish(facts.OperatorCommand("me", words, 1))
            dispatcher.publish(
                facts.CandleEvaluated("S", "s", "15m", 1, 1.0, "no", "gate", words, 1)
            )
    await queue.settle()
    await database.backup(folder / "copy.db")
    await database.close()
    audit.close()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def leaks(raw: bytes) -> list[bytes]:
    return [needle for needle in NEEDLES if needle in raw]


async def test_no_output_byte_of_log_audit_or_database_holds_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    console, clean = io.StringIO(), redactor()
    log = UnifiedLogger(
        tmp_path / "logs", "DEBUG", clean, stream=console, json_lines=True, retention_days=1
    )
    say_everything(log)
    log.close()
    caplog.clear()
    await write_everything(tmp_path, clean)
    written = files_in(tmp_path)
    assert {path.suffix for path in written} >= {".log", ".jsonl", ".db"}
    assert len(console.getvalue()) > 10_000
    assert leaks(console.getvalue().encode()) == []
    for path in written:
        assert leaks(path.read_bytes()) == [], path


CRASH = """
import sys, threading
from pydantic import SecretStr
from core.kernel.redaction import Redactor
from core.unified_logger import UnifiedLogger
secret = sys.stdin.read()
log = UnifiedLogger(sys.argv[1], redactor=Redactor([SecretStr(secret)]))
log.guard_process()
class Bad:
    def __del__(self):
        raise ValueError("in a finalizer " + secret)
def work():
    raise RuntimeError("in a thread " + secret)
thread = threading.Thread(target=work)
thread.start()
thread.join()
bad = Bad()
del bad
if sys.argv[2] == "closed":
    log.close()
raise SystemError("at the end " + secret)
"""


@pytest.mark.parametrize("state", ["open", "closed"])
def test_what_ends_the_process_is_told_without_secrets(tmp_path: Path, state: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), state],
        cwd=ROOT,
        input=CANARIES["api_secret"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    (path,) = tmp_path.iterdir()
    assert done.returncode == 1
    for words in (done.stderr, path.read_text()):
        assert leaks(words.encode()) == []
    assert "SystemError: at the end [redacted" in done.stderr
    assert "RuntimeError: in a thread [redacted" in path.read_text()
    assert "ValueError: in a finalizer [redacted" in path.read_text()
