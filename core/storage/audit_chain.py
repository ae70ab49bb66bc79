"""Records of the audit chain: how one is encoded, sealed and found again (floor 2b; INV-11).

A record is one JSON object per line. `hash` is SHA-256 over the UTF-8 bytes of the record without
`hash` and `hmac`, encoded with sorted keys, separators `,` and `:` and non-ASCII unescaped. The
optional `hmac` is HMAC-SHA256 over the text of `hash`. The first `prev_hash` is 64 zeros.

The verifier has its own reading of these rules on purpose: it must not repeat a mistake made here.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite

import msgspec

from core.domain.errors import StorageError
from core.domain.ports import JsonValue

GENESIS = "0" * 64
RESERVED = frozenset({"seq", "ts", "venue", "prev_hash", "hash", "hmac"})
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


def timestamp(us: int) -> str:
    """UTC microseconds as ISO 8601 with six decimals and offset."""
    second, micros = divmod(us, 1_000_000)
    return f"{_second_text(second)}.{micros:06d}+00:00"


@lru_cache(maxsize=8)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def day_of(us: int) -> int:
    return us // 86_400_000_000


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


_FLAT_ENCODER = msgspec.json.Encoder(order="sorted")
_FLAT = frozenset({str, int, bool, type(None)})
_LARGEST = 2**53


def is_flat(payload: Mapping[str, JsonValue]) -> bool:
    """True when `encode_flat` gives the bytes of `encode`: ASCII text, integers, flags, null."""
    for value in payload.values():
        kind = type(value)
        if kind not in _FLAT:
            return False
        if isinstance(value, str) and not value.isascii():
            return False
        if kind is int and isinstance(value, int) and not -_LARGEST < value < _LARGEST:
            return False
    return all(map(str.isascii, payload))


def encode_flat(record: Mapping[str, JsonValue]) -> bytes:
    """As `encode`, several times faster, for a record that `is_flat`."""
    return _FLAT_ENCODER.encode(record)


def seal(body: bytes, key: bytes | None) -> tuple[str, bytes]:
    """Hash of canonical `body`, and the line to append."""
    digest = hashlib.sha256(body).hexdigest()
    line = body[:-1] + b',"hash":"' + digest.encode() + b'"'
    if key is not None:
        line += b',"hmac":"' + hmac.new(key, digest.encode(), "sha256").hexdigest().encode() + b'"'
    return digest, line + b"}\n"


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
