"""The audit log: exact format, crash safety, rotation, durability, and honest failure."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import pytest
from audit_builders import DAY_US, SetClock, log_of, records_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.audit_logger import AuditBroken, AuditLogger, AuditWriteError
from core.kernel.clock import LiveClock
from core.kernel.disk import MACHINE_DISK
from core.simulation.virtual_loop import VirtualLoop
from core.storage import audit_file
from core.storage.audit_verify import find_segments, verify

ROOT = Path(__file__).resolve().parents[2]


def holds(path: Path) -> int:
    """Number of records of a chain that verifies."""
    files, whole = find_segments([path])
    verdict = verify(files, whole=whole)
    assert verdict.bad is None, verdict.bad
    return verdict.count


def test_the_record_is_exactly_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    log = AuditLogger(path, venue="paper", hmac_key=SecretStr("key"), clock=SetClock())
    first = log.write({"action": "order.intent", "price": Decimal("0.51230"), "why": "é✓", "n": 1})
    log.write({"action": "b", "checks": [{"ok": True, "x": None}], "ratio": 1e-07})
    log.close()
    prev = "0" * 64
    for seq, line in enumerate(path.read_bytes().splitlines(), 1):
        record = json.loads(line)
        digest, signature = record.pop("hash"), record.pop("hmac")
        body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(body.encode()).hexdigest() == digest
        assert hmac.new(b"key", digest.encode(), "sha256").hexdigest() == signature
        assert (record["seq"], record["prev_hash"], record["venue"]) == (seq, prev, "paper")
        stamp = datetime.fromisoformat(record["ts"])
        assert stamp.utcoffset() == timedelta(0)
        assert len(record["ts"].split(".")[1]) == len("123456+00:00")
        prev = digest
    lines = records_of(path)
    assert lines[0]["hash"] == first
    assert (lines[0]["price"], lines[0]["why"]) == ("0.51230", "é✓")
    assert log.head == (2, prev)
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600


def test_it_works_with_a_path_alone(tmp_path: Path) -> None:
    AuditLogger(str(tmp_path / "audit.jsonl")).write({"event": "by hand"})
    (record,) = records_of(tmp_path / "audit.jsonl")
    assert (record["event"], record["action"], record["seq"]) == ("by hand", "note", 1)
    assert holds(tmp_path / "audit.jsonl") == 1


def test_a_payload_cannot_forge_what_the_log_says_of_itself(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl")
    log.write({"action": "a", "seq": 99, "prev_hash": "x", "hash": "y", "hmac": "z", "ts": "t"})
    log.close()
    (record,) = records_of(tmp_path / "audit.jsonl")
    assert record["seq"] == 1
    assert (record["payload_seq"], record["payload_hash"], record["payload_ts"]) == (99, "y", "t")
    assert holds(tmp_path / "audit.jsonl") == 1


class Word(StrEnum):
    A = "a"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=False)
    | st.text(st.characters(exclude_categories=[]))
    | st.just(Word.A),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4))
def test_whatever_is_written_verifies(
    payloads: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    log = AuditLogger(path)
    for payload in payloads:
        log.write(payload)  # type: ignore[arg-type]  # more than the contract allows, on purpose
    log.close()
    assert holds(path) == len(payloads)
    again = AuditLogger(path)
    assert again.head == log.head
    again.close()


# --- continuing after an end -----------------------------------------------------------------


def test_a_restart_continues_the_chain(tmp_path: Path) -> None:
    for _ in range(3):
        log_of(tmp_path, 4)
    assert holds(tmp_path / "audit.jsonl") == 12


def test_opening_reads_the_end_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log_of(tmp_path, 2000)
    read, real = [], os.read

    def counting(fd: int, size: int) -> bytes:
        data = real(fd, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(audit_file.os, "read", counting)
    log = AuditLogger(path)
    assert log.head[0] == 2000
    log.close()
    assert sum(read) <= 8 * 1024 < path.stat().st_size / 10


def test_a_last_record_longer_than_the_first_look(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl")
    log.write({"action": "small"})
    log.write({"action": "big", "text": "x" * 50_000})
    log.close()
    log_of(tmp_path, 1)
    assert holds(tmp_path / "audit.jsonl") == 3


@pytest.mark.parametrize("keep", [1, 40, 300, -1], ids=["1 byte", "40", "300", "no newline"])
def test_a_torn_tail_is_set_aside_and_recorded(tmp_path: Path, keep: int) -> None:
    path = log_of(tmp_path, 5)
    lines = path.read_bytes().splitlines(keepends=True)
    torn = lines[4][:keep] if keep < 0 else (lines[4] * 2)[:keep].replace(b"\n", b"")
    path.write_bytes(b"".join(lines[:4]) + torn)
    log = AuditLogger(path, clock=SetClock())
    log.write({"action": "after"})
    log.close()
    assert path.read_bytes().startswith(b"".join(lines[:4]))
    after = records_of(path)[4:]
    assert [record["action"] for record in after] == ["audit.torn_tail", "after"]
    side = tmp_path / str(after[0]["kept_in"])
    assert side.read_bytes() == torn
    assert after[0]["bytes"] == len(torn)
    assert holds(path) == 6


def test_a_file_that_is_nothing_but_torn(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"seq":1,"ts"')
    log_of(tmp_path, 1)
    assert [r["action"] for r in records_of(path)] == ["audit.torn_tail", "test"]
    assert holds(path) == 2


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"n":5', b'"n":6', "does not match its hash"),
        (b'{"action"', b"{action", "is not JSON"),
        (b'"seq":5', b'"sea":5', "lacks seq"),
    ],
)
def test_nothing_is_appended_to_a_broken_tail(
    tmp_path: Path, old: bytes, new: bytes, why: str
) -> None:
    path = log_of(tmp_path, 5)
    head, tail = path.read_bytes().rsplit(old, 1)
    path.write_bytes(head + new + tail)
    before = path.read_bytes()
    with pytest.raises(AuditBroken, match=why) as caught:
        AuditLogger(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


CHILD = """
import os, sys
from core.audit_logger import AuditLogger
log = AuditLogger(sys.argv[1], rotate_bytes=4000)
n = 0
while True:
    n += 1
    log.write({"action": "child", "n": n, "text": "x" * (n % 300)})
    os.write(1, b"%d\\n" % log.head[0])
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_kill_9_loses_no_acknowledged_record(tmp_path: Path) -> None:
    """Again and again on one log: the chain goes on through every death."""
    path, last = tmp_path / "audit.jsonl", 0
    for kill in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(20 + 17 * kill):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.communicate()[0].splitlines(keepends=True)
        last = max([last, *(int(line) for line in rest if line.endswith(b"\n"))])
        AuditLogger(path).close()
        assert holds(path) >= last


