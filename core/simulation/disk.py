"""A disk that forgets and fails (floor 2d), in the place of a life's own (`core.kernel.disk`).

It writes to real files, and remembers for each what a flush has made durable. `image` is the
folder as the next life finds it: after the death of the process everything that was written, after
a power cut what was flushed and a seeded part of the rest. `fail` makes an operation fail, once or
from then on, so that a loop over the n-th operation reaches every way a writer can be let down.

Modelled: content and names are durable apart, each in the order of writing; the first write that is
lost may survive in part (torn tail); a flush that failed leaves what it covered in doubt for ever;
a failing write takes nothing; SQLite errors at the statement, a COMMIT that returned is durable.

Not modelled: pages of one file out of order, bits that change by themselves, files written past the
port (text log), SQLite's own recovery of a torn WAL, which its checksums decide.
"""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random

from core.kernel.disk import Disk


class Operation(StrEnum):
    """What a disk is asked for."""

    OPEN = "open"
    WRITE = "write"
    FLUSH = "flush"
    TRUNCATE = "truncate"
    RENAME = "rename"
    REMOVE = "remove"
    FOLDER = "flush folder"
    SQL = "sql"


class Trouble(StrEnum):
    """Kinds of failure, by the name the system gives them."""

    FULL = "ENOSPC"
    READ_ONLY = "EROFS"
    BROKEN = "EIO"
    LOCKED = "SQLITE_BUSY"


