"""Replacing a small file as a whole (floor 1): a crash leaves the old content or the new one."""

import os
from contextlib import suppress
from pathlib import Path

from core.kernel.disk import disk, write_all


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path`, durably. The folder is created when missing.

    Blocks for one fsync of the file and one of the folder. Raises OSError; the old file then stays,
    unless only its folder could not be flushed: then either may be there after a crash.
    """
    on = disk()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        descriptor = on.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            write_all(on, descriptor, content)
            on.flush(descriptor)
        finally:
            on.close(descriptor)
        on.rename(temporary, path)
    except BaseException:
        # A disk that is read-only or broken keeps it; the next replacement writes over it.
        with suppress(OSError):
            on.remove(temporary)
        raise
    on.flush_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove `path`, durably; nothing happens when it is not there. Raises OSError."""
    on = disk()
    try:
        on.remove(path)
    except FileNotFoundError:
        return
    on.flush_folder(path.parent)
