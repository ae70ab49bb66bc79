"""Copies of everything that must not be lost, taken while the daemon writes (floor 2b; INV-11).

The database is copied first, by SQLite's own online backup, the audit log after it: so the head
that the database remembers stands in the copied log. A backup is a folder with a manifest that
names every file with its length and SHA-256; it bears its final name only when it is complete.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core.domain.errors import DataError, StorageError
from core.domain.ports import JsonValue
from core.storage.audit_verify import KnownHead, find_segments, verify
from core.storage.recorder import CHECKPOINT
from core.storage.schema import MIGRATIONS

MANIFEST = "manifest.json"
_FORMAT = 1
_PAGES = 512
"""Pages copied before the daemon may write again."""
_PAUSE_S = 0.005
_TRIES = 3
_LIVES_WITH_ITS_PROCESS = frozenset({"instance.lock", "paper_exchange.json"})
_DATABASE_SIDES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds. `head` is the last copied audit record as HASH/NUMBER, if any."""

    folder: Path
    files: tuple[str, ...]
    size: int
    audit_records: int
    head: str


def make_backup(
    target: Path, *, data_dir: Path, logs_dir: Path, about: Mapping[str, JsonValue]
) -> Backup:
    """Copy databases, state and audit log to the new folder `target`.

    `about` goes into the manifest. Raises DataError when there is nothing to copy, StorageError
    when a copy does not hold, OSError when it cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    if target.exists():
        raise DataError(f"{target}: exists already")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        _fill(part, data_dir, logs_dir)
        files = {name: _about_file(part / name) for name in _names(part)}
        manifest = {"format": _FORMAT, **about, "files": files}
        _write(part / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        found = check_backup(part)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Backup(target, found.files, found.size, found.audit_records, found.head)


def check_backup(folder: Path) -> Backup:
    """Everything the manifest names is there as it was, the databases are sound, the audit chain
    holds and contains the head the databases remember.

    Raises DataError saying what is wrong with it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files: dict[str, dict[str, object]] = manifest["files"]
        if manifest["format"] != _FORMAT:
            raise DataError(f"{folder}: of format {manifest['format']}, known is {_FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: is not a complete backup ({type(error).__name__})") from error
    _compare(folder, files)
    known = None
    for path in sorted((folder / "data").glob("bot.*.db")):
        known = _sound(path) or known
    size = sum(int(str(each["bytes"])) for each in files.values())
    records, head = _audit_holds(folder / "logs", known)
    return Backup(folder, tuple(sorted(files)), size, records, head)


def restore_backup(folder: Path, *, data_dir: Path, logs_dir: Path) -> Backup:
    """Put a checked backup into folders that hold no database and no audit log.

    Raises DataError when the backup does not hold or something is there already.
    """
    found = check_backup(folder)
    there = [*data_dir.glob("bot.*.db"), *logs_dir.glob("audit*.jsonl")]
    if there:
        raise DataError(f"{there[0]}: is there already; move {data_dir} and {logs_dir} away first")
    for name in found.files:
        place = {"data": data_dir, "logs": logs_dir}[name.split("/", 1)[0]]
        _copy(folder / name, place / name.split("/", 1)[1])
    return found


# --- copying -------------------------------------------------------------------------------------


def _fill(part: Path, data_dir: Path, logs_dir: Path) -> None:
    for source in sorted(data_dir.glob("bot.*.db")):
        _copy_database(source, part / "data" / source.name)
    for source in _state_files(data_dir):
        _copy(source, part / "data" / source.relative_to(data_dir))
    _copy_audit(logs_dir, part / "logs")
    if not _names(part):
        raise DataError(f"{data_dir}, {logs_dir}: nothing there to back up")


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's online backup: consistent, and the daemon goes on writing."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy, pages=_PAGES, sleep=_PAUSE_S)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, no sides
    except sqlite3.Error as error:
        raise StorageError(f"database {source}: cannot be copied: {error}") from error


def _state_files(data_dir: Path) -> Iterator[Path]:
    for path in sorted([*data_dir.glob("*.json"), *(data_dir / "runtime").glob("*")]):
        if path.is_file() and path.name not in _LIVES_WITH_ITS_PROCESS and path.suffix != ".tmp":
            yield path


def _copy_audit(logs_dir: Path, target: Path) -> None:
    """All segments up to the last complete record; once more when one was begun meanwhile."""
    path = logs_dir / "audit.jsonl"
    bad = None
    for _ in range(_TRIES):
        try:
            files, whole = find_segments([path])
        except FileNotFoundError:
            return
        shutil.rmtree(target, ignore_errors=True)
        for source in files:
            _copy(source, target / source.name, whole_lines=True)
        bad = verify([target / source.name for source in files], whole=whole).bad
        if bad is None:
            return
    if bad is not None:
        raise StorageError(f"audit log {path}: {bad.file} line {bad.line} {bad.fault}: {bad.why}")


def _copy(source: Path, target: Path, *, whole_lines: bool = False) -> None:
    """Bytes of `source` as long as it is now, cut behind its last complete line if asked for."""
    content = source.read_bytes()
    if whole_lines:
        content = content[: content.rfind(b"\n") + 1]
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(target, content)


def _write(target: Path, content: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# --- checking ------------------------------------------------------------------------------------


def _names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    )


def _about_file(path: Path) -> dict[str, JsonValue]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _compare(folder: Path, files: Mapping[str, object]) -> None:
    there = _names(folder)
    for name in files:
        if name not in there:
            raise DataError(f"{folder / name}: is missing")
    for name in there:
        if name not in files:
            raise DataError(f"{folder / name}: does not belong to the backup")
        if _about_file(folder / name) != files[name]:
            raise DataError(f"{folder / name}: is not as it was written (SHA-256 differs)")


def _sound(path: Path) -> KnownHead | None:
    """Checks a copied database; the audit head it remembers."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            verdict = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise DataError(f"{path}: {verdict}")
            version = copy.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise DataError(f"{path}: has schema {version}, known is up to {len(MIGRATIONS)}")
            row = copy.execute(
                "SELECT detail FROM events WHERE kind = ? ORDER BY at_ms DESC, id DESC LIMIT 1",
                (CHECKPOINT,),
            ).fetchone()
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}") from error
    if row is None:
        return None
    told = json.loads(row[0])
    return KnownHead(int(told["records"]), str(told["head"]))


def _audit_holds(folder: Path, known: KnownHead | None) -> tuple[int, str]:
    try:
        files, whole = find_segments([folder / "audit.jsonl"])
    except FileNotFoundError:
        if known is not None:
            raise DataError(f"{folder}: the audit log is missing") from None
        return 0, ""
    verdict = verify(files, whole=whole, known=known)
    if verdict.bad is not None:
        bad = verdict.bad
        raise DataError(f"{bad.file} line {bad.line} {bad.fault}: {bad.why}")
    return verdict.count, f"{verdict.head_hash}/{verdict.head_seq}"
