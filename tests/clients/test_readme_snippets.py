"""The README's snippets for other clients run as they are written."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.client_matrix import exchange, python_of, set_of

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(python|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {"README.md": "## Another bot on", "README.ru.md": "## Другой бот на"}
CLIENTS = {"ccxt": "import ccxt", "SDK": "binance_sdk", "python-binance": "AsyncClient"}
SAYS = {"ccxt": r"closed open \d+", "SDK": r"NEW \d+", "python-binance": "ORDER_TRADE_UPDATE"}
LIMIT_S = 60


def blocks(document: str) -> list[tuple[str, str]]:
    """Language and text of the blocks of the section."""
    text = (ROOT / document).read_text(encoding="utf-8")
    section = text.partition(SECTIONS[document])[2].partition("\n## ")[0]
    return BLOCK.findall(section)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `exchange.json` of a running exchange is."""
    found = tmp_path_factory.mktemp("snippets")
    with exchange() as ready:
        (found / "exchange.json").write_text(ready, encoding="utf-8")
        yield found


def interpreter(client: str) -> str:
    if client == "ccxt":
        return sys.executable
    python = python_of(Path(os.environ.get("CLIENT_VENVS", "")) / set_of(client))
    if "CLIENT_VENVS" not in os.environ or not python.exists():
        pytest.skip(f"{client}: CLIENT_VENVS names no folder in which it is installed")
    return str(python)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_snippet_trades(client: str, folder: Path) -> None:
    (code,) = [text for kind, text in blocks("README.md") if CLIENTS[client] in text]
    done = subprocess.run(
        [interpreter(client), "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(SAYS[client], done.stdout), done.stdout


def test_freqtrades_snippet_names_every_address(folder: Path) -> None:
    ((_, text),) = [block for block in blocks("README.md") if block[0] == "json"]
    config = json.loads(text)
    urls = config["ccxt_config"]["urls"]["api"]
    private = {
        f"fapi{kind}{version}" for kind in ("Public", "Private") for version in ("", "V2", "V3")
    }
    assert set(urls) == private | {"fapiData", "sapi"}
    assert all(url.startswith("http://127.0.0.1:8899/") for url in urls.values())


def test_both_languages_show_the_same_snippets() -> None:
    assert blocks("README.md") == blocks("README.ru.md")
    assert len(blocks("README.md")) == 4
