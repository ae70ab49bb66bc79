"""The daemon as a stranger meets it: child processes, folders, exit codes and files."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "main.py"
LIMIT_S = 240.0
"""Real seconds after which a child process counts as hung."""
_KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV")

needs_archive = pytest.mark.skipif(
    "CANDLE_ARCHIVE" not in os.environ,
    reason="CANDLE_ARCHIVE does not name a folder of recorded candles",
)


def archive() -> Path:
    """Folder of recorded one-minute candles."""
    return Path(os.environ["CANDLE_ARCHIVE"]) / "1m"


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Nothing of this shell's own settings reaches the child."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **{name: str(value) for name, value in settings.items()}}


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return self.err.splitlines()


class Running:
    """A process in `folder`; what it says is in files, so that no pipe can fill up."""

    def __init__(self, folder: Path, command: list[str], settings: Mapping[str, object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("stdout-*.txt")))
        self._out = folder / f"stdout-{number}.txt"
        self._err = folder / f"stderr-{number}.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(settings), stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def wait_for(self, text: str, limit: float = 30.0) -> None:
        """Return when the process has said `text`, on either stream."""
        self.wait_until(lambda: text in self.err or text in self.out, f"said {text!r}", limit)

    def wait_until(self, happened: Callable[[], bool], what: str, limit: float = 30.0) -> None:
        """Return when `happened()`; a process that ends before fails the test."""
        deadline = time.monotonic() + limit
        while not happened():
            code = self.process.poll()
            assert code is None or happened(), (
                f"ended with {code}, never {what}:\n{self.err[-2000:]}"
            )
            assert time.monotonic() < deadline, f"never {what}:\n{self.err[-2000:]}"
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, limit: float = LIMIT_S) -> Ended:
        """Wait for the end; a process that does not end is killed and fails the test."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"still running after {limit:g} s:\n{self.err[-2000:]}")
        return Ended(code, self.out, self.err)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@dataclass(frozen=True)
class Patient:
    """A process in the background, and when (monotonic seconds) it was started."""

    running: Running
    began: float

    def end(self, limit: float) -> Ended:
        """Wait for the end, at most until `limit` seconds after the start."""
        return self.running.end(max(1.0, self.began + limit - time.monotonic()))


class Venue:
    """A stand-alone paper exchange on the wall clock, in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        tool = str(ROOT / "tools" / "paper_exchange.py")
        self.running = Running(folder, [sys.executable, tool, "--quote", "USDT", *options], {})
        self.running.wait_for('"api_secret"')
        self._ready: dict[str, str] = json.loads(self.running.out)

    @property
    def secret(self) -> str:
        return self._ready["api_secret"]

    @property
    def settings(self) -> dict[str, object]:
        """What points a daemon at it."""
        return {
            "TESTNET": "true",
            "BINANCE_REST_URL": self._ready["rest"],
            "BINANCE_WS_URL": self._ready["ws"],
            "BINANCE_API_KEY": self._ready["api_key"],
            "BINANCE_API_SECRET": self._ready["api_secret"],
        }

    def ask(self, path: str, method: str = "GET", **params: str) -> Any:
        """A signed request, as the account's owner makes it with other software."""
        stamped = {**params, "timestamp": str(time.time_ns() // 1_000_000)}
        query = urllib.parse.urlencode(stamped)
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(  # noqa: S310 - the address is ours
            f"{self._ready['rest']}{path}?{query}&signature={signature}",
            method=method,
            headers={"X-MBX-APIKEY": self._ready["api_key"]},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
            return json.load(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.running.kill()


def start_patient(folder: Path, *arguments: str, **settings: object) -> Patient:
    return Patient(start_bot(folder, *arguments, **settings), time.monotonic())


def start_bot(folder: Path, *arguments: str, main: Path = MAIN, **settings: object) -> Running:
    return Running(folder, [sys.executable, str(main), *arguments], settings)


def run_bot(folder: Path, *arguments: str, **settings: object) -> Ended:
    """`python main.py …` in `folder`, to its end."""
    return start_bot(folder, *arguments, **settings).end()


def run_tool(name: str, *arguments: str) -> Ended:
    """`python -m tools.NAME …` from the project's folder."""
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{name}", *arguments],
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def replay(start: str, end: str, *symbols: str) -> dict[str, object]:
    """Settings that play recorded candles as fast as the machine can."""
    return {
        "DRY_RUN": "true",
        "PAPER_FEED": "replay",
        "PAPER_REPLAY_PATH": archive(),
        "PAPER_REPLAY_FROM": start,
        "PAPER_REPLAY_TO": end,
        "PAPER_SPEED": "max",
        "SYMBOLS": ",".join(symbols),
        "TIMEFRAME": "5m",
    }


SYNTHETIC: Mapping[str, object] = {
    "DRY_RUN": "true",
    "PAPER_FEED": "synthetic",
    "PAPER_SPEED": "max",
    "SYMBOLS": "XRPUSDC,DOGEUSDC,ADAUSDC",
}


def last_run(folder: Path) -> dict[str, Any]:
    """The figures a run leaves for programs."""
    figures: dict[str, Any] = json.loads((folder / "logs" / "last_run.json").read_text())
    return figures


def audit(folder: Path) -> list[dict[str, Any]]:
    """Every record of all segments, in the order of the chain."""
    records = [
        json.loads(line)
        for path in (folder / "logs").glob("audit*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return sorted(records, key=lambda record: record["seq"])


def having(records: Iterable[dict[str, Any]], action: str, **wanted: object) -> list[Any]:
    """Records of one action whose fields have these values."""
    return [
        record
        for record in records
        if record["action"] == action
        and all(record.get(name) == value for name, value in wanted.items())
    ]


def assert_clean(ended: Ended) -> None:
    """Nothing of the interpreter's or the libraries' complaints on the screen."""
    for complaint in ("Traceback", "Unclosed", "was destroyed", "never awaited", "Exception"):
        assert complaint not in ended.err, ended.err[-3000:]
        assert complaint not in ended.out, ended.out[-3000:]


def assert_chain(folder: Path) -> None:
    verdict = run_tool("verify_audit", str(folder / "logs" / "audit.jsonl"))
    assert verdict.code == 0, verdict.out + verdict.err
    assert verdict.out.startswith("OK: ")
