"""Exclusive use of an open file (floor 2b).

An operator's script may append to the audit log of a running daemon; both then take turns. Whoever
holds a file says how to ask for it back: another user in the same process does so at once, one in
another process waits until the holder lets go by itself.
"""

import sys
import threading
from collections.abc import Callable

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


Identity = tuple[int, int]
"""Device and inode of a file."""
_PAUSE_S = 0.001
_holders: dict[Identity, Callable[[], None]] = {}


def hold(fd: int, identity: Identity, give_way: Callable[[], None], patience_s: float) -> None:
    """Take `fd` alone until `let_go`. Raises OSError when another process does not let go of it
    within `patience_s` seconds, for which the caller's thread waits.

    `give_way` is called, in any thread, when another user in this process wants the file.
    """
    for _ in range(max(round(patience_s / _PAUSE_S), 1)):
        other = _holders.pop(identity, None)
        if other is not None:
            other()
        try:
            _take(fd)
        except OSError:
            threading.Event().wait(_PAUSE_S)
        else:
            _holders[identity] = give_way
            return
    _take(fd)
    _holders[identity] = give_way


def let_go(fd: int, identity: Identity) -> None:
    """Give `fd` back. Nothing may have been held."""
    _holders.pop(identity, None)
    _give(fd)
