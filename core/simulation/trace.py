"""The fingerprint of a run (floor 2d): equal for equal seeds, whatever the process or hash seed.

Over everything that crossed the network with its virtual time, what the simulation itself did, and
the audit log. Three things on the wire come from the machine and not from the run and are left out:
the `Date` header, the WebSocket key pair, and the mask of WebSocket frames from the client (their
length counts).
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from core.simulation.memory_network import REST

_NOISE = re.compile(rb"(?:Date|Sec-WebSocket-Key|Sec-WebSocket-Accept): [^\r]*\r\n")
_HANDSHAKES = (b"GET ", b"HTTP/1.1 ")


def bare(link: str, from_client: bool, data: bytes) -> bytes:  # noqa: FBT001 - as OnChunk
    """Bytes of the wire without what comes from the machine and not from the run."""
    if data.startswith(_HANDSHAKES):
        return _NOISE.sub(b"", data)
    return b"%d" % len(data) if from_client and link != REST else data


class Trace:
    """Feed it with `chunk` (a `memory_network.OnChunk`), `note` and `audit`; read `digest`."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._hash = hashlib.sha256()
        self.chunks = 0

    def chunk(self, link: str, from_client: bool, data: bytes) -> None:  # noqa: FBT001 - OnChunk
        self.chunks += 1
        data = bare(link, from_client, data)
        self._hash.update(f"{self._time():.9f}|{link}|{from_client:d}|".encode())
        self._hash.update(data)

    def note(self, text: str) -> None:
        """A decision of the simulation itself (a fault, a kill)."""
        self._hash.update(f"{self._time():.9f}|{text}".encode())

    def audit(self, path: Path) -> None:
        """The records of an audit log, without what depends on folders: chain and start card."""
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            for name in ("hash", "prev_hash", "hmac", "card"):
                record.pop(name, None)
            self._hash.update(json.dumps(record, sort_keys=True).encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
