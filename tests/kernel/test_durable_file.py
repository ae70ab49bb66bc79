"""A file is replaced as a whole, whatever the disk does in between."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.kernel.disk import DISK, Disk, disk
from core.kernel.durable_file import remove_file, replace_file


class Narrow(Disk):
    """Takes three bytes at a time and remembers the order of things."""

    def __init__(self, refuse: str = "") -> None:
        self.told: list[str] = []
        self._refuse = refuse

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if what == self._refuse:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def write(self, fd: int, data: bytes) -> int:
        return super().write(fd, data[:3])

    def flush(self, fd: int) -> None:
        self._tell("flush")
        super().flush(fd)

    def rename(self, path: Path, to: Path) -> None:
        self._tell("rename")
        super().rename(path, to)

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._tell("remove")

    def flush_folder(self, folder: Path) -> None:
        self._tell("folder")
        super().flush_folder(folder)


@pytest.fixture
def narrow(request: pytest.FixtureRequest) -> Iterator[Narrow]:
    on = Narrow(getattr(request, "param", ""))
    mark = DISK.set(on)
    yield on
    DISK.reset(mark)


def test_content_is_durable_before_its_name(tmp_path: Path, narrow: Narrow) -> None:
    path = tmp_path / "new" / "state.json"
    replace_file(path, b"twelve bytes")
    assert path.read_bytes() == b"twelve bytes"
    assert path.stat().st_mode & 0o777 == 0o600
    assert narrow.told == ["flush", "rename", "folder"]


@pytest.mark.parametrize("narrow", ["flush", "rename"], indirect=True)
def test_the_old_file_stays_when_the_disk_refuses(tmp_path: Path, narrow: Narrow) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="Read-only"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("narrow", ["remove"], indirect=True)
def test_the_first_failure_is_the_one_that_is_told(tmp_path: Path, narrow: Narrow) -> None:
    path = tmp_path / "state.json"
    path.mkdir()  # nothing can take its place
    with pytest.raises(IsADirectoryError):
        replace_file(path, b"new")


def test_a_removal_is_durable_and_may_be_repeated(tmp_path: Path, narrow: Narrow) -> None:
    path = tmp_path / "halt.json"
    path.write_bytes(b"halt")
    remove_file(path)
    remove_file(path)
    assert not path.exists()
    assert narrow.told == ["remove", "folder"]


def test_nothing_else_is_the_disk_of_a_life_without_its_own() -> None:
    assert type(disk()) is Disk