_CHANGES = frozenset(Operation) - {Operation.FLUSH, Operation.FOLDER}
_NEEDS_SPACE = frozenset({Operation.OPEN, Operation.WRITE, Operation.RENAME, Operation.SQL})
_CONCERNS = {
    Trouble.FULL: _NEEDS_SPACE,
    Trouble.READ_ONLY: _CHANGES,
    Trouble.BROKEN: frozenset(Operation),
    Trouble.LOCKED: frozenset({Operation.SQL}),
}
_SQL = {
    Trouble.FULL: "SQLITE_FULL",
    Trouble.READ_ONLY: "SQLITE_READONLY",
    Trouble.BROKEN: "SQLITE_IOERR",
    Trouble.LOCKED: "SQLITE_BUSY",
}
_ALL_LOST = 0.5
_READS = ("SELECT", "PRAGMA")
_UNDOES = "ROLLBACK"
_COMMITS = "COMMIT"


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation: its number from 1, what it was and where."""

    number: int
    operation: Operation
    where: str

    def __str__(self) -> str:
        return f"{self.number} {self.operation} {self.where}"


@dataclass(frozen=True, slots=True)
class DiskFault:
    """`trouble` strikes the first operation it can concern from number `at` on (counted from 1),
    once, or that one and all after it."""

    trouble: Trouble
    at: int
    for_ever: bool = False


@dataclass(slots=True)
class _File:
    """What was done to a file since it was last durable, as the way back: each step turns the
    content after an operation into the one before it."""

    undo: list[Callable[[bytes], bytes]] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    """Bytes each operation added; 0 for those that removed."""
    doubtful: bool = False
    """A flush failed: no later one makes this durable."""


@dataclass(slots=True)
class _Handle:
    path: Path
    file: _File


class SimulatedDisk(Disk):
    """The disk of one life, whose files are below `root`. `on_operation` hears what is asked before
    it is done."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations = 0
        self.struck: list[Asked] = []
        """What failed."""
        self.on_operation: Callable[[Asked], None] = lambda asked: None
        self._faults: list[DiskFault] = []
        self._handles: dict[int, _Handle] = {}
        self._files: dict[Path, _File] = {}
        self._names: dict[Path, list[Callable[[Path, Path], None]]] = {}
        """Per folder, the way back for names that are not durable: (root, image) to do it there."""

    # --- trouble ---------------------------------------------------------------------------------

    def fail(self, fault: DiskFault) -> None:
        self._faults.append(fault)

    def heal(self) -> None:
        """Nothing fails any more."""
        self._faults.clear()

    def _ask(self, operation: Operation, path: Path) -> None:
        """Raises OSError when a fault strikes."""
        trouble = self._strikes(operation, path, "")
        if trouble is not None:
            number = getattr(errno, trouble.value)
            raise OSError(number, os.strerror(number), str(path))

    def _strikes(self, operation: Operation, path: Path, sql: str) -> Trouble | None:
        self.operations += 1
        detail = f"{path.name}: {sql[:40]}" if sql else path.name
        asked = Asked(self.operations, operation, detail)
        self.on_operation(asked)
        for fault in self._faults:
            if fault.at <= self.operations and _concerns(fault.trouble, operation, sql):
                if not fault.for_ever:
                    self._faults.remove(fault)
                self.struck.append(asked)
                return fault.trouble
        return None

    # --- Disk ------------------------------------------------------------------------------------

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        made = flags & os.O_CREAT and not path.exists()
        emptied = flags & os.O_TRUNC and not made
        if made or emptied:
            self._ask(Operation.OPEN, path)
        before = path.read_bytes() if emptied else b""
        fd = super().open(path, flags, mode)
        if made:
            self._files.pop(path, None)
            self._unsure(path.parent, lambda root, image: _at(path, root, image).unlink())
        file = self._files.setdefault(path, _File())
        if before:
            file.undo.append(lambda _: before)
            file.added.append(0)
        self._handles[fd] = _Handle(path, file)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        handle = self._handles[fd]
        self._ask(Operation.WRITE, handle.path)
        written = super().write(fd, data)
        handle.file.undo.append(lambda content: content[: len(content) - written])
        handle.file.added.append(written)
        return written

    def truncate(self, fd: int, size: int) -> None:
        handle = self._handles[fd]
        self._ask(Operation.TRUNCATE, handle.path)
        cut = os.pread(fd, os.fstat(fd).st_size - size, size)
        super().truncate(fd, size)
        if cut:
            handle.file.undo.append(lambda content: content + cut)
            handle.file.added.append(0)

    def flush(self, fd: int) -> None:
        handle = self._handles[fd]
        try:
            self._ask(Operation.FLUSH, handle.path)
        except OSError:
            handle.file.doubtful = True
            raise
        if not handle.file.doubtful:
            handle.file.undo.clear()
            handle.file.added.clear()

    def close(self, fd: int) -> None:
        super().close(fd)
        del self._handles[fd]

    def rename(self, path: Path, to: Path) -> None:
        self._ask(Operation.RENAME, path)
        replaced = to.read_bytes() if to.exists() else None
        super().rename(path, to)
        file = self._files.pop(path, None)
        if file is not None:
            self._files[to] = file
        for handle in self._handles.values():
            if handle.path == path:
                handle.path = to

        def back(root: Path, image: Path) -> None:
            _at(to, root, image).replace(_at(path, root, image))
            if replaced is not None:
                _at(to, root, image).write_bytes(replaced)

        self._unsure(to.parent, back)

    def remove(self, path: Path) -> None:
        self._ask(Operation.REMOVE, path)
        content = path.read_bytes()
        super().remove(path)
        self._files.pop(path, None)
        self._unsure(path.parent, lambda root, image: _put(_at(path, root, image), content))

    def flush_folder(self, folder: Path) -> None:
        self._ask(Operation.FOLDER, folder)
        self._names.pop(folder, None)

    def statement(self, path: Path, sql: str) -> str:
        trouble = self._strikes(Operation.SQL, path, sql)
        return "" if trouble is None else _SQL[trouble]

    # --- what is left ----------------------------------------------------------------------------

    def image(self, target: Path, power_cut: Random | None = None) -> None:
        """Put at `target` what the next life finds: everything that was written, or with
        `power_cut` what had been flushed and a part of the rest that it draws."""
        shutil.copytree(self.root, target, ignore=shutil.ignore_patterns("*-shm"))
        if power_cut is None:
            return
        for path, file in sorted(self._files.items()):
            copy = _at(path, self.root, target)
            if file.undo and copy.exists():
                copy.write_bytes(_survives(copy.read_bytes(), file, power_cut))
        for folder in sorted(self._names):
            steps = self._names[folder]
            kept = _kept(len(steps), power_cut)
            for step in reversed(steps[kept:]):
                step(self.root, target)

    def _unsure(self, folder: Path, back: Callable[[Path, Path], None]) -> None:
        self._names.setdefault(folder, []).append(back)


def _kept(steps: int, random: Random) -> int:
    """How many of so many operations a power cut spares: often none, else any number."""
    return 0 if random.random() < _ALL_LOST else random.randint(0, steps)


def _survives(content: bytes, file: _File, random: Random) -> bytes:
    """The content with the last operations undone; of the first of them a part may be left."""
    kept = _kept(len(file.undo), random)
    for number in range(len(file.undo) - 1, kept - 1, -1):
        before = file.undo[number](content)
        if number == kept and file.added[number]:
            before = content[: len(before) + random.randint(0, file.added[number] - 1)]
        content = before
    return content


def _concerns(trouble: Trouble, operation: Operation, sql: str) -> bool:
    if operation not in _CONCERNS[trouble] or sql.startswith(_UNDOES):
        return False
    if not sql or trouble is Trouble.BROKEN:
        return True
    if sql.startswith("BEGIN"):
        return trouble is not Trouble.FULL
    return not sql.startswith(_READS) and not (trouble is Trouble.LOCKED and sql == _COMMITS)


def _at(path: Path, root: Path, image: Path) -> Path:
    return image / path.relative_to(root)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
