"""Reading settings from command line, process environment and `.env` (floor 1).

No line produced here repeats a value, nor a name that does not look like one: a mistyped secret
must not end up on a terminal or in a log.
"""

import io
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from core.kernel.config_meta import FILE_SUFFIX, Catalogue, Given, Origin, SettingInfo

_SECRET_FILE_LIMIT = 64 * 1024
_LOOKS_LIKE_A_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,47}")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(slots=True)
class Gathered:
    """What the sources gave, by field name, and what was wrong with them."""

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def prefer(self, other: "Gathered") -> None:
        """Lay a stronger source over this one."""
        self.given.update(other.given)
        self.problems.extend(other.problems)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One `NAME=text` of a source; `place` is where, for the operator."""

    name: str
    text: str
    place: str


def unknown_name(catalogue: Catalogue, name: str) -> str:
    """`NAME is not a setting, did you mean …`; an odd name is not repeated."""
    nearest = catalogue.nearest(name)
    shown = name if nearest or _LOOKS_LIKE_A_KEY.fullmatch(name) else "this name"
    hint = f"did you mean {nearest}?" if nearest else "see .env.example for all of them"
    return f"{shown} is not a setting; {hint}"


def from_command_line(catalogue: Catalogue, values: Mapping[str, str]) -> Gathered:
    entries = [_Entry(name, text, "command line") for name, text in values.items()]
    return _gather(catalogue, entries, Origin.COMMAND_LINE)


def from_environment(catalogue: Catalogue, environ: Mapping[str, str]) -> Gathered:
    """Only our own names are looked at; other programs' variables are left alone."""
    entries = [
        _Entry(name, environ[name], f"process environment, {name}")
        for name in catalogue.names
        if name in environ
    ]
    return _gather(catalogue, entries, Origin.ENVIRONMENT)


def from_env_file(catalogue: Catalogue, path: Path, *, required: bool) -> Gathered:
    """Settings of an env file; an optional one may be missing."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        missing = [f"{path}: no such file"] if required else []
        return Gathered(problems=missing)
    except (OSError, UnicodeDecodeError) as error:
        return Gathered(problems=[f"{path}: unreadable ({_reason(error)})"])
    entries, malformed = [], []
    for binding in parse_stream(io.StringIO(text)):
        place = f"{path} line {_first_line(binding.original.string, binding.original.line)}"
        if binding.error or (binding.key is not None and binding.value is None):
            malformed.append(f"{place}: must be KEY=value")
        elif binding.key is not None:
            entries.append(_Entry(binding.key, binding.value or "", place))
    found = _gather(catalogue, entries, Origin.ENV_FILE)
    found.problems[:0] = malformed
    return found


def _first_line(original: str, line: int) -> int:
    """The parser counts blank lines before a binding as part of it."""
    return line + len(original[: len(original) - len(original.lstrip())].splitlines())


def _gather(catalogue: Catalogue, entries: Iterable[_Entry], origin: Origin) -> Gathered:
    found = Gathered()
    for entry in entries:
        given: Given | None
        info = catalogue.find(entry.name)
        if info is not None:
            given = Given.of(info, entry.text, origin, entry.place) if entry.text.strip() else None
        else:
            info = catalogue.find_file(entry.name)
            if info is None:
                line = unknown_name(catalogue, entry.name)
                found.problems.append(f"{entry.place}: {line}")
                continue
            given = _from_secret_file(info, entry, origin, found.problems)
        if given is None:
            continue
        before = found.given.get(info.field)
        if before is not None and before.raw != given.raw:
            found.problems.append(
                f"{info.key}: given twice with different values ({before.detail}; {given.detail})"
            )
        found.given[info.field] = given
    return found


def _from_secret_file(
    info: SettingInfo, entry: _Entry, origin: Origin, problems: list[str]
) -> Given | None:
    """Content of the file that `KEY_FILE` names (Docker and systemd hand secrets over so).

    A problem does not repeat the path: the secret itself may have been pasted there.
    """
    if not entry.text.strip():
        return None
    path = Path(entry.text.strip()).expanduser()
    try:
        with path.open("rb") as file:
            raw = file.read(_SECRET_FILE_LIMIT + 1)
        text = raw.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{info.key}{FILE_SUFFIX}: names no readable file ({_reason(error)})")
        return None
    if not text or len(raw) > _SECRET_FILE_LIMIT:
        problems.append(f"{info.key}{FILE_SUFFIX}: must name a file with the secret alone in it")
        return None
    return Given.of(info, text, origin, f"{entry.place}, from {path}")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "read error") if isinstance(error, OSError) else "not UTF-8 text"


def exposure(path: Path, *, has_secrets: bool) -> str:
    """Why an env file is not private, with the command that mends it; empty when it is.

    One without secrets, such as a preset, may well be in version control.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if os.name == "posix" and mode & _OTHERS:
        return f"{path}: others may read it (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
    if has_secrets and _tracked_by_git(path):
        return f"{path}: tracked by git; run: git rm --cached {path} and renew the keys in it"
    return ""


def _tracked_by_git(path: Path) -> bool:
    """True when the file is in the index of the repository around it.

    An index entry is its name after a two-byte field whose low bits are the name's length; the
    name ends with a zero byte. Reading that needs no git.
    """
    absolute = path.resolve()
    for folder in absolute.parents:
        try:
            index = (folder / ".git" / "index").read_bytes()
        except OSError:
            continue
        name = absolute.relative_to(folder).as_posix().encode()
        return len(name).to_bytes(2, "big") + name + b"\0" in index
    return False
