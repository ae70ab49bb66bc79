"""The configuration in words for `--explain`, `--check` and the build card (floor 1)."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.kernel.config_meta import FILE_SUFFIX, SettingInfo, Unit

_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting ready to print: masked text of its value, its source, whether it was changed."""

    info: SettingInfo
    text: str
    source: str
    changed: bool


def explain_one(shown: Shown) -> str:
    """Value, origin, default, bounds, meaning, spellings and when it can change."""
    info = shown.info
    spellings = [*info.aliases, *([info.key + FILE_SUFFIX + " (a path)"] if info.secret else [])]
    rows = [
        ("origin", shown.source),
        ("default", info.default_text or _NOTHING),
        ("allowed", info.bounds_text or _NOTHING),
        ("meaning", info.meaning),
        ("also as", ", ".join(spellings)),
        ("changes", "at run time" if info.runtime else "with a restart"),
    ]
    lines = [f"{info.key} = {_value(shown)}"]
    lines += [f"  {name:<8} {text}" for name, text in rows if text]
    return "\n".join(lines)


def _value(shown: Shown) -> str:
    if not shown.text:
        return f"{_NOTHING} ({shown.info.empty})" if shown.info.empty else _NOTHING
    match shown.info.unit:
        case Unit.NONE | Unit.INSTANT:
            return shown.text
        case Unit.FRACTION:
            return f"{shown.text} ({shown.info.percent(shown.text)} %)"
        case unit:
            return f"{shown.text} {unit}"


def effective(settings: Iterable[Shown]) -> str:
    """All settings by group; a star marks what differs from its default, with its source."""
    rows = list(settings)
    width = max(len(shown.info.key) for shown in rows)
    lines = ["* differs from the default"]
    group = ""
    for shown in rows:
        if shown.info.group != group:
            group = shown.info.group
            lines += ["", group]
        mark = "*" if shown.changed else " "
        source = f"  [{shown.source}]" if shown.changed else ""
        lines.append(f"{mark} {shown.info.key:<{width}}  {_value(shown)}{source}")
    return "\n".join(lines)
