"""An independent reading of the audit log (floor 2b; INV-11).

It shares no code with the writer, so a mistake there cannot hide itself here. The rules it checks:
one JSON object per line; `seq` from 1 without gaps through all segments; `prev_hash` is the `hash`
of the record before, 64 zeros for the first; `hash` is SHA-256 over the UTF-8 JSON of the record
without `hash` and `hmac`, sorted keys, separators `,` and `:`, non-ASCII unescaped; `hmac`, when
there is a key, is HMAC-SHA256 over the text of `hash`; the bytes of a line are exactly those.

A chain shows every change inside it. Cutting off its end, or writing all of it anew, shows only
against something kept elsewhere: a head that was reported before, or the HMAC key.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_ZEROS = "0" * 64
_HEX = re.compile(r"[0-9a-f]{64}")
_OWN = {"seq": int, "ts": str, "venue": str, "action": str, "prev_hash": str, "hash": str}
_SEGMENT = re.compile(r"(?P<stem>.+)-\d{8}-\d{3,}\.jsonl")


class Fault(StrEnum):
    """What is wrong with the first bad record."""

    UNREADABLE = "unreadable"
    EDITED = "edited"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    REPLACED = "replaced"
    TORN = "torn"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head remembered elsewhere; `seq` 0 when only its hash is known, `hash` empty likewise."""

    seq: int = 0
    hash: str = ""

    @staticmethod
    def parse(text: str) -> "KnownHead":
        """From `HASH`, `SEQ`, `HASH/SEQ` or `SEQ/HASH`. Raises ValueError."""
        seq, digest = 0, ""
        for part in re.split(r"[/:]", text.strip().lower()):
            if _HEX.fullmatch(part) and not digest:
                digest = part
            elif part.isdecimal() and int(part) > 0 and not seq:
                seq = int(part)
            else:
                raise ValueError(f"{text!r} is not a hash of 64 hex digits, a number, or both")
        return KnownHead(seq, digest)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """Where the chain breaks. `seq` is what the record says of itself, 0 when it cannot be read."""

    file: str
    line: int
    seq: int
    fault: Fault
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result: `count` good records up to `head_seq`; `bad` is None when everything holds."""

    count: int
    first_seq: int
    head_seq: int
    head_hash: str
    files: tuple[str, ...]
    bad: BadRecord | None


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    number: int
    raw: bytes = b""
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Record:
    seq: int
    prev: str
    digest: str
    signature: str | None


class _Unsound(Exception):
    """A line that does not hold on its own."""

    def __init__(self, fault: Fault, why: str, seq: int = 0) -> None:
        super().__init__(why)
        self.fault = fault
        self.why = why
        self.seq = seq


def find_segments(paths: Sequence[Path]) -> tuple[list[Path], bool]:
    """Files to read in the order of the chain, and whether they must begin at record 1.

    A folder stands for the log in it, `audit.jsonl` for itself and its older segments. Segments
    named one by one may be any part of the chain. Raises FileNotFoundError naming what is missing.
    """
    found: list[Path] = []
    whole = False
    for given in paths:
        path = given / "audit.jsonl" if given.is_dir() else given
        if _SEGMENT.fullmatch(path.name):
            if not path.is_file():
                raise FileNotFoundError(str(path))
            found.append(path)
            continue
        whole = True
        family = [
            other
            for other in sorted(path.parent.iterdir() if path.parent.is_dir() else ())
            if (match := _SEGMENT.fullmatch(other.name)) and match["stem"] == path.stem
        ]
        if not path.is_file() and not family:
            raise FileNotFoundError(str(path))
        found.extend([*family, path] if path.is_file() else family)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda path: (_first_seq(path), unique.index(path))), whole


def verify(
    files: Sequence[Path],
    *,
    whole: bool = True,
    key: bytes | None = None,
    known: KnownHead | None = None,
) -> Verdict:
    """Check the chain through `files`, given in order; stops at the first bad record.

    `whole`: it has to begin at record 1. `key` checks signatures, `known` that a remembered head
    is in the chain. Raises OSError when a file cannot be read.
    """
    names = tuple(str(path) for path in files)
    walk = _Walk(files, whole=whole, key=key, known=known)
    bad = walk.run()
    return Verdict(walk.count, walk.first_seq, walk.seq, walk.digest, names, bad)


class _Walk:
    """The state of one pass over all lines."""

    def __init__(
        self, files: Sequence[Path], *, whole: bool, key: bytes | None, known: KnownHead | None
    ) -> None:
        self._files = files
        self._whole = whole
        self._key = key
        self._known = known
        self._known_seen = known is None
        self._signed = False
        self._before = _ZEROS
        self._last: _Line | None = None
        self.count = 0
        self.first_seq = 0
        self.seq = 0
        self.digest = _ZEROS

    def run(self) -> BadRecord | None:
        for line in _lines(self._files):
            try:
                record = _parse(line)
                bad = self._place(line, record) or self._known_at(line, record)
                self._check_signature(record)
            except _Unsound as fault:
                return _bad(line, fault.seq, fault.fault, fault.why)
            if bad is not None:
                return bad
            self._before, self.seq, self.digest = self.digest, record.seq, record.digest
            self.first_seq = self.first_seq or record.seq
            self.count += 1
            self._last = line
        return self._end()

    def _place(self, line: _Line, record: _Record) -> BadRecord | None:
        """Does a record that holds on its own belong here?"""
        first = not self.count
        if first and not self._whole and record.seq > 1:
            return None
        wanted = self.seq + 1
        if record.seq == wanted and record.prev == self.digest:
            return None
        if record.seq > wanted:
            gap = f"{wanted}" if record.seq == wanted + 1 else f"{wanted} to {record.seq - 1}"
            if self._comes_later(line, wanted):
                why = f"stands before record {wanted}, which comes later"
                return _bad(line, record.seq, Fault.REORDERED, why)
            return _bad(line, record.seq, Fault.REMOVED, f"record {gap} is missing before it")
        if record.prev == self._before and self._last is not None and record.seq == self.seq:
            why = f"record {record.seq} after it continues the chain without it"
            return _bad(self._last, self.seq, Fault.INSERTED, why)
        if record.seq < wanted:
            why = f"record {record.seq} stands where record {wanted} belongs"
            return _bad(line, record.seq, Fault.INSERTED, why)
        why = f"its prev_hash is not the hash of record {self.seq}"
        return _bad(line, record.seq, Fault.REPLACED, why)

    def _comes_later(self, line: _Line, seq: int) -> bool:
        passed = False
        for later in _lines(self._files):
            if passed and _seq_of(later.raw) == seq:
                return True
            passed = passed or (later.file, later.number) == (line.file, line.number)
        return False

    def _known_at(self, line: _Line, record: _Record) -> BadRecord | None:
        if self._known is None:
            return None
        by_hash = record.digest == self._known.hash
        by_seq = record.seq == self._known.seq
        if by_seq and self._known.hash and not by_hash:
            why = f"record {record.seq} was known to have hash {self._known.hash}"
            return _bad(line, record.seq, Fault.REPLACED, why)
        if by_hash and self._known.seq and not by_seq:
            why = f"this hash was known to be that of record {self._known.seq}"
            return _bad(line, record.seq, Fault.REPLACED, why)
        self._known_seen = self._known_seen or by_hash or by_seq
        return None

    def _check_signature(self, record: _Record) -> None:
        if self._key is None:
            return
        if record.signature is None:
            # Records from before the key was introduced have none; the chain under the first
            # signed record vouches for them.
            if self._signed:
                raise _Unsound(Fault.UNSIGNED, "has no hmac, earlier records have", record.seq)
            return
        expected = hmac.new(self._key, record.digest.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, record.signature):
            raise _Unsound(Fault.EDITED, "its hmac was not made with this key", record.seq)
        self._signed = True

    def _end(self) -> BadRecord | None:
        last = self._last or _Line(str(self._files[-1]) if self._files else "", 0)
        if not self._known_seen and self._known is not None:
            what = f"record {self._known.seq}" if self._known.seq else f"hash {self._known.hash}"
            why = f"{what} was written once; the log ends at record {self.seq}"
            return _bad(last, self.seq, Fault.TRUNCATED, why)
        if self._key is not None and self.count and not self._signed:
            return _bad(last, self.seq, Fault.UNSIGNED, "no record of the log has an hmac")
        return None


def _bad(line: _Line, seq: int, fault: Fault, why: str) -> BadRecord:
    return BadRecord(line.file, line.number, seq, fault, why)


def _lines(files: Sequence[Path]) -> Iterator[_Line]:
    for path in files:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                yield _Line(str(path), number, raw.removesuffix(b"\n"), raw.endswith(b"\n"))


def _parse(line: _Line) -> _Record:
    """The record in a line. Raises _Unsound when it does not hold on its own."""
    if not line.complete:
        raise _Unsound(
            Fault.TORN,
            f"the last line is incomplete ({len(line.raw)} bytes), as after a crash; "
            "the next start sets it aside",
        )
    try:
        content = json.loads(line.raw, object_pairs_hook=_no_duplicates)
    except _Unsound:
        raise
    except (ValueError, RecursionError) as error:
        raise _Unsound(Fault.UNREADABLE, "is not JSON") from error
    if not isinstance(content, dict):
        raise _Unsound(Fault.UNREADABLE, "is not a JSON object")
    for name, kind in _OWN.items():
        if type(content.get(name)) is not kind:
            raise _Unsound(Fault.UNREADABLE, f"has no {name}")
    seq, digest, signature = content["seq"], content.pop("hash"), content.pop("hmac", None)
    body = _canonical(content, seq)
    if hashlib.sha256(body).hexdigest() != digest:
        raise _Unsound(Fault.EDITED, "its hash does not match its content", seq)
    tail = f',"hash":"{digest}"' + (f',"hmac":"{signature}"' if signature is not None else "")
    if line.raw != body[:-1] + tail.encode() + b"}":
        raise _Unsound(Fault.EDITED, "its bytes are not those that were written", seq)
    return _Record(seq, content["prev_hash"], digest, signature)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _Unsound(Fault.EDITED, "has a field twice")
    return content


def _canonical(content: dict[str, object], seq: int) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _Unsound(Fault.EDITED, "holds text that UTF-8 cannot carry", seq) from error


def _seq_of(raw: bytes) -> int:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return 0
    seq = content.get("seq") if isinstance(content, dict) else None
    return seq if type(seq) is int else 0


def _first_seq(path: Path) -> int:
    with path.open("rb") as stream:
        return _seq_of(stream.readline())
