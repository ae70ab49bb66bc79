"""The one function that keeps secrets out of every output (floor 1; INV-12).

Logs, audit, database and operator messages all pass through a `Redactor`. It knows the actual
secret values in each form they can appear in (plain, URL-encoded, escaped in JSON, in a Python
repr or in HTML), the shapes of secrets nobody registered (signed queries, listen keys, bot tokens,
key blocks), and the names of fields that hold secrets. What it prints instead contains no
character of the secret, at most a short hash of a long one so that two keys can be told apart.
"""

import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

from core.domain.ports import JsonValue

MARKER = "[redacted]"
_SHORTEST = 6
"""Shorter values are hidden by field name only: by value they would blank ordinary words."""
_HASHED_FROM = 24
"""A hash of a shorter secret could be searched for."""

_SECRET_NAMES = (
    "secret",
    "apikey",
    "privatekey",
    "hmackey",
    "listenkey",
    "signature",
    "password",
    "passwd",
    "token",
    "authorization",
    "credential",
    "cookie",
    "webhook",
    "smtpurl",
)
_NAME = (
    r"[\w-]*(?:secret|api[-_]?key|private[-_]?key|hmac[-_]?key|listen[-_]?key"
    r"|signature|passw(?:or)?d|token|authorization)"
)
_NAME_WORDS = ("secret", "key", "signature", "passw", "token", "authorization")

# (lower-case words one of which must occur, expression, replacement): the words are a cheap test
# that spares a clean line the expressions.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (
        ("private key",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        MARKER,
    ),
    (
        _NAME_WORDS,
        re.compile(rf"(?i)\b({_NAME}=)(?!\[redacted)(?:['\"]?)[^\s&'\",;)}}\]]+"),
        rf"\1{MARKER}",
    ),
    (
        _NAME_WORDS,
        re.compile(rf"(?i)((\\?['\"]){_NAME}\2\s*[:,]\s*b?\\?['\"])(?!\[redacted)[^'\"\\]+"),
        rf"\1{MARKER}",
    ),
    (
        ("x-mbx-apikey", "authorization"),
        re.compile(r"(?i)\b(x-mbx-apikey\s*[:=]\s*|authorization\s*:\s*\w+\s+)(?!\[)[^\s,;'\"]+"),
        rf"\1{MARKER}",
    ),
    (
        ("/ws/",),
        re.compile(r"(/ws/)[A-Za-z0-9]{40,}"),
        rf"\1{MARKER}",
    ),
    (
        ("://",),
        re.compile(r"(://[^\s/:@]*:)(?!\[redacted)[^\s/@]+(@)"),
        rf"\1{MARKER}\2",
    ),
    (
        ("hooks.slack.com",),
        re.compile(r"(hooks\.slack\.com/)(?!\[redacted)[\w/-]+"),
        rf"\1{MARKER}",
    ),
)
_HINTS = tuple(sorted({word for words, _, _ in _SHAPES for word in words}))
# A bot token of Telegram, its colon perhaps URL-encoded.
_BOT_TOKEN_TAIL = re.compile(r"(?::|%3[Aa])[A-Za-z0-9_-]{30}")
_BOT_TOKEN = re.compile(r"(?<!\d)\d{6,12}(?::|%3[Aa])[A-Za-z0-9_-]{30,}")
# Keys, secrets and listen keys of the exchange: 64 characters of mixed case (a SHA-256 in hex,
# which must stay readable, has one case only).
_LONG_WORD = re.compile(r"[A-Za-z0-9]{60}")
_EXCHANGE_KEY = re.compile(r"(?<![A-Za-z0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{60,}")


class Redactor:
    """Replaces secrets in text and in JSON values. Reading is safe from any thread."""

    def __init__(self, secrets: Iterable[SecretStr] = ()) -> None:
        self._markers: dict[str, str] = {}
        self._known: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.register(secret)

    def register(self, secret: SecretStr) -> None:
        """Make `secret` unprintable in every form; values under six characters are ignored."""
        value = secret.get_secret_value().strip()
        marker = MARKER
        if len(value) >= _HASHED_FROM:
            marker = f"[redacted:{hashlib.sha256(value.encode()).hexdigest()[:8]}]"
        markers = dict(self._markers)
        for part in {value, *(line.strip() for line in value.splitlines())}:
            if len(part) >= _SHORTEST and not part.startswith("-----"):
                markers.update(dict.fromkeys(_forms(part), marker))
        # Longest first, so that a form which contains another is replaced as a whole.
        known = tuple(sorted(markers, key=lambda form: (-len(form), form)))
        self._markers = markers
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None
        self._known = known

    def is_clean(self, text: str) -> bool:
        """True when `redact_text` would return `text` unchanged."""
        return self.redact_text(text) is text

    def redact_text(self, text: str) -> str:
        """`text` with every known secret and every secret-looking part replaced.

        Returns the same object when there is nothing to hide.
        """
        clean = text
        if self._pattern is not None and [form for form in self._known if form in clean]:
            clean = self._pattern.sub(self._marker, clean)
        lowered = clean.lower()
        hints = {word for word in _HINTS if word in lowered}
        if hints:
            for words, expression, replacement in _SHAPES:
                if not hints.isdisjoint(words):
                    clean = expression.sub(replacement, clean)
        if _BOT_TOKEN_TAIL.search(clean):
            clean = _BOT_TOKEN.sub(MARKER, clean)
        if _LONG_WORD.search(clean):
            clean = _EXCHANGE_KEY.sub(MARKER, clean)
        return text if clean == text else clean

    def redact_value(self, value: JsonValue) -> JsonValue:
        """`value` without secrets: by field name at any depth, and by value in text.

        Returns `value` itself when there is nothing to hide, else a copy. A flag or a null under a
        secret's name stays: it says whether one is set.
        """
        texts: list[str] = []
        if _collect(value, texts) and self.is_clean("\n".join(texts)):
            return value
        return self._redacted(value)

    def _redacted(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, Mapping):
            return {
                self.redact_text(str(name)): self._field(str(name), inner)
                for name, inner in value.items()
            }
        if isinstance(value, Sequence):
            return [self._redacted(inner) for inner in value]
        return value

    def _field(self, name: str, value: JsonValue) -> JsonValue:
        if is_secret_name(name):
            return _hide(value)
        return self._redacted(value)

    def _marker(self, match: re.Match[str]) -> str:
        return self._markers[match.group()]


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """True for a field that holds a secret (`apiSecret`, `X-MBX-APIKEY`, `TELEGRAM_TOKEN`)."""
    plain = "".join(filter(str.isalnum, name.lower()))
    return any(word in plain for word in _SECRET_NAMES)


def _collect(value: JsonValue, texts: list[str]) -> bool:
    """Gather all text in `value`; False as soon as a field has a secret's name."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if is_secret_name(str(name)) or not _collect(inner, texts):
                return False
            texts.append(str(name))
    elif isinstance(value, Sequence):
        return all(_collect(inner, texts) for inner in value)
    return True


def _hide(value: JsonValue) -> JsonValue:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, (str, int, float, Decimal)):
        return MARKER
    if isinstance(value, Mapping):
        return {str(name): _hide(inner) for name, inner in value.items()}
    return [_hide(inner) for inner in value]


def _forms(value: str) -> set[str]:
    encoded = quote(value, safe="")
    return {
        value,
        encoded,
        re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), encoded),
        quote(value),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        html.escape(value),
    }