# --- rotation --------------------------------------------------------------------------------


def test_rotation_by_size_keeps_the_chain(tmp_path: Path) -> None:
    path = log_of(tmp_path, 60, rotate_bytes=2000)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[:2] == ["audit-20260301-001.jsonl", "audit-20260301-002.jsonl"]
    assert len(names) > 5
    assert all(p.stat().st_size < 2000 + 400 for p in tmp_path.iterdir())
    assert holds(path) == 60


def test_a_new_utc_day_is_a_new_segment(tmp_path: Path) -> None:
    clock = SetClock()
    log = AuditLogger(tmp_path / "audit.jsonl", clock=clock)
    for _ in range(3):
        log.write({"action": "x"})
        log.write({"action": "y"})
        clock.us += DAY_US
    log.close()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["audit-20260301-001.jsonl", "audit-20260302-001.jsonl", "audit.jsonl"]
    assert [r["seq"] for r in records_of(tmp_path / "audit-20260302-001.jsonl")] == [3, 4]
    log = AuditLogger(tmp_path / "audit.jsonl", clock=clock)  # opened on a later day
    log.write({"action": "x"})
    log.close()
    assert (tmp_path / "audit-20260303-001.jsonl").exists()
    assert holds(tmp_path / "audit.jsonl") == 7


