"""One daemon per data folder (floor 1; INV-15).

The lock is the operating system's, so it ends with the process however that ends; the file beside
it only tells a second instance who holds it.
"""

import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from core.domain.errors import ConfigError, InstanceLocked

_LOCK = "instance.lock"
_HOLDER = "instance.pid"


class InstanceLock:
    """Exclusive use of `data_dir`, from `acquire` (or `with`) to `release` or the process's end."""

    def __init__(self, data_dir: str | Path) -> None:
        self._folder = Path(data_dir)
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock, creating the folder when missing.

        Raises InstanceLocked naming the holder's process id, and ConfigError when the folder
        cannot be used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / _LOCK, timeout=0, thread_local=False, mode=0o600)
            lock.acquire()
            self._lock = lock
            (self._folder / _HOLDER).write_text(f"{os.getpid()}\n", encoding="ascii")
        except Timeout:
            raise InstanceLocked(
                f"another instance ({self._holder()}) holds the data folder {self._folder}: "
                "stop it first, or choose another folder with --data-dir"
            ) from None
        except OSError as error:
            self.release()
            raise ConfigError([self._unusable(error)]) from error

    def release(self) -> None:
        """Let the next instance in. May be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            (self._folder / _HOLDER).unlink(missing_ok=True)
            lock.release()

    def __enter__(self) -> "InstanceLock":
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _holder(self) -> str:
        try:
            return f"pid {int((self._folder / _HOLDER).read_text(encoding='ascii'))}"
        except (OSError, ValueError):  # it has the lock but has not yet said who it is
            return "pid unknown"

    def _unusable(self, error: OSError) -> str:
        user = f" by user {os.getuid()}" if sys.platform != "win32" else ""
        return (
            f"DATA_DIR: {self._folder} cannot be used{user} ({error.strerror or error}); allowed "
            "is a folder this user may write to"
        )
