"""The client matrix: environments made once per lock file, clients run, ends told."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tools import client_matrix
from tools.client_matrix import FAILED, PASSED, UNABLE, Result, Unable, install, interpreter_for


class Shell:
    """Takes the place of `subprocess.run`: notes commands, makes the interpreter a venv would."""

    def __init__(self, *, fails: str = "") -> None:
        self.commands: list[list[str]] = []
        self._fails = fails

    def run(self, command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        assert options["timeout"]
        if "-c" in command:
            return subprocess.CompletedProcess(command, 0, stdout="3 11\n")
        self.commands.append(command)
        if self._fails and self._fails in command:
            raise subprocess.CalledProcessError(1, command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, 0, stdout="")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell()
    monkeypatch.setattr("tools.client_matrix.subprocess.run", made.run)
    return made


def test_an_environment_is_made_once_per_lock_file(tmp_path: Path, shell: Shell) -> None:
    install("python", tmp_path, "clients")
    made, filled = shell.commands
    assert made == ["python", "-m", "venv", "--clear", str(tmp_path / "clients")]
    assert "--require-hashes" in filled
    lock = client_matrix.CLIENTS / "requirements-clients.txt"
    assert filled[-2:] == ["-r", str(lock)]
    install("python", tmp_path, "clients")
    assert len(shell.commands) == 2  # the same lock: nothing to do
    stamp = tmp_path / "clients" / "installed.sha256"
    assert stamp.read_text() == hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp.write_text("another")
    install("python", tmp_path, "clients")
    assert len(shell.commands) == 4


def test_half_an_installation_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Shell(fails="pip")
    monkeypatch.setattr("tools.client_matrix.subprocess.run", broken.run)
    for _ in range(2):
        with pytest.raises(Unable, match="freqtrade"):
            install("python", tmp_path, "freqtrade")
    assert len(broken.commands) == 4


def test_a_set_that_needs_a_newer_python_looks_for_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interpreter_for("clients", "python") == "python"
    monkeypatch.setattr("tools.client_matrix.shutil.which", lambda name: None)
    with pytest.raises(Unable, match=r"nautilus: needs Python 3\.12"):
        interpreter_for("nautilus", "python")
    monkeypatch.setattr("tools.client_matrix.shutil.which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(
        client_matrix, "_version", lambda path: (3, 12) if path == "/opt/python3.12" else ()
    )
    assert interpreter_for("nautilus", "python") == "/opt/python3.12"


def test_what_does_not_run_has_no_version() -> None:
    assert client_matrix._version(sys.executable) == sys.version_info[:2]
    assert client_matrix._version("/nowhere/python") == ()


def test_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [Result("ccxt", "markets", ok=True, detail="")]
    told = {"ccxt": good, "SDK": good}
    monkeypatch.setattr(client_matrix, "SCRIPTS", dict.fromkeys((*told, "freqtrade"), "x.py"))
    monkeypatch.setattr(client_matrix, "run_client", lambda python, client: told[client])
    arguments = ["--venvs", str(tmp_path), "--no-install"]
    assert client_matrix.main(arguments) == PASSED
    assert "| **passed** | 2/2 |" in capsys.readouterr().out
    told["SDK"] = [Result("SDK", "market data", ok=False, detail="silent")]
    assert client_matrix.main(arguments) == FAILED
    assert "SDK, market data: silent" in capsys.readouterr().out

    def refuse(given: str, venvs: Path, name: str) -> None:
        if name == "freqtrade":
            raise Unable("freqtrade: no network")

    monkeypatch.setattr(client_matrix, "install", refuse)
    told["SDK"] = good
    assert client_matrix.main(["--venvs", str(tmp_path), "--all"]) == UNABLE
    output = capsys.readouterr()
    assert "client_matrix: freqtrade: no network" in output.err
    assert "| **passed** | 2/2 |" in output.out
