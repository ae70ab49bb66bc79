"""The search for planted secrets in what a test leaves (INV-12).

Every world of the tests lives with the secrets of `core.simulation.planted`; `tests/conftest.py`
looks after each test into its folder and its captured output.
"""

import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from core.simulation.planted import API_KEY, API_SECRET, HMAC_KEY, leaks, needles
from core.simulation.telegram_server import TOKEN

NEEDLES = needles((API_KEY, API_SECRET, HMAC_KEY, TOKEN))
_NOT_OUTPUT = frozenset({".env"})
"""Where the operator keeps secrets himself."""


def leaks_in(words: str) -> list[bytes]:
    return leaks(words.encode("utf-8", "replace"), NEEDLES)


def leaks_under(folder: Path, searched: Sequence[bytes] = NEEDLES) -> list[str]:
    """Files, and members of archives, that hold a part of a secret."""
    return [name for name, raw in _contents(folder) if leaks(raw, searched)]


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in _NOT_OUTPUT:
            continue
        raw = path.read_bytes()
        yield str(path), raw
        if path.suffix == ".zip":
            yield from _members(path, raw)


def _members(path: Path, raw: bytes) -> list[tuple[str, bytes]]:
    """Files inside an archive; none of one that a test has damaged."""
    try:
        with zipfile.ZipFile(BytesIO(raw)) as bundle:
            return [(f"{path}:{name}", bundle.read(name)) for name in bundle.namelist()]
    except zipfile.BadZipFile:
        return []