def test_a_death_between_rename_and_new_file(tmp_path: Path) -> None:
    path = log_of(tmp_path, 60, rotate_bytes=2000)
    path.rename(tmp_path / "audit-20260301-999.jsonl")
    log = AuditLogger(path, clock=SetClock())
    assert log.head[0] == 60
    log.write({"action": "on"})
    log.close()
    assert holds(path) == 61


def test_a_rename_that_fails_is_recorded_and_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(MACHINE_DISK, "rename", refuse)
    path = log_of(tmp_path, 20, rotate_bytes=1000)
    actions = [r["action"] for r in records_of(path)]
    assert actions.count("test") == 20
    assert 1 <= actions.count("audit.rotation_postponed") < 8
    assert holds(path) == len(actions)


def test_a_script_may_write_beside_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    daemon, script = AuditLogger(path, rotate_bytes=1500), AuditLogger(path, rotate_bytes=1500)
    for n in range(20):
        daemon.write({"action": "daemon", "n": n})
        script.write({"action": "script", "n": n})
    daemon.close()
    script.close()
    assert holds(path) == 40


async def test_two_loggers_of_one_loop_take_turns_within_a_turn_of_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    daemon, script = AuditLogger(path, rotate_bytes=1500), AuditLogger(path, rotate_bytes=1500)
    for n in range(10):
        daemon.write({"action": "daemon", "n": n})
        await script.write_durable({"action": "script", "n": n})
        script.write({"action": "script", "n": n})
    daemon.close()
    script.close()
    assert holds(path) == 30


async def test_the_file_is_free_for_others_when_the_loop_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLogger(path)
    for _ in range(3):
        log.write({"action": "daemon"})
        log.write({"action": "daemon"})
        await LiveClock().sleep(0)
        code = (
            "import sys\nfrom core.audit_logger import AuditLogger\n"
            "AuditLogger(sys.argv[1]).write({'action': 'script'})"
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path), cwd=ROOT
        )
        assert await asyncio.wait_for(child.wait(), 30) == 0
    log.close()
    assert holds(path) == 9


def test_processes_that_write_at_once_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "import sys\nfrom core.audit_logger import AuditLogger\n"
        "log = AuditLogger(sys.argv[1], rotate_bytes=5000)\n"
        "for n in range(100): log.write({'action': 'x', 'n': n})\nlog.close()\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT) for _ in range(3)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert holds(path) == 300


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: log.write({"action": "x", "n": n}), range(200)))
    log.close()
    assert holds(tmp_path / "audit.jsonl") == 200


# --- durability ------------------------------------------------------------------------------


async def test_durable_means_flushed_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    real = MACHINE_DISK.flush

    def watching(fd: int) -> None:
        size = os.fstat(fd).st_size
        real(fd)
        flushed.append(size)

    monkeypatch.setattr(MACHINE_DISK, "flush", watching)
    log = AuditLogger(tmp_path / "audit.jsonl")
    digest = await log.write_durable({"action": "order.intent"})
    assert flushed[-1] == (tmp_path / "audit.jsonl").stat().st_size
    assert log.head == (1, digest)
    log.close()


async def test_those_who_wait_together_share_flushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[int] = []
    real = MACHINE_DISK.flush

    def counting(fd: int) -> None:
        flushes.append(fd)
        real(fd)

    monkeypatch.setattr(MACHINE_DISK, "flush", counting)
    log = AuditLogger(tmp_path / "audit.jsonl")
    await asyncio.gather(*(log.write_durable({"action": "x", "n": n}) for n in range(100)))
    assert len(flushes) == 1
    log.close()
    assert holds(tmp_path / "audit.jsonl") == 100


