"""The one function that keeps secrets out of every output (floor 1; INV-12).

Logs, audit, database and operator messages all pass through a `Redactor`. It knows the actual
secret values in each form they can appear in (plain, URL-encoded, escaped in JSON, in a Python
repr or in HTML), the shapes of secrets nobody registered (signed queries, listen keys, bot tokens,
key blocks), and the names of fields that hold secrets. What it prints instead contains no
character of the secret, at most a short hash of a long one so that two keys can be told apart.
"""

import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from pydantic import SecretStr

from core.domain.ports import JsonValue

MARKER = "[redacted]"
_SHORTEST = 6
"""Shorter values are hidden by field name only: by value they would blank ordinary words."""
_HASHED_FROM = 24
"""A hash of a shorter secret could be searched for."""

_PEM_EDGE = re.compile(r"-----[A-Z ]+-----")
_UNCHANGED = re.compile(r"[A-Za-z0-9_.~-]+")
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\f": "f", "\b": "b"}

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
_WORDS = sorted({word for words, _, _ in _SHAPES for word in words})
# One that contains another is found with it.
_HINTS = tuple(w for w in _WORDS if not any(other in w for other in _WORDS if other != w))
_LOWER = bytes(range(256)).lower()
_NOT_ALNUM = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))
# The letters of every name of a secret, and of every other hint, hold one of these.
_TELLING = (
    *(b"key", b"secret", b"signature", b"passw", b"token", b"authorization"),
    *(b"credential", b"cookie", b"webhook", b"smtpurl", b"slack"),
)
_REMEMBERED = 4096
"""Harmless short texts that are remembered before the memory begins anew."""
# A bot token of Telegram, its colon perhaps URL-encoded.
_BOT_TOKEN_TAIL = re.compile(r"(?::|%3[Aa])[A-Za-z0-9_-]{30}")
_BOT_TOKEN = re.compile(r"(?<!\d)\d{6,12}(?::|%3[Aa])[A-Za-z0-9_-]{30,}")
_SHORTEST_UNKNOWN = 37
"""Six digits, a colon and thirty characters of a bot token."""
# Keys, secrets and listen keys of the exchange: 64 characters of mixed case (a SHA-256 in hex,
# which must stay readable, has one case only).
_LONG_WORD = re.compile(r"[A-Za-z0-9]{60}")
_EXCHANGE_KEY = re.compile(r"(?<![A-Za-z0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{60,}")


