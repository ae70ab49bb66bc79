"""What is known about each setting besides its value (floor 1).

Default, bounds, meaning and everything else are written once, at the field; `.env.example`, the
reference, `--explain` and the error lines are all read from here.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo

from core.domain.enums import Tier
from core.domain.money import decimal, to_wire
from core.kernel.config_tiers import TIERS
from core.kernel.config_values import instant_text, to_text

FILE_SUFFIX = "_FILE"


class Unit(StrEnum):
    """Unit of a setting's number, as shown to the operator."""

    NONE = ""
    FRACTION = "fraction"
    QUOTE = "quote coin"
    SECONDS = "s"
    MINUTES = "min"
    DAYS = "days"
    INSTANT = "UTC"
    MEBIBYTES = "MiB"


_KINDS = {
    Unit.FRACTION: "a fraction",
    Unit.QUOTE: "an amount in the quote coin",
    Unit.SECONDS: "seconds",
    Unit.MINUTES: "whole minutes",
    Unit.DAYS: "whole days",
    Unit.MEBIBYTES: "whole mebibytes",
}


class Origin(StrEnum):
    """Where a value came from; earlier members win over later ones."""

    APPLICATION = "set by the program"
    COMMAND_LINE = "command line"
    RUNTIME = "runtime override"
    ENVIRONMENT = "process environment"
    ENV_FILE = "env file"
    KEYWORD = "keyword"
    TIER = "tier default"
    DEFAULT = "default"


def setting(
    default: object,
    meaning: str,
    *,
    unit: Unit = Unit.NONE,
    allowed: str = "",
    empty: str = "",
    aliases: tuple[str, ...] = (),
    runtime: bool = False,
    tier: str = "",
    ceiling: bool = False,
    factory: Callable[[dict[str, Any]], object] | None = None,
    gt: object = None,
    ge: object = None,
    le: object = None,
) -> Any:  # a pydantic field specifier is typed as the value it stands for
    """Declare a setting.

    `empty` says what leaving it out means; `tier` names the TierLimits attribute that gives the
    default and, with `ceiling`, the upper bound; `factory` computes a default from the fields
    declared before.
    """
    extra: dict[str, Any] = {
        "unit": unit.value,
        "allowed": allowed,
        "empty": empty,
        "aliases": list(aliases),
        "runtime": runtime,
        "tier": tier,
        "ceiling": ceiling,
    }
    bounds: dict[str, Any] = {
        name: value for name, value in (("gt", gt), ("ge", ge), ("le", le)) if value is not None
    }
    if tier:
        factory = _tier_default(tier)
    if factory is not None:
        return Field(
            default_factory=factory, description=meaning, json_schema_extra=extra, **bounds
        )
    return Field(default, description=meaning, json_schema_extra=extra, **bounds)


def _tier_default(attribute: str) -> Callable[[dict[str, Any]], object]:
    def default(data: dict[str, Any]) -> object:
        return getattr(TIERS[data["tier"]], attribute)

    return default


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """One setting as documentation and error lines need it."""

    field: str
    group: str
    meaning: str
    default: object
    allowed: str
    empty: str
    unit: Unit
    aliases: tuple[str, ...]
    runtime: bool
    secret: bool
    tier: str
    ceiling: bool

    @property
    def key(self) -> str:
        return self.field.upper()

    @property
    def default_text(self) -> str:
        """Default as it would be written; what happens instead where there is none."""
        if self.tier:
            return ", ".join(f"{to_text(self.tier_value(tier))} {tier}" for tier in Tier)
        return to_text(self.default) or self.empty

    @property
    def bounds_text(self) -> str:
        """What is allowed, the tiers' ceilings included."""
        parts = [self.allowed or ("a secret" if self.secret else "")]
        if self.ceiling:
            caps = ", ".join(f"{to_text(self.tier_value(tier))} {tier}" for tier in Tier)
            parts.append(f"at most {caps}")
        return "; ".join(part for part in parts if part)

    def text(self, value: object) -> str:
        """Text of a value of this setting, readable as its input; secrets masked."""
        if self.unit is Unit.INSTANT and isinstance(value, int):
            return instant_text(value)
        return to_text(value)

    @staticmethod
    def percent(text: str) -> str:
        """A fraction's text in percent."""
        return to_wire(decimal(text) * 100)

    def tier_value(self, tier: Tier) -> object:
        """The tier's default (and ceiling, where `ceiling`) of this setting."""
        return getattr(TIERS[tier], self.tier)

    @staticmethod
    def of(field: str, info: FieldInfo, group: str) -> "SettingInfo":
        extra = info.json_schema_extra
        if not isinstance(extra, dict):
            raise TypeError(f"{field} is not declared with setting()")
        meta: dict[str, Any] = dict(extra)
        return SettingInfo(
            field=field,
            group=group,
            meaning=info.description or "",
            default=None if info.default_factory is not None else info.default,
            allowed=meta["allowed"] or _allowed(info),
            empty=meta["empty"],
            unit=Unit(meta["unit"]),
            aliases=tuple(meta["aliases"]),
            runtime=meta["runtime"],
            secret=_mentions(info.annotation, SecretStr),
            tier=meta["tier"],
            ceiling=meta["ceiling"],
        )


