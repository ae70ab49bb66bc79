"""The library underneath: addresses, calls, import."""

import base64
import subprocess
import sys
from urllib.parse import unquote

import pytest
from client_kit import client_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from core.exchange import endpoints as ep
from core.exchange.endpoints import DEMO, PRODUCTION, Endpoints
from core.exchange.library import Credentials, open_library

# --- environment ---------------------------------------------------------------------------------


def test_every_call_of_the_table_exists_in_the_library() -> None:
    client = client_of(PRODUCTION)
    calls = [value for value in vars(ep).values() if isinstance(value, ep.Call)]
    assert len(calls) > 20
    for call in calls:
        assert callable(getattr(client._api, call.method))


@pytest.mark.parametrize(
    ("endpoints", "futures", "sapi"),
    [
        (PRODUCTION, "https://fapi.binance.com", "https://api.binance.com/sapi/v1"),
        (DEMO, "https://demo-fapi.binance.com", None),
        (Endpoints("http://h:1/", "ws://h:1/"), "http://h:1", "http://h:1/sapi/v1"),
    ],
)
def test_routes_lead_to_the_venue_and_nowhere_else(
    endpoints: Endpoints, futures: str, sapi: str | None
) -> None:
    urls = dict(client_of(endpoints)._api.urls["api"])  # type: ignore[call-overload]  # ccxt is untyped
    assert urls.pop("sapi", None) == sapi
    assert urls
    assert all(str(url).startswith(futures + "/") for url in urls.values())


def test_stream_addresses() -> None:
    assert (
        PRODUCTION.private_stream("a/b") == "wss://fstream.binance.com/private/ws?listenKey=a%2Fb"
    )
    assert DEMO.combined_stream(ep.StreamRoute.MARKET, ("x@kline_1m", "y@markPrice@1s")) == (
        "wss://fstream.binancefuture.com/market/stream?streams=x@kline_1m/y@markPrice@1s"
    )


@pytest.mark.parametrize("statement", ["", "import ccxt.async_support; "])
def test_the_library_loads_alone_and_leaves_the_plain_import_intact(statement: str) -> None:
    """In a fresh interpreter, also when something has imported the whole package before."""
    code = (
        f"import sys; {statement}from core.exchange.library import load_exchange_class as load\n"
        "cls = load('binanceusdm')\n"
        "alone = 'ccxt.async_support.kraken' not in sys.modules\n"
        "import ccxt, ccxt.async_support as plain\n"
        "assert plain.binanceusdm is cls, 'two classes'\n"
        "assert ccxt.kraken and plain.kraken\n"
        "print(alone)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(not statement)


def test_a_changed_inside_of_the_library_falls_back_to_the_plain_import() -> None:
    code = (
        "import sys, core.exchange.library as library\n"
        "def broken(name): raise ImportError('moved')\n"
        "library._load_alone = broken\n"
        "cls = library.load_exchange_class('binanceusdm')\n"
        "import ccxt.async_support as plain\n"
        "assert plain.binanceusdm is cls\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_ed25519_key_signs_whatever_ends_its_lines(line_end: str) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    text = pem.replace("\n", line_end) + line_end
    api = open_library(PRODUCTION, Credentials(SecretStr("k"), SecretStr(text)), 5_000)
    signed = api.sign("order", ["fapiPrivate"], "GET", {"symbol": "XRPUSDC"})
    query, _, signature = str(signed["url"]).partition("?")[2].partition("&signature=")
    key.public_key().verify(base64.b64decode(unquote(signature)), query.encode())
