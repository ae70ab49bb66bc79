"""Types the configuration tests share."""

from collections.abc import Callable

from core.config import TradingConfig

Load = Callable[..., TradingConfig]
"""`load(env_text, environ, overrides, mode=…, reset_runtime=…)`, made by the fixture."""
