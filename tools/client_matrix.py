"""Real clients against the paper exchange: `python -m tools.client_matrix` (floor 8).

Installs the clients locked in `tests/clients/requirements-*.txt` in virtual environments of their
own, starts a paper exchange for each client on a free port of this machine, runs the client's
checks and prints a table. `--all` adds freqtrade and nautilus, which take minutes; nautilus needs
Python 3.12 or newer, looked for on the path when `--python` is older.
Exit codes: 0 every check passed, 1 one failed, 2 a client could not be installed or run.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Run as a file (python tools/client_matrix.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.kernel.clock import stopwatch

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "tests" / "clients"
DEFAULT_VENVS = Path(tempfile.gettempdir()) / "paper-clients"
SCRIPTS = {
    "ccxt": "ccxt_rest.py",
    "ccxt.pro": "ccxt_pro.py",
    "SDK": "sdk.py",
    "python-binance": "python_binance.py",
    "plain": "plain.py",
    "freqtrade": "freqtrade_runs.py",
    "nautilus": "nautilus_runs.py",
}
LARGE = ("freqtrade", "nautilus")
"""Clients with an environment of their own, left out unless asked for."""
OLDEST = {"nautilus": (3, 12)}
"""First Python of the clients that do not run on the project's oldest one."""
NEWER = ("python3.13", "python3.12")
"""Interpreters that are tried on the path for those."""
PASSED, FAILED, UNABLE = 0, 1, 2
_CLIENT_S = 1500
_INSTALL_S = 1800
_STOP_S = 10
_SYMBOLS = "BTCUSDC,ETHUSDC,XRPUSDC"
_STAMP = "installed.sha256"


class Unable(Exception):
    """A client cannot be installed or run here; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one client; `detail` says why it failed."""

    client: str
    check: str
    ok: bool
    detail: str


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="client_matrix", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--venvs", type=Path, default=DEFAULT_VENVS, help="where the clients live (%(default)s)")
    add("--client", choices=tuple(SCRIPTS), action="append", help="this one only; may be repeated")
    add("--all", action="store_true", help="every client, the large ones too")
    add("--python", default=sys.executable, help="makes the environments (%(default)s)")
    add("--no-install", action="store_true", help="take the environments as they are")
    return parser.parse_args(argv)


def python_of(folder: Path) -> Path:
    """Interpreter of a virtual environment, which need not exist."""
    windows = folder / "Scripts" / "python.exe"
    return windows if windows.exists() else folder / "bin" / "python"


def set_of(client: str) -> str:
    """Name of the set of packages a client belongs to."""
    return client if client in LARGE else "clients"


def _version(interpreter: str) -> tuple[int, ...]:
    """Major and minor of an interpreter; empty when it does not run."""
    command = [interpreter, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own choice, or Python of the path
            command, capture_output=True, text=True, timeout=_STOP_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(int(part) for part in done.stdout.split()) if not done.returncode else ()


def interpreter_for(name: str, given: str) -> str:
    """`given`, or a newer Python of the path for a set that needs one. Raises Unable."""
    oldest = OLDEST.get(name, (0, 0))
    on_path = [found for found in map(shutil.which, NEWER) if found]
    for interpreter in (given, *on_path):
        if _version(interpreter) >= oldest:
            return interpreter
    wanted = ".".join(str(part) for part in oldest)
    raise Unable(f"{name}: needs Python {wanted} or newer: name one with --python")


def install(given: str, venvs: Path, name: str) -> None:
    """Bring the environment of a set to what its lock file says. Raises Unable.

    An environment that was made from the same file is taken as it is; any other is made anew.
    """
    requirements = CLIENTS / f"requirements-{name}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = venvs / name
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    print(f"client_matrix: installing {name} in {folder}", file=sys.stderr, flush=True)
    make = [interpreter_for(name, given), "-m", "venv", "--clear", str(folder)]
    fill = [str(python_of(folder)), "-m", "pip", "install", "-q", "--require-hashes"]
    for command in (make, [*fill, "-r", str(requirements)]):
        try:
            subprocess.run(command, check=True, timeout=_INSTALL_S)  # noqa: S603 - our own file
        except (OSError, subprocess.SubprocessError) as error:
            raise Unable(f"{name}: {error}") from None
    stamp.write_text(wanted, encoding="ascii")


@contextmanager
def exchange() -> Iterator[str]:
    """A paper exchange of its own process; yields the line that tells its addresses and keys."""
    command = [sys.executable, "-m", "tools.paper_exchange", "--faults", "--symbols", _SYMBOLS]
    server = subprocess.Popen(  # noqa: S603 - this interpreter
        [*command, "--balance", "20000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line:
            raise OSError("the paper exchange did not start")
        yield line.strip()
    finally:
        server.terminate()
        server.wait(_STOP_S)


def run_client(python: Path, client: str, only: Sequence[str] = ()) -> list[Result]:
    """All checks of one client, or the named ones.

    One more, failed, tells when its script did not come to its end.
    """
    with exchange() as ready:
        try:
            done = subprocess.run(  # noqa: S603 - the clients' interpreter, our script
                [str(python), str(CLIENTS / SCRIPTS[client]), ready, *only],
                capture_output=True,
                text=True,
                timeout=_CLIENT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [Result(client, "run", ok=False, detail=f"not done after {_CLIENT_S} s")]
    results = [Result(**json.loads(line)) for line in done.stdout.splitlines() if line[:1] == "{"]
    if not results or done.returncode:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        results.append(Result(client, "run", ok=False, detail=last))
    return results


def table(results: Sequence[Result]) -> str:
    """Checks by clients as Markdown, with counts, and below it why checks failed."""
    clients = list(dict.fromkeys(row.client for row in results))
    checks = list(dict.fromkeys(row.check for row in results))
    marks = {(row.client, row.check): "ok" if row.ok else "FAILED" for row in results}
    lines = [
        "| check | " + " | ".join(clients) + " |",
        "|---" * (len(clients) + 1) + "|",
    ]
    for check in checks:
        cells = " | ".join(marks.get((client, check), "-") for client in clients)
        lines.append(f"| {check} | {cells} |")
    counts = [
        f"{sum(row.ok for row in results if row.client == client)}"
        f"/{sum(row.client == client for row in results)}"
        for client in clients
    ]
    lines.append("| **passed** | " + " | ".join(counts) + " |")
    lines += [f"{row.client}, {row.check}: {row.detail}" for row in results if not row.ok]
    return "\n".join(lines)


def _chosen(args: argparse.Namespace) -> list[str]:
    if args.client:
        return list(dict.fromkeys(args.client))
    return [client for client in SCRIPTS if args.all or client not in LARGE]


def _run(args: argparse.Namespace, client: str) -> list[Result]:
    """Install, run and tell one client."""
    if not args.no_install:
        install(args.python, args.venvs, set_of(client))
    began = stopwatch()
    results = run_client(python_of(args.venvs / set_of(client)), client)
    passed = sum(row.ok for row in results)
    text = f"client_matrix: {client} {passed}/{len(results)} in {stopwatch() - began:.0f} s"
    print(text, file=sys.stderr, flush=True)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    results: list[Result] = []
    unable = False
    for client in _chosen(args):
        try:
            results += _run(args, client)
        except (OSError, Unable) as error:
            print(f"client_matrix: {error}", file=sys.stderr, flush=True)
            unable = True
    if results:
        print(table(results))
    if unable:
        return UNABLE
    return PASSED if all(row.ok for row in results) else FAILED


if __name__ == "__main__":
    sys.exit(main())
