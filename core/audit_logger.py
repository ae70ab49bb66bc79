"""AuditLogger: the hash-chained record of everything that mattered (floor 2b; INV-03, 11, 12).

`AuditLogger(path).write(payload)` appends one record to `path` and returns its hash; nothing else
is needed. In the daemon `write_durable` also waits for the disk, together with everyone else who
waits at that moment. Every record passes through the redactor before it is hashed.
"""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from pydantic import SecretStr

from core.domain.ports import Clock, JsonValue
from core.kernel.clock import LiveClock
from core.kernel.redaction import Redactor, is_secret_name
from core.storage.audit_chain import (
    DAY_US,
    RESERVED,
    AuditBroken,
    AuditError,
    AuditWriteError,
    TimeText,
    are_flat,
    encode,
    encode_fast,
    plain,
    seal,
    texts_of,
)
from core.storage.audit_file import AuditFile
from core.storage.group_commit import GroupCommit, Offload, executor_offload

__all__ = ["AuditBroken", "AuditError", "AuditLogger", "AuditWriteError"]

_NO_ACTION = "note"
_PATIENCE_S = 1.0
"""How long a record waits, blocking, for another process that appends: its turns are short."""


@lru_cache(maxsize=1024)
def _are_ordinary(names: tuple[object, ...]) -> bool:
    """True for the field names of a record that needs no change: none is the record's own, none
    belongs to a secret."""
    return (
        "action" in names
        and RESERVED.isdisjoint(names)
        and not any(type(name) is not str or is_secret_name(name) for name in names)
    )


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
        self._time_text = TimeText()
        self._turn = threading.Lock()
        self._closed = False
        self._executor = ThreadPoolExecutor(1, "audit-flush")
        self._file = AuditFile(Path(path), self._give_way, _PATIENCE_S)
        self._commit = GroupCommit(
            self._file.flush,
            offload or executor_offload(self._executor),
            lambda: self._file.seq,
            flush_timeout,
        )
        with self._turn:
            self._report_torn()

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
        with self._turn:
            return self._write(payload)

    async def write_durable(self, payload: Mapping[str, JsonValue]) -> str:
        """As `write`, and on disk when it returns. Raises AuditWriteError when it is not."""
        with self._turn:
            digest = self._write(payload)
            mark = self._file.seq
        try:
            await self._commit.reach(mark)
        except TimeoutError as error:
            raise AuditWriteError(
                f"audit log {self.path}: no answer of the disk within {self._flush_timeout:g} s"
            ) from error
        except OSError as error:
            raise AuditWriteError(
                f"audit log {self.path}: {error.strerror or error}; records written since the last "
                "flush may be lost, restart when the disk is sound"
            ) from error
        return digest

    def close(self) -> None:
        """Flush and close; further writes raise AuditWriteError. May be called twice."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._file.give()
        self._executor.shutdown(wait=True)
        self._file.close()

    def _write(self, payload: Mapping[str, JsonValue]) -> str:
        """One record in a turn at the file, which lasts until the loop has served everyone who is
        ready now; without a loop it ends with the record."""
        file = self._file
        if self._closed:
            raise AuditWriteError(f"audit log {file.path}: is closed")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        try:
            if not file.held:
                file.take()
                if loop is not None:
                    loop.call_soon(self._give_way)
            try:
                digest = self._append(payload)
                if file.torn is not None or file.trouble:
                    self._report()
            finally:
                if loop is None:
                    file.give()
        except OSError as error:
            raise self._failed(error) from error
        return digest

    def _failed(self, error: OSError) -> AuditWriteError:
        return AuditWriteError(f"audit log {self.path}: {error.strerror or type(error).__name__}")

    def _give_way(self) -> None:
        """Let others append: a tool of the operator, another logger of this process."""
        with self._turn:
            self._file.give()

    def _append(self, payload: Mapping[str, JsonValue]) -> str:
        file = self._file
        now_us = self._clock.now_us()
        day = now_us // DAY_US
        if day != file.day or file.size >= self._rotate_bytes:
            file.turn_over(self._rotate_bytes, day)
        seq = file.seq + 1
        own: dict[str, JsonValue] = {
            "seq": seq,
            "ts": self._time_text.of(now_us),
            "venue": self._venue,
            "prev_hash": file.digest,
        }
        digest, line = seal(self._body(payload, own), self._key)
        file.write(line, seq, digest, day)
        return digest

    def _body(self, payload: Mapping[str, JsonValue], own: dict[str, JsonValue]) -> bytes:
        """Canonical bytes of the record. Most are plain public values that need no second look."""
        if _are_ordinary(tuple(payload)):
            try:
                unfamiliar = self._redactor.unfamiliar(payload.values())
                ready = not unfamiliar or self._are_harmless(unfamiliar)
            except TypeError:
                ready = self._is_harmless(payload)
            if ready:
                try:
                    return encode_fast({**payload, **own})
                except ValueError:  # text that UTF-8 cannot carry: said below as it can be
                    pass
        return encode({**self._fields(payload), **own})

    def _are_harmless(self, values: list[object]) -> bool:
        return are_flat(values) and self._redactor.are_clean(
            [value for value in values if isinstance(value, str)]
        )

    def _is_harmless(self, payload: Mapping[str, JsonValue]) -> bool:
        """As above, for a payload with lists or dictionaries in it."""
        texts = texts_of(payload)
        if texts is None:
            return False
        unfamiliar = self._redactor.unfamiliar(texts)
        return not unfamiliar or self._redactor.are_harmless(list(map(str, unfamiliar)))

    def _fields(self, payload: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        named = {
            f"payload_{name}" if name in RESERVED else name: value
            for name, value in payload.items()
        }
        named.setdefault("action", _NO_ACTION)
        clean = self._redactor.redact_value(plain(named))
        return dict(clean) if isinstance(clean, Mapping) else {}

    def _report_torn(self) -> None:
        """What was found when the log was opened."""
        if self._file.torn is None:
            return
        try:
            self._file.take()
            try:
                self._report()
            finally:
                self._file.give()
        except OSError as error:
            raise self._failed(error) from error

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
