"""Changes the operator made at run time, kept across restarts (floor 1).

`data/runtime_config.json` holds the overrides, each with who and when, and a snapshot of the
public settings for people and tools; the snapshot is never read back. The file is replaced as a
whole, so a crash leaves the old or the new one. A file that cannot be read is set aside and keeps
entries off, because what it said may have been "stop" (INV-13).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from core.kernel.config_meta import Catalogue, Given, Origin
from core.kernel.config_values import instant_text
from core.kernel.durable_file import replace_file

VERSION = 1
_PAUSE = "TRADING_ENABLED"


@dataclass(frozen=True, slots=True)
class RuntimeOverride:
    """One override: its text, who asked for it and when (UTC ms, 0 = unknown)."""

    value: str
    who: str
    at_ms: int

    @property
    def detail(self) -> str:
        when = f" at {instant_text(self.at_ms)}" if self.at_ms else ""
        return f"runtime override by {self.who}{when}; --reset-runtime clears it"


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """Overrides by key, and what was wrong with the file, one line each."""

    overrides: Mapping[str, RuntimeOverride]
    problems: tuple[str, ...] = ()

    def given(self) -> dict[str, Given]:
        return {
            key.lower(): Given(override.value, Origin.RUNTIME, override.detail)
            for key, override in self.overrides.items()
        }


class RuntimeStore:
    """Reader and writer of the runtime file. One daemon writes it; calls block for one fsync."""

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self.path = path
        self._catalogue = catalogue

    def load(self) -> RuntimeState:
        """Overrides in force. Never raises for the file's content or absence.

        Raises OSError when the disk refuses to answer.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return RuntimeState({})
        except UnicodeDecodeError:
            return self._set_aside("not UTF-8 text")
        try:
            found = _parse(json.loads(text))
        except (ValueError, RecursionError) as error:
            return self._set_aside(_reason(error))
        return self._known_only(found)

    def record(
        self, key: str, value: str, *, who: str, at_ms: int, settings: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Keep one override on disk; `settings` is the new configuration's public snapshot.

        Returns what was wrong with the file before, one line each. Raises OSError when the disk
        refuses; the file is then as before.
        """
        state = self.load()
        overrides = {**state.overrides, key: RuntimeOverride(value, who, at_ms)}
        self._write(overrides, at_ms, settings)
        return state.problems

    def snapshot(self, settings: Mapping[str, str], *, at_ms: int) -> tuple[str, ...]:
        """Renew the snapshot, keeping the overrides. Returns and raises as `record` does."""
        state = self.load()
        self._write(state.overrides, at_ms, settings)
        return state.problems

    def clear(self) -> None:
        """Forget every override. Raises OSError when the file cannot be removed."""
        self.path.unlink(missing_ok=True)

    def _known_only(self, found: Mapping[str, RuntimeOverride]) -> RuntimeState:
        kept: dict[str, RuntimeOverride] = {}
        problems = []
        for name, override in found.items():
            info = self._catalogue.find(name)
            if info is None or not info.runtime:
                problems.append(f"{self.path}: {name} cannot be set at run time, ignored")
            else:
                kept[info.key] = override
        return RuntimeState(kept, tuple(problems))

    def _set_aside(self, reason: str) -> RuntimeState:
        aside = self._free_name()
        self.path.replace(aside)
        problem = (
            f"{self.path}: unreadable ({reason}), set aside as {aside.name}; entries stay off "
            "until resumed or --reset-runtime"
        )
        overrides = {_PAUSE: RuntimeOverride("false", "a runtime file that was unreadable", 0)}
        self._write(overrides, 0, {})
        return RuntimeState(overrides, (problem,))

    def _free_name(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        return aside

    def _write(
        self, overrides: Mapping[str, RuntimeOverride], at_ms: int, settings: Mapping[str, str]
    ) -> None:
        document = {
            "version": VERSION,
            "written_ms": at_ms,
            "overrides": {key: asdict(value) for key, value in sorted(overrides.items())},
            "settings": dict(settings),
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        replace_file(self.path, text.encode())


def _parse(document: object) -> dict[str, RuntimeOverride]:
    """Overrides of a document of any known version. Raises ValueError for every other shape."""
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one family for every wrong shape
    version = document.get("version", 0)
    if version == 0:
        return _parse_unversioned(document)
    if version != VERSION:
        raise ValueError("of a version this program does not know")
    overrides = document.get("overrides")
    if not isinstance(overrides, dict):
        raise ValueError("without overrides")  # noqa: TRY004 - one family for every wrong shape
    return {str(key): _parse_override(entry) for key, entry in overrides.items()}


def _parse_override(entry: object) -> RuntimeOverride:
    match entry:
        case {"value": str(value), "who": str(who), "at_ms": int(at_ms)}:
            return RuntimeOverride(value, who, at_ms)
        case _:
            raise ValueError("an override is not value, who and at_ms")


def _parse_unversioned(document: Mapping[str, object]) -> dict[str, RuntimeOverride]:
    """Version 0: a plain `KEY: value` object without who and when."""
    overrides = {}
    for key, value in document.items():
        if key == "version":
            continue
        if not isinstance(value, (str, int, float)):
            raise ValueError("an override is neither text nor a number")  # noqa: TRY004 - as above
        text = str(value).lower() if isinstance(value, bool) else str(value)
        overrides[key] = RuntimeOverride(text, "an older version", 0)
    return overrides


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON, line {error.lineno} column {error.colno}"
    return str(error)
