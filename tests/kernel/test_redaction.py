"""No form of a secret survives, and ordinary text stays as it is."""

import hashlib
import html
import json
import string
from decimal import Decimal
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.kernel.redaction import MARKER, Redactor, is_secret_name

KEY = "Kq7" * 21 + "Z"
ODD = 'p&ss "wört"/+='
PEM = (
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\nabcdefghijklmn\n-----END PRIVATE KEY-----"
)
BOT = "123456789:AAHfiqksKZ8WmR2zSjiQ7_v4TMAKdiHm9T0"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor([SecretStr(KEY), SecretStr(ODD), SecretStr(PEM)])


@pytest.mark.parametrize(
    "form",
    [
        ODD,
        quote(ODD),
        quote(ODD, safe=""),
        quote_plus(ODD),
        quote(ODD, safe="").replace("%C3%B6", "%c3%b6"),
        quote(quote(ODD, safe="")),
        json.dumps(json.dumps(ODD)[1:-1])[1:-1],
        repr({"x": repr(ODD)[1:-1]})[7:-2],
        html.escape(html.escape(ODD)),
        json.dumps(quote_plus(ODD))[1:-1],
        urlencode({"x": ODD})[2:],
        json.dumps(ODD)[1:-1],
        json.dumps(ODD, ensure_ascii=False)[1:-1],
        repr(ODD)[1:-1],
        html.escape(ODD),
    ],
)
def test_a_known_value_in_every_form(redactor: Redactor, form: str) -> None:
    assert redactor.redact_text(f"before {form} after") == "before [redacted] after"


def test_a_long_secret_is_told_apart_by_a_hash_only(redactor: Redactor) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()[:8]
    assert redactor.redact_text(f"key {KEY}") == f"key [redacted:{digest}]"


def test_each_line_of_a_key_file(redactor: Redactor) -> None:
    for line in PEM.splitlines()[1:3]:
        assert line not in redactor.redact_text(f"error near {line}!")
    assert Redactor().redact_text(f"x {PEM} y") == "x [redacted] y"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (
            "GET /fapi/v1/order?symbol=XRPUSDC&signature=c8db56825ae71d&timestamp=1",
            f"GET /fapi/v1/order?symbol=XRPUSDC&signature={MARKER}&timestamp=1",
        ),
        ("?listenKey=pqia91ma19a5s61cv6a81va65sdf", f"?listenKey={MARKER}"),
        ('{"listenKey": "pqia91ma19a5s61"}', f'{{"listenKey": "{MARKER}"}}'),
        ("wss://x/ws/" + "pqia91ma" * 8, f"wss://x/ws/{MARKER}"),
        (f"https://api.telegram.org/bot{BOT}/getMe", f"https://api.telegram.org/bot{MARKER}/getMe"),
        (f"/bot{quote(BOT)}/getMe", f"/bot{MARKER}/getMe"),
        ("X-MBX-APIKEY: vmPUZE6mv9SD5VN", f"X-MBX-APIKEY: {MARKER}"),
        ("{'X-MBX-APIKEY': 'vmPUZE6'}", f"{{'X-MBX-APIKEY': '{MARKER}'}}"),
        ("[(b'X-MBX-APIKEY', b'vmPUZE6')]", f"[(b'X-MBX-APIKEY', b'{MARKER}')]"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MARKER}"),
        ("smtp://me:hunter2@mail:587", f"smtp://me:{MARKER}@mail:587"),
        ("https://hooks.slack.com/services/T0/B0/xyz", f"https://hooks.slack.com/{MARKER}"),
        ("BINANCE_API_SECRET=NhqPtmdSJY", f"BINANCE_API_SECRET={MARKER}"),
        (f"unknown key {KEY}", f"unknown key {MARKER}"),
    ],
)  # fmt: skip
def test_shapes_nobody_registered(text: str, clean: str) -> None:
    assert Redactor().redact_text(text) == clean
    assert Redactor().redact_text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "XRP/USDC:USDC 15m no entry: spread 0.12 % above 0.10 %",
        "BINANCE_API_KEY: missing; allowed is the key of an account with futures permission",
        "order ucb-bot1-scv1-sl0-k3jq0p5m2x8d-0 at 12:34:56, hash " + "ab12" * 16,
        "http://127.0.0.1:8787/status?symbol=XRPUSDC",
        "ticket 1234567: ok",
    ],
)
def test_ordinary_text_is_untouched(redactor: Redactor, text: str) -> None:
    assert redactor.redact_text(text) is text
    assert redactor.is_clean(text)


def test_by_field_name_at_any_depth(redactor: Redactor) -> None:
    value = {
        "config": [
            {"apiSecret": "abc", "nested": {"TELEGRAM_TOKEN": 12345, "size": Decimal("1.5")}}
        ],
        "headers": {"X-MBX-APIKEY": ["a", "b"], "Cookie": {"sid": "x"}},
        "api_key": None,
        "has_password": True,
        "hmac_key": "",
        "symbol": "XRPUSDC",
    }
    assert redactor.redact_value(value) == {
        "config": [
            {"apiSecret": MARKER, "nested": {"TELEGRAM_TOKEN": MARKER, "size": Decimal("1.5")}}
        ],
        "headers": {"X-MBX-APIKEY": [MARKER, MARKER], "Cookie": {"sid": MARKER}},
        "api_key": None,
        "has_password": True,
        "hmac_key": "",
        "symbol": "XRPUSDC",
    }


def test_by_value_in_names_and_texts(redactor: Redactor) -> None:
    assert redactor.redact_value({ODD: [f"x {ODD}"]}) == {MARKER: [f"x {MARKER}"]}


def test_a_clean_value_comes_back_as_it_is(redactor: Redactor) -> None:
    value = {"a": [1, None, "x"], "b": {"c": 1.5}}
    assert redactor.redact_value(value) is value


def test_short_and_empty_secrets_do_not_blank_the_log() -> None:
    redactor = Redactor([SecretStr(""), SecretStr("a"), SecretStr("test")])
    assert redactor.redact_text("testnet is a test") == "testnet is a test"
    assert redactor.redact_value({"password": "test"}) == {"password": MARKER}


def test_a_secret_inside_another(redactor: Redactor) -> None:
    redactor.register(SecretStr(KEY[:30]))
    assert KEY[:10] not in redactor.redact_text(f"{KEY} {KEY[:30]}")


@pytest.mark.parametrize("name", ["apiKey", "BINANCE_API_SECRET", "listenKey", "x-mbx-apikey"])
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["client_id", "symbol", "key", "prev_hash", "why"])
def test_names_that_are_not_secret(name: str) -> None:
    assert not is_secret_name(name)


SECRETS = st.text(st.sampled_from(string.printable + "é✓"), min_size=6, max_size=80).filter(
    lambda text: len(text.strip()) >= 6
)


@settings(max_examples=150, deadline=None)
@given(secret=SECRETS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_form_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor([SecretStr(secret)])
    value = secret.strip()
    for form in (value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]):
        clean = redactor.redact_text(before + form + after)
        assert form not in clean or form in MARKER or form in before + after
        assert redactor.redact_text(clean) == clean
