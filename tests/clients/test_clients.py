"""A slice of the client contract in the normal tests; all of it: `python -m tools.client_matrix`.

ccxt and ccxt.pro are runtime dependencies and always run. The others run where `CLIENT_VENVS`
names the folder in which the client matrix has installed them (its `--venvs`).
"""

import os
import sys
from pathlib import Path

import pytest

from tools.client_matrix import SCRIPTS, python_of, run_client, set_of, table

SLICES = {
    "ccxt": (
        "markets",
        "market order",
        "limit, amend, batch",
        "time in force",
        "conditional orders",
        "five types fired",
        "closePosition",
        "hedge mode",
        "error codes",
        "unknown outcomes",
        "listen key",
    ),
    "ccxt.pro": ("user stream", "conditional orders"),
    "SDK": ("market data", "limit, amend, batch", "conditional orders", "requests by socket"),
    "python-binance": ("limit, amend, batch", "conditional orders", "error codes", "user stream"),
    "plain": ("signatures", "refusals", "URL forms", "control messages"),
    "freqtrade": ("live, stopped on the exchange",),
    "nautilus": ("market order", "conditional orders"),
}
HERE = ("ccxt", "ccxt.pro")
VENVS = Path(os.environ.get("CLIENT_VENVS", ""))


def interpreter(client: str) -> Path:
    """The Python that has the client, or the reason to skip it."""
    if client in HERE:
        return Path(sys.executable)
    if not os.environ.get("CLIENT_VENVS"):
        pytest.skip(f"{client}: CLIENT_VENVS names no folder of installed clients")
    python = python_of(VENVS / set_of(client))
    if not python.exists():
        pytest.skip(f"{client}: not installed, python -m tools.client_matrix --client {client}")
    return python


@pytest.mark.parametrize("client", SLICES)
def test_an_unmodified_client_trades_here(client: str) -> None:
    results = run_client(interpreter(client), client, SLICES[client])
    assert all(row.ok for row in results), table(results)
    assert [row.check for row in results] == list(SLICES[client])


def test_every_client_has_its_slice() -> None:
    assert list(SLICES) == list(SCRIPTS)
