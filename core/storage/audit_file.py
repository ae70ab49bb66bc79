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
from core.storage.file_mutex import hold, let_go

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT
_TAIL = 8 * 1024
_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class TornTail:
    """An incomplete last line that was set aside."""

    kept_in: Path
    size: int


class AuditFile:
    """Append-only segments behind one path. Not safe for use from two threads at once.

    Between `take` and `give` nobody else appends, so the end of the file is known and a record
    costs one `write` and nothing else. `give_way` is told when somebody in this process wants its
    turn.
    """

    def __init__(self, path: Path, give_way: Callable[[], None], patience_s: float) -> None:
        self.path = path
        self.seq, self.digest, self.day = EMPTY.seq, EMPTY.hash, EMPTY.day
        self.size = 0
        """Bytes in the current segment."""
        self.held = False
        self.torn: TornTail | None = None
        self.trouble = ""
        """Why the last change of segment had to be put off; empty when it worked."""
        self._give_way = give_way
        self._patience_s = patience_s
        self._disk = disk()
        self._swap = threading.Lock()
        self._retired: list[int] = []
        self._new_name = False
        self._identity = (0, 0)
        self._fd = -1
        self._postponed = (-1, 0)
        self._lost: OSError | None = None
        """A failed flush outside `flush`: what it covered may be gone, so none succeeds again."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._attach()
            self.take()
            self.give()
        except OSError as error:
            self._release()
            raise AuditWriteError(f"audit log {path}: {_reason(error)}") from error
        except AuditBroken:
            self._release()
            raise

    @property
    def head(self) -> Head:
        """The last record."""
        return Head(self.seq, self.digest, self.day)

    def take(self) -> None:
        """Begin a turn at the end of the current segment; `head` is that of the file then.

        Raises OSError, also when another process does not let go, and AuditBroken.
        """
        while True:
            hold(self._fd, self._identity, self._give_way, self._patience_s)
            try:
                current = self._is_current()
                if current and os.lseek(self._fd, 0, os.SEEK_END) != self.size:
                    self._read_end()  # another process has appended
            except BaseException:
                let_go(self._fd, self._identity)
                raise
            if current:
                self.held = True
                return
            let_go(self._fd, self._identity)
            self._attach()

    def give(self) -> None:
        """End a turn; nothing happens without one."""
        if self.held:
            self.held = False
            let_go(self._fd, self._identity)

    def turn_over(self, rotate: int, day: int) -> None:
        """In a turn: begin a new segment when the current one is of another UTC day than `day` or
        has reached `rotate` bytes. Raises OSError."""
        if self._is_due(rotate, day) and self._rename(rotate, day):
            self.give()
            self.take()

    def write(self, line: bytes, seq: int, digest: str, day: int) -> None:
        """In a turn: append `line` and make it the head. Raises OSError; the log then ends as it
        did before."""
        try:
            written = self._disk.write(self._fd, line)
        except OSError:
            self._drop_partial()
            raise
        if written != len(line):
            self._drop_partial()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += written
        self.seq, self.digest, self.day = seq, digest, day

    def flush(self) -> None:
        """Put everything written so far on disk. May run in another thread than `append`."""
        with self._swap:
            retired, self._retired = self._retired, []
            new_name, self._new_name = self._new_name, False
            fd = self._fd
        failure = self._lost
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
        self.give()
        with self._swap:
            for fd in (self._fd, *self._retired):
                if fd >= 0:
                    self._disk.close(fd)
            self._fd, self._retired = -1, []

    def _attach(self) -> None:
        """Open the segment that bears the name now."""
        created = not self.path.exists()
        fd = self._disk.open(self.path, _FLAGS)
        with self._swap:
            if self._fd >= 0:
                self._retired.append(self._fd)
            self._fd = fd
            self._new_name = self._new_name or created
        about = os.fstat(fd)
        self._identity = (about.st_dev, about.st_ino)
        self.size = _UNKNOWN

    def _is_current(self) -> bool:
        try:
            about = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (about.st_dev, about.st_ino) == self._identity

    def _is_due(self, rotate: int, day: int) -> bool:
        if not self.size or (self.size < rotate and self.day == day):
            return False
        put_off_day, put_off_size = self._postponed
        return day != put_off_day or self.size >= put_off_size

    def _rename(self, rotate: int, day: int) -> bool:
        """Give the full segment its lasting name, once it is on disk as a whole: after a power cut
        only the current segment may lack its end. Where renaming fails, appending goes on."""
        name = day_name(self.day)
        taken = [int(path.stem.rsplit("-", 1)[1]) for path in archives(self.path, name)]
        older = self.path.with_name(
            f"{self.path.stem}-{name}-{max(taken, default=0) + 1:03d}.jsonl"
        )
        try:
            self._disk.flush(self._fd)
        except OSError as error:
            self._lost = error
            raise
        try:
            self._disk.rename(self.path, older)
        except OSError as error:
            self.trouble = f"cannot rename to {older.name}: {_reason(error)}"
            self._postponed = (day, self.size + rotate)
            return False
        return True

    def _read_end(self) -> None:
        size = os.fstat(self._fd).st_size
        self.size = _UNKNOWN  # until the end is understood
        line, end = _last_line(self._fd, size)
        if end < size:
            self.torn = self._set_aside(end, size)
            self._disk.truncate(self._fd, end)
        if line is None:
            head = self._head_of_archive()
        else:
            head = self._checked(self.path, line, end - len(line) - 1)
        self.seq, self.digest, self.day = head.seq, head.hash, head.day
        self.size = end

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
            side := self.path.with_name(f"{self.path.name}.torn-{self.seq}-{number:03d}")
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

    def _drop_partial(self) -> None:
        # The record was never acknowledged. Should this fail too, the next append finds the torn
        # tail by its length and sets it aside.
        with suppress(OSError):
            self._disk.truncate(self._fd, self.size)


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
