"""What the bot remembers across restarts (floor 5): one small file, replaced as a whole.

People paired by code, the last update seen, the streak of trades, and the critical alerts nobody
has acknowledged.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.kernel.durable_file import replace_file

_VERSION = 1


@dataclass(slots=True)
class OpenCritical:
    """A critical alert until it is acknowledged. Times UTC ms."""

    number: int
    key: str
    title: str
    text: str
    playbook: str
    first_ms: int
    count: int = 1
    told: int = 0
    next_ms: int = 0


@dataclass(slots=True)
class Remembered:
    """Content of the file."""

    bot_id: int = 0
    last_update: int = 0
    last_update_ms: int = 0
    paired: tuple[int, ...] = ()
    next_number: int = 1
    streak: int = 0
    criticals: dict[str, OpenCritical] = field(default_factory=dict)


class StateFile:
    """Reader and writer. Writing happens off the loop; a full disk is the caller's to report.

    Words of alerts pass `redact` before they are written (INV-12).
    """

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        self._path = path
        self._redact = redact
        self._written = b""

    def load(self) -> tuple[Remembered, str]:
        """What is remembered, and a problem in words when the file could not be used."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Remembered(), ""
        except OSError as error:
            return Remembered(), f"{self._path} cannot be read: {error.strerror}"
        try:
            remembered = _decoded(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError):
            return Remembered(), f"{self._path} is damaged: pairing and open alerts are forgotten"
        self._written = content
        return remembered, ""

    async def save(self, remembered: Remembered) -> None:
        """Write when something changed. Raises OSError."""
        content = _encoded(remembered, self._redact)
        if content == self._written:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, replace_file, self._path, content)
        self._written = content


def _encoded(state: Remembered, redact: Callable[[str], str]) -> bytes:
    record = {
        "version": _VERSION,
        "bot_id": state.bot_id,
        "last_update": state.last_update,
        "last_update_ms": state.last_update_ms,
        "paired": list(state.paired),
        "next_number": state.next_number,
        "streak": state.streak,
        "criticals": [
            {name: _clean(getattr(entry, name), redact) for name in OpenCritical.__slots__}
            for entry in state.criticals.values()
        ],
    }
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def _clean(value: object, redact: Callable[[str], str]) -> object:
    return redact(value) if isinstance(value, str) else value


def _decoded(record: Mapping[str, object]) -> Remembered:
    if record["version"] != _VERSION:
        raise ValueError(f"version {record['version']}")
    criticals = record["criticals"]
    paired = record["paired"]
    if not isinstance(criticals, list) or not isinstance(paired, list):
        raise TypeError("a list is expected")
    entries = [OpenCritical(**entry) for entry in criticals]
    return Remembered(
        bot_id=_integer(record["bot_id"]),
        last_update=_integer(record["last_update"]),
        last_update_ms=_integer(record["last_update_ms"]),
        paired=tuple(_integer(user) for user in paired),
        next_number=_integer(record["next_number"]),
        streak=_integer(record.get("streak", 0)),
        criticals={entry.key: entry for entry in entries},
    )


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("an integer is expected")
    return value