class Redactor:
    """Replaces secrets in text and in JSON values. Reading is safe from any thread."""

    def __init__(self, secrets: Iterable[SecretStr] = ()) -> None:
        self._secrets: dict[str, str] = {}
        self._known: _Known | None = None
        self._familiar: set[object] = set()
        for secret in secrets:
            self.register(secret)

    def register(self, secret: SecretStr) -> None:
        """Make `secret` unprintable in every form; values under six characters are ignored."""
        value = secret.get_secret_value().strip()
        marker = MARKER
        if len(value) >= _HASHED_FROM:
            marker = f"[redacted:{hashlib.sha256(value.encode()).hexdigest()[:8]}]"
        secrets = dict(self._secrets)
        for part in (value, *(line.strip() for line in value.splitlines())):
            if len(part) >= _SHORTEST and not _PEM_EDGE.fullmatch(part):
                secrets[part] = marker
        self._secrets = secrets
        self._known = _Known.of(secrets) if secrets else None
        self._familiar = set()  # what was harmless before may hold this secret

    def is_clean(self, text: str) -> bool:
        """True when `redact_text` would return `text` unchanged."""
        return self.redact_text(text) is text

    def unfamiliar(self, values: Iterable[object]) -> list[object]:
        """Those of `values` that `are_harmless` has not seen. Raises TypeError for a container.

        Names and numbers come again and again: a record of known words costs a few look-ups.
        """
        familiar = self._familiar
        return [value for value in values if value not in familiar]

    def are_clean(self, texts: Sequence[str]) -> bool:
        """True when none of `texts` needs redaction; False may also mean: not seen at a glance.

        Words are remembered, numbers are not: they seldom come again.
        """
        familiar, known = self._familiar, self._known
        joined = "\n".join(texts)
        if known is not None and [core for core in known.cores if core in joined]:
            return False
        lowered = joined.lower()
        if [hint for hint in _HINTS if hint in lowered]:
            return False
        for text in texts:
            if len(text) >= _SHORTEST_UNKNOWN:
                if not self.is_clean(text):
                    return False
            elif not text[-1:].isdigit() and not is_secret_name(text):
                _remember(familiar, text)
        return True

    def are_harmless(self, texts: Sequence[str]) -> bool:
        """True when none of `texts` needs redaction or is the name of a secret's field.

        False may also mean: not seen at a glance. Remembers what it found harmless.
        """
        familiar, known = self._familiar, self._known
        joined = "\n".join(texts)
        if known is not None and [core for core in known.cores if core in joined]:
            return False
        if joined.isascii():
            letters = joined.encode().translate(_LOWER, _NOT_ALNUM)
            if [word for word in _TELLING if word in letters]:
                return False
            if "://" in joined or "/ws/" in joined:
                return False
        elif any(map(is_secret_name, texts)) or not self.is_clean(joined):
            return False
        for text in texts:
            if len(text) >= _SHORTEST_UNKNOWN and not self.is_clean(text):
                return False
        for text in texts:
            if len(text) < _SHORTEST_UNKNOWN:
                _remember(familiar, text)
        return True

    def redact_text(self, text: str) -> str:
        """`text` with every known secret and every secret-looking part replaced.

        Returns the same object when there is nothing to hide.
        """
        known = self._known
        clean = text if known is None else known.hide(text)
        lowered = clean.lower()
        if [hint for hint in _HINTS if hint in lowered]:
            for words, expression, replacement in _SHAPES:
                if any(word in lowered for word in words):
                    clean = expression.sub(replacement, clean)
        if len(clean) < _SHORTEST_UNKNOWN:
            return text if clean == text else clean
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


@dataclass(frozen=True, slots=True)
class _Known:
    """What finds the registered secrets; one object, so that other threads see all of it or none.

    `cores` are parts of the secrets that no encoding changes: a cheap test before the expression.
    """

    cores: tuple[str, ...]
    pattern: re.Pattern[str]
    markers: tuple[str, ...]

    @staticmethod
    def of(secrets: Mapping[str, str]) -> "_Known":
        # Longest first, so that a secret which contains another is replaced as a whole.
        parts = sorted(secrets, key=lambda part: (-len(part), part))
        return _Known(
            cores=tuple({max(_UNCHANGED.findall(part), key=len, default=""): 0 for part in parts}),
            pattern=re.compile("|".join(f"({''.join(map(_any_form, part))})" for part in parts)),
            markers=tuple(secrets[part] for part in parts),
        )

    def hide(self, text: str) -> str:
        if not [core for core in self.cores if core in text]:
            return text
        return self.pattern.sub(lambda found: self.markers[(found.lastindex or 1) - 1], text)


def _remember(familiar: set[object], text: str) -> None:
    if len(familiar) > _REMEMBERED:
        familiar.clear()
    familiar.add(text)


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


def _any_form(character: str) -> str:
    """Expression for one character of a secret: as it is, or encoded, however many times over."""
    if _UNCHANGED.fullmatch(character):
        return re.escape(character)
    octets = character.encode("utf-8", "replace")
    units = character.encode("utf-16-be", "replace")
    number = ord(character)
    forms = [
        re.escape(character),
        "".join(f"%(?:25)*(?i:{octet:02x})" for octet in octets),
        "".join(rf"\\+u(?i:{units[at : at + 2].hex()})" for at in range(0, len(units), 2)),
        rf"\\+(?i:x{number:02x}|u{number:04x}|u{number:08x})",
    ]
    if (named := html.escape(character)) != character:
        forms.append(f"&(?:amp;)*{re.escape(named[1:])}")
    if character in _ESCAPES:
        forms.append(rf"\\+{_ESCAPES[character]}")
    if character == " ":
        forms.append(r"\+")
    # Text inside text inside text: each level puts backslashes before what it escapes.
    return rf"\\*(?:{'|'.join(forms)})"