async def test_durable_through_rotation(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl", rotate_bytes=800)
    for n in range(30):
        await asyncio.gather(*(log.write_durable({"action": "x", "n": n}) for _ in range(3)))
    log.close()
    assert holds(tmp_path / "audit.jsonl") == 90


async def test_one_who_gives_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    release = threading.Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:

        def slow(job: Callable[[], None]) -> "asyncio.Future[None]":
            def run() -> None:
                release.wait(10)
                job()

            return loop.run_in_executor(pool, run)

        log = AuditLogger(tmp_path / "audit.jsonl", offload=slow)
        waiting = [
            asyncio.ensure_future(log.write_durable({"action": "x", "n": n})) for n in range(3)
        ]
        while log.head[0] < 3:
            await LiveClock().sleep(0)
        waiting[0].cancel()
        release.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[2] == log.head[1]
    log.close()


async def test_a_failed_flush_is_never_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    log = AuditLogger(tmp_path / "audit.jsonl")
    with monkeypatch.context() as broken:
        broken.setattr(MACHINE_DISK, "flush", fail)
        with pytest.raises(AuditWriteError, match="Input/output error"):
            await log.write_durable({"action": "x"})
    # The system may have dropped the page: a flush that succeeds now proves nothing.
    with pytest.raises(AuditWriteError, match="Input/output error"):
        await log.write_durable({"action": "y"})
    log.write({"action": "still readable"})
    log.close()
    assert holds(tmp_path / "audit.jsonl") == 3


async def test_a_disk_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    log = AuditLogger(tmp_path / "audit.jsonl", offload=lambda _: never, flush_timeout=0.01)
    for _ in range(2):
        with pytest.raises(AuditWriteError, match=r"no answer of the disk within 0\.01 s"):
            await log.write_durable({"action": "x"})
    never.set_result(None)  # it answers after all
    await LiveClock().sleep(0)
    later = asyncio.ensure_future(log.write_durable({"action": "y"}))
    await LiveClock().sleep(0)
    assert await later == log.head[1]
    log.close()


def test_on_the_virtual_loop_flushes_run_inline(tmp_path: Path) -> None:
    async def scenario() -> int:
        log = AuditLogger(tmp_path / "audit.jsonl")
        await asyncio.gather(*(log.write_durable({"action": "x", "n": n}) for n in range(10)))
        log.close()
        return threading.active_count()

    before = threading.active_count()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(scenario()) == before
    assert holds(tmp_path / "audit.jsonl") == 10


# --- failure ---------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_an_error_of_one_line() -> None:
    with pytest.raises(AuditWriteError, match="No space left") as caught:
        AuditLogger("/dev/full").write({"action": "x"})
    assert "\n" not in str(caught.value)


LIMITED = """
import resource, signal, sys
from core.audit_logger import AuditLogger, AuditWriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = AuditLogger(sys.argv[1])
log.write({"action": "first"})
resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
failures = 0
for n in range(3):
    try:
        log.write({"action": "too long", "text": "x" * 500})
    except AuditWriteError as error:
        failures += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
log.write({"action": "room again"})
log.close()
print(failures)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX resource limits")
def test_a_disk_that_fills_up_in_the_middle_of_a_record(tmp_path: Path) -> None:
    """The system writes a part of the record; the part is taken back and the chain goes on."""
    path = tmp_path / "audit.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "3\n"
    assert [r["action"] for r in records_of(path)] == ["first", "room again"]
    assert holds(path) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_closed_means_closed(tmp_path: Path) -> None:
    log = AuditLogger(tmp_path / "audit.jsonl")
    log.close()
    log.close()
    with pytest.raises(AuditWriteError, match="is closed"):
        log.write({"action": "x"})


def test_an_unusable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditWriteError, match=r"audit log .*file"):
        AuditLogger(tmp_path / "file" / "audit.jsonl")
