"""A ban outlives the process that earned it (floor 7; INV-08).

Sending during a ban makes it longer, so its end is kept on disk and read at the next start.
"""

import json
from pathlib import Path

from core.kernel.durable_file import replace_file


class BanMemory:
    """End of the last ban per host (UTC ms, exchange time)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def until_ms(self, host: str) -> int:
        """0 when no ban of `host` is known or the file cannot be read."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return int(found[host])
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # nothing known: the exchange will say it again with its next answer

    def remember(self, host: str, until_ms: int) -> None:
        """Keep the end of a ban. Raises OSError when the disk refuses."""
        replace_file(self._path, json.dumps({host: until_ms}).encode())
