"""The disk, as those see it whose writes must survive (floor 1): audit log, state files, database.

One small port over the system calls, the machine's own unless a simulation has put another in the
place of this life's disk. It is ambient, as the disk of a process is: a context variable, which
every task of a life inherits. What does not matter after a crash (the text log) does not use it.
"""

import os
from contextvars import ContextVar
from pathlib import Path

_BINARY = getattr(os, "O_BINARY", 0)
_flush = getattr(os, "fdatasync", os.fsync)


class Disk:
    """The machine's disk. Every method raises OSError as the system call does."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """A descriptor. Writing is sequential: at the end, or from the start of an empty file."""
        return os.open(path, flags | _BINARY, mode)

    def write(self, fd: int, data: bytes) -> int:
        """How many bytes were taken; fewer than all on a disk that is full."""
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def flush(self, fd: int) -> None:
        """The file's content survives a power cut from here on; its name may still not."""
        _flush(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, path: Path, to: Path) -> None:
        """Take the place of `to`, at once or not at all."""
        os.replace(path, to)

    def remove(self, path: Path) -> None:
        path.unlink()

    def flush_folder(self, folder: Path) -> None:
        """Names made, changed and removed in `folder` survive a power cut from here on."""
        if os.name == "nt":  # Windows cannot open a folder, and makes its entries durable itself
            return
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def statement(self, path: Path, sql: str) -> str:
        """Told of every statement that SQLite is given inline on the database at `path`.

        SQLite speaks to the machine's disk itself; a simulated one may answer here with the name
        of the error (`SQLITE_FULL`) that SQLite would have met, and the statement fails with it.
        """
        return ""


MACHINE_DISK = Disk()
DISK: ContextVar[Disk] = ContextVar("disk", default=MACHINE_DISK)


def disk() -> Disk:
    """The disk of the running code."""
    return DISK.get()


def write_all(on: Disk, fd: int, data: bytes) -> None:
    """Raises OSError when the disk does not take everything."""
    view = data
    while view:
        view = view[on.write(fd, view) :]
