"""Every secret an operator can configure, in a daemon that fails to reach where they lead."""

import signal
import subprocess
import sys
from pathlib import Path

from e2e_kit import MAIN, ROOT, Running, environment
from support.canaries import leaks_under

from core.simulation.planted import HMAC_KEY, leaks, needles
from core.simulation.telegram_server import TOKEN

SLACK = "Tcnry0slk/Bcnry1slk/cnrySlackHookKq7vRt2Lm"
MAIL = "cnry-mail-passw0rd-9Hs4WcDy"
DASHBOARD = "cnry-dashboard-token-5iOo1LlKkJjHhGgF"
NOWHERE = "127.0.0.1:9"
TOOLS = (
    ("tools.quick_check", 0),
    ("tools.diagnose", 0),
    ("tools.backup", 0),
    ("tools.why", None),
    ("tools.post_run_analysis", 0),
)


def test_no_byte_of_any_output_holds_one(tmp_path: Path) -> None:
    settings = {
        "DRY_RUN": "true",
        "PAPER_FEED": "synthetic",
        "PAPER_SPEED": "1",
        "SYMBOLS": "XRPUSDC",
        "TIMEFRAME": "1m",
        "DATA_DIR": tmp_path / "data",
        "LOGS_DIR": tmp_path / "logs",
        "LOG_LEVEL": "DEBUG",
        "LOG_JSON": "true",
        "AUDIT_HMAC_KEY": HMAC_KEY,
        "TELEGRAM_TOKEN": TOKEN,
        "TELEGRAM_CHAT_ID": "1",
        "TELEGRAM_API_URL": f"http://{NOWHERE}",
        "SLACK_WEBHOOK_URL": f"https://{NOWHERE}/services/{SLACK}",
        "SMTP_URL": f"smtp://bot:{MAIL}@{NOWHERE}",
        "ALERT_EMAIL_TO": "nobody@example.invalid",
        "DASHBOARD_TOKEN": DASHBOARD,
    }
    daemon = Running(tmp_path / "run", [sys.executable, str(MAIN)], settings)
    try:
        daemon.wait_for("ready:", 60.0)
        limits = Path(f"/proc/{daemon.process.pid}/limits")
        if limits.exists():
            (core,) = [line for line in limits.read_text().splitlines() if "core file" in line]
            assert core.split()[4:6] == ["0", "0"]
        failed = "Telegram does not answer"
        daemon.wait_until(lambda: failed in daemon.err, "failed to reach Telegram", 30.0)
        said = [_tool(name, code, tmp_path, settings) for name, code in TOOLS]
        daemon.send(signal.SIGTERM)
        assert daemon.end(60.0).code == 0
    finally:
        daemon.kill()
    searched = needles((HMAC_KEY, TOKEN, SLACK, MAIL, DASHBOARD))
    assert leaks("".join(said).encode(), searched) == []
    assert leaks_under(tmp_path, searched) == []
    names = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert names >= {".log", ".jsonl", ".db", ".zip", ".json", ".txt"}


def _tool(name: str, code: int | None, folder: Path, settings: dict[str, object]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", name],
        cwd=folder,
        env={**environment(settings), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert code is None or done.returncode == code, (name, done.stdout, done.stderr)
    return done.stdout + done.stderr
