"""A folder of its own for every test, and the sources of a configuration as one call."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from config_kit import Load

from core.config import TradingConfig


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """`load(env_text, environ, overrides)`: what `from_env` makes of exactly these sources."""

    def from_sources(
        env: str | None = None,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        *,
        mode: int = 0o600,
        reset_runtime: bool = False,
    ) -> TradingConfig:
        if env is not None:
            (folder / ".env").write_text(env, "utf-8")
            (folder / ".env").chmod(mode)
        return TradingConfig.from_env(
            overrides=overrides, environ=environ or {}, reset_runtime=reset_runtime
        )

    return from_sources
