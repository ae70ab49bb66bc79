"""manage_keys keeps keys private; diagnose lets none out."""

import io
import json
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import paper_env, record_day
from tool_kit import Exchange, paper_process

from core.audit_logger import AuditLogger
from tools import diagnose, manage_keys

CANARY = "CanarySecretOfThisTest0123456789"


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with paper_process("--symbols", "XRPUSDC") as running:
        yield running


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_write_check_remove(
    exchange: Exchange,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    env = exchange.env(tmp_path)
    env.chmod(0o644)
    arguments = ["--env-file", str(env), "--json"]
    assert manage_keys.main(["check", *arguments]) == 1, "readable by others"
    assert manage_keys.main(["remove", *arguments]) == 0
    assert manage_keys.main(["check", *arguments]) == 1, "no keys"
    type_in(monkeypatch, exchange.api_key, exchange.api_secret)
    assert manage_keys.main(["write", "--stdin", *arguments]) == 0
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    capsys.readouterr()
    assert manage_keys.main(["check", "--online", *arguments]) == 0
    said = capsys.readouterr().out
    assert json.loads(said)["wallet"] == "400"
    assert exchange.api_secret not in said
    assert exchange.api_key not in said
    assert "QUOTE_COIN=USDC" in env.read_text(), "other settings stay"


def test_wrong_secret_is_refused_by_the_exchange(exchange: Exchange, tmp_path: Path) -> None:
    env = exchange.env(tmp_path, BINANCE_API_SECRET=CANARY)
    assert manage_keys.main(["check", "--online", "--env-file", str(env)]) == 3


def test_nonsense_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env = tmp_path / ".env"
    for typed in ("short", f"{CANARY} with spaces", f"{CANARY}#comment"):
        type_in(monkeypatch, typed, CANARY)
        assert manage_keys.main(["write", "--stdin", "--env-file", str(env)]) == 2
    missing = str(tmp_path / "none.pem")
    type_in(monkeypatch, CANARY)
    arguments = ["write", "--stdin", "--private-key", missing, "--env-file", str(env)]
    assert manage_keys.main(arguments) == 2
    assert not env.exists()
    assert CANARY not in capsys.readouterr().err


def test_bundle_holds_no_secret(tmp_path: Path) -> None:
    record_day(tmp_path, ["1"])
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "bot_20260101.log").write_text(f"2026-01-01T00:00:00Z INFO a secret {CANARY}\n")
    audit = AuditLogger(logs / "audit.jsonl", venue="paper")
    audit.write({"action": "note", "text": f"{CANARY} once"})
    audit.close()
    env = paper_env(tmp_path, TELEGRAM_TOKEN=CANARY)
    bundle = tmp_path / "bundle.zip"
    assert diagnose.main(["--env-file", str(env), "--output", str(bundle)]) == 0
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    with zipfile.ZipFile(bundle) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert all(CANARY not in text for text in parts.values())
    assert "a secret [redacted" in parts["log.txt"]
    assert "note" in parts["audit.txt"]
    assert "rsi 55.1" in parts["database.json"]
    assert "TELEGRAM_TOKEN" in parts["settings.txt"]


def test_bundle_before_the_first_start(tmp_path: Path) -> None:
    env = paper_env(tmp_path)
    bundle = tmp_path / "bundle.zip"
    assert diagnose.main(["--env-file", str(env), "--output", str(bundle)]) == 0
    assert not (tmp_path / "data").exists()
