"""The data folder belongs to one process: tried with real second processes."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.domain.errors import ConfigError, InstanceLocked
from core.kernel.instance_lock import InstanceLock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from core.kernel.instance_lock import InstanceLock
lock = InstanceLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path / "data") as other:
        with pytest.raises(InstanceLocked) as caught:
            InstanceLock(tmp_path / "data").acquire()
        assert f"pid {other.pid})" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_kill_9_frees_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        with InstanceLock(tmp_path):
            assert (tmp_path / "instance.pid").read_text() == f"{os.getpid()}\n"


def test_released_means_free_for_others(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    lock.acquire()
    with pytest.raises(InstanceLocked):
        InstanceLock(tmp_path).acquire()
    lock.release()
    lock.release()
    with holder(tmp_path):
        pass


def test_a_path_that_is_no_folder_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        InstanceLock(tmp_path / "file").acquire()
    assert len(caught.value.problems) == 1
    assert str(tmp_path / "file") in caught.value.problems[0]


TRY = """
import os, sys
from core.domain.errors import ConfigError
from core.kernel.instance_lock import InstanceLock
if os.getuid() == 0:  # who may do anything; nobody may not
    os.setuid(65534)
try:
    InstanceLock(sys.argv[1]).acquire()
except ConfigError as error:
    print(*error.problems, sep="\\n")
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_a_folder_without_write_permission_is_a_configuration_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)  # noqa: S103 - readable by the other user on purpose
        done = subprocess.run(
            [sys.executable, "-B", "-c", TRY, folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        os.chmod(folder, 0o700)
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"DATA_DIR: {folder} cannot be used by user ")
    assert "Permission denied" in lines[0]
