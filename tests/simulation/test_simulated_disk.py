"""A disk that forgets what was not flushed and fails when it is told to."""

import os
import random
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audit_logger import AuditLogger, AuditWriteError
from core.kernel.disk import DISK
from core.kernel.durable_file import remove_file, replace_file
from core.simulation.disk import DiskFault, Operation, SimulatedDisk, Trouble
from core.storage.audit_verify import find_segments, verify
from core.storage.database import InlineEngine

APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT


@pytest.fixture
def on(tmp_path: Path) -> SimulatedDisk:
    root = tmp_path / "life"
    root.mkdir()
    return SimulatedDisk(root)


def images(on: SimulatedDisk, folder: Path, count: int = 60) -> list[Path]:
    made = [folder / f"image-{number}" for number in range(count)]
    for number, target in enumerate(made):
        on.image(target, random.Random(number))
    return made


def test_the_death_of_a_process_loses_nothing_that_was_written(
    on: SimulatedDisk, tmp_path: Path
) -> None:
    fd = on.open(on.root / "log", APPEND)
    on.write(fd, b"never flushed")
    on.image(tmp_path / "next")
    assert (tmp_path / "next" / "log").read_bytes() == b"never flushed"


@settings(max_examples=60)
@given(
    steps=st.lists(st.one_of(st.binary(min_size=1, max_size=8), st.integers(0, 20), st.none())),
    seed=st.integers(0, 9),
)
def test_a_power_cut_keeps_what_was_flushed_and_a_beginning_of_the_rest(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | int | None], seed: int
) -> None:
    """Bytes are written, a number truncates to that size, None flushes."""
    base = tmp_path_factory.mktemp("disk")
    (base / "life").mkdir()
    on = SimulatedDisk(base / "life")
    fd = on.open(on.root / "log", APPEND)
    on.flush_folder(on.root)
    content, possible = b"", [b""]
    for step in steps:
        if isinstance(step, bytes):
            on.write(fd, step)
            possible += [content + step[:size] for size in range(1, len(step) + 1)]
            content += step
        elif isinstance(step, int):
            content = content[: min(step, len(content))]
            on.truncate(fd, len(content))
            possible.append(content)
        else:
            on.flush(fd)
            possible = [content]
    assert (on.root / "log").read_bytes() == content
    on.image(base / "next", random.Random(seed))
    assert (base / "next" / "log").read_bytes() in possible


def test_a_name_that_was_not_flushed_may_be_lost(on: SimulatedDisk, tmp_path: Path) -> None:
    fd = on.open(on.root / "log", APPEND)
    on.write(fd, b"content")
    on.flush(fd)
    there = {(image / "log").exists() for image in images(on, tmp_path)}
    assert there == {True, False}
    on.flush_folder(on.root)
    on.image(tmp_path / "safe", random.Random(1))
    assert (tmp_path / "safe" / "log").read_bytes() == b"content"


def test_a_flush_that_failed_is_not_mended_by_the_next(on: SimulatedDisk, tmp_path: Path) -> None:
    fd = on.open(on.root / "log", APPEND)
    on.flush_folder(on.root)
    on.write(fd, b"x")
    on.fail(DiskFault(Trouble.BROKEN, on.operations + 1))
    with pytest.raises(OSError, match="Input/output"):
        on.flush(fd)
    on.flush(fd)
    assert {(image / "log").read_bytes() for image in images(on, tmp_path)} == {b"", b"x"}


def test_a_small_file_is_the_old_or_the_new_one(on: SimulatedDisk, tmp_path: Path) -> None:
    mark = DISK.set(on)
    path = on.root / "state.json"
    replace_file(path, b"old")
    on.flush = lambda fd: None  # type: ignore[method-assign] # the second one is flushed by nobody
    on.flush_folder = lambda folder: None  # type: ignore[method-assign] # as above
    replace_file(path, b"new one")
    DISK.reset(mark)
    found = {(image / "state.json").read_bytes() for image in images(on, tmp_path, 200)}
    assert {b"old", b"new one", b""} < found
    assert all(each == b"old" or b"new one".startswith(each) for each in found)


