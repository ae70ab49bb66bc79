"""Values of the configuration: how each is read from text and written back (floor 1).

`to_text` is the inverse of the readers: what it writes is read back as an equal value. No message
raised here repeats its input, because the input may be a secret.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainValidator, SecretStr

from core.domain.enums import TakeProfitStyle
from core.domain.intent import TakeProfitRatio
from core.domain.money import ONE, decimal, to_wire
from core.domain.timeframe import TIMEFRAMES_MS
from core.symbol_utils import normalize_symbol

E = TypeVar("E", bound=StrEnum)

_DAY_MINUTES = 24 * 60
_MINUTE_MS = 60_000
_MAX_LEVELS = 9  # the level is one digit of the client order id
_MAX_EXPONENT = 18
_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+")


@dataclass(frozen=True, slots=True)
class HoursWindow:
    """Daily window in UTC minutes of the day, `start` included, `end` not; may wrap midnight.

    Equal ends mean an empty window, 0 to 1440 the whole day.
    """

    start: int
    end: int

    def contains(self, at_ms: int) -> bool:
        """True when the UTC instant `at_ms` (milliseconds) lies in the window."""
        minute = at_ms // _MINUTE_MS % _DAY_MINUTES
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def rest_ms(self, at_ms: int) -> int:
        """Milliseconds from `at_ms` to the next end of the window, more than 0."""
        return (self.end * _MINUTE_MS - at_ms - 1) % (_DAY_MINUTES * _MINUTE_MS) + 1

    def __str__(self) -> str:
        if self in (ALL_HOURS, NO_HOURS):
            return "00-24"
        return f"{_clock_text(self.start)}-{_clock_text(self.end)}"


ALL_HOURS = HoursWindow(0, _DAY_MINUTES)
NO_HOURS = HoursWindow(0, 0)


def _clock_text(minute: int) -> str:
    hours, rest = divmod(minute, 60)
    return f"{hours:02d}:{rest:02d}" if rest else f"{hours:02d}"


def _items(value: object) -> list[str]:
    """Parts of a comma list, or of a sequence given by keyword; blanks dropped."""
    if isinstance(value, str):
        parts = value.split(",")
    elif isinstance(value, (list, tuple)):
        parts = [str(part) for part in value]
    else:
        parts = [str(value)]
    return [part.strip() for part in parts if part.strip()]


def _unique(parts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parts))


def read_decimal(value: object) -> Decimal:
    """Exact Decimal. A float given by keyword counts as the text it prints."""
    if isinstance(value, float):
        value = str(value)
    if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic collects ValueError only
    if isinstance(value, str):
        value = value.strip()
        if value.endswith("%"):
            raise ValueError("write it as a fraction without the % sign: 0.75 % is 0.0075")
    try:
        number = decimal(value)
    except ValueError:
        raise ValueError("must be a number such as 0.0075") from None
    if number and not -_MAX_EXPONENT <= number.adjusted() <= _MAX_EXPONENT:
        raise ValueError("must be a number of a sensible size")
    return number


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _read_symbols(value: object) -> tuple[str, ...]:
    return _unique([normalize_symbol(part) for part in _items(value)])


def _read_strategies(value: object) -> str:
    names = _unique(_items(value))
    if not names or not all(_NAME.fullmatch(name) for name in names):
        raise ValueError("must be names of modules in strategies/, separated by commas")
    return ",".join(names)


def _read_ladder(value: object) -> tuple[TakeProfitRatio, ...]:
    if isinstance(value, tuple) and all(isinstance(leg, TakeProfitRatio) for leg in value):
        legs = list(value)
    else:
        legs = [_read_leg(part) for part in _items(value)]
    if not 1 <= len(legs) <= _MAX_LEVELS:
        raise ValueError(f"must have 1 to {_MAX_LEVELS} levels, such as 0.006:0.5,0.012:0.5")
    distances = [leg.ratio for leg in legs]
    if any(not 0 < ratio < 1 for ratio in distances):
        raise ValueError("distances are fractions between 0 and 1: 0.6 % is 0.006")
    if any(near >= far for near, far in pairwise(distances)):
        raise ValueError("distances must grow from level to level")
    if any(leg.share <= 0 for leg in legs):
        raise ValueError("every share must be above 0")
    total = sum((leg.share for leg in legs), Decimal(0))
    if total != ONE:
        raise ValueError(f"shares must sum to 1, they sum to {to_wire(total)}")
    return tuple(legs)


def _read_leg(part: str) -> TakeProfitRatio:
    distance, colon, share = part.partition(":")
    if not colon:
        raise ValueError("each level is distance:share, such as 0.006:0.5")
    return TakeProfitRatio(read_decimal(distance), read_decimal(share))


def _hours_reader(whole_day: HoursWindow) -> Callable[[object], HoursWindow]:
    def read(value: object) -> HoursWindow:
        if isinstance(value, HoursWindow):
            return value
        match = _HOURS.fullmatch(str(value).strip())
        if match is None:
            raise ValueError("must look like 08-20, 22-04 or 08:30-20:00 (UTC)")
        numbers = [int(part or 0) for part in match.groups()]
        start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if numbers[1] > 59 or numbers[3] > 59 or start >= _DAY_MINUTES or end > _DAY_MINUTES:
            raise ValueError("hours run from 00 to 24, minutes from 00 to 59")
        if start == end:
            raise ValueError("start and end are the same; leave it empty instead")
        return whole_day if end - start == _DAY_MINUTES else HoursWindow(start, end)

    return read


def _read_timeframe(value: object) -> str:
    text = str(value).strip()
    if text not in TIMEFRAMES_MS:
        raise ValueError("must be one of " + ", ".join(TIMEFRAMES_MS))
    return text


def _read_take_profit_style(value: object) -> object:
    names = {style.kind.value: style for style in TakeProfitStyle}
    text = _upper(value)
    return names.get(text, _lower(value)) if isinstance(text, str) else value


def _read_speed(value: object) -> float | Literal["max"]:
    text = str(value).strip().lower()
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.01 <= speed <= 100_000:
        raise ValueError("must be a factor from 0.01 to 100000, or max")
    return speed


def _read_instant(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("must be a UTC date or time such as 2026-09-30 or 2026-09-30T12:00") from (
            None
        )
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return round(moment.timestamp() * 1000)


def _url_reader(*schemes: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = str(value).strip().rstrip("/")
        try:
            parts = urlsplit(text)
            valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
            parts = urlsplit("")
        if not valid or any(char.isspace() for char in text):
            raise ValueError(
                "must be a URL beginning with " + " or ".join(f"{s}://" for s in schemes)
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be a plain URL without user, password, query or fragment")
        return text

    return read


def _read_secret(value: object) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    text = text.strip()
    if not text:
        raise ValueError("must not be empty")
    if "PRIVATE KEY" in text:
        raise ValueError("is a PEM key: save it to a file and name it in BINANCE_PRIVATE_KEY_PATH")
    if any(char.isspace() for char in text):
        raise ValueError("must not contain spaces or line breaks")
    return SecretStr(text)


def _secret_url_reader(*schemes: str) -> Callable[[object], SecretStr]:
    def read(value: object) -> SecretStr:
        secret = _read_secret(value)
        try:
            parts = urlsplit(secret.get_secret_value())
            valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(
                "must be a URL beginning with " + " or ".join(f"{s}://" for s in schemes)
            )
        return secret

    return read


def _read_chats(value: object) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in _items(value)))
    except ValueError:
        raise ValueError("must be chat numbers separated by commas") from None


def _read_emails(value: object) -> tuple[str, ...]:
    found = _unique(_items(value))
    if not all(_EMAIL.fullmatch(part) for part in found):
        raise ValueError("must be e-mail addresses separated by commas")
    return found


def _read_instance(value: object) -> str:
    text = str(value).strip()
    if not _INSTANCE.fullmatch(text):
        raise ValueError(
            "must be 1 to 32 letters, digits, - or _, beginning with a letter or digit"
        )
    return text


def _read_path(value: object) -> Path:
    return Path(str(value).strip()).expanduser()


Amount = Annotated[Decimal, BeforeValidator(read_decimal)]
Lower = BeforeValidator(_lower)
Upper = BeforeValidator(_upper)
CoinName = Annotated[Literal["USDC", "USDT"], Upper]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Upper]
Symbols = Annotated[tuple[str, ...], PlainValidator(_read_symbols)]
StrategyNames = Annotated[str, PlainValidator(_read_strategies)]
Timeframe = Annotated[str, PlainValidator(_read_timeframe)]
Ladder = Annotated[tuple[TakeProfitRatio, ...], PlainValidator(_read_ladder)]
ActiveHours = Annotated[HoursWindow, PlainValidator(_hours_reader(ALL_HOURS))]
QuietHours = Annotated[HoursWindow, PlainValidator(_hours_reader(NO_HOURS))]
ExitStyle = Annotated[TakeProfitStyle, BeforeValidator(_read_take_profit_style)]
Speed = Annotated[float | Literal["max"], PlainValidator(_read_speed)]
Instant = Annotated[int, PlainValidator(_read_instant)]
HttpUrl = Annotated[str, PlainValidator(_url_reader("http", "https"))]
SocketUrl = Annotated[str, PlainValidator(_url_reader("ws", "wss"))]
Secret = Annotated[SecretStr, PlainValidator(_read_secret)]
SecretHttpsUrl = Annotated[SecretStr, PlainValidator(_secret_url_reader("http", "https"))]
SecretSmtpUrl = Annotated[SecretStr, PlainValidator(_secret_url_reader("smtp", "smtps"))]
ChatIds = Annotated[tuple[int, ...], PlainValidator(_read_chats)]
Emails = Annotated[tuple[str, ...], PlainValidator(_read_emails)]
Instance = Annotated[str, PlainValidator(_read_instance)]
FilePath = Annotated[Path, PlainValidator(_read_path)]
Text = Annotated[str, BeforeValidator(_strip)]


def masked(secret: SecretStr) -> str:
    """Stand-in for a secret: no character of it, only a short hash to tell two apart."""
    return f"*** (sha256 {sha256(secret.get_secret_value().encode()).hexdigest()[:6]})"


def instant_text(at_ms: int) -> str:
    """UTC text of an instant in milliseconds, as people and settings write it."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(' ', 'milliseconds' if at_ms % 1000 else 'seconds')}Z"


def to_text(value: object) -> str:
    """Text of a configuration value, as one would write it in `.env`; secrets masked."""
    match value:
        case None:
            return ""
        case SecretStr():
            return masked(value)
        case bool():
            return "true" if value else "false"
        case Decimal():
            return to_wire(value)
        case float():
            return f"{value:g}"
        case TakeProfitRatio():
            return f"{to_wire(value.ratio)}:{to_wire(value.share)}"
        case tuple():
            return ",".join(to_text(part) for part in value)
        case _:
            return str(value)
