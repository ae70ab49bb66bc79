"""The one configuration of the daemon (floor 1).

`TradingConfig.from_env()` is the only place that reads the environment. The result is frozen; a
change at run time makes a new one. Every failure is a ConfigError with one line per setting and
without secrets: pydantic's own error objects carry raw input and never leave this module.

Precedence: command line > runtime overrides > process environment > `.env` > tier defaults >
defaults. An empty value counts as not given.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, PrivateAttr, ValidationError, model_serializer

from core.domain.errors import ConfigError
from core.kernel.config_checks import (
    capped,
    cross_problems,
    field_problems,
    start_problems,
    start_warnings,
)
from core.kernel.config_explain import Shown, effective, explain_one
from core.kernel.config_meta import Given, Origin, SettingInfo
from core.kernel.config_model import CATALOGUE, Settings
from core.kernel.config_runtime import RuntimeState, RuntimeStore
from core.kernel.config_sources import (
    Gathered,
    exposure,
    from_command_line,
    from_env_file,
    from_environment,
    unknown_name,
)

DEFAULT_ENV_FILE = Path(".env")
RUNTIME_KEYS = tuple(info.key for info in CATALOGUE if info.runtime)
"""Settings an operator may change while the daemon runs."""


class TradingConfig(Settings):
    """Frozen settings with their origins.

    By keyword, keys and aliases are taken in upper or lower case and values as text or in their
    own type; None and empty text count as not given. Raises ConfigError.
    """

    model_config = ConfigDict(defer_build=False)
    TITLE: ClassVar[str] = "Configuration"

    _given: dict[str, Given] = PrivateAttr(default_factory=dict)
    _effective: dict[str, Given] = PrivateAttr(default_factory=dict)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    def __init__(self, **values: object) -> None:
        given, problems = _by_field(values)
        effective = capped(given)
        raw: dict[str, Any] = {name: entry.raw for name, entry in effective.items()}
        try:
            super().__init__(**raw)
        except ValidationError as error:
            problems += field_problems(error, effective)
        else:
            problems += cross_problems(self, effective)
        if problems:  # raised outside the handler, so that it does not carry pydantic's error
            raise ConfigError(problems)
        self._given = given
        self._effective = effective

    @classmethod
    def from_env(
        cls,
        env_file: Path | None = None,
        overrides: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        reset_runtime: bool = False,
    ) -> Self:
        """Configuration from all sources; None means `.env` here and this process's environment.

        `overrides` come from the command line. `reset_runtime` clears the runtime overrides first.
        Raises ConfigError with everything that is wrong, one line each.
        """
        path = DEFAULT_ENV_FILE if env_file is None else env_file
        gathered = from_env_file(CATALOGUE, path, required=env_file is not None)
        env_has_secrets = any(CATALOGUE.field(name).secret for name in gathered.given)
        gathered.prefer(from_environment(CATALOGUE, os.environ if environ is None else environ))
        command_line = from_command_line(CATALOGUE, overrides or {})
        runtime = _load_runtime(gathered, command_line, reset=reset_runtime)
        gathered.given.update(runtime.given())
        gathered.prefer(command_line)
        problems = gathered.problems
        try:
            cfg = cls(**gathered.given)
        except ConfigError as error:
            problems += error.problems
        else:
            env_exposure = exposure(path, has_secrets=env_has_secrets)
            problems += start_problems(cfg, cfg._effective, env_exposure)
            cfg._warnings = (
                *runtime.problems,
                *start_warnings(cfg, env_exposure, env_has_secrets=env_has_secrets),
            )
            if not problems:
                return cfg
        raise ConfigError(problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know, one line each; empty for a keyword configuration."""
        return self._warnings

    def origin(self, key: str) -> Origin:
        """Which source gave the value of `key`. Raises ConfigError for an unknown key."""
        return self.source(key).origin

    def source(self, key: str) -> Given:
        """Source of the value of `key` with its place. Raises ConfigError for an unknown key."""
        info = CATALOGUE.find(key)
        if info is None:
            raise ConfigError([unknown_name(CATALOGUE, key)])
        given = self._effective.get(info.field)
        if given is not None:
            return given
        value = getattr(self, info.field)
        if info.tier:
            return Given(value, Origin.TIER, f"default of the {self.tier} tier")
        return Given(value, Origin.DEFAULT)

    def with_dry_run(self, reason: str) -> Self:
        """The same configuration on the paper exchange; `reason` is shown as the origin."""
        return self.with_settings(reason, DRY_RUN=True)

    def with_settings(self, reason: str, **values: object) -> Self:
        """The configuration after a decision of the program itself, which wins over every source.

        `reason` is shown as the origin. Raises ConfigError as the constructor does.
        """
        return self._changed(
            {name: Given(value, Origin.APPLICATION, reason) for name, value in values.items()}
        )

    def with_runtime(self, key: str, value: str, who: str) -> Self:
        """The configuration after the operator's change. Raises ConfigError when refused.

        Refused are settings that cannot change at run time, values out of bounds, and settings
        fixed by the command line, which would win over the change at the next start.
        """
        info = CATALOGUE.find(key)
        if info is None:
            raise ConfigError([unknown_name(CATALOGUE, key)])
        if not info.runtime:
            raise ConfigError([f"{info.key}: cannot change at run time; edit .env and restart"])
        if self.origin(key) is Origin.COMMAND_LINE:
            raise ConfigError([f"{info.key}: fixed by the command line"])
        change = Given(value, Origin.RUNTIME, f"runtime override by {who}")
        return self._changed({info.key: change})

    def _changed(self, changes: Mapping[str, Given]) -> Self:
        new, problems = _by_field(changes)
        if problems:
            raise ConfigError(problems)
        changed = type(self)(**{**self._given, **new})
        changed._warnings = self._warnings
        return changed

    @model_serializer
    def _dump(self) -> dict[str, str]:
        """Whoever dumps the model gets what may be public."""
        return self.settings_public()

    def settings_public(self) -> dict[str, str]:
        """Every key with its text, secrets masked; empty where nothing is set."""
        return {info.key: info.text(getattr(self, info.field)) for info in CATALOGUE}

    def runtime_overrides(self) -> dict[str, str]:
        """Keys whose value an operator's change at run time decided, with who and when."""
        return {
            CATALOGUE.field(name).key: given.where
            for name, given in self._effective.items()
            if given.origin is Origin.RUNTIME
        }

    def runtime_store(self) -> RuntimeStore:
        """Keeper of the runtime overrides of this data folder."""
        return RuntimeStore(self.runtime_path, CATALOGUE)