def test_a_durable_replacement_and_removal_stay(on: SimulatedDisk, tmp_path: Path) -> None:
    mark = DISK.set(on)
    path, halt = on.root / "state.json", on.root / "halt.json"
    for text in (b"old", b"new"):
        replace_file(path, text)
    replace_file(halt, b"halt")
    remove_file(halt)
    DISK.reset(mark)
    for image in images(on, tmp_path, 20):
        assert path.relative_to(on.root).name in os.listdir(image)
        assert (image / "state.json").read_bytes() == b"new"
        assert not (image / "halt.json").exists()


@pytest.mark.parametrize("trouble", [Trouble.FULL, Trouble.READ_ONLY, Trouble.BROKEN])
def test_every_operation_can_be_the_one_that_fails(on: SimulatedDisk, trouble: Trouble) -> None:
    """The n-th operation fails for n = 1, 2, 3 … until nothing is left to fail."""
    path, mark = on.root / "state.json", DISK.set(on)
    struck: list[Operation] = []
    number = 0
    while len(struck) == number:
        number += 1
        path.write_bytes(b"old")
        on.operations = 0
        on.heal()
        on.fail(DiskFault(trouble, number))
        with suppress(OSError):
            replace_file(path, b"new")
            break
        struck.append(on.struck[-1].operation)
        lost = struck[-1] is not Operation.FOLDER
        assert path.read_bytes() == (b"old" if lost else b"new")
    DISK.reset(mark)
    every = [Operation.OPEN, Operation.WRITE, Operation.FLUSH, Operation.RENAME, Operation.FOLDER]
    assert [each for each in every if each in struck] == (
        every if trouble is Trouble.BROKEN else [Operation.OPEN, Operation.WRITE, Operation.RENAME]
    )


async def test_sql_fails_as_sqlite_would(on: SimulatedDisk) -> None:
    mark = DISK.set(on)
    engine = InlineEngine(on.root / "bot.db")
    DISK.reset(mark)
    await engine.run("CREATE TABLE t (x)", ())
    on.fail(DiskFault(Trouble.FULL, on.operations + 1))
    assert await engine.fetch("SELECT * FROM t", ()) == []
    await engine.run("BEGIN IMMEDIATE", ())
    with pytest.raises(sqlite3.OperationalError, match="full") as caught:
        await engine.run("INSERT INTO t VALUES (1)", ())
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    await engine.run("ROLLBACK", ())
    await engine.close()


async def test_the_audit_log_survives_any_cut(on: SimulatedDisk, tmp_path: Path) -> None:
    """Whatever is left verifies after the next start, and no flushed record is missing."""
    mark = DISK.set(on)
    log = AuditLogger(on.root / "audit.jsonl")
    for number in range(6):
        await log.write_durable({"action": "x", "n": number})
    for number in range(4):
        log.write({"action": "y", "n": number})
    DISK.reset(mark)
    torn = 0
    for image in images(on, tmp_path, 40):
        again = AuditLogger(image / "audit.jsonl")
        again.close()
        files, whole = find_segments([image / "audit.jsonl"])
        verdict = verify(files, whole=whole)
        assert verdict.bad is None
        assert again.head[0] >= 6
        torn += bool(list(image.glob("*.torn-*")))
    assert torn > 5


def test_a_full_disk_leaves_the_audit_log_as_it_was(on: SimulatedDisk) -> None:
    mark = DISK.set(on)
    log = AuditLogger(on.root / "audit.jsonl")
    DISK.reset(mark)
    log.write({"action": "x"})
    on.fail(DiskFault(Trouble.FULL, on.operations + 1, for_ever=True))
    with pytest.raises(AuditWriteError, match="No space"):
        log.write({"action": "y"})
    on.heal()
    log.write({"action": "z"})
    log.close()
    assert verify([on.root / "audit.jsonl"], whole=False).bad is None
    assert log.head[0] == 2
