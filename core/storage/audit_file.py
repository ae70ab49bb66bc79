"""The segments of the audit log on disk (floor 2b; INV-11).

`audit.jsonl` is the segment being written, older ones are `audit-YYYYMMDD-NNN.jsonl` and the chain
runs through all of them. A record is appended by one `write` on an `O_APPEND` descriptor, so a
killed process leaves at most one incomplete last line; it is set aside into a file of its own when
the log is opened next, and everything before it stays as it is. What appending costs does not
depend on the length of the file: opening reads its end only.
"""

import errno
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.kernel.disk import disk, write_all
from core.storage.audit_chain import (
    EMPTY,
    AuditBroken,
    AuditWriteError,
    Head,
    day_name,
    read_head,
)
from core.storage.file_mutex import exclusive

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT
_TAIL = 8 * 1024


@dataclass(frozen=True, slots=True)
class TornTail:
    """An incomplete last line that was set aside."""

    kept_in: Path
    size: int


class AuditFile:
    """Append-only segments behind one path. Not safe for use from two threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = EMPTY
        self._disk = disk()
        self.torn: TornTail | None = None
        self.trouble = ""
        """Why the last change of segment had to be put off; empty when it worked."""
        self._swap = threading.Lock()
        self._retired: list[int] = []
        self._new_name = False
        self._size = 0
        self._inode = 0
        self._fd = -1
        self._postponed = (-1, 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._attach()
        except OSError as error:
            self._release()
            raise AuditWriteError(f"audit log {path}: {_reason(error)}") from error
        except AuditBroken:
            self._release()
            raise

    def append(
        self, make_line: Callable[[Head], tuple[Head, bytes]], rotate: int, day: int
    ) -> None:
        """Append the record `make_line` builds on the current head.

        A new segment is begun first when the current one is of another UTC day than `day` or has
        reached `rotate` bytes. Raises AuditWriteError; the log then ends as it did before.
        """
        try:
            while not self._append(make_line, rotate, day):
                self._attach()
        except OSError as error:
            raise AuditWriteError(f"audit log {self.path}: {_reason(error)}") from error

    def _append(
        self, make_line: Callable[[Head], tuple[Head, bytes]], rotate: int, day: int
    ) -> bool:
        """False when the segment in hand is not, or no longer, the current one."""
        with exclusive(self._fd):
            if not self._is_current():
                return False
            if os.fstat(self._fd).st_size != self._size:
                self._read_end()  # another process has appended
            if self._is_due(rotate, day) and self._rename(rotate, day):
                return False
            head, line = make_line(self.head)
            self._write(line)
            self.head = head
            return True

    def flush(self) -> None:
        """Put everything written so far on disk. May run in another thread than `append`."""
        with self._swap:
            retired, self._retired = self._retired, []
            new_name, self._new_name = self._new_name, False
            fd = self._fd
        failure: OSError | None = None
        for old in retired:
            try:
                self._disk.flush(old)
            except OSError as error:
                failure = error
            finally:
                self._disk.close(old)
        self._disk.flush(fd)
        if new_name:
            self._disk.flush_folder(self.path.parent)
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Flush and let go. Raises AuditWriteError when the last flush fails."""
        try:
            if self._fd >= 0:
                self.flush()
        except OSError as error:
            raise AuditWriteError(f"audit log {self.path}: {_reason(error)}") from error
        finally:
            self._release()

    def _release(self) -> None:
        with self._swap:
            for fd in (self._fd, *self._retired):
                if fd >= 0:
                    self._disk.close(fd)
            self._fd, self._retired = -1, []

    def _attach(self) -> None:
        """Open the segment that bears the name now, and find the head."""
        created = not self.path.exists()
        fd = self._disk.open(self.path, _FLAGS)
        with self._swap:
            if self._fd >= 0:
                self._retired.append(self._fd)
            self._fd = fd
            self._new_name = self._new_name or created
        with exclusive(fd):
            self._inode = os.fstat(fd).st_ino
            self._read_end()

    def _is_current(self) -> bool:
        try:
            return os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def _is_due(self, rotate: int, day: int) -> bool:
        if not self._size or (self._size < rotate and self.head.day == day):
            return False
        put_off_day, put_off_size = self._postponed
        return day != put_off_day or self._size >= put_off_size

    def _rename(self, rotate: int, day: int) -> bool:
        """Give the full segment its lasting name. Where that fails, appending goes on."""
        name = day_name(self.head.day)
        taken = [int(path.stem.rsplit("-", 1)[1]) for path in archives(self.path, name)]
        older = self.path.with_name(
            f"{self.path.stem}-{name}-{max(taken, default=0) + 1:03d}.jsonl"
        )
        try:
            self._disk.rename(self.path, older)
        except OSError as error:
            self.trouble = f"cannot rename to {older.name}: {_reason(error)}"
            self._postponed = (day, self._size + rotate)
            return False
        return True

    def _read_end(self) -> None:
        size = os.fstat(self._fd).st_size
        self._size = -1  # until the end is understood
        line, end = _last_line(self._fd, size)
        if end < size:
            self.torn = self._set_aside(end, size)
            self._disk.truncate(self._fd, end)
        self._size = end
        if line is None:
            self.head = self._head_of_archive()
            return
        self.head = self._checked(self.path, line, end - len(line) - 1)

    def _checked(self, path: Path, line: bytes, offset: int) -> Head:
        try:
            return read_head(line)
        except ValueError as error:
            raise AuditBroken(
                f"audit log {path}: its last record (at byte {offset}) {error}; examine it with "
                f"'python -m tools.verify_audit {path}', then move it away to begin a new chain"
            ) from error

    def _head_of_archive(self) -> Head:
        """Head of the newest older segment; needed only while the current one is empty."""
        newest = EMPTY
        for path in archives(self.path):
            fd = self._disk.open(path, os.O_RDONLY)
            try:
                line, end = _last_line(fd, os.fstat(fd).st_size)
            finally:
                self._disk.close(fd)
            if line is not None:
                head = self._checked(path, line, end - len(line) - 1)
                newest = max(newest, head, key=lambda found: found.seq)
        return newest

    def _set_aside(self, begin: int, end: int) -> TornTail:
        number = 1
        while (
            side := self.path.with_name(f"{self.path.name}.torn-{self.head.seq}-{number:03d}")
        ).exists():
            number += 1
        out = self._disk.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.lseek(self._fd, begin, os.SEEK_SET)
            while chunk := os.read(self._fd, 1 << 20):
                write_all(self._disk, out, chunk)
            self._disk.flush(out)
        finally:
            self._disk.close(out)
        self._disk.flush_folder(side.parent)
        return TornTail(side, end - begin)

    def _write(self, line: bytes) -> None:
        try:
            written = self._disk.write(self._fd, line)
        except OSError:
            self._drop_partial()
            raise
        if written != len(line):
            self._drop_partial()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _drop_partial(self) -> None:
        # The record was never acknowledged. Should this fail too, the next append finds the torn
        # tail by its length and sets it aside.
        with suppress(OSError):
            self._disk.truncate(self._fd, self._size)


def archives(path: Path, day: str = "") -> list[Path]:
    """Older segments of the log at `path`, by name; of one `YYYYMMDD` when `day` is given."""
    pattern = re.compile(rf"{re.escape(path.stem)}-{day or '[0-9]{8}'}-[0-9]{{3,}}\.jsonl")
    return sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name))


def _last_line(fd: int, size: int) -> tuple[bytes | None, int]:
    """Last complete line without its newline, and the offset after that newline."""
    reach = _TAIL
    while True:
        begin = max(size - reach, 0)
        data = _read(fd, begin, size - begin)
        end = data.rfind(b"\n")
        start = data.rfind(b"\n", 0, end) if end > 0 else -1
        if begin == 0 or start >= 0:
            return (data[start + 1 : end], begin + end + 1) if end >= 0 else (None, 0)
        reach *= 4


def _read(fd: int, offset: int, length: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    parts: list[bytes] = []
    while length > 0 and (chunk := os.read(fd, length)):
        parts.append(chunk)
        length -= len(chunk)
    return b"".join(parts)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
