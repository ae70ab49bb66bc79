"""RSA pairs: a real client signs with the private half, the exchange has the public one only."""

import base64
from functools import cache
from urllib.parse import quote

import pytest
from ccxt.async_support import binanceusdm
from ccxt.base.errors import AuthenticationError
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from paper_kit import API_KEY, Venue

from core.paper.errors import ApiError
from core.paper.limits import Gatekeeper, Security
from core.paper.params import Params


@cache
def pair() -> RSAPrivateKey:
    return generate_private_key(65_537, 2048)


def public_text(key: RSAPrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_rsa_signs_requests() -> None:
    gate = Gatekeeper("k", public_text(pair()), lambda: 1_000)
    assert (gate.kind, gate.is_ed25519) == ("RSA", False)
    query = "symbol=BTCUSDC&timestamp=1000"

    def check(payload: str) -> None:
        raw = pair().sign(payload.encode(), PKCS1v15(), SHA256())
        text = base64.b64encode(raw).decode()
        params = Params({"timestamp": "1000", "signature": text})
        full = f"{query}&signature={quote(text, safe='')}"
        gate.check(Security.SIGNED, "k", full, "", params)

    check(query)
    with pytest.raises(ApiError) as error:
        check(query + "0")
    assert error.value.code == -1022


async def test_ccxt_trades_with_an_rsa_key(venue: Venue, client: binanceusdm) -> None:
    gate = Gatekeeper(API_KEY, public_text(pair()), venue.clock.now_ms)
    venue.server._gate = gate  # the pair replaces the fixture's shared secret
    private = pair().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(AuthenticationError):
        await client.fetch_balance()
    client.secret = private.decode()
    order = await client.create_order("BTC/USDC:USDC", "market", "buy", 0.01)
    assert order["filled"] == 0.01
    assert (await client.fetch_balance())["USDC"]["total"] > 0
