"""Tools beside a living daemon: three processes, one account."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tool_kit import ROOT, XRP, Exchange, paper_process

from core.storage.audit_verify import find_segments, verify
from tools import check_positions, force_trade, panic, why

LIMIT_S = 60.0


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with paper_process("--symbols", "XRPUSDC,DOGEUSDC") as running:
        yield running


class Daemon:
    """`main.py` as a process; its console is read line by line."""

    def __init__(self, env: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "main.py", "--env-file", str(env)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._guard = threading.Timer(LIMIT_S, self._process.kill)
        self._guard.start()
        self.said: list[str] = []

    def until(self, words: str) -> str:
        """The next line that has `words`; fails when the process ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError("".join(self.said))

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        rest, _ = self._process.communicate(timeout=LIMIT_S)
        self._guard.cancel()
        self.said.append(rest)
        return self._process.returncode


@contextmanager
def daemon(env: Path) -> Iterator[Daemon]:
    made = Daemon(env)
    try:
        yield made
    finally:
        made.stop()


def test_panic_beside_a_daemon_that_holds_a_position(
    exchange: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = exchange.env(tmp_path, MIN_24H_VOLUME="1", SYMBOLS="XRPUSDC", TIMEFRAME="1m")
    arguments = ["--env-file", str(env), "--json"]
    assert force_trade.main(["XRPUSDC", "long", *arguments]) == 0
    with daemon(env) as running:
        running.until("ready:")
        capsys.readouterr()
        assert force_trade.main(["XRPUSDC", "long", *arguments]) == 4
        assert check_positions.main(arguments) == 0
        held = json.loads(capsys.readouterr().out)["positions"]
        assert [(row["symbol"], row["whose"], row["stops"]) for row in held] == [
            (XRP, "bot", "full")
        ]
        assert panic.main([*arguments, "--reason", "drill"]) == 0
        assert "CLOSE XRP/USDC:USDC LONG" in running.until("CLOSE")
        assert exchange.state() == ((), ())
        assert why.main([*arguments, "--since", "all"]) in (0, 1), "readable while it is written"
        assert running.stop() == 0
    assert "Traceback" not in "".join(running.said)
    files, whole = find_segments([tmp_path / "logs" / "audit.jsonl"])
    assert verify(files, whole=whole).bad is None, "tool and daemon take turns in one chain"
