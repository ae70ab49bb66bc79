"""Every kind of tampering is found, named and placed; an honest log is never accused."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from audit_builders import log_of, records_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.audit_logger import AuditLogger
from core.storage.audit_verify import Fault, KnownHead, Verdict, find_segments, verify
from tools.verify_audit import BROKEN, HOLDS, USAGE, main

ROOT = Path(__file__).resolve().parents[2]
Lines = list[bytes]


def verdict_of(path: Path, **options: object) -> Verdict:
    files, whole = find_segments([path])
    return verify(files, whole=whole, **options)  # type: ignore[arg-type]  # by name


def rewrite(path: Path, change: Callable[[Lines], Lines]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def forge(line: bytes, **changes: object) -> bytes:
    """The record with `changes` and a hash that fits: what someone who knows the format makes."""
    record = {**json.loads(line), **changes}
    del record["hash"]
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f'{body[:-1]},"hash":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'.encode()


def edit(lines: Lines) -> Lines:
    return [*lines[:4], lines[4].replace("número".encode(), b"numero"), *lines[5:]]


def edit_own_fields(lines: Lines) -> Lines:
    return [*lines[:4], lines[4].replace(b'"ts":"2026', b'"ts":"2025'), *lines[5:]]


def edit_and_rehash(lines: Lines) -> Lines:
    return [*lines[:4], forge(lines[4], n=500), *lines[5:]]


def add_spaces(lines: Lines) -> Lines:
    return [*lines[:4], lines[4].replace(b",", b", ", 1), *lines[5:]]


def hide_behind_a_second_field(lines: Lines) -> Lines:
    return [*lines[:4], lines[4].replace(b'{"action"', b'{"action":"y","action"', 1), *lines[5:]]


def remove(lines: Lines) -> Lines:
    return [*lines[:4], *lines[5:]]


def remove_three(lines: Lines) -> Lines:
    return [*lines[:4], *lines[7:]]


def remove_first(lines: Lines) -> Lines:
    return lines[1:]


def insert(lines: Lines) -> Lines:
    before = json.loads(lines[3])
    return [*lines[:4], forge(lines[4], n=500, prev_hash=before["hash"]), *lines[4:]]


def insert_anything(lines: Lines) -> Lines:
    return [*lines[:4], b'{"action":"hello"}\n', *lines[4:]]


def insert_empty_line(lines: Lines) -> Lines:
    return [*lines[:4], b"\n", *lines[4:]]


def repeat(lines: Lines) -> Lines:
    return [*lines[:4], lines[1], *lines[4:]]


def swap(lines: Lines) -> Lines:
    return [*lines[:4], lines[5], lines[4], *lines[6:]]


def move_to_the_end(lines: Lines) -> Lines:
    return [*lines[:4], *lines[5:], lines[4]]


def cut_in_a_record(lines: Lines) -> Lines:
    return [*lines[:-1], lines[-1][:50]]


Tamper = tuple[Callable[[Lines], Lines], Fault, int, int]
TAMPERS: dict[str, Tamper] = {
    "a word of record 5 changed": (edit, Fault.EDITED, 5, 5),
    "the time of record 5 changed": (edit_own_fields, Fault.EDITED, 5, 5),
    "record 5 changed and its hash made to fit": (edit_and_rehash, Fault.REPLACED, 6, 6),
    "a space added to record 5": (add_spaces, Fault.EDITED, 5, 5),
    "a field of record 5 given twice": (hide_behind_a_second_field, Fault.EDITED, 5, 0),
    "record 5 removed": (remove, Fault.REMOVED, 5, 6),
    "records 5 to 7 removed": (remove_three, Fault.REMOVED, 5, 8),
    "record 1 removed": (remove_first, Fault.REMOVED, 1, 2),
    "a well-formed record put before record 5": (insert, Fault.INSERTED, 5, 5),
    "a line of JSON put before record 5": (insert_anything, Fault.UNREADABLE, 5, 0),
    "an empty line put before record 5": (insert_empty_line, Fault.UNREADABLE, 5, 0),
    "record 2 repeated before record 5": (repeat, Fault.INSERTED, 5, 2),
    "records 5 and 6 swapped": (swap, Fault.REORDERED, 5, 6),
    "record 5 moved to the end": (move_to_the_end, Fault.REORDERED, 5, 6),
    "the last record cut in the middle": (cut_in_a_record, Fault.TORN, 8, 0),
}


def test_the_table_in_the_documents_is_what_is_tested_here() -> None:
    rows = [
        f"| {words} | `{fault}` | {line} | {seq or '-'} |"
        for words, (_, fault, line, seq) in TAMPERS.items()
    ]
    document = (ROOT / "docs" / "reference" / "audit.md").read_text(encoding="utf-8")
    assert [line for line in document.splitlines() if line in rows] == rows


@pytest.mark.parametrize(("tamper", "fault", "line", "seq"), TAMPERS.values(), ids=list(TAMPERS))
def test_tampering_is_named(
    tmp_path: Path, tamper: Callable[[Lines], Lines], fault: Fault, line: int, seq: int
) -> None:
    path = log_of(tmp_path, 8)
    rewrite(path, tamper)
    verdict = verdict_of(path)
    assert verdict.bad is not None
    assert (verdict.bad.fault, verdict.bad.line, verdict.bad.seq) == (fault, line, seq)
    assert verdict.bad.file == str(path)


def test_a_cut_end_shows_against_a_known_head(tmp_path: Path) -> None:
    path = log_of(tmp_path, 8)
    last = records_of(path)[-1]
    heads = [KnownHead(8), KnownHead(0, str(last["hash"])), KnownHead(8, str(last["hash"]))]
    for head in heads:
        assert verdict_of(path, known=head).bad is None
    rewrite(path, lambda lines: lines[:6])
    assert verdict_of(path).bad is None  # the chain alone cannot tell
    for head in heads:
        bad = verdict_of(path, known=head).bad
        assert bad is not None
        assert (bad.fault, bad.line, bad.seq) == (Fault.TRUNCATED, 6, 6)


def test_a_known_head_stays_good_while_the_log_grows(tmp_path: Path) -> None:
    path = log_of(tmp_path, 8)
    head = KnownHead.parse(f"{records_of(path)[-1]['hash']}/8")
    log_of(tmp_path, 5)
    assert verdict_of(path, known=head).bad is None


def test_a_log_written_anew_shows_against_a_known_head(tmp_path: Path) -> None:
    path = log_of(tmp_path, 8)
    known = KnownHead(5, str(records_of(path)[4]["hash"]))
    path.unlink()
    log = AuditLogger(path)
    for n in range(8):
        log.write({"action": "forged", "n": n})
    log.close()
    assert verdict_of(path).bad is None
    bad = verdict_of(path, known=known).bad
    assert bad is not None
    assert (bad.fault, bad.seq) == (Fault.REPLACED, 5)


def test_the_hmac_shows_a_chain_that_was_rehashed(tmp_path: Path) -> None:
    path = log_of(tmp_path, 8, hmac_key=SecretStr("the key"))
    assert verdict_of(path, key=b"the key").bad is None
    assert verdict_of(path).bad is None
    wrong = verdict_of(path, key=b"another").bad
    assert wrong is not None
    assert (wrong.fault, wrong.seq) == (Fault.EDITED, 1)
    rehashed: Lines = []
    prev = "0" * 64
    for line in path.read_bytes().splitlines():
        record = json.loads(line)
        del record["hmac"]
        rehashed.append(forge(json.dumps(record).encode(), n=0, prev_hash=prev))
        prev = json.loads(rehashed[-1])["hash"]
    path.write_bytes(b"".join(rehashed))
    assert verdict_of(path).bad is None
    unsigned = verdict_of(path, key=b"the key").bad
    assert unsigned is not None
    assert unsigned.fault is Fault.UNSIGNED


def test_a_key_may_be_introduced_later_but_not_left_out_again(tmp_path: Path) -> None:
    log_of(tmp_path, 3)
    path = log_of(tmp_path, 3, hmac_key=SecretStr("the key"))
    assert verdict_of(path, key=b"the key").bad is None
    log_of(tmp_path, 3)
    bad = verdict_of(path, key=b"the key").bad
    assert bad is not None
    assert (bad.fault, bad.seq) == (Fault.UNSIGNED, 7)


# --- segments --------------------------------------------------------------------------------


def test_segments_are_one_chain(tmp_path: Path) -> None:
    path = log_of(tmp_path, 40, rotate_bytes=1500)
    assert verdict_of(path).count == 40
    assert verdict_of(tmp_path).count == 40
    older = sorted(tmp_path.glob("audit-*.jsonl"))
    (tmp_path / "audit-notes.jsonl").write_text("not a segment")
    assert verdict_of(path).count == 40
    one = verdict_of(older[2])  # one segment alone may begin anywhere
    assert one.bad is None
    assert one.first_seq > 1
    older[2].rename(tmp_path / "elsewhere")
    bad = verdict_of(path).bad
    assert bad is not None
    assert bad.fault is Fault.REMOVED
    assert bad.file == str(older[3])


def test_the_order_of_segments_is_that_of_their_records(tmp_path: Path) -> None:
    path = log_of(tmp_path, 40, rotate_bytes=1500)
    first = min(tmp_path.glob("audit-*.jsonl"))
    first.rename(tmp_path / "audit-20270101-001.jsonl")  # as after a step of the wall clock
    assert verdict_of(path).count == 40


def test_a_missing_first_segment_is_noticed(tmp_path: Path) -> None:
    path = log_of(tmp_path, 40, rotate_bytes=1500)
    min(tmp_path.glob("audit-*.jsonl")).unlink()
    bad = verdict_of(path).bad
    assert bad is not None
    assert bad.fault is Fault.REMOVED
    assert "record 1 to " in bad.why


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = log_of(tmp_path_factory.mktemp("bytes"), 3)
    raw = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(raw) - 1))
    raw[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(raw))
    assert verdict_of(path).bad is not None


@settings(max_examples=40, deadline=None)
@given(noise=st.binary(max_size=200))
def test_no_content_makes_it_fail_itself(
    noise: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("noise") / "audit.jsonl"
    path.write_bytes(noise)
    verdict = verdict_of(path)
    assert verdict.bad is not None or not noise


def test_deep_nesting_is_unreadable_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"[" * 200_000 + b"\n")
    bad = verdict_of(path).bad
    assert bad is not None
    assert bad.fault is Fault.UNREADABLE


# --- the tool --------------------------------------------------------------------------------


def test_exit_code_and_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_of(tmp_path, 8)
    head = f"{records_of(path)[-1]['hash']}/8"
    assert main([str(path), "--head", head]) == HOLDS
    assert capsys.readouterr().out == f"OK: 8 records in 1 files\nhead: {head}\n"
    rewrite(path, remove)
    assert main([str(path)]) == BROKEN
    words = capsys.readouterr().out.splitlines()[0]
    assert words == f"BROKEN: {path} line 5: record 6 removed: record 5 is missing before it"


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_of(tmp_path, 8)
    rewrite(path, edit)
    assert main([str(path), "--json"]) == BROKEN
    result = json.loads(capsys.readouterr().out)
    assert (result["ok"], result["count"], result["head_seq"]) == (False, 4, 4)
    assert (result["bad"]["fault"], result["bad"]["seq"]) == ("edited", 5)


def test_key_file(tmp_path: Path) -> None:
    path = log_of(tmp_path, 2, hmac_key=SecretStr("the key"))
    (tmp_path / "key").write_text("the key\n")
    (tmp_path / "wrong").write_text("a key\n")
    (tmp_path / "empty").write_text("\n")
    assert main([str(path), "--hmac-key-file", str(tmp_path / "key")]) == HOLDS
    assert main([str(path), "--hmac-key-file", str(tmp_path / "wrong")]) == BROKEN
    assert main([str(path), "--hmac-key-file", str(tmp_path / "empty")]) == USAGE
    assert main([str(path), "--hmac-key-file", str(tmp_path / "none")]) == USAGE


@pytest.mark.parametrize("arguments", [["nowhere.jsonl"], ["--head", "abc"], ["--nonsense"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == USAGE
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["-m", "tools.verify_audit"], ["tools/verify_audit.py"]])
def test_it_runs_in_both_forms(tmp_path: Path, command: list[str]) -> None:
    path = log_of(tmp_path, 2)
    done = subprocess.run(
        [sys.executable, *command, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("OK: 2 records")


def test_the_verifier_shares_no_code_with_the_writer() -> None:
    source = (ROOT / "core/storage/audit_verify.py").read_text(encoding="utf-8")
    assert "import core" not in source
    assert "from core" not in source
