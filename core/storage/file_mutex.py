"""Exclusive use of an open file for the length of one short operation (floor 2b).

An operator's script may append to the audit log of a running daemon; both then take turns.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":
    import msvcrt
    import os

    # A byte far beyond any record: Windows locks are mandatory and must not hide the content.
    _LOCK_AT = 1 << 40

    def _take(fd: int) -> None:
        os.lseek(fd, _LOCK_AT, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _give(fd: int) -> None:
        os.lseek(fd, _LOCK_AT, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _give(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


_TRIES = 100
_PAUSE_S = 0.001


@contextmanager
def exclusive(fd: int) -> Iterator[None]:
    """Hold `fd` alone. Raises OSError when another process does not let go within 0.1 s."""
    for attempt in range(_TRIES):
        try:
            _take(fd)
            break
        except OSError:
            if attempt == _TRIES - 1:
                raise
            threading.Event().wait(_PAUSE_S)
    try:
        yield
    finally:
        _give(fd)