def _by_field(values: Mapping[str, object]) -> tuple[dict[str, Given], list[str]]:
    """Keywords by field name; a `Given` keeps its origin."""
    given: dict[str, Given] = {}
    problems = []
    for name, value in values.items():
        info = CATALOGUE.find(name)
        if info is None:
            problems.append(unknown_name(CATALOGUE, name))
        elif info.field in given:
            problems.append(f"{info.key}: given twice")
        elif isinstance(value, Given):
            given[info.field] = Given.of(info, value.raw, value.origin, value.detail)
        elif value is not None and not (isinstance(value, str) and not value.strip()):
            given[info.field] = Given.of(info, value, Origin.KEYWORD)
    return given, problems


def _load_runtime(weaker: Gathered, stronger: Gathered, *, reset: bool) -> RuntimeState:
    """Runtime overrides of the data folder the other sources name."""
    folder = {**weaker.given, **stronger.given}.get("data_dir")
    settings = {} if folder is None else {"DATA_DIR": folder}
    store = TradingConfig(**settings).runtime_store()
    try:
        if reset:
            store.clear()
        return store.load()
    except OSError as error:
        reason = error.strerror or "input/output error"
        raise ConfigError([f"DATA_DIR: {store.path} unreadable ({reason})"]) from None


def explain(cfg: TradingConfig, key: str | None = None) -> str:
    """Value, origin, default, bounds and meaning of one setting, or of all.

    Raises ConfigError with the nearest name for an unknown key.
    """
    if key is None:
        return "\n\n".join(explain_one(_shown(cfg, info)) for info in CATALOGUE)
    info = CATALOGUE.find(key)
    if info is None:
        raise ConfigError([unknown_name(CATALOGUE, key)])
    return explain_one(_shown(cfg, info))


def render_effective(cfg: TradingConfig) -> str:
    """Every setting by group, secrets masked, differences from the defaults marked."""
    return effective(_shown(cfg, info) for info in CATALOGUE)


def _shown(cfg: TradingConfig, info: SettingInfo) -> Shown:
    value, source = getattr(cfg, info.field), cfg.source(info.key)
    default = info.tier_value(cfg.tier) if info.tier else getattr(_defaults(), info.field)
    return Shown(info, info.text(value), source.where, changed=value != default)


@cache
def _defaults() -> TradingConfig:
    return TradingConfig()
