"""Remove what can be made again: `python cleanup_project.py [--dry-run]`.

Upkeep floor, standard library only. Always: caches of Python and of the tools, build output; stray
tests are moved to `tests/`. `--archives` also removes archives lying about, `--runtime` also what
the bot wrote to `data/` and `logs/`.

Never removed: what git tracks, keys, `.env` files, virtual environments, `.git`, `node_modules`,
`site-packages`, other repositories inside this one, and anything behind a symbolic link. The record
of real-money trading (the production database and the audit log beside it) stays even with
`--runtime`; a running bot's data folder is left alone.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a file in use cannot be deleted there anyway
    fcntl = None  # type: ignore[assignment]  # the absent module

SKIPPED = {".git", "node_modules", "site-packages"}
CACHE_FOLDERS = {
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "htmlcov",
}
ROOT_FOLDERS = {"build", "dist"}
CACHE_FILES = ("*.pyc", "*.pyo", ".coverage", ".coverage.*")
ARCHIVES = ("*.zip", "*.tar", "*.tar.*", "*.tgz", "*.tbz2", "*.txz", "*.7z", "*.rar")
PROTECTED = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa*",
    "id_ed25519*",
)
RUNTIME_FOLDERS = ("data", "logs")
REAL_MONEY = ("bot.prod.db*", "audit*.jsonl")
LOCK = "instance.lock"


class CleanupError(Exception):
    """Nothing was touched; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asked for besides the caches."""

    archives: bool = False
    runtime: bool = False


@dataclass(slots=True)
class Plan:
    """What would be done, by the heading it is reported under."""

    removals: dict[Path, list[Path]] = field(default_factory=dict)
    moves: list[tuple[Path, Path]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def remove(self, heading: Path, files: list[Path]) -> None:
        """Remove `files`, reported as `heading`."""
        if files:
            self.removals.setdefault(heading, []).extend(files)


@dataclass(frozen=True)
class Tree:
    """The project folder and what git says about it."""

    root: Path
    tracked: frozenset[Path]

    def removable(self, path: Path) -> bool:
        """Whether losing this file loses nothing of value."""
        return path not in self.tracked and not matches(path.name, PROTECTED)

    def removable_below(self, folder: Path) -> list[Path]:
        """Every removable file below `folder`, never through a link or into a repository."""
        return [
            path
            for here, _, names in self.walk(folder)
            for path in (here / name for name in names)
            if self.removable(path)
        ]

    def walk(self, folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
        """As `os.walk`, without the folders that are none of our business."""
        for here, folders, names in os.walk(folder):
            current = Path(here)
            folders[:] = sorted(name for name in folders if not self._foreign(current / name))
            yield current, folders, sorted(names)

    @staticmethod
    def _foreign(folder: Path) -> bool:
        return (
            folder.name in SKIPPED
            or folder.is_symlink()
            or (folder / "pyvenv.cfg").exists()
            or (folder / ".git").exists()
        )


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether the file name fits one of the patterns, whatever its case."""
    return any(fnmatch(name.lower(), pattern) for pattern in patterns)


def read_tree(root: Path) -> Tree:
    """Ask git what it tracks. Raises CleanupError when there is a repository but no answer."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return Tree(root, frozenset())
    try:
        done = run_git(root, "ls-files", "-z")
    except OSError as error:
        raise CleanupError(f"git cannot be asked what it tracks: {error.strerror}") from error
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").splitlines() or ["no reason given"])[0]
        raise CleanupError(f"git cannot tell what it tracks: {reason}")
    names = os.fsdecode(done.stdout).split("\0")
    return Tree(root, frozenset(root / name for name in names if name))


def run_git(root: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run git in `root` and keep its output."""
    return subprocess.run(  # noqa: S603 - our own arguments, no shell
        ["git", "-C", str(root), *arguments],  # noqa: S607 - git of the path, as everywhere
        capture_output=True,
        check=False,
    )


def make_plan(tree: Tree, wanted: Wanted) -> Plan:
    """Decide everything before anything is touched."""
    plan = Plan()
    runtime = {tree.root / name for name in RUNTIME_FOLDERS}
    for here, folders, names in tree.walk(tree.root):
        if here == tree.root:
            folders[:] = [name for name in folders if tree.root / name not in runtime]
        for name in [name for name in folders if is_cache(tree, here, name)]:
            folders.remove(name)
            plan.remove(here / name, tree.removable_below(here / name))
        for path in (here / name for name in names):
            if not tree.removable(path):
                continue
            if matches(path.name, CACHE_FILES) or (
                wanted.archives and matches(path.name, ARCHIVES)
            ):
                plan.remove(path, [path])
        plan.moves += stray_tests(tree, here, names)
    if wanted.runtime:
        plan_runtime(tree, plan)
    return plan


def is_cache(tree: Tree, here: Path, name: str) -> bool:
    """Whether the folder holds only what can be made again."""
    return (
        name in CACHE_FOLDERS
        or name.endswith(".egg-info")
        or (here == tree.root and name in ROOT_FOLDERS)
    )


