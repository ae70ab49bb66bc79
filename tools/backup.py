"""Copy what must not be lost, beside a running daemon: `python -m tools.backup` (floor 8; INV-11).

Databases by SQLite's online backup, state files and the audit log go into a new folder under
`backups/` with lengths and SHA-256 of every file; `--archive` makes one `.tar.gz` of it. `--verify`
checks a backup, `--restore` puts one into empty folders while no daemon runs. Keys are not in it:
`.env` is the operator's to keep.

Exit codes: 0 done, 1 the backup or what it was made of does not hold, 2 wrong usage, configuration
or file, 4 a daemon runs (restore).
"""

import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

# Run as a file (python tools/backup.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.config import TradingConfig
from core.domain.errors import DataError, StorageError
from core.kernel.build_info import VERSION, commit
from core.kernel.clock import LiveClock
from core.kernel.instance_lock import InstanceLock
from core.storage.backup import Backup, check_backup, make_backup, restore_backup
from tools.common.cli import Output, finish, load_config, parser
from tools.common.exits import ToolExit

NAME = "backup"
_EXITS = "0 done, 1 does not hold, 2 usage, configuration or file, 4 a daemon runs (restore)"
_SUFFIX = ".tar.gz"


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(NAME, "Copy database, state and audit log while the daemon runs.", _EXITS)
    made.add_argument(
        "--to", type=Path, default=Path("backups"), metavar="DIR", help="default: backups"
    )
    made.add_argument("--archive", action="store_true", help="one .tar.gz instead of a folder")
    made.add_argument(
        "--keep", type=int, metavar="N", help="afterwards remove all but the newest N in DIR"
    )
    act = made.add_mutually_exclusive_group()
    act.add_argument("--verify", type=Path, metavar="BACKUP", help="check a backup, change nothing")
    act.add_argument(
        "--restore", type=Path, metavar="BACKUP", help="into the data and logs folders, if empty"
    )
    options = made.parse_args(argv)
    if options.keep is not None and options.keep < 1:
        made.error("--keep: 1 or more")

    def work() -> int:
        config = load_config(options)
        output = Output(as_json=options.json, config=config)
        try:
            if options.verify is not None:
                with _opened(options.verify) as folder:
                    return _say(
                        output, "holds", replace(check_backup(folder), folder=options.verify)
                    )
            if options.restore is not None:
                with _opened(options.restore) as folder, InstanceLock(config.data_dir):
                    found = restore_backup(
                        folder, data_dir=config.data_dir, logs_dir=config.logs_dir
                    )
                return _say(output, "restored", replace(found, folder=options.restore))
            found = _make(config, options.to, archive=options.archive)
            _forget(options.to, options.keep)
            return _say(output, "written", found)
        except (DataError, StorageError) as error:
            output.note(f"{NAME}: {error}")
            return ToolExit.FINDING

    return finish(NAME, work)


def _make(config: TradingConfig, place: Path, *, archive: bool) -> Backup:
    now = datetime.fromtimestamp(LiveClock().now_ms() / 1_000, UTC)
    target = place / f"backup-{now:%Y%m%dT%H%M%SZ}"
    about = {
        "made": now.isoformat(timespec="seconds"),
        "venue": config.venue.value,
        "build": f"{VERSION} {commit()}",
    }
    found = make_backup(target, data_dir=config.data_dir, logs_dir=config.logs_dir, about=about)
    if not archive:
        return found
    packed = target.with_name(target.name + _SUFFIX)
    part = packed.with_name(f"{packed.name}.part")
    with part.open("xb") as raw:
        part.chmod(0o600)
        with tarfile.open(fileobj=raw, mode="w:gz") as tar:
            tar.add(target, arcname=target.name)
    part.rename(packed)
    rmtree(target)
    return replace(found, folder=packed)


@contextmanager
def _opened(backup: Path) -> Iterator[Path]:
    """The folder of a backup; an archive is unpacked for as long as the block lasts."""
    if not backup.name.endswith(_SUFFIX):
        yield backup
        return
    with tempfile.TemporaryDirectory(prefix="backup-") as name:
        try:
            with tarfile.open(backup, "r:gz") as tar:
                tar.extractall(name, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DataError(f"{backup}: cannot be unpacked: {error}") from error
        folders = [path for path in Path(name).iterdir() if path.is_dir()]
        if len(folders) != 1:
            raise DataError(f"{backup}: is not a backup")
        yield folders[0]


def _forget(place: Path, keep: int | None) -> None:
    """Remove all but the newest `keep` complete backups in `place`."""
    if keep is None:
        return
    names = sorted(p for p in place.glob("backup-????????T??????Z*") if p.suffix != ".part")
    for old in names[:-keep]:
        rmtree(old) if old.is_dir() else old.unlink()


def _say(output: Output, verb: str, found: Backup) -> int:
    size = f"{found.size / 2**20:.1f} MiB"
    lines = [
        f"{verb}: {found.folder}",
        f"{len(found.files)} files, {size}; audit log of {found.audit_records} records",
    ]
    if found.head:
        lines.append(f"head: {found.head}")
    output.result(
        {
            "done": verb,
            "backup": str(found.folder),
            "files": list(found.files),
            "bytes": found.size,
            "audit_records": found.audit_records,
            "head": found.head,
        },
        "\n".join(lines),
    )
    return ToolExit.OK


if __name__ == "__main__":
    sys.exit(main())
