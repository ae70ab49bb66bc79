"""Two commands from a fresh clone: `python bootstrap.py run` and `python bootstrap.py test`.

Upkeep floor, standard library only. It makes `.venv`, installs the pinned, hash-checked
requirements and starts `main.py` (or `validate_project.py`) with that environment's Python. A
second start finds the stamp of the last installation and goes straight on.

The syntax stays readable to Python 3.6, so that an old interpreter is told what is needed instead
of failing on a line of code.
"""

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - this is the place that tells an old interpreter
    sys.exit("error: Python 3.11 or later is needed, this is " + sys.version.split()[0])

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed.json"
RUNTIME = "requirements.txt"
DEVELOPMENT = "requirements-dev.txt"  # a superset of the runtime requirements

USAGE = """\
python bootstrap.py run [main.py arguments]   start the bot (without arguments: --dry-run)
python bootstrap.py test [pytest arguments]   run every check of the project"""


class BootstrapError(Exception):
    """Something the reader can mend; the text is one line and says how."""


def venv_python(venv: Path) -> Path:
    """The interpreter inside `venv`."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def python_tag() -> str:
    """What an installed package depends on: implementation and minor version."""
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"


def fingerprint(requirements: Path) -> str:
    """SHA-256 of the file, hexadecimal."""
    try:
        return hashlib.sha256(requirements.read_bytes()).hexdigest()
    except OSError as error:
        raise BootstrapError(f"cannot read {requirements.name}: {error.strerror}") from error


def read_stamp() -> dict[str, str]:
    """What the last complete installation left behind; empty when there was none."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def ensure_environment(requirements: str) -> None:
    """Make `.venv` hold what the file `requirements` pins. Raises BootstrapError."""
    wanted = fingerprint(ROOT / requirements)
    stamp = read_stamp()
    same_python = stamp.get("python") == python_tag() and venv_python(VENV).exists()
    if same_python and stamp.get(requirements) == wanted:
        return
    if not same_python:
        stamp = {}
        if Path(sys.prefix).resolve() != VENV.resolve():  # else: started from inside it
            create_venv()
    STAMP.unlink(missing_ok=True)  # an interrupted installation leaves no stamp
    install(requirements)
    stamp |= {"python": python_tag(), requirements: wanted}
    if requirements == DEVELOPMENT:
        stamp[RUNTIME] = fingerprint(ROOT / RUNTIME)
    STAMP.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")


def create_venv() -> None:
    """A fresh `.venv`, replacing one of another Python."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise BootstrapError(
            f"this Python has no {missing[0]} module; on Debian or Ubuntu: apt install python3-venv"
        )
    say("making .venv")
    made = run_quietly([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if made.returncode:
        raise BootstrapError(f"could not make .venv: {last_line(made)}")


def install(requirements: str) -> None:
    """Install exactly what the file pins, wheels only, every file checked against its hash."""
    say(f"installing {requirements} into .venv (a minute or two the first time)")
    pip = [str(venv_python(VENV)), "-m", "pip", "install", "--quiet", "--no-input"]
    pip += ["--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
    done = run_quietly([*pip, "--requirement", str(ROOT / requirements)])
    if done.returncode:
        raise BootstrapError(
            f"pip could not install {requirements} (is the network reachable?): {last_line(done)}"
        )


def run_quietly(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run and keep the output."""
    try:
        return subprocess.run(  # noqa: S603 - our own arguments, no shell
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise BootstrapError(f"cannot start {command[0]}: {error.strerror}") from error


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The line of a failed command's output that says most."""
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines()]
    errors = [line for line in lines if line.upper().startswith("ERROR")]
    return (errors or [line for line in lines if line] or ["no reason given"])[-1]


def say(text: str) -> None:
    """Progress goes to stderr: stdout belongs to the program that is started."""
    print(text, file=sys.stderr, flush=True)


def hand_over(command: list[str]) -> int:
    """Become `command`. On Windows, which cannot: run it, leave signals to it, return its code."""
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606 - replaces this process, no shell
    with subprocess.Popen(command) as child:  # noqa: S603 - our own arguments, no shell
        for name in ("SIGINT", "SIGBREAK"):  # the console sends them to the child as well
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        return child.wait()


def main(arguments: list[str]) -> int:
    """Exit code of the bootstrap itself: 2 for a wrong call, 1 when something is missing."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command not in {"run", "test"}:
        say(USAGE)
        return 0 if command in {"-h", "--help"} else 2
    python = str(venv_python(VENV))
    try:
        if command == "run":
            ensure_environment(RUNTIME)
            return hand_over([python, str(ROOT / "main.py"), *(rest or ["--dry-run"])])
        ensure_environment(DEVELOPMENT)
        passed_on = ["--", *rest] if rest else []
        return hand_over([python, str(ROOT / "validate_project.py"), *passed_on])
    except BootstrapError as error:
        say(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