def stray_tests(tree: Tree, here: Path, names: list[str]) -> Iterator[tuple[Path, Path]]:
    """Test files outside `tests/` and where they belong."""
    if "tests" in here.relative_to(tree.root).parts:
        return
    for name in names:
        if matches(name, ("test_*.py", "*_test.py")):
            yield here / name, tree.root / "tests" / name


def plan_runtime(tree: Tree, plan: Plan) -> None:
    """What the bot wrote, unless it is running, and without the record of real trades."""
    lock = tree.root / "data" / LOCK
    if is_locked(lock):
        raise CleanupError(f"a running bot holds {lock}: stop it first")
    real_money = (tree.root / "data" / "bot.prod.db").exists()
    for folder in (tree.root / name for name in RUNTIME_FOLDERS):
        if folder.is_symlink():
            plan.notes.append(f"left alone: {folder.name} is a link to {os.readlink(folder)}")
        elif folder.is_dir():
            files = tree.removable_below(folder)
            kept = [path for path in files if real_money and matches(path.name, REAL_MONEY)]
            plan.remove(folder, [path for path in files if path not in kept])
            plan.notes += [
                f"kept, record of real trades: {path.relative_to(tree.root)}" for path in kept
            ]


def is_locked(lock: Path) -> bool:
    """Whether a process holds the instance lock (POSIX; elsewhere the system protects it)."""
    if fcntl is None or not lock.is_file():
        return False
    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or not ours to read: either way not ours to delete
        return True
    return False


def carry_out(tree: Tree, plan: Plan, *, dry_run: bool) -> int:
    """Report and do the plan; returns how many steps failed."""
    failures = 0
    count = size = 0
    verb = "would remove" if dry_run else "removed"
    for heading, files in sorted(plan.removals.items()):
        removed, freed = (len(files), sum(map(size_of, files))) if dry_run else remove_all(files)
        if not dry_run and heading.is_dir():
            remove_empty_folders(tree, heading)
        count, size, failures = count + removed, size + freed, failures + len(files) - removed
        print(f"{verb} {heading.relative_to(tree.root)} ({removed} files, {human(freed)})")
    for source, target in plan.moves:
        failures += not move(tree, source, target, dry_run=dry_run)
    for note in plan.notes:
        print(note)
    print(f"{'would reclaim' if dry_run else 'reclaimed'} {human(size)} in {count} files")
    return failures


def size_of(path: Path) -> int:
    """Bytes of the file itself, not of what a link points to."""
    return path.lstat().st_size


def remove_all(files: list[Path]) -> tuple[int, int]:
    """Delete the files; returns how many went and their bytes. Failures are reported."""
    count = size = 0
    for path in files:
        try:
            bytes_freed = size_of(path)
            path.unlink()
        except OSError as error:
            print(f"error: cannot remove {path}: {error.strerror}", file=sys.stderr)
        else:
            count, size = count + 1, size + bytes_freed
    return count, size


def remove_empty_folders(tree: Tree, folder: Path) -> None:
    """Delete the folders that have become empty, from the inside out; `data` and `logs` stay."""
    for here, _, _ in reversed(list(tree.walk(folder))):
        is_runtime = here.parent == tree.root and here.name in RUNTIME_FOLDERS
        if not is_runtime and not any(here.iterdir()):
            here.rmdir()


def move(tree: Tree, source: Path, target: Path, *, dry_run: bool) -> bool:
    """Move a stray test, telling git when it tracks it. False when it could not be moved."""
    what = f"{source.relative_to(tree.root)} -> {target.relative_to(tree.root)}"
    if target.exists():
        print(f"error: {what}: a file of that name is there already", file=sys.stderr)
        return False
    if dry_run:
        print(f"would move {what}")
        return True
    target.parent.mkdir(exist_ok=True)
    if source in tree.tracked:
        done = run_git(tree.root, "mv", str(source), str(target))
        if done.returncode:
            print(f"error: {what}: {done.stderr.decode(errors='replace')}", file=sys.stderr)
            return False
    else:
        source.rename(target)
    print(f"moved {what}")
    return True


def human(size: int) -> str:
    """A size as people read it."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def main(arguments: list[str], root: Path | None = None) -> int:
    """Exit code 0 when all went well, 1 otherwise."""
    parser = argparse.ArgumentParser(description="Remove what can be made again.")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--archives", action="store_true", help="also zip and tar files")
    parser.add_argument(
        "--runtime", action="store_true", help="also what the bot wrote to data/ and logs/"
    )
    given = parser.parse_args(arguments)
    try:
        tree = read_tree((root or Path(__file__).parent).resolve())
        plan = make_plan(tree, Wanted(archives=given.archives, runtime=given.runtime))
    except CleanupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 1 if carry_out(tree, plan, dry_run=given.dry_run) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
