"""ccxt's `binanceusdm`: loaded alone, pointed at one venue, checked that it can sign (floor 2a).

ccxt's package `__init__` imports more than a hundred exchanges: 102 MB and 0.6 s against about
half of both for the one that is used. The two packages are therefore represented by bare modules
while the one class is imported, and removed again, so that a later plain `import ccxt` still gets
the real thing. If ccxt's inside changes so that this fails, the plain import takes over.
"""

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from core.domain.errors import AccountError
from core.exchange.endpoints import Endpoints
from core.exchange.gateway import SigningApi

_PACKAGES = ("ccxt", "ccxt.async_support")


def load_exchange_class(name: str) -> Any:
    """Class `name` of ccxt's asynchronous exchanges."""
    if not any(package in sys.modules for package in _PACKAGES):
        # On failure the plain import below is complete and only slower.
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            return _load_alone(name)
    return getattr(importlib.import_module(_PACKAGES[1]), name)


def _load_alone(name: str) -> Any:
    spec = importlib.util.find_spec("ccxt")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("ccxt is not installed")
    root = Path(spec.submodule_search_locations[0])
    package, asynchronous = (types.ModuleType(each) for each in _PACKAGES)
    package.__path__ = [str(root)]
    asynchronous.__path__ = [str(root / "async_support")]
    sys.modules.update(zip(_PACKAGES, (package, asynchronous), strict=True))
    try:
        # The inner modules import these names from the package itself.
        errors = importlib.import_module("ccxt.base.errors")
        vars(package).update({key: getattr(errors, key) for key in errors.__all__})
        base = importlib.import_module("ccxt.base.exchange")
        vars(package)["Exchange"] = base.Exchange
        return getattr(importlib.import_module(f"ccxt.async_support.{name}"), name)
    finally:
        for each in _PACKAGES:
            del sys.modules[each]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key and secret: HMAC text, or the PEM text of an Ed25519 or RSA private key."""

    api_key: SecretStr
    secret: SecretStr


class Library(SigningApi, Protocol):
    """What this module uses of ccxt beyond signing."""

    def parse_markets(self, markets: object) -> list[dict[str, object]]: ...

    def sign(
        self, path: str, api: list[str], method: str, params: Mapping[str, str]
    ) -> dict[str, object]: ...


def open_library(
    endpoints: Endpoints, credentials: Credentials | None, recv_window_ms: int
) -> Library:
    """ccxt's exchange for one venue, routed to futures hosts only (never COIN-M or spot).

    Raises AccountError for a private key that cannot sign.
    """
    options = {"fetchCurrencies": False, "recvWindow": recv_window_ms}
    config: dict[str, object] = {"enableRateLimit": False, "options": options}
    if credentials is not None:
        config["apiKey"] = credentials.api_key.get_secret_value()
        config["secret"] = _secret_text(credentials.secret)
    api: Any = load_exchange_class("binanceusdm")(config)
    if endpoints.is_demo:
        api.enable_demo_trading(True)  # noqa: FBT003 - ccxt's signature
    base = endpoints.rest
    table = {
        name: url.replace("https://fapi.binance.com", base).replace(
            "https://demo-fapi.binance.com", base
        )
        for name, url in api.urls["api"].items()
        if name.startswith("fapi")
    }
    if not endpoints.is_demo:
        sapi = "https://api.binance.com" if endpoints.is_production else base
        table["sapi"] = f"{sapi}/sapi/v1"
    api.urls["api"] = table
    # On a foreign host ccxt would classify errors by the wrong table.
    linear = api.exceptions.get("linear", {})
    api.get_exceptions_by_url = lambda _url, kind: linear.get(kind, {})
    api.milliseconds = api.nonce = lambda: 0
    library: Library = api
    if credentials is not None:
        _check_signing(library)
    return library


def _secret_text(secret: SecretStr) -> str:
    """Without the white space of files: the library tells Ed25519 from RSA by the text's length."""
    return "\n".join(line.strip() for line in secret.get_secret_value().strip().splitlines())


def _check_signing(library: Library) -> None:
    """A trial signature, so that an unusable private key is an operator's message, not a trace."""
    try:
        library.sign("order", ["fapiPrivate"], "GET", {})
    except Exception as error:  # noqa: BLE001 - cryptography raises many kinds; reported below
        raise AccountError(
            f"the API secret cannot sign ({type(error).__name__}): expected an HMAC secret or the "
            "PEM text of an Ed25519 or RSA private key"
        ) from None
