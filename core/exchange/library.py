"""Loads ccxt's `binanceusdm` alone (floor 2a).

ccxt's package `__init__` imports more than a hundred exchanges: 102 MB and 0.6 s against about
half of both for the one that is used. The two packages are therefore represented by bare modules
while the one class is imported, and removed again, so that a later plain `import ccxt` still gets
the real thing. If ccxt's inside changes so that this fails, the plain import takes over.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

_PACKAGES = ("ccxt", "ccxt.async_support")


def load_exchange_class(name: str) -> Any:
    """Class `name` of ccxt's asynchronous exchanges."""
    if not any(package in sys.modules for package in _PACKAGES):
        try:
            return _load_alone(name)
        except (ImportError, AttributeError, TypeError):
            pass  # the plain import below is complete and only slower
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