def _mentions(annotation: object, wanted: type) -> bool:
    return annotation is wanted or any(_mentions(part, wanted) for part in get_args(annotation))


def _leaves(annotation: object) -> Iterator[object]:
    """Plain types and literals inside unions and annotations."""
    if get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
        return
    for part in get_args(annotation):
        if part is not type(None) and (isinstance(part, type) or get_args(part)):
            yield from _leaves(part)


def _allowed(info: FieldInfo) -> str:
    """Bounds or choices in words, from the annotation alone."""
    for leaf in _leaves(info.annotation):
        if get_origin(leaf) is Literal:
            return _choice([str(choice) for choice in get_args(leaf)])
        if isinstance(leaf, type) and issubclass(leaf, StrEnum):
            return _choice([member.value for member in leaf])
        if leaf is bool:
            return "true or false"
    kind = "a whole number" if int in _leaves(info.annotation) else "a number"
    if isinstance(info.json_schema_extra, dict) and info.json_schema_extra["unit"]:
        kind = _KINDS.get(Unit(str(info.json_schema_extra["unit"])), kind)
    bounds = " and ".join(_bound(constraint) for constraint in info.metadata if _bound(constraint))
    return f"{kind} {bounds}" if bounds else ""


def _choice(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]


def _bound(constraint: object) -> str:
    match constraint:
        case Ge(ge=limit):
            return f"≥ {limit}"
        case Gt(gt=limit):
            return f"> {limit}"
        case Le(le=limit):
            return f"≤ {limit}"
        case Lt(lt=limit):
            return f"< {limit}"
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Given:
    """A raw value as one source gave it. `detail` says where exactly, such as `.env line 7`."""

    raw: object
    origin: Origin
    detail: str = ""

    @property
    def where(self) -> str:
        return self.detail or self.origin.value

    @staticmethod
    def of(info: SettingInfo, raw: object, origin: Origin, detail: str = "") -> "Given":
        """As the constructor, with the text of a secret wrapped at once."""
        secret = info.secret and isinstance(raw, str)
        return Given(SecretStr(str(raw)) if secret else raw, origin, detail)


class Catalogue:
    """All settings in order, found by key or alias in any case."""

    def __init__(self, infos: Iterable[SettingInfo]) -> None:
        self._infos = tuple(infos)
        self._by_name = {name: info for info in self._infos for name in (info.key, *info.aliases)}
        self._spellings = {
            **self._by_name,
            **{n + FILE_SUFFIX: info for n, info in self._by_name.items() if info.secret},
        }

    def __iter__(self) -> Iterator[SettingInfo]:
        return iter(self._infos)

    @property
    def names(self) -> tuple[str, ...]:
        """Every accepted spelling: keys, aliases and the file variants of secrets."""
        return tuple(self._spellings)

    def field(self, field: str) -> SettingInfo:
        """Setting by attribute name. Raises KeyError when there is none."""
        return self._by_name[field.upper()]

    def find(self, name: str) -> SettingInfo | None:
        """Setting by key or alias; a file variant is not a setting."""
        return self._by_name.get(name.upper())

    def find_file(self, name: str) -> SettingInfo | None:
        """Secret whose file variant `name` is."""
        if not name.upper().endswith(FILE_SUFFIX) or self.find(name) is not None:
            return None
        return self._spellings.get(name.upper())

    def nearest(self, name: str) -> str | None:
        found = difflib.get_close_matches(name.upper(), self._spellings, n=1, cutoff=0.6)
        return found[0] if found else None
