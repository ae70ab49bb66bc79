"""run_monitor, auto_monitor and monitor_bot over what a daemon left."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from recorded import paper_env, record_day
from tool_kit import ROOT

from tools import monitor_bot, run_monitor

TOKEN = "123456789:AAcanaryTokenOfThisTest-0123456789abc"


class Telegram(HTTPServer):
    """Stands where the Bot API stands and remembers what it was sent."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                outer.told.append((self.path, json.loads(self.rfile.read(size))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the console."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    server = Telegram()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def with_telegram(folder: Path, server: Telegram) -> Path:
    return paper_env(
        folder,
        TELEGRAM_TOKEN=TOKEN,
        TELEGRAM_CHAT_ID="42",
        TELEGRAM_API_URL=f"http://127.0.0.1:{server.server_port}",
    )


def test_alarm_is_told_once(
    tmp_path: Path, telegram: Telegram, capsys: pytest.CaptureFixture[str]
) -> None:
    record_day(tmp_path, ["4", "-3", "-3"])
    env = ["--env-file", str(with_telegram(tmp_path, telegram)), "--json"]
    assert run_monitor.main(env) == 1
    told = {row["rule"]: row for row in json.loads(capsys.readouterr().out)["rules"]}
    assert told["stop_streak"]["raised"] is True
    assert run_monitor.main(env) == 1
    assert json.loads(capsys.readouterr().out)["rules"][1]["changed"] is False
    assert "stop-losses in a row" in (tmp_path / "logs/monitor_report.txt").read_text()
    assert len(telegram.told) == 1, "no news is no message"
    path, body = telegram.told[0]
    assert path == f"/bot{TOKEN}/sendMessage"
    assert body["chat_id"] == 42
    assert "ALARM  stop-losses in a row: 2" in str(body["text"])


def test_unreachable_telegram_hides_the_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_day(tmp_path, ["-3", "-3"])
    env = paper_env(
        tmp_path,
        TELEGRAM_TOKEN=TOKEN,
        TELEGRAM_CHAT_ID="42",
        TELEGRAM_API_URL="http://127.0.0.1:9",
    )
    assert run_monitor.main(["--env-file", str(env)]) == 1
    said = capsys.readouterr()
    assert "Telegram was not reached" in said.err
    assert TOKEN not in said.err + said.out


def test_auto_monitor_as_a_process_ends_with_a_signal(tmp_path: Path) -> None:
    record_day(tmp_path, ["-3", "-3"])
    env = ["--env-file", str(paper_env(tmp_path))]
    process = subprocess.Popen(
        [sys.executable, "tools/auto_monitor.py", "--interval", "0.1", "--json", *env],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert (told["rule"], told["raised"]) == ("stop_streak", True)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1, "it ends while an alarm stands"
    assert "Traceback" not in errors


def test_one_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_day(tmp_path, ["4", "-3"])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bot_20260101.log").write_text(
        "2026-01-01T10:00:00.000Z INFO  engine     ready\n"
    )
    env = ["--env-file", str(paper_env(tmp_path))]
    assert monitor_bot.main(["--once", *env]) == 0
    text = capsys.readouterr().out
    for words in ("PAPER", "NOT RUNNING", "equity  500.00 USDC", "no open position", "spread"):
        assert words in text
    assert "10:00:00 engine     ready" in text
    assert monitor_bot.main(["--json", *env]) == 0
    assert json.loads(capsys.readouterr().out)["equity"] == "500"


def test_no_database_yet(tmp_path: Path) -> None:
    env = ["--env-file", str(paper_env(tmp_path))]
    assert run_monitor.main(env) == 2
    assert monitor_bot.main(env) == 2


def test_sparkline() -> None:
    assert monitor_bot.sparkline([1.0, 2.0, 3.0]) == "▁▄█"
    assert monitor_bot.sparkline([5.0]) == "▁"
    assert len(monitor_bot.sparkline([float(n) for n in range(500)])) == 48
