"""Real clients against the paper exchange: `python -m tools.client_matrix` (floor 8).

Installs the clients named in `tests/clients/requirements-*.txt` in virtual environments of their
own, starts a paper exchange for each client on a free port of this machine, runs the client's
checks and prints a table. freqtrade and nautilus run only when asked for: they are large, and take
minutes or a newer Python.
Exit codes: 0 every check passed, 1 one failed, 2 nothing could be run.
"""

import argparse
import json
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

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "tests" / "clients"
DEFAULT_VENVS = Path(tempfile.gettempdir()) / "paper-clients"
SCRIPTS = {
    "ccxt": "ccxt_rest.py",
    "ccxt.pro": "ccxt_pro.py",
    "SDK": "sdk.py",
    "python-binance": "python_binance.py",
    "freqtrade": "freqtrade_runs.py",
    "nautilus": "nautilus_runs.py",
}
LARGE = ("freqtrade", "nautilus")
"""Clients with an environment of their own, left out unless asked for."""
PASSED, FAILED, UNABLE = 0, 1, 2
_CLIENT_S = 1500
_STOP_S = 10
_SYMBOLS = "BTCUSDC,ETHUSDC,XRPUSDC"


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
    add("--python", default=sys.executable, help="makes the environments (%(default)s)")
    add("--no-install", action="store_true", help="take the environments as they are")
    return parser.parse_args(argv)


def _python(folder: Path) -> Path:
    windows = folder / "Scripts" / "python.exe"
    return windows if windows.exists() else folder / "bin" / "python"


def _set_of(client: str) -> str:
    """Name of the set of packages a client belongs to."""
    return client if client in LARGE else "clients"


def _install(interpreter: str, folder: Path, requirements: Path) -> None:
    if not _python(folder).exists():
        make = [interpreter, "-m", "venv", str(folder)]
        subprocess.run(make, check=True)  # noqa: S603 - the operator's own choice
    command = [str(_python(folder)), "-m", "pip", "install", "-q", "-r", str(requirements)]
    subprocess.run(command, check=True)  # noqa: S603 - our own interpreter and file


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


def run_client(python: Path, client: str) -> list[Result]:
    """All checks of one client; one more, failed, when its script did not come to its end."""
    with exchange() as ready:
        try:
            done = subprocess.run(  # noqa: S603 - the clients' interpreter, our script
                [str(python), str(CLIENTS / SCRIPTS[client]), ready],
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


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    try:
        chosen = args.client or [client for client in SCRIPTS if client not in LARGE]
        for name in dict.fromkeys(_set_of(client) for client in chosen):
            if not args.no_install:
                requirements = CLIENTS / f"requirements-{name}.txt"
                _install(args.python, args.venvs / name, requirements)
        results: list[Result] = []
        for client in chosen:
            print(f"client_matrix: {client}", file=sys.stderr, flush=True)
            results += run_client(_python(args.venvs / _set_of(client)), client)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"client_matrix: {error}", file=sys.stderr)
        return UNABLE
    print(table(results))
    return PASSED if all(row.ok for row in results) else FAILED


if __name__ == "__main__":
    sys.exit(main())
