"""AuditLogger: the hash-chained record of everything that mattered (floor 2b; INV-03, 11, 12).

`AuditLogger(path).write(payload)` appends one record to `path` and returns its hash; nothing else
is needed. In the daemon `write_durable` also waits for the disk, together with everyone else who
waits at that moment. Every record passes through the redactor before it is hashed.
"""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import SecretStr

from core.domain.ports import Clock, JsonValue
from core.kernel.clock import LiveClock
from core.kernel.redaction import Redactor, names_are_public
from core.storage.audit_chain import (
    RESERVED,
    AuditBroken,
    AuditError,
    AuditWriteError,
    Head,
    day_of,
    encode,
    encode_flat,
    is_flat,
    plain,
    seal,
    timestamp,
)
from core.storage.audit_file import AuditFile
from core.storage.group_commit import GroupCommit, Offload, executor_offload

__all__ = ["AuditBroken", "AuditError", "AuditLogger", "AuditWriteError"]

_NO_ACTION = "note"


class AuditLogger:
    """Append-only, hash-chained log; `core.domain.ports.AuditPort`.

    `venue` is written into every record. A segment ends at `rotate_bytes` and with the UTC day.
    `hmac_key` signs each hash. `offload` runs the flush off the loop (a thread of its own unless
    given); `flush_timeout` seconds without an answer of the disk count as a failure.

    Raises AuditBroken when the end of an existing log is not a record of its chain, AuditWriteError
    when the file cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock | None = None,
        venue: str = "",
        redactor: Redactor | None = None,
        hmac_key: SecretStr | None = None,
        rotate_bytes: int = 32 * 1024 * 1024,
        offload: Offload | None = None,
        flush_timeout: float = 10.0,
    ) -> None:
        self._clock = clock or LiveClock()
        self._venue = str(venue)
        self._redactor = redactor or Redactor()
        self._key = hmac_key.get_secret_value().encode() if hmac_key is not None else None
        self._rotate_bytes = rotate_bytes
        self._flush_timeout = flush_timeout
        self._turn = threading.Lock()
        self._closed = False
        self._executor = ThreadPoolExecutor(1, "audit-flush")
        self._file = AuditFile(Path(path))
        self._commit = GroupCommit(self._file.flush, offload or executor_offload(self._executor))
        with self._turn:
            self._report()

    @property
    def path(self) -> Path:
        """The segment being written."""
        return self._file.path

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last record: what has to be remembered elsewhere."""
        return self._file.head.seq, self._file.head.hash

    def write(self, payload: Mapping[str, JsonValue]) -> str:
        """Append one record; it survives the death of the process. Returns its hash.

        A payload field that has the name of one of the record's own is kept as `payload_<name>`.
        Raises AuditWriteError (disk full, read-only …) or AuditBroken; nothing is appended then.
        """
        return self._write(payload).hash

    async def write_durable(self, payload: Mapping[str, JsonValue]) -> str:
        """As `write`, and on disk when it returns. Raises AuditWriteError when it is not."""
        head = self._write(payload)
        try:
            async with asyncio.timeout(self._flush_timeout):
                await self._commit.reach(head.seq, lambda: self._file.head.seq)
        except TimeoutError as error:
            raise AuditWriteError(
                f"audit log {self.path}: no answer of the disk within {self._flush_timeout:g} s"
            ) from error
        except OSError as error:
            raise AuditWriteError(
                f"audit log {self.path}: {error.strerror or error}; records written since the last "
                "flush may be lost, restart when the disk is sound"
            ) from error
        return head.hash

    def close(self) -> None:
        """Flush and close; further writes raise AuditWriteError. May be called twice."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
        self._executor.shutdown(wait=True)
        self._file.close()

    def _write(self, payload: Mapping[str, JsonValue]) -> Head:
        with self._turn:
            if self._closed:
                raise AuditWriteError(f"audit log {self.path}: is closed")
            self._append(payload)
            head = self._file.head
            self._report()
        return head

    def _append(self, payload: Mapping[str, JsonValue]) -> None:
        now_us = self._clock.now_us()
        day = day_of(now_us)
        if self._is_flat_and_clean(payload):
            fields, to_bytes = dict(payload), encode_flat
        else:
            fields, to_bytes = self._fields(payload), encode

        def make_line(head: Head) -> tuple[Head, bytes]:
            fields["seq"] = head.seq + 1
            fields["ts"] = timestamp(now_us)
            fields["venue"] = self._venue
            fields["prev_hash"] = head.hash
            digest, line = seal(to_bytes(fields), self._key)
            return Head(head.seq + 1, digest, day), line

        self._file.append(make_line, self._rotate_bytes, day)

    def _is_flat_and_clean(self, payload: Mapping[str, JsonValue]) -> bool:
        """True for what most records are: a handful of short public values, ready to encode."""
        return (
            "action" in payload
            and RESERVED.isdisjoint(payload)
            and is_flat(payload)
            and names_are_public(tuple(payload))
            and self._redactor.is_clean("\n".join(v for v in payload.values() if type(v) is str))
        )

    def _fields(self, payload: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        named = {
            f"payload_{name}" if name in RESERVED else name: value
            for name, value in payload.items()
        }
        named.setdefault("action", _NO_ACTION)
        clean = self._redactor.redact_value(plain(named))
        return dict(clean) if isinstance(clean, Mapping) else {}

    def _report(self) -> None:
        """Record what became of the log itself."""
        torn, self._file.torn = self._file.torn, None
        if torn is not None:
            self._append(
                {"action": "audit.torn_tail", "bytes": torn.size, "kept_in": str(torn.kept_in.name)}
            )
        trouble, self._file.trouble = self._file.trouble, ""
        if trouble:
            self._append({"action": "audit.rotation_postponed", "why": trouble})
