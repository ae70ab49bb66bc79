"""Records of the audit chain: how one is encoded, sealed and found again (floor 2b; INV-11).

A record is one JSON object per line. `hash` is SHA-256 over the UTF-8 bytes of the record without
`hash` and `hmac`, encoded with sorted keys, separators `,` and `:` and non-ASCII unescaped. The
optional `hmac` is HMAC-SHA256 over the text of `hash`. The first `prev_hash` is 64 zeros.

The verifier has its own reading of these rules on purpose: it must not repeat a mistake made here.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite

import msgspec

from core.domain.errors import StorageError
from core.domain.ports import JsonValue

GENESIS = "0" * 64
RESERVED = frozenset({"seq", "ts", "venue", "prev_hash", "hash", "hmac"})
DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AuditError(StorageError):
    """Root of what can go wrong with the audit log."""


class AuditBroken(AuditError):
    """The end of the log is not a record of the chain; nothing may be appended to it."""


class AuditWriteError(AuditError):
    """A record could not be written or not be made durable (disk full, read-only, I/O error)."""


@dataclass(frozen=True, slots=True)
class Head:
    """Last record of a chain; `seq` 0 means that there is none yet."""

    seq: int
    hash: str
    day: int = 0
    """UTC day of that record, counted from 1970-01-01; 0 when there is none."""


EMPTY = Head(0, GENESIS)


class TimeText:
    """UTC microseconds as ISO 8601 with six decimals and offset; knows the last second's text."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def of(self, us: int) -> str:
        second, micros = divmod(us, 1_000_000)
        if second != self._second:
            self._text = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._text}.{micros:06d}+00:00"


def day_name(day: int) -> str:
    """`YYYYMMDD` of a day counted from 1970-01-01."""
    return (_EPOCH + timedelta(days=day)).strftime("%Y%m%d")


_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
)


def plain(value: object) -> JsonValue:
    """`value` as JSON can say it exactly: names and Decimals as text, no NaN, no surrogate."""
    kind = type(value)
    if kind is Decimal:
        return str(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return value if kind is str and value.isascii() else _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_text(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(_text, value))
    return _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def encode(record: Mapping[str, JsonValue]) -> bytes:
    """Canonical bytes of a record without its `hash`. It holds only what `plain` lets through."""
    return _ENCODER.encode(record).encode()


_FAST = msgspec.json.Encoder(order="sorted")
_FLAT = frozenset({str, int, bool, type(None)})
_TEXT = re.compile(r'"([^"\\]*)"')


def _no_float(text: str) -> float:
    raise ValueError(text)


_EXACT = msgspec.json.Decoder(float_hook=_no_float)
_NOT_PLAIN = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


def are_flat(values: Iterable[object]) -> bool:
    """True when every value is text, an integer, a flag or null."""
    return _FLAT.issuperset(map(type, values))


def encode_fast(record: Mapping[str, JsonValue]) -> bytes:
    """As `encode`, ten times faster, for a record of flat values or one with `texts_of`.

    Raises UnicodeEncodeError, a ValueError, for text that UTF-8 cannot carry.
    """
    return _FAST.encode(record)


def texts_of(payload: Mapping[str, JsonValue]) -> list[str] | None:
    """Names and texts at any depth of a payload that `encode_fast` may encode, else None.

    What comes back from its bytes must be what went in: text, integers, flags, null, lists and
    dictionaries of them by name. Numbers with a fraction are written differently by others, and
    text with escapes has to be looked at as it was.
    """
    try:
        body = _FAST.encode(payload)
        if b"\\" in body or _EXACT.decode(body) != payload:
            return None
        return _TEXT.findall(body.decode())
    except _NOT_PLAIN:
        return None


def seal(body: bytes, key: bytes | None) -> tuple[str, bytes]:
    """Hash of canonical `body`, and the line to append."""
    digest = hashlib.sha256(body).hexdigest()
    if key is None:
        return digest, b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode())
    signature = hmac.new(key, digest.encode(), "sha256").hexdigest()
    return digest, b'%b,"hash":"%b","hmac":"%b"}\n' % (
        body[:-1],
        digest.encode(),
        signature.encode(),
    )


def read_head(line: bytes) -> Head:
    """Head from the last line of a file. Raises ValueError saying what is wrong with it."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError("is not JSON") from error
    if not isinstance(record, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - it is text that is wrong
    digest = record.pop("hash", None)
    record.pop("hmac", None)
    seq, ts = record.get("seq"), record.get("ts")
    if not isinstance(digest, str) or type(seq) is not int or not isinstance(ts, str):
        raise ValueError("lacks seq, ts or hash")
    if hashlib.sha256(encode(record)).hexdigest() != digest:
        raise ValueError("does not match its hash")
    return Head(seq, digest, (datetime.fromisoformat(ts) - _EPOCH).days)
